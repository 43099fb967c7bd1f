"""The softmax as exp(scores - logsumexp(scores)), everywhere."""

import math

import numpy as np
import torch
import torch.nn as nn


class ShapeProblem(ValueError):
    pass


def _scores(q, k):
    if min(q.dim(), k.dim()) < 2:
        raise ShapeProblem("q and k need at least 2 dimensions")
    if q.shape[-1] != k.shape[-1]:
        raise ShapeProblem("q and k have different d_k")
    if q.shape[-1] == 0:
        raise ShapeProblem("d_k is zero")
    try:
        return torch.matmul(q, k.mT).mul(q.shape[-1] ** -0.5)
    except RuntimeError as e:
        raise ShapeProblem("q and k do not broadcast") from e


def _values_fit(k, v):
    if v.dim() < 2 or v.shape[-2] != k.shape[-2]:
        raise ShapeProblem("each key needs exactly one value")


def _mask_fits(mask, scores):
    if mask.dtype != torch.bool:
        raise ShapeProblem("the mask has to be boolean")
    try:
        return mask.expand(scores.shape)
    except RuntimeError as e:
        raise ShapeProblem("the mask does not fit the scores") from e


def attention_weights(q, k, mask=None):
    scores = _scores(q, k)
    if mask is None:
        return torch.exp(scores - torch.logsumexp(scores, -1, keepdim=True))
    mask = _mask_fits(mask, scores)
    log_total = torch.logsumexp(torch.where(mask, scores, -1e30), -1, keepdim=True)
    # where nothing is allowed the exponent would be of order 1e30, so it is cut off before exp
    return torch.where(mask, torch.exp(torch.where(mask, scores - log_total, 0.0)), 0.0)


def scaled_dot_product_attention(q, k, v, mask=None):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    _values_fit(k, v)
    weights = attention_weights(q, k, mask)
    try:
        return torch.matmul(weights, v)
    except RuntimeError as e:
        raise ShapeProblem("v does not broadcast with q and k") from e


def attention_weights_vjp(q, k, grad_weights):
    scores = _scores(q, k)
    if q.shape[:-2] != k.shape[:-2]:
        raise ShapeProblem("leading dimensions differ")
    if grad_weights.shape != scores.shape:
        raise ShapeProblem("grad_weights has the wrong shape")
    a = torch.exp(scores - torch.logsumexp(scores, -1, keepdim=True))
    g = a * grad_weights
    ds = torch.addcmul(g, a, g.sum(-1, keepdim=True), value=-1).div(q.shape[-1] ** 0.5)
    return ds.matmul(k), ds.mT.matmul(q)


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        if not all(n >= 1 for n in (d_model, d_k, d_v)):
            raise ValueError("sizes must be positive")
        self.W_Q = nn.Parameter(torch.empty(d_model, d_k))
        self.W_K = nn.Parameter(torch.empty(d_model, d_k))
        self.W_V = nn.Parameter(torch.empty(d_model, d_v))
        for p in self.parameters():
            nn.init.normal_(p, std=d_model**-0.5)

    def forward(self, x, mask=None):
        if x.dim() < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ShapeProblem("x has the wrong shape")
        return scaled_dot_product_attention(*(torch.matmul(x, w) for w in self.parameters()), mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model // n_heads * n_heads != d_model:
            raise ValueError("n_heads must divide d_model")
        self.n_heads = n_heads
        self.W_O = nn.Parameter(torch.empty(d_model, d_model))
        self.W_V = nn.Parameter(torch.empty(d_model, d_model))
        self.W_K = nn.Parameter(torch.empty(d_model, d_model))
        self.W_Q = nn.Parameter(torch.empty(d_model, d_model))
        for p in self.parameters():
            nn.init.normal_(p, std=d_model**-0.5)

    def forward(self, x, mask=None):
        if x.dim() < 2 or x.shape[-1] != self.W_O.shape[0]:
            raise ShapeProblem("x has the wrong shape")
        if mask is not None:
            mask = _mask_fits(mask, x.new_empty(*x.shape[:-1], x.shape[-2])).unsqueeze(-3)
        q, k, v = (
            torch.matmul(x, w).view(*x.shape[:-1], self.n_heads, -1).transpose(-2, -3) for w in (self.W_Q, self.W_K, self.W_V)
        )
        heads = scaled_dot_product_attention(q, k, v, mask)
        return torch.matmul(heads.transpose(-2, -3).reshape(x.shape), self.W_O)


def score_rank(q, k):
    if q.dim() != 2 or k.dim() != 2:
        raise ShapeProblem("two-dimensional tensors only")
    scores = _scores(q.to(torch.float64), k.to(torch.float64))
    if scores.numel() == 0:
        return 0
    s = torch.linalg.svdvals(scores)
    return len([x for x in s.tolist() if x > s.max().item() * 1e-10])


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    _values_fit(k, v)
    scores = _scores(q, k)
    if rank not in range(1, min(scores.shape[-2:]) + 1):
        raise ShapeProblem("rank out of range")
    u, s, vh = torch.linalg.svd(scores, full_matrices=False)
    s[..., rank:] = 0
    scores = u @ torch.diag_embed(s) @ vh
    return torch.exp(scores - scores.logsumexp(-1, True)) @ v


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    if not bandwidth > 0:
        raise ValueError("bandwidth must be positive")
    _scores(queries, keys)
    _values_fit(keys, values)
    if keys.shape[-2] == 0:
        raise ShapeProblem("no data")
    squared = torch.sum((queries.unsqueeze(-2) - keys.unsqueeze(-3)) ** 2, -1)
    further = squared - squared.amin(-1, keepdim=True)
    h = max(bandwidth, torch.finfo(squared.dtype).tiny)
    logs = (further / h / h).mul(-0.5)
    return torch.exp(logs - logs.logsumexp(-1, True)) @ values
