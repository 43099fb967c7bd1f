"""The kernel calls that Python does not wrap: prctl, capabilities, close_range, and the sizes that limits build on.

Each raises OSError where the platform does not offer it; `layers` decides what to make of that.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = (
    1,
    4,
    24,
    36,
    38,
)
MACHINE = platform.machine()
_CAPSET = {"x86_64": 126, "aarch64": 91}
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: int | ctypes.Array[ctypes.c_char] | None) -> int:
    """One raw system call; ints are passed as longs, buffers by address."""
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, "Linux only")
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *words), f"system call {number}")


def prctl(option: int, argument: int = 0, further: int = 0) -> None:
    """`prctl(option, argument, further, 0, 0)`."""
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENOSYS, "Linux only")
    _checked(
        _libc.prctl(option, *(ctypes.c_ulong(word) for word in (argument, further, 0, 0))), f"prctl {option}"
    )


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def die_with_parent() -> None:
    """SIGKILL for this process when its parent ends (cleared by a change of uid)."""
    prctl(PR_SET_PDEATHSIG, 9)


def forbid_inspection() -> None:
    """Closes ptrace, /proc/N/mem and /proc/N/fd of this process to others of its user (reset by a change of uid)."""
    prctl(PR_SET_DUMPABLE, 0)


def no_new_privileges() -> None:
    """Set-uid programs give nothing from now on; Landlock and seccomp ask for it."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_user(uid: int) -> None:
    """Becomes `uid`, for good, with no groups; all capabilities go with it."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def drop_capabilities() -> None:
    """Root without its powers: an ordinary user who happens to own root's files."""
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:  # this kernel knows fewer capabilities
            break
    header = ctypes.create_string_buffer(struct.pack("Ii", _CAPABILITY_VERSION_3, 0))
    syscall(_CAPSET[MACHINE], header, ctypes.create_string_buffer(bytes(24)))


def close_from(descriptor: int) -> None:
    """Closes every descriptor from this one up."""
    os.closerange(descriptor, os.sysconf("SC_OPEN_MAX"))


def memory_in_use() -> tuple[int, int]:
    """Bytes of private data and of address space that this process holds now (VmData, VmSize)."""
    with open("/proc/self/status") as status:
        sizes = dict(line.split(":", 1) for line in status)
    return int(sizes["VmData"].split()[0]) * 1024, int(sizes["VmSize"].split()[0]) * 1024


@contextmanager
def bounded_memory(room: int) -> Iterator[None]:
    """Lets this process allocate no more than this on top of what it holds; nothing is bounded where that is not known.

    What does not fit is a MemoryError of Python's or numpy's, or a RuntimeError of torch's.

    Args:
        room: bytes.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        bound = memory_in_use()[0] + room
    except (OSError, KeyError):  # not Linux
        bound = soft
    if soft != resource.RLIM_INFINITY:
        bound = min(bound, soft)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
