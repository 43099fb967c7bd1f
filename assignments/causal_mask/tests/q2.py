"""q2: causal_attention(q, k, v), judged against PyTorch's own with is_causal=True."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import (
    Mistake,
    check_close,
    check_gradients,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q2"
all_or_nothing = False
CALL = "causal_attention(q, k, v)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def library(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


@test_case(
    name="shape and dtype, and means of ones",
    points=1,
    hidden=False,
    failure_message="There is one output for each position, as long as a value: (..., n, d_v), in the dtype of q. Each "
    "is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(causal_attention):
    q, k, v = normal(2, 4, 5, seed=0), normal(2, 4, 5, seed=1), torch.ones(2, 4, 6, dtype=torch.float64)
    expected = torch.ones(2, 4, 6, dtype=torch.float64)
    check_close(causal_attention(q, k, v), expected, what=f"{CALL} with values of 1 and shape (2, 4, 6)")


@test_case(
    name="running means",
    points=3,
    hidden=False,
    failure_message="All scores are 0, so each position takes the plain mean of its own value and those "
    "before it: 6, then (6 + 0) / 2, then (6 + 0 + 3) / 3.",
)
def test_running_means(causal_attention):
    q = torch.zeros(3, 2, dtype=torch.float64)
    v = torch.tensor([[6.0], [0.0], [3.0]], dtype=torch.float64)
    expected = torch.tensor([[6.0], [3.0], [3.0]], dtype=torch.float64)
    check_close(causal_attention(q, q, v), expected, what="causal_attention(q, k, v) with q and k of zeros")


@test_case(
    name="a mean worked out by hand",
    points=3,
    hidden=False,
    failure_message="d is 4, so scores are divided by 2. The second position has the scores ln 3 and 0, the "
    "exponentials 3 and 1 and the weights 3/4 and 1/4; the third key is in its future.",
)
def test_hand(causal_attention):
    q = torch.tensor([[0.0, 0, 0, 5], [2.0, 0, 0, 0], [0.0, 0, 0, 0]], dtype=torch.float64)
    k = torch.tensor([[math.log(3), 1, 0, 0], [0.0, 0, 1, 0], [4.0, 0, 0, 1]], dtype=torch.float64)
    v = torch.tensor([[4.0, 0.0], [8.0, 100.0], [-3.0, 50.0]], dtype=torch.float64)
    expected = torch.tensor([[4.0, 0.0], [5.0, 25.0], [3.0, 50.0]], dtype=torch.float64)
    check_close(causal_attention(q, k, v), expected, what=CALL)


def name_finite_score(causal_attention, found, q, k, v):
    """Raise Mistake if what was found is attention whose forbidden scores are a finite number, the same for all."""
    zero = torch.zeros(3, 2, dtype=torch.float64)
    mine, others, _ = causal_attention(zero, zero, torch.eye(3, dtype=torch.float64))[0].tolist()
    if not 0 < others < mine:
        return
    score = math.log(others / mine)  # the first row's own score is 0
    future = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future, score).softmax(-1)
    if torch.allclose(found, weights @ v, rtol=0, atol=1e-9):
        text = f"With scores of 0, the first output gives each later value a weight of {others:.3g}: 0 was expected."
        raise Mistake("finite_score", text)


@test_case(
    name="values, with and without leading dimensions",
    points=3,
    hidden=True,
    failure_message="Check which size stands under the root, over which axis the softmax runs, and that "
    "forbidden scores are -inf before it. Leading dimensions are a stack of independent problems, and broadcast.",
)
def test_values(causal_attention):
    # Six correct float64 forms differ from the library by at most 4.7e-15 (n up to 512); the mildest wrong one, a
    # forbidden score of -10, is 3.5e-3 away. 1e-9 leaves a factor of a million on both sides; 1e-6 is what is asked.
    for lead, n, d, d_v in [((2, 3), 5, 6, 2), ((), 7, 4, 3), ((2,), 8, 16, 16)]:
        q, k, v = normal(*lead, n, d, seed=3), normal(*lead, n, d, seed=4), normal(*lead, n, d_v, seed=5)
        what = f"{CALL} with shapes {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        expected, found = library(q, k, v), causal_attention(q, k, v)
        name_finite_score(causal_attention, found, q, k, v)
        check_close(found, expected, what=what)
    q, k, v = normal(2, 1, 4, 3, seed=6), normal(3, 4, 3, seed=7), normal(4, 2, seed=8)
    expected = library(q.expand(2, 3, 4, 3), k.expand(2, 3, 4, 3), v.expand(2, 3, 4, 2))
    what = f"{CALL} with shapes (2, 1, 4, 3), (3, 4, 3), (4, 2)"
    check_close(causal_attention(q, k, v), expected, what=what)


@test_case(
    name="the future changes nothing",
    points=2,
    hidden=True,
    failure_message="Change the keys and values after position i: the outputs up to i must stay as they "
    "are. Later keys must not even take part in the sum that normalises a row.",
)
def test_future(causal_attention):
    q, k, v = normal(6, 4, seed=9), normal(6, 4, seed=10), normal(6, 3, seed=11)
    whole = check_shape(causal_attention(q, k, v), (6, 3), what=CALL)
    for i in (1, 3, 5):
        later_k, later_v = k.clone(), v.clone()
        later_k[i:], later_v[i:] = 5 * normal(6 - i, 4, seed=12), 100 * normal(6 - i, 3, seed=13)
        # A permitted weight does not change at all; rounding may (1e-15 measured), a leak is above 1e-3.
        what = f"the first {i} outputs of {CALL}, after later keys were changed,"
        assert not torch.equal(causal_attention(q, later_k, v)[i], whole[i]), (
            f"Output {i} of {CALL} did not change when its own key was changed."
        )
        check_close(causal_attention(q, later_k, v)[:i], whole[:i], what=what)
        what = f"the first {i} outputs of {CALL}, after later values were changed,"
        check_close(causal_attention(q, k, later_v)[:i], whole[:i], what=what)


@test_case(
    name="gradients",
    points=2,
    hidden=True,
    failure_message="The output must be differentiable with respect to q, k and v, through the weights "
    "as well as the values; and no gradient may be NaN.",
)
def test_gradients(causal_attention):
    # Gradients of correct float64 forms agree to 1e-14; those of wrong masks differ by more than 1e-2.
    for lead, n, d, d_v in [((2,), 4, 5, 6), ((), 1, 3, 2)]:
        q, k, v = (
            tensor.requires_grad_()
            for tensor in (
                normal(*lead, n, d, seed=14),
                normal(*lead, n, d, seed=15),
                normal(*lead, n, d_v, seed=16),
            )
        )
        check_gradients(causal_attention(q, k, v), library(q, k, v), {"q": q, "k": k, "v": v}, what=CALL)


@test_case(
    name="float32: ordinary and large scores",
    points=2,
    hidden=True,
    failure_message="The result has the dtype of q. exp(150) overflows in float32: subtract each row's "
    "largest score first, of the permitted ones, for a forbidden score may be far larger than they are.",
)
def test_float32(causal_attention):
    # Correct float32 forms differ by up to 1e-6 at n = 8 and 4e-6 anywhere: 1e-6 would fail some of them, 1e-5 none.
    q, k, v = (normal(2, 8, d, seed=seed, dtype=torch.float32) for seed, d in [(17, 6), (18, 6), (19, 5)])
    check_close(causal_attention(q, k, v), library(q, k, v), tolerance=1e-5, what=f"{CALL} in float32")
    # A score of 150 is itself rounded by 1e-5, so weights may differ by that share: 1e-4.
    k, v = torch.eye(3) * math.sqrt(3), torch.tensor([[1.0], [2.0], [3.0]])
    for rows in (
        [[150.0, 149.0, -150.0], [150.0, 149.0, -150.0], [150.0, 149.0, 149.5]],
        [[-150.0, 150.0, 150.0], [-150.0, -149.0, 150.0], [-150.0, -149.0, -150.0]],
    ):
        q = torch.tensor(rows)
        what = f"{CALL} with scores of +-150"
        check_close(causal_attention(q, k, v), library(q, k, v), tolerance=1e-4, what=what)


@test_case(
    name="batches, lengths of 1 and 0, arguments left alone",
    points=1,
    hidden=True,
    failure_message="Elements of a batch are independent; functions return new tensors; a single "
    "position gets its own value, and an empty sequence an empty output.",
)
def test_batch_and_sizes(causal_attention):
    q, k, v = normal(2, 4, 5, seed=20), normal(2, 4, 5, seed=21), normal(2, 4, 1, seed=22)
    copies = q.clone(), k.clone(), v.clone()
    whole = causal_attention(q, k, v)
    check_shape(whole, (2, 4, 1), what=CALL)
    for letter, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{letter} in {CALL}")
    what = "causal_attention of element 1 of a batch, alone and in the batch,"
    check_close(causal_attention(q[1], k[1], v[1]), whole[1], what=what)
    found = causal_attention(q[:, :1], k[:, :1], v[:, :1])
    check_close(found, v[:, :1], what=f"{CALL} with one position")
    check_shape(causal_attention(q[:, :0], k[:, :0], v[:, :0]), (2, 0, 1), what=f"{CALL} with no position")
    found = causal_attention(q[..., :1], k[..., :1], v)
    check_close(found, library(q[..., :1], k[..., :1], v), what=f"{CALL} with d = 1")
    check_shape(causal_attention(q[:0], k[:0], v[:0]), (0, 4, 1), what=f"{CALL} with an empty batch")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: q, k and v are equally long, q and k equally "
    "wide, all have two dimensions or more, and leading dimensions broadcast.",
)
def test_bad_arguments(causal_attention):
    q, k, v = normal(2, 3, 5, seed=23), normal(2, 3, 5, seed=24), normal(2, 3, 4, seed=25)
    check_shape(causal_attention(q, k, v), (2, 3, 4), what=f"{CALL} with arguments that fit")
    refused = {
        "two queries and three keys": (q[:, :2], k, v),
        "three keys and two values": (q, k, v[:, :2]),
        "queries of width 4 and keys of width 5": (q[..., :4], k, v),
        "a width of 0": (q[..., :0], k[..., :0], v),
        "q of one dimension": (q[0, 0], k, v),
        "k of one dimension": (q, k[0, 0], v),
        "v of one dimension": (q, k, v[0, 0]),
        "leading dimensions 2 and 3": (q, torch.cat([k, k[:1]]), v),
        "leading dimensions (2, 1) and (3, 1)": (q[:, None], k[[0, 1, 1], None], v[[0, 1, 1], None]),
        "leading dimensions (2, 1) and (3, 1) of v": (q[:, None], k[:, None], v[[0, 1, 1], None]),
    }
    for text, arguments in refused.items():
        check_raises(ValueError, causal_attention, *arguments, what=f"{CALL} with {text}")
