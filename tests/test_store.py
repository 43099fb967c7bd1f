"""The store: what is in it is whole, whatever happened, and what cannot be used is said in words."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import store as stores
from autograder.assignment import load
from autograder.diagnosis import Diagnosis
from autograder.grading import QuestionResult, Result, broken, unreadable
from autograder.identity import Identity
from autograder.store import DiskFull, Store, StoreError
from autograder.suite import CaseResult, Outcome
from autograder.worker import Reply

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")
IDENTITY = Identity("grader 1", {"q1": "one", "q2": "two"}, "beside", "whole")


def question(name, score, outcome=Outcome.PASSED, **more):
    """A question of four points with one case."""
    cause = "wrong" if outcome is Outcome.FAILED else ""
    return QuestionResult(name, name, score, 4, [CaseResult("case", False, 4, outcome, cause=cause)], **more)


def reply(name="ada.py", *questions, digest="d1", **more):
    """A graded submission, by default with both questions right."""
    questions = list(questions) or [question("q1", 4), question("q2", 4)]
    result = Result(name, questions=questions, possible=8, **more)
    return Reply(result, "f1", digest, b"packed")


@pytest.fixture
def store(tmp_path):
    """An empty one."""
    with Store(tmp_path / "out", "mini") as store:
        yield store


def save(store, given, identity=IDENTITY):
    """Keeps a reply."""
    return store.save(SAMPLE, identity, f"/class/{given.result.submission}", given)


def test_there_and_back(store):
    """What was saved is there, in the order of names, and so is the submission itself."""
    bob = reply(
        "bob.py", question("q1", 4), question("q2", 0, Outcome.FAILED, diagnosis=Diagnosis("bare", "t"))
    )
    save(store, bob)
    save(store, reply("ada.py", message="hello"))
    assert list(store.results()) == [reply("ada.py", message="hello").result, bob.result]
    assert store.get("bob.py").keys == {"q1": "one", "q2": "two"}
    assert (store.get("bob.py").path, store.get("bob.py").score) == ("/class/bob.py", 4)
    assert store.content("d1") == b"packed"
    assert store.content("nothing") == b""
    assert store.get("eve.py") is None


def test_reading_it_with_other_programs(store):
    """Plain columns for whoever knows SQL."""
    save(store, reply("ada.py", question("q1", 4), question("q2", 1, diagnosis=Diagnosis("bare", "t"))))
    with sqlite3.connect(store.path) as database:
        rows = database.execute(
            "SELECT submission, question, score, possible, diagnosis FROM questions"
        ).fetchall()
    database.close()
    assert rows == [("ada.py", "q1", 4, 4, ""), ("ada.py", "q2", 1, 4, "bare")]


@pytest.mark.parametrize("name", ["Ünï ☃.py", "a\udcff.py", "a\nb'; DROP TABLE submissions.py", ""])
def test_names(store, name):
    """Every name that a file can have."""
    save(store, reply(name))
    assert [stored.name for stored in store.all()] == [name]
    assert next(store.results([name])).submission == name


def test_some_questions_again(store):
    """What was not run is as it was; what is said about all questions together is said anew."""
    wrong = question("q1", 0, Outcome.FAILED)
    save(store, reply("ada.py", wrong, question("q2", 0, Outcome.FAILED), message="cells", detail="old"))
    changed = replace(IDENTITY, questions={"q1": "new", "q2": "two"})
    result = save(
        store, Reply(Result("ada.py", questions=[question("q1", 4)], possible=8), "", "d1"), changed
    )
    assert [entry.score for entry in result.questions] == [4, 0]
    assert (result.message, result.detail) == ("cells", "old")
    assert store.get("ada.py").keys == {"q1": "new", "q2": "two"}
    assert store.get("ada.py").fingerprint == "f1"
    assert next(store.results(["ada.py"])) == result


def test_the_note_on_what_to_mend_first_follows(store):
    """q2 rests on q1: once q1 is right its note goes, and when it fails again the note comes back."""
    wrong = question("q2", 0, Outcome.FAILED)
    save(store, reply("ada.py", question("q1", 4), wrong))
    assert next(store.results()).questions[1].note == ""
    changed = replace(IDENTITY, questions={"q1": "new", "q2": "two"})
    fails = question("q1", 0, Outcome.FAILED)
    result = save(store, Reply(Result("ada.py", questions=[fails], possible=8), "", "d1"), changed)
    assert "mend q1 first" in result.questions[1].note


def test_another_content_keeps_nothing(store):
    """New bytes: the old questions are gone, all of them."""
    save(store, reply("ada.py"))
    save(store, reply("ada.py", question("q1", 0), digest="d2"))
    assert [entry.name for entry in next(store.results()).questions] == ["q1"]


def test_undecided_questions_have_no_key(store):
    """They are tried again the next time."""
    save(store, reply("ada.py", question("q1", 4), question("q2", 0, Outcome.COULD_NOT_TELL)))
    assert store.get("ada.py").keys == {"q1": "one", "q2": ""}


def test_after_an_error_the_submission_is_still_there(store):
    """A judge that died says nothing about the content: it is kept, so that a regrade can try again."""
    save(store, reply("ada.py"))
    save(store, Reply(broken("ada.py", 8, RuntimeError("the judge was killed"))))
    found = store.get("ada.py")
    assert (found.status, found.digest, found.keys) == ("error", "d1", {})


def test_unreadable(store):
    """There is a row, and nothing to grade again."""
    save(store, Reply(unreadable("a.pdf", 8, "Upload a notebook."), "f9"))
    assert (store.get("a.pdf").status, store.get("a.pdf").digest) == ("failed", "")


def test_a_failure_in_the_middle_changes_nothing(store, monkeypatch):
    """All of a submission or nothing of it."""
    save(store, reply("ada.py"))
    monkeypatch.setattr(Store, "_put_questions", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save(store, reply("ada.py", question("q1", 0)))
    assert next(store.results()).score == 8


KILLED = """
import os, signal, sys
from tests.test_store import *
store = Store(Path(sys.argv[1]), "mini")
save(store, reply("ada.py"))
Store._put_questions = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
save(store, reply("ada.py", question("q1", 0)))
"""


def test_killed_in_the_middle_of_saving(tmp_path):
    """The next to open it finds what was whole, and no lock."""
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out")]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store(tmp_path / "out", "mini") as store:
        assert next(store.results()).score == 8


def test_locked(store):
    """Another run in the same folder is told whose it is."""
    with pytest.raises(StoreError, match=rf"Another run is writing to .* \(process {os.getpid()}\): wait"):
        Store(store.folder, "mini")
    store.close()
    Store(store.folder, "mini").close()


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (99, "made by a newer autograder .* update autograder"),
        (0, "made by an older autograder .* new folder"),
    ],
)
def test_other_versions(store, version, message):
    """It is refused and untouched, and the message says what to do."""
    save(store, reply("ada.py"))
    store._database.execute(f"PRAGMA user_version = {version}")
    store.close()
    before = store.path.read_bytes()
    with pytest.raises(StoreError, match=message):
        Store(store.folder, "mini")
    assert store.path.read_bytes() == before


def test_another_assignment(store):
    """Grades of two assignments do not mix."""
    with pytest.raises(StoreError, match="holds grades of mini: choose another folder for gelu"):
        store.close() or Store(store.folder, "gelu")


def test_no_database(tmp_path):
    """A file that is something else is left alone."""
    (tmp_path / stores.FILE).write_text(
        "my notes, much longer than the header of a database would be", encoding="utf-8"
    )
    with pytest.raises(StoreError, match="damaged, or was not made by autograder"):
        Store(tmp_path, "mini")
    assert "my notes" in (tmp_path / stores.FILE).read_text(encoding="utf-8")


def test_a_folder_without_a_store(tmp_path):
    """`regrade` of a folder that nobody graded into makes nothing there."""
    with pytest.raises(StoreError, match=r"holds no grades\.sqlite"):
        Store(tmp_path / "out", None)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_way(tmp_path):
    """An output folder that cannot be made."""
    (tmp_path / "out").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be used as output folder: File exists"):
        Store(tmp_path / "out", "mini")


def test_no_room(store):
    """The one submission is not kept, all before it are, and the message says what to do."""
    save(store, reply("ada.py"))
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull, match=r"No room is left in .* give the same command again"):
        save(store, replace(reply("bob.py", digest="d2"), packed=bytes(100_000)))
    assert [stored.name for stored in store.all()] == ["ada.py"]
    store._database.execute("PRAGMA max_page_count = 1000000")
    save(store, reply("bob.py", digest="d2"))
    assert [stored.name for stored in store.all()] == ["ada.py", "bob.py"]
