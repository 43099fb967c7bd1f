"""Several judges on this machine, each with a fork server of its own.

A judge that dies or hangs costs one attempt at one task: a fresh one tries again, once. `Workers` knows nothing of
what a task is; `Pool` hands out submissions. What that tells its caller is the same, event by event, as what `cluster`
tells about other machines.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, Generic, TypeVar

from autograder.assignment import Assignment
from autograder.grading import broken
from autograder.plain import from_json
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.judges import JudgeProcess, Judges
from autograder.sandbox.launch import Parent
from autograder.worker import Ready, Reply, Task, ask, receive, serve

TICK = 0.2  # seconds after which a caller hears that nothing happened, to show the time and to notice Ctrl-C
ATTEMPTS = 2
# A submission may use `total_seconds`; what the judge itself adds (tests, replays of known mistakes) was at most 5 s
# for attention, on a third of a core. A false alarm costs a submission, a hang that is noticed late only time.
ORDERLY_SECONDS = 5.0  # a judge without work ends in 20 ms; then its folder is gone as well
PATIENCE_FACTOR, PATIENCE_SECONDS = 1.5, 300.0


T = TypeVar("T")  # what is handed out
R = TypeVar("R")  # what comes back
W = TypeVar("W", bound="Workers[Any, Any]")


@dataclass(frozen=True)
class Began(Generic[T]):
    """A task is being worked on now."""

    task: T


@dataclass(frozen=True)
class Finished(Generic[T, R]):
    """A task is done, or was given up."""

    task: T
    reply: R


@dataclass(frozen=True)
class Waiting:
    """Nothing happened for a moment."""


Event = Began[Task] | Finished[Task, Reply] | Waiting
Work = Iterator[tuple[Task, bytes]]  # tasks, each with its content where that does not lie at the task's path
Runner = Callable[[Work], Iterator[Event]]


class PoolError(Exception):
    """No judge can be started, so nothing can be graded; the message says why."""


def default_patience(assignment: Assignment) -> float:
    """Seconds after which a judge is taken to hang in one submission."""
    seconds = assignment.limits.total_seconds + assignment.limits.training_seconds
    return PATIENCE_FACTOR * seconds + PATIENCE_SECONDS


@dataclass(eq=False)
class _Worker(Generic[T]):
    """A judge and what it is doing."""

    process: JudgeProcess
    ready: bool = False
    task: T | None = None
    packed: bytes = field(default=b"", repr=False)
    attempt: int = 0
    began: float = 0.0


class Workers(ABC, Generic[T, R]):
    """Hands out tasks to up to `jobs` judges side by side.

    Args:
        judges: starts them.
        jobs: how many, at most.
        patience: seconds after which a judge is taken to hang.
    """

    def __init__(self, judges: Judges, jobs: int, patience: float) -> None:
        self._judges, self._jobs, self._patience = judges, jobs, patience
        self._workers: list[_Worker[T]] = []
        self._again: list[tuple[T, bytes, int]] = []

    @abstractmethod
    def _serve(self, connection: Any, zygote: Parent) -> None:
        """What a judge does; it says `Ready` first, and answers each task once."""

    @abstractmethod
    def _ask(self, connection: Any, task: T, packed: bytes) -> None:
        """Hands one task to the judge at the other end."""

    @abstractmethod
    def _receive(self, connection: Any) -> R:
        """One answer of the judge at the other end."""

    @abstractmethod
    def _given_up(self, task: T, why: str) -> R:
        """What stands for an answer when there is none."""

    def __enter__(self: W) -> W:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all judges: those at work in the middle of it, the others in order."""
        for worker in self._workers:
            self._judges.end(worker.process, 0.0 if worker.task else ORDERLY_SECONDS)
        self._workers.clear()

    def __call__(self, work: Iterator[tuple[T, bytes]]) -> Iterator[Began[T] | Finished[T, R] | Waiting]:
        """Does all of it; the next task is begun before a finished one is told.

        Raises:
            PoolError: judges can't be started.
        """
        while True:
            yield from self._occupy(work)
            busy = [worker for worker in self._workers if worker.task is not None]
            if not busy:
                break
            told = False
            for worker in self._heard(busy):
                for event in self._hear(worker, work):
                    told = True
                    yield event
            if not told:
                yield Waiting()

    def _occupy(self, work: Iterator[tuple[T, bytes]]) -> Iterator[Began[T]]:
        """Gives work to whoever has none, starting judges while there is more."""
        idle = [worker for worker in self._workers if worker.task is None]
        while (idle or len(self._workers) < self._jobs) and (item := self._next(work)):
            worker = idle.pop() if idle else self._start()
            yield from self._give(worker, *item)

    def _next(self, work: Iterator[tuple[T, bytes]]) -> tuple[T, bytes, int] | None:
        if self._again:
            return self._again.pop()
        item = next(work, None)
        return (*item, 1) if item else None

    def _start(self) -> _Worker[T]:
        try:
            process = self._judges.start(self._serve)
        except SandboxError as error:
            raise PoolError(str(error)) from error
        self._workers.append(_Worker(process))
        return self._workers[-1]

    def _give(self, worker: _Worker[T], task: T, packed: bytes, attempt: int) -> Iterator[Began[T]]:
        worker.task, worker.packed, worker.attempt, worker.began = task, packed, attempt, time.monotonic()
        try:
            self._ask(worker.process.connection, task, packed)
        except OSError:  # it is dead: reading from it will tell
            pass
        yield Began(task)

    def _heard(self, busy: list[_Worker[T]]) -> list[_Worker[T]]:
        """Those that have something to say, or have been silent for too long."""
        by_connection: dict[Any, _Worker[T]] = {worker.process.connection: worker for worker in busy}
        spoke = [by_connection[connection] for connection in wait(list(by_connection), TICK)]
        late = time.monotonic() - self._patience
        return [worker for worker in busy if worker in spoke or worker.began < late]

    def _hear(
        self, worker: _Worker[T], work: Iterator[tuple[T, bytes]]
    ) -> Iterator[Began[T] | Finished[T, R]]:
        try:
            if not worker.process.connection.poll():
                yield from self._lost(worker, f"did not finish within {self._patience:.0f} s")
            elif not worker.ready:
                self._greet(worker)
            else:
                yield from self._finish(worker, work)
        except (EOFError, OSError):
            yield from self._lost(worker, "")

    def _greet(self, worker: _Worker[T]) -> None:
        greeting = from_json(Ready, worker.process.connection.recv_bytes().decode())
        if greeting.problem:
            raise PoolError(greeting.problem)
        worker.ready = True

    def _finish(
        self, worker: _Worker[T], work: Iterator[tuple[T, bytes]]
    ) -> Iterator[Began[T] | Finished[T, R]]:
        reply, task = self._receive(worker.process.connection), worker.task
        assert task is not None  # only busy ones are listened to
        worker.task = None
        if item := self._next(work):
            yield from self._give(worker, *item)
        yield Finished(task, reply)

    def _lost(self, worker: _Worker[T], why: str) -> Iterator[Finished[T, R]]:
        """Ends a judge that is dead or hangs; its task gets another attempt, or is given up."""
        self._workers.remove(worker)
        # One that has closed its end is ending by itself, and then its exit status says how.
        status = self._judges.end(worker.process, 0.0 if why else ORDERLY_SECONDS)
        why = why or _how(status)
        if not worker.ready:
            raise PoolError(
                f"A judge {why} before it could begin; `autograder doctor` shows what is missing."
            )
        task = worker.task
        assert task is not None
        if worker.attempt < ATTEMPTS:
            self._again.append((task, worker.packed, worker.attempt + 1))
            return
        yield Finished(task, self._given_up(task, f"the judge {why}, {ATTEMPTS} times"))


class Pool(Workers[Task, Reply]):
    """Grades submissions with up to `jobs` judges side by side.

    Args:
        judges: starts them.
        assignment: what was asked.
        jobs: how many, at most.
        patience: seconds after which a judge is taken to hang; by default what follows from the assignment's limits.
    """

    def __init__(
        self, judges: Judges, assignment: Assignment, jobs: int, patience: float | None = None
    ) -> None:
        super().__init__(judges, jobs, patience or default_patience(assignment))
        self._assignment = assignment

    def _serve(self, connection: Any, zygote: Parent) -> None:
        serve(connection, self._assignment, zygote)

    def _ask(self, connection: Any, task: Task, packed: bytes) -> None:
        ask(connection, task, packed)

    def _receive(self, connection: Any) -> Reply:
        return receive(connection)

    def _given_up(self, task: Task, why: str) -> Reply:
        return Reply(broken(task.name, self._assignment.possible, RuntimeError(why)))


def _how(status: int) -> str:
    if status == 0:
        return "lost its fork server"
    if status > 0:
        return f"ended with exit code {status}"
    return f"was killed by {signal.Signals(-status).name}"
