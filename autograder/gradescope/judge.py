"""Grades one submission on Gradescope, and writes results after each question: they stand if time runs out."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import torch

from autograder import submission
from autograder.assignment import Assignment, load
from autograder.figures import Artist
from autograder.gradescope.metadata import Metadata, read_metadata
from autograder.gradescope.notices import RUNNING
from autograder.gradescope.place import Place
from autograder.gradescope.results import results
from autograder.gradescope.settings import Settings, read_settings
from autograder.grading import Judge, Result, broken, unreadable
from autograder.sandbox.host import Sandbox
from autograder.sandbox.launch import Parent, Zygote
from autograder.submission import Submission, SubmissionError

# Of the container's memory, for the fork server, the judge and the entry point: 245 MB with pyplot and an optimizer
# imported, 85 MB of library code that is read all the time, some 30 MB of the judge's own, 12 MB for the entry point.
# What is left is the student's, so that a greedy tensor is an exception at its line and not the end of the container.
OURS_MB = 440
LEAST_MB = 128
SLOWER = 2  # half a core: what the assignments' limits allow in wall time takes twice as long
# Of the time: imports at half a core, the judge's own arithmetic and the search for the mistake.
OUR_SECONDS = 60


def main(control: socket.socket, root: str, seconds: float) -> int:
    """What the judge's process runs: `launch.become_judge` calls it."""
    torch.set_num_threads(1)
    place = Place(Path(root))
    settings = read_settings(place.source / "settings.json")
    assignment = within(load(settings.slug, place.source), seconds, memory_mb(settings))
    Grader(place, settings, assignment, Parent(control)).run()
    return 0


class Grader:
    """Grades the submission of one place.

    Args:
        place: where it lies.
        settings: what the course chose.
        assignment: what was asked, with limits that fit here.
        zygote: the fork server.
    """

    def __init__(self, place: Place, settings: Settings, assignment: Assignment, zygote: Zygote) -> None:
        self._place, self._settings, self._assignment, self._zygote = place, settings, assignment, zygote
        self._metadata: Metadata = read_metadata(place.metadata)

    def run(self) -> None:
        """Grades and writes; whatever the submission is, there are results."""
        try:
            result = self._grade(self._read())
        except SubmissionError as error:
            result = unreadable("submission", self._assignment.possible, str(error))
        except Exception as error:
            result = broken("submission", self._assignment.possible, error)
        self._write(result, Artist(self._assignment) if result.figures else None)

    def _read(self) -> Submission:
        """What was handed in: a folder, in which a single zip archive stands for its contents."""
        files = [path for path in self._place.submission.rglob("*") if path.is_file()]
        path = files[0] if len(files) == 1 and files[0].suffix.lower() == ".zip" else self._place.submission
        return submission.read(path, "submission", self._assignment)

    def _grade(self, handed_in: Submission) -> Result:
        with Sandbox(self._zygote) as sandbox:
            judge = Judge(self._assignment, sandbox)

            def write_so_far(_: str) -> None:
                self._write(
                    Result(
                        "submission",
                        RUNNING,
                        judge.so_far(),
                        self._assignment.possible,
                        layers=sandbox.layers,
                    )
                )

            return judge.grade(handed_in, write_so_far)

    def _write(self, result: Result, artist: Artist | None = None) -> None:
        self._place.write(results(result, self._assignment, self._settings, self._metadata, artist))


def within(assignment: Assignment, seconds: float, megabytes: int) -> Assignment:
    """The assignment with limits that fit the container, and end before its own.

    Args:
        assignment: as its file says, for a core of its own.
        seconds: what the judge has in all.
        megabytes: the container's memory.
    """
    limits = assignment.limits
    longer = {
        name: value * SLOWER
        for name in ("call_seconds", "cell_seconds", "training_seconds", "total_seconds")
        if (value := getattr(limits, name))
    }
    longer["total_seconds"] = max(5.0, min(longer["total_seconds"], seconds - OUR_SECONDS))
    memory = max(LEAST_MB, min(limits.memory_mb, megabytes - OURS_MB))
    return replace(assignment, limits=replace(limits, **longer, memory_mb=memory))


def memory_mb(settings: Settings) -> int:
    """The container's memory: as its control group says, else as the course does."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            megabytes = int(Path(path).read_text()) >> 20
        except (OSError, ValueError):
            continue
        if megabytes < 1 << 20:  # a terabyte and more means that there is no limit
            return megabytes
    return settings.memory_mb
