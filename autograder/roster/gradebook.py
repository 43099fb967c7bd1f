"""Files that Canvas and Moodle import grades from.

Both take UTF-8, and both are written without a byte-order mark: Canvas's importer compares the first cell of the
header with it still on, Moodle's strips one. Who handed in nothing has no row, so that an import leaves that grade as
it is (an empty cell would erase it in Canvas). Read from the importers themselves: Canvas's `gradebook_importer.rb`
and Moodle's `mod/assign/feedback/offline/importgradeslib.php`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from autograder.roster.identify import counts_for
from autograder.roster.late import LatePolicy
from autograder.roster.model import Entry, Person
from autograder.roster.people import Roster
from autograder.spreadsheet import as_text

_CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
_MOODLE = [
    "Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed",
    "Last modified (submission)", "Last modified (grade)", "Feedback comments",
]  # fmt: skip


@dataclass(frozen=True)
class Grade:
    """What goes into the gradebook for one student.

    Attributes:
        person: who.
        entry: the submission that counts; "" if nothing was handed in.
        score: points before the late policy; None: there is nothing to hand over (no submission, or not judged).
        adjusted: points after it.
        note: why points were taken off, or why there is none.
    """

    person: Person
    entry: str
    score: float | None
    adjusted: float | None
    note: str = ""


def grades(
    entries: Iterable[Entry],
    scores: Mapping[str, float | None],
    possible: float,
    roster: Roster | None = None,
    policy: LatePolicy | None = None,
) -> list[Grade]:
    """One grade a student: the people of the roster in its order, then those who are in none.

    Args:
        entries: what `identify` returned.
        scores: submission's name -> points; None or missing for one that could not be judged.
        possible: the points that there are.
        roster: the class.
        policy: the late policy; without one, scores are as they are.
    """
    entries = list(entries)
    counting = counts_for(entries)
    people = {person.key: person for person in (roster.people if roster else ())}
    people |= {person.key: person for entry in entries for person in entry.people}
    return [_grade(person, counting.get(key), scores, possible, policy) for key, person in people.items()]


def _grade(
    person: Person,
    entry: Entry | None,
    scores: Mapping[str, float | None],
    possible: float,
    policy: LatePolicy | None,
) -> Grade:
    if entry is None:
        return Grade(person, "", None, None, "nothing was handed in")
    score = scores.get(entry.name)
    if score is None:
        return Grade(person, entry.name, None, None, "could not be judged")
    grade = Grade(person, entry.name, score, score)
    if policy is None:
        return grade
    if entry.submitted_at is None and entry.late:
        return replace(grade, note="late, but nobody knows by how much: nothing was taken off")
    adjusted = policy.apply(score, possible, entry.submitted_at, person.due)
    return replace(grade, adjusted=adjusted.score, note=adjusted.text)


def canvas_csv(table: Iterable[Grade], column: str, possible: float) -> str:
    """A file for Canvas's gradebook (Grades > Import).

    Args:
        table: what `grades` returned.
        column: the assignment's column as an export of the gradebook heads it, "Attention (12345)"; a title without
            the number is matched by Canvas by its words, or makes a new assignment.
        possible: the points that there are.
    """
    rows = [[*_CANVAS, column], ["    Points Possible", "", "", "", "", _points(possible)]]
    for grade in _given(table):
        who = grade.person
        rows.append(
            [
                _family_first(who.name),
                who.canvas_id,
                who.id,
                who.login or who.email,
                who.section,
                _shown(grade),
            ]
        )
    return _csv(rows)


def moodle_csv(table: Iterable[Grade], possible: float) -> str:
    """A file for a Moodle assignment (View all submissions > Upload grading worksheet).

    Students are told by the number of the participant, which Moodle's downloads and its own worksheet carry; without
    it, the gradebook's CSV import takes the same file, mapped by `Email address`.
    """
    rows = [_MOODLE]
    for grade in _given(table):
        who = grade.person
        number = f"Participant {who.moodle_id}" if who.moodle_id else ""
        rows.append(
            [number, who.name, who.email, "", _shown(grade), _points(possible), "Yes", "", "", grade.note]
        )  # fmt: skip
    return _csv(rows)


def _given(table: Iterable[Grade]) -> list[Grade]:
    return [grade for grade in table if grade.adjusted is not None]


def _shown(grade: Grade) -> str:
    return _points(grade.adjusted or 0.0)


def _points(points: float) -> str:
    """Two decimals, which is what both gradebooks show and compare."""
    return f"{points:.2f}"


def _family_first(name: str) -> str:
    """`Lovelace, Ada`, as Canvas sorts; a name of one word stays."""
    given, _, family = name.rpartition(" ")
    return f"{family}, {given}" if given else name


def _csv(rows: Iterable[list[str]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerows([_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def _cell(text: str) -> str:
    """One line without control characters; what a spreadsheet would run as a formula is made a text."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return as_text(text)
