"""q6: score_rank(q, k), and low_rank_attention(q, k, v, rank)."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_int, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def with_singular_values(values, l_q, l_k, d_k):
    """Return q and k for which q k^T has these singular values, with neither of them diagonal.

    The values asked for are far from the threshold of 1e-10 of the largest: 1e-8 counts, 1e-12 does not, and float64
    rounding of the product is near 1e-16. A product taken in float32 has rounding near 1e-7, which would count.
    """
    left, right = (torch.linalg.qr(normal(n, len(values), seed=n))[0] for n in (l_q, l_k))
    turn = torch.linalg.qr(normal(d_k, len(values), seed=0))[0]
    return left * torch.tensor(values, dtype=torch.float64) @ turn.T, right @ turn.T


def oracle(q, k, v, rank):
    """What is expected. When the singular values are well apart, as here, float64 forms agree to 1e-14; hence 1e-9."""
    u, s, vh = torch.linalg.svd(q @ k.mT / math.sqrt(q.shape[-1]), full_matrices=False)
    s = torch.where(torch.arange(s.shape[-1]) < rank, s, 0)
    return (u * s.unsqueeze(-2) @ vh).softmax(-1) @ v


@test_case(
    name="a rank worked out by hand",
    points=2,
    hidden=False,
    failure_message="Every row of q is a multiple of (1, 2), so every row of q k^T is a multiple of the same "
    "row: the rank is 1.",
)
def test_hand(score_rank):
    q = torch.tensor([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]], dtype=torch.float64)
    k = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [5.0, -2.0]], dtype=torch.float64)
    check_int(score_rank(q, k), 1, what="score_rank(q, k)")


@test_case(
    name="shape of the low-rank output",
    points=1,
    hidden=False,
    failure_message="One output for each query, as long as a value: (L_q, d_v), in the dtype of q. It is a "
    "weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(low_rank_attention):
    q, k, v = normal(4, 3, seed=1), normal(5, 3, seed=2), torch.ones(5, 2, dtype=torch.float64)
    expected = torch.ones(4, 2, dtype=torch.float64)
    what = "low_rank_attention(q, k, v, rank=1) with values of 1"
    check_close(low_rank_attention(q, k, v, 1), expected, what=what)


@test_case(
    name="with nothing cut off it is attention",
    points=1,
    hidden=False,
    failure_message="q k^T / sqrt(d_k) has rank 3 at most here, so its best approximation of rank 3 is "
    "itself.",
)
def test_full_rank(low_rank_attention):
    q, k, v = normal(4, 3, seed=4), normal(5, 3, seed=5), normal(5, 2, seed=6)
    expected = F.scaled_dot_product_attention(q, k, v)
    check_close(
        low_rank_attention(q, k, v, 3), expected, what="low_rank_attention(q, k, v, rank=3) with d_k = 3"
    )


@test_case(
    name="ranks of matrices with known singular values",
    points=2,
    hidden=True,
    failure_message="Count the singular values of q k^T above 1e-10 times the largest one: a share of the "
    "largest, not an absolute number, and computed in float64 whatever the dtype of q.",
)
def test_ranks(score_rank):
    for values, rank in [
        ((1.0, 1e-3, 1e-8), 3),
        ((1.0, 0.5, 1e-12), 2),
        ((1e-9, 3e-10, 1e-15), 3),
        ((1e9, 3e8, 1e-3), 2),
    ]:
        q, k = with_singular_values(values, 6, 7, 5)
        check_int(score_rank(q, k), rank, what=f"score_rank(q, k), with singular values {values} of q k^T,")
    q, k = normal(8, 2, seed=7, dtype=torch.float32), normal(7, 2, seed=8, dtype=torch.float32)
    check_int(score_rank(q, k), 2, what="score_rank(q, k) in float32 with d_k = 2")


@test_case(
    name="rank zero, and arguments left alone",
    points=1,
    hidden=True,
    failure_message="When all scores are zero no singular value exceeds 1e-10 times the largest, so the rank "
    "is 0. It is 0 as well if there are no scores.",
)
def test_zero(score_rank, low_rank_attention):
    q, k, v = torch.zeros(3, 5, dtype=torch.float64), normal(4, 5, seed=9), normal(4, 2, seed=10)
    check_int(score_rank(q, k), 0, what="score_rank(q, k) with q = 0")
    check_int(score_rank(q[:0], k), 0, what="score_rank(q, k) with no query")
    copies = q.clone(), k.clone(), v.clone()
    found = low_rank_attention(q, k, v, 2)
    check_close(found, v.mean(0).expand(3, 2), what="low_rank_attention(q, k, v, rank=2) with q = 0")
    for letter, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{letter} in low_rank_attention(q, k, v, 2)")


@test_case(
    name="the best approximation of the scores",
    points=2,
    hidden=True,
    failure_message="Keep the largest `rank` singular values of q k^T / sqrt(d_k), set the others to 0, "
    "multiply back, and only then take the softmax.",
)
def test_best_approximation(low_rank_attention):
    q, k, v = normal(6, 5, seed=11), normal(7, 5, seed=12), normal(7, 3, seed=13)
    for rank in (1, 4, 6):
        what = f"low_rank_attention(q, k, v, rank={rank})"
        expected = oracle(q, k, v, rank)
        check_close(low_rank_attention(q, k, v, rank), expected, what=what)
    q, k, v = (torch.stack([a, a.flip(0)]).float() for a in (q, k, v))
    what = "low_rank_attention(q, k, v, rank=3) in float32 with a leading dimension"
    expected = oracle(q, k, v, 3)
    check_close(low_rank_attention(q, k, v, 3), expected, tolerance=1e-5, what=what)


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when shapes do not fit together or the rank is out of "
    "range.",
)
def test_bad_arguments(score_rank, low_rank_attention):
    q, k, v = normal(3, 5, seed=14), normal(4, 5, seed=15), normal(4, 2, seed=16)
    check_int(score_rank(q, k), 3, what="score_rank(q, k) with arguments that fit")
    fitting = low_rank_attention(q, k, v, 1)
    check_shape(fitting, (3, 2), what="low_rank_attention(q, k, v, 1) with arguments that fit")
    for other_q, other_k in [(q, k[:, :4]), (q[:, :0], k[:, :0]), (q[None], k[None]), (q, k[0])]:
        what = f"score_rank(q, k) with shapes {tuple(other_q.shape)} and {tuple(other_k.shape)}"
        check_raises(ValueError, score_rank, other_q, other_k, what=what)
    for rank in (0, 4):
        what = f"low_rank_attention(q, k, v, rank={rank}) with 3 queries and 4 keys"
        check_raises(ValueError, low_rank_attention, q, k, v, rank, what=what)
    what = "low_rank_attention(q, k, v, rank=4) with 4 queries and 3 keys"
    check_raises(ValueError, low_rank_attention, k, q, v[:3], 4, what=what)
    what = "low_rank_attention(q, k, v, 2) with 4 keys and 3 values"
    check_raises(ValueError, low_rank_attention, q, k, v[:3], 2, what=what)
    what = "score_rank(q, k) with shapes (2, 3, 5) and (2, 4, 5)"
    q, k, v = q.expand(2, 3, 5), k.expand(2, 4, 5), v.expand(3, 4, 2)
    check_raises(ValueError, score_rank, q, k, what=what)
    what = "low_rank_attention(q, k, v, 2) with shapes (2, 3, 5), (2, 4, 5) and (3, 4, 2)"
    check_raises(ValueError, low_rank_attention, q, k, v, 2, what=what)
