import sys

from right import *


def attention_weights_vjp(q, k, grad_weights):
    print("I do not know how to go on")
    sys.exit()
