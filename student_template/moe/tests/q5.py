"""q5: load_balancing_loss(gate_probabilities, assignments)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
CALL = "load_balancing_loss(gate_probabilities, assignments)"


@test_case(
    name="even use costs 1",
    points=2,
    hidden=False,
    failure_message="With f = P = 1/n for all n experts, n * sum of f * P is n * n * 1/n * 1/n = 1. The result is one "
    "number, a 0-d tensor.",
)
def test_even(load_balancing_loss):
    p, assignments = torch.full((8, 4), 0.25).double(), torch.arange(8) % 4
    check_close(load_balancing_loss(p, assignments), torch.tensor(1.0).double(), what=CALL)


@test_case(
    name="four tokens worked out by hand",
    points=2,
    hidden=False,
    failure_message="f = (3/4, 1/4) and P = (0.65, 0.35), so the loss is 2 * (0.4875 + 0.0875) = 1.15.",
)
def test_hand(load_balancing_loss):
    p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], dtype=torch.float64)
    found = load_balancing_loss(p, torch.tensor([0, 0, 0, 1]))
    check_close(found, torch.tensor(1.15, dtype=torch.float64), what=CALL)


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
