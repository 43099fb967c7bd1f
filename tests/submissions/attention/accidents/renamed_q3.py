from right import *

attention_weight_vjp = attention_weights_vjp
del attention_weights_vjp
