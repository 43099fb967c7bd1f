from right import *


def attention_weights_vjp(q, k, grad_weights):
    return torch.zeros(60_000_000, dtype=torch.float64), k
