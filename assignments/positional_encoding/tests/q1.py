"""q1: sinusoidal_encoding(seq_len, d_model, base=10000.0)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_raises, check_shape

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def oracle(seq_len, d_model, base=10000.0):
    """What is expected, number by number in float64.

    Forms with exp(-log) and with pow differ by at most 1.8e-12 in float64 at 10001 positions, hence 1e-9 there. In
    float32 they differ by 7.6e-6 below 100 positions; hence 1e-4, and no float32 value beyond that.
    """
    rows = [
        [(math.cos if j % 2 else math.sin)(p * base ** (-(j - j % 2) / d_model)) for j in range(d_model)]
        for p in range(seq_len)
    ]
    return torch.tensor(rows, dtype=torch.float64).reshape(seq_len, d_model)


def in_default_dtype(dtype, function, *arguments):
    """Call function(*arguments) while torch's default dtype is another one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return function(*arguments)
    finally:
        torch.set_default_dtype(before)


def check_values(found, expected, *, what, tolerance=1e-4):
    """Whatever the default dtype is in which the call was made."""
    check_close(
        check_shape(found, expected.shape, what=what).double(), expected, tolerance=tolerance, what=what
    )


@test_case(
    name="shape",
    points=2,
    hidden=False,
    failure_message="One row for each position, one column for each dimension: (seq_len, d_model).",
)
def test_shape(sinusoidal_encoding):
    for shape in [(5, 6), (1, 2)]:
        check_shape(sinusoidal_encoding(*shape), shape, what=f"sinusoidal_encoding{shape}")


@test_case(
    name="position 0",
    points=2,
    hidden=False,
    failure_message="All angles are 0 at position 0: the even columns are sin 0 = 0, the odd ones cos 0 = 1.",
)
def test_first(sinusoidal_encoding):
    expected = torch.tensor([[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]], dtype=torch.float64)
    check_values(sinusoidal_encoding(1, 6), expected, what="sinusoidal_encoding(1, 6)")


@test_case(
    name="two rows worked out by hand",
    points=2,
    hidden=False,
    failure_message="With base 100 and d_model = 4 the speeds are 1 and 1/10, so position 1 is sin 1, cos 1, sin "
    "0.1, cos 0.1.",
)
def test_hand(sinusoidal_encoding):
    expected = torch.tensor(
        [[0.0, 1.0, 0.0, 1.0], [math.sin(1), math.cos(1), math.sin(0.1), math.cos(0.1)]], dtype=torch.float64
    )
    check_values(sinusoidal_encoding(2, 4, 100.0), expected, what="sinusoidal_encoding(2, 4, 100.0)")


@test_case(
    name="values",
    points=2,
    hidden=True,
    failure_message="The angle of columns 2i and 2i + 1 is p * base ** (-2i / d_model), in radians, with p from 0.",
)
def test_values(sinusoidal_encoding):
    for arguments in [(7, 8), (90, 32), (6, 10, 7.5), (5, 6, 1.0), (5, 4, 0.25), (4, 6, 50)]:
        what = f"sinusoidal_encoding{arguments}"
        check_values(sinusoidal_encoding(*arguments), oracle(*arguments), what=what)


@test_case(
    name="odd sizes",
    points=2,
    hidden=True,
    failure_message="An odd d_model ends on a sine without a partner, whose speed is base ** (-(d_model - 1) / "
    "d_model).",
)
def test_odd(sinusoidal_encoding):
    for arguments in [(6, 5), (4, 1), (9, 7, 30.0)]:
        what = f"sinusoidal_encoding{arguments}"
        check_values(sinusoidal_encoding(*arguments), oracle(*arguments), what=what)


@test_case(
    name="the default dtype",
    points=1,
    hidden=True,
    failure_message="Make tensors in torch's default dtype (torch.get_default_dtype()), neither always in float32 "
    "nor always in float64, and do not change it.",
)
def test_dtype(sinusoidal_encoding):
    for dtype in (torch.float32, torch.float64):
        what = f"sinusoidal_encoding(3, 4) while the default dtype is {dtype}"
        found = check_shape(in_default_dtype(dtype, sinusoidal_encoding, 3, 4), (3, 4), what=what)
        check_dtype(found, dtype, what=what)


@test_case(
    name="long sequences, in float64",
    points=1,
    hidden=True,
    failure_message="In float64 the encoding is exact to 1e-9 even at position 10000. Is some step of yours done in "
    "float32, such as the positions, the exponents or the logarithm?",
)
def test_long(sinusoidal_encoding):
    for seq_len, d_model in [(50, 64), (512, 17), (10001, 4)]:
        what = f"sinusoidal_encoding({seq_len}, {d_model}) while the default dtype is float64"
        found = in_default_dtype(torch.float64, sinusoidal_encoding, seq_len, d_model)
        check_values(found, oracle(seq_len, d_model), tolerance=1e-9, what=what)


@test_case(
    name="no position, and one number",
    points=1,
    hidden=True,
    failure_message="seq_len may be 0: the result has no row. A d_model of 1 is a single sine.",
)
def test_sizes(sinusoidal_encoding):
    check_shape(sinusoidal_encoding(0, 6), (0, 6), what="sinusoidal_encoding(0, 6)")
    check_shape(sinusoidal_encoding(0, 5), (0, 5), what="sinusoidal_encoding(0, 5)")
    check_values(sinusoidal_encoding(1, 1), oracle(1, 1), what="sinusoidal_encoding(1, 1)")


@test_case(
    name="arguments that make no sense",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a negative seq_len, a d_model below 1 and a base of 0 or "
    "less.",
)
def test_bad_arguments(sinusoidal_encoding):
    check_shape(sinusoidal_encoding(2, 2, 5.0), (2, 2), what="sinusoidal_encoding(2, 2, 5.0)")
    for bad in [(-1, 4), (3, 0), (3, -2), (3, 4, 0.0), (3, 4, -10.0)]:
        check_raises(ValueError, sinusoidal_encoding, *bad, what=f"sinusoidal_encoding{bad}")
