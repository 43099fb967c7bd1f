"""q3: two_sided_mask(n, window, stride), and class MoE(d_model, d_ff, n_experts=4, top_k=2)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import (
    Mistake,
    check_close,
    check_dtype,
    check_gradients,
    check_parameters,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def check_mask(found, expected, *, what):
    """Pass if this is the boolean mask."""
    check_dtype(check_shape(found, expected.shape, what=what), torch.bool, what=what)
    if not torch.equal(found, expected):
        i, j = (found != expected).nonzero()[0].tolist()
        raise AssertionError(
            f"{what} is wrong in {int((found != expected).sum())} entries. The first one is ({i}, {j}): expected"
            f" {bool(expected[i, j])}, found {bool(found[i, j])}."
        )


def pattern(n, window, stride):
    """What is expected, entry by entry."""
    rows = [[abs(i - j) < window or abs(i - j) % stride == 0 for j in range(n)] for i in range(n)]
    return torch.tensor(rows, dtype=torch.bool).reshape(n, n)


def experts_of(model, n_experts, what):
    """The experts, which are as many different modules."""
    modules = getattr(model, "_modules", {}).get("experts")
    assert modules is not None, (
        f"{what} has no experts: it is not implemented yet, or self.experts is not an nn.ModuleList."
    )
    experts = list(modules.children())
    text = f"{what} has {len(experts)} experts with weights of their own, but {n_experts} were expected."
    if n_experts > len(experts) == 1:
        raise AssertionError(f"{text} An expert that occurs twice in the list is one expert.")
    assert len(experts) == n_experts, text
    return experts


def mixture(model, x, n_experts, top_k):
    """What is expected: the softmax over the kept logits, times the experts' outputs.

    Sums in another order differ by 2e-15 in float64 and 5e-7 in float32, a missing renormalisation by 0.1 and more:
    hence
    tolerances of 1e-9 and 1e-5.
    """
    logits = x @ model.W_g
    kept = logits.topk(top_k, -1).indices
    weights = torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept)).softmax(-1)
    return sum(weights[..., e, None] * model.experts[e](x) for e in range(n_experts))


@test_case(
    name="the mask by hand",
    points=2,
    hidden=False,
    failure_message="n = 6, window 2, stride 3: |i - j| may be 0, 1 or 3. True = may attend.",
)
def test_hand(two_sided_mask):
    rows = ["110100", "111010", "011101", "101110", "010111", "001011"]
    expected = torch.tensor([[symbol == "1" for symbol in row] for row in rows])
    check_mask(two_sided_mask(6, 2, 3), expected, what="two_sided_mask(6, 2, 3)")


@test_case(
    name="experts and gate weights",
    points=2,
    hidden=False,
    failure_message="In __init__, after super().__init__(): self.experts = nn.ModuleList(...) of n_experts "
    "networks, and "
    "self.W_g = nn.Parameter(...) of shape (d_model, n_experts). The output has the shape of x.",
)
def test_parameters(MoE):
    what = "MoE(d_model=3, d_ff=5)"
    model = MoE(3, 5).float()
    check_parameters(model, {"W_g": (3, 4)}, what=what)
    experts_of(model, 4, what)
    check_shape(
        model(normal(6, 3, seed=0, dtype=torch.float32)), (6, 3), what=f"{what}(x) with x of shape (6, 3)"
    )


@test_case(
    name="the mask for many sizes",
    points=2,
    hidden=True,
    failure_message="|i - j| < window or |i - j| % stride == 0, for windows and strides of any size, and texts of "
    "0 and 1 "
    "tokens. Each token sees itself, and the mask is its own transpose.",
)
def test_sizes(two_sided_mask):
    for n, window, stride in [
        (9, 3, 4),
        (7, 1, 2),
        (8, 2, 7),
        (5, 9, 2),
        (6, 1, 1),
        (10, 4, 3),
        (1, 1, 5),
        (0, 1, 1),
    ]:
        what = f"two_sided_mask({n}, {window}, {stride})"
        check_mask(two_sided_mask(n, window, stride), pattern(n, window, stride), what=what)


@test_case(
    name="the weighted sum of the chosen experts",
    points=2,
    hidden=True,
    failure_message="The top_k largest probabilities of softmax(x W_g), renormalised to sum 1, weight the outputs "
    "of their "
    "experts. Leading dimensions are a stack of rows, and the experts are different networks.",
)
def test_values(MoE):
    shared = [p.clone() for p in MoE(3, 5).experts[0].parameters()]
    for n_experts, top_k, shape in [(4, 2, (6, 3)), (3, 1, (2, 4, 3)), (3, 3, (3,)), (4, 2, (0, 3))]:
        what = f"MoE(3, 5, {n_experts}, {top_k})(x) with x of shape {shape}"
        model, x = MoE(3, 5, n_experts, top_k).double(), normal(*shape, seed=2)
        if len(list(model.experts.children())) == 1 < n_experts:
            raise Mistake("SharedExperts", f"{what}: there is one expert, {n_experts} times in the list.")
        experts_of(model, n_experts, what)
        check_close(model(x), mixture(model, x, n_experts, top_k), what=what)
    model, x = MoE(3, 5).double(), normal(8, 3, seed=3).abs()
    with torch.no_grad():  # every row wants experts 1 and 3
        model.W_g.copy_(torch.tensor([0.0, 2.0, 0.0, 3.0]).expand(3, 4))
    check_close(model(x), mixture(model, x, 4, 2), what="MoE(3, 5)(x) where all rows choose the same experts")
    first, second = ([p.detach() for p in MoE(3, 5).experts[e].parameters()] for e in (0, 1))
    same = all(torch.equal(a, b) for a, b in zip(first, second, strict=False))
    assert not (same and shared), "The experts of MoE(3, 5) begin with the same numbers."


@test_case(
    name="gradients, float32, and x left alone",
    points=1,
    hidden=True,
    failure_message="Training needs a gradient in W_g (through the weights) and in the experts; earlier layers "
    "need one in "
    "x. The output has the dtype of x, and x stays as it is.",
)
def test_gradients(MoE):
    model, x = MoE(3, 5).double(), normal(6, 3, seed=5).requires_grad_()
    inputs = {"x": x} | dict(model.named_parameters())
    check_gradients(model(x), mixture(model, x, 4, 2), inputs, what="MoE(3, 5)(x)")
    model, x = MoE(3, 5).float(), normal(6, 3, seed=7, dtype=torch.float32)
    before = x.clone()
    check_close(model(x), mixture(model, x, 4, 2), tolerance=1e-5, what="MoE(3, 5)(x) in float32")
    check_unchanged(before, x, what="x in MoE(3, 5)(x)")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: n below 0, window or stride below 1, sizes below 1, a top_k "
    "outside of "
    "1 to n_experts.",
)
def test_bad_arguments(two_sided_mask, MoE):
    check_mask(two_sided_mask(2, 1, 2), pattern(2, 1, 2), what="two_sided_mask(2, 1, 2)")
    for arguments in [(-1, 1, 1), (3, 0, 1), (3, 1, 0)]:
        check_raises(ValueError, two_sided_mask, *arguments, what=f"two_sided_mask{arguments}")
    check_parameters(MoE(3, 5, 2, 1), {"W_g": (3, 2)}, what="MoE(3, 5, 2, 1)")
    check_parameters(MoE(1, 1, 1, 1), {"W_g": (1, 1)}, what="MoE(1, 1, 1, 1)")
    for sizes in [(0, 5), (3, 0), (3, 5, 0), (3, 5, 4, 0), (3, 5, 4, 5)]:
        check_raises(ValueError, MoE, *sizes, what=f"MoE{sizes}")
