"""The roster: any export with a header is read; what cannot be used is named with its line."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.roster import Person, RosterError, load_roster
from autograder.roster.people import spellings

DUE = datetime(2026, 11, 20, 22, 59, tzinfo=timezone.utc)
LINES = "id,name,email,section,due\n0042,Ada Lovelace,ada@x.edu,B2,2026-11-20T23:59:00+01:00\n"


@pytest.fixture
def roster(tmp_path):
    """Reads a roster with this content."""

    def read(content):
        path = tmp_path / "people.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_roster(path)

    return read


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        "\ufeff" + LINES,
        LINES.replace(",", ";"),
        LINES.replace(",", "\t"),
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", "\r"),
        "\n\n" + LINES + "\n,,,,\n",
        LINES.encode("utf-16"),
        LINES.replace("id,name,email,section,due", "Student ID, FULL NAME ,E-Mail Address,Tutorial,Due Date"),
        LINES.replace("id,name,email,section,due", '"SID","Name","Email","Sections","Extension"'),
        LINES.replace("Ada Lovelace", '"Lovelace, Ada"'),
        LINES.replace("Ada Lovelace", '"Ada\n Lovelace"'),
        "First name;Last name;ID number;Email;Group;Deadline\n"
        "Ada;Lovelace;0042;ada@x.edu;B2;2026-11-20T22:59:00Z",
    ],
    ids=["plain", "BOM", "semicolons", "tabs", "CRLF", "CR", "blank lines", "UTF-16", "headers", "Gradescope",
         "family first", "line end in a cell", "two columns"],
)  # fmt: skip
def test_one_person_in_many_ways(roster, content):
    """The same person comes out."""
    (ada,) = roster(content).people
    assert (ada.id, ada.name, ada.email, ada.section) == ("0042", "Ada Lovelace", "ada@x.edu", "B2")
    assert ada.due == DUE


def test_canvas_gradebook(roster):
    """An export of Canvas's gradebook is a roster, and makes Canvas's numbers known."""
    content = (
        "Student,ID,SIS User ID,SIS Login ID,Section,HW (12)\n"
        ",,,,,Manual Posting\n"
        "    Points Possible,,,,,60.00\n"
        '"Lovelace, Ada",12345,0042,ada7,B2,\n'
        '"Student, Test",99,,x,,\n'
    )
    (ada,) = roster(content).people
    assert ada == Person("Ada Lovelace", "0042", login="ada7", section="B2", canvas_id="12345")


def test_moodle_worksheet(roster):
    """A grading worksheet of Moodle's is a roster, and makes the participants' numbers known."""
    content = (
        "Identifier,Full name,Email address,Status,Grade,Last modified (grade)\n"
        "Participant 701,Ada Lovelace,ada@x.edu,,,-\n"
    )
    (ada,) = roster(content).people
    assert ada == Person("Ada Lovelace", email="ada@x.edu", moodle_id="701")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("Ada,ada@x.edu\n", "line 1: no column is called id, name or email"),
        ("id,student id\n", "line 1: the columns id, student id all mean the id"),
        (LINES + "0042,Bob,b@x.edu,,\n", "line 3: the id '0042' is in line 2 already"),
        (LINES + "43,Bob,ADA@x.edu,,\n", "line 3: the email 'ada@x.edu' is in line 2 already"),
        (LINES + "\n43,Bob,b@x.edu,,2026-11-20 23:59\n", "line 4: '2026-11-20 23:59' is no time with a timezone"),
        (LINES + "43,Bob,b@x.edu,,tomorrow\n", "line 3: 'tomorrow' is no time"),
        (LINES + "43,O'Neil, Bob,b@x.edu,,\n", "line 3: 'Bob' is no email address. Is there a comma"),
        (LINES + "43,Bob,b@x.edu,,,surplus\n", "line 3: 6 cells under 5 columns"),
        (LINES + ",,,B2,\n", "line 3: neither an id nor a name nor an email"),
        (LINES.replace("Ada", '"Ada'), "not a table in CSV"),
        (LINES.encode() + b"43,Ren\xe9,r@x.edu,,\n", "line 3: not UTF-8"),
        (LINES + "43,B\0b,b@x.edu,,\n", "^"),
        (LINES + "43," + "x" * 200_000 + ",b@x.edu,,\n", "not a table in CSV"),
        ("id\n" + "1" * (9 << 20), "larger than 8 MB"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(roster, content, message):
    """The file, the line, and what to do."""
    if message == "^":  # since Python 3.11 a NUL is a character like others: a name with it is still a name
        assert len(roster(content).people) == 2
        return
    with pytest.raises(RosterError, match=message) as caught:
        roster(content)
    assert "people.csv" in str(caught.value)


def test_no_file(tmp_path):
    """It is named."""
    with pytest.raises(RosterError, match=r"none.csv cannot be read: No such file"):
        load_roster(tmp_path / "none.csv")


@settings(deadline=None, max_examples=300)
@given(content=st.binary(max_size=200) | st.text(alphabet='id,;"\n\r\tname@é0', max_size=60).map(str.encode))
def test_any_bytes(tmp_path_factory, content):
    """People or a RosterError, nothing else."""
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        people = load_roster(path).people
    except RosterError:
        return
    assert all(person.name or any(person.identifiers()) for person in people)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        (Person(id="0042"), "Ada Lovelace"),
        (Person(email="ADA@X.EDU", name="somebody else"), "Ada Lovelace"),
        (Person(name="lovelaceada"), "Ada Lovelace"),
        (Person(name="Lovelace, Ada"), "Ada Lovelace"),
        (Person(name="ada  LOVELACE"), "Ada Lovelace"),
        (Person(name="Ada"), None),
        (Person(name="Kim Lee"), None),
        (Person(id="7", name="Kim Lee"), "Kim Lee"),
        (Person(name=""), None),
        (Person(id="nobody", name="İpek Öz"), "İpek Öz"),
    ],
)
def test_whom_a_record_means(roster, record, found):
    """By number or address first, then by the whole name; never where two have one name."""
    people = roster(LINES + "7,Kim Lee,,,\n8,Kim Lee,,,\n9,İpek Öz,,,\n")
    listed = people.find(record)
    assert (listed and listed.name) == found


def test_spellings():
    """All that Canvas and people make of one name."""
    assert spellings("Ada King Lovelace") >= {"adakinglovelace", "lovelaceadaking", "kinglovelaceada"}
    assert spellings("Lovelace, Ada") == spellings("Ada Lovelace")
