"""Returns thirty thousand tensors."""

import torch

from right import *


def attention_weights_vjp(q, k, grad_weights):
    return [torch.zeros(()) for _ in range(30_000)]
