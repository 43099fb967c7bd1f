"""Submissions for tests and the demonstration, made from readable files: scripts, notebooks, zips, folders of them.

A line `from right import *` in a file under tests/submissions stands for the reference's graded cells, as a student
would have written them, and `from nothing import *` for tests/submissions/attention/nothing.py.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from autograder.assignment import Assignment, load
from autograder.validate import submissions

FOLDER = Path(__file__).parent / "submissions" / "attention"
ASSIGNMENT: Assignment = load("attention", FOLDER.parents[2])
_MEMBER_DATE = (1980, 1, 1, 0, 0, 0)  # the same bytes in every run


def right_cells() -> list[str]:
    """The graded code cells of the reference: setup, then q1 to q7."""
    return submissions.right_cells(ASSIGNMENT)


def script(cells: Iterable[str]) -> str:
    """Cells as a script in percent format."""
    return submissions.script(cells).decode()


def complete(source: str) -> str:
    """A file's text with what stands for the right answers, or for none, put in."""
    source = source.replace("from nothing import *\n", (FOLDER / "nothing.py").read_text(encoding="utf-8"))
    return source.replace("from right import *\n", script(right_cells()) + "# %%\n")


def code_cell(source: str, *tags: str) -> dict[str, object]:
    """A code cell of a notebook."""
    return {
        "cell_type": "code", "execution_count": None, "metadata": {"tags": list(tags)}, "outputs": [],
        "source": source.splitlines(keepends=True),
    }  # fmt: skip


def notebook(cells: Iterable[str | dict[str, object]]) -> bytes:
    """A notebook of code cells, given as their text or whole."""
    built = [code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return json.dumps({"cells": built, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}).encode()


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """A zip archive, the same bytes in every run."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(zipfile.ZipInfo(name, _MEMBER_DATE), content)
    return buffer.getvalue()


def misconception(key: str, replaces: str) -> bytes:
    """A zip whose one wrong answer is that misconception; all other names, also when called by others, are right."""
    return archive(submissions.mistaken(ASSIGNMENT, {replaces: key}))


def template(name: str) -> bytes:
    """A file of the student kit, untouched."""
    return (ASSIGNMENT.template / name).read_bytes()


# ------------------------------------------------------------------------------------------------------ accidents

_MAGICS = """\
%matplotlib inline
%config InlineBackend.figure_format = 'retina'
!pip install torch
%pip install -q matplotlib
files = !ls
%load_ext autoreload
%autoreload 2
%time 1 + 1
reached = True
"""
_OTTER = "import otter\ngrader = otter.Notebook('attention.ipynb')"


def _middle(cells: list[str], *extra: str) -> list[str]:
    return [*cells[:4], *extra, *cells[4:]]


def accidents() -> dict[str, bytes]:
    """All files of tests/submissions/attention/accidents, and those that are made here, by name."""
    cells = right_cells()
    made = _written("accidents")
    kernel = notebook(cells)
    made |= {
        "failing_cell_in_the_middle.ipynb": notebook(_middle(cells, "x = undefined_name + 1", "1 / 0")),
        "magics.ipynb": notebook([_MAGICS, "\n".join(cells), "%%time\nsum([1])", "attention_weights?"]),
        "calls_grader_check.ipynb": notebook([_OTTER, *cells, 'grader.check("q1")', "grader.check_all()"]),
        "pip_install.ipynb": notebook(["!pip install otter-grader torch", "%pip install einops", *cells, "!ls"]),
        "cells_out_of_order.ipynb": notebook(["attention_weights(q, k)", *cells[:2], *reversed(cells[2:])]),
        "imports_at_the_end.ipynb": notebook(reversed(cells)),
        "exits_in_the_middle.ipynb": notebook(_middle(cells, "import sys\nsys.exit()", "quit()\n1 / 0")),
        "text.txt": script(cells).encode(),
        "word.docx": b"PK\x03\x04" + bytes(100),
        "portable.pdf": b"%PDF-1.7\n",
        "pdf_renamed.py": b"%PDF-1.7\n%\xe2\xe3\n",
        "notebook_renamed.py": kernel,
        "empty.py": b"",
        "empty.ipynb": b"",
        "zip_of_nothing.zip": archive({"readme.txt": "see my mail"}),
        "helpers_and_data.zip": _with_helpers(cells),
        "one_folder_both_files.zip": archive({
            "hw1/attention.py": template("attention.py"), "hw1/attention.ipynb": kernel, "hw1/q1.png": b"\x89PNG",
        }),
        "macbook.zip": archive({
            "attention.ipynb": kernel, "__MACOSX/._attention.ipynb": b"\0\5\x16\7", ".DS_Store": b"\0",
        }),
    }  # fmt: skip
    return made


def _with_helpers(cells: list[str]) -> bytes:
    """A notebook that keeps its first answer in a module of its own and reads a number from a data file."""
    main = [
        "from pathlib import Path\nimport json\nSCALE = json.loads(Path('data/scale.json').read_text())['one']",
        "from mine.weights import *",
        *cells[2:],
    ]
    files = {
        "attention.ipynb": notebook(main),
        "mine/__init__.py": "",
        "mine/weights.py": "\n\n".join(cells[:2]),
    }
    return archive({**files, "data/scale.json": '{"one": 1.0}'})


def cheats() -> dict[str, bytes]:
    """All files of tests/submissions/attention/cheats, by name."""
    return _written("cheats")


def group(fault: str) -> dict[str, bytes]:
    """The submissions of tests/submissions/attention/<fault>, with those of that kind that are made here."""
    return accidents() if fault == "accidents" else _written(fault)


def _written(fault: str) -> dict[str, bytes]:
    paths = sorted((FOLDER / fault).glob("*.py"))
    return {path.name: complete(path.read_text(encoding="utf-8")).encode() for path in paths}


def honest() -> dict[str, bytes]:
    """Everything that earns all points: the reference in three forms, and honest unusual styles."""
    cells = right_cells()
    found = {path.name: path.read_bytes() for path in sorted((FOLDER / "honest").glob("*.py"))}
    return {
        **found,
        "reference.py": ASSIGNMENT.reference.read_bytes(),
        "reference_as_one_script.py": "\n\n".join(cells).encode(),
        "reference.ipynb": notebook(cells),
        "reference.zip": archive({"attention.py": ASSIGNMENT.reference.read_bytes()}),
    }
