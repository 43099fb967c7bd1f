"""Starts the zygote: beside this process, or in its place.

Standard library only: the command line has not imported torch when it gets here, and need not.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from typing import IO, Any, NoReturn

from autograder.sandbox.errors import SandboxError

_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",  # without it numpy starts a second thread, and forks of threaded processes can hang
    "TORCHDYNAMO_DISABLE": "1",  # torch.compile then does nothing, for it would need a compiler
    "MPLBACKEND": "Agg",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",  # set order is the same in every run: grading twice gives the same result
}
_PASSED_ON = ("PATH", "PYTHONPATH", "HOME")  # nothing else of the TA's environment: tokens live there


class Launched:
    """A zygote that serves the process that started it.

    Args:
        hash_seed: decides how texts and bytes hash, and so in which order sets of them are.

    Attributes:
        control: our end of its control socket.
    """

    def __init__(self, hash_seed: str) -> None:
        self.control, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            _command("socket", theirs.fileno()),
            pass_fds=[theirs.fileno()],
            env={**_environment(), "PYTHONHASHSEED": hash_seed},
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal reaches the judge alone
        )
        theirs.close()

    def stop(self) -> None:
        """Ends the zygote at once, in the middle of an import too; its children, if any are left, die with it."""
        self.control.close()
        self._process.kill()
        self._process.wait()


class Parent:
    """The zygote that this process is a fork of; it ends when its judge does.

    Attributes:
        control: our end of its control socket.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control

    def stop(self) -> None:
        """Lets the zygote go."""
        self.control.close()


Zygote = Launched | Parent


def launch(hash_seed: str = _ENVIRONMENT["PYTHONHASHSEED"]) -> Launched:
    """Starts a zygote.

    Args:
        hash_seed: as Python's PYTHONHASHSEED.

    Raises:
        SandboxError: the process could not be started.
    """
    try:
        return Launched(hash_seed)
    except OSError as error:
        raise SandboxError(f"the fork server could not be started: {error}") from error


def become_judge(entry: str, arguments: dict[str, Any]) -> NoReturn:
    """Turns this process into a zygote whose first fork is the judge: torch is imported once instead of twice.

    Args:
        entry: "module:function" that the judge runs, with the control socket and `arguments`; it returns the exit code.
        arguments: plain data.
    """
    with _request(entry, arguments) as file:
        os.set_inheritable(file.fileno(), True)
        os.chdir("/")
        command = _command("judge", file.fileno())
        os.execve(command[0], command, _environment())


def start_judge(entry: str, arguments: dict[str, Any]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts a zygote whose first fork is a judge, beside this process.

    Args:
        entry: as for `become_judge`.
        arguments: plain data; `descriptor`, the judge's end of the socket that is returned, comes on top.

    Returns:
        The zygote's process, which ends when its judge does, and our end of the socket.

    Raises:
        SandboxError: the process could not be started.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs, _request(entry, {**arguments, "descriptor": theirs.fileno()}) as file:
            descriptors = [file.fileno(), theirs.fileno()]
            process = subprocess.Popen(
                _command("judge", *descriptors), pass_fds=descriptors, env=_environment(), cwd="/",
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        ours.close()
        raise SandboxError(f"the fork server could not be started: {error}") from error
    return process, ours


def _request(entry: str, arguments: dict[str, Any]) -> IO[bytes]:
    """What a judge is to do, in a file without a name that it alone reads, after the fork."""
    task = {"entry": entry, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    file = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
    file.write(json.dumps(task).encode())
    file.seek(0)
    return file


def answer(control: socket.socket) -> dict[str, Any]:
    """One answer of the zygote at the other end.

    Raises:
        SandboxError: it ended.
    """
    data = b""
    while not data.endswith(b"\n"):
        block = control.recv(1 << 16)
        if not block:
            raise SandboxError("the fork server ended; `autograder doctor` shows what is missing")
        data += block
    found = json.loads(data)
    assert isinstance(found, dict)
    return found


def _command(kind: str, *descriptors: int) -> list[str]:
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    numbers = map(str, descriptors)
    return [sys.executable, "-s", *safe_path, "-m", "autograder.sandbox.zygote", kind, *numbers]


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}}
