"""The tables at the end, on standard output: everybody's points, or what a regrade changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from autograder.assignment import Assignment
from autograder.grading import NOT_IMPLEMENTED, QuestionResult, Result
from autograder.suite import clean

PLAIN_WIDTH = 110  # of a table where the output is no terminal


def print_points(assignment: Assignment, results: Iterable[Result]) -> None:
    """One row a submission: status, score, points of each question, and what a TA would want to know first."""
    names = [question.name for question in assignment.questions]
    table = _table(assignment, "submission", "status", "score", *names, "diagnosis")
    for column in table.columns[2:-1]:
        column.justify = "right"
    for result in results:
        points = {question.name: f"{question.score:g}" for question in result.questions}
        table.add_row(
            clean(result.submission), result.status, f"{result.score:g}", *(points.get(name, "-") for name in names),
            _first_finding(result),
        )  # fmt: skip
    _console().print(table)


@dataclass(frozen=True)
class Change:
    """One submission's score before and after, and the questions whose points are not what they were."""

    submission: str
    before: float
    after: float
    questions: dict[str, tuple[float, float]]


def change(before: Result, after: Result) -> Change | None:
    """What is different, or None."""
    old = {question.name: question.score for question in before.questions}
    new = {question.name: question.score for question in after.questions}
    names = dict.fromkeys([*old, *new])
    different = {
        name: (old.get(name, 0.0), new.get(name, 0.0)) for name in names if old.get(name) != new.get(name)
    }
    return Change(after.submission, before.score, after.score, different) if different else None


def print_changes(assignment: Assignment, changes: list[Change], total: int) -> None:
    """Whose score changed, and by how much; the largest changes first."""
    table = _table(assignment, "submission", "before", "after", "change", "questions")
    for column in table.columns[1:4]:
        column.justify = "right"
    for entry in sorted(changes, key=lambda entry: (-abs(entry.after - entry.before), entry.submission)):
        points = ", ".join(f"{name}: {old:g} to {new:g}" for name, (old, new) in entry.questions.items())
        difference = f"{entry.after - entry.before:+g}"
        table.add_row(clean(entry.submission), f"{entry.before:g}", f"{entry.after:g}", difference, points)
    console = _console()
    if changes:
        console.print(table)
    console.print(f"The points of {len(changes)} of {total} submissions changed.")


def _table(assignment: Assignment, *columns: str) -> Table:
    return Table(*columns, title=assignment.title, title_justify="left")


def _console() -> Console:
    console = Console(highlight=False, markup=False)
    return console if console.is_terminal else Console(highlight=False, markup=False, width=PLAIN_WIDTH)


def _first_finding(result: Result) -> str:
    if result.status == "failed":
        return "cannot be read"
    found = [f"{q.name}: {finding}" for q in result.questions if (finding := _finding(q))]
    return found[0] + (f" (+{len(found) - 1})" if len(found) > 1 else "") if found else ""


def _finding(question: QuestionResult) -> str:
    if question.policy:
        return "not allowed"
    if question.diagnosis is not None:
        return question.diagnosis.key
    causes = {case.cause: None for case in question.cases}
    for cause in ("timed_out", "died", "overused", "exited", "suite", "sandbox", "not_defined"):
        if cause in causes:
            return cause.replace("_", " ")
    return "not implemented" if question.note == NOT_IMPLEMENTED else ""
