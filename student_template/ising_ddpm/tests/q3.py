"""q3: linear_schedule(n_steps, start, end), q_sample(x0, t, noise, betas)."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False


@test_case(
    name="a schedule of three steps",
    points=1,
    hidden=False,
    failure_message="Three steps from 0.1 to 0.5 are 0.1, 0.3, 0.5: evenly spaced, both ends included.",
)
def test_schedule(linear_schedule):
    expected = torch.tensor([0.1, 0.3, 0.5])
    check_close(linear_schedule(3, 0.1, 0.5), expected, tolerance=1e-6, what="linear_schedule(3, 0.1, 0.5)")


@test_case(
    name="two steps worked out by hand",
    points=2,
    hidden=False,
    failure_message="betas (0.2, 0.5) leave alpha_bar = 0.8 after the first step and 0.8 * 0.5 = 0.4 after "
    "the second. With x0 = 1 and noise = -1 that is sqrt(0.8) - sqrt(0.2) = 0.4472 at t = 0 and sqrt(0.4) - "
    "sqrt(0.6) = -0.1421 at t = 1.",
)
def test_hand(q_sample):
    x0, betas = torch.ones(2, 4, 4, dtype=torch.float64), torch.tensor([0.2, 0.5], dtype=torch.float64)
    found = q_sample(x0, torch.tensor([0, 1]), -x0, betas)
    values = torch.tensor(
        [math.sqrt(0.8) - math.sqrt(0.2), math.sqrt(0.4) - math.sqrt(0.6)], dtype=torch.float64
    )
    check_close(found, values[:, None, None].expand(2, 4, 4), what="q_sample(1, t, -1, betas)")


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
