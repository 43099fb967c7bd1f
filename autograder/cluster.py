"""Past one machine: submissions go to a Dask cluster, one a task; the store stays here.

Dask starts a task again whose worker died; each result reaches the store once, since there is one future a submission.
`outpost` is the other side.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from distributed import Client, Future, WorkerPlugin
from distributed.scheduler import KilledWorker

from autograder import batch, outpost, submission
from autograder.assignment import Assignment, load
from autograder.grading import broken, unreadable
from autograder.identity import Identity, identify
from autograder.plain import from_json, to_json
from autograder.pool import TICK, Began, Event, Finished, PoolError, Runner, Waiting, Work, default_patience
from autograder.submission import SubmissionError
from autograder.worker import Reply, Task, fingerprint_at

CONNECT_SECONDS = 20
COUNT_SECONDS = 5.0  # how often the cluster is asked how large it is: workers come and go
AHEAD = 2  # tasks a thread: one at work and one that waits there, so that no worker waits for this machine


def grade(scheduler: str, slug: str, paths: list[str], folder: str, report: bool) -> int:
    """What `autograder grade --scheduler` runs; the exit code."""
    return batch.grade_all(
        load(slug), [Path(path) for path in paths], Path(folder), remote(scheduler), report
    )


def regrade(scheduler: str, folder: str, report: bool) -> int:
    """What `autograder regrade --scheduler` runs; the exit code."""
    return batch.regrade_all(Path(folder), remote(scheduler), report)


def remote(scheduler: str) -> batch.Runners:
    """Judges on the workers of the Dask cluster whose scheduler is at this address."""

    def runners(assignment: Assignment, tasks: int) -> AbstractContextManager[Runner]:
        return Cluster(scheduler, assignment)

    return runners


class Cluster:
    """Grades submissions on a Dask cluster.

    Args:
        scheduler: its address, such as "tcp://10.0.0.1:8786".
        assignment: what was asked; the workers must have the same.

    Raises:
        PoolError: nobody answers at that address.
    """

    def __init__(self, scheduler: str, assignment: Assignment) -> None:
        self._assignment, self._identity = assignment, identify(assignment)
        self._patience = default_patience(assignment)
        try:
            self._client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise PoolError(f"No Dask scheduler answers at {scheduler}: {error}.") from error
        self._client.register_plugin(_Leaving(self._identity), name=self._name)
        self._done: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._flying: dict[Future[Any], tuple[Task, Reply]] = {}
        self._run, self._number = time.time_ns(), itertools.count()
        self._threads, self._counted = 0, 0.0

    @property
    def _name(self) -> str:
        return f"autograder-{self._identity.whole}"

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the judges on the workers; what is in flight is dropped."""
        try:
            if self._client.status == "running":
                self._client.cancel(list(self._flying), force=True)
                self._client.unregister_worker_plugin(self._name)
        finally:
            self._client.close(timeout=CONNECT_SECONDS)

    def __call__(self, work: Work) -> Iterator[Event]:
        """Grades all of it.

        Raises:
            PoolError: the scheduler is gone, or a worker has another version of the assignment or the grader.
        """
        while True:
            while len(self._flying) < AHEAD * max(1, self._size()) and (item := next(work, None)):
                yield from self._send(*item)
            if not self._flying:
                return
            try:
                future = self._done.get(timeout=TICK)
            except queue.Empty:
                yield Waiting()
                continue
            task, known = self._flying.pop(future)
            yield Finished(task, self._reply(future, task, known))

    def _size(self) -> int:
        """How many threads all workers have together, as of late."""
        if time.monotonic() - self._counted > COUNT_SECONDS:
            self._threads, self._counted = sum(self._client.nthreads().values()), time.monotonic()
        return self._threads

    def _send(self, task: Task, packed: bytes) -> Iterator[Event]:
        """Reads a submission where that was not done before, and hands it to the cluster."""
        yield Began(task)
        nothing_yet = unreadable(task.name, self._assignment.possible, "")
        known = Reply(nothing_yet)
        try:
            if not packed:
                known.fingerprint = fingerprint_at(Path(task.path))
                found = submission.read(Path(task.path), task.name, self._assignment)
                packed = known.packed = submission.pack(found)
        except SubmissionError as error:
            known.result = unreadable(task.name, self._assignment.possible, str(error))
            yield Finished(task, known)
            return
        future = self._client.submit(
            outpost.grade, self._assignment.slug, str(self._assignment.root), self._identity, self._patience,
            to_json(task), packed, key=f"autograder-{self._run}-{next(self._number)}", pure=False,
        )  # fmt: skip
        self._flying[future] = task, known
        future.add_done_callback(self._done.put)

    def _reply(self, future: Future[Any], task: Task, known: Reply) -> Reply:
        text = self._text(future)
        if text.startswith("!"):
            return Reply(broken(task.name, self._assignment.possible, RuntimeError(text[1:])))
        reply = from_json(Reply, text)
        reply.fingerprint, reply.packed = known.fingerprint, known.packed
        return reply

    def _text(self, future: Future[Any]) -> str:
        if future.status == "finished":
            return str(future.result(timeout=CONNECT_SECONDS))
        if future.status != "error":
            raise PoolError(
                "The Dask scheduler is gone. What was graded is kept: give the same command again."
            )
        error = future.exception(timeout=CONNECT_SECONDS)
        if isinstance(error, KilledWorker):
            return f"!{error}"
        text = str(error) if isinstance(error, outpost.Mismatch) else repr(error)
        raise PoolError(f"A worker of the Dask cluster cannot grade: {text}")


class _Leaving(WorkerPlugin):
    """Ends a run's judge on each worker when the run is over."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def teardown(self, worker: Any) -> None:
        outpost.leave(self._identity)
