"""q7: valid_time(prediction, truth, dt, threshold=0.4) and separation(delta0, state, n_steps, dt)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q7"
all_or_nothing = False


def check_time(found, expected, *, what):
    """Pass if this is a Python number near `expected`; steps are counted, so only the last digits may differ."""
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, float | int) and not isinstance(found, bool), (
        f"{what} returned a value of type {type(found).__name__}, but a Python float was expected."
    )
    assert abs(found - expected) < 1e-5, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="the example by hand",
    points=2,
    hidden=False,
    failure_message="The variance of (1, -1, 1, -1) is 1, the errors are 0, 0.1, 0.5 and 0. Step 2 "
    "is the first above 0.4: "
    "2 * 0.5 * 0.9056.",
)
def test_hand(valid_time):
    truth, forecast = (
        torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]),
        torch.tensor([[1.0], [-0.9], [1.5], [-1.0]]),
    )
    check_time(valid_time(forecast, truth, 0.5), 0.9056, what="valid_time(prediction, truth, dt=0.5)")


@test_case(
    name="two solutions side by side",
    points=1,
    hidden=False,
    failure_message="separation starts at delta0 and has n_steps + 1 entries: simulate both starts "
    "and take the norm of the "
    "difference.",
)
def test_separation_shape(separation):
    found = separation(0.5, torch.tensor([1.0, 2.0, 20.0], dtype=torch.float64), 3, 0.01)
    check_shape(found, (4,), what="separation(0.5, state, n_steps=3, dt=0.01)")
    check_close(
        found[0], torch.tensor(0.5, dtype=torch.float64), what="the first entry of separation(0.5, ...)"
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
