"""The softmax as a torch.autograd.Function with a backward pass of its own, and torch.vmap for the stacks of problems."""

import math

import torch
from torch import nn


class MaskedSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, mask):
        if scores.shape[-1] == 0:
            weights = scores.clone()
        else:
            lowest = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
            weights = torch.exp(lowest - lowest.max(-1, keepdim=True).values) * mask
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(torch.finfo(scores.dtype).tiny)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx, grad):
        (weights,) = ctx.saved_tensors
        return weights * (grad - (grad * weights).sum(-1, keepdim=True)), None


def inspect_arguments(q, k, mask=None, v=None):
    tensors = [t for t in (q, k, v) if t is not None]
    if any(t.ndim < 2 for t in tensors):
        raise ValueError("every argument needs two dimensions or more")
    if q.shape[-1] != k.shape[-1] or q.shape[-1] == 0:
        raise ValueError("d_k differs")
    if v is not None and v.shape[-2] != k.shape[-2]:
        raise ValueError("the numbers of keys and values differ")
    try:
        lead = torch.broadcast_shapes(*[t.shape[:-2] for t in tensors])
        shape = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]) + (q.shape[-2], k.shape[-2])
        too_large = mask is not None and torch.broadcast_shapes(mask.shape, shape) != shape
    except RuntimeError as error:
        raise ValueError("shapes do not broadcast") from error
    if too_large or (mask is not None and mask.dtype != torch.bool):
        raise ValueError("the mask must be boolean and fit the scores")
    return lead, shape


def attention_weights(q, k, mask=None):
    _, shape = inspect_arguments(q, k, mask)
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask.expand(shape)
    return MaskedSoftmax.apply(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), mask)


def scaled_dot_product_attention(q, k, v, mask=None):
    inspect_arguments(q, k, mask, v)
    return attention_weights(q, k, mask) @ v


def vjp_of_one(q, k, g):
    a = torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), -1)
    h = (a * g - a * (a * g).sum(-1, keepdim=True)) / math.sqrt(q.shape[-1])
    return h @ k, h.T @ q


def attention_weights_vjp(q, k, grad_weights):
    lead, shape = inspect_arguments(q, k)
    if tuple(grad_weights.shape) != tuple(shape) or q.shape[:-2] != k.shape[:-2]:
        raise ValueError("grad_weights does not have the shape of the weights")
    function = vjp_of_one
    for _ in lead:
        function = torch.vmap(function)
    return function(q, k, grad_weights)


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        if not (d_model >= 1 and d_k >= 1 and d_v >= 1):
            raise ValueError("sizes must be at least 1")
        scale = torch.tensor(1.0 / d_model).sqrt()
        self.W_Q = nn.Parameter(scale * torch.randn(d_model, d_k))
        self.W_K = nn.Parameter(scale * torch.randn(d_model, d_k))
        self.W_V = nn.Parameter(scale * torch.randn(d_model, d_v))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != len(self.W_Q):
            raise ValueError("x must be (..., L, d_model)")
        return scaled_dot_product_attention(x @ self.W_Q, x @ self.W_K, x @ self.W_V, mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model % n_heads != 0:
            raise ValueError("n_heads must divide d_model")
        self.n_heads = n_heads
        scale = torch.tensor(1.0 / d_model).sqrt()
        self.W_Q = nn.Parameter(scale * torch.randn(d_model, d_model))
        self.W_K = nn.Parameter(scale * torch.randn(d_model, d_model))
        self.W_V = nn.Parameter(scale * torch.randn(d_model, d_model))
        self.W_O = nn.Parameter(scale * torch.randn(d_model, d_model))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != len(self.W_Q):
            raise ValueError("x must be (..., L, d_model)")
        q, k, v = ((x @ w).tensor_split(self.n_heads, dim=-1) for w in (self.W_Q, self.W_K, self.W_V))
        heads = [scaled_dot_product_attention(*head, mask) for head in zip(q, k, v)]
        return torch.concat(heads, dim=-1) @ self.W_O


def score_rank(q, k):
    if q.ndim != 2 or k.ndim != 2:
        raise ValueError("score_rank takes two matrices")
    inspect_arguments(q, k)
    singular_values = torch.linalg.svdvals(q.double() @ k.double().T)
    largest = max(singular_values.tolist(), default=0.0)
    return sum(value > 1e-10 * largest for value in singular_values.tolist())


def low_rank_attention(q, k, v, rank):
    lead, shape = inspect_arguments(q, k, v=v)
    if not 1 <= rank <= min(shape[-2:]):
        raise ValueError("rank must lie between 1 and the smaller side of the scores")

    def one(q, k, v):
        u, s, vh = torch.linalg.svd(q @ k.T / math.sqrt(q.shape[-1]), full_matrices=False)
        s = torch.cat([s[:rank], torch.zeros_like(s[rank:])])
        return torch.softmax(u @ torch.diag(s) @ vh, -1) @ v

    for _ in lead:
        one = torch.vmap(one)
    return one(*(t.expand(lead + t.shape[-2:]) for t in (q, k, v)))


def kernel_regression(queries, keys, values, bandwidth):
    lead, _ = inspect_arguments(queries, keys, v=values)
    if not bandwidth > 0 or keys.shape[-2] == 0:
        raise ValueError("the bandwidth must be positive, and there must be a key")
    h = max(bandwidth, torch.finfo(queries.dtype).tiny)

    def at(query, keys, values):
        squared = (query - keys).square().sum(-1)
        return torch.softmax((squared.min() - squared) / h / h / 2, 0) @ values

    function = torch.vmap(at, in_dims=(0, None, None))
    for _ in lead:
        function = torch.vmap(function)
    return function(*(t.expand(lead + t.shape[-2:]) for t in (queries, keys, values)))
