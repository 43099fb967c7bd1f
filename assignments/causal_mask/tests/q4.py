"""q4: decode_step(q_t, k_cache, v_cache), judged against the last row of the full pass."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "decode_step(q_t, k_cache, v_cache)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def last_row(q_t, k_cache, v_cache):
    """The last row of the library's full causal pass; the earlier queries do not matter to it."""
    earlier = torch.zeros_like(k_cache[..., 1:, :])
    q = torch.cat([earlier, q_t], dim=-2)
    return F.scaled_dot_product_attention(q, k_cache, v_cache, is_causal=True)[..., -1:, :]


@test_case(
    name="one row, and a mean of ones",
    points=1,
    hidden=False,
    failure_message="One query gives one output, as long as a value: (..., 1, d_v), in the dtype of q_t. It is a "
    "weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(decode_step):
    q_t, k, v = normal(2, 1, 5, seed=0), normal(2, 4, 5, seed=1), torch.ones(2, 4, 6, dtype=torch.float64)
    expected = torch.ones(2, 1, 6, dtype=torch.float64)
    check_close(decode_step(q_t, k, v), expected, what=f"{CALL} with values of 1 and shape (2, 4, 6)")


@test_case(
    name="a step worked out by hand",
    points=2,
    hidden=False,
    failure_message="d is 4, so scores are divided by 2: they are 0 and ln 3, the weights 1/4 and 3/4. "
    "The newest query sees every key in the cache.",
)
def test_hand(decode_step):
    q_t = torch.tensor([[2.0, 0, 0, 0]], dtype=torch.float64)
    k = torch.tensor([[0.0, 1, 0, 0], [math.log(3), 0, 1, 0]], dtype=torch.float64)
    v = torch.tensor([[0.0, 4.0], [8.0, 0.0]], dtype=torch.float64)
    check_close(decode_step(q_t, k, v), torch.tensor([[6.0, 1.0]], dtype=torch.float64), what=CALL)


@test_case(
    name="the last row of the full pass, step by step",
    points=3,
    hidden=True,
    failure_message="At step t, the result is row t of causal attention over the whole sequence: every "
    "key of the cache takes part, each with its own value, and the scale is that of q2.",
)
def test_steps(decode_step):
    # Correct float64 forms differ by at most 4.7e-15, wrong ones by more than 1e-2: 1e-9.
    q, k, v = normal(2, 3, 6, 4, seed=3), normal(2, 3, 6, 4, seed=4), normal(2, 3, 6, 5, seed=5)
    whole = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    for t in (1, 2, 4, 6):
        found = decode_step(q[..., t - 1 : t, :], k[..., :t, :], v[..., :t, :])
        check_close(found, whole[..., t - 1 : t, :], what=f"{CALL} with t = {t}")


@test_case(
    name="without leading dimensions, and with those that broadcast",
    points=1,
    hidden=True,
    failure_message="Work on the last two dimensions; leading ones broadcast, as with one cache shared by a batch.",
)
def test_leading(decode_step):
    q_t, k, v = normal(1, 3, seed=6), normal(5, 3, seed=7), normal(5, 2, seed=8)
    check_close(decode_step(q_t, k, v), last_row(q_t, k, v), what=f"{CALL} with matrices")
    q_t = normal(4, 1, 3, seed=9)
    expected = last_row(q_t, k.expand(4, 5, 3), v.expand(4, 5, 2))
    check_close(decode_step(q_t, k, v), expected, what=f"{CALL} with shapes (4, 1, 3), (5, 3), (5, 2)")
    check_close(
        decode_step(q_t[2:3], k, v), expected[2:3], what="decode_step of one element of a batch, alone,"
    )


@test_case(
    name="gradients",
    points=2,
    hidden=True,
    failure_message="The result must be differentiable with respect to the query and both caches.",
)
def test_gradients(decode_step):
    # As in q2: correct forms agree to 1e-14.
    q_t, k, v = (
        tensor.requires_grad_()
        for tensor in (normal(2, 1, 4, seed=10), normal(2, 3, 4, seed=11), normal(2, 3, 5, seed=12))
    )
    inputs = {"q_t": q_t, "k_cache": k, "v_cache": v}
    check_gradients(decode_step(q_t, k, v), last_row(q_t, k, v), inputs, what=CALL)


@test_case(
    name="float32: ordinary and large scores",
    points=1,
    hidden=True,
    failure_message="The result has the dtype of q_t. exp(150) overflows in float32: subtract the largest score first.",
)
def test_float32(decode_step):
    # As in q2: 1e-5 for ordinary scores; those of 150 are themselves rounded by 1e-5.
    q_t, k, v = (normal(2, n, 6, seed=seed, dtype=torch.float32) for seed, n in [(13, 1), (14, 7), (15, 7)])
    check_close(decode_step(q_t, k, v), last_row(q_t, k, v), tolerance=1e-5, what=f"{CALL} in float32")
    k, v = torch.eye(3) * math.sqrt(3), torch.tensor([[1.0], [2.0], [3.0]])
    for row in ([150.0, 149.0, -150.0], [-150.0, -149.5, -150.0]):
        q_t = torch.tensor([row])
        what = f"{CALL} with scores of +-150"
        check_close(decode_step(q_t, k, v), last_row(q_t, k, v), tolerance=1e-4, what=what)


@test_case(
    name="the first step, and arguments left alone",
    points=1,
    hidden=True,
    failure_message="At the first step the cache holds the step itself: the result is its value. Append "
    "nothing to the caches and change nothing in them.",
)
def test_first_step(decode_step):
    q_t, k, v = normal(2, 1, 3, seed=16), normal(2, 4, 3, seed=17), normal(2, 4, 2, seed=18)
    check_close(decode_step(q_t, k[:, :1], v[:, :1]), v[:, :1], what=f"{CALL} with t = 1")
    copies = q_t.clone(), k.clone(), v.clone()
    check_close(decode_step(q_t, k, v), last_row(q_t, k, v), what=CALL)
    for label, before, after in zip(("q_t", "k_cache", "v_cache"), copies, (q_t, k, v), strict=True):
        check_unchanged(before, after, what=f"{label} in {CALL}")
    check_shape(decode_step(q_t[:0], k[:0], v[:0]), (0, 1, 2), what=f"{CALL} with an empty batch")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: there is one query, a cache that holds step t, as "
    "many values as keys, and one width.",
)
def test_bad_arguments(decode_step):
    q_t, k, v = normal(2, 1, 5, seed=19), normal(2, 3, 5, seed=20), normal(2, 3, 4, seed=21)
    check_shape(decode_step(q_t, k, v), (2, 1, 4), what=f"{CALL} with arguments that fit")
    refused = {
        "two queries": (k[:, :2], k, v),
        "no query": (q_t[:, :0], k, v),
        "empty caches": (q_t, k[:, :0], v[:, :0]),
        "three keys and two values": (q_t, k, v[:, :2]),
        "a query of width 4 and keys of width 5": (q_t[..., :4], k, v),
        "leading dimensions 2 and 3": (q_t, torch.cat([k, k[:1]]), v),
        "q_t of one dimension": (q_t[0, 0], k, v),
        "k_cache of one dimension": (q_t, k[0, 0], v),
        "v_cache of one dimension": (q_t, k, v[0, 0]),
        "leading dimensions 2 and 3 of v_cache": (q_t, k, v[[0, 1, 1]]),
    }
    for text, arguments in refused.items():
        check_raises(ValueError, decode_step, *arguments, what=f"{CALL} with {text}")
