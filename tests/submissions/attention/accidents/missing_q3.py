from right import *

del attention_weights_vjp
