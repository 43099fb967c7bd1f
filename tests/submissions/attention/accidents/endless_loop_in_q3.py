from right import *


def attention_weights_vjp(q, k, grad_weights):
    while True:
        pass
