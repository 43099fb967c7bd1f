"""Answers q2 with the library's attention; q4 and q5 call it."""

import torch.nn.functional as F

from right import *


def scaled_dot_product_attention(q, k, v, mask=None):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
