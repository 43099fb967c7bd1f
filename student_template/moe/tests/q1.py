"""q1: gate(x, W_g, top_k=None) -> (..., n_experts)."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False
CALL = "gate(x, W_g)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape, dtype and rows that sum to 1",
    points=2,
    hidden=False,
    failure_message="The logits are x @ W_g, and each row of them (the last dimension) gets its own softmax.",
)
def test_shape(gate):
    x, W_g = normal(5, 3, seed=0, dtype=torch.float32), normal(3, 4, seed=1, dtype=torch.float32)
    weights = check_shape(gate(x, W_g), (5, 4), what=CALL)
    check_close(weights.sum(-1), torch.ones(5), tolerance=1e-5, what=f"the sum of each row of {CALL}")


@test_case(
    name="three experts worked out by hand",
    points=2,
    hidden=False,
    failure_message="The logits are ln 6, ln 3 and 0, so the exponentials are 6, 3 and 1: divide them by 10.",
)
def test_hand(gate):
    x, W_g = torch.tensor([1.0, 2.0]).double(), torch.zeros(2, 3).double()
    W_g[0] = torch.tensor([math.log(6), math.log(3), 0.0])
    check_close(gate(x, W_g), torch.tensor([0.6, 0.3, 0.1]).double(), tolerance=1e-6, what=CALL)


@test_case(
    name="two of three experts kept",
    points=2,
    hidden=False,
    failure_message="Of 0.6, 0.3 and 0.1 the first two are kept. Divide them by their sum, 0.9; the third is 0.",
)
def test_hand_top_k(gate):
    x, W_g = torch.tensor([1.0, 2.0]).double(), torch.zeros(2, 3).double()
    W_g[0] = torch.tensor([math.log(6), math.log(3), 0.0])
    expected = torch.tensor([2 / 3, 1 / 3, 0.0]).double()
    check_close(gate(x, W_g, 2), expected, tolerance=1e-6, what="gate(x, W_g, top_k=2)")


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
