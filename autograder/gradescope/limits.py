"""Memory and processor time as in Gradescope's container: by control groups where they may be made, else by looking.

With control groups (versions 1 and 2) the kernel does what it does on Gradescope: it ends a process when the memory
is used up, and gives half a core. Without them, the memory of all processes is looked at ten times a second, and
processor seconds are compared with what half a core would have given.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_PERIOD = 100_000  # microseconds, of which cpus * _PERIOD may be used
_GROUPS = Path("/sys/fs/cgroup")


@dataclass
class Usage:
    """What was used.

    Attributes:
        peak_mb: the most memory at one time (shared pages counted once), without what the kernel caches of files.
        cpu_seconds: of all processes together.
        killed: whether the kernel ended a process for lack of memory.
    """

    peak_mb: float = 0.0
    cpu_seconds: float = 0.0
    killed: bool = False


class Limiter(Protocol):
    """Holds processes to a limit, or at least looks at them."""

    name: str
    enforces: bool

    def entry(self) -> str:
        """Shell commands by which a process puts itself under it."""

    def look(self, pid: int, usage: Usage) -> None:
        """Brings `usage` up to date.

        Args:
            pid: the first process; its descendants count too.
            usage: what was seen until now.
        """

    def close(self) -> None:
        """Ends what is left and removes it."""


def limiter(megabytes: int, cpus: float) -> Limiter:
    """The best that works here."""
    for kind in (CgroupV2, CgroupV1):
        with suppress(OSError):
            return kind(megabytes, cpus)
    return Watch()


class CgroupV1:
    """Control groups of the first version: one folder for memory, one for processor time."""

    name, enforces = "control groups (version 1)", True

    def __init__(self, megabytes: int, cpus: float) -> None:
        self._folders: list[Path] = []
        try:
            self._memory = self._make("memory")
            self._cpu = self._make("cpu")
            self._count = (
                self._make("cpuacct")
                if (_GROUPS / "cpuacct").resolve() != (_GROUPS / "cpu").resolve()
                else self._cpu
            )
            (self._memory / "memory.limit_in_bytes").write_text(str(megabytes << 20))
            (self._cpu / "cpu.cfs_period_us").write_text(str(_PERIOD))
            (self._cpu / "cpu.cfs_quota_us").write_text(str(int(cpus * _PERIOD)))
        except OSError:
            self.close()
            raise

    def _make(self, controller: str) -> Path:
        if not (_GROUPS / controller / "cgroup.procs").exists():
            raise OSError(f"no controller {controller}")
        folder = _GROUPS / controller / f"autograder-{os.getpid()}-{id(self)}"
        folder.mkdir()
        self._folders.append(folder)
        return folder

    def entry(self) -> str:
        """Shell commands by which a process puts itself under it."""
        return "".join(f"echo $$ > {folder}/cgroup.procs\n" for folder in self._folders)

    def look(self, pid: int, usage: Usage) -> None:
        """Brings `usage` up to date from the groups' own counts."""
        stat = _table(self._memory / "memory.stat")
        held = stat.get("total_rss", 0) + stat.get("total_shmem", 0)
        usage.peak_mb = max(usage.peak_mb, held / 2**20)
        usage.cpu_seconds = int((self._count / "cpuacct.usage").read_text()) / 1e9
        usage.killed = _table(self._memory / "memory.oom_control").get("oom_kill", 0) > 0

    def close(self) -> None:
        """Ends what is left and removes the groups."""
        for folder in self._folders:
            _remove(folder)


class CgroupV2:
    """One control group of the second version, where its controllers are ours to use."""

    name, enforces = "control groups (version 2)", True

    def __init__(self, megabytes: int, cpus: float) -> None:
        available = (_GROUPS / "cgroup.controllers").read_text().split()
        if not {"memory", "cpu"} <= set(available):
            raise OSError("no memory and cpu controllers")
        (_GROUPS / "cgroup.subtree_control").write_text("+memory +cpu")
        self._folder = _GROUPS / f"autograder-{os.getpid()}-{id(self)}"
        self._folder.mkdir()
        try:
            (self._folder / "memory.max").write_text(str(megabytes << 20))
            (self._folder / "cpu.max").write_text(f"{int(cpus * _PERIOD)} {_PERIOD}")
        except OSError:
            self.close()
            raise

    def entry(self) -> str:
        """Shell commands by which a process puts itself under it."""
        return f"echo $$ > {self._folder}/cgroup.procs\n"

    def look(self, pid: int, usage: Usage) -> None:
        """Brings `usage` up to date from the group's own counts."""
        stat = _table(self._folder / "memory.stat")
        usage.peak_mb = max(usage.peak_mb, (stat.get("anon", 0) + stat.get("shmem", 0)) / 2**20)
        usage.cpu_seconds = _table(self._folder / "cpu.stat").get("usage_usec", 0) / 1e6
        usage.killed = _table(self._folder / "memory.events").get("oom_kill", 0) > 0

    def close(self) -> None:
        """Ends what is left and removes the group."""
        _remove(self._folder)


class Watch:
    """No limit: memory and processor time of a process and its descendants, from /proc."""

    name, enforces = "no control groups: looked at, not enforced", False

    def entry(self) -> str:
        """Nothing to do."""
        return ""

    def look(self, pid: int, usage: Usage) -> None:
        """Brings `usage` up to date; processes that ended between two looks are seen by their parents' counts."""
        seen = list(descendants(pid))
        usage.peak_mb = max(usage.peak_mb, held_together([(_share_mb(one), _own_mb(one)) for one in seen]))
        usage.cpu_seconds = max(usage.cpu_seconds, sum(map(_cpu_seconds, seen)))

    def close(self) -> None:
        """Nothing to do."""


def descendants(pid: int) -> Iterator[int]:
    """A process and all that it started."""
    yield pid
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from descendants(int(child))


def held_together(processes: list[tuple[float | None, float]]) -> float:
    """Megabytes of several processes.

    Args:
        processes: of each its share (pages shared with others divided among them), None where that may not be read,
            which is so for the sandbox's processes unless root asks; and all that it sees, shared pages included.
            The processes without a share are taken for forks of the smallest of them.
    """
    shares = [share for share, _ in processes if share is not None]
    forks = [seen for share, seen in processes if share is None]
    smallest = min(forks, default=0.0)
    return sum(shares) + smallest + sum(seen - smallest for seen in forks)


def _share_mb(pid: int) -> float | None:
    return _megabytes(Path(f"/proc/{pid}/smaps_rollup"), "Pss_Anon:")


def _own_mb(pid: int) -> float:
    return _megabytes(Path(f"/proc/{pid}/status"), "RssAnon:") or 0.0


def _megabytes(path: Path, key: str) -> float | None:
    with suppress(OSError, ValueError):
        for line in path.read_text(errors="replace").splitlines():
            if line.startswith(key):
                return int(line.split()[1]) / 1024
    return None


def _cpu_seconds(pid: int) -> float:
    with suppress(OSError, ValueError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_bytes().rsplit(b")", 1)[1].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _table(path: Path) -> dict[str, int]:
    with suppress(OSError):
        pairs = (line.split() for line in path.read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    return {}


def _remove(folder: Path) -> None:
    for _ in range(100):  # a process that was killed leaves its group only when it has been reaped
        with suppress(OSError):
            for pid in (folder / "cgroup.procs").read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
            return
        except OSError:
            time.sleep(0.05)
