"""q2: simulate(state, n_steps, dt), against the method written out again, and against its own order."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


@test_case(
    name="two steps along the z axis, by hand",
    points=2,
    hidden=False,
    failure_message="With x = y = 0 only dz/dt = -8/3 z is left; with dt = 3/8 one Runge-Kutta step multiplies z by "
    "1 - 1 + 1/2 - 1/6 + 1/24 = 3/8. The start itself is the first row.",
)
def test_hand(simulate):
    start = torch.tensor([0.0, 0.0, 8.0], dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.0, 8.0], [0.0, 0.0, 3.0], [0.0, 0.0, 1.125]], dtype=torch.float64)
    check_close(simulate(start, 2, 0.375), expected, what="simulate((0, 0, 8), n_steps=2, dt=0.375)")


@test_case(
    name="shape: the start and every step",
    points=2,
    hidden=False,
    failure_message="Collect the start and n_steps states in a list, then torch.stack: time comes first.",
)
def test_shape(simulate):
    call = "simulate(state, n_steps=4, dt=0.01) with a state of shape (2, 3)"
    found = check_shape(simulate(torch.ones(2, 3), 4, 0.01), (5, 2, 3), what=call)
    assert found.dtype == torch.float32, f"{call} has dtype {found.dtype}, but torch.float32 was expected."
    check_close(found[0], torch.ones(2, 3), what=f"row 0 of {call}")


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
