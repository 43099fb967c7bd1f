"""The positional_encoding assignment through the real grader: right answers, stubs, and every known mistake."""

# ruff: noqa: E501  the texts of feedback are as long as students get them

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autograder import submission
from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.session import Sandbox
from autograder.validate.submissions import mistaken, right_cells
from tests.build_submissions import archive, notebook, script

ASSIGNMENT = load("positional_encoding", Path(__file__).parents[1])
# q6 trains for seconds and calls nothing of what is wrong in the other questions' tests: those are judged without it.
UNTRAINED = replace(ASSIGNMENT, questions=tuple(q for q in ASSIGNMENT.questions if q.name != "q6"))
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((Path(__file__).parent / "submissions" / "positional_encoding" / "honest").glob("*.py"))
pytestmark = pytest.mark.slow


def complete(text):
    """A file with the right answers in place of the line that stands for them."""
    return text.replace("from right import *\n", script(right_cells(ASSIGNMENT)) + "# %%\n").encode()


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the content of a file, in all questions or in those of another assignment."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the command does
    with Sandbox() as sandbox:
        judges = {len(asked.questions): Judge(asked, sandbox) for asked in (ASSIGNMENT, UNTRAINED)}

        def graded(name, content, asked=ASSIGNMENT):
            path = tmp_path_factory.mktemp("submission") / name
            path.write_bytes(content)
            return judges[len(asked.questions)].grade(submission.read(path, name, asked))

        yield graded
    torch.set_num_threads(threads)


def lost(result):
    return {question.name for question in result.questions if question.score < question.possible}


def report(result):
    return gradescope.to_dict(result, ASSIGNMENT)


def text(result, question=""):
    entries = [entry for entry in report(result)["tests"] if entry["name"].startswith(question)]
    return "\n".join(entry["output"] for entry in entries)


def test_reference_as_script(grade):
    """Everything, in under ten seconds."""
    result = grade("positional_encoding.py", ASSIGNMENT.reference.read_bytes())
    assert result.score == ASSIGNMENT.possible, text(result)
    assert result.usage.cpu_seconds < 10


def test_reference_as_notebook(grade):
    result = grade("positional_encoding.ipynb", notebook(right_cells(ASSIGNMENT)))
    assert result.score == ASSIGNMENT.possible, text(result)


@pytest.mark.parametrize("kind", ["py", "ipynb"])
def test_untouched_stub(grade, kind):
    """Nothing is earned, and each question says why."""
    name = f"positional_encoding.{kind}"
    result = grade(name, (ASSIGNMENT.template / name).read_bytes())
    assert result.score == 0
    assert {question.note for question in result.questions} == {"This question is not implemented yet."}
    assert result.message == ""


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert result.score == ASSIGNMENT.possible, text(result)


def wrong(key, replaces):
    """A zip whose one wrong answer is that misconception."""
    return archive(mistaken(ASSIGNMENT, {replaces: key}))


def test_points_and_number():
    """Half of the points are hidden; each question has a misconception."""
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)
    assert len({m.name for m in MISCONCEPTIONS}) == len(MISCONCEPTIONS)


@pytest.mark.parametrize("question", list(POINTS))
def test_misconceptions(grade, question):
    """Each loses its question alone, and the feedback has its name and its hint."""
    for known in (m for m in MISCONCEPTIONS if m.question == question):
        asked = ASSIGNMENT if question == "q6" else UNTRAINED
        result = grade("wrong.zip", wrong(known.key, known.replaces), asked)
        assert lost(result) == {question}, known.key
        assert report(result)["extra_data"]["diagnoses"] == {question: known.key}
        like = "like" if question == "q6" else "exactly like"  # a training is known by its results alone
        assert f"Your `{known.replaces}` behaves {like} {known.name}." in text(result, question)
        assert f"Hint: {known.hint}" in text(result, question)


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
    result = grade("plot.py", complete(f"from right import *\n{extra}"), UNTRAINED)
    assert lost(result) == {"q4"}


def test_default_dtype_of_the_encoding(grade):
    """float32 whatever the default is, or float64 whatever it is, costs points in q1."""
    for method in ("float", "double"):
        extra = f"e = sinusoidal_encoding\ndef sinusoidal_encoding(*a, **k): return e(*a, **k).{method}()\n"
        result = grade("dtype.py", complete(f"from right import *\n{extra}"), UNTRAINED)
        assert lost(result) == {"q1"}


def test_fitted_rotation(grade):
    """A rotation that a solver found is not built: 0 points."""
    extra = """\
def relative_rotation(offset, d_model, base=10000.0):
    encoding = sinusoidal_encoding(60, d_model, base).double()
    return torch.linalg.lstsq(encoding[20:40], encoding[20 + offset : 40 + offset]).solution.T
"""
    result = grade("fitted.py", complete(f"from right import *\n{extra}"), UNTRAINED)
    question = result.questions[1]
    assert question.score == 0
    assert "linalg_lstsq" in question.policy


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
    result = grade("known.py", complete(f"from right import *\n{extra}"))
    assert lost(result) == {"q6"}
    assert result.questions[5].score <= score
    assert result.questions[5].diagnosis is None


def test_nothing_of_the_setup_cell_is_needed(grade):
    """Who deletes the helpers that are given, but for what the own answers use, loses nothing."""
    result = grade("bare.py", complete("from right import *\ndel show, draw, in_default_dtype\n"), UNTRAINED)
    assert lost(result) == set()


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


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """The visible text about a known mistake."""
    known = next(m for m in MISCONCEPTIONS if m.key == key)
    result = gradescope.to_dict(grade("wrong.zip", wrong(key, known.replaces), UNTRAINED), UNTRAINED)
    entries = [e["output"] for e in result["tests"] if e["name"].startswith(known.question)]
    assert entries[0] == FEEDBACK[key]


def test_notebook_runs(tmp_path):
    """The whole reference, figures included, in nbconvert, without an error."""
    target = tmp_path / "reference.ipynb"
    convert = [
        sys.executable,
        "-m",
        "jupytext",
        "--to",
        "ipynb",
        str(ASSIGNMENT.reference),
        "-o",
        str(target),
    ]
    subprocess.run(convert, check=True, capture_output=True, timeout=60)
    execute = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(target)]
    done = subprocess.run(execute, capture_output=True, text=True, timeout=180, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    written = target.read_text(encoding="utf-8")
    assert "image/png" in written
    assert "appears once" not in written.replace("appears once {needs}", "")
