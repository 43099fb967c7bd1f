from right import *


def attention_weights_vjp(q, k, grad_weights):
    return torch.zeros(10**12)
