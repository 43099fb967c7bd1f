"""The command itself: exit codes, what it writes, and Ctrl-C in the middle of it."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLE = Path(__file__).parent / "data" / "sample"
COMMAND = [sys.executable, "-m", "autograder"]
RIGHT = (SAMPLE / "reference" / "mini.py").read_text(encoding="utf-8")


def run(*arguments):
    """Runs the command where the sample assignment is found."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=SAMPLE, capture_output=True, text=True, timeout=120
    )


def rows(output):
    """grades.csv, by submission."""
    with open(output / "grades.csv", newline="", encoding="utf-8") as table:
        return {row["submission"]: row for row in csv.DictReader(table)}


@pytest.fixture
def folder(tmp_path):
    """A class of two: a script, and a folder with a notebook's worth of files."""
    (tmp_path / "class" / "bob").mkdir(parents=True)
    (tmp_path / "class" / "ada.py").write_text(RIGHT, encoding="utf-8")
    (tmp_path / "class" / "bob" / "mini.py").write_text("from helper import *", encoding="utf-8")
    (tmp_path / "class" / "bob" / "helper.py").write_text(RIGHT, encoding="utf-8")
    return tmp_path / "class"


def test_all_graded(folder, tmp_path):
    """Exit code 0, a table on standard output, and nothing else there."""
    done = run("grade", "mini", folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "A softmax and a gate" in done.stdout
    assert "ada.py" in done.stdout
    assert f"Scores: {tmp_path / 'out' / 'grades.csv'}" in done.stdout
    assert {name: row["score"] for name, row in rows(tmp_path / "out").items()} == {"ada.py": "8", "bob": "8"}
    assert "2/2 bob: 8/8 (graded)" in done.stderr


def test_some_not_graded(folder, tmp_path):
    """Exit code 1; who is named, and the others are graded."""
    (folder / "eve.docx").write_bytes(b"PK\x03\x04")
    (folder / "\x1b[31mred.py").write_text("", encoding="utf-8")
    done = run("grade", "mini", folder, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "Could not be graded: ?[31mred.py, eve.docx" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert [row["status"] for row in rows(tmp_path / "out").values()] == [
        "failed",
        "graded",
        "graded",
        "failed",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grade", "nothing", "x.py", "-o", "out"), "nothing"),
        (("grade", "mini", "no_such_file.py", "-o", "out"), "There is no file or folder no_such_file.py."),
        (("grade", "mini", "-o", "out"), "Missing argument"),
        (("grade", "mini", "x.py"), "Missing option"),
        (("mark",), "No such command"),
    ],
)
def test_wrong_usage(arguments, message):
    """Exit code 2 and what is wrong, without a traceback."""
    done = run(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_list():
    """Assignments, questions, points."""
    assert run("list").stdout.splitlines() == [
        "mini: A softmax and a gate (8 points, 2 more by hand)",
        "  q1      4  Softmax (softmax)",
        "  q2      4  A gate (Gate, gate_entropy)",
        "  w1      2  Shifting the scores (written)",
    ]


def test_a_broken_test_is_nobodys_fault(folder, tmp_path):
    """A case that the reference fails too: status error, exit code 1, and the student is told."""
    root = tmp_path / "course"
    shutil.copytree(SAMPLE, root)
    test = root / "assignments" / "mini" / "tests" / "q1.py"
    test.write_text(test.read_text(encoding="utf-8").replace("[0.25, 0.75]", "[0.2, 0.8]"), encoding="utf-8")
    command = [*COMMAND, "grade", "mini", str(folder / "ada.py"), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert rows(tmp_path / "out")["ada.py"]["status"] == "error"
    text = (tmp_path / "out" / "results" / "ada.py.json").read_text(encoding="utf-8")
    assert "This test does not work: the reference solution fails it too." in text
    assert "q1 could not be judged, through no fault of yours" in text


def test_interrupted(folder, tmp_path):
    """Ctrl-C keeps what is done, names the rest, and leaves no process behind."""
    (folder / "bob" / "mini.py").write_text("while True: pass", encoding="utf-8")
    output = tmp_path / "out"
    process = subprocess.Popen(
        [*COMMAND, "grade", "mini", str(folder), "-o", str(output)],
        cwd=SAMPLE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (output / "grades.csv").exists():
        assert time.monotonic() < deadline, "the first submission was not graded within a minute"
        time.sleep(0.05)
    time.sleep(0.5)
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 1, stderr
    assert "Stopped: 1 of 2 are graded; their results are kept." in stderr
    assert "Not graded: bob" in stderr
    assert list(rows(output)) == ["ada.py"]
    assert (output / "results" / "ada.py.json").exists()
    assert "ada.py" in stdout
    time.sleep(0.5)
    assert not [pid for pid in children if running(pid)]


def descendants(pid):
    """The processes below this one; none where the platform has no /proc."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            child = int(entry.parent.name)
            found += [child, *descendants(child)]
    return found


def running(pid):
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(os.name != "posix", reason="needs a closed pipe")
def test_output_to_a_file_in_the_way(folder, tmp_path):
    """An output folder that is a file is wrong usage."""
    (tmp_path / "out").write_text("", encoding="utf-8")
    assert run("grade", "mini", folder, "-o", tmp_path / "out").returncode == 2
