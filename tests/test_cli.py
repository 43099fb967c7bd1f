"""The command itself: exit codes, what it writes, and what becomes of it when stopped, killed or out of room."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autograder.store import Store
from tests.stores import comparable

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
    lines = sorted(line.split(maxsplit=1)[1] for line in done.stderr.splitlines())
    assert lines == ["ada.py: 8/8 (graded)", "bob: 8/8 (graded)"]


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


def start(folder, output, *options):
    """The command, started, in a process group of its own."""
    return subprocess.Popen(
        [*COMMAND, "grade", "mini", str(folder), "-o", str(output), *options],
        cwd=SAMPLE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(condition, what):
    """Waits until something is there, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within a minute"
        time.sleep(0.02)


def test_interrupted_twice(folder, tmp_path):
    """The second Ctrl-C ends it at once, in the middle of whatever it does about the first; nothing is broken."""
    (folder / "bob" / "mini.py").write_text("while True: pass", encoding="utf-8")
    output = tmp_path / "out"
    process = start(folder, output)
    wait_for((output / "grades.csv").exists, "the first result")
    children = descendants(process.pid)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode in (1, 128 + signal.SIGINT)
    wait_for(lambda: not any(map(running, children)), "the end of all processes")
    assert [row["name"] for row in comparable(output)["submissions"]] == ["ada.py"]


def test_resumed(folder, tmp_path):
    """The second time nothing is run, and the table is the same."""
    first = run("grade", "mini", folder, "-o", tmp_path / "out")
    before = comparable(tmp_path / "out")
    again = run("grade", "mini", folder, "-o", tmp_path / "out")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert again.stderr == "2 of 2 were graded before and have not changed.\n"
    assert comparable(tmp_path / "out") == before


def test_regraded(folder, tmp_path):
    """After a change of a suite: its question alone is run again, from the store, and the points follow."""
    root = tmp_path / "course"
    shutil.copytree(SAMPLE, root)
    grade = [*COMMAND, "grade", "mini", str(folder), "-o", str(tmp_path / "out"), "--jobs", "1"]
    subprocess.run(grade, cwd=root, check=True, capture_output=True, timeout=120)
    before = comparable(tmp_path / "out")
    shutil.rmtree(folder)
    test = root / "assignments" / "mini" / "tests" / "q2.py"
    text = test.read_text(encoding="utf-8")
    first = text.index("def test_")
    begin = text.index(":\n", first) + 2
    test.write_text(
        text[:begin] + "    raise AssertionError('as changed')\n" + text[begin:], encoding="utf-8"
    )
    regrade = [*COMMAND, "regrade", str(tmp_path / "out"), "--jobs", "2"]
    done = subprocess.run(regrade, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, (
        done.stderr
    )  # the reference fails the changed test too, so that it is nobody's fault
    assert "The points of 2 of 2 submissions changed." in done.stdout
    after = comparable(tmp_path / "out")
    assert [row for row in after["questions"] if row["question"] == "q1"] == [
        row for row in before["questions"] if row["question"] == "q1"
    ]
    assert {row["status"] for row in after["submissions"]} == {"error"}


def test_locked(folder, tmp_path):
    """Another run in the folder: exit code 2, and whose it is."""
    with Store(tmp_path / "out", "mini"):
        done = run("grade", "mini", folder, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert f"Another run is writing to {tmp_path / 'out'} (process {os.getpid()})" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_room(folder, tmp_path):
    """Files that may not grow, as on a full disk: words, what was kept is whole, and the next run does the rest."""
    for number in range(12):
        (folder / f"{number}.py").write_text(f"{RIGHT}\n# {number}\n", encoding="utf-8")
    command = f"ulimit -f 64; exec {sys.executable} -m autograder grade mini {folder} -o {tmp_path / 'out'}"
    done = subprocess.run(["bash", "-c", command], cwd=SAMPLE, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert f"No room is left in {tmp_path / 'out'}" in done.stderr
    assert "Traceback" not in done.stderr
    kept = len(comparable(tmp_path / "out")["submissions"])
    assert 0 < kept < 14
    done = run("grade", "mini", folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert f"{kept} of 14 were graded before and have not changed." in done.stderr
    assert len(rows(tmp_path / "out")) == 14


@pytest.mark.slow
def test_killed_at_random_moments(folder, tmp_path):
    """kill -9 of the whole process group, three times; then the store is that of an undisturbed run."""
    for number in range(10):
        text = RIGHT if number % 3 else "def softmax(x):\n    return x\n"
        (folder / f"{number}.py").write_text(f"{text}\n# {number}\n", encoding="utf-8")
    assert run("grade", "mini", folder, "-o", tmp_path / "whole").returncode == 0
    moments = random.Random(6)
    for _ in range(3):
        process = start(folder, tmp_path / "out", "--jobs", "2")
        time.sleep(moments.uniform(1, 4))
        children = descendants(process.pid)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=30)
        wait_for(lambda pids=children: not any(map(running, pids)), "the end of all processes")
    done = run("grade", "mini", folder, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert comparable(tmp_path / "out") == comparable(tmp_path / "whole")
    assert len(rows(tmp_path / "out")) == len(list((tmp_path / "out" / "results").iterdir())) == 12


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
