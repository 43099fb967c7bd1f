"""q3: influence(q, k, v), the norms of the Jacobians of causal attention: the executable proof of w1."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "influence(q, k, v)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def closed_form(q, k, v):
    """d out_i / d v_j is A_ij times the identity, whose norm is the root of d_v (w1, part 2)."""
    future = torch.ones(len(q), len(q), dtype=torch.bool).triu(1)
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(future, -math.inf)
    return scores.softmax(-1) * math.sqrt(v.shape[-1])


@test_case(
    name="one number for each pair of positions",
    points=1,
    hidden=False,
    failure_message="Return a matrix (n, n): entry [i, j] says how strongly output i responds to value j.",
)
def test_shape(influence):
    check_shape(
        influence(normal(4, 3, seed=0), normal(4, 3, seed=1), normal(4, 2, seed=2)), (4, 4), what=CALL
    )


@test_case(
    name="Jacobians worked out by hand",
    points=2,
    hidden=False,
    failure_message="All scores are 0, so the Jacobians are 1, 1/2 and 1/3 times the identity of size "
    "4; the root of the sum of its squared entries is 2.",
)
def test_hand(influence):
    q, v = torch.zeros(3, 1, dtype=torch.float64), normal(3, 4, seed=3)
    expected = torch.tensor([[2.0, 0, 0], [1, 1, 0], [2 / 3, 2 / 3, 2 / 3]], dtype=torch.float64)
    check_close(influence(q, q, v), expected, what="influence(q, k, v) with q and k of zeros and d_v = 4")


@test_case(
    name="zero above the diagonal",
    points=2,
    hidden=False,
    failure_message="No path may lead from a later value to an earlier output. If your causal_attention "
    "passes its checks, look at which index of the result belongs to the output.",
)
def test_zero(influence):
    found = check_shape(
        influence(normal(6, 4, seed=4), normal(6, 4, seed=5), normal(6, 3, seed=6)), (6, 6), what=CALL
    )
    # Exactly 0 in most forms; a forbidden score of -1e4 leaves 0 too. 1e-12 is far below the smallest real influence.
    check_close(
        found.triu(1), torch.zeros_like(found), tolerance=1e-12, what=f"what {CALL} has above the diagonal"
    )


@test_case(
    name="equal to the closed form",
    points=3,
    hidden=True,
    failure_message="Differentiate every component of every output with respect to v, square, sum over "
    "both indices of the Jacobian, and take the root.",
)
def test_values(influence):
    # Autograd and the closed form agree to 1e-15; a missing root, component or transposition costs more than 1e-2.
    for n, d, d_v in [(5, 3, 4), (6, 8, 2), (4, 2, 1)]:
        q, k, v = normal(n, d, seed=7), normal(n, d, seed=8), normal(n, d_v, seed=9)
        what = f"{CALL} with n = {n}, d = {d}, d_v = {d_v}"
        check_close(influence(q, k, v), closed_form(q, k, v), what=what)


@test_case(
    name="large values, large scores, float32",
    points=2,
    hidden=True,
    failure_message="The result has the dtype of v. Attention is linear in the values, so their size "
    "does not matter; scores of +-150 must give no NaN.",
)
def test_float32(influence):
    # Weights of correct float32 forms differ by up to 1e-6 at these sizes (a score of 150 by 1e-5): 1e-5 and 1e-4.
    q, k, v = (normal(5, d, seed=seed, dtype=torch.float32) for seed, d in [(10, 6), (11, 6), (12, 3)])
    check_close(influence(q, k, 1e6 * v), closed_form(q, k, v), tolerance=1e-5, what=f"{CALL} in float32")
    q = torch.tensor([[-150.0, 150.0, 150.0], [150.0, 149.0, -150.0], [-150.0, -149.0, -150.0]])
    k, v = torch.eye(3) * math.sqrt(3), normal(3, 2, seed=13, dtype=torch.float32)
    what = f"{CALL} with scores of +-150"
    check_close(influence(q, k, v), closed_form(q, k, v), tolerance=1e-4, what=what)


@test_case(
    name="arguments left alone, lengths of 1 and 0, arguments that are refused",
    points=2,
    hidden=True,
    failure_message="Work on a copy of v. One position has the influence sqrt(d_v) on itself, none "
    "gives an empty matrix. Raise ValueError unless all three are matrices that fit.",
)
def test_sizes(influence):
    q, k, v = normal(3, 2, seed=14), normal(3, 2, seed=15), normal(3, 5, seed=16)
    copies = q.clone(), k.clone(), v.clone()
    check_close(influence(q, k, v), closed_form(q, k, v), what=CALL)
    for letter, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{letter} in {CALL}")
    check_close(
        influence(q[:1], k[:1], v[:1]), closed_form(q[:1], k[:1], v[:1]), what=f"{CALL} with one position"
    )
    check_shape(influence(q[:0], k[:0], v[:0]), (0, 0), what=f"{CALL} with no position")
    check_raises(ValueError, influence, q[None], k[None], v[None], what=f"{CALL} with three dimensions")
    check_raises(ValueError, influence, q, k, v[:2], what=f"{CALL} with three keys and two values")
    check_raises(ValueError, influence, q[:2], k, v, what=f"{CALL} with two queries and three keys")
