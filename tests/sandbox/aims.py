"""What attacks aim at: files of ours and of another user, a folder, an ordinary process, another submission."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autograder.sandbox import linux

ANOTHER_USER = 12345
LISTENS = """
import socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(sys.argv[1])
print(flush=True)
while True:  # it takes what comes: a sender would wait at a full queue
    log.recv(100)
"""


@contextmanager
def aims(folder: Path) -> Iterator[dict[str, object]]:
    """A readable file, one of another user, their folder, a process of this user that listens at `log` in it."""
    folder.chmod(0o755)
    lay_out(folder)
    victim = subprocess.Popen(
        [sys.executable, "-c", LISTENS, folder / "log"],
        stdout=subprocess.PIPE,
        preexec_fn=linux.drop_capabilities if os.getuid() == 0 else None,
    )
    assert victim.stdout is not None
    victim.stdout.readline()
    (folder / "log").chmod(0o777)
    readable, private = folder / "reference.py", folder / "others.py"
    with priorities_kept():
        yield {"readable": str(readable), "private": str(private), "folder": str(folder), "pid": victim.pid}
    victim.kill()
    victim.wait()
    victim.stdout.close()


@contextmanager
def priorities_kept() -> Iterator[None]:
    """One of the attacks gives all of the user's processes the priority of the first among them."""
    processes = (
        [int(name) for name in os.listdir("/proc") if name.isdigit()] if Path("/proc").is_dir() else []
    )
    before = {pid: nice for pid in processes if (nice := _niceness(pid)) is not None}
    yield
    for pid, nice in before.items():
        if _niceness(pid) not in (nice, None):
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, pid, nice)


def _niceness(pid: int) -> int | None:
    with suppress(OSError):
        return os.getpriority(os.PRIO_PROCESS, pid)
    return None


def lay_out(folder: Path) -> None:
    """Writes the files anew, as no attack has left them."""
    readable, private = folder / "reference.py", folder / "others.py"
    for path in folder.iterdir():
        if path.is_socket():  # somebody listens to it
            continue
        path.rmdir() if path.is_dir() else path.unlink()
    readable.write_text("the solution")
    readable.chmod(0o644)
    private.write_text("another submission")
    private.chmod(0o600)
    if os.getuid() == 0:
        os.chown(private, ANOTHER_USER, ANOTHER_USER)
