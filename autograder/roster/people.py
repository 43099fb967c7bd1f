"""The roster: a CSV file with the people of a class.

Any export will do that has a header: the course's own list, Gradescope's roster, Canvas's gradebook or Moodle's
grading worksheet (the last two are also what makes their numbers known, by which grades go back). Commas, semicolons
or tabs; a byte-order mark does no harm.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from autograder.roster.model import Person, RosterError
from autograder.roster.times import parse_time

MAX_BYTES = 8 * 2**20  # 50 000 students with 150 characters each
_COLUMNS = {
    "name": "name fullname student studentname displayname participant",
    "first": "first firstname givenname forename preferredname",
    "last": "last lastname surname familyname",
    "id": "id sid studentid studentnumber sisuserid idnumber matriculationnumber",
    "email": "email emailaddress mail",
    "login": "login loginid sisloginid username netid user",
    "section": "section sections group tutorial",
    "due": "due duedate duetime deadline extension extendeddue",
    "canvas_id": "canvasid canvasuserid",
    "moodle_id": "identifier moodleid",
}
_MEANING = {header: column for column, headers in _COLUMNS.items() for header in headers.split()}
_DUE_EXAMPLE = "2026-11-20T23:59:00+01:00"


@dataclass(frozen=True)
class Roster:
    """The people of a class; an empty one knows nobody and changes nothing."""

    people: tuple[Person, ...] = ()

    def find(self, person: Person) -> Person | None:
        """The one whom somebody else's record of a person means, by the surest thing that both know; else by name."""
        for identifier in person.identifiers():
            if identifier in self._by_identifier:
                return self._by_identifier[identifier]
        named = self._by_name.get(squashed(person.name), [])
        return named[0] if len(named) == 1 else None

    @cached_property
    def _by_identifier(self) -> dict[tuple[str, str], Person]:
        return {identifier: person for person in self.people for identifier in person.identifiers()}

    @cached_property
    def _by_name(self) -> dict[str, list[Person]]:
        index: dict[str, list[Person]] = {}
        for person in self.people:
            for spelling in spellings(person.name):
                index.setdefault(spelling, []).append(person)
        return index


def load_roster(path: Path) -> Roster:
    """Reads a roster.

    Raises:
        RosterError: it cannot be used; the message names the line.
    """
    text = _text(path)
    try:
        rows = [(line, row) for line, row in _rows(text) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise RosterError(f"{path} is not a table in CSV ({error}).") from error
    return Roster(tuple(_people(path, rows)))


def squashed(name: str) -> str:
    """A name as Canvas writes it into file names: its letters and digits, without blanks and signs."""
    return "".join(c for c in name.casefold() if c.isalnum())


def spellings(name: str) -> set[str]:
    """The ways to write a name in one word: `Ada Lovelace` and `Lovelace, Ada` are both adalovelace, lovelaceada."""
    words = [word for word in re.split(r"[\s,]+", name) if word]
    return {squashed("".join(words[i:] + words[:i])) for i in range(len(words))}


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RosterError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_BYTES:
        raise RosterError(f"{path} is larger than {MAX_BYTES >> 20} MB: is it the roster?")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RosterError(
            f"{path}, line {line}: not UTF-8. In a spreadsheet, save it as 'CSV UTF-8'."
        ) from error


def _delimiter(text: str) -> str:
    """The sign that cuts the header into the most columns that are known."""
    head = next(iter(text.lstrip().splitlines()), "")

    def known(sign: str) -> int:
        return sum(_simple(cell) in _MEANING for cell in next(csv.reader([head], delimiter=sign), []))

    return max(",;\t", key=known)


def _simple(header: str) -> str:
    return re.sub(r"[^a-z]", "", header.casefold())


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line in the file that it begins on: a cell may hold line ends."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    begins = 1
    for row in reader:
        yield begins, row
        begins = reader.line_num + 1


def _people(path: Path, rows: list[tuple[int, list[str]]]) -> Iterator[Person]:
    if not rows:
        raise RosterError(f"{path} is empty.")
    columns = _columns(f"{path}, line {rows[0][0]}", rows[0][1])
    seen: dict[tuple[str, str], int] = {}
    for line, row in rows[1:]:
        place = f"{path}, line {line}"
        if not _is_platforms(row):
            person = _person(place, columns, row)
            _check_new(place, person, line, seen)
            yield person


def _columns(place: str, header: list[str]) -> list[str]:
    """What each column means, "" for one that is not needed."""
    names = [_MEANING.get(_simple(cell), "") for cell in header]
    if "sisuserid" in map(_simple, header) or "sisloginid" in map(_simple, header):
        names = [
            "canvas_id" if _simple(cell) == "id" else name for cell, name in zip(header, names, strict=True)
        ]
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        which = [cell.strip() for cell, name in zip(header, names, strict=True) if name == twice[0]]
        raise RosterError(
            f"{place}: the columns {', '.join(which)} all mean the {twice[0]}. Keep one of them."
        )
    if not {"id", "email", "login", "name", "last", "canvas_id", "moodle_id"} & set(names):
        raise RosterError(
            f"{place}: no column is called id, name or email. The first line must be a header such as "
            "id,name,email,section,due."
        )
    return names


def _is_platforms(row: list[str]) -> bool:
    """Rows of Canvas's gradebook that are no students."""
    first = row[0].strip()
    texts = {cell.strip() for cell in row} - {"", "Muted", "Manual Posting"}
    return first in ("Points Possible", "Student, Test", "Test Student") or not texts


def _person(place: str, columns: list[str], row: list[str]) -> Person:
    if len(row) > len(columns) and any(cell.strip() for cell in row[len(columns) :]):
        raise RosterError(
            f"{place}: {len(row)} cells under {len(columns)} columns. Put a cell with a comma into quotes."
        )
    cells = {column: " ".join(cell.split()) for column, cell in zip(columns, row, strict=False) if column}
    if moodle := cells.get("moodle_id"):
        cells["moodle_id"] = moodle.rsplit(" ", 1)[-1]  # "Participant 12345", in any language
    first, last = cells.pop("first", ""), cells.pop("last", "")
    cells["name"] = _name(cells.get("name", ""), first, last)
    due = _due(place, cells.pop("due", ""))
    person = Person(due=due, **cells)
    if not (person.name or any(person.identifiers())):
        raise RosterError(f"{place}: neither an id nor a name nor an email.")
    if person.email and "@" not in person.email:
        raise RosterError(
            f"{place}: {person.email[:60]!r} is no email address. Is there a comma without quotes?"
        )
    return person


def _name(name: str, first: str, last: str) -> str:
    """A name in the order in which it is spoken."""
    name = name or f"{first} {last}".strip()
    family, comma, given = name.partition(",")
    return f"{given.strip()} {family.strip()}" if comma and given.strip() else name


def _due(place: str, text: str) -> datetime | None:
    if not text:
        return None
    if (due := parse_time(text)) is None:
        raise RosterError(f"{place}: {text[:60]!r} is no time with a timezone. Write it as {_DUE_EXAMPLE}.")
    return due


def _check_new(place: str, person: Person, line: int, seen: dict[tuple[str, str], int]) -> None:
    for kind, value in person.identifiers():
        if (other := seen.setdefault((kind, value), line)) != line:
            raise RosterError(f"{place}: the {kind} {value!r} is in line {other} already.")


def merged(person: Person, listed: Person) -> Person:
    """What a roster says of a person, and what only the platform knows."""
    known = {
        name: getattr(listed, name) or getattr(person, name)
        for name in ("name", "id", "email", "login", "section", "due", "canvas_id", "moodle_id")
    }
    return replace(listed, **known)
