"""q5: residual(x, sublayer, norm, norm_first=True), with sublayers and norms of the judge's."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False


@test_case(
    name="pre-norm by hand",
    points=1,
    hidden=False,
    failure_message="With f(x) = 2 x and x + 1 in the place of the norm, x = 1: the norm gives 2, f gives "
    "4, and 1 + 4 = 5.",
)
def test_pre_by_hand(residual):
    x = torch.tensor([1.0, -1.0])
    what = "residual(x, sublayer, norm, norm_first=True) with sublayer(x) = 2 x, norm(x) = x + 1"
    found = residual(x, lambda x: 2 * x, lambda x: x + 1, True)
    check_close(found, torch.tensor([5.0, -1.0]), tolerance=1e-6, what=what)


@test_case(
    name="post-norm by hand",
    points=1,
    hidden=False,
    failure_message="With f(x) = 2 x and x + 1 in the place of the norm, x = 1: f gives 2, the sum is 3, "
    "and the norm of it 4.",
)
def test_post_by_hand(residual):
    x = torch.tensor([1.0, -1.0])
    what = "residual(x, sublayer, norm, norm_first=False) with sublayer(x) = 2 x, norm(x) = x + 1"
    found = residual(x, lambda x: 2 * x, lambda x: x + 1, False)
    check_close(found, torch.tensor([4.0, -2.0]), tolerance=1e-6, what=what)


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
