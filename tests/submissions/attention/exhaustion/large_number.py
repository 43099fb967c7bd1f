"""Returns a whole number of a million digits."""

from right import *


def attention_weights_vjp(q, k, grad_weights):
    return 7**1_000_000
