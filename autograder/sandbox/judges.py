"""Starts judges beside this process: each is a fork of it, with a fork server of its own.

This process and the clean one that it came from stay as they are: a judge that dies, or is ended because it hangs,
takes its own fork server and the submission in that with it, and nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from autograder.sandbox import linux
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.host import START_SECONDS
from autograder.sandbox.launch import Parent, answer

POLL_SECONDS = 0.002

Serve = Callable[[Any, Parent], None]


@dataclass(frozen=True)
class JudgeProcess:
    """A judge that was started: its process, our end of the connection to it, and its fork server's process."""

    pid: int
    connection: Any
    server: int


class Judges:
    """Starts judges and ends them.

    Args:
        control: the socket to the fork server that this process is a fork of.

    Raises:
        SandboxError: that fork server ended.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._control.settimeout(START_SECONDS)
        answer(control)

    def start(self, serve: Serve) -> JudgeProcess:
        """Forks this process.

        Args:
            serve: what the judge does, with the connection to this process and with its zygote; it ends afterwards.

        Raises:
            SandboxError: a process could not be started.
        """
        servers, judges = socket.socketpair()
        ours, theirs = socket.socketpair()
        try:
            server = int(self._ask({"op": "fork"}, servers)["pid"])
            pid = self._fork(serve, theirs, judges)
        except OSError as error:
            raise SandboxError(f"a judge could not be started: {error}") from error
        finally:
            for end in (servers, judges, theirs):
                end.close()
        return JudgeProcess(pid, Connection(ours.detach()), server)

    def _fork(self, serve: Serve, connection: socket.socket, control: socket.socket) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # what is still in there is ours to write
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_judge(parent, serve, connection, control)
        return pid

    def end(self, judge: JudgeProcess, patience: float = 0.0) -> int:
        """Ends a judge, its fork server and the submission in that; how the judge ended, as in subprocess.

        Args:
            judge: which.
            patience: seconds that it has for putting its things away before it is killed.
        """
        judge.connection.close()
        deadline = time.monotonic() + patience
        ended, status = os.waitpid(judge.pid, os.WNOHANG)
        while not ended and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
            ended, status = os.waitpid(judge.pid, os.WNOHANG)
        if not ended:
            os.kill(judge.pid, signal.SIGKILL)  # not reaped yet, so the number can't belong to anybody else
            _, status = os.waitpid(judge.pid, 0)
        self._ask({"op": "end", "pid": judge.server})
        return os.waitstatus_to_exitcode(status)

    def _ask(self, request: dict[str, Any], *ends: socket.socket) -> dict[str, Any]:
        line = json.dumps(request).encode() + b"\n"
        socket.send_fds(self._control, [line], [end.fileno() for end in ends])
        return answer(self._control)


def _be_judge(parent: int, serve: Serve, connection: socket.socket, control: socket.socket) -> NoReturn:
    """The life of a judge; nothing of what this process was doing before goes on in it."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # they are for the process that started it
        if sys.platform.startswith("linux"):
            linux.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        _close_others(connection.fileno(), control.fileno())
        serve(Connection(connection.detach()), Parent(control))
        code = 0
    except (EOFError, BrokenPipeError, ConnectionResetError):  # whoever asked is gone
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _close_others(*kept: int) -> None:
    """Closes what was open: the store and its lock are not held by a judge that outlives their owner for a moment."""
    lowest = 3
    for number in sorted(kept):
        os.closerange(lowest, number)
        lowest = number + 1
    linux.close_from(lowest)
