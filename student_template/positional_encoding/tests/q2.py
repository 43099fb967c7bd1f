"""q2: relative_rotation(offset, d_model, base=10000.0), the executable form of "it carries relative position"."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def encodings(positions, d_model, base=10000.0):
    """The encodings of these positions, negative ones too, in float64."""
    rows = [
        [(math.cos if j % 2 else math.sin)(p * base ** (-(j - j % 2) / d_model)) for j in range(d_model)]
        for p in positions
    ]
    return torch.tensor(rows, dtype=torch.float64)


def check_moves(matrix, offset, positions, d_model, base, *, tolerance, what):
    """Pass if the matrix takes every encoding to that of the position `offset` further on.

    The encodings of d_model positions span the whole space (for other bases than 1), so this determines the matrix.
    """
    matrix = check_shape(matrix, (d_model, d_model), what=what).double()
    found = encodings(positions, d_model, base) @ matrix.T
    expected = encodings([p + offset for p in positions], d_model, base)
    check_close(
        found, expected, tolerance=tolerance, what=f"M @ PE[p], with M = {what} and one row for each p,"
    )


@test_case(
    name="shape, and no move at all",
    points=2,
    hidden=False,
    failure_message="The matrix is (d_model, d_model). Offset 0 leaves every encoding where it is: the identity.",
)
def test_shape(relative_rotation):
    matrix = check_shape(relative_rotation(0, 6), (6, 6), what="relative_rotation(0, 6)")
    identity = torch.eye(6, dtype=torch.float64)
    check_close(matrix.double(), identity, tolerance=1e-6, what="relative_rotation(0, 6)")


@test_case(
    name="one pair, worked out by hand",
    points=2,
    hidden=False,
    failure_message="With d_model = 2 there is one pair of speed 1. M must take (sin p, cos p) to (sin(p + 1), "
    "cos(p + 1)) = (cos 1 sin p + sin 1 cos p, -sin 1 sin p + cos 1 cos p).",
)
def test_hand(relative_rotation):
    expected = torch.tensor([[math.cos(1), math.sin(1)], [-math.sin(1), math.cos(1)]], dtype=torch.float64)
    found = check_shape(relative_rotation(1, 2), (2, 2), what="relative_rotation(1, 2)").double()
    # float32 rounds numbers below 1 by 6e-8
    check_close(found, expected, tolerance=1e-6, what="relative_rotation(1, 2)")


@test_case(
    name="the same matrix for every position",
    points=2,
    hidden=False,
    failure_message="M @ PE[p] must be PE[p + offset]. Pair i turns by offset * base ** (-2i / d_model); its block "
    "stands in rows and columns 2i and 2i + 1.",
)
def test_moves(relative_rotation):
    matrix = relative_rotation(3, 4, 100.0)
    # float32 angles below 100 are rounded by 4e-6
    check_moves(matrix, 3, range(5), 4, 100.0, tolerance=1e-4, what="relative_rotation(3, 4, 100.0)")


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
