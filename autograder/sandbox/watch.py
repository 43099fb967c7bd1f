"""What the kernel bounds for one file, one mapping or not at all, and the judge in sum: files, memory, threads, cores.

The judge looks while it waits for a child and after each call that took a while. That works for root and for ordinary
users in any container: the child's folder is the judge's own, and `/proc/PID/status` is for everybody to read.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from autograder.sandbox.errors import Overused

# A look takes 0.04 ms. In this time a child writes 0.4 GB, makes 3500 files or starts 1100 threads. Measured
# by benchmarks/bounds.py on an idle machine, as are the figures below.
EVERY_SECONDS = 0.1
SHORT_SECONDS = 0.01  # what a call does in less is looked at with the next one: it wrote 60 MB at most
MAX_FILES = 10_000  # a submission brings 1000 at most, and matplotlib's cache is one file
MAX_FOLDERS = 2000  # to remove one takes up to 6 ms, on a virtual disk
MAX_THREADS = 256  # a thread pool of Python's has 32 at most; without a bound 20 000 were started
# Processor seconds beyond one core that a child may use. With 256 busy threads a neighbour on the same two cores gets a
# hundredth of them: a call of 0.05 s took 4.9 s then, and its limit is 10 s.
CORES_SLACK = 4.0
_TICKS = os.sysconf("SC_CLK_TCK")
_MEMORY_SLACK = 64 << 20  # bytes: pages of the warm interpreter that are touched for the first time


class Watch:
    """Looks after one child.

    Args:
        pid: its process.
        box: its folder.
        disk: bytes that its files may take.
        memory: bytes that it may hold beyond what it holds now, private and shared together.
    """

    def __init__(self, pid: int, box: Path, disk: int, memory: int) -> None:
        self._process, self._box, self._disk, self._memory = f"/proc/{pid}", box, disk, memory
        self._before = _resident(self._status())
        self._began = self._looked = time.monotonic()

    def after(self, seconds: float) -> None:
        """Looks, if a call that took so many seconds, or all since the last look, may have made a difference.

        Raises:
            Overused: the child must be ended.
        """
        if seconds > SHORT_SECONDS or time.monotonic() - self._looked > EVERY_SECONDS:
            self.look()

    def look(self) -> None:
        """Looks.

        Raises:
            Overused: the child must be ended.
        """
        self._looked = time.monotonic()
        self._look_at_files()
        self._look_at_process()
        self._look_at_cores()

    def _look_at_files(self) -> None:
        total = files = folders = 0
        for size, is_folder in _entries(self._box):
            total, files, folders = total + size, files + 1, folders + is_folder
            if files > MAX_FILES or folders > MAX_FOLDERS:
                many = f"{MAX_FOLDERS:,} folders" if folders > MAX_FOLDERS else f"{MAX_FILES:,} files"
                raise Overused(f"It was stopped: it made more than {many}. {_LOOP}")
            if total > self._disk:
                raise Overused(f"It was stopped: its files take more than {self._disk >> 20} MB. {_LOOP}")

    def _look_at_process(self) -> None:
        status = self._status()
        if int(status.get("Threads", "0")) > MAX_THREADS:
            raise Overused(f"It was stopped: it started more than {MAX_THREADS} threads. {_LOOP}")
        if _resident(status) - self._before > self._memory + _MEMORY_SLACK:
            raise Overused(f"It was stopped: it took more than {self._memory >> 20} MB of memory. {_LOOP}")

    def _look_at_cores(self) -> None:
        fields = self._read("stat").rpartition(")")[2].split()  # after its name, which it chooses
        used = sum(map(int, fields[11:13])) / _TICKS
        if used > time.monotonic() - self._began + CORES_SLACK:
            raise Overused("It was stopped: it kept more than one processor busy. Leave out threads.")

    def _status(self) -> dict[str, str]:
        return dict(line.split(":", 1) for line in self._read("status").splitlines() if ":" in line)

    def _read(self, name: str) -> str:
        """The kernel's account of the process; empty where there is none: it ended, or this is not Linux."""
        try:
            with open(f"{self._process}/{name}", "rb") as file:
                return file.read().decode("latin-1")
        except OSError:
            return ""


_LOOP = "Is there a loop that makes more and more of them?"


def _resident(status: dict[str, str]) -> int:
    """Bytes of memory that no file stands behind."""
    fields = (status.get(name, "0 kB") for name in ("RssAnon", "RssShmem"))
    return sum(int(field.split()[0]) for field in fields) * 1024


def _entries(folder: Path) -> Iterator[tuple[int, bool]]:
    """The bytes that each file and folder below takes on the disk, and whether it is a folder.

    Raises:
        Overused: a folder that was made so that nobody can look into it.
    """
    todo = [os.fspath(folder)]
    while todo:
        with suppress(FileNotFoundError, NotADirectoryError):  # it went while we looked
            try:
                with os.scandir(todo.pop()) as entries:
                    for entry in entries:
                        is_folder = entry.is_dir(follow_symlinks=False)
                        yield entry.stat(follow_symlinks=False).st_blocks * 512, is_folder
                        if is_folder:
                            todo.append(entry.path)
            except PermissionError:
                raise Overused("It was stopped: it made a folder that cannot be looked into.") from None
            except OSError as error:
                if isinstance(error, (FileNotFoundError, NotADirectoryError)):
                    raise
                raise Overused("It was stopped: its folders lie too deep in one another.") from None
