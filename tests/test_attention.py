"""The whole product on the attention assignment: right answers and known mistakes, graded by the real command.

What is hostile or broken is in test_gallery.py. One run of `autograder grade` grades all of it; the tests read what
it wrote. A second, in-process judge grades some of it again, to see that the same submission gets the same results.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from autograder import submission
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.host import Sandbox
from tests import build_submissions as build
from tests.assignments import Declared
from tests.graded import Class, assert_gradescopes, assert_hidden_cases_stay_hidden, lasting

ASSIGNMENT = build.ASSIGNMENT
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
HONEST = build.honest()
STUBS = {"stub.py": build.template("attention.py"), "stub.ipynb": build.template("attention.ipynb")}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
WRONG = {f"{m.question}-{m.key}.zip": m for m in MISCONCEPTIONS}
pytestmark = pytest.mark.slow
SOME = [  # hostile and broken ones, of which a second judge must say the same
    "sys_exit_in_q3.py",
    "segfault_in_q3.py",
    "absolute_paths_in_q3.py",
    "exits_in_the_middle.ipynb",
    "helpers_and_data.zip",
    "lying_objects.py",
    "library_multihead.py",
]
HOSTILE = {name: content for name, content in {**build.cheats(), **build.accidents()}.items() if name in SOME}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Everything, graded by one run of the command."""
    folder = tmp_path_factory.mktemp("class")
    wrong = {name: build.misconception(m.key, m.replaces) for name, m in WRONG.items()}
    for name, content in {**HONEST, **HOSTILE, **STUBS, **wrong}.items():
        assert not (folder / name).exists(), f"two submissions are called {name}"
        (folder / name).write_bytes(content)
    output = folder.with_name("graded")
    command = [sys.executable, "-m", "autograder", "grade", "attention", str(folder), "-o", str(output)]
    done = subprocess.run(command, cwd=ASSIGNMENT.root, capture_output=True, text=True, timeout=600)
    assert (output / "grades.csv").exists(), done.stderr
    return Class(output, ASSIGNMENT, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def judge():
    """A judge in this process."""
    with Sandbox() as sandbox:
        yield Judge(ASSIGNMENT, sandbox)


class TestAttention(Declared):
    assignment = ASSIGNMENT
    figures = 4


# --------------------------------------------------------------------------------------------------- right answers


@pytest.mark.parametrize("name", HONEST)
def test_right_answers_earn_everything(graded, name):
    """The reference as a script, a notebook and in an archive, and every honest style."""
    assert graded.results[name]["extra_data"]["status"] == "graded"
    assert graded.lost(name) == {}, graded.text(name)
    assert graded.results[name]["score"] == ASSIGNMENT.possible
    assert all(entry["status"] == "passed" for entry in graded.results[name]["tests"])
    assert graded.results[name]["extra_data"]["diagnoses"] == {}


@pytest.mark.parametrize("name", STUBS)
def test_untouched_stub(graded, name):
    """Nothing is earned, and each question says why in one sentence."""
    assert graded.results[name]["score"] == 0
    public = [entry for entry in graded.results[name]["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)
    assert graded.results[name]["extra_data"]["diagnoses"] == {}
    assert "stopped with an error" not in graded.results[name]["output"]


# --------------------------------------------------------------------------------------------------- misconceptions


def test_confusions(graded):
    """Every misconception is taken for itself; the table of those that are not."""
    confused = {}
    for name, misconception in WRONG.items():
        found = graded.results[name]["extra_data"]["diagnoses"].get(misconception.question)
        if found != misconception.key:
            confused[misconception.key] = found
    assert not confused, "\n".join(f"{key:40} is taken for {found}" for key, found in confused.items())


@pytest.mark.parametrize("name", WRONG)
def test_misconception(graded, name):
    """It loses points in its question, keeps all others, and the feedback has its name and its hint."""
    misconception = WRONG[name]
    assert set(graded.lost(name)) == {misconception.question}, graded.text(name)
    text = graded.text(name, misconception.question)
    assert f"Your `{misconception.replaces}` behaves exactly like {misconception.name}." in text
    assert f"Hint: {misconception.hint}" in text
    assert graded.rows[name]["diagnoses"] == f"{misconception.question}:{misconception.key}"


# ------------------------------------------------------------------------------------------------------- the output


def test_table(graded):
    """One row a submission, with the columns that DESIGN.md names, and the same numbers as in the results."""
    header = (graded.output / "grades.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "submission,status,score,possible,seconds,q1,q2,q3,q4,q5,q6,q7,diagnoses"
    assert graded.rows.keys() == graded.results.keys()
    for name, row in graded.rows.items():
        result = graded.results[name]
        assert float(row["score"]) == result["score"]
        assert float(row["possible"]) == result["max_score"] == ASSIGNMENT.possible
        assert row["status"] == result["extra_data"]["status"]
        assert {q: float(row[q]) for q in POINTS} == {
            **dict.fromkeys(POINTS, 0),
            **result["extra_data"]["questions"],
        }


def test_hidden_cases_stay_hidden(graded):
    """What is visible before grades are published has nothing in it about hidden cases."""
    for result in graded.results.values():
        assert_hidden_cases_stay_hidden(result, ASSIGNMENT)


def test_results_are_gradescopes(graded):
    """Numbers add up, texts are texts, and every entry has the fields of the schema."""
    for result in graded.results.values():
        assert_gradescopes(result)


AGAIN = ["reference.ipynb", "reference.zip", "einsum.py", "stub.ipynb", *SOME, *list(WRONG)[::14]]


@pytest.mark.parametrize("name", AGAIN)
def test_same_results_again(graded, judge, tmp_path, name):
    """Another judge, in another process and another order, writes the same but for times and memory."""
    known = {**HONEST, **STUBS, **HOSTILE}
    path = tmp_path / name
    wrong = WRONG.get(name)
    path.write_bytes(build.misconception(wrong.key, wrong.replaces) if wrong else known[name])
    again = judge.grade(submission.read(path, name, ASSIGNMENT))
    assert lasting(json.loads(json.dumps(gradescope.to_dict(again, ASSIGNMENT)))) == lasting(
        graded.results[name]
    )
