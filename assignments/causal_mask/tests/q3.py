"""q3: influence(q, k, v), the norms of the Jacobians of causal attention: the executable proof of w1."""

import math
from contextlib import suppress

import torch
from otter.test_files import test_case
from torch.overrides import TorchFunctionMode

from autograder.checks import Mistake, check_close, check_raises, check_shape, check_unchanged

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


class Listening(TorchFunctionMode):
    """While it is active, it collects the names of the torch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def functions_run(function, *args):
    """What the call returned, and the names of the torch functions that ran in it."""
    with Listening() as listening:
        found = function(*args)
    # In the grader, your code runs in a process of its own, which keeps the same list under full names.
    elsewhere = {path.split(".")[-1] for path in getattr(function, "operators", ()) if "::" not in path}
    return found, listening.names | elsewhere


# One of these runs whenever something is differentiated: by grad or backward, torch.func, or in forward mode.
AUTOGRAD = {"grad", "backward", "_make_dual"}


# This case comes first: the grader writes down all functions only in the first call of a question.
@test_case(
    name="one number for each pair of positions, by autograd",
    points=1,
    hidden=False,
    failure_message="Return a matrix (n, n): entry [i, j] says how strongly output i responds to value j. It is to be "
    "found by differentiating your causal_attention, so that it checks w1 instead of repeating it.",
)
def test_shape(influence):
    q, k, v = normal(4, 3, seed=0), normal(4, 3, seed=1), normal(4, 2, seed=2)
    found, names = functions_run(influence, q, k, v)
    check_shape(found, (4, 4), what=CALL)
    assert names & AUTOGRAD, f"Nothing was differentiated in {CALL}: neither grad nor backward ran."


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
    assert (found.diagonal() > 0).all(), (
        f"The diagonal of {CALL} is {found.diagonal().tolist()}: each output responds to its own value."
    )
    # Exactly 0 in most forms; a forbidden score of -1e4 leaves 0 too. 1e-12 is far below the smallest real influence.
    check_close(
        found.triu(1), torch.zeros_like(found), tolerance=1e-12, what=f"what {CALL} has above the diagonal"
    )


def own_influence(q, k, v, causal_attention):
    """The norms for the student's causal_attention, whatever it computes: q2 is judged elsewhere."""
    leaf = v.clone().requires_grad_()
    out = check_shape(causal_attention(q, k, leaf), v.shape, what="causal_attention(q, k, v)")
    rows = [torch.autograd.grad(number, leaf, retain_graph=True)[0] for number in out.flatten()]
    return torch.stack(rows).reshape(*v.shape, *v.shape).square().sum((1, 3)).sqrt()


def check_influence(found, q, k, v, causal_attention, what):
    """Pass if these are the norms by the closed form, or those of the student's own attention."""
    try:
        check_close(found, closed_form(q, k, v), what=what)
    except AssertionError:
        with suppress(Exception):
            check_close(found, own_influence(q, k, v, causal_attention), what=what)
            return
        raise


@test_case(
    name="equal to the closed form, by autograd",
    points=3,
    hidden=True,
    failure_message="Differentiate every component of every output with respect to v, square, sum over "
    "both indices of the Jacobian, and take the root.",
)
def test_values(influence, causal_attention):
    # Autograd and the closed form agree to 1e-15; a missing root, component or transposition costs more than 1e-2.
    for n, d, d_v in [(5, 3, 4), (6, 8, 2), (4, 2, 1)]:
        q, k, v = normal(n, d, seed=7), normal(n, d, seed=8), normal(n, d_v, seed=9)
        what = f"{CALL} with n = {n}, d = {d}, d_v = {d_v}"
        found, names = functions_run(influence, q, k, v)
        check_influence(found, q, k, v, causal_attention, what)
        if not names & AUTOGRAD:
            raise Mistake(
                "by_formula", f"Nothing was differentiated in {CALL}: neither grad nor backward ran."
            )


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
    name="arguments left alone, lengths of 1 and 0",
    points=1,
    hidden=True,
    failure_message="Work on a copy of v. One position has the influence sqrt(d_v) on itself, none "
    "gives an empty matrix.",
)
def test_sizes(influence, causal_attention):
    q, k, v = normal(3, 2, seed=14), normal(3, 2, seed=15), normal(3, 5, seed=16)
    copies = q.clone(), k.clone(), v.clone()
    check_influence(influence(q, k, v), *copies, causal_attention, CALL)
    for letter, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{letter} in {CALL}")
    check_close(
        influence(q[:1], k[:1], v[:1]), closed_form(q[:1], k[:1], v[:1]), what=f"{CALL} with one position"
    )
    check_shape(influence(q[:0], k[:0], v[:0]), (0, 0), what=f"{CALL} with no position")


@test_case(
    name="arguments that are refused",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message unless all three are matrices that fit. What does not fit may be "
    "left to your causal_attention, if that refuses it.",
)
def test_bad_arguments(influence):
    q, k, v = normal(3, 2, seed=14), normal(3, 2, seed=15), normal(3, 5, seed=16)
    check_shape(influence(q, k, v), (3, 3), what=f"{CALL} with arguments that fit")
    check_raises(ValueError, influence, q[None], k[None], v[None], what=f"{CALL} with three dimensions")
    check_raises(ValueError, influence, q, k, v[:2], what=f"{CALL} with three keys and two values")
    check_raises(ValueError, influence, q[:2], k, v, what=f"{CALL} with two queries and three keys")
