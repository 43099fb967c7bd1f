"""All submissions as `grades.csv`: one row each, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from autograder.assignment import Assignment
from autograder.grading import Result
from autograder.suite import clean

_FORMULA = ("=", "+", "-", "@", "\t")  # a spreadsheet would run a cell that begins so


def to_csv(results: Iterable[Result], assignment: Assignment) -> str:
    """The table as text: submission, status, score, possible, seconds, the points of each question, diagnoses."""
    names = [question.name for question in assignment.questions]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["submission", "status", "score", "possible", "seconds", *names, "diagnoses"])
    for result in results:
        writer.writerow(_row(result, names))
    return buffer.getvalue()


def _row(result: Result, names: list[str]) -> list[str]:
    points = {question.name: question.score for question in result.questions}
    found = [f"{q.name}:{q.diagnosis.key}" for q in result.questions if q.diagnosis is not None]
    found += [f"{q.name}:not_allowed" for q in result.questions if q.policy]
    return [
        _text(result.submission), result.status, f"{result.score:g}", f"{result.possible:g}", f"{result.seconds:.2f}",
        *(f"{points.get(name, 0):g}" for name in names), " ".join(sorted(found)),
    ]  # fmt: skip


def _text(value: str) -> str:
    value = clean(value)
    return f"'{value}" if value.startswith(_FORMULA) else value
