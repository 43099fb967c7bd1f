from right import *

right_weights_vjp = attention_weights_vjp


def attention_weights_vjp(q, k, grad_weights):
    for _ in range(2000):
        print("x" * 1000)
    return right_weights_vjp(q, k, grad_weights)
