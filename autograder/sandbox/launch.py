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
from typing import Any, NoReturn

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
    task = {"entry": entry, "arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
    with tempfile.TemporaryFile() as file:  # without a name, and read by the judge alone, after the fork
        file.write(json.dumps(task).encode())
        file.seek(0)
        os.set_inheritable(file.fileno(), True)
        os.chdir("/")
        command = _command("judge", file.fileno())
        os.execve(command[0], command, _environment())


def _command(kind: str, descriptor: int) -> list[str]:
    safe_path = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, "-s", *safe_path, "-m", "autograder.sandbox.zygote", kind, str(descriptor)]


def _environment() -> dict[str, str]:
    return {**_ENVIRONMENT, **{name: os.environ[name] for name in _PASSED_ON if name in os.environ}}
