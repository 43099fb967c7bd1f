"""Sparse attention: reference, stub, honest styles, misconceptions and library answers through the real grader."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from otter.test_files import ExceptionTestFile

from autograder import submission
from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.session import Sandbox
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("sparse_attention", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "sparse_attention" / "honest").glob("*.py"))
CELLS = [
    re.sub(r"^ *# (BEGIN|END) SOLUTION.*\n?", "", cell.source, flags=re.M).strip("\n")
    for cell in submission.read(ASSIGNMENT.reference, "", ASSIGNMENT).cells
]

SCALED_DOT_PRODUCT = """
def {name}(q, k, v, window, stride):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=sparse_mask(q.shape[-2], window, stride))
"""
OPERATOR = """
def {name}(q, k, v, window, stride):
    mask = sparse_mask(q.shape[-2], window, stride)
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, mask)
"""


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""
    folder = tmp_path_factory.mktemp("sparse_attention")
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)

        def graded(name, content):
            path = folder / name
            path.write_bytes(content)
            result = judge.grade(submission.read(path, name, ASSIGNMENT))
            return json.loads(json.dumps(gradescope.to_dict(result, ASSIGNMENT)))

        yield graded


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(result, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:"))


def wrong(key, replaces):
    """An archive whose one wrong answer is that misconception; all other names are right, also for each other."""
    source = ASSIGNMENT.misconceptions.read_text(encoding="utf-8")
    stand_in = "misconception = lambda *_, **__: lambda thing: thing\n"
    source = re.sub(r"^from autograder\.diagnosis import misconception\n", stand_in, source, flags=re.M)
    main = f"from right import *\nfrom wrong import {key} as {replaces}\n"
    return archive({"sparse_attention.py": main, "right.py": script(CELLS), "wrong.py": source})


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_points_and_cases(question):
    """The points add up, at least half are hidden, and each case has its own name and a hint."""
    cases = ExceptionTestFile.from_file(str(ASSIGNMENT.test_file(question.name))).test_cases
    assert sum(case.points for case in cases) == question.points
    assert sum(case.points for case in cases if case.hidden) >= question.points / 2
    assert 2 <= sum(not case.hidden for case in cases) <= 3
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.failure_message and "hidden" not in case.failure_message.lower() for case in cases)


def test_there_are_enough_of_them():
    """Honest styles and misconceptions, for every question."""
    assert len(HONEST) >= 4
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


@pytest.mark.parametrize("name", ["sparse_attention.py", "sparse_attention.ipynb"])
def test_reference(grade, name):
    """All points, as a script and as a notebook."""
    content = ASSIGNMENT.reference.read_bytes() if name.endswith(".py") else notebook(CELLS)
    result = grade(name, content)
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible
    assert result["execution_time"] < 10


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]


@pytest.mark.parametrize("name", ["sparse_attention.py", "sparse_attention.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    public = [entry for entry in result["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception(grade, misconception):
    """It loses points in its question alone, and the feedback has its name and its hint."""
    name = f"{misconception.question}-{misconception.key}.zip"
    result = grade(name, wrong(misconception.key, misconception.replaces))
    told = text(result, misconception.question)
    assert set(lost(result)) == {misconception.question}, told
    assert result["extra_data"]["diagnoses"] == {misconception.question: misconception.key}
    like = "exactly like" if misconception.replayed else "like"
    assert f"Your `{misconception.replaces}` behaves {like} {misconception.name}." in told
    assert f"Hint: {misconception.hint}" in told


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
    result = grade("plot.py", (script(CELLS) + "# %%\n" + code).encode())
    assert set(lost(result)) == {"q6"}


@pytest.mark.parametrize("name", ["masked_attention", "sparse_attention"])
@pytest.mark.parametrize("code", [SCALED_DOT_PRODUCT, OPERATOR], ids=["functional", "operator"])
def test_library_answer(grade, code, name):
    """The library's attention earns nothing, and costs nothing elsewhere."""
    result = grade("library.py", (script(CELLS) + "# %%\n" + code.format(name=name)).encode())
    assert lost(result) == {"q2" if name == "masked_attention" else "q3": 0}


DENSE = {
    "scores": "scores = (q @ k.mT).masked_fill(~sparse_mask(n, window, stride), -math.inf)",
    "index": "scores = (q @ k.mT)[..., torch.arange(n)[:, None], torch.arange(n)]",
}


FEEDBACK = {}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    result = grade(f"letter-{key}.zip", wrong(key, known.replaces))
    visible = [
        e for e in result["tests"] if e["visibility"] == "visible" and e["name"].startswith(known.question)
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook, with all figures."""
    import jupytext

    book = jupytext.read(ASSIGNMENT.reference, fmt="py:percent")
    nbformat.write(book, tmp_path / "sparse_attention.ipynb")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "sparse_attention.ipynb",
        "--output",
        "out.ipynb",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
