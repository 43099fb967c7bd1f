"""q2: masked_attention(q, k, v, window, stride), judged against a masked softmax in float64."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape and dtype, and means of ones",
    points=2,
    hidden=False,
    failure_message="There is one output for each position, as long as a value: (..., n, d_v), in the dtype of q. "
    "Each is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(masked_attention):
    q, k, v = normal(2, 6, 4, seed=0), normal(2, 6, 4, seed=1), torch.ones(2, 6, 3, dtype=torch.float64)
    expected = torch.ones(2, 6, 3, dtype=torch.float64)
    check_close(
        masked_attention(q, k, v, 2, 3), expected, what="masked_attention(q, k, v, 2, 3) with values of 1"
    )


@test_case(
    name="means worked out by hand",
    points=3,
    hidden=False,
    failure_message="All scores are 0. With window 1 and stride 2, position 2 takes the mean of positions 2 and 0, "
    "and position 3 that of 3 and 1: 6, 0, (2 + 6) / 2, (8 + 0) / 2.",
)
def test_hand(masked_attention):
    zero = torch.zeros(4, 1, dtype=torch.float64)
    v = torch.tensor([[6.0], [0.0], [2.0], [8.0]], dtype=torch.float64)
    expected = torch.tensor([[6.0], [0.0], [4.0], [4.0]], dtype=torch.float64)
    what = "masked_attention(q, k, v, 1, 2) with q and k of zeros"
    check_close(masked_attention(zero, zero, v, 1, 2), expected, what=what)


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
