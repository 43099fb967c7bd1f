"""What Gradescope says about a submission (`submission_metadata.json`); whatever is missing there is None."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any

from autograder.roster.times import parse_time


@dataclass(frozen=True)
class Earlier:
    """A submission before this one."""

    submitted_at: datetime | None
    score: float | None
    graded: bool


@dataclass(frozen=True)
class Metadata:
    """One submission, as Gradescope sees it.

    Attributes:
        submitted_at: when it was handed in.
        due: the student's own due date where there is one, else the assignment's.
        earlier: what was handed in before.
    """

    submitted_at: datetime | None = None
    due: datetime | None = None
    earlier: tuple[Earlier, ...] = ()

    def graded_today(self) -> int:
        """How many earlier ones of the same day were graded; days are those of the course's timezone."""
        if self.submitted_at is None:
            return 0
        zone, day = self.submitted_at.tzinfo, self.submitted_at.date()
        times = [one.submitted_at for one in self.earlier if one.graded and one.submitted_at is not None]
        return sum(_day(time, zone) == day for time in times)

    @property
    def last_score(self) -> float | None:
        """The score of the newest earlier one that was graded."""
        scores = [one.score for one in self.earlier if one.graded and one.score is not None]
        return scores[-1] if scores else None


def _day(time: datetime, zone: tzinfo | None) -> date | None:
    """The day of a time in a timezone; None at the ends of the calendar, where there may be none."""
    try:
        return time.astimezone(zone).date()
    except OverflowError:
        return None


def read_metadata(path: Path) -> Metadata:
    """Reads the file; one that is missing or not as documented says nothing."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return Metadata()
    if not isinstance(table, dict):
        return Metadata()
    earlier = table.get("previous_submissions")
    return Metadata(
        _time(table.get("created_at")),
        _due(table),
        tuple(_earlier(one) for one in earlier if isinstance(one, dict)) if isinstance(earlier, list) else (),
    )


def _due(table: dict[str, Any]) -> datetime | None:
    """The latest due date of those who handed it in: an extension of one of a group is the group's."""
    users = table.get("users")
    own = (
        [_of_assignment(user) for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    )
    return max((due for due in own if due is not None), default=_of_assignment(table))


def _of_assignment(table: dict[str, Any]) -> datetime | None:
    assignment = table.get("assignment")
    return _time(assignment.get("due_date")) if isinstance(assignment, dict) else None


def _earlier(table: dict[str, Any]) -> Earlier:
    results = table.get("results")
    extra = results.get("extra_data") if isinstance(results, dict) else None
    status = extra.get("status") if isinstance(extra, dict) else None
    graded = not table.get("autograder_error") and status not in ("not_graded", "error")
    return Earlier(_time(table.get("submission_time")), _number(table.get("score")), graded)


def _number(value: object) -> float | None:
    """A finite number, written as one or as text."""
    try:
        number = float(str(value)) if isinstance(value, (int, float, str)) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _time(value: object) -> datetime | None:
    return parse_time(value) if isinstance(value, str) else None
