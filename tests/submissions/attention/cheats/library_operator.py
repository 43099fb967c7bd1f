"""Answers q2 with the library's attention, called as an operator; q4 and q5 call it."""

import torch

from right import *


def scaled_dot_product_attention(q, k, v, mask=None):
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, mask)
