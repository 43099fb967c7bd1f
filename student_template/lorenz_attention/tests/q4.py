"""q4: attention(q, k, v, mask=None), against PyTorch's own, and how an AttentionForecaster behaves."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "attention(q, k, v)"
NAMES = ("output", "weights")


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def check_pair(found, expected, *, tolerance=1e-9, what):
    for label, part, right in zip(NAMES, check_tuple(found, NAMES, what=what), expected, strict=True):
        check_close(part, right, tolerance=tolerance, what=f"the {label} of {what}")


@test_case(
    name="attention worked out by hand",
    points=2,
    hidden=False,
    failure_message="The dot products are 2 ln 3 and 0; over sqrt(4) = 2 they are ln 3 and 0; the "
    "weights are 3/4 and 1/4, "
    "the output 3/4 * 4 + 1/4 * 8 = 5. Return both: (output, weights).",
)
def test_hand(attention):
    q, k, v = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]]), torch.eye(4)[:2], torch.tensor([[4.0], [8.0]])
    expected = (torch.tensor([[5.0]]), torch.tensor([[0.75, 0.25]]))
    check_pair(attention(q, k, v), expected, tolerance=1e-5, what=CALL)


@test_case(
    name="one forecast for each window",
    points=2,
    hidden=False,
    failure_message="forward takes windows (B, length, d) and returns the next sample of each, (B, "
    "d). It must work for a "
    "batch of 1 as well.",
)
def test_forecaster_shape(AttentionForecaster):
    for d, length in [(3, 8), (1, 16)]:
        call, model = f"AttentionForecaster({d}, {length})", AttentionForecaster(d, length)
        for batch in (5, 1):
            found = model(normal(batch, length, d, seed=0, dtype=torch.float32))
            check_shape(found, (batch, d), what=f"{call}(windows) with windows of shape {(batch, length, d)}")


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


def check_tuple(found: object, names: Sequence[str], *, what: str) -> Sequence[object]:
    """Pass if `found` is a tuple (or list) with one item for each name; it is returned."""
    check_returned(found, what=what)
    wanted = f"a tuple ({', '.join(names)}) was expected"
    if not isinstance(found, tuple | list):
        raise AssertionError(f"{what} returned a value of type {type(found).__name__}, but {wanted}.")
    if len(found) != len(names):
        raise AssertionError(f"{what} returned {len(found)} values, but {wanted}.")
    return found
