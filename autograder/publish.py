"""From the store to those who read: the report, the tables with written scores and names, gradebook files."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from autograder import roster
from autograder.assignment import Assignment, AssignmentError, load
from autograder.report import Output, manual
from autograder.report.files import write_file
from autograder.report.manual import ManualError
from autograder.roster import Entry, LatePolicy, Roster, RosterError, kept
from autograder.store import Store, StoreError

PEOPLE, CHANGES = "people", "changes"  # under which the store keeps them
Say = Callable[[str], None]


def note_people(store: Store, entries: Sequence[Entry]) -> None:
    """Keeps who is behind submissions."""
    store.note(PEOPLE, kept.to_text(kept.merged(kept.from_text(store.about(PEOPLE)), entries)))


def note_changes(store: Store, changes: Sequence[tuple[str, float | None, float]]) -> None:
    """Keeps whose score the last grading changed."""
    store.note(CHANGES, json.dumps(list(changes)))


def publish(store: Store, assignment: Assignment, people: Roster | None = None) -> Path:
    """Writes the report, `grades.csv` with what a person gave, and the template for that; the report's first page.

    Raises:
        ManualError: the scores of written answers cannot be taken over.
    """
    from autograder.report import site  # with what it imports, 0.2 s that a judge at work does not wait for

    results = list(store.results())
    names = [result.submission for result in results]
    if assignment.written and not (store.folder / manual.TABLE).exists():
        write_file(store.folder / manual.TABLE, manual.template(assignment, names))
    written = manual.read(store.folder, assignment, names)
    Output(store.folder, assignment).write_table(results, written)
    changes = [(name, before, now) for name, before, now in json.loads(store.about(CHANGES) or "[]")]
    group = site.Class(assignment, results, _labels(_entries(store, assignment, people)), written, changes)
    return site.write(store.folder, group)


def report(folder: Path, people: Path | None, say: Say) -> int:
    """What `autograder report` runs; the exit code."""

    def act(store: Store, assignment: Assignment) -> None:
        say(f"Report: {publish(store, assignment, _roster(people))}")

    return _with_store(folder, act, say)


def export(
    folder: Path,
    people: Path | None,
    late: Path | None,
    canvas: Path | None,
    moodle: Path | None,
    column: str,
    say: Say,
) -> int:
    """What `autograder export` runs: writes gradebook files; the exit code."""

    def act(store: Store, assignment: Assignment) -> None:
        policy = roster.load_policy(late) if late is not None else None
        table, possible = _grades(store, assignment, _roster(people), policy)
        if canvas is not None:
            write_file(canvas, roster.canvas_csv(table, column or assignment.title, possible))
        if moodle is not None:
            write_file(moodle, roster.moodle_csv(table, possible))
        given = sum(grade.adjusted is not None for grade in table)
        say(f"{given} grades written" + "".join(f", {path}" for path in (canvas, moodle) if path is not None))
        for grade in table:
            if grade.note:
                say(f"  {grade.person.name or grade.entry}: {grade.note}")

    return _with_store(folder, act, say)


def _with_store(folder: Path, act: Callable[[Store, Assignment], None], say: Say) -> int:
    try:
        with Store(folder, None) as store:
            act(store, load(store.slug))
    except (StoreError, AssignmentError, ManualError, RosterError) as error:
        say(str(error))
        return 2
    except OSError as error:
        say(f"{error.filename or folder} cannot be written: {error.strerror or error}.")
        return 2
    return 0


def _grades(
    store: Store, assignment: Assignment, people: Roster | None, policy: LatePolicy | None
) -> tuple[list[roster.Grade], float]:
    """One grade a student, written answers included, and the points that there are."""
    results = list(store.results())
    written = manual.read(store.folder, assignment, [result.submission for result in results])
    by_hand = sum(question.points for question in assignment.written) if written else 0.0
    scores: dict[str, float | None] = {
        result.submission: result.score
        + (written[result.submission].total if result.submission in written else 0)
        for result in results
        if result.status != "error"
    }
    possible = assignment.possible + by_hand
    return roster.grades(_entries(store, assignment, people), scores, possible, people, policy), possible


def _entries(store: Store, assignment: Assignment, people: Roster | None) -> list[Entry]:
    known = {stored.name for stored in store.all()}
    entries = [entry for entry in kept.from_text(store.about(PEOPLE)) if entry.name in known]
    return roster.identify(entries, people or Roster(), assignment.slug)


def _roster(path: Path | None) -> Roster | None:
    return roster.load_roster(path) if path is not None else None


def _labels(entries: Sequence[Entry]) -> dict[str, str]:
    """A submission's people before its name, and whether a later one of theirs counts instead."""
    earlier = {True: ", an earlier one", False: ""}
    return {
        entry.name: f"{entry.student} ({entry.name}{earlier[bool(entry.superseded_by)]})"
        for entry in entries
        if entry.student
    }
