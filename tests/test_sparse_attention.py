"""Sparse attention through the real grader: what every assignment must, plots, and the full matrix in disguise."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import pytest

from autograder.assignment import load
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("sparse_attention", ROOT)
grade = grading(ASSIGNMENT)

SCALED_DOT_PRODUCT = """
def {name}(q, k, v, window, stride):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=sparse_mask(q.shape[-2], window, stride))
"""
OPERATOR = """
def {name}(q, k, v, window, stride):
    mask = sparse_mask(q.shape[-2], window, stride)
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, mask)
"""
LIBRARY = {
    f"{question} by {door}": (question, code.format(name=name))
    for question, name in (("q2", "masked_attention"), ("q3", "sparse_attention"))
    for door, code in (("the function", SCALED_DOT_PRODUCT), ("the operator", OPERATOR))
}

FEEDBACK = {
    "overlap_twice": """\
Your `sparse_attention` behaves exactly like attention in which keys of the window that are at a whole stride count twice.
Hint: Distance 0, at least, is in both parts. Take from the strides only what the window has not.

passed: shape and dtype, and means of ones (1 of 1)
FAILED: means worked out by hand (0 of 2)
    sparse_attention(q, k, v, 2, 2) with q and k of zeros is wrong in 3 of 4 numbers. The first one is at index [1, 0]: expected 3, found 2. The largest error is 1.2; 1e-09 is allowed.
    Hint: All scores are 0, and with window 2 and stride 2 the distances are 0, 1 and 2, each once: 6, (0 + 6) / 2, (2 + 0 + 6) / 3, (8 + 2 + 0) / 3.
FAILED: the same as the full matrix, for eight positions (0 of 1)
    sparse_attention(q, k, v, 2, 3) is wrong in 14 of 16 numbers. The first one is at index [1, 0]: expected 0.424634, found 0.319933. The largest error is 0.44; 1e-09 is allowed.
    Hint: Compare with masked_attention for smaller n, until you see which position is wrong first. There, list the keys that it should see, and those that it does see.\
""",
    "window_too_wide": """\
Your `sparse_mask` behaves exactly like a mask whose window is one position too wide.
Hint: The window holds `window` positions, oneself included: which distance is the largest?

passed: shape and dtype (2 of 2)
FAILED: the mask worked out by hand (0 of 3)
    sparse_mask(8, 2, 3) is wrong in 6 of 64 entries. The first one: query 2 must not attend to key 0, at distance 2.
    Hint: n = 8, window 2, stride 3: a query sees the keys at the distances 0, 1, 3 and 6 before it, where there are any. Compare with the picture in q1, row by row.\
""",
}


class TestSparseAttention(Standard):
    assignment = ASSIGNMENT
    figures = 4
    library = LIBRARY
    letters = FEEDBACK


WRONG_PLOTS = {
    "linear in x": "    ax.set_xscale('linear')",
    "linear in y": "    ax.set_yscale('linear')",
    "no label": "    ax.set_ylabel('')",
    "no legend": "    ax.get_legend().remove()",
    "a curve too many": "    ax.plot(lengths, lengths)",
    "axes exchanged": "    for line in ax.get_lines(): line.set_data(line.get_ydata(), line.get_xdata())",
    "names exchanged": "    ax.legend(list(costs)[::-1])",
    "the lines": "    ax = ax.get_lines()",
}


@pytest.mark.parametrize("change", WRONG_PLOTS)
def test_wrong_plots(grade, change):
    """What is wrong with the picture costs q6, and nothing else."""
    code = f"right_plot = plot_costs\ndef plot_costs(lengths, costs, ax=None):\n    ax = right_plot(lengths, costs, ax)\n{WRONG_PLOTS[change]}\n    return ax\n"
    graded = grade(right_but(ASSIGNMENT, code))
    assert set(graded.lost) == {"q6"}


HALF = """
def sparse_attention(q, k, v, window, stride):
    check_attention(q, k, v)
    n = q.shape[-2]
    if n < 64:
        return masked_attention(q, k, v, window, stride)
    queries, keys = torch.tril_indices(n, n)
    distance = queries - keys
    allowed = (distance < window) | (distance % stride == 0)
    scores = (q[..., queries, :] * k[..., keys, :]).sum(-1) / math.sqrt(q.shape[-1])
    weights = (scores * allowed).exp() * allowed
    total = torch.zeros(*scores.shape[:-1], n, dtype=q.dtype).index_add(-1, queries, weights)
    shares = (weights / total[..., queries]).unsqueeze(-1) * v[..., keys, :]
    return torch.zeros(*v.shape, dtype=q.dtype).index_add(-2, queries, shares)
"""
CHUNKS = """
def sparse_attention(q, k, v, window, stride):
    check_attention(q, k, v)
    if q.shape[-2] < 64:
        return masked_attention(q, k, v, window, stride)
    outs = []
    for start in range(0, q.shape[-2], 8):
        rows, columns = torch.arange(start, min(start + 8, q.shape[-2])), torch.arange(q.shape[-2])
        distance = rows[:, None] - columns
        mask = (distance >= 0) & ((distance < window) | (distance % stride == 0))
        scores = (q[..., rows, :] @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
        outs.append(scores.softmax(-1) @ v)
    return torch.cat(outs, -2)
"""
SHORTEST = """
def sparse_attention(q, k, v, window, stride):
    check_attention(q, k, v)
    n = q.shape[-2]
    if n < 64:
        return masked_attention(q, k, v, window, stride)
    distance, rows = torch.arange(n - 1, -1, -1), []
    forbidden = (distance >= window) & (distance % stride != 0)
    for i in range(n):
        scores = (k[: i + 1] @ q[i]).div_(math.sqrt(q.shape[-1])).masked_fill_(forbidden[n - 1 - i :], -math.inf)
        rows.append(scores.softmax(-1) @ v[: i + 1])
    return torch.stack(rows)
"""
DISGUISES = {
    "half of the matrix": (HALF, "full_matrix", 14),
    "block by block": (CHUNKS, "all_keys_in_turn", 14),
    "as little as possible a row": (SHORTEST, "all_keys_in_turn", 18),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_full_matrix_in_disguise(grade, disguise):
    """All pairs, however they are hidden, lose what is left when the values are right, and are named."""
    code, key, score = DISGUISES[disguise]
    graded = grade(right_but(ASSIGNMENT, code))
    assert graded.lost == {"q3": score}, graded.text("q3")
    assert graded.diagnoses == {"q3": key}


@pytest.mark.parametrize(
    "answer", ["torch.zeros(*q.shape[:-1], v.shape[-1], dtype=q.dtype)", "v * 1", "v * float('nan')"]
)
def test_no_attention_at_all(grade, answer):
    """Who computes nothing saves nothing: what is counted goes with an answer that is right."""
    code = f"def sparse_attention(q, k, v, window, stride):\n    return {answer}\n"
    graded = grade(right_but(ASSIGNMENT, code))
    assert set(graded.lost) == {"q3"}
    assert graded.lost["q3"] <= 3, graded.text("q3")
