"""q2: gelu_derivative(x) = Phi(x) + x * phi(x), against autograd through x * ndtr(x)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_gradients, check_shape, check_unchanged

OK_FORMAT = False
name = "q2"
all_or_nothing = False
# Correct float64 forms agree to 2.2e-16 and the derivative of the tanh form is 8.7e-4 off: any good Phi passes at 1e-6.
EXACT = 1e-6
# Absolute: float32 rounds numbers near 1 by 1e-7, and phi is computed from a rounded square.
SINGLE = 1e-5
# A rational approximation of Phi to 1.5e-7 (Abramowitz and Stegun 7.1.26) is 8.3e-7 off here, the tanh form 1.7e-3.
SECOND = 1e-5


def slope(x):
    x = x.detach().requires_grad_()
    return torch.autograd.grad((x * torch.special.ndtr(x)).sum(), x)[0]


@test_case(
    name="shape and dtype, and which slopes are steep",
    points=1,
    hidden=False,
    failure_message="gelu_derivative works element by element: the result has the shape and the dtype of x. Both "
    "terms are larger for positive x than for negative x.",
)
def test_shape(gelu_derivative):
    x = torch.linspace(-3, 3, 6).reshape(3, 2)
    what = "gelu_derivative(x) with x of shape (3, 2)"
    found = check_shape(gelu_derivative(x.clone()), (3, 2), what=what)
    check_dtype(found, x.dtype, what=what)
    wrong = (found > 0.5) != (x > 0)
    assert not wrong.any(), (
        f"gelu_derivative({x[wrong][0].item():g}) is {found[wrong][0].item():.6g}: the slope is above 1/2 for x > 0, "
        "and only there."
    )


@test_case(
    name="the slope at 0, 1 and -1, by hand",
    points=4,
    hidden=False,
    failure_message="Phi(1) = 0.8413447 and phi(1) = exp(-1/2) / sqrt(2 pi) = 0.2419707. The product "
    "rule has two terms.",
)
def test_hand(gelu_derivative):
    x = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    expected = torch.tensor([0.5, 1.0833154705876864, -0.08331547058768637], dtype=torch.float64)
    check_close(gelu_derivative(x), expected, tolerance=1e-6, what="gelu_derivative(x) at x = [0, 1, -1]")


@test_case(
    name="the largest and the smallest slope",
    points=2,
    hidden=False,
    failure_message="w1 says where the slope is largest and smallest: at sqrt(2) and -sqrt(2), where "
    "it is 1.1289 and -0.1289. If you are right at 0 and wrong here, look at the second term.",
)
def test_extremes(gelu_derivative):
    x = torch.tensor([math.sqrt(2), -math.sqrt(2)], dtype=torch.float64)
    expected = torch.tensor([1.1289041451202364, -0.12890414512023635], dtype=torch.float64)
    check_close(
        gelu_derivative(x), expected, tolerance=1e-6, what="gelu_derivative(x) at x = [sqrt(2), -sqrt(2)]"
    )


@test_case(
    name="equal to autograd between -12 and 12",
    points=3,
    hidden=True,
    failure_message="Compare with autograd through x * Phi(x) at points between -3 and 3, where the "
    "second term matters.",
)
def test_values(gelu_derivative):
    two_to_three = torch.linspace(2, 3, 41, dtype=torch.float64)
    x = torch.cat([two_to_three, -two_to_three, torch.linspace(-12, 12, 97, dtype=torch.float64)])
    check_close(gelu_derivative(x), slope(x), tolerance=EXACT, what="gelu_derivative(x) between -12 and 12")


@test_case(
    name="the slope adds up to gelu",
    points=1,
    hidden=True,
    failure_message="The integral of the derivative is the function: from a to b it is gelu(b) - gelu(a).",
)
def test_integral(gelu_derivative):
    x = torch.linspace(-3, 2, 1001, dtype=torch.float64)
    slopes = check_shape(gelu_derivative(x), (1001,), what="gelu_derivative(x)")
    weights = torch.full_like(x, 2.0)  # Simpson's rule, whose own error is 2e-12 here
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    integral = (weights * slopes).sum() * (0.005 / 3)
    expected = 2 * torch.special.ndtr(x[-1]) + 3 * torch.special.ndtr(x[0])
    check_close(integral, expected, tolerance=1e-5, what="the integral of gelu_derivative from -3 to 2")


@test_case(
    name="gradient",
    points=1,
    hidden=True,
    failure_message="gelu_derivative is differentiable too, and its gradient is the second derivative of gelu: nothing "
    "on the way may be detached.",
)
def test_gradient(gelu_derivative):
    # 48 points, so that 0 is none of them: there, a form with abs(x) is right too
    x = torch.linspace(-6, 6, 48, dtype=torch.float64).requires_grad_()
    expected = torch.special.ndtr(x) + x * torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    check_gradients(gelu_derivative(x), expected, {"x": x}, tolerance=SECOND, what="gelu_derivative(x)")


@test_case(
    name="large numbers",
    points=1,
    hidden=True,
    failure_message="Far to the right the slope is 1, far to the left 0, and nothing may overflow on "
    "the way.",
)
def test_large(gelu_derivative):
    for dtype in (torch.float64, torch.float32):
        x = torch.tensor([40.0, 150.0, 1e4, -40.0, -150.0, -1e4], dtype=dtype)
        what = f"gelu_derivative(x) for x up to 10,000 in {dtype}"
        check_close(gelu_derivative(x), (x > 0).to(dtype), tolerance=EXACT, what=what)


@test_case(
    name="float32",
    points=1,
    hidden=True,
    failure_message="In float32 the result is float32, and as exact as float32 allows.",
)
def test_float32(gelu_derivative):
    x = torch.linspace(-12, 12, 193)
    check_close(
        gelu_derivative(x), slope(x.double()).float(), tolerance=SINGLE, what="gelu_derivative(x) in float32"
    )


@test_case(
    name="any shape, also one number or none; each element by itself",
    points=1,
    hidden=True,
    failure_message="x may have any number of dimensions, sizes of 0 among them, and no element may "
    "depend on another.",
)
def test_shapes(gelu_derivative):
    x = torch.randn(2, 3, 1, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = gelu_derivative(x)
    check_close(whole, slope(x), tolerance=EXACT, what="gelu_derivative(x) with x of shape (2, 3, 1, 5)")
    check_close(gelu_derivative(x[1, 2, 0, 3]), whole[1, 2, 0, 3], what="gelu_derivative(x) of one number")
    check_shape(gelu_derivative(x[:0]), (0, 3, 1, 5), what="gelu_derivative(x) with x of shape (0, 3, 1, 5)")


@test_case(
    name="x stays as it is",
    points=1,
    hidden=True,
    failure_message="Functions return new tensors. Operations such as *= or mul_ change the caller's tensor.",
)
def test_unchanged(gelu_derivative):
    x = torch.tensor([[-2.5, 0.0], [0.5, 1.7]], dtype=torch.float64)
    before = x.clone()
    check_close(gelu_derivative(x), slope(before), tolerance=EXACT, what="gelu_derivative(x)")
    check_unchanged(before, x, what="x in gelu_derivative(x)")
