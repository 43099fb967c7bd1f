"""q3: position_similarity(offset, d_model, base=10000.0), the executable form of w1."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import (
    check_close,
    check_dtype,
    check_gradients,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def oracle(offset, d_model, base=10000.0):
    """What is expected; correct float64 forms differ by 1e-12 at offsets of 10000, hence tolerances of 1e-9."""
    return sum((offset.double() * base ** (-2 * i / d_model)).cos() for i in range(d_model // 2))


def in_default_dtype(dtype, function, *arguments):
    """Call function(*arguments) while torch's default dtype is another one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return function(*arguments)
    finally:
        torch.set_default_dtype(before)


def measured(p, offset, d_model, base):
    """PE[p] . PE[p + offset], with the encodings written out."""
    total = 0.0
    for i in range(d_model // 2):
        omega = base ** (-2 * i / d_model)
        a, b = p * omega, (p + offset) * omega
        total += math.sin(a) * math.sin(b) + math.cos(a) * math.cos(b)
    return total


@test_case(
    name="shape, and offset 0",
    points=2,
    hidden=False,
    failure_message="The result has the shape of offset. At offset 0 each of the d/2 pairs adds sin^2 + cos^2 = 1.",
)
def test_zero(position_similarity):
    offset = torch.zeros(2, 3, dtype=torch.float64)
    expected = torch.full((2, 3), 4.0, dtype=torch.float64)
    check_close(position_similarity(offset, 8), expected, what="position_similarity(zeros, 8)")


@test_case(
    name="an offset worked out by hand",
    points=2,
    hidden=False,
    failure_message="With base 100 and d_model = 4 the speeds are 1 and 1/10, so offset 1 gives cos 1 + cos 0.1, "
    "and so does offset -1.",
)
def test_hand(position_similarity):
    offset = torch.tensor([1.0, -1.0], dtype=torch.float64)
    expected = torch.full((2,), math.cos(1) + math.cos(0.1), dtype=torch.float64)
    check_close(position_similarity(offset, 4, 100.0), expected, what="position_similarity(offset, 4, 100.0)")


@test_case(
    name="values",
    points=1,
    hidden=True,
    failure_message="Sum over the pairs: each has its own speed base ** (-2i / d_model), i from 0 to d/2 - 1.",
)
def test_values(position_similarity):
    for shape, d_model, base in [
        ((4, 5), 16, 10000.0),
        ((7,), 6, 7.5),
        ((), 2, 10000.0),
        ((1, 2, 3), 10, 0.5),
    ]:
        offset = 40 * torch.randn(
            shape, generator=torch.Generator().manual_seed(d_model), dtype=torch.float64
        )
        what = f"position_similarity(offset, {d_model}, {base}) with offsets of shape {shape}"
        check_close(position_similarity(offset, d_model, base), oracle(offset, d_model, base), what=what)


@test_case(
    name="the dot products of encodings, from any position",
    points=2,
    hidden=True,
    failure_message="PE[p] . PE[p + offset] is the same for every p, and that is what the function returns.",
)
def test_measured(position_similarity):
    offset = torch.tensor([0, 1, 2, 17, 400, -30], dtype=torch.float64)
    for d_model, base in [(12, 10000.0), (4, 30.0)]:
        found = position_similarity(offset, d_model, base)
        for p in (0, 3, 1000):
            expected = torch.tensor(
                [measured(p, k, d_model, base) for k in offset.tolist()], dtype=torch.float64
            )
            what = f"position_similarity(offset, {d_model}, {base}), compared with PE[p] . PE[p + offset] at p = {p},"
            check_close(found, expected, what=what)


@test_case(
    name="whole numbers, and the dtype",
    points=1,
    hidden=True,
    failure_message="Integer offsets give torch's default dtype, floating ones their own.",
)
def test_dtype(position_similarity):
    offset = torch.tensor([0, 3, -5])
    for dtype in (torch.float32, torch.float64):
        what = f"position_similarity(integers, 6) while the default dtype is {dtype}"
        found = check_shape(in_default_dtype(dtype, position_similarity, offset, 6), (3,), what=what)
        check_dtype(found, dtype, what=what)
        # float32 sums of three cosines of small angles are right to 1e-6
        check_close(found.double(), oracle(offset, 6), tolerance=1e-5, what=what)
    what = "position_similarity(offset, 6) with float32 offsets"
    check_close(position_similarity(offset.float(), 6), oracle(offset, 6).float(), tolerance=1e-5, what=what)


@test_case(
    name="gradients, and the offsets stay as they are",
    points=1,
    hidden=True,
    failure_message="The derivative is -sum of omega sin(k omega). Nothing on the way may be detached or changed in "
    "place.",
)
def test_gradients(position_similarity):
    offset = torch.tensor([[0.5, -3.0], [40.0, 0.0]], dtype=torch.float64, requires_grad=True)
    before = offset.detach().clone()
    found, expected = position_similarity(offset, 8), oracle(offset, 8)
    check_gradients(found, expected, {"offset": offset}, what="position_similarity(offset, 8)")
    check_unchanged(before, offset.detach(), what="offset in position_similarity(offset, 8)")


@test_case(
    name="no offset at all; arguments that make no sense",
    points=1,
    hidden=True,
    failure_message="An empty tensor gives an empty one. Raise ValueError with a message for a d_model that is odd "
    "or below 1 and for a base of 0 or less.",
)
def test_bad_arguments(position_similarity):
    offset = torch.ones(2, dtype=torch.float64)
    found = position_similarity(offset[:0], 4)
    check_shape(found, (0,), what="position_similarity(offset, 4) with no offset")
    for bad in [(5,), (0,), (-2,), (4, 0.0), (4, -3.0)]:
        call = f"position_similarity(offset, {', '.join(map(str, bad))})"
        check_raises(ValueError, position_similarity, offset, *bad, what=call)
