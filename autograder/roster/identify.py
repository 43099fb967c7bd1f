"""Submissions and roster put together: who is behind each, and which of several of one student counts.

The last one counts: by the time of submission where all of the student's have one, else by the platform's count of
attempts, else by the files' own times. The others stay in the list, marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from autograder.roster.model import Entry, Person
from autograder.roster.people import Roster, merged, spellings, squashed

LONG_NUMBER = 4  # digits: what is shorter may as well be "solution 2" or "hw 43"
_SUFFIXES = re.compile(r"(\.(ipynb|py|zip|txt|pdf))+$", re.IGNORECASE)


def identify(entries: Iterable[Entry], roster: Roster, slug: str) -> list[Entry]:
    """The same submissions with the people of the roster, and with `superseded_by` set.

    Args:
        entries: what `find` found.
        roster: the class; an empty one leaves the people as the platform names them.
        slug: the assignment's: a word in a plain file's name that names nobody.
    """
    known = [_with_people(entry, roster, slug) for entry in entries]
    counting = counts_for(known)
    return [replace(entry, superseded_by=_replacement(entry, counting)) for entry in known]


def counts_for(entries: Iterable[Entry]) -> dict[tuple[str, str], Entry]:
    """The submission that counts for each student, by the student's key."""
    of_student: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        for key in dict.fromkeys(person.key for person in entry.people):
            of_student.setdefault(key, []).append(entry)
    return {key: _last(theirs) for key, theirs in of_student.items()}


def _last(entries: list[Entry]) -> Entry:
    times = [entry.submitted_at for entry in entries]
    if all(time is not None for time in times):
        return max(entries, key=lambda entry: (entry.submitted_at, entry.attempt))
    return max(entries, key=lambda entry: (entry.attempt, _written(entry.path)))


def _written(path: Path) -> float:
    """When a file, or the youngest in a folder, was last changed; 0 where that cannot be told."""
    try:
        inside = list(path.iterdir()) if path.is_dir() else []
        return max(file.lstat().st_mtime for file in inside or [path])
    except OSError:
        return 0.0


def _replacement(entry: Entry, counting: dict[tuple[str, str], Entry]) -> str:
    """The submission that took this one's place; "" while it counts for somebody."""
    others = [counting[person.key] for person in entry.people]
    if not others or any(other.name == entry.name for other in others):
        return ""
    return others[0].name


def _with_people(entry: Entry, roster: Roster, slug: str) -> Entry:
    if not roster.people:
        return entry
    if not entry.people:
        found = _by_file_name(entry.path, roster, slug)
        return replace(entry, people=(found,)) if found else entry
    pairs = [(person, roster.find(person)) for person in entry.people]
    unknown = [person.name or person.id or person.email for person, listed in pairs if listed is None]
    notes = tuple(f"{name} is not in the roster." for name in unknown)
    people = tuple(merged(person, listed) if listed else person for person, listed in pairs)
    return replace(entry, people=people, notes=entry.notes + notes)


def _by_file_name(path: Path, roster: Roster, slug: str) -> Person | None:
    """The person whom a plain file's name means: by number, address, login or whole name, and only if it is clear."""
    stem = _SUFFIXES.sub("", path.name)
    words = [
        word for word in re.split(r"[\s_,;()\[\]-]+", stem) if word and word.casefold() != slug.casefold()
    ]
    for candidates in (
        [person for person in roster.people if _has_handle(person, stem, words)],
        [person for person in roster.people if _whole_name(person, words)],
    ):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _has_handle(person: Person, stem: str, words: list[str]) -> bool:
    """Whether a number or an address is there: a short one only by itself, for it may be a version or a first name."""
    alone = {text.casefold() for text in (stem, *(words if len(words) == 1 else ()))}
    handles = {
        text.casefold() for text in (person.id, person.email, person.login, person.email.partition("@")[0])
    }
    number = person.id.casefold()
    return bool(alone & (handles - {""})) or (
        len(number) >= LONG_NUMBER and number in {word.casefold() for word in words}
    )


def _whole_name(person: Person, words: list[str]) -> bool:
    """Whether all words of a name are there, in any order, or run together."""
    name = [squashed(word) for word in re.split(r"[\s,]+", person.name) if squashed(word)]
    found = [squashed(word) for word in words]
    if len(name) < 2:
        return bool(name) and name == found
    return set(name) <= set(found) or not spellings(person.name).isdisjoint(found)
