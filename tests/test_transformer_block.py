"""The transformer block: reference, stub, honest styles, misconceptions and library answers through the real grader."""

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
ASSIGNMENT = load("transformer_block", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "transformer_block" / "honest").glob("*.py"))
CELLS = [
    re.sub(r"^ *# (BEGIN|END) SOLUTION.*\n?", "", cell.source, flags=re.M).strip("\n")
    for cell in submission.read(ASSIGNMENT.reference, "", ASSIGNMENT).cells
]


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""
    folder = tmp_path_factory.mktemp("transformer_block")
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
    return archive({"transformer_block.py": main, "right.py": script(CELLS), "wrong.py": source})


def right_but(code):
    """The right answers, then some names defined again."""
    return (script(CELLS) + "# %%\n" + code).encode()


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
    """Honest styles, each with all names, and misconceptions for every question."""
    names = [name for question in ASSIGNMENT.questions for name in question.defines]
    assert len(HONEST) >= 4
    for path in HONEST:
        assert all(re.search(rf"^(def|class) {name}\(", path.read_text(), re.M) for name in names), path.name
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


@pytest.mark.parametrize("name", ["transformer_block.py", "transformer_block.ipynb"])
def test_reference(grade, name):
    """All points, as a script and as a notebook."""
    content = ASSIGNMENT.reference.read_bytes() if name.endswith(".py") else notebook(CELLS)
    result = grade(name, content)
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]
    assert result["extra_data"]["diagnoses"] == {}


@pytest.mark.parametrize("name", ["transformer_block.py", "transformer_block.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    assert result["extra_data"]["status"] == "graded"
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
