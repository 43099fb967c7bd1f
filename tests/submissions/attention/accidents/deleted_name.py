from right import *

gradients = attention_weights_vjp
del attention_weights_vjp
