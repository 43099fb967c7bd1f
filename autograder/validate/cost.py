"""What grading one right submission costs, from a cold start, beside what Gradescope's default container gives."""

from __future__ import annotations

import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autograder import submission
from autograder.assignment import Assignment
from autograder.gradescope.limits import Usage, Watch
from autograder.gradescope.settings import CPUS, MEMORY_MB, MINUTES
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.launch import start_judge
from autograder.validate.bench import Bench
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.submissions import reference
from autograder.worker import Task, ask, receive

LOOK_SECONDS = 0.05  # between two looks at the memory; the peaks of a training last longer
ENOUGH_SECONDS = 300.0
WORTH_TELLING = 0.75  # of the time or memory: what is left is less than a busy machine may need


class Cost(Examination):
    """Seconds, memory and calls."""

    name = "cost"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """One; quickly: none, for a busy machine says little."""
        return [] if options.quick else ["reference"]

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Grades the reference in processes of its own: interpreter, torch, judge, fork server and child."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in reference(assignment, "py").items():
                Path(folder, name).write_bytes(content)
            packed = submission.pack(submission.read(Path(folder), piece, assignment))
        started = time.monotonic()
        arguments = {"slug": assignment.slug, "root": str(assignment.root)}
        process, ours = start_judge("autograder.worker:main", arguments)
        usage = Usage()
        with Connection(ours.detach()) as connection:
            try:
                ask(connection, Task(piece), packed)
                _watch(connection, process.pid, usage)
                connection.recv_bytes()  # that it is ready
                _watch(connection, process.pid, usage)
                reply = receive(connection)
            finally:
                seconds = time.monotonic() - started
                process.kill()
                process.wait()
        return {
            "seconds": seconds,
            "cpu_seconds": usage.cpu_seconds,
            "peak_mb": usage.peak_mb,
            "calls": reply.result.usage.calls,
            "child_cpu_seconds": reply.result.usage.cpu_seconds,
            "child_peak_mb": reply.result.usage.peak_mb,
        }

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """An error where the container would not do, a note where it is near."""
        verdict = Verdict(data=found)
        for cost in found.values():
            verdict.summary = f"{cost['cpu_seconds']:.0f} s, {cost['peak_mb']:.0f} MB, {cost['calls']} calls"
            seconds, memory = cost["cpu_seconds"] / CPUS, cost["peak_mb"]
            for need, unit, given in ((seconds, "s", 60 * MINUTES), (memory, "MB", MEMORY_MB)):
                text = f"needs {need:.0f} {unit} of the {given:.0f} {unit} of Gradescope's default container"
                if need > given:
                    verdict.error(text)
                elif need > WORTH_TELLING * given:
                    verdict.note(text)
        return verdict


def _watch(connection: Connection, pid: int, usage: Usage) -> None:
    """Looks at the memory until something is there to be read.

    Raises:
        SandboxError: nothing came.
    """
    watch, deadline = Watch(), time.monotonic() + ENOUGH_SECONDS
    while not connection.poll(LOOK_SECONDS):
        watch.look(pid, usage)
        if time.monotonic() > deadline:
            raise SandboxError(f"the judge did not answer within {ENOUGH_SECONDS:.0f} s")
    watch.look(pid, usage)
