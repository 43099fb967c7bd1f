"""Judges side by side: one that dies or hangs costs an attempt at one submission, and nothing else."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from autograder import pool
from autograder.assignment import load
from autograder.grading import Result
from autograder.plain import from_json, to_json
from autograder.pool import Began, Finished, Pool, PoolError
from autograder.sandbox.judges import Judges
from autograder.sandbox.launch import launch
from autograder.worker import Ready, Reply, Task, send

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")


def obedient(connection, assignment, zygote):
    """A judge that does what the path of its task says; the name of a file there is left behind when it did."""
    connection.send_bytes(to_json(Ready()).encode())
    while True:
        task = from_json(Task, connection.recv_bytes().decode())
        packed = connection.recv_bytes()
        deed, _, mark = task.path.partition(":")
        if mark and not os.path.exists(mark):
            Path(mark).touch()
            deed = {"die once": "die", "hang once": "hang"}[deed]
        if deed == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "hang":
            time.sleep(60)
        if deed == "leave":
            return
        send(connection, Reply(Result(task.name, detail=str(os.getpid())), packed=packed))


@pytest.fixture(scope="module")
def judges():
    """Starts judges beside this process."""
    zygote = launch()
    yield Judges(zygote.control)
    zygote.stop()


@pytest.fixture
def run(judges, monkeypatch):
    """Runs tasks, given as name and path, with the judge above; the replies by name, and all events."""

    def run(*tasks, jobs=2, patience=30.0, serve=obedient):
        monkeypatch.setattr(pool, "serve", serve)
        work = iter([(Task(name, path), name.encode()) for name, path in tasks])
        with Pool(judges, SAMPLE, jobs, patience) as runner:
            events = list(runner(work))
        replies = {event.task.name: event.reply for event in events if isinstance(event, Finished)}
        return replies, events

    return run


def test_all_are_graded(run):
    """Each once, by as many judges as there are jobs, with what belongs to it."""
    replies, events = run(*((f"{number}.py", "") for number in range(20)), jobs=3)
    assert sorted(replies) == sorted(f"{number}.py" for number in range(20))
    assert all(reply.packed == name.encode() for name, reply in replies.items())
    assert len([event for event in events if isinstance(event, Finished)]) == 20
    assert 1 < len({reply.result.detail for reply in replies.values()}) <= 3


def test_work_is_handed_out_before_results_are_stored(run):
    """A judge never waits for the store: the next submission begins before the finished one is told."""
    _, events = run(("a.py", ""), ("b.py", ""), jobs=1)
    kinds = [(type(event), event.task.name) for event in events if not isinstance(event, pool.Waiting)]
    assert kinds == [(Began, "a.py"), (Began, "b.py"), (Finished, "a.py"), (Finished, "b.py")]


@pytest.mark.parametrize("deed", ["die once", "hang once"])
def test_a_second_attempt(run, tmp_path, deed):
    """A judge that died or hung is replaced, and the submission is graded by the other one."""
    replies, _ = run(("ada.py", f"{deed}:{tmp_path / 'mark'}"), ("bob.py", ""), patience=1.0)
    assert {name: reply.result.status for name, reply in replies.items()} == {
        "ada.py": "graded",
        "bob.py": "graded",
    }
    assert replies["ada.py"].packed == b"ada.py"


@pytest.mark.parametrize(
    ("deed", "why"),
    [
        ("die", "the judge was killed by SIGKILL, 2 times"),
        ("hang", "the judge did not finish within 1 s, 2 times"),
        ("leave", "the judge lost its fork server, 2 times"),
    ],
)
def test_two_attempts_and_no_more(run, deed, why):
    """The submission gets an error for a result, staff read why, and all others are graded."""
    replies, _ = run(("ada.py", ""), ("eve.py", deed), ("zoe.py", ""), patience=1.0)
    assert {name: reply.result.status for name, reply in replies.items()} == {
        "ada.py": "graded", "eve.py": "error", "zoe.py": "graded",
    }  # fmt: skip
    assert why in replies["eve.py"].result.detail


def test_a_judge_that_cannot_begin(run):
    """Its own words end the run: no submission is blamed."""

    def problem(connection, assignment, zygote):
        connection.send_bytes(to_json(Ready("q1.py gives 3 points")).encode())

    with pytest.raises(PoolError, match=r"q1\.py gives 3 points"):
        run(("ada.py", ""), serve=problem)


def test_a_judge_that_dies_at_once(run):
    """That is no submission's fault either, and not tried five hundred times."""
    with pytest.raises(PoolError, match="A judge ended with exit code 7 before it could begin"):
        run(("ada.py", ""), serve=lambda *_: os._exit(7))


def test_nothing_is_left(judges, monkeypatch):
    """A run that is given up in the middle leaves no judge behind."""
    monkeypatch.setattr(pool, "serve", obedient)
    with Pool(judges, SAMPLE, 2) as runner:
        events = runner(iter([(Task("a.py", "hang"), b""), (Task("b.py", "hang"), b"")]))
        next(events), next(events)
        pids = [worker.process.pid for worker in runner._workers]
        assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_fork_server_dies(judges, tmp_path):
    """A real judge whose fork server is gone does not blame the submission: it is graded by another one."""
    path = tmp_path / "mini.py"
    path.write_text(
        "import time\ntime.sleep(2)\n" + SAMPLE.reference.read_text(encoding="utf-8"), encoding="utf-8"
    )
    with Pool(judges, SAMPLE, 1) as runner:
        events = runner(iter([(Task("ada.py", str(path)), b"")]))
        next(events)
        (worker,) = runner._workers
        while not worker.ready:
            next(events)
        time.sleep(0.5)
        os.kill(worker.process.server, signal.SIGKILL)
        (finished,) = [event for event in events if isinstance(event, Finished)]
    assert (finished.reply.result.status, finished.reply.result.score) == ("graded", 8)
    assert finished.reply.packed
