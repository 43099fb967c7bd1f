"""q3: layer_norm_vjp(x, weight, grad_output, eps=1e-5), judged against autograd."""

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_tuple, check_unchanged

OK_FORMAT = False
name = "q3"
all_or_nothing = False
NAMES = ("grad_x", "grad_weight", "grad_bias")
# Correct forms differ from autograd by at most 5e-15 in float64 and 2e-6 in float32 at these sizes.


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(x, weight, grad_output, eps=1e-5):
    """The three gradients by autograd."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (x, weight, torch.zeros_like(weight))]
    out = F.layer_norm(leaves[0], weight.shape, leaves[1], leaves[2], eps)
    return torch.autograd.grad((out * grad_output).sum(), leaves)


def check_all(found, expected, what, tolerance=1e-9):
    found = check_tuple(found, NAMES, what=what)
    for label, one, other in zip(NAMES, found, expected, strict=True):
        check_close(one, other, tolerance=tolerance, what=f"{label} of {what}")


@test_case(
    name="three gradients, of three shapes",
    points=1,
    hidden=False,
    failure_message="Return (grad_x, grad_weight, grad_bias), with the shapes of x, of weight and of bias. "
    "grad_bias is the sum of grad_output over all vectors.",
)
def test_shapes(layer_norm_vjp):
    x, weight, grad = normal(4, 3, seed=0), normal(3, seed=1), normal(4, 3, seed=2)
    what = "layer_norm_vjp(x, weight, grad_output) with x of shape (4, 3)"
    found = check_tuple(layer_norm_vjp(x, weight, grad), NAMES, what=what)
    for label, tensor, shape in zip(NAMES, found, [(4, 3), (3,), (3,)], strict=True):
        check_shape(tensor, shape, what=f"{label} of {what}")
    check_close(found[2], grad.sum(0), what=f"grad_bias of {what}")


@test_case(
    name="a gradient worked out by hand",
    points=3,
    hidden=False,
    failure_message="x = (7, 2, 2, 2, 2) has s = 2 and becomes (2, -1/2, ...). With G = (0, 1, 0, 0, 0), "
    "the mean of g is 1/5 and that of g times the normalised x is -1/10: grad_x = (0, 3, -1, -1, -1) / 8.",
)
def test_hand(layer_norm_vjp):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    grad = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    expected = [torch.tensor([0.0, 3, -1, -1, -1], dtype=torch.float64) / 8, -grad / 2, grad]
    found = layer_norm_vjp(x, torch.ones(5, dtype=torch.float64), grad, 0.0)
    check_all(found, expected, "layer_norm_vjp([7, 2, 2, 2, 2], ones, [0, 1, 0, 0, 0], eps=0)")


@test_case(
    name="equal to autograd, with and without leading dimensions",
    points=3,
    hidden=True,
    failure_message="grad_x needs the weight first, then both means (of g, and of g times the normalised "
    "x), then 1/s. The other two are sums over all leading dimensions, not means.",
)
def test_values(layer_norm_vjp):
    weight = normal(5, seed=3)
    for shape, eps in [((5,), 0.5), ((4, 5), 1e-5), ((2, 3, 5), 0.5), ((5, 5), 1e-5)]:
        x, grad = normal(*shape, seed=4) * 0.7 + 2, normal(*shape, seed=5)
        what = f"layer_norm_vjp(x, weight, grad_output, eps={eps}) with x of shape {shape}"
        check_all(layer_norm_vjp(x, weight, grad, eps), oracle(x, weight, grad, eps), what)


@test_case(
    name="orthogonal to what LayerNorm forgets",
    points=1,
    hidden=True,
    failure_message="With eps = 0 neither a shift nor a stretch of x changes the output: grad_x is "
    "orthogonal to (1, ..., 1) and to x - mean, and ten times the x has a tenth of the gradient.",
)
def test_orthogonal(layer_norm_vjp):
    x, weight, grad = normal(3, 6, seed=6), normal(6, seed=7), normal(3, 6, seed=8)
    what = "layer_norm_vjp(x, weight, grad_output, eps=0)"
    found, _, _ = check_tuple(layer_norm_vjp(x, weight, grad, 0.0), NAMES, what=what)
    found = check_shape(found, (3, 6), what=f"grad_x of {what}")
    assert found.abs().max() > 1e-3, f"grad_x of {what} is zero everywhere."
    zero = torch.zeros(3, dtype=x.dtype)
    check_close(found.sum(-1), zero, what=f"grad_x of {what} times (1, ..., 1)")
    centred = x - x.mean(-1, keepdim=True)
    check_close((found * centred).sum(-1), zero, what=f"grad_x of {what} times (x - mean)")
    stretched, _, _ = layer_norm_vjp(10 * x, weight, grad, 0.0)
    check_close(
        stretched * 10, found, what="ten times the grad_x of layer_norm_vjp(10 x, weight, grad_output, eps=0)"
    )


@test_case(
    name="float32, sizes of 1 and 0; nothing is changed",
    points=1,
    hidden=True,
    failure_message="dtypes follow x. For d = 1 the output is the bias, so grad_x is 0. Without any vector, "
    "the sums are 0.",
)
def test_sizes(layer_norm_vjp):
    x, weight, grad = (normal(*shape, seed=9, dtype=torch.float32) for shape in [(6, 5), (5,), (6, 5)])
    x = x + 1  # x and grad differ
    before = [tensor.clone() for tensor in (x, weight, grad)]
    what = "layer_norm_vjp(x, weight, grad_output)"
    found = layer_norm_vjp(x, weight, grad)
    for label, one, other in zip(("x", "weight", "grad_output"), before, (x, weight, grad), strict=True):
        check_unchanged(one, other, what=f"{label} in {what}")
    check_all(found, oracle(x, weight, grad), f"{what} in float32", tolerance=1e-4)
    none = x[:0]
    expected = [none, torch.zeros(5), torch.zeros(5)]
    check_all(layer_norm_vjp(none, weight, none), expected, f"{what} with x of shape (0, 5)")
    one = torch.ones(3, 1, dtype=torch.float64)
    check_all(
        layer_norm_vjp(one, one[0], one), [0 * one, 0 * one[0], 3 * one[0]], f"{what} with x of shape (3, 1)"
    )


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for an x without a last dimension of at least 1, a "
    "weight that is not (d,), a grad_output of another shape than x, and a negative eps.",
)
def test_bad_arguments(layer_norm_vjp):
    x, weight = normal(2, 3, seed=10), normal(3, seed=11)
    check_tuple(layer_norm_vjp(x, weight, x, 0.0), NAMES, what="layer_norm_vjp(x, weight, x, 0.0)")
    scalar, empty = torch.tensor(1.0), torch.empty(2, 0)
    for bad in [(scalar, weight, scalar), (empty, empty[0], empty), (x, weight[:1], x), (x, weight, x[0]),
                (x, weight, x[:1]), (x, weight, x, -1.0)]:  # fmt: skip
        shapes = ", ".join(str(tuple(t.shape)) if isinstance(t, torch.Tensor) else f"eps={t}" for t in bad)
        check_raises(
            ValueError, layer_norm_vjp, *bad, what=f"layer_norm_vjp with arguments of shape {shapes}"
        )
