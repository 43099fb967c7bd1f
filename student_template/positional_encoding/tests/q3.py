"""q3: position_similarity(offset, d_model, base=10000.0), the executable form of w1."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False


@test_case(
    name="shape, and offset 0",
    points=2,
    hidden=False,
    failure_message="The result has the shape of offset. At offset 0 each of the d/2 pairs adds sin^2 + cos^2 = 1.",
)
def test_zero(position_similarity):
    offset = torch.zeros(2, 3, dtype=torch.float64)
    expected = torch.full((2, 3), 4.0, dtype=torch.float64)
    check_close(position_similarity(offset, 8), expected, what="position_similarity(zeros, 8)")


@test_case(
    name="an offset worked out by hand",
    points=2,
    hidden=False,
    failure_message="With base 100 and d_model = 4 the speeds are 1 and 1/10, so offset 1 gives cos 1 + cos 0.1, "
    "and so does offset -1.",
)
def test_hand(position_similarity):
    offset = torch.tensor([1.0, -1.0], dtype=torch.float64)
    expected = torch.full((2,), math.cos(1) + math.cos(0.1), dtype=torch.float64)
    check_close(position_similarity(offset, 4, 100.0), expected, what="position_similarity(offset, 4, 100.0)")


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
