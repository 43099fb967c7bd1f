"""What is shown while a class is graded."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from autograder import progress
from autograder.grading import Result
from autograder.progress import Display


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_state(clock):
    """Failures, rate, time left and names in flight, as far as there are any."""
    display = Display(Console(file=io.StringIO()), 100)
    assert display.state() == ""
    for name in ("ada.py", "bob.py", "eve\x1b.py", "zoe.py"):
        display.began(name)
    assert display.state() == "ada.py, bob.py, eve?.py and 1 more"
    clock[0] += 0.5
    display.finished(Result("ada.py"))
    display.finished(Result("bob.py", status="error"))
    assert display.state() == "1 failed, 240/min, 0:24 left: eve?.py, zoe.py"


def test_plain_lines():
    """Without a terminal: a line each, and no control sequences."""
    output = io.StringIO()
    with Display(Console(file=output, width=200), 12) as display:
        display.began("ada[red].py")
        display.refresh()
        display.finished(Result("ada[red].py", possible=8))
    assert output.getvalue() == "   1/12 ada[red].py: 0/8 (graded)\n"


def test_terminal():
    """A bar with a count, and nothing left of it at the end."""
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=120)
    with Display(console, 12) as display:
        display.began("ada.py")
        display.refresh()
        assert "0/12" in output.getvalue()
        assert "ada.py" in output.getvalue()
    assert output.getvalue().endswith("\x1b[2K")
