"""Scores that a person gave to written answers: `written.csv`, made as a template, or `written.toml`."""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.spreadsheet import as_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLE, DOCUMENT = "written.csv", "written.toml"
MAX_TOLD = 10  # problems in one message


class ManualError(ValueError):
    """Scores that cannot be taken over; the message names the file, the line and what to do."""


@dataclass
class Written:
    """What a person gave one submission.

    Attributes:
        scores: points by question; a question that nobody has graded yet is not there.
        comment: for the student.
    """

    scores: dict[str, float] = field(default_factory=dict)
    comment: str = ""

    @property
    def total(self) -> float:
        """Points of all written questions."""
        return sum(self.scores.values())


def template(assignment: Assignment, submissions: Iterable[str]) -> str:
    """An empty table to fill in: a row a submission, a column a written question."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [question.name for question in assignment.written]
    writer.writerow(["submission", *names, "comment"])
    writer.writerows([as_text(name), *[""] * len(names), ""] for name in submissions)
    return buffer.getvalue()


def read(folder: Path, assignment: Assignment, submissions: Iterable[str]) -> dict[str, Written]:
    """The scores in an output folder; none where there is no file or the assignment has no written question.

    Raises:
        ManualError: a submission or question is unknown or there twice, or a score is not between 0 and the points.
    """
    table, document = folder / TABLE, folder / DOCUMENT
    if not assignment.written:
        return {}
    if document.exists():
        rows = list(_from_toml(document))
        if table.exists() and any(_filled(row) for _, row in _from_csv(table)):
            raise ManualError(f"Both {TABLE} and {DOCUMENT} hold scores: keep one of them.")
        return _checked(rows, DOCUMENT, assignment, set(submissions))
    return _checked(list(_from_csv(table)), TABLE, assignment, set(submissions)) if table.exists() else {}


def _filled(row: Mapping[str, Any]) -> bool:
    return any(str(value or "").strip() for key, value in row.items() if key != "submission")


def _from_csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with where it stands; commas or semicolons, as spreadsheets write them."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ManualError(f"{path.name} is not UTF-8: save it as 'CSV UTF-8'.") from None
    first = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=";" if first.count(";") > first.count(",") else ",")
    try:
        for row in reader:
            if None in row:
                raise ManualError(
                    f"{path.name}, line {reader.line_num}: more cells than the first line names."
                )
            yield f"line {reader.line_num}", {str(key).strip(): value for key, value in row.items()}
    except csv.Error as error:
        raise ManualError(f"{path.name}, line {reader.line_num}: no table in CSV ({error}).") from None


def _from_toml(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManualError(f"{path.name}: {error}") from None
    for name, row in document.items():
        if not isinstance(row, dict):
            raise ManualError(f'{path.name}: write ["{name}"] and its scores below it.')
        yield f"[{name}]", {"submission": name, **row}


def _checked(
    rows: Iterable[tuple[str, dict[str, Any]]], file: str, assignment: Assignment, submissions: set[str]
) -> dict[str, Written]:
    found: dict[str, Written] = {}
    problems: list[str] = []
    for place, row in rows:
        name = str(row.get("submission") or "").strip()
        name = name if name in submissions else name.removeprefix("'")
        if name not in submissions:
            problems.append(f"{place}: no submission is called {name!r}")
        elif name in found:
            problems.append(f"{place}: {name!r} is there twice")
        else:
            found[name] = _written(row, place, assignment, problems)
    if problems:
        more = [f"and {len(problems) - MAX_TOLD} more"] if len(problems) > MAX_TOLD else []
        raise ManualError(f"{file} was not taken over:\n  " + "\n  ".join([*problems[:MAX_TOLD], *more]))
    return {name: written for name, written in found.items() if written.scores or written.comment}


def _written(row: Mapping[str, Any], place: str, assignment: Assignment, problems: list[str]) -> Written:
    possible = {question.name: question.points for question in assignment.written}
    written = Written(comment=str(row.get("comment") or "").strip())
    for key, value in row.items():
        if key in ("submission", "comment") or not str(value if value is not None else "").strip():
            continue
        if key not in possible:
            problems.append(f"{place}: there is no written question {key!r}; there are {', '.join(possible)}")
            continue
        try:
            score = float(str(value).strip().replace(",", "."))
        except ValueError:
            score = math.nan
        if not 0 <= score <= possible[key]:
            problems.append(f"{place}: {key} is {value!r}, but must be a number from 0 to {possible[key]:g}")
        else:
            written.scores[key] = score
    return written
