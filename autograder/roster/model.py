"""A person, a submission with the people behind it, and the one error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path


class RosterError(ValueError):
    """A list of people, a platform's metadata or a late policy cannot be used.

    The message is for course staff: which file, which line, what was expected.
    """


@dataclass(frozen=True)
class Person:
    """A student, as far as known; what is unknown is "".

    Attributes:
        id: the university's number (Gradescope: SID, Canvas: SIS user id).
        login: the user name (Canvas: SIS login id).
        due: this student's own deadline, if there is one; it has a timezone.
        canvas_id: Canvas's number of the user.
        moodle_id: Moodle's number of the participant, which is another one in each assignment.
    """

    name: str = ""
    id: str = ""
    email: str = ""
    login: str = ""
    section: str = ""
    due: datetime | None = None
    canvas_id: str = ""
    moodle_id: str = ""

    def identifiers(self) -> Iterable[tuple[str, str]]:
        """What identifies this person, the surest first."""
        known = {
            "id": self.id,
            "email": self.email,
            "login": self.login,
            "canvas": self.canvas_id,
            "moodle": self.moodle_id,
        }
        yield from ((kind, value.casefold()) for kind, value in known.items() if value)

    @property
    def key(self) -> tuple[str, str]:
        """One identity: two records with the same are one student."""
        return next(iter(self.identifiers()), ("name", " ".join(self.name.casefold().split())))


@dataclass(frozen=True)
class Entry:
    """One submission, with the people behind it.

    Attributes:
        name: what tables and result files call it; unique in a run.
        path: the file or folder; the first of `files` where there are several.
        people: who handed it in: several share one result; none if nobody can be told from its name.
        submitted_at: when, with a timezone, where the platform says so.
        late: whether the platform calls it late; None where it says nothing.
        platform: "gradescope", "canvas", "moodle" or "".
        attempt: the platform's count of resubmissions, from 0.
        files: original name -> path, where a platform has laid the files of one submission side by side.
        superseded_by: the later submission that counts in its place for everybody behind this one; "" if it counts.
        notes: for staff: what is odd about it.
    """

    name: str
    path: Path
    people: tuple[Person, ...] = ()
    submitted_at: datetime | None = None
    late: bool | None = None
    platform: str = ""
    attempt: int = 0
    files: Mapping[str, Path] = field(default_factory=dict)
    superseded_by: str = ""
    notes: tuple[str, ...] = ()

    @property
    def student(self) -> str:
        """The people's names for a table, "" if nobody is known."""
        return ", ".join(person.name or person.id or person.email for person in self.people)
