"""What platforms hand out is recognised: every submission is there, under its own name, with the right people."""

from __future__ import annotations

import os
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

from autograder.assignment import load
from autograder.roster import RosterError, find
from autograder.roster.gradescope import METADATA
from autograder.roster.kept import assembled
from autograder.roster.times import parse_time
from autograder.submission import SubmissionError, read

SAMPLE = load("mini", Path(__file__).parents[1] / "data" / "sample")
CODE = "def softmax(x):\n    return x\n"
EXPORT = """---
submission_101:
  :submitters:
  - :name: Ada Lovelace
    :sid: '0042'
    :email: ada@x.edu
  :created_at: 2026-11-20 22:59:00.123456789 Z
  :score: 3.0
  :status: processed
  :history:
  - :created_at: 2026-11-19 10:00:00.000000000 Z
    :score: 1.0
submission_102:
  :submitters:
  - :name: Bob "Bobby" O'Neil 🦊
    :sid: 43
    :email: bob@x.edu
  - :name: Çelik, Eva
    :sid:
    :email: ~
  :created_at: !ruby/object:ActiveSupport::TimeWithZone
    utc: &1 2026-11-21 08:00:00.000000000 Z
    zone: !ruby/object:ActiveSupport::TimeZone
      name: Etc/UTC
    time: *1
"""


def export(folder: Path, metadata: str | bytes, *names: str) -> Path:
    """An export with this metadata and a solution in each of these folders."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / METADATA).write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    for name in names:
        (folder / name).mkdir()
        (folder / name / "mini.py").write_text(CODE)
    return folder


def reading(entry, folder):
    """The submission, as `grade` reads it."""
    return read(assembled(entry, folder), entry.name, SAMPLE)


def files(folder: Path, *names: str) -> Path:
    """A folder with a solution under each of these names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(CODE)
    return folder


# ------------------------------------------------------------------------------------------------------ Gradescope


@pytest.mark.parametrize("nested", [False, True], ids=["the folder itself", "the folder around it"])
def test_gradescope(tmp_path, nested):
    """People, times and groups come from the metadata; numbers keep their zeros."""
    root = export(tmp_path / "assignment_5_export", EXPORT, "submission_101", "submission_102")
    ada, group = find([tmp_path if nested else root], "mini")
    assert (ada.name, ada.platform, ada.student) == ("submission_101", "gradescope", "Ada Lovelace")
    assert (ada.people[0].id, ada.people[0].email) == ("0042", "ada@x.edu")
    assert ada.submitted_at == datetime(2026, 11, 20, 22, 59, 0, 123456, timezone.utc)
    assert group.student == 'Bob "Bobby" O\'Neil 🦊, Çelik, Eva'
    assert (group.people[1].id, group.people[1].email) == ("", "")
    assert group.submitted_at == datetime(2026, 11, 21, 8, tzinfo=timezone.utc)
    assert reading(ada, tmp_path / "together").text == CODE


def test_a_folder_that_nobody_names(tmp_path):
    """It is graded all the same, with a note."""
    root = export(tmp_path / "e", EXPORT, "submission_101", "submission_999")
    ada, other = find([root], "mini")
    assert (ada.notes, other.people) == ((), ())
    assert other.notes == ("submission_999 is not in submission_metadata.yml: nobody knows whose it is.",)


def test_paths_in_the_metadata_lead_nowhere(tmp_path):
    """Only folders that are there are submissions, whatever the metadata calls them."""
    secret = files(tmp_path / "secret", "mini.py")
    keys = [
        "../secret",
        str(secret),
        "submission_1/../../secret",
        "..",
        ".",
        "~root",
        "C:\\secret",
        "a\\0b",
        "",
    ]
    metadata = "".join(f"'{key}':\n  :submitters: [{{':name': Mallory}}]\n" for key in keys)
    root = export(tmp_path / "e", metadata, "submission_1")
    assert [entry.path for entry in find([root], "mini")] == [root / "submission_1"]


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.mkdir", "!!python/object/new:os.mkdir", "!ruby/object:Gem::Installer"]
)
def test_tags_run_nothing(tmp_path, monkeypatch, tag):
    """A tag is ignored, never obeyed."""
    monkeypatch.chdir(tmp_path)
    metadata = f"submission_1:\n  :submitters: {tag}\n  - made_by_yaml\n  - {{':name': Ada}}\n"
    (entry,) = find([export(tmp_path / "e", metadata, "submission_1")], "mini")
    assert entry.student == "Ada"
    assert not Path("made_by_yaml").exists()


def bomb(levels: int = 40) -> str:
    """Aliases (and merges) that would unfold to 9^levels values."""
    lines = ["a0: &a0 {x: y}"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    lines += ["m0: &m0 {k: v}"]
    lines += [f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}]}}" for i in range(1, levels)]
    return "\n".join([*lines, "submission_1:", f"  :submitters: *a{levels - 1}", "  :created_at: *m9", ""])


@pytest.mark.parametrize(
    "metadata",
    [
        bomb(),
        "submission_1: {':submitters': 3, ':created_at': [x]}",
        "submission_1: {':submitters': [1, [2], {}, {':name': [1], ':email': {a: b}}], ':created_at': tomorrow}",
        "submission_1:\n  :submitters: [{':name': " + "x" * 100_000 + ", ':sid': " + "9:" * 50_000 + "9}]",
        "submission_1: {':created_at': 9999999999-01-01 00:00:00 Z}",
        "submission_1: {':created_at': 2026-13-45 99:99:99 Z}",
        "submission_1: {':created_at': 2026-01-01 00:00:00 +99:99}",
        "submission_1: 5",
        "{}",
    ],
    ids=["bomb", "wrong types", "odd people", "huge", "year", "month", "zone", "number", "empty mapping"],
)  # fmt: skip
def test_odd_metadata(tmp_path, metadata):
    """What cannot be understood is left out, quickly; the submission is there."""
    root = export(tmp_path / "e", metadata, "submission_1")
    started = time.process_time()
    (entry,) = find([root], "mini")
    assert time.process_time() - started < 3  # 0.1 s measured for the slowest, the bomb
    assert entry.submitted_at is None
    assert len(entry.student) <= 300


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (b"submission_1:\n  :name: \xff\xfe\n", "not UTF-8"),
        ("a: [", "line 2"),
        ("- a\n- b\n", "found list"),
        ("", "found NoneType|found str"),
        ("[" * 5000 + "]" * 5000, "not the metadata"),
        ("&a [*a]", "not the metadata|found list"),
        ("? [x, y]\n: 1\n", "not the metadata"),
        ("a: \x07", "not the metadata"),
        (b"#" * (33 << 20), "larger than 32 MB"),
    ],
    ids=["encoding", "cut off", "list", "empty", "deep", "recursive", "list as key", "control", "large"],
)
def test_broken_metadata(tmp_path, metadata, message):
    """One clear message that names the file."""
    root = export(tmp_path / "e", metadata, "submission_1")
    with pytest.raises(RosterError, match=message) as caught:
        find([root], "mini")
    assert str(root / METADATA) in str(caught.value)


def test_a_link_in_an_export_is_not_followed(tmp_path):
    """It is a submission that cannot be read."""
    secret = files(tmp_path / "secret", "mini.py")
    root = export(tmp_path / "e", EXPORT)
    os.symlink(secret, root / "submission_101")
    (entry,) = find([root], "mini")
    with pytest.raises(SubmissionError):
        reading(entry, tmp_path / "together")


# ---------------------------------------------------------------------------------------------------------- Canvas


def test_canvas(tmp_path):
    """Name, user, lateness and the file's own name come from the download name."""
    names = ["lovelaceada_12345_678901_mini.py", "oneilbob_LATE_12346_678905_mini-2.py"]
    ada, bob = find([files(tmp_path / "c", *names)], "mini")
    assert (ada.name, ada.people[0].canvas_id, ada.late, ada.attempt) == (
        "lovelaceada_12345",
        "12345",
        False,
        0,
    )
    assert (bob.name, bob.people[0].name, bob.late, bob.attempt) == ("oneilbob_12346", "oneilbob", True, 2)
    assert list(bob.files) == ["mini.py"]
    assert reading(ada, tmp_path / "together").text == CODE


def test_canvas_files_of_one_student_belong_together(tmp_path):
    """A notebook's helper modules and weights lie beside it again, under their own names."""
    names = [
        "adal_1_5001_mini.py",
        "adal_1_5002_helpers.py",
        "adal_1_5003_weights.safetensors",
        "bob_2_5004_mini.py",
    ]
    ada, _ = find([files(tmp_path / "c", *names)], "mini")
    handed_in = reading(ada, tmp_path / "together")
    assert (handed_in.main, sorted(handed_in.files)) == (
        "mini.py",
        ["helpers.py", "mini.py", "weights.safetensors"],
    )


def test_canvas_resubmission(tmp_path):
    """A name that comes again begins a new attempt; the order is that of the uploads."""
    names = ["ada_1_9002_mini-1.py", "ada_1_9001_mini.py", "ada_1_9003_helpers-1.py"]
    first, second = find([files(tmp_path / "c", *names)], "mini")
    assert (first.name, second.name) == ("ada_1", "ada_1-2")
    assert (list(first.files), list(second.files)) == (["mini.py"], ["mini.py", "helpers.py"])
    assert second.attempt > first.attempt


def test_canvas_anonymous(tmp_path):
    """Nobody's name is made up."""
    (entry,) = find([files(tmp_path / "c", "anon_Xy3zQ_5001_mini.py")], "mini")
    assert (entry.name, entry.people[0].name, entry.people[0].canvas_id) == ("anon_Xy3zQ", "", "")


@pytest.mark.parametrize(
    "name",
    [
        "ada_2026_11_22.py",
        "ada_1_5001_..",
        "Ada_7_assignsubmission_file_..",
        "mini.py",
        "group_1_mini.py",
        "ada_12_34.py",
    ],
)
def test_plain_names_stay_plain(tmp_path, name):
    """Numbers and dates in a file's name are no download name."""
    (entry,) = find([files(tmp_path / "c", name) / name], "mini")
    assert (entry.name, entry.platform, entry.people) == (name, "", ())


def test_students_with_one_number_stay_apart(tmp_path):
    """A year that looks like a user's number puts nobody together."""
    both = find([files(tmp_path / "c", "ada_2026_1122_mini.py", "bob_2026_1122_mini.py")], "mini")
    assert [entry.name for entry in both] == ["ada_2026", "bob_2026"]


# ---------------------------------------------------------------------------------------------------------- Moodle


def test_moodle(tmp_path):
    """Folders and loose files; a text typed online is left aside only where there is a file."""
    folder = files(
        tmp_path / "m",
        "Ada Lovelace_701_assignsubmission_file_/mini.py",
        "Ada Lovelace_701_assignsubmission_onlinetext_/onlinetext.html",
        "Bob O'Neil_702_assignsubmission_file_mini.py",
        "Bob O'Neil_702_assignsubmission_file_helpers.py",
        "Participant_703_assignsubmission_onlinetext_/onlinetext.html",
    )
    ada, bob, third = find([folder], "mini")
    assert (ada.name, ada.people[0].name, ada.people[0].moodle_id) == (
        "Ada Lovelace_701",
        "Ada Lovelace",
        "701",
    )
    assert sorted(reading(bob, tmp_path / "together").files) == ["helpers.py", "mini.py"]
    assert (third.name, third.people[0].name) == ("Participant_703", "")
    with pytest.raises(SubmissionError, match=r"onlinetext\.html"):
        reading(third, tmp_path / "together")


# ---------------------------------------------------------------------------------------------------- all together


def test_several_at_once(tmp_path):
    """An export, a download and plain files in one run, each under a name of its own."""
    root = export(tmp_path / "e", EXPORT, "submission_101")
    loose = files(tmp_path / "c", "ada.py", "SUBMISSION_101", "ada_1_5001_mini.py")
    assert [entry.name for entry in find([root, loose, root], "mini")] == [
        "submission_101", "SUBMISSION_101-2", "ada.py", "ada_1",
    ]  # fmt: skip


def test_nothing_there(tmp_path):
    """The message of plain files."""
    with pytest.raises(SubmissionError, match="There is no file or folder"):
        find([tmp_path / "none"], "mini")


def test_a_large_export_is_read_quickly(tmp_path):
    """2 MB of earlier results for 500 students take about a second."""
    tests = "".join(f"    - name: q{i}\n      output: 'expected {'x' * 60}'\n" for i in range(40))
    metadata = "".join(
        f"submission_{n}:\n  :submitters:\n  - :name: S {n}\n    :sid: '{n}'\n  :results:\n    tests:\n{tests}"
        for n in range(500)
    )
    root = export(tmp_path / "e", metadata, "submission_1")
    started = time.process_time()
    assert find([root], "mini")[0].student == "S 1"
    assert time.process_time() - started < 8  # 0.9 s measured, with libyaml


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T23:59:00+01:00", "2026-11-20T22:59:00+00:00"),
        ("2026-11-20 22:59:00.123456789 Z", "2026-11-20T22:59:00.123456+00:00"),
        ("2026-11-20 22:59 UTC", "2026-11-20T22:59:00+00:00"),
        ("2026-11-20 17:59:00 -0500", "2026-11-20T22:59:00+00:00"),
        ("2026-11-20 23:59:00", None),
        ("2026-11-20", None),
        ("20.11.2026 23:59 +01:00", None),
        ("2026-11-20T24:59:00Z", None),
        ("2026-11-20T23:59:00+25:00", None),
        ("", None),
        ("2" * 1000, None),
    ],
)
def test_times(text, expected):
    """With a timezone or not at all."""
    found = parse_time(text)
    assert (found and found.astimezone(timezone.utc).isoformat()) == expected
