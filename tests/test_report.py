"""What is written: results.json in Gradescope's schema, grades.csv, and files that are whole at any time."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path

import pytest

from autograder.assignment import load
from autograder.diagnosis import Diagnosis
from autograder.grading import QuestionResult, Result, broken, unreadable
from autograder.report import Output, feedback, grades, gradescope
from autograder.suite import CaseResult, Outcome

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")


def case(name, points, outcome=Outcome.PASSED, hidden=False, **more):
    """A judged case."""
    return CaseResult(name, hidden, points, outcome, **more)


def result(name="ada.py", outcome=Outcome.FAILED, **more):
    """A graded submission that lost two of eight points in a hidden case of q2."""
    q1 = QuestionResult("q1", "Softmax", 4, 4, [case("hand", 2), case("stack", 2, hidden=True)])
    values = case(
        "values", 2, outcome, True, text="It is wrong.", hint="Look again.", cause="wrong", detail="trace"
    )
    q2 = QuestionResult("q2", "A gate", 2, 4, [case("shape", 2), values], **more)
    return Result(name, questions=[q1, q2], possible=8)


def entries(outcome):
    """The entries of results.json by number."""
    return {entry["number"]: entry for entry in gradescope.to_dict(outcome, SAMPLE)["tests"]}


def test_schema():
    """The fields that Gradescope reads, and an entry each for the public and the hidden cases of a question."""
    content = gradescope.to_dict(result(), SAMPLE)
    assert (content["score"], content["max_score"], content["output_format"]) == (6, 8, "text")
    assert [
        (e["number"], e["score"], e["max_score"], e["status"], e["visibility"]) for e in content["tests"]
    ] == [
        ("1.1", 2, 2, "passed", "visible"),
        ("1.2", 2, 2, "passed", "after_published"),
        ("2.1", 2, 2, "passed", "visible"),
        ("2.2", 0, 2, "failed", "after_published"),
    ]
    assert content["output"] == "w1 (Shifting the scores, 2 points) is graded by hand."
    assert content["extra_data"]["details"] == {"q2/values": "trace"}
    json.dumps(content, allow_nan=False)


def test_texts_of_a_failure():
    """The case, what happened, and the author's hint."""
    assert entries(result())["2.2"]["output"] == (
        "FAILED: values (0 of 2)\n    It is wrong.\n    Hint: Look again."
    )
    assert entries(result())["2.1"]["output"] == "passed: shape (2 of 2)"


def test_diagnosis_stands_where_the_mistake_shows():
    """A mistake that only hidden cases show is told with them, and nowhere else."""
    found = entries(result(diagnosis=Diagnosis("bare", "Your `Gate` behaves exactly like none.", "Why?")))
    assert found["2.2"]["output"].startswith(
        "Your `Gate` behaves exactly like none.\nHint: Why?\n\nFAILED: values"
    )
    assert "behaves" not in found["2.1"]["output"]


def test_diagnosis_with_public_failures():
    """Where public cases fail as well it is told at once, and once."""
    outcome = result(diagnosis=Diagnosis("bare", "Your `Gate` behaves exactly like none.", "Why?"))
    outcome.questions[1].cases[0].outcome = Outcome.FAILED
    assert "behaves" in entries(outcome)["2.1"]["output"]
    assert "behaves" not in entries(outcome)["2.2"]["output"]


def test_could_not_tell():
    """The student reads that it was not judged; staff find the status."""
    outcome = result(outcome=Outcome.COULD_NOT_TELL)
    outcome.status = "error"
    content = gradescope.to_dict(outcome, SAMPLE)
    assert content["extra_data"]["status"] == "error"
    assert content["output"].startswith("q2 could not be judged, through no fault of yours")
    assert content["tests"][3]["output"].startswith("NOT JUDGED: values (0 of 2)")


def test_policy():
    """A question that is not allowed to use something earns nothing, in both of its entries."""
    outcome = result(policy="0 points: not from scratch.")
    outcome.questions[1].score = 0
    found = entries(outcome)
    assert [(found[n]["score"], found[n]["status"]) for n in ("2.1", "2.2")] == [(0, "failed"), (0, "failed")]
    assert all(found[n]["output"].startswith("0 points: not from scratch.") for n in ("2.1", "2.2"))


@pytest.mark.parametrize(
    ("outcome", "name", "text"),
    [
        (
            unreadable("a.pdf", 8, "Upload a notebook."),
            "The submission could not be read",
            "Upload a notebook.",
        ),
        (
            broken("a.py", 8, OSError("disk full")),
            "The submission could not be graded",
            "The grader could not grade this submission. That is not your fault; the course staff see this.",
        ),
    ],
)
def test_without_questions(outcome, name, text):
    """A submission that was not graded has one entry, which says why."""
    content = gradescope.to_dict(outcome, SAMPLE)
    (entry,) = content["tests"]
    assert (entry["name"], entry["output"], entry["max_score"]) == (name, text, 8)
    assert content["score"] == 0


def test_long_texts_are_cut():
    """A test that writes a book does not fill the page."""
    question = QuestionResult("q1", "", 0, 1, [case("long", 1, Outcome.FAILED, text="x" * 100_000)])
    assert len(feedback.of_question(question, question.cases)) == feedback.MAX_CHARACTERS


def table(*names):
    """grades.csv about submissions of these names, read back."""
    return list(csv.DictReader(io.StringIO(grades.to_csv([result(name) for name in names], SAMPLE))))


def test_table():
    """One row a submission, in order."""
    (row,) = table("ada.py")
    assert list(row) == ["submission", "status", "score", "possible", "seconds", "q1", "q2", "diagnoses"]
    assert list(row.values()) == ["ada.py", "graded", "6", "8", "0.00", "4", "2", ""]


@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0.py", "+1.py", "-1.py", "@SUM(A1).py", "\tx.py", "\t=x.py"]
)
def test_formulas(name):
    """A spreadsheet gets text, never a formula."""
    (row,) = table(name)
    assert row["submission"] == "'" + name


@pytest.mark.parametrize("name", ["a,b.py", 'a"b.py', "a\nb.py", "Ünï ☃.py"])
def test_odd_names(name):
    """Names with the table's own signs in them come back as they were."""
    assert table(name)[0]["submission"] == name


def test_control_characters():
    """Signs that would split a row or speak to a terminal become question marks."""
    assert table("a\rb\x1bc\udcff.py")[0]["submission"] == "a?b?c?.py"


def test_files(tmp_path):
    """A file each, the table over all, and nothing half-written beside them."""
    output = Output(tmp_path / "out", SAMPLE)
    output.add(result("ada.py"))
    output.add(result("bob.py"))
    output.write_table([result("ada.py"), result("bob.py")])
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [
        "ada.py.json", "bob.py.json", "grades.csv", "results",
    ]  # fmt: skip
    assert output.table.read_text(encoding="utf-8").count("\n") == 3


def test_a_crash_leaves_the_old_file(tmp_path, monkeypatch):
    """Whoever reads after a crash in the middle of writing finds the whole table of before."""
    output = Output(tmp_path, SAMPLE)
    output.write_table([result("ada.py")])
    before = output.table.read_bytes()

    def crash(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="no space left"):
        output.write_table([result("ada.py"), result("bob.py")])
    assert output.table.read_bytes() == before
    assert not list(tmp_path.glob(".*.new"))


def test_when_it_was_written(tmp_path):
    """What was never written is older than everything."""
    output = Output(tmp_path, SAMPLE)
    before = time.time()
    output.add(result("ada.py"))
    assert output.written_at("ada.py") == pytest.approx(before, abs=5)
    assert output.written_at("bob.py") == 0


@pytest.mark.parametrize(
    "name", ["x" * 250 + ".py", "ü" * 120 + ".ipynb", "a\x1b[31m.py", "b\udcff.py", "c\nd.py"]
)
def test_hostile_names(tmp_path, name):
    """Every name that a file can have gets a results file."""
    Output(tmp_path, SAMPLE).add(result(name))
    (path,) = (tmp_path / "results").iterdir()
    assert json.loads(path.read_text(encoding="utf-8"))["score"] == 6


def test_long_names_stay_apart(tmp_path):
    """Two names that differ in their last letter only are two files."""
    output = Output(tmp_path, SAMPLE)
    for letter in "ab":
        output.add(result("x" * 250 + letter))
    assert len(list((tmp_path / "results").iterdir())) == 2
