from right import *


def attention_weights_vjp(q, k, grad_weights):
    return float(input("scale? ")) * q, k
