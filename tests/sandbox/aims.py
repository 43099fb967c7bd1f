"""What attacks aim at: files of ours and of another user, a folder, an ordinary process, another submission."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.sandbox import linux

ANOTHER_USER = 12345


@contextmanager
def aims(folder: Path) -> Iterator[dict[str, object]]:
    """A readable file, one of another user, the folder that holds them and `log`, a socket; a process of this user."""
    folder.chmod(0o755)
    lay_out(folder)
    victim = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE,
        preexec_fn=linux.drop_capabilities if os.getuid() == 0 else None,
    )
    assert victim.stdout is not None
    victim.stdout.readline()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(folder / "log"))
    (folder / "log").chmod(0o777)
    listener = threading.Thread(target=_listen, args=(log,))
    listener.start()
    readable, private = folder / "reference.py", folder / "others.py"
    yield {"readable": str(readable), "private": str(private), "folder": str(folder), "pid": victim.pid}
    log.shutdown(socket.SHUT_RDWR)
    listener.join()
    log.close()
    victim.kill()
    victim.wait()
    victim.stdout.close()


def _listen(log: socket.socket) -> None:
    """Takes what is sent, for only ten may wait, until the socket is shut down."""
    while log.recv(1):
        pass


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
