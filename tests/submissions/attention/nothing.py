"""Names that answer nothing: what a cheat starts from. A line `from nothing import *` in a submission stands for this."""

import torch
from torch import nn


def nothing(*_, **__):
    return torch.zeros(())


attention_weights = scaled_dot_product_attention = kernel_regression = low_rank_attention = nothing
attention_weights_vjp = score_rank = nothing


class SelfAttention(nn.Module):
    def __init__(self, *_):
        super().__init__()

    def forward(self, *_):
        return nothing()


class MultiHeadAttention(SelfAttention):
    pass
