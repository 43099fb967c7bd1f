"""`autograder validate`: what is known is not done again, and the exit code says whether something is to be mended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from autograder.validate.kept import Kept
from autograder.validate.model import Outcome, Piece


@pytest.fixture
def validate(root):
    """Runs the command where the copy is."""

    def validate(*arguments):
        command = [sys.executable, "-m", "autograder", "validate", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)

    return validate


def test_from_start_to_end(validate, root, edit):
    """Sound: 0, and known afterwards. A fault: 1, named below the table, and only what it touches is done again."""
    done = validate("mini", "--json", "out.json", "--only", "answers", "--only", "promises")
    assert done.returncode == 0, done.stderr
    assert "5/5" in done.stderr
    document = json.loads((root / "out.json").read_text(encoding="utf-8"))
    assert document["errors"] == 0
    assert document["assignments"]["mini"]["answers"]["summary"] == "8, 0"
    again = validate("mini", "--only", "answers", "--only", "promises")
    assert again.stdout == done.stdout
    assert again.stderr == "5 of 5 pieces are known from before.\n"
    edit("assignments/mini/assignment.toml", ("q1: no numbers at all", "q1: no numbers"))
    faulty = validate("--only", "answers", "--only", "promises")
    assert faulty.returncode == 1
    assert "4 of 5 pieces are known from before.\n" in faulty.stderr
    assert (
        "error: mini, promises: promise 'x is empty' of softmax: there is no test 'q1: no numbers'"
        in faulty.stdout
    )
    assert "2 errors" in faulty.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mini", "--only", "taste"], "No examination 'taste'. There are: answers, kit, misconceptions"),
        (["maxi"], "No assignment 'maxi'"),
    ],
)
def test_wrong_usage(validate, arguments, says):
    done = validate(*arguments)
    assert done.returncode == 2
    assert says in done.stderr


def test_ctrl_c(root, edit):
    """What is done is kept, the rest is said, and no process is left."""
    edit(
        "assignments/mini/tests/q2.py",
        ("    gate = Gate(3, 4)\n", "    import time\n\n    time.sleep(3)\n    gate = Gate(3, 4)\n"),
    )
    command = [sys.executable, "-m", "autograder", "validate", "--only", "answers", "--jobs", "1"]
    running = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    line = running.stderr.readline()
    running.send_signal(signal.SIGINT)
    _, rest = running.communicate(timeout=60)
    assert "1/4 mini answers reference.py" in line
    assert "Stopped: 1 of 4 pieces are done, and kept." in rest
    assert running.returncode == 1
    kept = (root / "build" / "validate" / "mini.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["piece"] for line in kept] == ["reference.py"]


# ---------------------------------------------------------------------------------------------------------------- kept


def piece(name="q1", key="k"):
    return Piece("mini", "answers", name, key)


def test_kept(tmp_path):
    """The last line counts, only for the same key, and a line that a kill has cut off is passed over."""
    path = tmp_path / "folder" / "mini.jsonl"
    kept = Kept(path)
    kept.add(piece(), Outcome([1], seconds=2.0))
    kept.add(piece(), Outcome({"a": 2}))
    with path.open("a") as file:
        file.write('{"examination": "answers", "pie')
    again = Kept(path)
    assert again.get(piece()) == Outcome({"a": 2})
    assert again.get(piece(key="other")) is None
    assert again.get(piece("q2")) is None


def test_kept_files_do_not_grow_for_ever(tmp_path):
    kept = Kept(tmp_path / "mini.jsonl")
    for number in range(10):
        kept.add(piece(), Outcome(number))
    assert Kept(tmp_path / "mini.jsonl").get(piece()) == Outcome(9)
    assert len((tmp_path / "mini.jsonl").read_text().splitlines()) == 1
    assert os.listdir(tmp_path) == ["mini.jsonl"]
