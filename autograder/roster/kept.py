"""What is known about the people behind submissions, as text: it is kept beside the grades for reports and exports."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.roster.model import Entry, Person


def to_text(entries: Iterable[Entry]) -> str:
    """The entries without what a roster adds: deadlines may change until the day of the export."""
    return json.dumps([_record(entry) for entry in entries], ensure_ascii=True)


def from_text(text: str) -> list[Entry]:
    """What `to_text` made; none of an empty text."""
    return [_entry(record) for record in json.loads(text or "[]")]


def merged(before: Iterable[Entry], now: Iterable[Entry]) -> list[Entry]:
    """What was known and what is known now, which counts where both know a submission."""
    return list({entry.name: entry for entry in (*before, *now)}.values())


def assembled(entry: Entry, folder: Path) -> Path:
    """Where a submission lies; files that a platform laid side by side are put into one folder under their own names.

    Args:
        entry: the submission.
        folder: where to make that folder.
    """
    if len(entry.files) < 2:
        return entry.path
    together = folder / entry.name
    shutil.rmtree(together, ignore_errors=True)
    together.mkdir(parents=True)
    for name, path in entry.files.items():
        shutil.copy2(path, together / Path(name).name, follow_symlinks=False)
    return together


def _record(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "people": [asdict(person) | {"due": None} for person in entry.people],
        "submitted_at": entry.submitted_at.isoformat() if entry.submitted_at else None,
        "late": entry.late,
        "platform": entry.platform,
        "attempt": entry.attempt,
        "notes": list(entry.notes),
    }


def _entry(record: dict[str, Any]) -> Entry:
    at = record["submitted_at"]
    return Entry(
        **record
        | {
            "path": Path(record["path"]),
            "people": tuple(Person(**person) for person in record["people"]),
            "submitted_at": datetime.fromisoformat(at) if at else None,
            "notes": tuple(record["notes"]),
        }
    )
