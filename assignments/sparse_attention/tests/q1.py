"""q1: sparse_mask(n, window, stride) -> (n, n), boolean."""

import torch
from otter.test_files import test_case

from autograder.checks import check_dtype, check_raises, check_shape

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def pattern(n, window, stride):
    """What is expected, entry by entry."""
    rows = [[i >= j and (i - j < window or (i - j) % stride == 0) for j in range(n)] for i in range(n)]
    return torch.tensor(rows, dtype=torch.bool).reshape(n, n)


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


def check_mask(sparse_mask, n, window, stride):
    what = f"sparse_mask({n}, {window}, {stride})"
    check_entries(sparse_mask(n, window, stride), pattern(n, window, stride), what)


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


@test_case(
    name="windows and strides in every relation",
    points=2,
    hidden=True,
    failure_message="0 <= i - j, and then either i - j < window or (i - j) % stride == 0. The window counts the "
    "position itself; strides are counted back from the position that looks.",
)
def test_values(sparse_mask):
    for n, window, stride in [
        (9, 3, 3), (10, 1, 4), (11, 2, 5), (12, 5, 2), (12, 4, 6), (13, 3, 4), (16, 4, 4), (17, 1, 1), (20, 5, 3),
        (25, 5, 7),
    ]:  # fmt: skip
        check_mask(sparse_mask, n, window, stride)


@test_case(
    name="windows and strides beyond the sequence; one position, and none",
    points=1,
    hidden=True,
    failure_message="A window of n or more, or a stride of 1, permits every earlier position; a stride of n or more "
    "adds nothing to the window. The mask of no positions has the shape (0, 0).",
)
def test_sizes(sparse_mask):
    for sizes in [
        (5, 9, 2),
        (5, 2, 9),
        (5, 8, 8),
        (6, 2, 1),
        (6, 1, 6),
        (1, 1, 1),
        (1, 3, 2),
        (0, 1, 1),
        (0, 4, 3),
    ]:
        check_mask(sparse_mask, *sizes)


@test_case(
    name="only the distance counts, and nobody sees the future",
    points=1,
    hidden=True,
    failure_message="All entries along a diagonal are equal, for the pattern depends on i - j alone, and above the "
    "main diagonal all are False.",
)
def test_distance(sparse_mask):
    for window, stride in [(3, 5), (1, 6), (4, 3)]:
        what = f"sparse_mask(23, {window}, {stride})"
        found = check_shape(sparse_mask(23, window, stride), (23, 23), what=what)
        check_dtype(found, torch.bool, what=what)
        assert not found.triu(1).any(), f"In {what}, a query attends to a later key."
        for distance in range(23):
            diagonal = found.diagonal(-distance)
            assert diagonal.all() or not diagonal.any(), (
                f"In {what}, some queries attend to the key at distance {distance}, and others do not."
            )
        assert found.diagonal().all(), f"In {what}, not every position attends to itself."


@test_case(
    name="arguments that are refused",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when n is negative, or when window or stride is less than 1.",
)
def test_bad_arguments(sparse_mask):
    check_shape(sparse_mask(4, 1, 1), (4, 4), what="sparse_mask(4, 1, 1)")
    for sizes in [(-1, 2, 2), (4, 0, 2), (4, 2, 0), (4, -1, 2), (4, 2, -3), (0, 0, 1)]:
        check_raises(ValueError, sparse_mask, *sizes, what=f"sparse_mask{sizes}")
