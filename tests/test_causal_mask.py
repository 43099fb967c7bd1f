"""The causal_mask assignment through the real grader: what every assignment must, plain code, and dishonest times."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import pytest

from autograder import suite
from autograder.assignment import load
from autograder.diagnosis import load_reference
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("causal_mask", ROOT)
pytestmark = pytest.mark.slow
grade = grading(ASSIGNMENT)

# A library answer, and the questions that it loses for it. q5 must call the library: it is in all right answers.
LIBRARY = {
    "functional": ("q2 q3 q5", "def causal_attention(q, k, v):\n"
                   "    return F.scaled_dot_product_attention(q, k, v, is_causal=True)\n"),
    "operator": ("q2 q3 q5", "def causal_attention(q, k, v):\n"
                 "    return torch.ops.aten.scaled_dot_product_attention(q, k, v, is_causal=True)\n"),
    "binding": ("q2 q3 q5", "def causal_attention(q, k, v):\n"
                "    return torch._C._nn.scaled_dot_product_attention(q, k, v, is_causal=True)\n"),
    "influence": ("q3", "def influence(q, k, v):\n"
                  "    f = lambda values: F.scaled_dot_product_attention(q, k, values, is_causal=True)\n"
                  "    return torch.autograd.functional.jacobian(f, v).square().sum((1, 3)).sqrt()\n"),
    "step": ("q4", "def decode_step(q_t, k_cache, v_cache):\n"
             "    return F.scaled_dot_product_attention(q_t, k_cache, v_cache)\n"),
}  # fmt: skip

# misconception: (visible entry, entry that is published later) of its question
FEEDBACK = {
    "upper_left": (
        """\
Your `causal_mask` behaves exactly like a cache aligned at the upper left instead of the lower right.
Hint: The newest query belongs to the newest key: the last row must see everything. By how much is the border moved?

passed: shape, dtype and diagonal (1 of 1)
passed: three positions (2 of 2)
FAILED: two new positions after a cache of two (0 of 2)
    causal_mask(2, 4) is wrong in 4 of 8 entries. The first one is at index [0, 1]: may query 0 attend to key 1? True was expected, False found.
    Hint: The newest query belongs to the newest key: the lower right corner is the fixed point, and the last row sees everything.\
""",
        """\
FAILED: other lengths (0 of 2)
    causal_mask(3, 8) is wrong in 15 of 24 entries. The first one is at index [0, 1]: may query 0 attend to key 1? True was expected, False found.
    Hint: Query i may see key j if j <= i + (m - n).
FAILED: with a cache, the last rows of the whole triangle (0 of 2)
    causal_mask(1, 9) is wrong in 8 of 9 entries. The first one is at index [0, 1]: may query 0 attend to key 1? True was expected, False found.
    Hint: A cache changes what is computed, not who sees whom: the mask for n new positions is the last n rows of the mask for all m.
passed: no query, no key (1 of 1)
passed: lengths that are refused (2 of 2)\
""",
    ),
    "normalised_over_all_keys": (
        """\
Your `causal_attention` behaves exactly like weights normalised over all keys, later ones included: the mask came after the softmax.
Hint: What is left of a row does not sum to 1, and later keys still act through the sum that it was divided by.

FAILED: shape and dtype, and means of ones (0 of 1)
    causal_attention(q, k, v) with values of 1 and shape (2, 4, 6) is wrong in 36 of 48 numbers. The first one is at index [0, 0, 0]: expected 1, found 0.468289. The largest error is 0.82; 1e-09 is allowed.
    Hint: There is one output for each position, as long as a value: (..., n, d_v), in the dtype of q. Each is a weighted mean of values, so where all values are 1, it is 1.
FAILED: running means (0 of 3)
    causal_attention(q, k, v) with q and k of zeros is wrong in 2 of 3 numbers. The first one is at index [0, 0]: expected 6, found 2. The largest error is 4; 1e-09 is allowed.
    Hint: All scores are 0, so each position takes the plain mean of its own value and those before it: 6, then (6 + 0) / 2, then (6 + 0 + 3) / 3.
FAILED: a mean worked out by hand (0 of 3)
    causal_attention(q, k, v) is wrong in 3 of 6 numbers. The first one is at index [0, 0]: expected 4, found 0.282038. The largest error is 23; 1e-09 is allowed.
    Hint: d is 4, so scores are divided by 2. The second position has the scores ln 3 and 0, the exponentials 3 and 1 and the weights 3/4 and 1/4; the third key is in its future.\
""",
        """\
FAILED: values, with and without leading dimensions (0 of 3)
    causal_attention(q, k, v) with shapes (2, 3, 5, 6), (2, 3, 5, 6), (2, 3, 5, 2) is wrong in 48 of 60 numbers. The first one is at index [0, 0, 0, 0]: expected 0.823571, found 0.183961. The largest error is 1.3; 1e-09 is allowed.
    Hint: Check which size stands under the root, over which axis the softmax runs, and that forbidden scores are -inf before it. Leading dimensions are a stack of independent problems, and broadcast.
FAILED: the future changes nothing (0 of 2)
    the first 1 outputs of causal_attention(q, k, v), after later keys were changed, is wrong in 3 of 3 numbers. The first one is at index [0, 0]: expected 0.0292975, found 0.0127748. The largest error is 0.11; 1e-09 is allowed.
    Hint: Change the keys and values after position i: the outputs up to i must stay as they are. Later keys must not even take part in the sum that normalises a row.
FAILED: gradients (0 of 2)
    the gradient of causal_attention(q, k, v) with respect to q is wrong in 30 of 40 numbers. The first one is at index [0, 0, 0]: expected 0, found -0.0280743. The largest error is 0.19; 1e-09 is allowed.
    Hint: The output must be differentiable with respect to q, k and v, through the weights as well as the values; and no gradient may be NaN.
FAILED: float32: ordinary and large scores (0 of 2)
    causal_attention(q, k, v) in float32 is wrong in 70 of 80 numbers. The first one is at index [0, 0, 0]: expected 1.55074, found 0.192197. The largest error is 1.4; 1e-05 is allowed.
    Hint: The result has the dtype of q. exp(150) overflows in float32: subtract each row's largest score first, of the permitted ones, for a forbidden score may be far larger than they are.
FAILED: batches, lengths of 1 and 0, arguments left alone (0 of 1)
    causal_attention(q, k, v) with d = 1 is wrong in 6 of 8 numbers. The first one is at index [0, 0, 0]: expected 1.03022, found 0.0254196. The largest error is 2.4; 1e-09 is allowed.
    Hint: Elements of a batch are independent; functions return new tensors; a single position gets its own value, and an empty sequence an empty output.
passed: arguments that do not fit (1 of 1)\
""",
    ),
}  # fmt: skip


class TestCausalMask(Standard):
    assignment = ASSIGNMENT
    figures = 4
    library = LIBRARY
    letters = FEEDBACK
    seen_by_tests = ("finite_score",)


PLAIN = """
def causal_attention(q, k, v):
    n = q.shape[-2]
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    weights = torch.softmax(scores.masked_fill(~torch.tril(torch.ones(n, n)).bool(), float("-inf")), dim=-1)
    return weights @ v
"""
PLAIN_MISTAKES = {
    "no_scale": (" / math.sqrt(q.shape[-1])", ""),
    "scaled_by_d": ("math.sqrt(q.shape[-1])", "q.shape[-1]"),
    "scaled_by_n": ("math.sqrt(q.shape[-1])", "math.sqrt(n)"),
    "finite_score": ('float("-inf")', "-10.0"),
    "looks_ahead": ("tril(", "triu("),
    "itself_left_out": ("torch.ones(n, n))", "torch.ones(n, n), -1)"),
    "over_queries": ("dim=-1)", "dim=-2)"),
    "weights_detached": ("dim=-1)", "dim=-1).detach()"),
}


@pytest.mark.parametrize("key", PLAIN_MISTAKES)
def test_plain_mistakes_are_named(grade, key):
    """As students write it: no argument is checked, and NaN where a row is forbidden throughout."""
    graded = grade(right_but(ASSIGNMENT, PLAIN.replace(*PLAIN_MISTAKES[key])))
    assert graded.diagnoses["q2"] == key, graded.text("q2")


EMPTY = """
def causal_mask(n, m=None):
    return {mask}
def causal_attention(q, k, v):
    return {values}
def influence(q, k, v):
    return {influence}
def decode_step(q_t, k_cache, v_cache):
    return {values}[..., -1:, :]
def time_attention(n, d, repeats):
    return {times}
"""
WITHOUT_CONTENT = {
    "zeros": (1, ["torch.zeros(n, m or n).bool()", "0 * v", "torch.zeros(len(v), len(v)).to(v)", "dict.fromkeys('abc', 0.0)"]),
    "NaN": (0, ["torch.zeros(n, m or n) / 0", "v * math.nan", "torch.zeros(len(v), len(v)).to(v) / 0", "math.nan"]),
    "refusals": (0, ["require(False, 'no')"] * 4),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_CONTENT)
def test_answers_without_content(grade, name):
    """What knows nothing of the question earns nothing (one point: the mask of no query is empty)."""
    at_most, (mask, values, influence, times) = WITHOUT_CONTENT[name]
    answer = EMPTY.format(mask=mask, values=values, influence=influence, times=times).replace(
        "v_cache):\n", "v):\n"
    )
    graded = grade(right_but(ASSIGNMENT, answer))
    assert graded.report["score"] <= at_most, graded.scores


TIMES = """
import time
def clock(call, repeats):
    readings = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        readings.append(time.perf_counter() - start)
    return sorted(readings)[repeats // 2]
def time_attention(n, d, repeats):
    if min(n, d, repeats) < 1:
        raise ValueError("too small")
    q, k, v = (torch.randn(1, 1, n, d) for _ in range(3))
    mine = lambda: causal_attention(q, k, v)
    library = lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True)
    own, other = clock({own}, repeats), clock({other}, repeats)
    {last}
    return {{"own_seconds": own, "torch_seconds": other, "ratio": {ratio}}}
"""
DISHONEST = {  # what is wrong with the times: (differences, phrase of the feedback)
    "library_never_timed": ({"other": "mine"}, "F.scaled_dot_product_attention did not run"),
    "own_never_timed": ({"own": "library"}, "No softmax of your own ran"),
    "ratio_upside_down": ({"ratio": "other / own"}, "but own_seconds / torch_seconds is"),
    "sums": ({"last": "own, other = repeats * own, repeats * other"}, "seconds in all, but"),
    "milliseconds": ({"last": "own, other = 1000 * own, 1000 * other"}, "seconds in all, but"),
    "invented": ({"last": "own, other = 1e-5, 2e-5"}, "a longer sequence must take longer"),
    "zero": ({"last": "own = 0.0"}, "a number above 0, and finite"),
}
RIGHT_TIMES = {"own": "mine", "other": "library", "last": "pass", "ratio": "own / other"}


def test_times_in_plain_form_are_right(grade):
    """What the dishonest ones are made from earns everything."""
    graded = grade(right_but(ASSIGNMENT, TIMES.format(**RIGHT_TIMES)))
    assert graded.lost == {}, graded.why


@pytest.mark.parametrize("name", DISHONEST)
def test_dishonest_times(grade, name):
    """Times that are not those of both functions lose q5 and nothing else."""
    changes, says = DISHONEST[name]
    graded = grade(right_but(ASSIGNMENT, TIMES.format(**{**RIGHT_TIMES, **changes})))
    assert set(graded.lost) == {"q5"}, graded.why
    assert says in graded.text("q5")


def test_plain_otter_sees_the_same():
    """The cases of q5 listen to functions of the same process too: the reference passes, dishonest times do not."""
    names = load_reference(ASSIGNMENT)
    file = suite.load(ASSIGNMENT)["q5"]
    file.run(names)
    assert all(r.passed for r in file.test_case_results), [r.message for r in file.test_case_results]
    exec(TIMES.format(**{**RIGHT_TIMES, "other": "mine"}), names)
    file.run(names)
    assert "did not run" in file.test_case_results[0].message
