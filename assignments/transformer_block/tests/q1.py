"""q1: layer_norm(x, weight=None, bias=None, eps=1e-5) and class LayerNorm(d_model, eps=1e-5)."""

import torch
import torch.nn.functional as F
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
name = "q1"
all_or_nothing = False
# Correct forms (division or rsqrt, var or a mean of squares, projection by a matrix) differ by at most 9e-14 in float64
# at these sizes, and by 5e-7 in float32; the mildest mistake, eps outside of the root, by 3e-3. Hence 1e-9 and 1e-4.


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="One number in, one number out: the result has the shape and the dtype of x. Each "
    "vector along the last dimension then has the mean 0.",
)
def test_shape(layer_norm):
    x, what = normal(3, 2, 5, seed=0, dtype=torch.float32), "layer_norm(x) with x of shape (3, 2, 5)"
    found = check_shape(layer_norm(x), (3, 2, 5), what=what)
    check_close(found.mean(-1), torch.zeros(3, 2), tolerance=1e-5, what=f"the mean of each vector of {what}")


@test_case(
    name="a vector worked out by hand",
    points=2,
    hidden=False,
    failure_message="The mean is 3, and the mean of the squares of (4, -1, -1, -1, -1) is 20 / 5 = 4. With "
    "eps = 0 divide by sqrt(4) = 2, with eps = 5 by sqrt(4 + 5) = 3. Then comes the weight, and last the "
    "bias.",
)
def test_hand(layer_norm):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    normalised = torch.tensor([2.0, -0.5, -0.5, -0.5, -0.5], dtype=torch.float64)
    check_close(layer_norm(x, eps=0.0), normalised, what="layer_norm([7, 2, 2, 2, 2], eps=0)")
    check_close(layer_norm(x, eps=5.0), normalised * 2 / 3, what="layer_norm([7, 2, 2, 2, 2], eps=5)")
    weight, bias = torch.arange(1.0, 6.0, dtype=torch.float64), torch.full((5,), 10.0, dtype=torch.float64)
    what = "layer_norm([7, 2, 2, 2, 2], weight=[1, 2, 3, 4, 5], bias=[10, 10, 10, 10, 10], eps=0)"
    check_close(layer_norm(x, weight, bias, 0.0), normalised * weight + bias, what=what)


@test_case(
    name="the module, and how its parameters start",
    points=1,
    hidden=False,
    failure_message="In __init__, after super().__init__(): weight and bias are nn.Parameters of shape "
    "(d_model,), and start at 1 and 0.",
)
def test_parameters(LayerNorm):
    model = LayerNorm(4)
    check_parameters(model, {"weight": (4,), "bias": (4,)}, what="LayerNorm(4)")
    model = model.float()
    check_close(model.weight.detach(), torch.ones(4), what="weight of LayerNorm(4) at the start")
    check_close(model.bias.detach(), torch.zeros(4), what="bias of LayerNorm(4) at the start")


@test_case(
    name="values, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Mean and variance are taken over the last dimension alone, of each vector for itself; "
    "the divisor of the variance is d, and eps stands inside the root. weight and bias may be given alone.",
)
def test_values(layer_norm):
    weight, bias = normal(5, seed=1), normal(5, seed=2)
    cases = {(5,): (None, None), (4, 5): (weight, None), (2, 3, 5): (None, bias), (5, 5): (weight, bias)}
    for shape, affine in cases.items():
        x, what = normal(*shape, seed=3) * 0.1 + 2, f"layer_norm(x, weight, bias) with x of shape {shape}"
        check_close(layer_norm(x, *affine), F.layer_norm(x, (5,), *affine), what=what)


@test_case(
    name="gradients",
    points=2,
    hidden=True,
    failure_message="The result must be differentiable with respect to x, weight and bias, and x acts "
    "through its mean and its variance, too: none of them may be detached.",
)
def test_gradients(layer_norm):
    inputs = {"x": normal(3, 5, seed=4), "weight": normal(5, seed=5), "bias": normal(5, seed=6)}
    for tensor in inputs.values():
        tensor.requires_grad_()
    expected = F.layer_norm(inputs["x"], (5,), inputs["weight"], inputs["bias"], 0.3)
    check_gradients(
        layer_norm(*inputs.values(), 0.3), expected, inputs, what="layer_norm(x, weight, bias, 0.3)"
    )


@test_case(
    name="far from 0, and hardly any spread",
    points=2,
    hidden=True,
    failure_message="Where the mean is a million times the spread, E[x^2] - (E x)^2 is rounding noise: "
    "subtract the mean, then square. A constant vector has the variance 0, and eps keeps 0 / 0 away, also "
    "in the gradient.",
)
def test_far_and_flat(layer_norm):
    x = normal(4, 64, seed=7)
    # measured: centred forms are off by 3e-10 here and by 3e-4 in float32, the cancelling one by 1.5e-4 and 0.2
    expected = F.layer_norm(x + 1e6, (64,))
    check_close(layer_norm(x + 1e6), expected, tolerance=1e-6, what="layer_norm(x + 1e6)")
    x = x.float() + 1e3
    check_close(layer_norm(x), F.layer_norm(x, (64,)), tolerance=2e-3, what="layer_norm(x + 1e3) in float32")
    flat = torch.full((2, 4), 3.0, dtype=torch.float64, requires_grad=True)
    bias = normal(4, seed=8)
    found = layer_norm(flat, None, bias)
    check_close(found.detach(), bias.expand(2, 4), what="layer_norm(x, bias=bias) with a constant x")
    expected = F.layer_norm(flat, (4,), None, bias)
    check_gradients(found, expected, {"x": flat}, what="layer_norm(x, bias=bias) with a constant x")


@test_case(
    name="float32, sizes of 1 and 0, a batch; nothing is changed",
    points=1,
    hidden=True,
    failure_message="The result has the dtype of x, and a vector gives the same alone as among others. A "
    "vector of one number becomes its bias. There may be no vectors at all.",
)
def test_sizes(layer_norm):
    x, weight, bias = (normal(*shape, seed=9, dtype=torch.float32) for shape in [(6, 5), (5,), (5,)])
    before, what = x.clone(), "layer_norm(x, weight, bias)"
    whole = layer_norm(x, weight, bias)
    check_unchanged(before, x, what=f"x in {what}")
    check_close(whole, F.layer_norm(x, (5,), weight, bias), tolerance=1e-4, what=f"{what} in float32")
    check_close(layer_norm(x[2:3], weight, bias), whole[2:3], tolerance=1e-5, what=f"{what} of one row alone")
    check_shape(layer_norm(x[:0], weight, bias), (0, 5), what=f"{what} without any row")
    one = torch.ones(3, 1)
    check_close(layer_norm(one, one[0], 2 * one[0]), 2 * one, tolerance=1e-5, what=f"{what} with d = 1")


@test_case(
    name="the module: values, gradients, eps",
    points=2,
    hidden=True,
    failure_message="forward normalises over the last dimension with the module's own weight, bias and eps.",
)
def test_module(LayerNorm):
    for eps in (1e-5, 0.4):
        model, what = LayerNorm(5, eps).double(), f"LayerNorm(5, eps={eps})(x)"
        check_parameters(model, {"weight": (5,), "bias": (5,)}, what=f"LayerNorm(5, eps={eps})")
        with torch.no_grad():
            model.weight.copy_(normal(5, seed=10))
            model.bias.copy_(normal(5, seed=11))
        x = (normal(3, 5, seed=12) * 0.2).requires_grad_()
        expected = F.layer_norm(x, (5,), model.weight, model.bias, eps)
        found = model(x)
        check_close(found.detach(), expected.detach(), what=what)
        inputs = {"x": x, "weight": model.weight, "bias": model.bias}
        check_gradients(found, expected, inputs, what=what)
    if not LayerNorm(5).weight.count_nonzero():
        raise Mistake("WeightStartsAtZero", "The weight of LayerNorm(5) starts at 0, but 1 was expected.")
    x = normal(3, 5, seed=13, dtype=torch.float32)
    found = LayerNorm(5).float()(x).detach()
    check_close(found, F.layer_norm(x, (5,)), tolerance=1e-4, what="LayerNorm(5)(x) in float32")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for an x without numbers to normalise, a weight or "
    "bias that is not (d,), a negative eps, a d_model below 1, and an x of another width than the module's.",
)
def test_bad_arguments(layer_norm, LayerNorm):
    x, five, one = normal(2, 5, seed=14), normal(5, seed=15), normal(1, seed=16)
    check_shape(layer_norm(x, five, five, 0.0), (2, 5), what="layer_norm(x, weight, bias, 0.0)")
    check_parameters(LayerNorm(1, 0.0), {"weight": (1,), "bias": (1,)}, what="LayerNorm(1, eps=0)")
    check_raises(ValueError, layer_norm, torch.tensor(1.0), what="layer_norm(x) with x of shape ()")
    check_raises(ValueError, layer_norm, torch.empty(3, 0), what="layer_norm(x) with x of shape (3, 0)")
    check_raises(
        ValueError, layer_norm, x, one, what="layer_norm(x, weight) with d = 5, a weight of shape (1,)"
    )
    check_raises(
        ValueError, layer_norm, x, x, what="layer_norm(x, weight) with d = 5, a weight of shape (2, 5)"
    )
    check_raises(
        ValueError, layer_norm, x, None, one, what="layer_norm(x, None, bias) with a bias of shape (1,)"
    )
    check_raises(ValueError, layer_norm, x, five, five, -1e-5, what="layer_norm(x, weight, bias, eps=-1e-5)")
    check_raises(ValueError, LayerNorm, 0, what="LayerNorm(0)")
    check_raises(ValueError, LayerNorm, 3, -1.0, what="LayerNorm(3, eps=-1)")
    model = LayerNorm(5).double()
    check_raises(ValueError, model, normal(2, 4, seed=17), what="LayerNorm(5)(x) with x of shape (2, 4)")
    check_raises(ValueError, model, normal(2, 1, seed=18), what="LayerNorm(5)(x) with x of shape (2, 1)")
