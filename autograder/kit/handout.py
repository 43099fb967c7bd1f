"""The reference without its solutions, as a notebook and as a script."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from otter.assign.solutions import replace_solutions

from autograder.assignment import Assignment, AssignmentError
from autograder.kit.texts import ANSWER, OTTER, install_cell, submit

IGNORE = "otter_ignore"
SOLUTION = "solution"


_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def stub_notebook(assignment: Assignment) -> str:
    """The student's notebook: with cells that install what is missing, check each question, and say how to hand in."""
    title, *rest = _with_checks(assignment, _stub_cells(assignment))
    setup = [_ignored(install_cell(assignment)), _ignored(OTTER)]
    notebook = _notebook([title, *setup, *rest, new_markdown_cell(submit(assignment))], _METADATA)
    for number, cell in enumerate(notebook.cells):
        cell["id"] = (
            f"{assignment.slug.replace('_', '-')}-{number:03d}"  # chance would make every kit a new one
        )
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook)) + "\n"


def stub_source(assignment: Assignment, solved: Collection[str] = ()) -> str:
    """The student's script in percent format: the same without Otter's cells, for `otter check` runs it as a whole.

    Args:
        assignment: whose.
        solved: questions whose code is the reference's, for the examination of the suite.
    """
    bare = {"jupytext": {"notebook_metadata_filter": "-all"}}
    return str(jupytext.writes(_notebook(_stub_cells(assignment, solved), bare), fmt="py:percent"))


def _notebook(cells: Iterable[NotebookNode], metadata: dict[str, Any]) -> NotebookNode:
    """A notebook of these cells, with no tags but those that a student's cells need."""
    notebook: NotebookNode = new_notebook(cells=list(cells), metadata=metadata)
    for cell in notebook.cells:
        cell["metadata"] = {"tags": [IGNORE]} if IGNORE in _tags(cell) else {}
    return notebook


def _stub_cells(assignment: Assignment, solved: Collection[str] = ()) -> Iterator[NotebookNode]:
    """The reference's cells as the student gets them: solutions replaced, worked answers by an empty one."""
    reference = jupytext.reads(assignment.reference.read_text(encoding="utf-8"), fmt="py:percent")
    for cell in reference.cells:
        if SOLUTION in _tags(cell):
            yield new_markdown_cell(ANSWER)
            continue
        if cell.cell_type == "code" and not set(solved).intersection(_tags(cell)):
            cell.source = _without_solutions(cell.source, assignment)
        yield cell


def _without_solutions(source: str, assignment: Assignment) -> str:
    try:
        lines = replace_solutions(source.split("\n"), "python")
    except AssertionError as error:
        raise AssignmentError(f"reference/{assignment.slug}.py: {error}") from error
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(line.rstrip() for line in lines)).strip("\n")


def _with_checks(assignment: Assignment, cells: Iterable[NotebookNode]) -> Iterator[NotebookNode]:
    """Puts `grader.check` after the last code cell of each question."""
    cells = list(cells)
    last = {tag: cell for cell in cells if cell.cell_type == "code" for tag in _tags(cell)}
    for question in assignment.questions:
        if question.name not in last:
            raise AssignmentError(
                f"reference/{assignment.slug}.py has no code cell tagged {question.name!r}."
            )
    for cell in cells:
        yield cell
        for question in assignment.questions:
            if last[question.name] is cell:
                yield _ignored(f'grader.check("{question.name}")')


def _ignored(source: str) -> NotebookNode:
    cell: NotebookNode = new_code_cell(source, metadata={"tags": [IGNORE]})
    return cell


def _tags(cell: NotebookNode) -> list[str]:
    return list(cell.metadata.get("tags", []))
