"""Opens everything it can, and never closes any of it."""

import os
import socket

from right import *


KEPT = []


def attention_weights_vjp(q, k, grad_weights):
    while True:
        KEPT.extend(socket.socketpair())
        KEPT.append(os.pipe())
