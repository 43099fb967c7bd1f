"""q2: scaled_dot_product_attention(q, k, v, mask=None), judged against PyTorch's own."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="There is one output for each query, as long as a value: (..., L_q, d_v), in the dtype of "
    "q. It is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(scaled_dot_product_attention):
    q, k, v = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1), torch.ones(2, 4, 6, dtype=torch.float64)
    expected = torch.ones(2, 3, 6, dtype=torch.float64)
    what = "scaled_dot_product_attention(q, k, v) with values of 1"
    check_close(scaled_dot_product_attention(q, k, v), expected, what=what)


@test_case(
    name="an average worked out by hand",
    points=2,
    hidden=False,
    failure_message="The weights are 3/4 and 1/4 here, so the output is 3/4 of the first value plus 1/4 of "
    "the second.",
)
def test_hand(scaled_dot_product_attention):
    q = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    k = torch.tensor([[math.log(3), math.log(3), 5.0, 0.0], [0.0, 0.0, 0.0, 7.0]], dtype=torch.float64)
    v = torch.tensor([[4.0, 0.0], [8.0, 100.0]], dtype=torch.float64)
    expected = torch.tensor([[5.0, 25.0]], dtype=torch.float64)
    check_close(scaled_dot_product_attention(q, k, v), expected, what="scaled_dot_product_attention(q, k, v)")


@test_case(
    name="a forbidden value does not enter the average",
    points=2,
    hidden=False,
    failure_message="Equal keys weigh the same if they are allowed, so each output is the plain mean of the "
    "allowed values.",
)
def test_mask(scaled_dot_product_attention):
    q, k = normal(2, 4, seed=3), torch.ones(3, 4, dtype=torch.float64)
    v = torch.tensor([[1.0], [3.0], [1000.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [False, True, False]])
    expected = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    what = "scaled_dot_product_attention(q, k, v, mask) with three equal keys"
    check_close(scaled_dot_product_attention(q, k, v, mask), expected, what=what)


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
