"""Submissions as bytes, to keep or to send; and whether the files are still those that were graded."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from autograder import submission
from autograder.assignment import load

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")


def notebook(*sources):
    """A notebook with code cells that printed something."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": "printed"}]
    cells = [{"cell_type": "code", "metadata": {}, "source": s, "outputs": outputs} for s in sources]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})


@pytest.fixture(params=["script", "notebook", "folder", "zip"])
def path(request, tmp_path):
    """A submission of each kind, with names and bytes of every sort beside it."""
    if request.param == "script":
        (tmp_path / "ada.py").write_text("x = 'ü☃'\n# %%\ny = 2\n", encoding="utf-8")
        return tmp_path / "ada.py"
    if request.param == "notebook":
        (tmp_path / "ada.ipynb").write_text(notebook("x = 1", "%matplotlib inline"), encoding="utf-8")
        return tmp_path / "ada.ipynb"
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "mini.py").write_text("import helper\n", encoding="utf-8")
    (tmp_path / "ada" / "helper\udcff.py").write_bytes(b"")
    (tmp_path / "ada" / "data.bin").write_bytes(bytes(range(256)) * 10)
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "ada.zip", "w") as archive:
            archive.write(tmp_path / "ada" / "mini.py", "mini.py")
            archive.write(tmp_path / "ada" / "data.bin", "sub/data.bin")
        return tmp_path / "ada.zip"
    return tmp_path / "ada"


def test_there_and_back(path):
    """All that grading looks at comes back, under the name that is asked for."""
    read = submission.read(path, path.name, SAMPLE)
    assert submission.unpack(submission.pack(read), path.name) == read


def test_outputs_are_not_kept(tmp_path):
    """What a notebook printed is most of its size and read by nobody."""
    (tmp_path / "ada.ipynb").write_text(notebook("x = 1"), encoding="utf-8")
    read = submission.read(tmp_path / "ada.ipynb", "ada", SAMPLE)
    assert b"printed" not in b"".join(submission.unpack(submission.pack(read), "ada").files.values())


def test_fingerprint(path):
    """It stays as long as the bytes do, whenever they were written."""
    before = submission.fingerprint(path)
    os.utime(path, (0, 0))
    assert submission.fingerprint(path) == before
    target = path / "data.bin" if path.is_dir() else path
    target.write_bytes(target.read_bytes() + b" ")
    assert submission.fingerprint(path) != before


@pytest.mark.parametrize("change", ["rename", "move a byte to the next file", "add", "remove"])
def test_fingerprint_of_a_folder(tmp_path, change):
    """Names count, and where one file ends and the next begins."""
    (tmp_path / "ada").mkdir()
    a, b = tmp_path / "ada" / "a.py", tmp_path / "ada" / "b.py"
    a.write_bytes(b"one")
    b.write_bytes(b"two")
    before = submission.fingerprint(tmp_path / "ada")
    if change == "rename":
        b.rename(b.with_name("c.py"))
    elif change == "add":
        (tmp_path / "ada" / "empty").mkdir()
    elif change == "remove":
        b.unlink()
    else:
        a.write_bytes(b"onet")
        b.write_bytes(b"wo")
    assert submission.fingerprint(tmp_path / "ada") != before


def test_fingerprint_of_what_systems_leave_behind(tmp_path):
    """A look at the folder with a file manager or an editor is no change."""
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "mini.py").write_bytes(b"one")
    before = submission.fingerprint(tmp_path / "ada")
    (tmp_path / "ada" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "ada" / "__pycache__").mkdir()
    assert submission.fingerprint(tmp_path / "ada") == before


def test_fingerprint_of_links(tmp_path):
    """A link that leads in a circle, or nowhere, ends nothing."""
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / "circle").symlink_to(tmp_path / "ada")
    (tmp_path / "ada" / "nowhere").symlink_to(tmp_path / "none")
    assert submission.fingerprint(tmp_path / "ada")
    with pytest.raises(OSError, match="No such file"):
        submission.fingerprint(tmp_path / "none")
