"""q6: score_rank(q, k), and low_rank_attention(q, k, v, rank)."""

import torch
import torch.nn.functional as F
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="a rank worked out by hand",
    points=2,
    hidden=False,
    failure_message="Every row of q is a multiple of (1, 2), so every row of q k^T is a multiple of the same "
    "row: the rank is 1.",
)
def test_hand(score_rank):
    q = torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], dtype=torch.float64)
    k = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [5.0, -2.0]], dtype=torch.float64)
    check_int(score_rank(q, k), 1, what="score_rank(q, k)")


@test_case(
    name="shape of the low-rank output",
    points=1,
    hidden=False,
    failure_message="One output for each query, as long as a value: (L_q, d_v), in the dtype of q. It is a "
    "weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(low_rank_attention):
    q, k, v = normal(4, 3, seed=1), normal(5, 3, seed=2), torch.ones(5, 2, dtype=torch.float64)
    expected = torch.ones(4, 2, dtype=torch.float64)
    what = "low_rank_attention(q, k, v, rank=1) with values of 1"
    check_close(low_rank_attention(q, k, v, 1), expected, what=what)


@test_case(
    name="with nothing cut off it is attention",
    points=1,
    hidden=False,
    failure_message="q k^T / sqrt(d_k) has rank 3 at most here, so its best approximation of rank 3 is "
    "itself.",
)
def test_full_rank(low_rank_attention):
    q, k, v = normal(4, 3, seed=4), normal(5, 3, seed=5), normal(5, 2, seed=6)
    expected = F.scaled_dot_product_attention(q, k, v)
    check_close(
        low_rank_attention(q, k, v, 3), expected, what="low_rank_attention(q, k, v, rank=3) with d_k = 3"
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


def check_int(found: object, expected: int, *, what: str) -> None:
    """Pass if `found` is the Python int `expected`."""
    check_returned(found, what=what)
    if type(found) is not int:
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a Python int was expected."
        )
    if found != expected:
        raise AssertionError(f"{what} is {found}, but {expected} was expected.")
