"""The positional_encoding assignment through the real grader: what every assignment must, plots, and numbers not computed."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import pytest

from autograder.assignment import load
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("positional_encoding", ROOT)
# q6 trains for seconds and calls nothing of what is wrong in the other questions' tests: those are judged without it.
UNTRAINED = [question.name for question in ASSIGNMENT.questions if question.name != "q6"]
pytestmark = pytest.mark.slow
grade = grading(ASSIGNMENT)

FITTED = """
def relative_rotation(offset, d_model, base=10000.0):
    encoding = sinusoidal_encoding(60, d_model, base).double()
    return torch.linalg.lstsq(encoding[20:40], encoding[20 + offset : 40 + offset]).solution.T
"""
LIBRARY = {"a rotation that a solver found": ("q2", FITTED)}  # it is not built

FEEDBACK = {
    "cosine_where_sine": """\
Your `sinusoidal_encoding` behaves exactly like an encoding with cosines in the even columns and sines in the odd ones.
Hint: Column 0 is even. What is it at position 0?

passed: shape (2 of 2)
FAILED: position 0 (0 of 2)
    sinusoidal_encoding(1, 6) is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 0, found 1. The largest error is 1; 0.0001 is allowed.
    Hint: All angles are 0 at position 0: the even columns are sin 0 = 0, the odd ones cos 0 = 1.
FAILED: two rows worked out by hand (0 of 2)
    sinusoidal_encoding(2, 4, 100.0) is wrong in 8 of 8 numbers. The first one is at index [0, 0]: expected 0, found 1. The largest error is 1; 0.0001 is allowed.
    Hint: With base 100 and d_model = 4 the speeds are 1 and 1/10, so position 1 is sin 1, cos 1, sin 0.1, cos 0.1.\
""",
    "rotation_transposed": """\
Your `relative_rotation` behaves exactly like the rotation transposed: it goes back instead of ahead.
Hint: The vectors are (sin, cos), not (cos, sin). Apply your matrix to PE[0] for a small offset: which sign must the sine have?

passed: shape, and no move at all (2 of 2)
FAILED: one pair, worked out by hand (0 of 2)
    relative_rotation(1, 2) is wrong in 2 of 4 numbers. The first one is at index [0, 1]: expected 0.841471, found -0.841471. The largest error is 1.7; 1e-06 is allowed.
    Hint: With d_model = 2 there is one pair of speed 1. M must take (sin p, cos p) to (sin(p + 1), cos(p + 1)) = (cos 1 sin p + sin 1 cos p, -sin 1 sin p + cos 1 cos p).
FAILED: the same matrix for every position (0 of 2)
    M @ PE[p], with M = relative_rotation(3, 4, 100.0) and one row for each p, is wrong in 18 of 20 numbers. The first one is at index [0, 0]: expected 0.14112, found -0.14112. The largest error is 0.59; 0.0001 is allowed.
    Hint: M @ PE[p] must be PE[p + offset]. Pair i turns by offset * base ** (-2i / d_model); its block stands in rows and columns 2i and 2i + 1.\
""",
}


class TestPositionalEncoding(Standard):
    assignment = ASSIGNMENT
    figures = 5
    library = LIBRARY
    letters = FEEDBACK
    seen_by_tests = ("q6",)  # a training is known by its results alone
    cpu_seconds = 10


def test_what_is_forbidden_is_named(grade):
    """The student is told which function it was."""
    assert "linalg_lstsq" in grade(right_but(ASSIGNMENT, FITTED)).text("q2")


WRONG_PLOTS = {
    "labels exchanged": "    ax.set(xlabel='dimension', ylabel='position')",
    "no labels": "    ax.set(xlabel='', ylabel='')",
    "no colour bar": "    ax.get_children()[0].colorbar.remove()",
    "other axes": "    ax = ax.figure.axes[-1]",
    "other numbers": "    ax.get_children()[0].set_array(encoding[:101].numpy().T + 1)",
    "too many positions": "    ax.get_children()[0].set_data(encoding.numpy().T)",
    "changed in place": "    encoding.mul_(0.5)",
}


@pytest.mark.parametrize("change", WRONG_PLOTS)
def test_wrong_plots(grade, change):
    """What is wrong with a picture costs its question."""
    extra = f"right_plot = plot_encoding\ndef plot_encoding(encoding, ax=None):\n    ax = right_plot(encoding, ax)\n{WRONG_PLOTS[change]}\n    return ax\n"
    graded = grade(right_but(ASSIGNMENT, extra), UNTRAINED)
    assert set(graded.lost) == {"q4"}


def test_default_dtype_of_the_encoding(grade):
    """float32 whatever the default is, or float64 whatever it is, costs points in q1."""
    for method in ("float", "double"):
        extra = f"e = sinusoidal_encoding\ndef sinusoidal_encoding(*a, **k): return e(*a, **k).{method}()\n"
        graded = grade(right_but(ASSIGNMENT, extra), UNTRAINED)
        assert set(graded.lost) == {"q1"}


HARD_CODED = {
    "two numbers": ("0.99 if use_encoding else 0.5", 5),
    "numbers from the seed": ("0.99 if use_encoding else 0.5 + seed / 1000", 7),
    "an untrained model": (
        "float((OrderClassifier(g := torch.Generator().manual_seed(seed))((d := marked_tokens(2000, g))[0]).argmax(-1)"
        " == d[1]).double().mean())",
        4,
    ),
}


@pytest.mark.parametrize("kind", HARD_CODED)
def test_numbers_that_were_not_computed(grade, kind):
    """An accuracy that no training stands behind loses q6, whatever numbers it gives."""
    answer, score = HARD_CODED[kind]
    extra = f"def order_accuracy(use_encoding, seed=0):\n    return {answer}\n"
    graded = grade(right_but(ASSIGNMENT, extra))
    assert set(graded.lost) == {"q6"}
    assert graded.result.questions[5].score <= score
    assert graded.result.questions[5].diagnosis is None


def test_nothing_of_the_setup_cell_is_needed(grade):
    """Who deletes the helpers that are given, but for what the own answers use, loses nothing."""
    graded = grade(right_but(ASSIGNMENT, "del show, draw, in_default_dtype"), UNTRAINED)
    assert graded.lost == {}
