from right import *


def attention_weights_vjp(q, k, grad_weights):
    return [0] * 10**12
