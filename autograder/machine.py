"""How many submissions fit on this machine side by side: its cores and memory, as far as this process may use them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# A judge with its fork server and a child at work, on attention: 116 + 63 + 70 MB, with their shares of what several
# hold together. What a submission may use comes on top of it.
MEGABYTES_PER_JOB = 300
_CGROUP = Path("/sys/fs/cgroup")


def fitting_jobs(memory_mb: float) -> int:
    """The number of jobs that the cores and the free memory allow; at least 1.

    Args:
        memory_mb: what one submission may use.
    """
    by_memory = free_memory_mb() / (memory_mb + MEGABYTES_PER_JOB)
    return max(1, int(min(cores(), by_memory)))


def cores() -> int:
    """The cores that this process may use: its affinity, and its control group's share, rounded up."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([mine, *(-(-quota // period) for quota, period in _quotas())]))


def free_memory_mb() -> float:
    """Memory that can still be had: the machine's and the control groups'; infinite where the system does not say."""
    return min([float("inf"), *_available()]) / 2**20


def _available() -> Iterator[float]:
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            yield float(line.split()[1]) * 1024
    for group in _groups():
        limit, used = _read(group / "memory.max"), _read(group / "memory.current")
        if limit.strip().isdigit() and used:
            yield max(0.0, float(limit) - float(used))


def _quotas() -> Iterator[tuple[int, int]]:
    for group in _groups():
        words = _read(group / "cpu.max").split()
        if len(words) == 2 and words[0].isdigit():
            yield int(words[0]), int(words[1])


def _groups() -> Iterator[Path]:
    """This process's control group and those around it (version 2)."""
    for line in _read(Path("/proc/self/cgroup")).splitlines():
        if line.startswith("0::"):
            group = _CGROUP / line[3:].strip().lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(_CGROUP))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
