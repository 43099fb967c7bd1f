"""docs/grading.md: its ten commands are run, in their order, on a class as a platform hands it out."""

from __future__ import annotations

import csv
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import tomllib

from autograder import roster
from autograder.report import manual
from autograder.suite import Outcome
from tests.docs import blocks, section
from tests.make_class import members

GUIDE = "docs/grading.md"
COMMANDS = [line for block in blocks(section(GUIDE, "## Ten commands")) for line in block.splitlines()]
LATE = next(block for block in blocks(section(GUIDE, "## Late policy"), "toml"))
ROSTER = """name,email,id,canvas id
Ada Lovelace,ada@x.edu,0042,12
Edda Stone,edda@x.edu,0043,13
Farid Ali,farid@x.edu,0044,14
"""
METADATA = "---\n" + "".join(
    f"submission_{number}:\n  :submitters:\n  - :name: {name}\n    :sid: '{sid}'\n    :email: {email}\n"
    f"  :created_at: {at} Z\n"
    for number, name, sid, email, at in [
        (101, "Ada Lovelace", "0042", "ada@x.edu", "2026-11-20 20:00:00"),
        (102, "Edda Stone", "0043", "edda@x.edu", "2026-11-21 09:00:00"),
    ]
)


def run(folder: Path, command: str) -> str:
    """Runs a command as it is typed there; what it says on standard output."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command), cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def desk(tmp_path):
    """A folder with what a TA has: Gradescope's export, the roster, the late policy."""
    written = members()
    with zipfile.ZipFile(tmp_path / "submissions.zip", "w") as archive:
        archive.writestr("assignment_7_export/submission_metadata.yml", METADATA)
        archive.writestr("assignment_7_export/submission_101/attention.ipynb", written["ada.ipynb"])
        archive.writestr("assignment_7_export/submission_102/attention.ipynb", written["edda.ipynb"])
    (tmp_path / "class.csv").write_text(ROSTER, encoding="utf-8")
    (tmp_path / "late.toml").write_text(LATE, encoding="utf-8")
    return tmp_path


def test_ten_commands(desk):
    """From the download to files that Canvas and Moodle import, with what the guide says about each step."""
    assert len(COMMANDS) == 10
    unpack, doctor, grade, again, report, explain, regrade, with_written, canvas, moodle = COMMANDS
    run(desk, unpack)
    assert "landlock" in run(desk, doctor)
    assert "submission_102" in run(desk, grade)
    assert "2 of 2 were graded before and have not changed." in run(desk, again)
    run(desk, report)
    assert "Edda Stone" in (desk / "out" / "report" / "index.html").read_text(encoding="utf-8")
    assert "no_scale" in run(desk, explain)
    assert "The points of 0 of 2 submissions changed." in run(desk, regrade)
    enter(desk / "out" / manual.TABLE, {"submission_101": "18", "submission_102": "10"})
    run(desk, with_written)
    assert "1 day late: 10 points off" in run(desk, canvas)
    run(desk, moodle)
    rows = {row[0]: row[-1] for row in table(desk / "canvas.csv")}
    assert rows == {"Student": "Attention from scratch", "    Points Possible": "100.00",
                    "Lovelace, Ada": "98.00", "Stone, Edda": "44.00"}  # fmt: skip
    assert {row[2]: row[4] for row in table(desk / "moodle.csv")[1:]} == {
        "ada@x.edu": "98.00",
        "edda@x.edu": "44.00",
    }


def table(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def enter(path: Path, scores: dict[str, str]) -> None:
    """Types points for w1 into the table, as a TA does."""
    rows = table(path)
    rows[1:] = [[row[0], scores[row[0]], *row[2:]] for row in rows[1:]]
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def test_the_late_policy_is_one(tmp_path):
    """The example in the text is read as it stands, and has every key."""
    (tmp_path / "late.toml").write_text(LATE, encoding="utf-8")
    assert roster.load_policy(tmp_path / "late.toml").percent_per_day == 10
    assert set(tomllib.loads(LATE)) == {"due", "grace_minutes", "percent_per_day", "max_percent", "of"}


def test_every_status_is_explained():
    """The words that the grader prints are those that the guide explains."""
    text = section(GUIDE, "## What a status means")
    assert all(f"| `{status}` |" in text for status in ("graded", "failed", "error"))
    assert len(Outcome) == text.count("passed") + text.count("FAILED") + text.count("COULD NOT")
