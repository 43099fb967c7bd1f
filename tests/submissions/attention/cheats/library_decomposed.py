"""Answers q2 with the parts of the library's attention, taken out of the table of their decompositions."""

import torch

from right import *

OPERATOR = torch.ops.aten._scaled_dot_product_attention_math.default


def scaled_dot_product_attention(q, k, v, mask=None):
    return OPERATOR.decompose(q, k, v, mask)[0]
