"""Folders that a killed grader left behind are removed by the next one; those in use are not."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time

import pytest

from autograder.sandbox import host


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A place of its own for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def left(folder):
    """What a killed grader leaves: its folder with a submission's box in it, an hour old."""
    base = folder / "autograder-abcd"
    (base / "1").mkdir(parents=True)
    (base / ".owner").touch()
    an_hour_ago = time.time() - 3600
    os.utime(base / ".owner", (an_hour_ago, an_hour_ago))
    return base


def test_abandoned(left):
    """Nobody holds it."""
    host.remove_abandoned()
    assert not left.exists()


def test_in_use(left):
    """Its process lives."""
    with open(left / ".owner") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        host.remove_abandoned()
        assert left.exists()


def test_just_made(left):
    """Its process has not locked it yet."""
    os.utime(left / ".owner")
    host.remove_abandoned()
    assert left.exists()


def test_of_others(folder):
    """A folder of the same name that is nobody's box stays."""
    (folder / "autograder-notes").mkdir()
    host.remove_abandoned()
    assert (folder / "autograder-notes").exists()


def test_a_sandbox_holds_its_own(folder):
    """Whatever its age, as long as it is open; afterwards it is gone."""
    with host.Sandbox():
        (base,) = folder.glob("autograder-*")
        os.utime(base / ".owner", (0, 0))
        host.remove_abandoned()
        assert base.exists()
    assert not base.exists()
