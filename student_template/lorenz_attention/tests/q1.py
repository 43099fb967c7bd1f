"""q1: lorenz_rhs(state, sigma=10, rho=28, beta=8/3), against the equations written out again."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False
CALL = "lorenz_rhs(state)"


@test_case(
    name="the example by hand",
    points=2,
    hidden=False,
    failure_message="At (1, 2, 3): dx/dt = 10 (2 - 1), dy/dt = 1 (28 - 3) - 2, dz/dt = 1 * 2 - 8/3 * 3.",
)
def test_hand(lorenz_rhs):
    expected = torch.tensor([10.0, 23.0, -6.0], dtype=torch.float64)
    check_close(lorenz_rhs(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)), expected, what=CALL)


@test_case(
    name="many systems side by side",
    points=1,
    hidden=False,
    failure_message="x, y and z are in the last dimension: state[..., 0], state[..., 1], state[..., 2]. Put the three "
    "derivatives back together with torch.stack(..., dim=-1).",
)
def test_shape(lorenz_rhs):
    state = torch.ones(4, 2, 3)
    found = check_shape(lorenz_rhs(state), (4, 2, 3), what=f"{CALL} with a state of shape (4, 2, 3)")
    assert found.dtype == torch.float32, f"{CALL} has dtype {found.dtype}, but torch.float32 was expected."


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
