from right import *

del attention_weights_vjp

# %%
scale = 1 / 0


def attention_weights_vjp(q, k, grad_weights):
    return q, k
