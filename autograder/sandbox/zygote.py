"""The fork server: a warm, clean, single-threaded process; each submission is a fork of it.

Clean means that it never loads a suite, a reference, a submission or a secret, for a child can read all of its own
memory. It starts with an environment made for it and imports torch; the judge is in another process, either the one
that started it or, to save that one an import of torch (1.5 s), a first fork of this one.

Requests on the control socket are lines of JSON, one at a time: `spawn` (with two descriptors: the child's socket and
its output), `fork` (with one: the control socket of one more fork server, a fork of this one and as clean) and `end`
(kill and reap one child or fork server).
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any

from autograder.sandbox import layers, linux

MAX_REQUEST = 1 << 16
Live = Callable[[dict[str, Any], int, int, int], None]


def main() -> None:
    """Serves the judge that holds the other end of a socket, or forks the judge that a request describes."""
    gc.disable()
    sys.dont_write_bytecode = True
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the judge, which then ends this process in order
    _harden()
    reasons = layers.probe()
    import torch

    torch.set_num_threads(1)
    from autograder.sandbox import child, operators  # now, so that no child needs to read our files

    operators.warm()
    _settle()
    kind, descriptors = sys.argv[1], [int(number) for number in sys.argv[2:]]
    if kind == "judge":
        sys.exit(_serve_own_judge(descriptors, reasons, child.live))
    _serve(socket.socket(fileno=descriptors[0]), reasons, child.live)


def _serve(control: socket.socket, reasons: dict[str, str], live: Live, judge: int | None = None) -> None:
    control.sendall(json.dumps({"layers": reasons, "pid": os.getpid()}).encode() + b"\n")
    Zygote(control, reasons, live, judge).run()


def _serve_own_judge(descriptors: list[int], reasons: dict[str, str], live: Live) -> int:
    """Forks the judge and serves it; its exit code. The first descriptor is its request, the others are its own."""
    control, theirs = socket.socketpair()
    judge = os.fork()
    if judge == 0:
        control.close()
        _be_judge(theirs, descriptors[0])
    theirs.close()
    for descriptor in descriptors:
        os.close(descriptor)  # unread: the judge's arguments and environment never enter this process
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: os.kill(judge, received))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        _serve(control, reasons, live, judge)
    except (
        BrokenPipeError,
        ConnectionResetError,
    ):  # the judge ended before it asked for anything, or was killed
        pass
    code = os.waitstatus_to_exitcode(os.waitpid(judge, 0)[1])
    return code if code >= 0 else 128 - code  # as a shell says it: a judge that was killed has not graded all


def _be_judge(control: socket.socket, request: int) -> None:
    """The life of a judge that is a fork: takes over what the starting process was asked to do."""
    code = 1
    try:
        os.setpgid(0, 0)  # a Ctrl-C in the terminal reaches the zygote, which passes it on: once, not twice
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # an orderly end, as for Ctrl-C
        if sys.platform.startswith("linux"):
            linux.die_with_parent()
        sys.dont_write_bytecode = False
        with os.fdopen(request, "rb") as pipe:
            task = json.loads(pipe.read())
        os.environ.update(task["environment"])
        tempfile.tempdir = None  # the zygote may have looked up one without knowing TMPDIR
        os.chdir(task["folder"])
        module, name = task["entry"].split(":")
        code = getattr(importlib.import_module(module), name)(control, **task["arguments"])
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _harden() -> None:
    try:
        linux.forbid_inspection()
        linux.die_with_parent()
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
    except OSError:  # not Linux: the layers' probe says so to everybody
        pass


def _import(modules: list[str]) -> None:
    """Imports once, for all children to come, what a submission is going to import."""
    missing = [name for name in modules if name not in sys.modules]
    gc.disable()
    for name in missing:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # a student who needs it gets the same error, at the right line
    _settle()


def _settle() -> None:
    """Shares what was imported with all children: 54 MB of copies a child become 1.4 (SANDBOX.md, section 1).

    The collector is off while torch is imported, for it finds nothing there and takes 0.25 s of 1.1 s.
    """
    gc.freeze()
    gc.enable()


class Zygote:
    """The loop of the fork server.

    Args:
        control: the socket to the judge.
        reasons: what `layers.probe` found.
        live: what a child does; it does not return.
        judge: the judge's process, where that is a child of this one.
    """

    def __init__(
        self, control: socket.socket, reasons: dict[str, str], live: Live, judge: int | None = None
    ) -> None:
        self._control = control
        self._reasons = reasons
        self._live = live
        self._judge = judge
        self._children: set[int] = set()

    def run(self) -> None:
        """Answers requests; ends all children when the judge is gone."""
        while True:
            request, descriptors = self._receive()
            if request is None:
                break
            self._control.sendall(json.dumps(self._answer(request, descriptors)).encode() + b"\n")
        for pid in list(self._children):
            self._end(pid)

    def _answer(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        if request["op"] == "spawn":
            return self._spawn(request, *descriptors)
        if request["op"] == "fork":
            return self._fork(*descriptors)
        return self._end(request["pid"])

    def _receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        data, ancillary, _, _ = self._control.recvmsg(
            MAX_REQUEST, socket.CMSG_SPACE(2 * array.array("i").itemsize)
        )
        descriptors = array.array("i")
        for _, kind, block in ancillary:
            if kind == socket.SCM_RIGHTS:
                descriptors.frombytes(block[: len(block) - len(block) % descriptors.itemsize])
        while data and not data.endswith(b"\n"):
            more = self._control.recv(MAX_REQUEST)
            data = data + more if more else b""  # the judge was killed in the middle of a request
        return (json.loads(data) if data else None), list(descriptors)

    def _spawn(self, job: dict[str, Any], connection: int, output: int) -> dict[str, Any]:
        _import(job["modules"])
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_child(self._live, job, connection, output, zygote)
        os.close(connection)
        os.close(output)
        self._children.add(pid)
        return {"pid": pid}

    def _fork(self, control: int) -> dict[str, Any]:
        """Starts a fork server for one more judge, at the price of a fork instead of an import of torch."""
        pid = os.fork()
        if pid == 0:
            self._control.close()
            _be_server(socket.socket(fileno=control), self._reasons, self._live)
        os.close(control)
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
                known = {self._judge, *self._children}
                strangers = [int(pid) for pid in listing.read().split() if int(pid) not in known]
        except OSError:
            return
        for pid in strangers:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _be_server(control: socket.socket, reasons: dict[str, str], live: Live) -> None:
    """The life of a fork server that is a fork; it ends with its judge or with the one that it came from."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _harden()
        _serve(control, reasons, live)
        code = 0
    except OSError:  # the judge was killed before it asked for anything
        pass
    finally:
        os._exit(code)


def _be_child(live: Live, job: dict[str, Any], connection: int, output: int, zygote: int) -> None:
    try:
        live(job, connection, output, zygote)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode()[:500])
        os._exit(1)
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
