"""Returns a dict whose keys all have the same hash, so that building it again takes quadratic time."""

import sys

from right import *


def attention_weights_vjp(q, k, grad_weights):
    return {number * sys.hash_info.modulus / 2**40: 0 for number in range(1, 60_000)}
