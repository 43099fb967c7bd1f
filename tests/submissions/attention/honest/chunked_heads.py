"""Heads cut by torch.chunk and put together by torch.stack; a mask of -inf repaired after the softmax; distances expanded."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def complain_unless(condition, text):
    if not condition:
        raise ValueError(text)


def broadcasts(*shapes):
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError as error:
        raise ValueError(f"shapes that do not fit: {shapes}") from error


def attention_weights(q, k, mask=None):
    complain_unless(q.ndim >= 2 and k.ndim >= 2, "too few dimensions")
    complain_unless(q.shape[-1] == k.shape[-1] != 0, "different d_k")
    shape = broadcasts(q.shape[:-2], k.shape[:-2]) + (q.shape[-2], k.shape[-2])
    scores = F.linear(q, k) / math.sqrt(k.shape[-1]) if k.ndim == 2 else q @ k.mT / math.sqrt(k.shape[-1])
    if mask is not None:
        complain_unless(mask.dtype is torch.bool, "mask is not boolean")
        complain_unless(broadcasts(mask.shape, shape) == shape, "mask is larger than the scores")
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, -1)
    return weights if mask is None else weights.masked_fill(~mask, 0)


def scaled_dot_product_attention(q, k, v, mask=None):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    complain_unless(v.ndim >= 2 and v.shape[-2] == k.shape[-2], "keys without values")
    broadcasts(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    return attention_weights(q, k, mask) @ v


def attention_weights_vjp(q, k, grad_weights):
    a = attention_weights(q, k)
    complain_unless(q.shape[:-2] == k.shape[:-2], "leading dimensions")
    complain_unless(a.shape == grad_weights.shape, "shape of grad_weights")
    # centre the upstream gradient: subtract from each row its mean under the weights
    centred = grad_weights - torch.linalg.vecdot(a, grad_weights).unsqueeze(-1)
    grad_scores = a * centred / math.sqrt(q.shape[-1])
    return grad_scores @ k, (q.mT @ grad_scores).mT


class Projections(nn.Module):
    """Named matrices with the usual start."""

    def __init__(self, d_model, **widths):
        super().__init__()
        complain_unless(d_model >= 1 and all(width >= 1 for width in widths.values()), "sizes below 1")
        for name, width in widths.items():
            setattr(self, name, nn.Parameter(torch.randn(d_model, width) / d_model**0.5))

    def take(self, x):
        complain_unless(x.ndim >= 2 and x.shape[-1] == self.W_Q.shape[0], "x does not fit the matrices")
        return x @ self.W_Q, x @ self.W_K, x @ self.W_V


class SelfAttention(Projections):
    def __init__(self, d_model, d_k, d_v):
        super().__init__(d_model, W_Q=d_k, W_K=d_k, W_V=d_v)

    def forward(self, x, mask=None):
        return scaled_dot_product_attention(*self.take(x), mask=mask)


class MultiHeadAttention(Projections):
    def __init__(self, d_model, n_heads):
        complain_unless(n_heads >= 1, "no heads")
        complain_unless(d_model % n_heads == 0, "heads that do not divide the model")
        super().__init__(d_model, W_Q=d_model, W_K=d_model, W_V=d_model, W_O=d_model)
        self.n_heads = n_heads

    def forward(self, x, mask=None):
        q, k, v = (torch.stack(t.chunk(self.n_heads, dim=-1)) for t in self.take(x))  # heads come first
        heads = scaled_dot_product_attention(q, k, v, mask)
        return torch.cat(list(heads), dim=-1) @ self.W_O


def score_rank(q, k):
    complain_unless(q.ndim == k.ndim == 2, "matrices only")
    complain_unless(q.shape[1] == k.shape[1] != 0, "different d_k")
    if min(len(q), len(k)) == 0:
        return 0
    # with q = Q_1 R_1 and k = Q_2 R_2, the singular values of q k^T are those of the small R_1 R_2^T
    r_1, r_2 = torch.linalg.qr(q.double()).R, torch.linalg.qr(k.double()).R
    s = torch.linalg.svdvals(r_1 @ r_2.T)
    return int((s > 1e-10 * s[0]).sum())


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    complain_unless(v.ndim >= 2 and v.shape[-2] == k.shape[-2], "keys without values")
    complain_unless(attention_weights(q, k) is not None and 1 <= rank <= min(q.shape[-2], k.shape[-2]), "rank out of range")
    scores = q @ k.mT / math.sqrt(k.shape[-1])
    left = torch.linalg.svd(scores).U[..., :rank]
    return torch.softmax(left @ (left.mT @ scores), -1) @ v  # projection onto the first left singular vectors


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    complain_unless(bandwidth > 0, "bandwidth is not positive")
    complain_unless(min(queries.ndim, keys.ndim, values.ndim) >= 2, "too few dimensions")
    complain_unless(queries.shape[-1] == keys.shape[-1], "queries and keys in different spaces")
    complain_unless(keys.shape[-2] == values.shape[-2] > 0, "one value per key")
    broadcasts(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])
    # |q - k|^2 = |q|^2 - 2 q.k + |k|^2, in coordinates around the first key, where the terms are small
    q, k = queries - keys[..., :1, :], keys - keys[..., :1, :]
    squared = (q * q).sum(-1)[..., :, None] - 2 * q @ k.mT + (k * k).sum(-1)[..., None, :]
    squared = squared - squared.amin(-1, keepdim=True)
    h = max(bandwidth, torch.finfo(squared.dtype).tiny)
    return torch.softmax(-squared / h / h / 2, -1) @ values
