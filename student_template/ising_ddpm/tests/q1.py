"""q1: energy(spins), magnetization(spins), correlation(spins)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def one_turned():
    """A 4 x 4 board, all up but one spin."""
    spins = torch.ones(4, 4, dtype=torch.float64)
    spins[1, 2] = -1
    return spins


@test_case(
    name="energy and magnetisation of a board worked out by hand",
    points=2,
    hidden=False,
    failure_message="One spin of 16 is turned. 28 of the 32 bonds are satisfied and 4 are broken, so the "
    "energy per site is -(28 - 4) / 16 = -1.5, and the mean spin is (15 - 1) / 16 = 0.875.",
)
def test_hand(energy, magnetization):
    spins = one_turned()
    check_close(energy(spins), torch.tensor(-1.5, dtype=torch.float64), what="energy(one spin of 16 turned)")
    check_close(
        magnetization(spins),
        torch.tensor(0.875, dtype=torch.float64),
        what="magnetization(one spin of 16 turned)",
    )


@test_case(
    name="correlations of a board worked out by hand",
    points=2,
    hidden=False,
    failure_message="Columns in pairs, ++-- four times. Down a column all agree; along a row every second "
    "neighbour does, and none two sites away does. The mean of both axes: G(0) = 1, G(1) = 1/2, G(2) = 0.",
)
def test_hand_correlation(correlation):
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64).expand(4, 4).clone()
    expected = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    check_close(correlation(stripes), expected, what="correlation(columns ++--)")


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
