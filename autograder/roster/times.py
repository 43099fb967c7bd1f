"""Times as platforms and people write them; one without a timezone is none, for nobody can tell when that was."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

_TIME = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[Tt ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d+))?)?\s*"
    r"(Z|z|UTC|[+-]\d{2}(?::?\d{2})?)?"
)
MAX_CHARACTERS = 64  # the longest that Rails writes has 35


def parse_time(text: str) -> datetime | None:
    """A time such as `2026-11-20T23:59:00+01:00`, or as Rails writes it, `2026-11-20 22:59:00.000000000 Z`.

    Returns:
        It, with its timezone; None for anything else, a time without a timezone among it.
    """
    match = _TIME.fullmatch(text.strip()) if len(text) <= MAX_CHARACTERS else None
    if match is None or match[8] is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    micro = int((match[7] or "0")[:6].ljust(6, "0"))
    try:
        return datetime(year, month, day, hour, minute, second, micro, _zone(match[8]))
    except (ValueError, OverflowError):
        return None


def _zone(text: str) -> timezone:
    if text[0] not in "+-":
        return timezone.utc
    minutes = int(text[1:3]) * 60 + int(text[3:].lstrip(":") or 0)
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))
