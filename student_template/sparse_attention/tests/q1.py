"""q1: sparse_mask(n, window, stride) -> (n, n), boolean."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def check_entries(found, expected, what):
    """Pass if the mask is right; the first wrong entry is named by its query and key."""
    n = len(expected)
    found = check_shape(found, (n, n), what=what)
    check_dtype(found, torch.bool, what=what)
    wrong = (found != expected).nonzero().tolist()
    if wrong:
        i, j = wrong[0]
        verb = "may" if expected[i, j] else "must not"
        raise AssertionError(
            f"{what} is wrong in {len(wrong)} of {n * n} entries. The first one: query {i} {verb} attend to key {j},"
            f" at distance {i - j}."
        )


@test_case(
    name="shape and dtype",
    points=2,
    hidden=False,
    failure_message="The mask has one row a query and one column a key, (n, n), and is boolean: True = may attend.",
)
def test_shape(sparse_mask):
    found = check_shape(sparse_mask(5, 2, 2), (5, 5), what="sparse_mask(5, 2, 2)")
    check_dtype(found, torch.bool, what="sparse_mask(5, 2, 2)")
    assert found.diagonal().all(), "In sparse_mask(5, 2, 2), not every position attends to itself."


@test_case(
    name="the mask worked out by hand",
    points=3,
    hidden=False,
    failure_message="n = 8, window 2, stride 3: a query sees the keys at the distances 0, 1, 3 and 6 before it, "
    "where there are any. Compare with the picture in q1, row by row.",
)
def test_hand(sparse_mask):
    picture = "#....... ##...... .##..... #.##.... .#.##... ..#.##.. #..#.##. .#..#.##".split()
    expected = torch.tensor([[place == "#" for place in row] for row in picture])
    check_entries(sparse_mask(8, 2, 3), expected, "sparse_mask(8, 2, 3)")


# The comparisons that are used above.

from collections.abc import Callable, Sequence


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
