"""The scale goes onto the queries before the product; in-place operations, but on new tensors only; distances by torch.cdist."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def attention_weights(q, k, mask=None):
    if q.ndim < 2 or k.ndim < 2 or q.shape[-1] != k.shape[-1] or q.shape[-1] == 0:
        raise ValueError(f"cannot compare queries {list(q.shape)} with keys {list(k.shape)}")
    try:
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    except RuntimeError as problem:
        raise ValueError("the batches of q and k do not broadcast") from problem
    if mask is None:
        return F.softmax(scores, dim=-1)
    if mask.dtype != torch.bool:
        raise ValueError(f"a mask is boolean, not {mask.dtype}")
    if mask.ndim > scores.ndim or any(m not in (1, s) for m, s in zip(mask.shape[::-1], scores.shape[::-1])):
        raise ValueError(f"mask {list(mask.shape)} does not fit scores {list(scores.shape)}")
    forbidden = mask.logical_not()
    alone = forbidden.all(dim=-1, keepdim=True)
    scores.masked_fill_(forbidden, float("-inf")).masked_fill_(alone, 0)
    return F.softmax(scores, dim=-1) * ~alone


def scaled_dot_product_attention(q, k, v, mask=None):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    if v.ndim < 2 or v.shape[-2] != k.shape[-2]:
        raise ValueError(f"{list(k.shape)} keys but {list(v.shape)} values")
    try:
        return attention_weights(q, k, mask) @ v
    except RuntimeError as problem:
        raise ValueError("the batch of v does not broadcast with those of q and k") from problem


def attention_weights_vjp(q, k, grad_weights):
    w = attention_weights(q, k)
    if w.shape != grad_weights.shape or q.shape[:-2] != k.shape[:-2]:
        raise ValueError(f"grad_weights {list(grad_weights.shape)} must look like the weights {list(w.shape)}")
    grad = grad_weights.clone()
    grad -= (grad * w).sum(dim=-1, keepdim=True)
    grad *= w
    grad *= q.shape[-1] ** -0.5
    return grad @ k, grad.transpose(-1, -2) @ q


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        if d_model < 1 or d_k < 1 or d_v < 1:
            raise ValueError("all sizes must be 1 or more")
        super().__init__()
        self.W_Q = nn.Parameter(torch.randn(d_model, d_k) * d_model**-0.5)
        self.W_K = nn.Parameter(torch.randn(d_model, d_k) * d_model**-0.5)
        self.W_V = nn.Parameter(torch.randn(d_model, d_v) * d_model**-0.5)

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ValueError(f"x {list(x.shape)} does not fit W_Q {list(self.W_Q.shape)}")
        return scaled_dot_product_attention(x @ self.W_Q, x @ self.W_K, x @ self.W_V, mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        if d_model < 1 or n_heads < 1 or d_model % n_heads > 0:
            raise ValueError("n_heads must divide d_model, both at least 1")
        super().__init__()
        self.heads, self.size = n_heads, d_model // n_heads
        self.W_Q = nn.Parameter(torch.randn(d_model, d_model) * d_model**-0.5)
        self.W_K = nn.Parameter(torch.randn(d_model, d_model) * d_model**-0.5)
        self.W_V = nn.Parameter(torch.randn(d_model, d_model) * d_model**-0.5)
        self.W_O = nn.Parameter(torch.randn(d_model, d_model) * d_model**-0.5)

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ValueError(f"x {list(x.shape)} does not fit W_Q {list(self.W_Q.shape)}")
        if mask is not None and mask.ndim > 2:
            mask = mask.unsqueeze(-3)
        split = (*x.shape[:-1], self.heads, self.size)
        q, k, v = [(x @ w).reshape(split).movedim(-2, -3) for w in (self.W_Q, self.W_K, self.W_V)]
        return scaled_dot_product_attention(q, k, v, mask).movedim(-3, -2).flatten(start_dim=-2) @ self.W_O


def score_rank(q, k):
    if q.ndim != 2 or k.ndim != 2 or q.shape[1] != k.shape[1] or q.shape[1] == 0:
        raise ValueError("score_rank wants matrices of the same width")
    if q.shape[0] * k.shape[0] == 0:
        return 0
    values = torch.linalg.svd(q.to(torch.double) @ k.to(torch.double).T)[1]
    return values.gt(values[0] * 1e-10).sum().item()


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    if v.ndim < 2 or v.shape[-2] != k.shape[-2]:
        raise ValueError(f"{list(k.shape)} keys but {list(v.shape)} values")
    attention_weights(q, k)  # for its checks
    if rank < 1 or rank > q.shape[-2] or rank > k.shape[-2]:
        raise ValueError(f"no approximation of rank {rank}")
    u, s, vh = torch.linalg.svd((q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2), full_matrices=False)
    root = s[..., :rank].sqrt()
    left, right = u[..., :rank] * root.unsqueeze(-2), vh[..., :rank, :] * root.unsqueeze(-1)
    return F.softmax(left @ right, dim=-1) @ v


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    if bandwidth <= 0:
        raise ValueError("the bandwidth must be positive")
    if min(queries.ndim, keys.ndim, values.ndim) < 2 or queries.shape[-1] != keys.shape[-1]:
        raise ValueError("queries and keys do not fit")
    if values.shape[-2] != keys.shape[-2] or keys.shape[-2] == 0:
        raise ValueError("one value per key, and at least one key")
    try:
        d = torch.cdist(queries, keys)
    except RuntimeError as problem:
        raise ValueError("the batches of queries and keys do not broadcast") from problem
    nearest = d.min(dim=-1, keepdim=True).values
    h = max(bandwidth, torch.finfo(d.dtype).tiny)
    # d^2 - n^2 = (d - n) (d + n)
    return F.softmax((d - nearest) / h * ((d + nearest) / h) / -2, dim=-1) @ values
