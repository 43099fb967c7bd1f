"""Submissions made from an assignment's own files: the reference, the stub, one mistake, one question."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from autograder import submission
from autograder.assignment import Assignment
from autograder.fixtures import reference_files

_MARKERS = re.compile(r"^ *# (BEGIN|END) SOLUTION.*\n?", re.M)
# In place of the import: a student's process has none of our modules.
_STAND_IN = "misconception = lambda *_, **__: lambda thing: thing\n"
_IMPORT = re.compile(r"^from autograder\.diagnosis import misconception\n", re.M)

Files = dict[str, bytes]


def right_cells(assignment: Assignment) -> list[str]:
    """The graded cells of the reference, as a student would have written them."""
    cells = submission.read(assignment.reference, assignment.reference.name, assignment).cells
    return [_MARKERS.sub("", cell.source).strip("\n") for cell in cells]


def script(cells: Iterable[str]) -> bytes:
    """Cells as a script in percent format."""
    return "".join(f"# %%\n{cell}\n\n" for cell in cells).encode()


def notebook(cells: Iterable[str]) -> bytes:
    """Cells as a notebook."""
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    built: list[dict[str, object]] = [
        {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": source}
        for source in cells
    ]
    return json.dumps({"cells": built, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}).encode()


def reference(assignment: Assignment, kind: str) -> Files:
    """The reference with its artifacts: "py", as it is, or "ipynb", its cells as a notebook."""
    content = assignment.reference.read_bytes() if kind == "py" else notebook(right_cells(assignment))
    return {f"{assignment.slug}.{kind}": content, **reference_files(assignment)}


def stub(assignment: Assignment, kind: str) -> Files:
    """What was handed out, handed in: "py" or "ipynb"."""
    name = f"{assignment.slug}.{kind}"
    return {name: (assignment.template / name).read_bytes()}


def mistaken(assignment: Assignment, mistakes: Mapping[str, str]) -> Files:
    """Right answers but for some names; what calls these among the others still calls the right ones.

    Args:
        assignment: whose.
        mistakes: the student's name -> the key of the misconception that stands in for it.
    """
    source = assignment.misconceptions.read_text(encoding="utf-8")
    wrong = "".join(f"from wrong import {key} as {name}\n" for name, key in mistakes.items())
    return {
        f"{assignment.slug}.py": f"from right import *\n{wrong}".encode(),
        "right.py": script(right_cells(assignment)),
        "wrong.py": _IMPORT.sub(_STAND_IN, source).encode(),
        **reference_files(assignment),
    }
