"""Canvas's download names: `lovelaceada_12345_678901_attention.ipynb`, with `_LATE_` after the name if it is.

The first number is Canvas's of the user, the second that of the uploaded file. Canvas puts `-1`, `-2` before the
ending of a file that was uploaded again, and lays all files of all students side by side. Numbers of files have at
least four digits, so that a date in a plain file's name is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autograder.roster.model import Entry, Person

_NAME = re.compile(
    r"(?P<who>[^_]+(?:_[^_]+)*?)(?P<late>_LATE)?_(?P<user>\d{1,20})_(?P<file>\d{4,20})_(?P<name>.+)"
)
_ANONYMOUS = re.compile(r"anon(?P<late>_LATE)?_(?P<user>[0-9A-Za-z]{5})_(?P<file>\d{4,20})_(?P<name>.+)")
_AGAIN = re.compile(r"(?P<stem>.+)-(?P<count>\d{1,3})(?P<ending>\.[A-Za-z0-9.]+)?")


class Upload(NamedTuple):
    """One file, with what its name says."""

    path: Path
    who: str
    user: str
    number: int
    original: str
    attempt: int
    late: bool


def parse(path: Path) -> Upload | None:
    """What a download name says; None if it is no such name."""
    match = _ANONYMOUS.fullmatch(path.name) or _NAME.fullmatch(path.name)
    if match is None or not match["name"].strip(".") or not path.is_file():
        return None
    parts = match.groupdict()
    original, attempt = _original(parts["name"])
    late = parts["late"] is not None
    return Upload(
        path, parts.get("who") or "anon", parts["user"], int(parts["file"]), original, attempt, late
    )


def entries(uploads: Iterable[Upload]) -> Iterator[Entry]:
    """The submissions that the files make: those of a student belong together until a name comes a second time."""
    students: dict[tuple[str, str], list[Upload]] = {}
    for upload in uploads:
        students.setdefault((upload.who, upload.user), []).append(upload)
    for files in students.values():
        for number, attempt in enumerate(_attempts(sorted(files, key=lambda upload: upload.number))):
            yield _entry(attempt, number)


def _attempts(uploads: list[Upload]) -> Iterator[list[Upload]]:
    current: list[Upload] = []
    for upload in uploads:
        if upload.original in {other.original for other in current}:
            yield current
            current = []
        current.append(upload)
    yield current


def _entry(uploads: list[Upload], number: int) -> Entry:
    first = uploads[0]
    known = "" if first.who == "anon" else first.user
    person = Person(
        name="" if first.who == "anon" else first.who, canvas_id=known, login="" if known else first.user
    )
    attempt = max(number, *(upload.attempt for upload in uploads))
    return Entry(
        f"{first.who}_{first.user}", first.path, (person,), None, any(upload.late for upload in uploads), "canvas",
        attempt, {upload.original: upload.path for upload in uploads},
    )  # fmt: skip


def _original(name: str) -> tuple[str, int]:
    """The name before Canvas made it unique, and its count of uploads."""
    match = _AGAIN.fullmatch(name)
    return (match["stem"] + (match["ending"] or ""), int(match["count"])) if match else (name, 0)
