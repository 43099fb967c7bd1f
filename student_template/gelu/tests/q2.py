"""q2: gelu_derivative(x) = Phi(x) + x * phi(x), against autograd through x * ndtr(x)."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


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
