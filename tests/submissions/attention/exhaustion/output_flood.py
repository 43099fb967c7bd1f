"""Prints for ever, past Python's own streams as well."""

import os

from right import *


def attention_weights_vjp(q, k, grad_weights):
    while True:
        try:
            os.write(1, b"no end to it " * 5000)
        except OSError:
            print("no end to it " * 5000)
