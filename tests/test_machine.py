"""How many submissions are graded side by side: bounded by cores, by memory, and by what a container may use."""

from __future__ import annotations

import math
import os

import pytest

from autograder import machine


@pytest.mark.parametrize(
    ("cores", "free_mb", "memory_mb", "jobs"),
    [(8, math.inf, 1024, 8), (8, 4 * 1324, 1024, 4), (2, 4 * 1324, 1024, 2), (8, 100, 1024, 1)],
    ids=["by cores", "by memory", "by cores again", "at least one"],
)
def test_jobs(monkeypatch, cores, free_mb, memory_mb, jobs):
    """Whatever there is least of decides."""
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "free_memory_mb", lambda: free_mb)
    assert machine.fitting_jobs(memory_mb) == jobs


@pytest.fixture
def group(monkeypatch, tmp_path):
    """A control group of version 2 that this process is in."""
    monkeypatch.setattr(machine, "_groups", lambda: [tmp_path])
    return tmp_path


def test_a_share_of_the_cores(group):
    """A container with one and a half cores has two judges, whatever the machine has."""
    (group / "cpu.max").write_text("150000 100000\n", encoding="utf-8")
    assert machine.cores() == min(2, len(os.sched_getaffinity(0)))
    (group / "cpu.max").write_text("100000 100000\n", encoding="utf-8")
    assert machine.cores() == 1
    (group / "cpu.max").write_text("max 100000\n", encoding="utf-8")
    assert machine.cores() == len(os.sched_getaffinity(0))


def test_a_share_of_the_memory(group):
    """What the container may still have, not what the machine has."""
    (group / "memory.max").write_text(f"{3 << 20}\n", encoding="utf-8")
    (group / "memory.current").write_text(f"{1 << 20}\n", encoding="utf-8")
    assert machine.free_memory_mb() == 2
    (group / "memory.max").write_text("max\n", encoding="utf-8")
    assert machine.free_memory_mb() > 2


def test_a_machine_that_does_not_say(monkeypatch):
    """Without /proc and control groups the cores alone decide."""
    monkeypatch.setattr(machine, "_read", lambda path: "")
    assert machine.free_memory_mb() == math.inf
    assert machine.fitting_jobs(1024) == machine.cores()
