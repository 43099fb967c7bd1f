"""q3: sparse_attention(q, k, v, window, stride): the values of a masked softmax, and the work of the attended pairs."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import (
    Mistake,
    Work,
    check_close,
    check_gradients,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "sparse_attention(q, k, v, window, stride)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(q, k, v, window, stride):
    """What is expected, from the full matrix.

    Blocks, gathered keys, diagonals, rows and lists of pairs differ from it by less than 1e-14 in float64 and 1e-6 in
    float32 (measured), a key counted twice by more than 1e-2: hence 1e-9 and 1e-5.
    """
    positions = torch.arange(q.shape[-2])
    distance = positions[:, None] - positions
    allowed = (distance >= 0) & ((distance < window) | (distance % stride == 0))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, -math.inf)
    return scores.softmax(-1) @ v


@test_case(
    name="shape and dtype, and means of ones",
    points=1,
    hidden=False,
    failure_message="There is one output for each position, as long as a value: (..., n, d_v), in the dtype of q. "
    "Each is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(sparse_attention):
    q, k, v = normal(2, 6, 4, seed=0), normal(2, 6, 4, seed=1), torch.ones(2, 6, 3, dtype=torch.float64)
    expected = torch.ones(2, 6, 3, dtype=torch.float64)
    check_close(
        sparse_attention(q, k, v, 2, 3), expected, what="sparse_attention(q, k, v, 2, 3) with values of 1"
    )


@test_case(
    name="means worked out by hand",
    points=2,
    hidden=False,
    failure_message="All scores are 0, and with window 2 and stride 2 the distances are 0, 1 and 2, each once: "
    "6, (0 + 6) / 2, (2 + 0 + 6) / 3, (8 + 2 + 0) / 3.",
)
def test_hand(sparse_attention):
    zero = torch.zeros(4, 1, dtype=torch.float64)
    v = torch.tensor([[6.0], [0.0], [2.0], [8.0]], dtype=torch.float64)
    expected = torch.tensor([[6.0], [3.0], [8 / 3], [10 / 3]], dtype=torch.float64)
    what = "sparse_attention(q, k, v, 2, 2) with q and k of zeros"
    check_close(sparse_attention(zero, zero, v, 2, 2), expected, what=what)


@test_case(
    name="the same as the full matrix, for eight positions",
    points=1,
    hidden=False,
    failure_message="Compare with masked_attention for smaller n, until you see which position is wrong first. "
    "There, list the keys that it should see, and those that it does see.",
)
def test_eight(sparse_attention):
    q, k, v = normal(8, 4, seed=2), normal(8, 4, seed=3), normal(8, 2, seed=4)
    what = "sparse_attention(q, k, v, 2, 3)"
    check_close(sparse_attention(q, k, v, 2, 3), oracle(q, k, v, 2, 3), what=what)


@test_case(
    name="every small size",
    points=3,
    hidden=True,
    failure_message="n need not be a multiple of window or stride, either may exceed n, and n may be 0. Before the "
    "start there is nothing: neither position 0 again, nor the end of the sequence.",
)
def test_small_sizes(sparse_attention):
    for n, window, stride in [
        (0, 1, 1), (0, 3, 2), (1, 1, 1), (1, 4, 3), (2, 1, 2), (2, 3, 1), (3, 1, 2), (4, 2, 4), (5, 2, 2), (5, 1, 5),
        (5, 7, 2), (5, 2, 7), (5, 10**9, 2), (5, 2, 10**9), (6, 2, 1), (7, 4, 6), (9, 3, 4), (10, 4, 3), (11, 1, 4),
    ]:  # fmt: skip
        q, k, v = normal(n, 3, seed=5 + n), normal(n, 3, seed=6 + n), normal(n, 2, seed=7 + n)
        what = f"sparse_attention(q, k, v, {window}, {stride}) with n = {n}"
        check_close(sparse_attention(q, k, v, window, stride), oracle(q, k, v, window, stride), what=what)


@test_case(
    name="leading dimensions, and longer sequences",
    points=2,
    hidden=True,
    failure_message="Leading dimensions are a stack of independent problems, and broadcast.",
)
def test_leading(sparse_attention):
    for lead, n, d, d_v, window, stride in [
        ((2, 3), 13, 6, 2, 4, 3),
        ((0,), 6, 2, 2, 2, 2),
        ((), 101, 8, 5, 10, 9),
    ]:
        q, k, v = normal(*lead, n, d, seed=20), normal(*lead, n, d, seed=21), normal(*lead, n, d_v, seed=22)
        what = (
            f"sparse_attention(q, k, v, {window}, {stride}) with shapes {tuple(q.shape)} and {tuple(v.shape)}"
        )
        check_close(sparse_attention(q, k, v, window, stride), oracle(q, k, v, window, stride), what=what)
    q, k, v = normal(2, 1, 7, 3, seed=23), normal(3, 7, 3, seed=24), normal(7, 2, seed=25)
    what = f"{CALL} with shapes (2, 1, 7, 3), (3, 7, 3), (7, 2)"
    check_close(sparse_attention(q, k, v, 2, 4), oracle(q, k, v, 2, 4), what=what)


@test_case(
    name="gradients",
    points=3,
    hidden=True,
    failure_message="The gradients of q, k and v are those of the full matrix: nothing on the way may be detached, "
    "and padding must not let a NaN in (0 times infinity is one).",
)
def test_gradients(sparse_attention):
    for lead, n, window, stride in [((2,), 11, 3, 4), ((), 10, 4, 2), ((), 5, 1, 9)]:
        q, k, v = (normal(*lead, n, width, seed=30 + width).requires_grad_() for width in (4, 4, 3))
        what, inputs = f"sparse_attention(q, k, v, {window}, {stride})", {"q": q, "k": k, "v": v}
        expected = oracle(q, k, v, window, stride)
        check_gradients(sparse_attention(q, k, v, window, stride), expected, inputs, what=what)


@test_case(
    name="float32 and large scores; arguments left alone",
    points=1,
    hidden=True,
    failure_message="exp(150) overflows unless the largest permitted score of a row is subtracted first, over "
    "window and strides together. The result has the dtype of q, and the inputs stay as they are.",
)
def test_float32(sparse_attention):
    q, k, v = (normal(14, width, seed=40 + width, dtype=torch.float32) for width in (4, 4, 3))
    copies = [x.clone() for x in (q, k, v)]
    found = sparse_attention(q, k, v, 3, 4)
    for label, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{label} in {CALL}")
    check_close(found, oracle(q, k, v, 3, 4), tolerance=1e-5, what=f"{CALL} in float32")
    for signs in (
        [1.0, -1.0] * 7,
        [-1.0] + [1.0] * 13,
    ):  # the largest score is now in the window, now among strides
        keys = 12.25 * torch.tensor(signs).unsqueeze(-1)
        for queries in (keys, -keys):  # scores of +-150
            expected = oracle(queries.double(), keys.double(), v.double(), 2, 3).float()
            # a score of 150 is rounded by 1e-5 in float32, which moves a weight by less than that
            found = sparse_attention(queries, keys, v, 2, 3)
            check_close(found, expected, tolerance=1e-4, what=f"{CALL} with scores of +-150")


# In units of n sqrt(n), times d for products, with window and stride near sqrt(n) and d = d_v = 2. Blocks, gathered
# keys, diagonals, rows and lists of pairs make tensors of 0.1 to 3.9 units and take 0 to 12 in products (measured).
# At n = 1024 the full matrix has 32, half of it 16; its products take 128 or 64, and three times that with the way
# back.
MOST_NUMBERS = 10
MOST_OPERATIONS = 40
# By which factor all numbers written may grow from n = 1024 to 4096: n sqrt(n) grows by 8, and the same solutions
# were measured at 7.3 to 8.1. n * n grows by 16: all keys in turn, at their shortest, by 14.
MOST_GROWTH = 10


def sizes_near(n):
    """A window and a stride near the root of n, which n is no multiple of."""
    return math.isqrt(n) + 1, math.isqrt(n) + 2


def rows_of(n, *, requires_grad=False):
    """q, k and v of width 2 in float32."""
    return tuple(
        normal(n, 2, seed=50 + i, dtype=torch.float32).requires_grad_(requires_grad) for i in range(3)
    )


def check_computed(found, n, what):
    """Pass if there is a finite answer that could be right: who computes nothing saves nothing."""
    assert check_shape(found, (n, 2), what=what).isfinite().all(), f"{what} is not finite."


def check_largest(work, n, what):
    """Pass if no operator made a tensor that could hold the matrix, or half of it, or is otherwise too large."""
    most, made = (
        math.floor(MOST_NUMBERS * n * math.sqrt(n)),
        f"In {what}, there is a tensor of {work.largest} numbers",
    )
    if work.largest >= n * n // 2:
        raise Mistake("full_matrix", f"{made}. The full matrix has {n * n}, and {most} is the most.")
    assert work.largest <= most, f"{made}, but {most} is the most."


def check_flops(flops, n, ways, what):
    """Pass if matrix products took no more operations than those of attended pairs; ways: 1, or 3 with the way back."""
    most, full = math.floor(ways * MOST_OPERATIONS * n * math.sqrt(n) * 2), ways * 4 * n * n * 2
    text = f"{what} does {flops} operations in matrix products. The full matrix takes {full}, and {most} is the most."
    if flops >= full // 2:
        raise Mistake("all_keys_in_turn", text)
    assert flops <= most, text


@test_case(
    name="no matrix of n x n numbers",
    points=4,
    hidden=True,
    failure_message="Neither scores nor masks nor indices of all pairs may be made, nor all scores be computed "
    "block by block: about n (window + n / stride) numbers are enough.",
)
def test_no_matrix(sparse_attention):
    n = 1024
    window, stride = sizes_near(n)
    what = f"sparse_attention(q, k, v, {window}, {stride}) with n = {n}"
    q, k, v = rows_of(n, requires_grad=True)
    with Work() as forward:
        found = sparse_attention(q, k, v, window, stride)
    with torch.no_grad():
        check_close(found, oracle(q, k, v, window, stride), tolerance=1e-5, what=what)
    with Work() as both:
        both.add(forward.flops, forward.largest, 0)
        found.sum().backward()
    check_largest(both, n, what)
    check_flops(forward.flops, n, 1, what)
    check_flops(both.flops, n, 3, f"{what}, with its backward pass,")


@test_case(
    name="no arithmetic with n x n pairs",
    points=2,
    hidden=True,
    failure_message="Going through all keys for each position is the full matrix, one row after the other: most of "
    "it is forbidden, and need not be looked at. That holds for indices and masks, too.",
)
def test_no_pairs(sparse_attention):
    written = []
    for n in (1024, 4096):
        window, stride = sizes_near(n)
        what = f"sparse_attention(q, k, v, {window}, {stride}) with n = {n}"
        with torch.no_grad(), Work() as work:
            found = sparse_attention(*rows_of(n), window, stride)
        check_computed(found, n, what)
        # Who makes the full matrix loses this at 1024, before it takes the memory of the grader.
        assert work.largest < n * n // 2, f"In {what}, there is a tensor of {work.largest} numbers."
        written.append(work.written)
    if written[1] > MOST_GROWTH * written[0]:
        text = (
            f"From n = 1024 to 4096, the numbers written on the way grow from {written[0]} to {written[1]}:"
            f" {written[1] / written[0]:.1f} times as many, as for n * n. {MOST_GROWTH} times is the most."
        )
        raise Mistake("all_keys_in_turn", text)


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: q, k and v are equally long and have two dimensions or more; "
    "q and k are equally wide; leading dimensions broadcast; window and stride are at least 1.",
)
def test_bad_arguments(sparse_attention):
    q, v = normal(4, 3, seed=60), normal(4, 2, seed=61)
    check_shape(sparse_attention(q, q, v, 2, 2), (4, 2), what=f"{CALL} with arguments that fit")
    for label, arguments in {
        "q of 3 and k of 4 positions": (q[:3], q, v, 2, 2),
        "k of 4 and v of 3 positions": (q, q, v[:3], 2, 2),
        "q and k of widths 3 and 2": (q, v, v, 2, 2),
        "q and k of width 0": (q[:, :0], q[:, :0], v, 2, 2),
        "a q of one dimension": (q[0], q, v, 2, 2),
        "a v of one dimension": (q, q, v[:, 0], 2, 2),
        "leading dimensions 2 and 3 of q and k": (q.expand(2, 4, 3), q.expand(3, 4, 3), v, 2, 2),
        "leading dimensions 2 and 3 of q and v": (q.expand(2, 4, 3), q, v.expand(3, 4, 2), 2, 2),
        "window 0": (q, q, v, 0, 2),
        "stride 0": (q, q, v, 2, 0),
    }.items():
        check_raises(ValueError, sparse_attention, *arguments, what=f"{CALL} with {label}")
