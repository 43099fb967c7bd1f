"""q1: gelu(x) = x * Phi(x), against the distribution function of the standard normal."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_gradients, check_shape, check_unchanged

OK_FORMAT = False
name = "q1"
all_or_nothing = False
# Correct float64 forms (erf, erfc, ndtr) differ by 1.8e-15; 1e-6 admits any good approximation of Phi and is far below
# the 4.7e-4 of the tanh form, whose error is largest at |x| = 2.70. Hence the many points with |x| in 2..3.
EXACT = 1e-6
# Correct float32 forms are up to 1.4e-6 from each other near |x| = 3, and any relative tolerance fails in the tails,
# where the erf form gives -0.0 for -5e-15: absolute, with room.
SINGLE = 1e-5


def exact(x):
    return x * torch.special.ndtr(x)


@test_case(
    name="shape, dtype and sign",
    points=1,
    hidden=False,
    failure_message="gelu works element by element: the result has the shape, the dtype and the sign of x, which "
    "is multiplied by a probability.",
)
def test_shape(gelu):
    x = torch.linspace(-3, 3, 6).reshape(2, 3)
    what = "gelu(x) with x of shape (2, 3)"
    found = check_shape(gelu(x.clone()), (2, 3), what=what)
    check_dtype(found, x.dtype, what=what)
    wrong = (found > 0) != (x > 0)
    assert not wrong.any(), (
        f"gelu({x[wrong][0].item():g}) is {found[wrong][0].item():.6g}: gelu(x) is above 0 where x is, and only there."
    )


@test_case(
    name="four values worked out by hand",
    points=4,
    hidden=False,
    failure_message="Multiply x by the probability that a standard normal variable lies below x: "
    "Phi(0) = 0.5, Phi(1) = 0.8413447, Phi(-1) = 1 - Phi(1) and Phi(2) = 0.9772499.",
)
def test_hand(gelu):
    x = torch.tensor([0.0, 1.0, -1.0, 2.0], dtype=torch.float64)
    expected = torch.tensor(
        [0.0, 0.8413447460685429, -0.15865525393145707, 1.9544997361036416], dtype=torch.float64
    )
    # the tanh form is 1.5e-4 off at 1 and 1.0e-4 at 2
    check_close(gelu(x), expected, tolerance=1e-6, what="gelu(x) at x = [0, 1, -1, 2]")


@test_case(
    name="gelu(x) - gelu(-x) is x",
    points=2,
    hidden=False,
    failure_message="Phi(x) + Phi(-x) = 1, because the normal distribution is symmetric. If this "
    "fails, your gate is not a distribution function with value 1/2 at 0.",
)
def test_symmetry(gelu):
    x = torch.tensor([0.3, 1.1, 2.6, 5.0], dtype=torch.float64)
    found, mirrored = gelu(x), gelu(-x)
    check_shape(found, (4,), what="gelu(x)")
    check_shape(mirrored, (4,), what="gelu(-x)")
    check_close(found - mirrored, x, tolerance=1e-6, what="gelu(x) - gelu(-x)")


@test_case(
    name="values between -12 and 12, where approximations part",
    points=3,
    hidden=True,
    failure_message="The exact Phi is asked for. If you are off by less than 1e-3, your formula is "
    "an approximation (tanh, or a logistic curve).",
)
def test_values(gelu):
    two_to_three = torch.linspace(2, 3, 41, dtype=torch.float64)
    x = torch.cat([two_to_three, -two_to_three, torch.linspace(-12, 12, 97, dtype=torch.float64)])
    check_close(gelu(x), exact(x), tolerance=EXACT, what="gelu(x) between -12 and 12")


@test_case(
    name="gradient",
    points=2,
    hidden=True,
    failure_message="gelu must be differentiable with respect to x: nothing on the way may be detached.",
)
def test_gradient(gelu):
    # 48 points, so that 0 is none of them: there, a form with abs(x) is right too
    x = torch.linspace(-6, 6, 48, dtype=torch.float64).requires_grad_()
    check_gradients(gelu(x), exact(x), {"x": x}, tolerance=EXACT, what="gelu(x)")


@test_case(
    name="large numbers",
    points=1,
    hidden=True,
    failure_message="For large x the gate is open and gelu(x) = x; for very negative x it is shut "
    "and gelu(x) = 0. Nothing on the way may overflow, nor its gradient.",
)
def test_large(gelu):
    for dtype in (torch.float64, torch.float32):
        x = torch.tensor([40.0, 150.1, 9999.3, -40.0, -150.1, -9999.3], dtype=dtype, requires_grad=True)
        what = f"gelu(x) for x up to 10,000 in {dtype}"
        check_close(gelu(x), x.clamp(min=0), tolerance=EXACT, what=what)
        check_gradients(gelu(x), x.clamp(min=0), {"x": x}, tolerance=EXACT, what=what)


@test_case(
    name="float32",
    points=1,
    hidden=True,
    failure_message="In float32 the result is float32, and as exact as float32 allows.",
)
def test_float32(gelu):
    x = torch.linspace(-12, 12, 193)
    check_close(gelu(x), exact(x.double()).float(), tolerance=SINGLE, what="gelu(x) in float32")


@test_case(
    name="any shape, also one number or none; each element by itself",
    points=1,
    hidden=True,
    failure_message="x may have any number of dimensions, sizes of 0 among them, and no element may "
    "depend on another.",
)
def test_shapes(gelu):
    x = torch.randn(2, 3, 1, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = gelu(x)
    check_close(whole, exact(x), tolerance=EXACT, what="gelu(x) with x of shape (2, 3, 1, 5)")
    check_close(gelu(x[1, 2, 0, 3]), whole[1, 2, 0, 3], what="gelu(x) of one number (shape ())")
    check_shape(gelu(x[:0]), (0, 3, 1, 5), what="gelu(x) with x of shape (0, 3, 1, 5)")


@test_case(
    name="x stays as it is",
    points=1,
    hidden=True,
    failure_message="Functions return new tensors. Operations such as *= or mul_ change the caller's tensor.",
)
def test_unchanged(gelu):
    x = torch.tensor([[-2.5, 0.0], [0.5, math.e]], dtype=torch.float64)
    before = x.clone()
    check_close(gelu(x), exact(before), tolerance=EXACT, what="gelu(x)")
    check_unchanged(before, x, what="x in gelu(x)")
