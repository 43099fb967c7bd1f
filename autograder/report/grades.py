"""All submissions as `grades.csv`: one row each, for spreadsheets and scripts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from autograder.assignment import Assignment
from autograder.grading import Result
from autograder.report.manual import Written
from autograder.spreadsheet import as_text
from autograder.suite import clean


def to_csv(
    results: Iterable[Result], assignment: Assignment, written: Mapping[str, Written] | None = None
) -> str:
    """The table as text: submission, status, score, possible, seconds, the points of each question, diagnoses.

    Args:
        results: what was found out.
        assignment: what was asked.
        written: what a person gave; where it is given, written questions have columns and count into the score.
    """
    names = [question.name for question in assignment.questions]
    by_hand = [question.name for question in assignment.written] if written else []
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["submission", "status", "score", "possible", "seconds", *names, *by_hand, "diagnoses"])
    for result in results:
        given = (written or {}).get(result.submission, Written())
        possible = result.possible + (sum(q.points for q in assignment.written) if written else 0)
        writer.writerow(_row(result, names, by_hand, given, possible))
    return buffer.getvalue()


def _row(result: Result, names: list[str], by_hand: list[str], given: Written, possible: float) -> list[str]:
    points = {question.name: question.score for question in result.questions}
    found = [f"{q.name}:{q.diagnosis.key}" for q in result.questions if q.diagnosis is not None]
    found += [f"{q.name}:not_allowed" for q in result.questions if q.policy]
    return [
        as_text(clean(result.submission)), result.status, f"{result.score + given.total:g}", f"{possible:g}",
        f"{result.seconds:.2f}",
        *(f"{points.get(name, 0):g}" for name in names),
        *(f"{given.scores[name]:g}" if name in given.scores else "" for name in by_hand), " ".join(sorted(found)),
    ]  # fmt: skip
