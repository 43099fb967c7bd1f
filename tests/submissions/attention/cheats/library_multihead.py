"""Answers q5 with nn.MultiheadAttention, with the student's matrices copied into it."""

import torch
from torch import nn

from right import *


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model % n_heads:
            raise ValueError("n_heads must divide d_model")
        self.n_heads = n_heads
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            setattr(self, name, nn.Parameter(torch.randn(d_model, d_model) / d_model**0.5))

    def forward(self, x, mask=None):
        library = nn.MultiheadAttention(len(self.W_Q), self.n_heads, bias=False, batch_first=True, dtype=x.dtype)
        del library.in_proj_weight
        library.in_proj_weight = torch.cat([self.W_Q.T, self.W_K.T, self.W_V.T])
        del library.out_proj.weight
        library.out_proj.weight = self.W_O.T
        return library(x, x, x, attn_mask=None if mask is None else ~mask, need_weights=False)[0]
