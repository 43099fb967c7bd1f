"""The judge's side of the zygote: starts children, each in a folder of its own, and ends them."""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.sandbox import layers
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.launch import Zygote, answer, launch
from autograder.sandbox.watch import Watch
from autograder.sandbox.wire import Channel, WireError

# What a submission's text says that it will import, imported once for all children: 0.5 s, 0.35 s, 1.1 s, 0.1 s.
WARM = {
    "matplotlib": "matplotlib.pyplot",
    "broadcast_shapes": "torch.fx.experimental.symbolic_shapes",
    "optim": "torch._dynamo",
    "get_ipython": "IPython.core.interactiveshell",
}
START_SECONDS = (
    60  # for the zygote and for the confinement of a child: 2 s and 10 ms here; more is the machine's fault
)
_PREFIX, _OWNER = "autograder-", ".owner"
MAKING_SECONDS = (
    5  # a folder younger than this may not have been locked yet: making it and locking take under 1 ms
)


@dataclass(frozen=True)
class Bounds:
    """What one submission may use.

    Args:
        call_seconds: wall time of one call of the student's code.
        cell_seconds: wall time of one cell.
        total_seconds: wall time of the submission's code altogether.
        memory: bytes above the warm interpreter.
        file_size: bytes of one file that it writes.
        output: bytes of printed text that are kept.
        disk: bytes that all of its files may take together.
    """

    call_seconds: float = 10.0
    cell_seconds: float = 60.0
    total_seconds: float = 300.0
    memory: int = 1 << 30
    file_size: int = 64 << 20
    output: int = 64 << 10
    disk: int = 256 << 20


@dataclass(frozen=True)
class Code:
    """What is to be run: cells in order, and the files that lie beside them.

    Args:
        cells: (source, first line) of each cell.
        filename: what a traceback calls the file.
        notebook: cells run in an IPython shell, with magics; else as plain Python.
        files: content of the private folder, by relative path.
    """

    cells: tuple[tuple[str, int], ...]
    filename: str
    notebook: bool
    files: dict[str, bytes]

    @property
    def modules(self) -> list[str]:
        """What it will probably import and many others will, too."""
        text = "\n".join(source for source, _ in self.cells) + ("get_ipython" if self.notebook else "")
        return [module for word, module in WARM.items() if word in text]


class Sandbox:
    """Owns one zygote; gives out sessions, one after the other.

    Args:
        zygote: one that was started earlier, to save time.
        without: layers to leave off, for tests of platforms that lack them.

    Attributes:
        reasons: for each layer why it is off on this machine, "" where it works.
        layers: the layers that are put on each child.
    """

    def __init__(self, zygote: Zygote | None = None, without: frozenset[str] = frozenset()) -> None:
        self._zygote = zygote or launch()
        self._control = self._zygote.control
        self._control.settimeout(START_SECONDS)
        ready = answer(self._control)
        self.reasons: dict[str, str] = ready["layers"]
        self.layers = layers.active(self.reasons, without)
        self._without = without
        self._other: Sandbox | None = None
        self._base = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._base.chmod(0o711)  # a submission's own user passes through, but can't list who else is here
        self._owner = open(self._base / _OWNER, "x", opener=_private)  # noqa: SIM115  held as long as this process lives
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self._children = 0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the zygote and all children, and removes their folders."""
        if self._other is not None:
            self._other.close()
        self._zygote.stop()
        remove(self._base)
        self._owner.close()

    @property
    def other(self) -> Sandbox:
        """A second sandbox, in which texts and bytes hash differently; it starts when it is first asked for."""
        if self._other is None:
            self._other = Sandbox(launch(hash_seed="1"), self._without)
            self._other._children = layers.UIDS_PER_GRADER // 2  # its users are none of those in use here
        return self._other

    def spawn(self, bounds: Bounds, code: Code, output: int) -> tuple[int, Path, Channel]:
        """Starts a confined child in a folder of its own that holds the code's files.

        Args:
            bounds: what it may use.
            code: what it is going to run.
            output: descriptor for what it prints.

        Returns:
            Its process id, its folder and the channel to it.

        Raises:
            SandboxError: it could not be started or confined; the student has no part in that.
        """
        self._children += 1
        uid = layers.uid_for(self._children)
        box = self._make_box(code.files, uid if "user" in self.layers else None)
        ours, theirs = socket.socketpair()
        job = {
            "op": "spawn", "box": str(box), "uid": uid, "layers": self.layers, "memory": bounds.memory,
            "file_size": min(bounds.file_size, bounds.disk), "cpu_seconds": math.ceil(bounds.total_seconds) + 1,
            "modules": code.modules,
        }  # fmt: skip
        try:
            socket.send_fds(self._control, [json.dumps(job).encode() + b"\n"], [theirs.fileno(), output])
            pid = answer(self._control)["pid"]
        except OSError as error:
            raise SandboxError(f"the fork server does not answer: {error}") from error
        finally:
            theirs.close()
        channel = Channel(ours)
        channel.within(START_SECONDS)
        try:
            channel.receive()
        except (EOFError, OSError, WireError, TimeoutError) as error:
            self.end(pid)
            raise SandboxError(f"a child could not be confined: {_tail(output)}") from error
        channel.watch = Watch(pid, box, bounds.disk, bounds.memory)
        return pid, box, channel

    def end(self, pid: int) -> dict[str, Any]:
        """Kills and reaps one child: `status` (as in subprocess), `cpu` seconds, `peak_kb`."""
        try:
            self._control.sendall(json.dumps({"op": "end", "pid": pid}).encode() + b"\n")
            return answer(self._control)
        except OSError as error:
            raise SandboxError(f"the fork server does not answer: {error}") from error

    def answers(self) -> bool:
        """Whether the fork server is still there."""
        try:
            return self.end(0) == {"status": None}
        except SandboxError:
            return False

    def _make_box(self, files: dict[str, bytes], uid: int | None) -> Path:
        box = self._base / str(self._children)
        box.mkdir(mode=0o700)
        for name, content in files.items():
            path = box / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if uid is not None:
            for path in [box, *box.rglob("*")]:
                os.chown(path, uid, uid)
        return box


def remove(folder: Path) -> None:
    """Removes a folder whatever a submission made in it: rmtree fails 1000 levels down and in folders of mode 0."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        pass
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        if folder.exists():
            subprocess.run([*command, str(folder)], stderr=subprocess.DEVNULL, check=False)


def remove_abandoned() -> None:
    """Removes the folders of sandboxes whose process was killed: nobody holds the lock in them any more."""
    for base in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            with open(base / _OWNER) as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(owner.fileno()).st_mtime > MAKING_SECONDS:
                    remove(base)
        except OSError:  # in use, not ours, or gone meanwhile
            continue


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, 2000, max(0, size - 2000)).decode(errors="replace").strip()
