"""Starts the zygote, from a process that need not have imported torch yet: both then import it at the same time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

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
    """A zygote on its way.

    Attributes:
        process: the operating system's process.
        control: our end of its control socket.
    """

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-m", "autograder.sandbox.zygote", str(theirs.fileno())]
            if sys.version_info >= (3, 11)
            else [sys.executable, "-s", "-m", "autograder.sandbox.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**_ENVIRONMENT, **passed},
            cwd="/",
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal reaches the judge alone
        )
        theirs.close()

    def stop(self) -> None:
        """Ends the zygote at once, in the middle of an import too; its children, if any are left, die with it."""
        self.control.close()
        self.process.kill()
        self.process.wait()


def launch() -> Launched:
    """Starts a zygote.

    Raises:
        SandboxError: the process could not be started.
    """
    try:
        return Launched()
    except OSError as error:
        raise SandboxError(f"the fork server could not be started: {error}") from error
