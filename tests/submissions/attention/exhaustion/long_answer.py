"""Returns a text of a hundred megabytes."""

from right import *


def attention_weights_vjp(q, k, grad_weights):
    return "x" * (100 << 20)
