"""Moodle's downloads: folders `Ada Lovelace_12345_assignsubmission_file_`, or files whose names begin so.

The number is that of the participant in this assignment: the one that Moodle's grading worksheet calls
`Participant 12345`. With blind marking, `Participant` stands for the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from autograder.roster.model import Entry, Person

_NAME = re.compile(r"(?P<who>.+)_(?P<id>\d{1,20})_assignsubmission_(?P<kind>file|onlinetext)_?(?P<file>.*)")


class Upload(NamedTuple):
    """One folder or file, with what its name says; `file` is "" for a folder."""

    path: Path
    who: str
    id: str
    kind: str
    file: str


def parse(path: Path) -> Upload | None:
    """What a download name says; None if it is no such name."""
    match = _NAME.fullmatch(path.name)
    if match is None or (match["file"] and (path.is_dir() or not match["file"].strip("."))):
        return None
    return Upload(path, match["who"], match["id"], match["kind"], match["file"])


def entries(uploads: Iterable[Upload]) -> Iterator[Entry]:
    """One submission a participant; a text typed online is left aside where files were handed in too."""
    participants: dict[tuple[str, str], list[Upload]] = {}
    for upload in uploads:
        participants.setdefault((upload.who, upload.id), []).append(upload)
    for of_one in participants.values():
        files = [upload for upload in of_one if upload.kind == "file"] or of_one
        folders = [upload for upload in files if not upload.file]
        yield from (_entry([folder]) for folder in folders)
        if loose := [upload for upload in files if upload.file]:
            yield _entry(loose)


def _entry(uploads: list[Upload]) -> Entry:
    first = uploads[0]
    name = "" if first.who == "Participant" else first.who
    files = {upload.file: upload.path for upload in uploads if upload.file}
    return Entry(
        f"{first.who}_{first.id}",
        first.path,
        (Person(name=name, moodle_id=first.id),),
        platform="moodle",
        files=files,
    )
