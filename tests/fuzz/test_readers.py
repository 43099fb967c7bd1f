"""Notebooks, scripts and archives as nobody saved them: each is a submission or a `SubmissionError`."""

import io
import json
import random
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import traces
from autograder.assignment import load
from autograder.submission import Submission, SubmissionError, answers, pack, read, unpack
from autograder.submission.bundle import MAX_PART, unzip
from autograder.submission.cells import MAX_NESTING, raw_cells, read_cells
from autograder.submission.model import MAX_BYTES
from tests.fuzz import mutate

MINI = load("mini", Path(__file__).parents[1] / "data" / "sample")
SEEDS = st.integers(0, 2**64)

NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": ["# w1\n", "Because.\n"]},
        {"cell_type": "code", "metadata": {"tags": ["q1"]}, "source": ["x = 1\n", "y = 2"], "outputs": [1]},
        {"cell_type": "code", "metadata": {"tags": ["otter_ignore"]}, "source": "plot()", "outputs": []},
    ],
    "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5,
}  # fmt: skip
OLD = {"worksheets": [{"cells": [{"cell_type": "code", "input": "x = 1", "outputs": []},
                                 {"cell_type": "heading", "level": 1, "source": "w1"}]}], "nbformat": 3}  # fmt: skip
SCRIPT = b"# coding: utf-8\nimport torch\n# %% [markdown]\n# # w1\n# Because.\n# %%\ndef softmax(x):\n    return x\n"
_KEYS = ("cells", "worksheets", "cell_type", "source", "input", "metadata", "tags", "outputs", "nbformat", "")
_ODD: list[Any] = [None, True, 0, -1, 1e308, "", "code", "markdown", "\ud800", "\0", "\x1b[2J", "# w1", "x" * 5000,
    [], {}, [[]],
                   [None], [{}], {"cells": []}, {"a": {"b": []}}, ["x = 1\n", 3], "\r\r\n",
                   {"tags": [["otter_ignore"]]}]  # fmt: skip
_SNIPPETS = (b"{", b"[",
    b'"', b"}", b"]", b",", b"\\", b"1e999", b"NaN", b"\0", b"\xff", b"\xef\xbb\xbf", b"# %%\n", b"\r", b"\f",
             b"9" * 5000, b"# coding: utf-16\n", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06",
             b"[" * 3000)  # fmt: skip


def _odd(value: Any, choose: random.Random) -> Any:
    if choose.random() > 0.2:
        return choose.choice(_ODD)
    for _ in range(choose.choice((1, 3, MAX_NESTING - 3, MAX_NESTING, 200))):
        value = choose.choice(([value], {"a": value}))
    return value


def notebook(choose: random.Random) -> bytes:
    """A notebook that is changed in a few places."""
    document: Any = json.loads(json.dumps(choose.choice((NOTEBOOK, NOTEBOOK, OLD))))
    for _ in range(choose.randint(1, 4)):
        document = mutate.tree(document, choose, _odd, _KEYS)
    data = json.dumps(document).encode(choose.choice(("utf-8", "utf-8", "utf-8", "utf-16", "utf-8-sig")))
    return data if choose.random() < 0.7 else mutate.data(data, choose, _SNIPPETS)


def script(choose: random.Random) -> bytes:
    """A script with other bytes here and there."""
    return mutate.data(SCRIPT, choose, _SNIPPETS)


_NAMES = ("mini.ipynb", "mini.py", "MINI.PY", "a/mini.py", "a", "a/b", "../mini.py", "/etc/passwd", "C:\\mini.py",
    "a\\mini.py",
          "..\\..\\mini.py", "a//b.py", "./mini.py", "", ".", "..", "a/../b.py", "con\x00.py", "\x1b[2J.py",
          "\u202emini.py",
          "m\u0131ni.py", "caf\u00e9.py", "cafe\u0301.py", ".git/config", "__MACOSX/mini.py", "x" * 300,
          "d/" * 20 + "x.py",
          "torch.py", "otter.py", "a/", "mini.py/", "tests/q1.py", "\ud800.py")  # fmt: skip
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_TYPES = (0, stat.S_IFREG, stat.S_IFREG, stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR)


def archive(choose: random.Random) -> bytes:
    """A zip archive with unusual members, and mostly a few bytes that are not what they were."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        if choose.random() < 0.7:
            made.writestr("mini.py", SCRIPT)
        for _ in range(choose.choice((0, 1, 1, 2, 4))):
            _add_member(made, choose)
    data = buffer.getvalue()
    data = data if choose.random() < 0.7 else mutate.data(data, choose, _SNIPPETS)
    return choose.choice(
        (data, data, data, data, data, b"#!/bin/sh\n" + data, data + b"rest", data[: len(data) // 2])
    )


def _add_member(made: zipfile.ZipFile, choose: random.Random) -> None:
    info = zipfile.ZipInfo("x")
    info.filename = info.orig_filename = choose.choice(_NAMES)
    info.external_attr = (choose.choice(_TYPES) | 0o644) << 16
    info.compress_type = choose.choice(
        (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
    )
    content = choose.choice((SCRIPT, json.dumps(NOTEBOOK).encode(), b"", bytes(100_000), notebook(choose)))
    try:
        made.writestr(info, content)
    except (
        UnicodeEncodeError,
        UserWarning,
    ):  # a name that this library cannot write, or one for the second time
        pass
    if choose.random() < 0.05:
        info.flag_bits |= 1  # "encrypted", in the list of contents
    if choose.random() < 0.05:
        info.file_size = choose.choice((0, 1, 2**31, 2**40))


refusals: list[str] = []


def handed_in(name: str, data: bytes, folder: Path) -> Submission | None:
    """What the grader does with a file before anything is run; None where it is refused in words."""
    path = folder / name
    path.write_bytes(data)
    try:
        submission = read(path, name, MINI)
    except SubmissionError as error:
        refusals.append(str(error))
        return None
    check(submission)
    return submission


def check(submission: Submission) -> None:
    """What is promised of every submission that was read, and of all that is done with it next."""
    assert submission.cells
    assert all("\r" not in cell.source for cell in submission.cells)
    submission.text.encode()
    for path in submission.files:
        parts = Path(path).parts
        assert path == "/".join(parts)
        assert ".." not in parts
        assert not path.startswith("/")
        assert all(len(part.encode()) <= MAX_PART for part in parts)
    assert sum(map(len, submission.files.values())) <= MAX_BYTES
    assert unpack(pack(submission), submission.name) == submission
    assert all(isinstance(text, str) for text in answers(submission, ["w1"]).values())
    traces.find(submission, MINI)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_notebook(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """A notebook with anything in it is read, or refused for a reason; what is read can be packed and answered."""
    handed_in("mini.ipynb", notebook(random.Random(seed)), folder(tmp_path_factory))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_script(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """A script of any bytes is read, or refused for a reason."""
    handed_in("mini.py", script(random.Random(seed)), folder(tmp_path_factory))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_archive(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """An archive with anything in it is read, or refused for a reason; no path in it leads out of its folder."""
    handed_in("mini.zip", archive(random.Random(seed)), folder(tmp_path_factory))


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=300))
def test_any_bytes(data: bytes):
    """Bytes of any kind, under each of the three names."""
    for name, reader in (("a.ipynb", read_cells), ("a.py", read_cells)):
        with_error(reader, name, data)
    with_error(unzip, "a.zip", data, {})


def with_error(function: Any, *arguments: Any) -> None:
    """Calls a reader that may refuse."""
    try:
        function(*arguments)
    except SubmissionError:
        pass


def test_refusals_are_safe_to_print(tmp_path: Path):
    """What the readers say of broken files is short, and holds nothing that a terminal would act on."""
    refusals.clear()
    for n in range(600):
        choose = random.Random(n)
        name, make = choose.choice((("mini.ipynb", notebook), ("mini.py", script), ("mini.zip", archive)))
        handed_in(name, make(choose), tmp_path)
    assert len(set(refusals)) > 20
    assert [text for text in refusals if not text.isprintable() or len(text) > 1000] == []


def folder(factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a test: each overwrites the file of the one before."""
    return factory.getbasetemp()


def test_the_readers_are_reached(tmp_path: Path):
    """Of each kind many are read and many are refused: the tests above look at both ways."""
    for name, make in (("mini.ipynb", notebook), ("mini.py", script), ("mini.zip", archive)):
        made = [handed_in(name, make(random.Random(n)), tmp_path) for n in range(300)]
        assert 20 <= made.count(None) <= 290, name


# ------------------------------------------------------------------------------------------------- what was found


def test_nesting_is_bounded(tmp_path: Path):
    """A notebook nested so deep that the next function could not read it is refused by the first."""
    deep = json.dumps(NOTEBOOK)[:-1] + ', "x": ' + "[" * 700 + "]" * 700 + "}"
    path = tmp_path / "mini.ipynb"
    path.write_text(deep)
    with pytest.raises(SubmissionError, match="more than 100 levels deep"):
        read(path, "mini.ipynb", MINI)


def test_cells_beside_worksheets(tmp_path: Path):
    """A notebook of two formats at once is read as the older one by all, whatever the newer part is."""
    path = tmp_path / "mini.ipynb"
    path.write_text(json.dumps({**OLD, "cells": 3}))
    submission = read(path, "mini.ipynb", MINI)
    assert [cell.source for cell in submission.cells] == ["x = 1"]
    assert answers(submission, ["w1"]) == {}
    assert len(list(raw_cells("mini.ipynb", path.read_bytes()))) == 2
