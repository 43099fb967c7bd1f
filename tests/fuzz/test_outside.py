"""What else comes from outside: weights, rosters, what platforms write, and names. Each is read, or refused."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from autograder import fixtures
from autograder.assignment import Artifact, load
from autograder.gradescope.metadata import read_metadata
from autograder.report import manual
from autograder.roster import canvas, gradescope, moodle
from autograder.roster.identify import identify
from autograder.roster.model import Entry, RosterError
from autograder.roster.people import Roster, load_roster
from autograder.submission.read import _digest
from tests.fuzz import mutate

MINI = load("mini", Path(__file__).parents[1] / "data" / "sample")
SEEDS = st.integers(0, 2**64)
ODD: list[Any] = [None, True, 0, -1, 0.5, 1e308, 10**30, 10**400, "", "x", "nan", "inf", "1e999", "\ud800", "\0",
    [], {}, [[]], [None],
                  [{}], {"a": []}, "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59-23:59", [0, 2**63], "F32",
                  "F4", "BOOL"]  # fmt: skip
SNIPPETS = (b"{", b"[",
    b'"', b"]", b",", b";", b"\t", b"\n", b"\r", b"\0", b"\xff", b"\xff\xfe", b"'", b"=", b"- ", b": ", b"&a ", b"*a",
            b"!ruby/object:X ", b"!!python/object/apply:os.system ", b"1e999", b"9" * 5000,
            b'"' * 3, b"[" * 2000)  # fmt: skip


def odd(value: Any, choose: random.Random) -> Any:
    """Something else in place of a part."""
    return choose.choice(ODD)


# ------------------------------------------------------------------------------------------------------- weights

WEIGHTS = save({"w": torch.ones(2, 3), "b": torch.zeros(3, dtype=torch.float64)})
HEADER = json.loads(WEIGHTS[8 : 8 + int.from_bytes(WEIGHTS[:8], "little")])
ARTIFACT = Artifact("weights", "w.safetensors", 1)


def weights(choose: random.Random) -> bytes:
    """A file of weights with a header or bytes that are changed."""
    start = 8 + int.from_bytes(WEIGHTS[:8], "little")
    if choose.random() < 0.3:
        return mutate.data(WEIGHTS, choose, SNIPPETS)
    header: Any = json.loads(json.dumps(HEADER))
    for _ in range(choose.randint(1, 2)):
        header = mutate.tree(
            header, choose, odd, ("w", "b", "__metadata__", "dtype", "shape", "data_offsets")
        )
    text = json.dumps(header).encode()
    size = choose.choice((len(text), len(text), len(text), 0, 2**63, len(text) + 1))
    return size.to_bytes(8, "little") + text + WEIGHTS[start:]


@settings(max_examples=500, deadline=None, derandomize=True)
@given(SEEDS)
def test_any_weights(seed: int):
    """A file of weights gives tensors, no larger than the file, or a message for the student."""
    data = weights(random.Random(seed))
    try:
        found = fixtures.read(ARTIFACT, {"w.safetensors": data})
    except AssertionError as error:
        said.append(str(error))
        return
    assert found is not None
    assert all(isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in found.items())
    assert sum(tensor.nbytes for tensor in found.values()) <= len(data)


said: list[str] = []


def test_the_weights_are_reached():
    """Some of them are read, some are not, and what is said of those is a sentence about the file."""
    said.clear()
    for number in range(200):
        test_any_weights.hypothesis.inner_test(number)  # type: ignore[attr-defined]
    assert 20 < len(said) < 200
    assert all("w.safetensors" in text and len(text) < 600 for text in said)


# -------------------------------------------------------------------------------------------- what platforms write

METADATA = {
    "created_at": "2026-11-20T12:00:00+01:00",
    "assignment": {"due_date": "2026-11-21T23:59:00+01:00"},
    "users": [{"name": "Ada", "assignment": {"due_date": "2026-11-22T23:59:00+01:00"}}],
    "previous_submissions": [
        {"submission_time": "2026-11-20T10:00:00+01:00", "score": "7.5", "autograder_error": False,
         "results": {"extra_data": {"status": "graded"}}},
    ],
}  # fmt: skip
METADATA_KEYS = (
    "created_at",
    "assignment",
    "users",
    "previous_submissions",
    "score",
    "submission_time",
    "results",
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_metadata(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """Whatever Gradescope writes about a submission, there are times and finite scores, or nothing."""
    choose = random.Random(seed)
    table: Any = json.loads(json.dumps(METADATA))
    for _ in range(choose.randint(1, 4)):
        table = mutate.tree(table, choose, odd, METADATA_KEYS)
    data = json.dumps(table).encode()
    found = metadata(
        data if choose.random() < 0.8 else mutate.data(data, choose, SNIPPETS), tmp_path_factory.getbasetemp()
    )
    assert found.graded_today() <= len(found.earlier)
    assert found.last_score is None or math.isfinite(found.last_score)


def metadata(data: bytes, folder: Path) -> Any:
    """What is made of a file with these bytes."""
    path = folder / "submission_metadata.json"
    path.write_bytes(data)
    return read_metadata(path)


@pytest.mark.parametrize("score", ["10" * 400, "1e999", '"1e999"', "NaN", '"nan"', "true", "[]"])
def test_scores_that_are_no_numbers(score: str, tmp_path: Path):
    """An earlier score beyond all numbers is none, so that nothing infinite gets into a results file."""
    found = metadata(json.dumps(METADATA).replace('"7.5"', score).encode(), tmp_path)
    assert found.last_score is None
    assert len(found.earlier) == 1


def test_a_time_at_the_end_of_the_calendar(tmp_path: Path):
    """A time whose day the course's timezone does not have is of no day."""
    last = json.dumps(METADATA).replace("2026-11-20T10:00:00+01:00", "9999-12-31T23:59:59-23:00")
    assert metadata(last.encode(), tmp_path).graded_today() == 0


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        (manual.DOCUMENT, "a = " + "[" * 3000, "maximum recursion"),
        (manual.TABLE, "submission,w1\nada.py," + "9" * 200_000 + "\n", "line 1: no table in CSV"),
    ],
    ids=["deep toml", "a cell without end"],
)
def test_scores_by_hand_that_cannot_be_parsed(name: str, data: str, complaint: str, tmp_path: Path):
    """What the parsers themselves give up on is refused by the name of the file."""
    (tmp_path / name).write_text(data)
    with pytest.raises(manual.ManualError, match=complaint):
        manual.read(tmp_path, MINI, ["ada.py"])


EXPORT = b"""---
submission_1:
  :submitters:
  - :name: Ada Lovelace
    :sid: '12345'
    :email: ada@example.org
  :created_at: 2026-11-20 22:59:00.000000000 Z
  :score: 7.5
"""


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_export(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """The metadata of an export names people in one line of text each, or is refused; nothing in it is constructed."""
    root = tmp_path_factory.getbasetemp() / "export"
    (root / "submission_1").mkdir(parents=True, exist_ok=True)
    (root / gradescope.METADATA).write_bytes(mutate.data(EXPORT, random.Random(seed), SNIPPETS))
    try:
        found = list(gradescope.entries(root))
    except RosterError:
        return
    assert [entry.name for entry in found] == ["submission_1"]
    for person in found[0].people:
        assert all(text.isprintable() for text in (person.name, person.id, person.email))


ROSTER = "id,name,email,section,due\n12345,Ada Lovelace,ada@example.org,A,2026-11-20T23:59:00+01:00\n77,Bo,b@x.org,B,\n"


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_roster(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """A roster of any bytes is a class, or is refused with the place; whoever is in it can be looked for."""
    path = tmp_path_factory.getbasetemp() / "class.csv"
    path.write_bytes(mutate.data(ROSTER.encode(), random.Random(seed), SNIPPETS))
    try:
        roster = load_roster(path)
    except RosterError as error:
        assert "class.csv" in str(error)  # noqa: PT017  a refusal is one of the two right ends
        return
    entries = [Entry(name, Path(name)) for name in ("12345.py", "ada_lovelace.py", "x.py")]
    assert len(identify(entries, roster, "mini")) == 3


WRITTEN = b"submission,w1,comment\nada.py,2,good\nbo.py,1.5,\n"


@settings(max_examples=500, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_scores_by_hand(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """Scores that a person entered are within the points, or nothing of the file is taken over."""
    folder, choose = by_hand(tmp_path_factory), random.Random(seed)
    (folder / manual.TABLE).write_bytes(mutate.data(WRITTEN, choose, SNIPPETS))
    check_written(folder)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(seed=SEEDS)
def test_any_scores_in_toml(seed: int, tmp_path_factory: pytest.TempPathFactory):
    """The same for the other form of the file."""
    folder = tmp_path_factory.getbasetemp() / "toml"
    folder.mkdir(exist_ok=True)
    data = b'["ada.py"]\nw1 = 2\ncomment = "good"\n\n["bo.py"]\nw1 = 1.5\n'
    (folder / manual.DOCUMENT).write_bytes(mutate.data(data, random.Random(seed), SNIPPETS))
    check_written(folder)


def by_hand(factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples."""
    folder = factory.getbasetemp() / "by-hand"
    folder.mkdir(exist_ok=True)
    return folder


def check_written(folder: Path) -> None:
    """Reads scores; those that are taken over are possible ones."""
    try:
        found = manual.read(folder, MINI, ["ada.py", "bo.py"])
    except manual.ManualError:
        return
    for written in found.values():
        assert all(0 <= score <= 2 for score in written.scores.values())


NAMES = st.text(
    st.one_of(st.sampled_from("_-. 0123456789aLATEé\u202e\n"), st.characters()), max_size=60
).filter(
    lambda name: (
        name.strip(".") and not set(name) & {"/", "\0"} and len(name.encode("utf-8", "replace")) < 200
    )
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(name=NAMES)
@example(name="lovelaceada_LATE_12345_678901_attention-2.ipynb")
@example(name="Ada Lovelace_12345_assignsubmission_file_")
@example(name="\u0661_\u0661\u0662\u0663_\u0661\u0662\u0663\u0664\u0665_x.py")
def test_any_file_name(name: str, tmp_path_factory: pytest.TempPathFactory):
    """The name of a download says who sent it, or nothing, whatever characters are in it."""
    path = tmp_path_factory.getbasetemp() / "names" / name
    path.parent.mkdir(exist_ok=True)
    try:
        path.touch()
    except (OSError, UnicodeEncodeError):  # no file is called so
        return
    uploads = [upload] if (upload := canvas.parse(path)) else []
    folders = [upload] if (upload := moodle.parse(path)) else []
    found = [*canvas.entries(uploads), *moodle.entries(folders)]
    identify(found or [Entry(name, path)], Roster(), "mini")
    path.unlink()


# ------------------------------------------------------------------------------------------------ who is who again

Files = dict[str, bytes]
FILES = st.dictionaries(
    st.sampled_from(["a.py", "b/a.py", "a", "ab.py", "data"]), st.binary(max_size=4), max_size=3
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(FILES, FILES, st.binary(max_size=4), st.binary(max_size=4))
def test_no_two_submissions_are_one(one: Files, two: Files, first: bytes, second: bytes):
    """The digest by which a submission is known again is of its files alone: no bytes move from one to the next."""
    entries = (("mini.py", one, first), ("other.py", two, second))
    digests = [_digest("script", main, {**files, main: content}) for main, files, content in entries]
    assert (digests[0] == digests[1]) is ((one, first) == (two, second))
    assert digests[0] != _digest("notebook", "mini.py", {**one, "mini.py": first})
