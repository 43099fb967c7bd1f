from right import *

attention_weights_vjp = 3
