"""The layers of isolation: what each closes, which of them work here, and putting them on.

Which layers hold is found out by trying each in a forked process, never by asking for a version: containers, kernels
and home folders differ in what they refuse. SANDBOX facts behind the order: limits before the change of user (which
may forbid raising them), forbidding inspection after it (it is reset by it), Landlock before seccomp.
"""

from __future__ import annotations

import os
import resource
import signal
import site
import sys
from collections.abc import Callable
from dataclasses import dataclass

from autograder.sandbox import landlock, linux, seccomp
from autograder.sandbox.watch import MAX_THREADS

LAYERS = {
    "limits": "memory, processor time, file size and open files are bounded",
    "uninspectable": "other processes of the same user can't be traced or read, nor read this one",
    "user": "each submission runs as a user of its own: private files and processes of others are out of reach",
    "capabilities": "root's powers are given up",
    "landlock": "no file but the interpreter's and the submission's own can be opened, and no TCP connection made",
    "seccomp": "no new process, program, socket, tracing or signal to others",
    "read-only": "no file can be created or changed (where Landlock and a user of its own are missing)",
}
_READABLE = (
    "/usr", "/lib", "/lib64", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache",
    "/etc/fonts", "/etc/mime.types", "/dev/urandom", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo", "/proc/self",
    "/sys/devices/system/cpu",
)  # fmt: skip
_ADDRESS_SLACK = (
    1 << 30
)  # 16 Python threads reserve 72 MB each: RLIMIT_AS at the memory limit alone forbids them
_OPEN_FILES = 64  # a notebook that draws has 20; files that were deleted while open count for nobody else
_FIRST_UID, UIDS_PER_GRADER, _GRADERS = 10_000, 2000, 25  # below 65 536: rootless containers map no more


@dataclass(frozen=True)
class Confinement:
    """What one child is to be held to.

    Args:
        box: its private folder.
        uid: the user it becomes where that layer is on.
        memory: bytes of private memory above what the warm interpreter holds.
        file_size: bytes that one file may have.
        cpu_seconds: processor seconds until the kernel ends it: a backstop behind the judge's own clock.
    """

    box: str
    uid: int
    memory: int
    file_size: int
    cpu_seconds: int


def uid_for(number: int) -> int:
    """A user id for the n-th child of this grader; graders that run side by side rarely share any."""
    return _FIRST_UID + os.getpid() % _GRADERS * UIDS_PER_GRADER + number % UIDS_PER_GRADER


def interpreter_paths() -> list[str]:
    """Where Python and its packages live: all that a child may read beside its own folder."""
    packages = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    paths = [sys.prefix, sys.base_prefix, sys.exec_prefix, *site.getsitepackages(), *packages]
    return sorted({os.path.realpath(path) for path in paths if os.path.isdir(path)})


def probe() -> dict[str, str]:
    """Every layer with the reason why it is off here; "" where it works."""
    box = "/"
    trial = Confinement(box=box, uid=uid_for(0), memory=1 << 30, file_size=1 << 20, cpu_seconds=60)
    reasons = {name: _reason(lambda step=step: step(trial)) for name, step in _STEPS.items()}  # type: ignore[misc]
    if os.getuid() != 0:
        reasons["user"] = "only root can give each submission a user of its own"
        reasons["capabilities"] = "an ordinary user has none to give up"
    elif not reasons["user"]:
        reasons["user"] = _reason(lambda: _check_readable(trial.uid))
    return reasons


def active(reasons: dict[str, str], without: frozenset[str] = frozenset()) -> list[str]:
    """The layers to put on, in order.

    Args:
        reasons: what `probe` found.
        without: layers to leave off, for tests of what remains when a platform lacks them.
    """
    on = [name for name in LAYERS if not reasons.get(name, "not offered") and name not in without]
    if "user" in on or "landlock" in on or "seccomp" not in on:
        on = [name for name in on if name != "read-only"]
    return [name for name in on if not (name == "capabilities" and "user" in on)]  # they go with the user


def confine(names: list[str], to: Confinement) -> None:
    """Puts these layers on this process, in their order and for good."""
    for name in LAYERS:
        if name in names:
            _STEPS[name](to)


def _limits(to: Confinement) -> None:
    data, size = linux.memory_in_use()
    limits = {
        resource.RLIMIT_DATA: data + to.memory,
        resource.RLIMIT_AS: size + to.memory + _ADDRESS_SLACK,
        resource.RLIMIT_FSIZE: to.file_size,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in limits.items():
        hard = resource.getrlimit(kind)[1]
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CPU, (to.cpu_seconds, to.cpu_seconds + 1))
    signal.signal(
        signal.SIGXFSZ, signal.SIG_IGN
    )  # writing past the limit is then an OSError at the student's line


def _user(to: Confinement) -> None:
    linux.drop_user(to.uid)
    resource.setrlimit(
        resource.RLIMIT_NPROC, (MAX_THREADS, MAX_THREADS)
    )  # of a user who has no other process
    linux.die_with_parent()  # both were reset by the change of user
    linux.forbid_inspection()


def _landlock(to: Confinement) -> None:
    if not landlock.abi():
        raise OSError("this kernel has no Landlock (Linux 5.13 brought it)")
    landlock.restrict([*_READABLE, *interpreter_paths()], [to.box, "/dev/null"])


_STEPS: dict[str, Callable[[Confinement], None]] = {
    "limits": _limits,
    "uninspectable": lambda to: linux.forbid_inspection(),
    "user": _user,
    "capabilities": lambda to: linux.drop_capabilities(),
    "landlock": _landlock,
    "seccomp": lambda to: seccomp.restrict(),
    "read-only": lambda to: seccomp.forbid_writing(),
}


def _check_readable(uid: int) -> None:
    """Raises when a user of its own could not import what student code imports later."""
    linux.drop_user(uid)
    for path in [*interpreter_paths(), os.path.dirname(os.__file__)]:
        if not os.access(path, os.R_OK | os.X_OK):
            raise OSError(
                f"{path} cannot be read by other users: install Python outside of a private home folder"
            )
    __import__("wave")  # a small module that nothing has loaded yet


def _reason(step: Callable[[], None]) -> str:
    """Tries a step in a process of its own; "" when it works, else why not."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            step()
        except BaseException as error:
            os.write(writer, (str(error) or type(error).__name__).encode()[:500])
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode(errors="replace")
    _, status = os.waitpid(pid, 0)
    return text or ("" if status == 0 else f"ended with status {status}")
