"""q2: masked_attention(q, k, v, window, stride), judged against a masked softmax in float64."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q2"
all_or_nothing = False
CALL = "masked_attention(q, k, v, window, stride)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(q, k, v, window, stride):
    """What is expected.

    Right float64 forms differ from it by less than 1e-14 (measured over the honest submissions), the mildest wrong one,
    a scale of 1/d, by more than 1e-2: hence 1e-9, and 1e-5 in float32 (largest difference 6e-7).
    """
    positions = torch.arange(q.shape[-2])
    distance = positions[:, None] - positions
    allowed = (distance >= 0) & ((distance < window) | (distance % stride == 0))
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~allowed, -math.inf)
    return scores.softmax(-1) @ v


@test_case(
    name="shape and dtype, and means of ones",
    points=2,
    hidden=False,
    failure_message="There is one output for each position, as long as a value: (..., n, d_v), in the dtype of q. "
    "Each is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(masked_attention):
    q, k, v = normal(2, 6, 4, seed=0), normal(2, 6, 4, seed=1), torch.ones(2, 6, 3, dtype=torch.float64)
    expected = torch.ones(2, 6, 3, dtype=torch.float64)
    check_close(
        masked_attention(q, k, v, 2, 3), expected, what="masked_attention(q, k, v, 2, 3) with values of 1"
    )


@test_case(
    name="means worked out by hand",
    points=3,
    hidden=False,
    failure_message="All scores are 0. With window 1 and stride 2, position 2 takes the mean of positions 2 and 0, "
    "and position 3 that of 3 and 1: 6, 0, (2 + 6) / 2, (8 + 0) / 2.",
)
def test_hand(masked_attention):
    zero = torch.zeros(4, 1, dtype=torch.float64)
    v = torch.tensor([[6.0], [0.0], [2.0], [8.0]], dtype=torch.float64)
    expected = torch.tensor([[6.0], [0.0], [4.0], [4.0]], dtype=torch.float64)
    what = "masked_attention(q, k, v, 1, 2) with q and k of zeros"
    check_close(masked_attention(zero, zero, v, 1, 2), expected, what=what)


@test_case(
    name="values, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Scores are divided by sqrt(d); forbidden ones are -inf before the softmax over keys. Leading "
    "dimensions are a stack of independent problems, and broadcast.",
)
def test_values(masked_attention):
    for lead, n, d, d_v, window, stride in [
        ((2, 3), 9, 6, 2, 2, 3),
        ((), 12, 4, 3, 4, 2),
        ((2,), 8, 16, 5, 1, 4),
    ]:
        q, k, v = normal(*lead, n, d, seed=2), normal(*lead, n, d, seed=3), normal(*lead, n, d_v, seed=4)
        what = (
            f"masked_attention(q, k, v, {window}, {stride}) with shapes {tuple(q.shape)} and {tuple(v.shape)}"
        )
        check_close(masked_attention(q, k, v, window, stride), oracle(q, k, v, window, stride), what=what)
    q, k, v = normal(2, 1, 7, 3, seed=5), normal(3, 7, 3, seed=6), normal(7, 2, seed=7)
    what = f"{CALL} with shapes (2, 1, 7, 3), (3, 7, 3), (7, 2)"
    check_close(masked_attention(q, k, v, 2, 4), oracle(q, k, v, 2, 4), what=what)


@test_case(
    name="gradients",
    points=1,
    hidden=True,
    failure_message="The output is differentiable with respect to q, k and v: nothing on the way may be detached.",
)
def test_gradients(masked_attention):
    q, k, v = (normal(2, 8, width, seed=8 + width).requires_grad_() for width in (4, 4, 3))
    inputs = {"q": q, "k": k, "v": v}
    what = "masked_attention(q, k, v, 2, 3)"
    check_gradients(masked_attention(q, k, v, 2, 3), oracle(q, k, v, 2, 3), inputs, what=what)


@test_case(
    name="float32, large scores, one position and none; arguments left alone",
    points=1,
    hidden=True,
    failure_message="exp(150) overflows unless the largest permitted score of the row is subtracted first "
    "(torch.softmax does). The result has the dtype of q, and the inputs stay as they are.",
)
def test_float32_and_sizes(masked_attention):
    q, k, v = (normal(9, width, seed=20 + width, dtype=torch.float32) for width in (4, 4, 3))
    copies = [x.clone() for x in (q, k, v)]
    found = masked_attention(q, k, v, 3, 4)
    for label, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{label} in {CALL}")
    check_close(found, oracle(q, k, v, 3, 4), tolerance=1e-5, what=f"{CALL} in float32")
    large = 12.25 * torch.tensor([[1.0], [-1.0], [1.0], [-1.0], [1.0], [-1.0]])  # scores of +-150
    expected = oracle(large.double(), large.double(), v[:6].double(), 2, 3).float()
    # a score of 150 is rounded by 1e-5 in float32, which moves a weight by less than that
    found = masked_attention(large, large, v[:6], 2, 3)
    check_close(found, expected, tolerance=1e-4, what=f"{CALL} with scores of +-150")
    check_close(masked_attention(q[:1], k[:1], v[:1], 2, 3), v[:1], tolerance=1e-6, what=f"{CALL} with n = 1")
    check_shape(masked_attention(q[:0], k[:0], v[:0], 2, 3), (0, 3), what=f"{CALL} with n = 0")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: q, k and v are equally long and have two dimensions or more; "
    "q and k are equally wide; leading dimensions broadcast; window and stride are at least 1.",
)
def test_bad_arguments(masked_attention):
    q, v = normal(4, 3, seed=30), normal(4, 2, seed=31)
    check_shape(masked_attention(q, q, v, 2, 2), (4, 2), what=f"{CALL} with arguments that fit")
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
        check_raises(ValueError, masked_attention, *arguments, what=f"{CALL} with {label}")
