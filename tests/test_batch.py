"""Many submissions: whatever happens with one, the others are graded and each has a row."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import pytest

from autograder import batch
from autograder.assignment import load
from autograder.grading import Result
from autograder.sandbox.errors import SandboxError

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")


ERRORS = {"sandbox.py": SandboxError("gone"), "memory.py": MemoryError(), "bug.py": ZeroDivisionError("oops")}


class FakeJudge:
    """Grades by name: a submission called after an error raises it."""

    def __init__(self, assignment, sandbox):
        self.possible = assignment.possible

    def grade(self, submission):
        if submission.name in ERRORS:
            raise ERRORS[submission.name]
        if submission.name == "interrupt.py":
            raise KeyboardInterrupt
        return Result(submission.name, possible=self.possible)


@pytest.fixture
def grade_all(monkeypatch, tmp_path):
    """Grades empty scripts of these names with the judge above; the exit code and the table."""
    monkeypatch.setattr(batch, "Judge", FakeJudge)
    monkeypatch.setattr(batch, "Sandbox", lambda zygote: contextlib.nullcontext())

    def run(*names):
        (tmp_path / "class").mkdir()
        for name in names:
            (tmp_path / "class" / name).write_text("1\n", encoding="utf-8")
        code = batch.grade_all(SAMPLE, [tmp_path / "class"], tmp_path / "out", None)
        with open(tmp_path / "out" / "grades.csv", newline="", encoding="utf-8") as table:
            return code, {row["submission"]: row["status"] for row in csv.DictReader(table)}

    return run


def test_all_well(grade_all, capsys):
    """Exit code 0."""
    assert grade_all("ada.py", "bob.py") == (0, {"ada.py": "graded", "bob.py": "graded"})
    assert "Could not be graded" not in capsys.readouterr().err


@pytest.mark.parametrize("name", ERRORS)
def test_one_goes_wrong(grade_all, capsys, tmp_path, name):
    """A fault of the grader's is a row with status error; the submissions after it are graded."""
    assert grade_all("ada.py", name, "zoe.py") == (1, {"ada.py": "graded", name: "error", "zoe.py": "graded"})
    assert f"Could not be graded: {name}" in capsys.readouterr().err
    assert "not your fault" in (tmp_path / "out" / "results" / f"{name}.json").read_text(encoding="utf-8")


def test_interrupted(grade_all, capsys):
    """What was graded is kept, what was not is named."""
    assert grade_all("ada.py", "interrupt.py", "zoe.py") == (1, {"ada.py": "graded"})
    error = capsys.readouterr().err
    assert "Stopped: 1 of 3 are graded; their results are kept." in error
    assert "Not graded: interrupt.py, zoe.py" in error


def test_nothing_found(tmp_path, capsys):
    """Wrong usage."""
    assert batch.grade_all(SAMPLE, [tmp_path / "none"], tmp_path / "out", None) == 2
    assert "There is no file or folder" in capsys.readouterr().err


def test_empty_folder(tmp_path, capsys):
    """A class without anybody in it is wrong usage too."""
    assert batch.grade_all(SAMPLE, [tmp_path], tmp_path / "out", None) == 2
    assert "No submissions" in capsys.readouterr().err
