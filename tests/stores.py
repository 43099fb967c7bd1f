"""Two stores side by side: what must be the same after whatever happened on the way."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

_TIMES = {"seconds", "cpu_seconds", "peak_mb"}


def comparable(output: Path) -> dict[str, Any]:
    """All that an output folder's store holds, by table and key, apart from times and memory.

    It is opened for writing: after a kill in the middle of a transaction, opening it is what takes that back.
    """
    database = sqlite3.connect(f"file:{output / 'grades.sqlite'}?mode=rw", uri=True)
    try:
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return {"submissions": []}  # killed before it was made
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {table: _rows(database, table) for table in ("about", "submissions", "questions", "contents")}
    finally:
        database.close()


def _rows(database: sqlite3.Connection, table: str) -> list[Any]:
    found = database.execute(f"SELECT * FROM {table}")
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    for row in rows:
        row.pop("graded_at", None)
        row.pop("seconds", None)
        if "result" in row:
            row["result"] = _timeless(json.loads(row["result"]))
    return sorted(rows, key=repr)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(entry) for key, entry in value.items() if key not in _TIMES}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value
