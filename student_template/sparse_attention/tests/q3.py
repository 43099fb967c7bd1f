"""q3: sparse_attention(q, k, v, window, stride): the values of a masked softmax, and the work of the attended pairs."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(q, k, v, window, stride):
    """What is expected, from the full matrix.

    Blocks, gathered keys, diagonals, rows and lists of pairs differ from it by less than 1e-14 in float64 and 1e-6 in
    float32 (measured), a key counted twice by more than 1e-2: hence 1e-9 and 1e-5.
    """
    positions = torch.arange(q.shape[-2])
    distance = positions[:, None] - positions
    allowed = (distance >= 0) & ((distance < window) | (distance % stride == 0))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, -math.inf)
    return scores.softmax(-1) @ v


@test_case(
    name="shape and dtype, and means of ones",
    points=1,
    hidden=False,
    failure_message="There is one output for each position, as long as a value: (..., n, d_v), in the dtype of q. "
    "Each is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(sparse_attention):
    q, k, v = normal(2, 6, 4, seed=0), normal(2, 6, 4, seed=1), torch.ones(2, 6, 3, dtype=torch.float64)
    expected = torch.ones(2, 6, 3, dtype=torch.float64)
    check_close(
        sparse_attention(q, k, v, 2, 3), expected, what="sparse_attention(q, k, v, 2, 3) with values of 1"
    )


@test_case(
    name="means worked out by hand",
    points=2,
    hidden=False,
    failure_message="All scores are 0, and with window 2 and stride 2 the distances are 0, 1 and 2, each once: "
    "6, (0 + 6) / 2, (2 + 0 + 6) / 3, (8 + 2 + 0) / 3.",
)
def test_hand(sparse_attention):
    zero = torch.zeros(4, 1, dtype=torch.float64)
    v = torch.tensor([[6.0], [0.0], [2.0], [8.0]], dtype=torch.float64)
    expected = torch.tensor([[6.0], [3.0], [8 / 3], [10 / 3]], dtype=torch.float64)
    what = "sparse_attention(q, k, v, 2, 2) with q and k of zeros"
    check_close(sparse_attention(zero, zero, v, 2, 2), expected, what=what)


@test_case(
    name="the same as the full matrix, for eight positions",
    points=1,
    hidden=False,
    failure_message="Compare with masked_attention for smaller n, until you see which position is wrong first. "
    "There, list the keys that it should see, and those that it does see.",
)
def test_eight(sparse_attention):
    q, k, v = normal(8, 4, seed=2), normal(8, 4, seed=3), normal(8, 2, seed=4)
    what = "sparse_attention(q, k, v, 2, 3)"
    check_close(sparse_attention(q, k, v, 2, 3), oracle(q, k, v, 2, 3), what=what)


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
