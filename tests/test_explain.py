"""`autograder grade --explain`: what settles a dispute is shown, from a file or as it was graded, and as text only."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autograder.explain import say

SAMPLE = Path(__file__).parent / "data" / "sample"
RIGHT = (SAMPLE / "reference" / "mini.py").read_text(encoding="utf-8")
WRONG = RIGHT.replace("x.amax(dim=-1, keepdim=True)", "x.amax(dim=0, keepdim=True)").replace(
    "sum(dim=-1", "sum(dim=0", 1
)


def run(*arguments, root=SAMPLE):
    """Runs the command where the sample assignment is found."""
    command = [sys.executable, "-m", "autograder", *map(str, arguments)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def ada(tmp_path):
    """A submission with a softmax over the wrong dimension, in a file that does not tell its assignment."""
    path = tmp_path / "ada.py"
    path.write_text(WRONG, encoding="utf-8")
    return path


def test_a_mistake_is_shown_with_its_calls(ada):
    """Calls, expected, found, the test's place, and the mistake that does the same in all calls."""
    done = run("grade", "--explain", ada, "--question", "q1")
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "ada.py: A softmax and a gate (mini)\n" in said
    assert "q1 Softmax: 3 of 4 points\n  Named: first_dimension." in said
    assert "passed: two numbers by hand (public, 2 of 2 points," in said
    assert "FAILED: stacks of rows (hidden, 0 of 1 points," in said
    assert "The test: assignments/mini/tests/q1.py, line " in said
    assert "The reference passes this test in this process." in said
    assert "    1 call, 1 unlike the reference's:\n      softmax(float64 (2, 3, 5) from " in said
    assert said.index("        found     float64 (2, 3, 5)") < said.index(
        "        expected  float64 (2, 3, 5)"
    )
    assert (
        "first_dimension  does the same in 2 of 2 calls to softmax, 1 of the 1 wrong ones  <- named" in said
    )
    assert "q2" not in said


def test_what_no_mistake_explains(ada):
    """A right answer next to a wrong one: the partial agreement is told, and that nothing is named."""
    ada.write_text(RIGHT.replace("return powers /", "return 0.5 + powers /"), encoding="utf-8")
    said = run("grade", "mini", "--explain", ada, "--question", "q1").stdout
    assert "first_dimension  does the same in 0 of 2 calls to softmax, 0 of the 2 wrong ones\n" in said
    assert "None does the same in all calls." in said


def test_as_it_was_graded(ada, tmp_path):
    """From an output folder: the kept submission, whatever the file is now; a changed test is told."""
    root = shutil.copytree(SAMPLE, tmp_path / "course")
    output = tmp_path / "out"
    assert run("grade", "mini", ada, "-o", output, "--no-report", root=root).returncode == 0
    ada.write_text(RIGHT, encoding="utf-8")
    test = root / "assignments" / "mini" / "tests" / "q1.py"
    test.write_text(
        test.read_text(encoding="utf-8")
        .replace("points=1", "points=1.5", 1)
        .replace("points=2", "points=1.5")
    )
    done = run("grade", "--explain", "ada.py", "-o", output, root=root)
    assert done.returncode == 0, done.stderr
    assert "q1 Softmax: 2.5 of 4 points" in done.stdout
    assert "The output folder has 3 points: it was graded with other tests." in done.stdout
    assert "Named: first_dimension." in done.stdout


def test_nothing_to_explain(ada):
    """Full points: said so."""
    ada.write_text(RIGHT, encoding="utf-8")
    assert run("grade", "--explain", ada).stdout.endswith("Every question has its full points.\n")


def test_a_terminal_obeys_nothing(tmp_path):
    """Escape sequences in names, texts and errors come out as text, and so does a notebook's."""
    evil = "\\x1b]0;owned\\x07\\u202e"
    code = RIGHT.replace("    if x.numel() == 0:", f'    raise ValueError("{evil}")\n    if x.numel() == 0:')
    path = tmp_path / "\x1b[31mred.ipynb"
    cells = [{"cell_type": "code", "metadata": {}, "source": code, "outputs": [], "execution_count": None}]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}))
    done = run("grade", "mini", "--explain", path, "--question", "q1")
    assert done.returncode == 0, done.stderr
    assert "raises ValueError" in done.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout + done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--explain", "nobody.py"),
            "There is no file or folder nobody.py. With -o OUTPUT, give a name as in",
        ),
        (("--explain", "README"), "Which assignment README answers is not clear"),
        (("mini", "--explain", "README", "--question", "q9"), "mini has no question 'q9': it has q1, q2."),
        (("mini", "x.py", "--explain", "README"), "--explain takes one submission"),
        (("mini", "x.py", "--question", "q1"), "--question goes with --explain"),
        (("--explain", "README", "-o", "none"), "none holds no grades.sqlite"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage(tmp_path, arguments, message):
    """Exit code 2 and the next step."""
    root = shutil.copytree(SAMPLE, tmp_path / "course")
    (root / "README").write_text("no code", encoding="utf-8")
    done = run("grade", *arguments, root=root)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (torch.tensor([[0.25, float("nan")]]), "float32 (1, 2) [[0.25, nan]]"),
        (torch.zeros(0, 3), "float32 (0, 3) []"),
        (torch.arange(20), "int64 (20,) from 0 to 19"),
        (torch.tensor([0.0] * 20 + [math.inf]), "float32 (21,) from 0 to 0, 1 of them NaN or infinite"),
        (torch.zeros(13, dtype=torch.complex64), "complex64 (13,)"),
        (torch.zeros(13) > 0, "bool (13,) from False to False"),
        ([1, (2.5, None)], "[1, (2.5, None)]"),
        ({"a": "b" * 200}, "{'a': '" + "b" * 99 + "...}"),
        (torch.nn.Linear(1, 1), "a module"),
        (object(), "an object of type object"),
    ],
)  # fmt: skip
def test_values_in_a_line(value, text):
    """Small tensors in full, large ones by shape and range; whatever it is, a line comes out."""
    assert say.shown(value) == text
