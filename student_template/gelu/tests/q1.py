"""q1: gelu(x) = x * Phi(x), against the distribution function of the standard normal."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


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


# The comparisons that are used above.

from collections.abc import Callable, Sequence


def check_close(found: object, expected: torch.Tensor, *, tolerance: float = 1e-9, what: str) -> None:
    """Pass if `found` has the shape and dtype of `expected`, and each number is within `tolerance` (absolute) of it."""
    tensor = check_shape(found, expected.shape, what=what)
    check_dtype(tensor, expected.dtype, what=what)
    if not tensor.is_floating_point() and torch.equal(tensor, expected):
        return
    if tensor.is_floating_point() and (not tensor.numel() or (tensor - expected).abs().max() <= tolerance):
        return  # the usual case; NaN is not smaller than anything and goes on
    same = tensor == expected
    error = torch.where(same, 0.0, (tensor.double() - expected.double()).abs()).detach()
    wrong = ~(error <= tolerance)  # written so that NaN counts as wrong
    if not wrong.any():
        return
    index = wrong.nonzero()[0].tolist()
    place = f" at index {index}" if index else ""
    expected_here, found_here = expected[tuple(index)].item(), tensor[tuple(index)].item()
    verdict = (
        f"{what} is wrong in {int(wrong.sum())} of {wrong.numel()} numbers."
        f" The first one is{place}: expected {expected_here:.6g}, found {found_here:.6g}."
    )
    if not tensor.isfinite().all():
        raise AssertionError(f"{verdict} NaN or infinity appears where a finite number was expected.")
    raise AssertionError(
        f"{verdict} The largest error is {error.max().item():.2g}; {tolerance:g} is allowed."
    )


def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_shape(found: object, shape: Sequence[int], *, what: str) -> torch.Tensor:
    """Pass if `found` is a tensor of this shape; the tensor is returned."""
    check_returned(found, what=what)
    if not isinstance(found, torch.Tensor):
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a torch.Tensor was expected."
        )
    if tuple(found.shape) != tuple(shape):
        raise AssertionError(f"{what} has shape {tuple(found.shape)}, but shape {tuple(shape)} was expected.")
    return found


def check_dtype(found: torch.Tensor, dtype: torch.dtype, *, what: str) -> None:
    """Pass if the tensor has this dtype."""
    if found.dtype != dtype:
        raise AssertionError(f"{what} has dtype {found.dtype}, but {dtype} was expected.")
