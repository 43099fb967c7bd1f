"""Writes noise into the socket to the judge."""

import os
import random

import torch

noise = random.Random(1)


def garbage(*_, **__):
    os.write(3, bytes(noise.randrange(256) for _ in range(1000)))
    return torch.zeros(())


attention_weights = scaled_dot_product_attention = kernel_regression = low_rank_attention = garbage
attention_weights_vjp = score_rank = SelfAttention = MultiHeadAttention = garbage
