"""Past one machine: a real Dask scheduler and real workers, as processes of their own on this machine."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed")

from autograder import outpost
from autograder.assignment import load
from autograder.identity import identify
from tests.stores import comparable
from tests.test_cli import RIGHT, SAMPLE, descendants, running, wait_for

pytestmark = pytest.mark.slow
QUIET = {**os.environ, "DASK_LOGGING__DISTRIBUTED": "warning"}


class Dask:
    """A scheduler, and workers that come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / "scheduler.json"
        self._stack = contextlib.ExitStack()
        self._start(
            "dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self._file)
        )
        wait_for(self._file.exists, "the scheduler's start")

    @property
    def address(self):
        """Where the scheduler listens."""
        return json.loads(self._file.read_text(encoding="utf-8"))["address"]

    def worker(self, cwd=SAMPLE):
        """Starts a worker without a nanny, so that its process is known."""
        options = ["--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder)]
        return self._start("dask_worker", self.address, *options, cwd=cwd)

    def _start(self, command, *options, cwd=SAMPLE):
        log = self._stack.enter_context((self.folder / f"{command}.log").open("a", encoding="utf-8"))
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{command}", *options, "--no-dashboard"],
            cwd=cwd, stdout=log, stderr=log, env=QUIET, start_new_session=True,
        )  # fmt: skip
        self._stack.callback(_end, process)
        return process

    def close(self):
        """Ends all of it."""
        self._stack.close()


def _end(process):
    process.kill()
    process.wait()


@pytest.fixture
def dask(tmp_path):
    """A scheduler without workers."""
    (tmp_path / "dask").mkdir()
    cluster = Dask(tmp_path / "dask")
    yield cluster
    cluster.close()


@pytest.fixture
def folder(tmp_path):
    """A class of six: right, wrong, and one that cannot be read."""
    (tmp_path / "class").mkdir()
    for number in range(5):
        text = RIGHT if number % 3 else "def softmax(x):\n    return x\n"
        (tmp_path / "class" / f"{number}.py").write_text(f"{text}\n# {number}\n", encoding="utf-8")
    (tmp_path / "class" / "eve.docx").write_bytes(b"PK\x03\x04")
    return tmp_path / "class"


def start(folder, output, *options, cwd=SAMPLE):
    """The command, started."""
    command = [sys.executable, "-m", "autograder", "grade", "mini", str(folder), "-o", str(output), *options]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def grade(folder, output, *options, cwd=SAMPLE):
    """The command, run: exit code and what it said."""
    process = start(folder, output, *options, cwd=cwd)
    stdout, stderr = process.communicate(timeout=180)
    return process.returncode, stdout, stderr


def stored(output):
    """How many submissions the table has so far."""
    try:
        with open(output / "grades.csv", newline="", encoding="utf-8") as table:
            return len(list(csv.DictReader(table)))
    except OSError:
        return 0


def test_two_workers(dask, folder, tmp_path):
    """The same store as on this machine; the judges are gone when the run is over, the workers are not."""
    workers = [dask.worker(), dask.worker()]
    code, stdout, stderr = grade(folder, tmp_path / "far", "--scheduler", dask.address)
    assert code == 1, stderr
    assert "Could not be graded: eve.docx" in stderr
    grade(folder, tmp_path / "near")
    assert comparable(tmp_path / "far") == comparable(tmp_path / "near")
    assert "eve.docx" in stdout
    wait_for(lambda: not any(descendants(worker.pid) for worker in workers), "the end of the judges")
    assert all(running(worker.pid) for worker in workers)
    code, _, stderr = grade(folder, tmp_path / "far", "--scheduler", dask.address)
    assert "5 of 6 were graded before and have not changed." in stderr


def test_a_worker_is_killed(dask, folder, tmp_path):
    """In the middle of a submission: the other one does its work, and everything is in the store once."""
    slow = "import time\ntime.sleep(0.5)\n" + RIGHT
    for number in range(5):
        (folder / f"{number}.py").write_text(f"{slow}\n# {number}\n", encoding="utf-8")
    victim = dask.worker()
    process = start(folder, tmp_path / "out", "--scheduler", dask.address)
    wait_for(lambda: stored(tmp_path / "out") >= 1, "the first result")
    dask.worker()
    wait_for(lambda: len(descendants(victim.pid)) >= 3, "a submission's process below the worker")
    judges = descendants(victim.pid)
    victim.send_signal(signal.SIGKILL)
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 1, stderr  # eve.docx
    wait_for(lambda: not any(map(running, judges)), "the end of the judges of the killed worker")
    grade(folder, tmp_path / "near")
    assert comparable(tmp_path / "out") == comparable(tmp_path / "near")
    lines = [line for line in stderr.splitlines() if "(graded)" in line]
    assert len(lines) == 5


def test_another_version_there(tmp_path):
    """A worker with other tests refuses, and says what to do."""
    shutil.copytree(SAMPLE, tmp_path / "course")
    test = tmp_path / "course" / "assignments" / "mini" / "tests" / "q1.py"
    test.write_text(test.read_text(encoding="utf-8") + "\n\nMORE = True\n", encoding="utf-8")
    identity = identify(load("mini", tmp_path / "course"))
    with pytest.raises(
        outpost.Mismatch, match="its files of mini are not the same as here: bring both to the same"
    ):
        outpost._checked("mini", str(SAMPLE), identity)


def test_another_grader_there():
    """The same tests, but other judging code."""
    identity = identify(load("mini", SAMPLE))
    object.__setattr__(identity, "grader", "0.0.1 (other)")
    with pytest.raises(
        outpost.Mismatch, match=r"but this machine with 0\.0\.1 \(other\): install the same release"
    ):
        outpost._checked("mini", str(SAMPLE), identity)


def test_nobody_there(folder, tmp_path, monkeypatch):
    """No scheduler at that address: exit code 2, in words."""
    monkeypatch.setenv("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT", "1s")
    code, _, stderr = grade(folder, tmp_path / "out", "--scheduler", "tcp://127.0.0.1:9")
    assert code == 2
    assert "No Dask scheduler answers at tcp://127.0.0.1:9" in stderr
    assert "Traceback" not in stderr


def test_the_scheduler_goes_away(dask, folder, tmp_path):
    """What was graded is kept, and the message says what to do."""
    for number in range(5):
        (folder / f"{number}.py").write_text(
            f"import time\ntime.sleep(0.5)\n{RIGHT}\n# {number}\n", encoding="utf-8"
        )
    dask.worker()
    process = start(folder, tmp_path / "out", "--scheduler", dask.address)
    wait_for(lambda: stored(tmp_path / "out") >= 1, "the first result")
    dask.close()
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 2, stderr
    assert "The Dask scheduler is gone. What was graded is kept" in stderr
    assert comparable(tmp_path / "out")["submissions"]


def test_interrupted(dask, folder, tmp_path):
    """Ctrl-C: as on one machine; the judges on the workers end too."""
    (folder / "0.py").write_text("while True: pass", encoding="utf-8")
    worker = dask.worker()
    process = start(folder, tmp_path / "out", "--scheduler", dask.address)
    wait_for(lambda: len(descendants(worker.pid)) >= 3, "a submission's process below the worker")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1, stderr
    assert "their results are kept." in stderr
    wait_for(lambda: not descendants(worker.pid), "the end of the judges")


def test_a_judge_on_a_worker_dies(tmp_path):
    """It is replaced, and after two of them the submission is an error and not the worker's end."""
    post = outpost.Outpost("mini", SAMPLE)
    try:
        first = post._connection()
        post._judge[0].kill()
        post._judge[0].wait()
        time.sleep(0.2)  # its judge ends with it
        assert '"status":"failed"' in post.grade(60, b'{"name":"a.py","path":"/nothing.py"}', b"")
        assert post._connection() is not first
        endless = tmp_path / "a.py"
        endless.write_text("while True:\n    pass\n", encoding="utf-8")
        task = json.dumps({"name": "a.py", "path": str(endless)}).encode()
        assert post.grade(0.0, task, b"") == "!the judge did not finish within 0 s, 2 times"
    finally:
        post.leave()
