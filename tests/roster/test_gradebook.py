"""What Canvas and Moodle import: their columns, one row a student, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from autograder.roster import (
    Entry,
    LatePolicy,
    Person,
    Roster,
    canvas_csv,
    grades,
    identify,
    load_roster,
    moodle_csv,
)

DUE = datetime(2026, 11, 20, 22, 59, tzinfo=timezone.utc)
ADA = Person("Ada King Lovelace", "0042", "ada@x.edu", "al7", "B2", canvas_id="12345", moodle_id="701")
BOB = Person('Bob "Bobby" O\'Neil 🦊', "43", "bob@x.edu", due=DUE + timedelta(days=2))
EVE = Person("Eve", "44", "eve@x.edu")
POLICY = LatePolicy(percent_per_day=10, due=DUE)


def entry(name, *people, **more):
    return Entry(name, Path(name), people, **more)


def table(*entries, scores, roster=None, policy=None):
    entries = identify(entries, roster or Roster(), "mini")
    return grades(entries, scores, 60, roster, policy)


def cells(text):
    assert not text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_canvas():
    """The five columns that identify, the assignment's, the points possible, one row each."""
    rows = cells(
        canvas_csv(table(entry("a", ADA), entry("b", BOB), scores={"a": 59.125, "b": 0}), "HW (7)", 60)
    )
    assert rows == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "HW (7)"],
        ["    Points Possible", "", "", "", "", "60.00"],
        ["Lovelace, Ada King", "12345", "0042", "al7", "B2", "59.12"],
        ['🦊, Bob "Bobby" O\'Neil', "", "43", "bob@x.edu", "", "0.00"],
    ]


def test_moodle():
    """The columns of Moodle's own worksheet."""
    ada, bob = cells(moodle_csv(table(entry("a", ADA), entry("b", BOB), scores={"a": 59, "b": 7}), 60))[1:]
    assert ada == [
        "Participant 701",
        "Ada King Lovelace",
        "ada@x.edu",
        "",
        "59.00",
        "60.00",
        "Yes",
        "",
        "",
        "",
    ]
    assert bob[:5] == ["", 'Bob "Bobby" O\'Neil 🦊', "bob@x.edu", "", "7.00"]


@pytest.mark.parametrize("make", [lambda t: canvas_csv(t, "=HYPERLINK(1)", 60), lambda t: moodle_csv(t, 60)])
@pytest.mark.parametrize(
    "name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a\nb,c\x1b[2J"]
)
def test_no_formulas(make, name):
    """No cell begins as a formula, and no name splits a row."""
    person = Person(name, name, name, name, name)
    rows = cells(make(table(entry("a", person), scores={"a": 1})))
    assert len({len(row) for row in rows}) == 1
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
        assert cell.isprintable()


def test_who_has_no_row():
    """Nothing handed in, or not judged: the gradebook is left as it is; the table says why."""
    given = table(entry("b", BOB), scores={"b": None}, roster=Roster((ADA, BOB)))
    assert [(g.person.name[:3], g.adjusted, g.note) for g in given] == [
        ("Ada", None, "nothing was handed in"), ("Bob", None, "could not be judged"),
    ]  # fmt: skip
    assert len(cells(canvas_csv(given, "HW", 60))) == 2
    assert len(cells(moodle_csv(given, 60))) == 1


def test_group_superseded_and_stranger():
    """Each of a group gets its score, who went on alone the later one, who is in no roster comes last."""
    entries = (
        entry("group", ADA, BOB, submitted_at=DUE),
        entry("alone", BOB, submitted_at=DUE + timedelta(hours=1)),
        entry("eve", EVE, submitted_at=DUE),
    )
    given = table(*entries, scores={"group": 10, "alone": 20, "eve": 30}, roster=Roster((BOB, ADA)))
    assert [(g.person.name[:3], g.entry, g.score) for g in given] == [
        ("Bob", "alone", 20), ("Ada", "group", 10), ("Eve", "eve", 30),
    ]  # fmt: skip


def test_late():
    """The class's deadline, a student's own, and one that nobody can date."""
    when = DUE + timedelta(days=1, hours=1)
    entries = (
        entry("a", ADA, submitted_at=when),
        entry("b", BOB, submitted_at=when),
        entry("e", EVE, late=True),
    )
    ada, bob, eve = table(*entries, scores=dict.fromkeys("abe", 50), roster=Roster((ADA, BOB)), policy=POLICY)
    assert (ada.score, ada.adjusted) == (50, 38)
    assert ada.note == "2 days late: 12 points off (20 % of the points possible)."
    assert (bob.adjusted, bob.note) == (50, "")
    assert (eve.adjusted, eve.note) == (50, "late, but nobody knows by how much: nothing was taken off")


def test_there_and_back(tmp_path):
    """An export of Canvas's gradebook as the roster gives back the numbers that it held."""
    path = tmp_path / "gradebook.csv"
    path.write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,HW (7)\n    Points Possible,,,,,60\n"
        '"Lovelace, Ada",12345,0042,al7,B2,\n'
    )
    handed = entry("lovelaceada_12345", Person("lovelaceada", canvas_id="12345"))
    given = table(handed, scores={"lovelaceada_12345": 60}, roster=load_roster(path))
    assert cells(canvas_csv(given, "HW (7)", 60))[2] == [
        "Lovelace, Ada",
        "12345",
        "0042",
        "al7",
        "B2",
        "60.00",
    ]


def test_equal_names_without_numbers_are_one():
    """Two records that only a name identifies are one student, as nobody can tell them apart."""
    nameless = replace(EVE, id="", email="")
    assert len(table(entry("1", nameless), entry("2", nameless), scores={"1": 1, "2": 2})) == 1
