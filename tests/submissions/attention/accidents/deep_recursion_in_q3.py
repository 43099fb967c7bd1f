from right import *


def attention_weights_vjp(q, k, grad_weights):
    return attention_weights_vjp(q, k, grad_weights)
