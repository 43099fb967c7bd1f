from right import *

del attention_weights_vjp

# %%
def attention_weights_vjp(q, k, grad_weights)
    return q, k
# %%
done = True
