"""Returns a tensor of one number that claims a shape of 2**50 numbers."""

import torch

from right import *


def attention_weights_vjp(q, k, grad_weights):
    return torch.zeros(1).expand(1 << 50), torch.zeros(1).expand(1 << 50)
