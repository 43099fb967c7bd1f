"""The fork server: a warm, clean, single-threaded process; each submission is a fork of it.

Clean means that it never loads a suite, a reference, a submission or a secret, for a child can read all of its own
memory. It starts with an environment made for it, imports torch, tells the judge that it is ready, and imports the
rest (matplotlib, IPython) while it has nothing else to do, so that a single submission need not wait for them.

Requests on the control socket are lines of JSON, one at a time: `spawn` (with two descriptors: the child's socket and
its output), `end` (kill and reap one child), `warm` (import something in idle time).
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import types
from typing import Any

from autograder.sandbox import layers, linux

THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
MAX_REQUEST = 1 << 16


def main(control: socket.socket) -> None:
    """Serves requests until the judge is gone."""
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the judge, which then ends this process in order
    _harden()
    reasons = layers.probe()
    import torch

    torch.set_num_threads(1)
    import autograder.sandbox.child  # noqa: F401  so that no child needs to read our files

    _install_otter_stand_in()
    _settle()
    control.sendall(json.dumps({"layers": reasons, "pid": os.getpid()}).encode() + b"\n")
    Zygote(control).run()


def _harden() -> None:
    try:
        linux.forbid_inspection()
        linux.die_with_parent()
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    except OSError:  # not Linux: the layers' probe says so to everybody
        pass


def _settle() -> None:
    """Shares what was imported with all children: 54 MB of copies a child become 1.4 (SANDBOX.md, section 1)."""
    gc.collect()
    gc.freeze()


def _install_otter_stand_in() -> None:
    """`import otter` and `grader.check` in a submission do nothing here: the judge has the tests, and saves 0.7 s."""

    class Notebook:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    otter = types.ModuleType("otter")
    otter.Notebook = Notebook  # type: ignore[attr-defined]
    sys.modules["otter"] = otter


class Zygote:
    """The loop of the fork server.

    Args:
        control: the socket to the judge.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._idle_imports: list[str] = []
        self._children: set[int] = set()

    def run(self) -> None:
        """Answers requests; imports in between; ends all children when the judge is gone."""
        while True:
            ready, _, _ = select.select([self._control], [], [], 0 if self._idle_imports else None)
            if not ready:
                self._import_next()
                continue
            request, descriptors = self._receive()
            if request is None:
                break
            self._answer(request, descriptors)
        for pid in list(self._children):
            self._end(pid)

    def _import_next(self) -> None:
        try:
            importlib.import_module(self._idle_imports.pop(0))
        except ImportError:
            pass  # a student who needs it gets the same error, at the right line
        _settle()

    def _receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        data, ancillary, _, _ = self._control.recvmsg(MAX_REQUEST, socket.CMSG_SPACE(2 * array.array("i").itemsize))
        descriptors = array.array("i")
        for _, kind, block in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(block[: len(block) - len(block) % descriptors.itemsize])
        while data and not data.endswith(b"\n"):
            data += self._control.recv(MAX_REQUEST)
        return (json.loads(data) if data else None), list(descriptors)

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> None:
        if request["op"] == "warm":
            self._idle_imports += request["modules"]
            return
        answer = self._spawn(request, *descriptors) if request["op"] == "spawn" else self._end(request["pid"])
        self._control.sendall(json.dumps(answer).encode() + b"\n")

    def _spawn(self, job: dict[str, Any], connection: int, output: int) -> dict[str, Any]:
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(job, connection, output, zygote)
        os.close(connection)
        os.close(output)
        self._children.add(pid)
        return {"pid": pid}

    def _end(self, pid: int) -> dict[str, Any]:
        """Kills a child and whatever it may have left behind, and tells how it ended and what it used."""
        if pid not in self._children:
            return {"status": None}
        self._children.discard(pid)
        for kill in (os.kill, os.killpg):
            try:
                kill(pid, signal.SIGKILL)  # not reaped yet, so the number can't belong to anybody else
            except (ProcessLookupError, PermissionError):
                pass
        _, status, usage = os.wait4(pid, 0)
        self._reap_adopted()
        return {
            "status": os.waitstatus_to_exitcode(status),
            "cpu": usage.ru_utime + usage.ru_stime,
            "peak_kb": usage.ru_maxrss,
        }

    def _reap_adopted(self) -> None:
        """Daemons that escaped their session are handed to this process (a subreaper) and end here."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as listing:
                strangers = [int(pid) for pid in listing.read().split() if int(pid) not in self._children]
        except OSError:
            return
        for pid in strangers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _be_child(job: dict[str, Any], connection: int, output: int, zygote: int) -> None:
    from autograder.sandbox import child

    try:
        child.live(job, connection, output, zygote)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode()[:500])
        os._exit(1)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
