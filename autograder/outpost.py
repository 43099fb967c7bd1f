"""What runs in a Dask worker: it keeps one judge, in a process beside it, and hands it one submission after the other.

Imports the standard library and light modules of ours only; torch is in the judge's process. The judge lives from the
first submission until its run is over or the worker ends, and is replaced when it dies or hangs.
"""

from __future__ import annotations

import json
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from autograder.assignment import AssignmentError, find_root, load
from autograder.identity import Identity, identify
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.launch import start_judge

ATTEMPTS = 2
_outposts: dict[str, Outpost] = {}
_lock = threading.Lock()


class Mismatch(Exception):
    """This machine would not grade as the one that asks, with other tests or another grader; the message says why."""


def grade(slug: str, root: str, identity: Identity, patience: float, task: str, packed: bytes) -> str:
    """The task that Dask runs.

    Args:
        slug: the assignment.
        root: where its files are on the machine that asks; they are looked for here too, else in this installation.
        identity: what the results must rest on.
        patience: seconds after which a judge is taken to hang.
        task: a `worker.Task` as JSON.
        packed: the submission's content.

    Returns:
        A `worker.Reply` as JSON; or, in words and behind "!", why two judges did not give one.

    Raises:
        Mismatch: this machine has another version of something.
    """
    with _lock:
        outpost = _outposts.get(identity.whole)
        if outpost is None:
            outpost = _outposts[identity.whole] = Outpost(slug, _checked(slug, root, identity))
    return outpost.grade(patience, task.encode(), packed)


def leave(identity: Identity) -> None:
    """Ends the judge of a run."""
    with _lock:
        outpost = _outposts.pop(identity.whole, None)
    if outpost is not None:
        outpost.leave()


class Outpost:
    """One judge for one assignment; two threads that use it wait for one another.

    Args:
        slug: the assignment.
        root: where its files are on this machine.
    """

    def __init__(self, slug: str, root: Path) -> None:
        self._arguments = {"slug": slug, "root": str(root)}
        self._busy = threading.Lock()
        self._left = False
        self._judge: tuple[Any, Connection[bytes, bytes]] | None = None

    def grade(self, patience: float, task: bytes, packed: bytes) -> str:
        """The reply, or why there is none after two attempts."""
        why = ""
        with self._busy:
            for _ in range(ATTEMPTS):
                try:
                    return self._exchange(patience, task, packed)
                except TimeoutError:
                    why = f"!the judge did not finish within {patience:.0f} s, {ATTEMPTS} times"
                except (EOFError, OSError):
                    why = f"!the judge ended, {ATTEMPTS} times"
                self._end()
                if self._left:
                    break
        return why

    def _exchange(self, patience: float, task: bytes, packed: bytes) -> str:
        connection = self._connection()
        connection.send_bytes(task)
        connection.send_bytes(packed)
        if not connection.poll(patience):
            raise TimeoutError
        reply = connection.recv_bytes().decode()
        connection.recv_bytes()  # the content, which whoever asks has
        return reply

    def _connection(self) -> Connection[bytes, bytes]:
        if self._judge is None:
            process, ours = start_judge("autograder.worker:main", self._arguments)
            self._judge = process, Connection(ours.detach())
            if problem := json.loads(self._judge[1].recv_bytes())["problem"]:
                raise SandboxError(problem)
        return self._judge[1]

    def leave(self) -> None:
        """Ends the judge, in the middle of what it does."""
        self._left = True
        if self._judge is not None:
            self._judge[0].kill()
        with self._busy:
            self._end()

    def _end(self) -> None:
        if self._judge is not None:
            process, connection = self._judge
            self._judge = None
            connection.close()
            process.kill()
            process.wait()


def _checked(slug: str, root: str, wanted: Identity) -> Path:
    """Where the assignment is on this machine, if it is the same as where the task comes from."""
    try:
        place = Path(root) if (Path(root) / "assignments" / slug).is_dir() else find_root()
        here = identify(load(slug, place))
    except AssignmentError as error:
        raise Mismatch(f"it does not have the assignment: {error}") from error
    if here.grader != wanted.grader:
        raise Mismatch(
            f"it grades with {here.grader}, but this machine with {wanted.grader}: install the same release there."
        )
    if here != wanted:
        raise Mismatch(f"its files of {slug} are not the same as here: bring both to the same commit.")
    return place
