"""q7: kernel_regression(queries, keys, values, bandwidth), from a smooth average to a hard look-up."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q7"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="One average of the values for each query: (..., L_q, d_v), in the dtype of the queries. Where "
    "all values are 1, it is 1.",
)
def test_shape(kernel_regression):
    queries, keys, values = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1), torch.ones(2, 4, 6).double()
    expected = torch.ones(2, 3, 6, dtype=torch.float64)
    what = "kernel_regression(queries, keys, values, 1.0) with values of 1"
    check_close(kernel_regression(queries, keys, values, 1.0), expected, what=what)


@test_case(
    name="an average worked out by hand",
    points=2,
    hidden=False,
    failure_message="One key is at the query, the other at squared distance 8 ln 3. With h = 2 the exponents "
    "are 0 and -ln 3, so the weights are 3/4 and 1/4.",
)
def test_hand(kernel_regression):
    queries = torch.tensor([[1.0]], dtype=torch.float64)
    keys = torch.tensor([[1.0], [1.0 + math.sqrt(8 * math.log(3))]], dtype=torch.float64)
    values = torch.tensor([[4.0], [8.0]], dtype=torch.float64)
    expected = torch.tensor([[5.0]], dtype=torch.float64)
    what = "kernel_regression(queries, keys, values, bandwidth=2.0)"
    check_close(kernel_regression(queries, keys, values, 2.0), expected, what=what)


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
