"""seccomp: the system calls that a student's process has no use for are refused.

A classic BPF program, built here as bytes: no fork and no exec, no sockets, no tracing, no namespaces, no signals to
others; chmod, chown and utime "succeed" and do nothing (shutil.copy lives). Threads and OpenMP keep working.
Only a deny list is claimed, not a wall against kernel bugs: the container or virtual machine stays the outer wall.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from autograder.sandbox import linux

_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_EQUAL, _AT_LEAST, _ANY_BIT = 0x15, 0x35, 0x45
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _ARGUMENTS_OFFSET = 0, 4, 16
_X32_CALLS = 0x40000000
_CLONE_THREAD = 0x10000
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2

# name: (number on x86_64, number on aarch64); None where the architecture has no such call
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "open": (2, None), "ioctl": (16, 29), "shmget": (29, 194), "socket": (41, 198), "connect": (42, 203),
    "bind": (49, 200), "clone": (56, 220), "fork": (57, None), "vfork": (58, None), "execve": (59, 221),
    "kill": (62, 129), "semget": (64, 190), "msgget": (68, 186), "fcntl": (72, 25), "truncate": (76, 45),
    "rename": (82, None), "mkdir": (83, None), "rmdir": (84, None), "creat": (85, None), "link": (86, None),
    "unlink": (87, None), "symlink": (88, None), "chmod": (90, None), "fchmod": (91, 52), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "ptrace": (101, 117), "setpgid": (109, 154), "setsid": (112, 157),
    "rt_sigqueueinfo": (129, 138), "utime": (132, None), "mknod": (133, None), "setpriority": (141, 140),
    "mount": (165, 40), "umount2": (166, 39), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "tkill": (200, 130),
    "sched_setaffinity": (203, 122), "tgkill": (234, 131), "utimes": (235, None), "mq_open": (240, 180),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219), "openat": (257, 56),
    "mkdirat": (258, 34), "mknodat": (259, 33), "fchownat": (260, 54), "futimesat": (261, None),
    "unlinkat": (263, 35), "renameat": (264, 38), "linkat": (265, 37), "symlinkat": (266, 36),
    "fchmodat": (268, 53), "unshare": (272, 97), "utimensat": (280, 88), "rt_tgsigqueueinfo": (297, 240),
    "perf_event_open": (298, 241), "prlimit64": (302, 261), "open_by_handle_at": (304, 265), "setns": (308, 268),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272), "renameat2": (316, 276),
    "bpf": (321, 280), "execveat": (322, 281), "userfaultfd": (323, 282), "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "pidfd_open": (434, 434), "clone3": (435, 435), "openat2": (437, 437), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "fchmodat2": (452, 452), "prctl": (157, 167), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "ioprio_set": (251, 30), "sched_setattr": (314, 274), "setxattrat": (463, 463),
    "removexattrat": (466, 466), "file_setattr": (469, 469), "fallocate": (285, 47), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "socketpair": (53, 199),
}  # fmt: skip

_REFUSED = (
    "execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd pidfd_open "
    "pidfd_send_signal kcmp mount umount2 unshare setns bpf perf_event_open userfaultfd io_uring_setup "
    "io_uring_enter io_uring_register keyctl add_key request_key setpgid setsid tkill rt_sigqueueinfo "
    "rt_tgsigqueueinfo open_by_handle_at ioprio_set shmget msgget semget mq_open socket connect bind "
    "memfd_create memfd_secret"
).split()
_PRETENDED = (
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr removexattr "
    "lremovexattr fremovexattr setxattrat removexattrat file_setattr utime utimes futimesat utimensat"
).split()
_CHANGING_FILES = (
    "creat truncate unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink symlinkat "
    "mknod mknodat"
).split()
_IOCTL_TRAPS = (
    0x5412,
    0x541C,
    0x8901,
    0x8902,
)  # TIOCSTI, TIOCLINUX (keystrokes into a terminal), FIOSETOWN, SIOCSPGRP
_FCNTL_TRAPS = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals to others by way of a descriptor
_PRIORITY_TRAPS = (2,)  # PRIO_USER: all of the user's processes, the judge too
_PRCTL_TRAPS = (1,)  # PR_SET_PDEATHSIG: to live on when the zygote is killed
_SOCKET_KIND, _STREAM = 0xF, 1
_TRAPS = (
    ("ioctl", 1, _IOCTL_TRAPS), ("fcntl", 1, _FCNTL_TRAPS), ("setpriority", 0, _PRIORITY_TRAPS),
    ("prctl", 0, _PRCTL_TRAPS),
)  # fmt: skip
_OPEN_TO_WRITE = (
    0o3 | 0o100 | 0o1000 | 0o20000000
)  # access mode, O_CREAT, O_TRUNC, O_TMPFILE without O_DIRECTORY


def available() -> bool:
    """Whether this architecture's call numbers are known here."""
    return linux.MACHINE in _ARCHITECTURE


def restrict() -> None:
    """Refuses, to this process and its threads and for good, what student code has no use for."""
    _install(_refusals(os.getpid()))


def forbid_writing() -> None:
    """Refuses to create, change or remove any file: what is left where Landlock and a user of its own are missing."""
    _install(_read_only())


def _install(rules: list[bytes]) -> None:
    if not available():
        raise OSError(f"the system calls of {linux.MACHINE} are not known here")
    program = b"".join([*_preamble(), *rules, _statement(_RETURN, _ALLOW)])
    code = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code)))
    linux.no_new_privileges()
    linux.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(header))


def _statement(code: int, value: int) -> bytes:
    return struct.pack("HBBI", code, 0, 0, value & 0xFFFFFFFF)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("HBBI", code, if_true, if_false, value & 0xFFFFFFFF)


def _number(name: str) -> int | None:
    return _CALLS[name][0 if linux.MACHINE == "x86_64" else 1]


def _when(name: str, body: list[bytes]) -> list[bytes]:
    """`body` runs for this call only; it may fall through, after which the call's number is loaded again."""
    number = _number(name)
    if number is None:
        return []
    reload = _statement(_LOAD, _NUMBER_OFFSET)
    return [_jump(_EQUAL, number, 0, len(body) + 1), *body, reload]


def _argument(index: int) -> bytes:
    return _statement(
        _LOAD, _ARGUMENTS_OFFSET + 8 * index
    )  # its low half: little-endian on both architectures


def _error(code: int) -> bytes:
    return _statement(_RETURN, _ERROR | code)


def _only_self(name: str, pid: int, or_zero: bool, index: int = 0) -> list[bytes]:
    """The call is let through for this process alone (0 means the caller in most of them)."""
    if or_zero:
        tests = [_jump(_EQUAL, 0, 2, 0), _jump(_EQUAL, pid, 1, 0)]
    else:
        tests = [_jump(_EQUAL, pid, 1, 0)]
    return _when(name, [_argument(index), *tests, _error(errno.EPERM)])


def _preamble() -> list[bytes]:
    lines = [
        _statement(_LOAD, _ARCHITECTURE_OFFSET),
        _jump(_EQUAL, _ARCHITECTURE[linux.MACHINE], 1, 0),
        _statement(_RETURN, _KILL),
        _statement(_LOAD, _NUMBER_OFFSET),
    ]
    if linux.MACHINE == "x86_64":
        lines += [_jump(_AT_LEAST, _X32_CALLS, 0, 1), _statement(_RETURN, _KILL)]
    return lines


def _refusals(pid: int) -> list[bytes]:
    lines: list[bytes] = []
    for name in _REFUSED:
        lines += _when(name, [_error(errno.EPERM)])
    # It takes disk in no time and past the limit of file sizes; posix_fallocate then writes zeros, within the limits.
    lines += _when("fallocate", [_error(errno.EOPNOTSUPP)])
    # Datagrams can be sent to any name that others listen to, such as the system's log; streams stay a pair.
    kind = [_argument(1), _statement(_AND, _SOCKET_KIND), _jump(_EQUAL, _STREAM, 1, 0), _error(errno.EPERM)]
    lines += _when("socketpair", kind)
    for name in _PRETENDED:
        lines += _when(name, [_error(0)])
    lines += _when(
        "clone3", [_error(errno.ENOSYS)]
    )  # glibc then falls back to clone, whose flags can be seen
    lines += _when("clone", [_argument(0), _jump(_ANY_BIT, _CLONE_THREAD, 1, 0), _error(errno.EPERM)])
    for name, index, traps in _TRAPS:
        for trap in traps:
            lines += _when(name, [_argument(index), _jump(_EQUAL, trap, 0, 1), _error(errno.EPERM)])
    for name in ("kill", "tgkill"):
        lines += _only_self(name, pid, or_zero=False)
    for name, index in (
        ("prlimit64", 0), ("sched_setaffinity", 0), ("sched_setscheduler", 0), ("sched_setparam", 0),
        ("sched_setattr", 0), ("setpriority", 1),
    ):  # fmt: skip
        lines += _only_self(name, pid, or_zero=True, index=index)
    return lines


def _read_only() -> list[bytes]:
    lines: list[bytes] = []
    for name, index in (("open", 1), ("openat", 2)):
        lines += _when(name, [_argument(index), _jump(_ANY_BIT, _OPEN_TO_WRITE, 0, 1), _error(errno.EACCES)])
    for name in _CHANGING_FILES:
        lines += _when(name, [_error(errno.EACCES)])
    return lines + _when("openat2", [_error(errno.ENOSYS)])
