"""One judge that serves: it is handed submissions through a connection, one at a time, and answers with results.

Both ends are trusted; what crosses is plain data all the same, so that a judge may as well be on another machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from autograder import submission
from autograder.assignment import Assignment, AssignmentError
from autograder.grading import Judge, Result, broken, unreadable
from autograder.plain import from_json, to_json
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.host import Sandbox
from autograder.sandbox.launch import Zygote
from autograder.submission import Submission, SubmissionError


@dataclass(frozen=True)
class Task:
    """One submission that is to be graded.

    Attributes:
        path: where it lies; "" when its content comes along.
        questions: those that are to be run; None: all.
        beside: whether the leaderboard's numbers and the figures are wanted as well.
    """

    name: str
    path: str = ""
    questions: list[str] | None = None
    beside: bool = True


@dataclass
class Reply:
    """One submission, graded.

    Attributes:
        fingerprint: of the file or folder at the task's path; "" if the content came along, or could not be read.
        digest: of the submission's content; "" if it could not be read.
        packed: the content, where it came from a path.
    """

    result: Result
    fingerprint: str = ""
    digest: str = ""
    packed: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Ready:
    """What a judge says first: `problem` is why it can't grade, or ""."""

    problem: str = ""


def serve(connection: Any, assignment: Assignment, zygote: Zygote) -> None:
    """Grades what comes until the other end is closed."""
    torch.set_num_threads(
        1
    )  # the judge's own arithmetic is small; the other cores belong to children and other judges
    try:
        with Sandbox(zygote) as sandbox:
            judge = Judge(assignment, sandbox)
            connection.send_bytes(to_json(Ready()).encode())
            while True:
                task = from_json(Task, connection.recv_bytes().decode())
                reply = grade_one(judge, assignment, task, connection.recv_bytes())
                if reply.result.status == "error" and not sandbox.answers():
                    return  # unanswered: whoever asked tries again with another judge
                send(connection, reply)
    except (AssignmentError, SandboxError) as error:
        connection.send_bytes(to_json(Ready(str(error))).encode())


def main(control: Any, slug: str, root: str, descriptor: int) -> int:
    """What a judge runs that was started with `launch.start_judge`."""
    from autograder.assignment import load
    from autograder.sandbox.launch import Parent

    try:
        serve(Connection(descriptor), load(slug, Path(root)), Parent(control))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # whoever asked is gone
    return 0


def ask(connection: Any, task: Task, packed: bytes = b"") -> None:
    """Hands one submission to the judge at the other end."""
    connection.send_bytes(to_json(task).encode())
    connection.send_bytes(packed)


def send(connection: Any, reply: Reply) -> None:
    """Answers; the content crosses as it is, without a detour through text."""
    packed, reply.packed = reply.packed, b""
    connection.send_bytes(to_json(reply).encode())
    connection.send_bytes(packed)


def receive(connection: Any) -> Reply:
    """One answer of the judge at the other end.

    Raises:
        EOFError, OSError: it ended.
    """
    reply = from_json(Reply, connection.recv_bytes().decode())
    reply.packed = connection.recv_bytes()
    return reply


def fingerprint_at(path: Path) -> str:
    """Of what lies there; "", which is nothing's, where that cannot be read: reading it says why."""
    try:
        return submission.fingerprint(path)
    except OSError:
        return ""


def grade_one(judge: Judge, assignment: Assignment, task: Task, packed: bytes) -> Reply:
    """Grades one submission; whatever it does, there is a result."""
    possible = assignment.possible
    found: Submission | None = None
    fingerprint = ""
    try:
        if not packed:
            fingerprint = fingerprint_at(Path(task.path))
        found = (
            submission.unpack(packed, task.name)
            if packed
            else submission.read(Path(task.path), task.name, assignment)
        )
        result = judge.grade(found, questions=task.questions, beside=task.beside)
    except SubmissionError as error:
        result = unreadable(task.name, possible, str(error))
    except Exception as error:  # whatever happens with one submission, the others are graded
        result = broken(task.name, possible, error)
    digest = found.digest if found is not None else ""
    kept = submission.pack(found) if found is not None and not packed else b""
    return Reply(result, fingerprint, digest, kept)
