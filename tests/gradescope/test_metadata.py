"""What Gradescope says about a submission, and what is made of it: days, limits, due dates; junk says nothing."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from autograder.gradescope.emulator import example_metadata
from autograder.gradescope.metadata import Metadata, read_metadata

NOON = datetime(2026, 11, 20, 12, tzinfo=timezone(timedelta(hours=-8)))


@pytest.fixture
def read(tmp_path):
    """Writes and reads a metadata file."""

    def write(content):
        path = tmp_path / "submission_metadata.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return read_metadata(path)

    return write


def earlier(hours, score="30.0", **more):
    return {"submission_time": (NOON - timedelta(hours=hours)).isoformat(), "score": score, **more}


def test_example(read):
    """As documented: a first submission, in time."""
    found = read(example_metadata(NOON))
    assert (found.submitted_at, found.due, found.earlier) == (NOON, NOON + timedelta(days=1), ())


def test_days_are_the_courses(read):
    """11 hours ago is today, 13 hours ago yesterday, wherever the server's clock is."""
    times = [earlier(11), earlier(13), {**earlier(11), "submission_time": "2026-11-20T09:00:00Z"}]
    assert read({**example_metadata(NOON), "previous_submissions": times}).graded_today() == 2


@pytest.mark.parametrize(
    "more",
    [
        {"autograder_error": True},
        {"results": {"extra_data": {"status": "not_graded"}}},
        {"results": {"extra_data": {"status": "error"}}},
    ],
)
def test_what_was_not_graded_does_not_count(read, more):
    """Neither towards the limit nor as the last score."""
    found = read({**example_metadata(NOON), "previous_submissions": [earlier(3, 20), earlier(1, 40, **more)]})
    assert (found.graded_today(), found.last_score) == (1, 20.0)


def test_extension(read):
    """A student's own due date goes first; of a group, the latest."""
    users = [{"assignment": {"due_date": (NOON + timedelta(days=d)).isoformat()}} for d in (3, 5)]
    assert read({**example_metadata(NOON), "users": users}).due == NOON + timedelta(days=5)


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "[]", "null", '"x"', "{}", "[" * 5000, '{"created_at": 5, "assignment": [], "users": {}}',
        '{"previous_submissions": [1, null, {"score": "many", "submission_time": {}, "results": []}]}',
        '{"users": [1, {"assignment": 3}], "assignment": {"due_date": "tomorrow"}}',
    ],
)  # fmt: skip
def test_junk(read, content):
    """Nothing is known, nothing breaks."""
    found = read(content)
    assert (found.submitted_at, found.due, found.graded_today(), found.last_score) == (None, None, 0, None)


def test_no_file(tmp_path):
    """The same."""
    assert read_metadata(tmp_path / "none") == Metadata()
