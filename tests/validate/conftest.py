"""The sample assignment, free to be spoilt, and a bench to examine it on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from autograder import kit
from autograder.assignment import load
from autograder.sandbox.launch import launch
from autograder.validate.bench import Bench
from autograder.validate.model import Options

FULL = Options()
SAMPLE = Path(__file__).parents[1] / "data" / "sample"


@pytest.fixture(scope="session")
def bench():
    with Bench(launch()) as bench:
        yield bench


@pytest.fixture
def root(tmp_path):
    """A copy of the sample with its kit."""
    folder = tmp_path / "root"
    shutil.copytree(SAMPLE, folder)
    kit.write(load("mini", folder))
    return folder


@pytest.fixture
def examined(bench, root):
    """Examines the copy: the verdict, after its pieces have been text, as between processes."""

    def examined(examination, options=FULL, pieces=None):
        found, assignment = {}, load("mini", root)
        for piece in pieces or examination.pieces(assignment, options):
            found[piece] = json.loads(json.dumps(examination.examine(bench, assignment, piece)))
        return examination.conclude(assignment, found, options)

    return examined


@pytest.fixture
def edit(root):
    """Changes a file of the copy."""

    def edit(path, *changes):
        text = (root / path).read_text(encoding="utf-8")
        for before, after in changes:
            assert text.count(before) == 1, f"{before!r} is there {text.count(before)} times"
            text = text.replace(before, after)
        (root / path).write_text(text, encoding="utf-8")

    return edit
