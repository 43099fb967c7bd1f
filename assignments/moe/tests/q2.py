"""q2: class MoE(d_model, d_ff, n_experts=4, top_k=None), judged through its own experts and W_g."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import (
    Mistake,
    check_close,
    check_gradients,
    check_parameters,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def experts_of(model, n_experts, what):
    """The experts, each of which can be called."""
    missing = f"{what} has no experts: it is not implemented yet, or self.experts is not an nn.ModuleList."
    modules = getattr(model, "_modules", {})
    assert "experts" in modules, missing
    experts = list(modules["experts"].children())
    assert len(experts) == n_experts, (
        f"{what} has {len(experts)} experts with weights of their own, but {n_experts} were expected. An expert"
        " that occurs twice in the list is one expert."
    )
    return experts


def check_different(model, n_experts, what):
    """Pass if no two experts are the same network, or have the same numbers to begin with."""
    modules = getattr(model, "_modules", {}).get("experts")
    experts = list(modules.children()) if modules is not None else []
    if n_experts > len(experts) == 1:
        raise Mistake("SharedExperts", f"{what} has one expert, {n_experts} times in the list.")
    for e in range(1, len(experts)):
        pairs = list(zip(experts[0].parameters(), experts[e].parameters(), strict=False))
        if pairs and all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs):
            raise Mistake("SharedExperts", f"In {what}, experts 0 and {e} begin with the same numbers.")


def mixture(model, x, n_experts, top_k=None):
    """What is expected: gate times experts, summed. The gate is the softmax over the kept logits.

    Sparse, dense and row-by-row sums differ by at most 1.8e-15 in float64 and 4.2e-7 in float32 (measured), and a
    missing renormalisation is off by 0.2: hence tolerances of 1e-9 and 1e-5.
    """
    logits = x @ model.W_g
    kept = logits.topk(top_k or n_experts, -1).indices
    weights = torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept)).softmax(-1)
    experts_of(model, n_experts, "the mixture")
    return sum(weights[..., e, None] * model.experts[e](x) for e in range(n_experts))


@test_case(
    name="experts and gate weights",
    points=2,
    hidden=False,
    failure_message="In __init__, after super().__init__(): self.experts = nn.ModuleList(...) of n_experts different "
    "networks, and self.W_g = nn.Parameter(...) of shape (d_model, n_experts).",
)
def test_parameters(MoE):
    what = "MoE(d_model=3, d_ff=5, n_experts=2)"
    model = MoE(3, 5, 2)
    check_parameters(model, {"W_g": (3, 2)}, what=what)
    experts_of(model, 2, what)
    check_parameters(MoE(3, 5), {"W_g": (3, 4)}, what="MoE(d_model=3, d_ff=5)")


@test_case(
    name="the shape of the output",
    points=2,
    hidden=False,
    failure_message="The output has the shape of x: one row of length d_model for each row.",
)
def test_shape(MoE):
    model = MoE(3, 5, 2).float()
    check_parameters(model, {"W_g": (3, 2)}, what="MoE(d_model=3, d_ff=5, n_experts=2)")
    x = normal(4, 3, seed=0, dtype=torch.float32)
    check_shape(model(x), (4, 3), what="MoE(d_model=3, d_ff=5, n_experts=2)(x) with x of shape (4, 3)")


@test_case(
    name="with W_g = 0, the mean of two experts",
    points=2,
    hidden=False,
    failure_message="With W_g = 0 all logits are 0, so both gate weights are 1/2 and the output is the mean of the "
    "two experts' outputs.",
)
def test_mean(MoE):
    what = "MoE(d_model=3, d_ff=5, n_experts=2)"
    model = MoE(3, 5, 2).double()
    check_parameters(model, {"W_g": (3, 2)}, what=what)
    experts_of(model, 2, what)
    with torch.no_grad():
        model.W_g.zero_()
    x = normal(4, 3, seed=1)
    expected = (model.experts[0](x) + model.experts[1](x)) / 2
    check_close(model(x), expected, what=f"{what}(x) with W_g = 0")


@test_case(
    name="the weighted sum of all experts",
    points=2,
    hidden=True,
    failure_message="The output is the sum over experts of gate weight times expert output, with the weights of q1. "
    "The experts are different networks. Leading dimensions are a stack of rows.",
)
def test_values(MoE):
    model = MoE(3, 5).double()
    check_different(model, 4, "MoE(3, 5)")
    for shape in [(3,), (6, 3), (2, 4, 3)]:
        x = normal(*shape, seed=2)
        check_close(model(x), mixture(model, x, 4), what=f"MoE(3, 5)(x) with x of shape {shape}")


@test_case(
    name="the weighted sum with top_k",
    points=2,
    hidden=True,
    failure_message="With top_k, the weights are those of gate(x, W_g, top_k): renormalised, and every row keeps "
    "top_k experts, however many others want the same ones.",
)
def test_top_k(MoE):
    for n_experts, top_k in [(4, 2), (3, 1), (3, 3)]:
        model, x = MoE(3, 5, n_experts, top_k).double(), normal(2, 6, 3, seed=3)
        what = f"MoE(3, 5, n_experts={n_experts}, top_k={top_k})(x)"
        check_close(model(x), mixture(model, x, n_experts, top_k), what=what)
    model, x = MoE(3, 5, 4, 2).double(), normal(9, 3, seed=4).abs()
    with torch.no_grad():  # every row wants experts 1 and 3
        model.W_g.copy_(torch.tensor([0.0, 2.0, 0.0, 3.0]).expand(3, 4))
    what = "MoE(3, 5, n_experts=4, top_k=2)(x) where all rows choose the same experts"
    check_close(model(x), mixture(model, x, 4, 2), what=what)


@test_case(
    name="gradients of x, of W_g and of every expert",
    points=2,
    hidden=True,
    failure_message="Training needs a gradient in W_g (through the weights) and in the parameters of every expert; "
    "earlier layers need one in x. An argmax, .detach() or torch.no_grad() cuts the path.",
)
def test_gradients(MoE):
    for top_k in (None, 2):
        model, x = MoE(3, 5, 4, top_k).double(), normal(6, 3, seed=5).requires_grad_()
        inputs = {"x": x} | dict(model.named_parameters())
        what = f"MoE(3, 5, n_experts=4, top_k={top_k})(x)"
        check_gradients(model(x), mixture(model, x, 4, top_k), inputs, what=what)


@test_case(
    name="float32, no rows, one expert, a batch; x left alone; how W_g starts",
    points=1,
    hidden=True,
    failure_message="The output has the dtype of x. Rows are independent of each other, there may be none, and one "
    "expert alone has the weight 1.",
)
def test_float32_and_sizes(MoE):
    deviation = MoE(64, 2, 32).W_g.std().item()
    # 2048 numbers: the measured deviation is off by 2 % (one sigma), far from a factor of 1.6
    assert 0.08 < deviation < 0.2, (
        "The numbers in W_g of MoE(d_model=64, d_ff=2, n_experts=32) start with a standard deviation of"
        f" {deviation:.3g}, but 1/sqrt(64) = 0.125 was expected."
    )
    model, x = MoE(3, 5, 4, 2).float(), normal(6, 3, seed=7, dtype=torch.float32)
    before, what = x.clone(), "MoE(3, 5, n_experts=4, top_k=2)(x)"
    whole = model(x)
    check_unchanged(before, x, what=f"x in {what}")
    check_close(whole, mixture(model, x, 4, 2), tolerance=1e-5, what=f"{what} in float32")
    check_close(model(x[4:]), whole[4:], tolerance=1e-5, what=f"{what} of two rows alone")
    check_shape(model(x[:0]), (0, 3), what=f"{what} with no rows")
    single = MoE(3, 5, 1, 1).float()
    check_close(single(x), single.experts[0](x), tolerance=1e-5, what="MoE(3, 5, n_experts=1, top_k=1)(x)")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: in __init__ for sizes below 1 or a top_k outside of 1 to "
    "n_experts, in forward for an x of another width.",
)
def test_bad_arguments(MoE):
    for sizes in [(0, 5), (3, 0), (3, 5, 0), (3, 5, 4, 0), (3, 5, 4, 5)]:
        check_raises(ValueError, MoE, *sizes, what=f"MoE{sizes}")
    model = MoE(3, 5).double()
    check_shape(model(normal(4, 3, seed=8)), (4, 3), what="MoE(3, 5)(x) with arguments that fit")
    check_raises(ValueError, model, normal(4, 2, seed=9), what="MoE(3, 5)(x) with x of shape (4, 2)")
