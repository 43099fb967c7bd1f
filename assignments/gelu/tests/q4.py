"""q4: gradient_flow and dead_fraction, with activations that the setup cell imports (relu, tanh, hardtanh) and gelu."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q4"
all_or_nothing = False
# All correct ways differ by rounding only, near 1e-15 in float64; 1e-9 is absolute for norms of order 1.


def problem(depth, width, seed):
    generator = torch.Generator().manual_seed(seed)
    size = {"generator": generator, "dtype": torch.float64}
    weights = [torch.randn(width, width, **size) * math.sqrt(2 / width) for _ in range(depth)]
    return weights, torch.randn(64, width, **size), torch.randn(64, width, **size)


def flow(activation, depth, width, seed=0):
    weights, hidden, targets = problem(depth, width, seed)
    leaves = [weight.requires_grad_() for weight in weights]
    for weight in leaves:
        hidden = activation(hidden @ weight)
    gradients = torch.autograd.grad((hidden - targets).square().mean(), leaves)
    return torch.stack([gradient.square().sum().sqrt() for gradient in gradients])


def check_share(found, expected, what):
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, float), (
        f"{what} returned a value of type {type(found).__name__}, but a Python float was expected."
    )
    # a share counted in float32 is off by up to 6e-8
    assert abs(found - expected) <= 1e-6, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="one norm for each layer",
    points=1,
    hidden=False,
    failure_message="Return a float64 tensor with one number for each of the depth weight matrices, "
    "detached from autograd. A norm is not negative, and here none is 0.",
)
def test_shape(gradient_flow, relu):
    what = "gradient_flow(relu, depth=4, width=3)"
    found = check_shape(gradient_flow(relu, 4, 3), (4,), what=what)
    check_dtype(found, torch.float64, what=what)
    assert not found.requires_grad, f"{what} must not require grad itself: detach the norms."
    assert (found > 0).all(), f"{what} is {found.tolist()}, but four norms above 0 were expected."


@test_case(
    name="one layer, by formula",
    points=3,
    hidden=False,
    failure_message="For a single layer with z = x W, the gradient is 2 / (64 width) x^T ((relu(z) - "
    "targets) * [z > 0]). Its norm is the root of the sum of the squares of all its entries.",
)
def test_one_layer(gradient_flow, relu):
    (weight,), x, targets = problem(1, 3, seed=5)
    z = x @ weight
    gradient = 2 / (64 * 3) * x.T @ ((z.clamp(min=0) - targets) * (z > 0))
    expected = gradient.square().sum().sqrt().reshape(1)
    check_close(gradient_flow(relu, 1, 3, 5), expected, what="gradient_flow(relu, depth=1, width=3, seed=5)")


@test_case(
    name="dead inputs counted by hand",
    points=3,
    hidden=False,
    failure_message="The slopes of relu at -2, -1, 1, 2 are 0, 0, 1, 1. hardtanh clips to [-1, 1], "
    "so its slopes at -3, 0, 2, 3 are 0, 1, 0, 0. The result is a share, a Python float.",
)
def test_dead_by_hand(dead_fraction, relu, hardtanh):
    x = torch.tensor([-2.0, -1.0, 1.0, 2.0])
    check_share(dead_fraction(relu, x), 0.5, "dead_fraction(relu, [-2, -1, 1, 2])")
    x = torch.tensor([-3.0, 0.0, 2.0, 3.0])
    check_share(dead_fraction(hardtanh, x), 0.75, "dead_fraction(hardtanh, [-3, 0, 2, 3])")


@test_case(
    name="norms by layer in deeper networks",
    points=3,
    hidden=True,
    failure_message="First layer first, the root of the sum of squares (not the mean, not the "
    "largest), of the gradient of the given loss with respect to each weight matrix.",
)
def test_deep(gradient_flow, relu, tanh):
    for label, activation, depth, width in [("relu", relu, 6, 5), ("tanh", tanh, 3, 7)]:
        what = f"gradient_flow({label}, depth={depth}, width={width})"
        check_close(gradient_flow(activation, depth, width), flow(activation, depth, width), what=what)


@test_case(
    name="the seed decides, and nothing else; sizes of 1",
    points=2,
    hidden=True,
    failure_message="Network, data and loss come from draw_problem(depth, width, seed) and loss_of, "
    "whatever was drawn before.",
)
def test_seed(gradient_flow, tanh):
    for seed in (3, 4):
        what = f"gradient_flow(tanh, depth=2, width=3, seed={seed})"
        expected = flow(tanh, 2, 3, seed)
        check_close(gradient_flow(tanh, 2, 3, seed=seed), expected, what=what)
        check_close(gradient_flow(tanh, 2, 3, seed=seed), expected, what=f"{what}, called again,")
    check_close(gradient_flow(tanh, 1, 1, 2), flow(tanh, 1, 1, 2), what="gradient_flow(tanh, 1, 1, 2)")


@test_case(
    name="with your gelu",
    points=1,
    hidden=True,
    failure_message="The activation may be any differentiable function of a tensor, your own gelu "
    "too (q1 must be differentiable for this).",
)
def test_own_gelu(gradient_flow, dead_fraction, gelu):
    check_close(gradient_flow(gelu, 3, 4), flow(gelu, 3, 4), what="gradient_flow(gelu, depth=3, width=4)")
    x = torch.tensor([-3.0, -1.0, -0.5, 0.5, 2.0], dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(gelu(x).sum(), x)
    share = (slopes == 0).sum().item() / 5
    check_share(dead_fraction(gelu, x.detach()), share, "dead_fraction(gelu, [-3, -1, -0.5, 0.5, 2])")


@test_case(
    name="small is not zero, and the output is not the slope",
    points=3,
    hidden=True,
    failure_message="Count where the gradient is exactly 0: the slope of tanh at 10 is 8e-9, which "
    "is not 0, and hardtanh is 1, not 0, where its slope is 0.",
)
def test_exactly_zero(dead_fraction, relu, tanh, hardtanh):
    # 1 - tanh(x)^2 is 8e-9 at 10 and 7e-15 at 17, where no difference quotient sees it; it is exactly 0 in float64
    # from 19.1 on, whichever way it is computed
    x = torch.tensor([-30.0, -6.0, -1.0, 0.5, 6.0, 10.0, 17.0, 30.0], dtype=torch.float64)
    check_share(dead_fraction(tanh, x), 0.25, "dead_fraction(tanh, x) for x from -30 to 30")
    x = torch.tensor([[-5.0, 0.0, 0.3], [2.0, 3.0, 4.0]], dtype=torch.float64)
    check_share(dead_fraction(hardtanh, x), 4 / 6, "dead_fraction(hardtanh, x) with x of shape (2, 3)")
    x = torch.randn(7, 11, 13, generator=torch.Generator().manual_seed(0)) - 0.8
    share = (x <= 0).double().mean().item()
    check_share(dead_fraction(relu, x), share, "dead_fraction(relu, x) with x of shape (7, 11, 13)")


@test_case(
    name="one number; x stays as it is",
    points=1,
    hidden=True,
    failure_message="x may have any shape, and the caller's tensor is not yours to change: not its "
    "numbers, not requires_grad.",
)
def test_unchanged(dead_fraction, relu):
    for x, share in [(torch.tensor(-1.0), 1.0), (torch.tensor([[2.0]]), 0.0)]:
        before, what = x.clone(), f"dead_fraction(relu, x) with x of shape {tuple(x.shape)}"
        check_share(dead_fraction(relu, x), share, what)
        check_unchanged(before, x, what="x in dead_fraction(relu, x)")
        assert not x.requires_grad, f"{what} has put requires_grad on the caller's x: work on a copy."


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a depth or width below 1, and for an x "
    "without numbers.",
)
def test_bad_arguments(gradient_flow, dead_fraction, relu):
    check_shape(gradient_flow(relu, 1, 1), (1,), what="gradient_flow(relu, depth=1, width=1)")
    check_share(dead_fraction(relu, torch.ones(1)), 0.0, "dead_fraction(relu, [1])")
    check_raises(ValueError, gradient_flow, relu, 0, 3, what="gradient_flow(relu, depth=0, width=3)")
    check_raises(ValueError, gradient_flow, relu, 2, 0, what="gradient_flow(relu, depth=2, width=0)")
    check_raises(
        ValueError, dead_fraction, relu, torch.empty(0), what="dead_fraction(relu, x) with an empty x"
    )
