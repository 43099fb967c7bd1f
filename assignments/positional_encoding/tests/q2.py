"""q2: relative_rotation(offset, d_model, base=10000.0), the executable form of "it carries relative position"."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_raises, check_shape

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


def in_default_dtype(dtype, function, *arguments):
    """Call function(*arguments) while torch's default dtype is another one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return function(*arguments)
    finally:
        torch.set_default_dtype(before)


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


@test_case(
    name="offsets ahead and back",
    points=2,
    hidden=True,
    failure_message="M @ PE[p] must be PE[p + offset] for every p, also for a negative offset and for other bases.",
)
def test_offsets(relative_rotation):
    for offset, d_model, base in [
        (5, 8, 10000.0),
        (-3, 6, 10000.0),
        (2, 10, 7.5),
        (-1, 2, 50.0),
        (11, 4, 0.5),
    ]:
        what = f"relative_rotation({offset}, {d_model}, {base})"
        matrix = relative_rotation(offset, d_model, base)
        check_moves(matrix, offset, range(d_model + 2), d_model, base, tolerance=1e-4, what=what)


@test_case(
    name="exact in float64, in the default dtype",
    points=2,
    hidden=True,
    failure_message="The matrix has torch's default dtype, and in float64 it is exact to 1e-9 far away too: is some "
    "step of yours done in float32?",
)
def test_float64(relative_rotation):
    for offset, d_model in [(1, 64), (-777, 6), (9000, 8)]:
        what = f"relative_rotation({offset}, {d_model}) while the default dtype is float64"
        matrix = in_default_dtype(torch.float64, relative_rotation, offset, d_model)
        # correct forms differ by 1.8e-12 at position 10000
        check_moves(matrix, offset, (0, 1, 50, 999), d_model, 10000.0, tolerance=1e-9, what=what)
        check_dtype(matrix, torch.float64, what=what)
    found = in_default_dtype(torch.float32, relative_rotation, 1, 4)
    check_dtype(found, torch.float32, what="relative_rotation(1, 4) while the default dtype is float32")


@test_case(
    name="rotations: lengths stay, and moves add up",
    points=1,
    hidden=True,
    failure_message="M.T @ M is the identity, and going 4 ahead and then 9 back is going 5 back.",
)
def test_group(relative_rotation):
    ahead, back, both = (in_default_dtype(torch.float64, relative_rotation, k, 6) for k in (4, -9, -5))
    ahead = check_shape(ahead, (6, 6), what="relative_rotation(4, 6)").double()
    identity = torch.eye(6, dtype=torch.float64)
    check_close(ahead.T @ ahead, identity, what="M.T @ M with M = relative_rotation(4, 6)")
    check_close(back @ ahead, both, what="relative_rotation(-9, 6) @ relative_rotation(4, 6)")


@test_case(
    name="arguments that make no sense",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a d_model that is odd or below 1 and for a base of 0 or "
    "less.",
)
def test_bad_arguments(relative_rotation):
    check_shape(relative_rotation(1, 2, 5.0), (2, 2), what="relative_rotation(1, 2, 5.0)")
    for bad in [(1, 5), (1, 0), (1, -2), (1, 4, 0.0), (1, 4, -3.0)]:
        check_raises(ValueError, relative_rotation, *bad, what=f"relative_rotation{bad}")
