"""Roster and submissions put together; the last submission of a student counts and the others stay."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from autograder.roster import Entry, Person, Roster, identify

ADA = Person("Ada Lovelace", "0042", "ada@x.edu", "al7", "B2")
BOB = Person("Bob O'Neil", "43", "bob@x.edu", section="B1")
LEE = Person("Kim Lee", "44", "kim@x.edu")
LIE = Person("Kim Lee", "45", "kim2@x.edu")
ZED = Person("Zed", "0099")
CLASS = Roster((ADA, BOB, LEE, LIE, ZED))
TEN = datetime(2026, 11, 20, 10, tzinfo=timezone.utc)


def entry(name, *people, **more):
    return Entry(name, Path(name), people, **more)


def found(*entries, roster=CLASS):
    return {entry.name: entry for entry in identify(entries, roster, "mini")}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("0042.py", ADA),
        ("ada@x.edu.ipynb", ADA),
        ("AL7_mini.ipynb", ADA),
        ("mini_ada.py", ADA),
        ("Ada Lovelace.zip", ADA),
        ("lovelace-ada-mini.py", ADA),
        ("AdaLovelace_mini.ipynb.zip", ADA),
        ("43.py", BOB),
        ("43_final_version", None),
        ("0042_final_version", ADA),
        ("kim.py", LEE),
        ("kim_lee.py", None),
        ("lovelace.py", None),
        ("mini.py", None),
        ("0042_0099.py", None),
        ("x.py", None),
    ],
)
def test_plain_names(name, expected):
    """A file's name means somebody only where it is clear who."""
    people = found(entry(name))[name].people
    assert people == ((expected,) if expected else ())


def test_platforms_people_get_the_rosters_name_and_section():
    """And keep the number by which the grade goes back."""
    (ada,) = found(entry("a", Person("lovelaceada", canvas_id="5")))["a"].people
    assert ada == replace(ADA, canvas_id="5")


def test_not_in_the_roster():
    """Graded all the same, with a note."""
    eve = found(entry("e", Person("Eve", email="eve@x.edu"), ADA))["e"]
    assert [person.name for person in eve.people] == ["Eve", "Ada Lovelace"]
    assert eve.notes == ("Eve is not in the roster.",)


def test_without_a_roster():
    """People are as the platform names them; equal addresses are one person."""
    entries = found(
        entry("1", Person("Ada", email="ada@x.edu"), submitted_at=TEN),
        entry("2", Person("A. L.", email="Ada@x.edu"), submitted_at=TEN + timedelta(1)),
        roster=Roster(),
    )
    assert (entries["1"].superseded_by, entries["2"].superseded_by) == ("2", "")


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "turned around"])
def test_the_last_by_time_counts(order):
    """Whatever the order in which they are found."""
    early, late = entry("z", ADA, submitted_at=TEN), entry("a", ADA, submitted_at=TEN + timedelta(minutes=1))
    entries = found(*[early, late][::order])
    assert list(entries) == ["z", "a"][::order]
    assert (entries["z"].superseded_by, entries["a"].superseded_by) == ("a", "")


def test_the_last_by_attempt_counts():
    """Where one has no time, the platform's count decides."""
    entries = found(entry("1", ADA, attempt=2), entry("2", ADA, attempt=1, submitted_at=TEN))
    assert (entries["1"].superseded_by, entries["2"].superseded_by) == ("", "1")


def test_the_last_by_file_counts(tmp_path):
    """Where nothing else is known; a folder is as old as its youngest file."""
    folder = tmp_path / "ada"
    folder.mkdir()
    for path, when in ((folder / "mini.py", 2000), (tmp_path / "ada.py", 1000), (folder, 10)):
        path.touch()
        os.utime(path, (when, when))
    entries = identify([Entry("p", tmp_path / "ada.py"), Entry("f", folder)], CLASS, "mini")
    assert [entry.superseded_by for entry in entries] == ["f", ""]


def test_a_group_and_one_who_goes_on_alone():
    """The group's submission counts for those who handed in nothing later."""
    entries = found(
        entry("group", ADA, BOB, submitted_at=TEN), entry("alone", BOB, submitted_at=TEN + timedelta(1))
    )
    assert (entries["group"].superseded_by, entries["alone"].superseded_by) == ("", "")


def test_nobodys_submissions_stay():
    """Without a person, nothing replaces anything."""
    entries = found(entry("x.py"), entry("y.py"))
    assert [e.superseded_by for e in entries.values()] == ["", ""]
