"""The late policy: read strictly, applied as its text says."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograder.roster import LatePolicy, RosterError, load_policy

DUE = datetime(2026, 11, 20, 23, 59, tzinfo=timezone(timedelta(hours=1)))
POLICY = LatePolicy(percent_per_day=10, grace_minutes=15, max_percent=35, due=DUE)


def after(**late):
    return DUE + timedelta(**late)


@pytest.mark.parametrize(
    ("late", "score"),
    [
        ({"days": -3}, 50),
        ({}, 50),
        ({"minutes": 15}, 50),
        ({"minutes": 15, "microseconds": 1}, 44),
        ({"hours": 24}, 44),
        ({"hours": 24, "seconds": 1}, 38),
        ({"days": 3}, 32),
        ({"days": 4}, 29),
        ({"days": 400}, 29),
    ],
)
def test_days_that_have_begun(late, score):
    """60 points possible, 50 earned: 6 off for each day begun, 21 at most."""
    assert POLICY.apply(50, 60, after(**late)).score == pytest.approx(score)


def test_text():
    """What the student and the gradebook read."""
    assert (
        POLICY.apply(50, 60, after(days=1, hours=1)).text
        == "2 days late: 12 points off (20 % of the points possible)."
    )
    assert (
        POLICY.apply(50, 60, after(hours=1)).text == "1 day late: 6 points off (10 % of the points possible)."
    )
    assert POLICY.apply(50, 60, DUE).text == ""


def test_of_the_points_earned():
    """The other way to count."""
    policy = LatePolicy(percent_per_day=10, of="earned")
    assert policy.apply(50, 60, after(hours=1), DUE).score == pytest.approx(45)
    assert policy.apply(50, 60, after(days=30), DUE).score == 0


def test_extension():
    """A student's own deadline goes before the class's."""
    assert POLICY.apply(50, 60, after(days=2), after(days=2)).score == 50


@pytest.mark.parametrize(
    ("submitted", "due"), [(None, DUE), (after(days=9), None)], ids=["no time", "no deadline"]
)
def test_nobody_knows(submitted, due):
    """Nothing is taken off."""
    assert LatePolicy(percent_per_day=10).apply(50, 60, submitted, due).score == 50


def test_timezones():
    """The same moment is the same, wherever it was written down."""
    moment = after(minutes=10).astimezone(timezone(timedelta(hours=-8)))
    assert POLICY.apply(50, 60, moment).score == 50


@given(
    score=st.floats(0, 100), possible=st.floats(0, 100), percent=st.floats(0, 100), most=st.floats(0, 100),
    late=st.timedeltas(timedelta(-400), timedelta(4000)), of=st.sampled_from(["possible", "earned"]),
)  # fmt: skip
def test_never_below_zero_nor_above_the_score(score, possible, percent, most, late, of):
    """Whatever the numbers."""
    policy = LatePolicy(percent, 5, most, of)
    assert 0 <= policy.apply(score, possible, DUE + late, DUE).score <= score


def test_file(tmp_path):
    """Every key is read."""
    path = tmp_path / "late.toml"
    path.write_text(
        'grace_minutes = 15\npercent_per_day = 12.5\nmax_percent = 50\nof = "earned"\ndue = 2026-11-20T23:59:00+01:00\n'
    )
    assert load_policy(path) == LatePolicy(12.5, 15, 50, "earned", DUE)
    path.write_text("percent_per_day = 10")
    assert load_policy(path) == LatePolicy(10)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "percent_per_day is missing"),
        ("percent = 10", "unknown key 'percent'; known are grace_minutes"),
        ('percent_per_day = "10"', "percent_per_day must be a number from 0 to 100, not '10'"),
        ("percent_per_day = true", "not True"),
        ("percent_per_day = 101", "from 0 to 100"),
        ("percent_per_day = -1", "from 0 to 100"),
        ("percent_per_day = nan", "not nan"),
        ("percent_per_day = 1\nmax_percent = inf", "not inf"),
        ("percent_per_day = 1\ngrace_minutes = []", "grace_minutes must be a number"),
        ("percent_per_day = 1\nof = 'all'", 'of must be "possible" or "earned"'),
        ("percent_per_day = 1\nof = ['possible']", "of must be"),
        ("percent_per_day = 1\ndue = 2026-11-20T23:59:00", "a time with a timezone"),
        ("percent_per_day = 1\ndue = 2026-11-20", "a time with a timezone"),
        ("percent_per_day = 1\ndue = '2026-11-20T23:59:00Z'", "no quotes"),
        ("percent_per_day = ", "is not TOML"),
        ("\xff", "is not TOML"),
        ("a = " + "[" * 5000, "is not TOML"),
    ],
)
def test_what_is_no_policy(tmp_path, content, message):
    """The file, the key, what was expected."""
    path = tmp_path / "late.toml"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(RosterError, match=message) as caught:
        load_policy(path)
    assert "late.toml" in str(caught.value)


def test_no_file(tmp_path):
    """It is named."""
    with pytest.raises(RosterError, match="cannot be read"):
        load_policy(tmp_path / "late.toml")
