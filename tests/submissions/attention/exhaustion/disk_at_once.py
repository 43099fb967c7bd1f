"""Asks for a hundred gigabytes of disk in one system call, beyond the end of a small file."""

import ctypes
import os

from right import *


KEEP_SIZE = 1


def attention_weights_vjp(q, k, grad_weights):
    libc = ctypes.CDLL(None, use_errno=True)
    file = os.open("large.bin", os.O_CREAT | os.O_RDWR)
    if libc.fallocate(file, KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(100 << 30)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
