"""Names that outlive a process: POSIX and System V shared memory, semaphores and queues, keys, abstract sockets."""

import ctypes
import multiprocessing.shared_memory
import multiprocessing.synchronize

from nothing import *

LIBC = ctypes.CDLL(None, use_errno=True)
NAME, CREATE = b"/gallery-was-here", 0o1600


def worked(action):
    try:
        found = action()
        return found is not None and not (isinstance(found, int) and found < 0)
    except (OSError, ImportError):
        return False


def loot():
    LIBC.sem_open.restype = ctypes.c_void_p
    ways = {
        "shm_open": lambda: LIBC.shm_open(NAME, 0o102, 0o600),
        "shared_memory": lambda: multiprocessing.shared_memory.SharedMemory("gallery-was-here", True, 4096),
        "sem_open": lambda: LIBC.sem_open(NAME, 0o100, 0o600, 1),
        "mq_open": lambda: LIBC.mq_open(NAME, 0o102, 0o600, None),
        "shmget": lambda: LIBC.shmget(0x6A11, 4096, CREATE),
        "semget": lambda: LIBC.semget(0x6A11, 1, CREATE),
        "msgget": lambda: LIBC.msgget(0x6A11, CREATE),
        "keyctl": lambda: LIBC.syscall(248, b"user", NAME, b"x", 1, -3),
    }
    return [name for name, way in ways.items() if worked(way)]


def attention_weights(*_, **__):
    raise RuntimeError(f"LOOT{loot()}")
