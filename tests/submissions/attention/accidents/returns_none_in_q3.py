from right import *


def attention_weights_vjp(q, k, grad_weights):
    weights = attention_weights(q, k)
    weights * grad_weights
