"""The late policy: one TOML file, and what it makes of a score.

    grace_minutes = 15              # later than due by no more than this: on time
    percent_per_day = 10            # for each day that has begun since it was due
    max_percent = 50                # however late: no more than this is taken off
    of = "possible"                 # percent of the points possible (as Canvas does), or of those "earned"
    due = 2026-11-20T23:59:00+01:00 # optional: for everybody whom the roster gives no time of their own

A day that has begun counts as a whole one, and days are counted from the due time, not from the end of the grace: 20
minutes late costs one day, 24 hours and a second cost two.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from autograder.roster.model import RosterError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_KEYS = ("grace_minutes", "percent_per_day", "max_percent", "of", "due")
_MOST = {"grace_minutes": 60 * 24 * 30, "percent_per_day": 100, "max_percent": 100}


@dataclass(frozen=True)
class Adjusted:
    """A score after the policy.

    Attributes:
        score: points.
        text: what was taken off and why; "" if nothing was.
    """

    score: float
    text: str = ""


@dataclass(frozen=True)
class LatePolicy:
    """How much being late costs.

    Attributes:
        grace_minutes: how late is still on time.
        percent_per_day: taken off for each day begun.
        max_percent: the most that is taken off.
        of: what the percents are of: "possible" or "earned".
        due: the class's deadline, if the file gives it.
    """

    percent_per_day: float
    grace_minutes: float = 0.0
    max_percent: float = 100.0
    of: str = "possible"
    due: datetime | None = None

    def apply(
        self, score: float, possible: float, submitted_at: datetime | None, due: datetime | None = None
    ) -> Adjusted:
        """What is left of a score, in points.

        Args:
            score: the points earned.
            possible: the points that there are.
            submitted_at: when it was handed in, with a timezone; None if nobody knows: nothing is taken off.
            due: this student's own deadline; None: the class's. Without either nothing is taken off.
        """
        due = due or self.due
        days = days_late(submitted_at, due, self.grace_minutes) if submitted_at and due else 0
        percent = min(days * self.percent_per_day, self.max_percent)
        taken = min(score, (possible if self.of == "possible" else score) * percent / 100)
        if taken <= 0:
            return Adjusted(score)
        what = f"{percent:g} % of the points {self.of}"
        return Adjusted(score - taken, f"{_days(days)} late: {taken:g} points off ({what}).")


def days_late(submitted_at: datetime, due: datetime, grace_minutes: float) -> int:
    """Days begun since `due`; 0 up to the end of the grace."""
    late = submitted_at - due
    if late <= timedelta(minutes=grace_minutes):
        return 0
    return math.ceil(late / timedelta(days=1))


def load_policy(path: Path) -> LatePolicy:
    """Reads a late policy.

    Raises:
        RosterError: it is not one; the message names the key and what was expected.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        raise RosterError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise RosterError(f"{path} is not TOML: {error}.") from error
    return policy_from(table, str(path))


def policy_from(table: Mapping[str, Any], where: str) -> LatePolicy:
    """The policy that a table says.

    Raises:
        RosterError: a key is unknown or missing, or its value is none.
    """
    if unknown := sorted(set(table) - set(_KEYS)):
        raise RosterError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(_KEYS)}.")
    if "percent_per_day" not in table:
        raise RosterError(f"{where}: percent_per_day is missing.")
    numbers = {key: _number(table[key], _MOST[key], f"{where}: {key}") for key in _MOST if key in table}
    of = table.get("of", "possible")
    if of not in ("possible", "earned"):
        raise RosterError(f'{where}: of must be "possible" or "earned", not {of!r}.')
    return LatePolicy(**numbers, of=of, due=_due(table.get("due"), where))


def _number(value: Any, most: float, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise RosterError(f"{where} must be a number from 0 to {most:g}, not {value!r}.")
    return float(value)


def _due(value: Any, where: str) -> datetime | None:
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise RosterError(
            f"{where}: due must be a time with a timezone, such as 2026-11-20T23:59:00+01:00 (no quotes), not {value}."
        )
    return value


def _days(count: int) -> str:
    return f"{count} day{'' if count == 1 else 's'}"
