"""q4: gate_gradient(gate_logits, expert_outputs, grad_output), judged against autograd."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "gate_gradient(gate_logits, expert_outputs, grad_output)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="one number for each logit",
    points=1,
    hidden=False,
    failure_message="The gradient has the shape of gate_logits.",
)
def test_shape(gate_gradient):
    found = gate_gradient(normal(5, 3, seed=0), normal(5, 3, 4, seed=1), normal(5, 4, seed=2))
    check_shape(found, (5, 3), what=CALL)


@test_case(
    name="two experts worked out by hand",
    points=3,
    hidden=False,
    failure_message="Both weights are 1/2 and y = (2, 1). For expert 0, G . (E_0 - y) = 2 - 1 = 1, times 1/2.",
)
def test_hand(gate_gradient):
    outputs = torch.tensor([[4.0, 0.0], [0.0, 2.0]]).double()
    found = gate_gradient(torch.zeros(2).double(), outputs, torch.ones(2).double())
    check_close(found, torch.tensor([0.5, -0.5]).double(), what=CALL)


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
