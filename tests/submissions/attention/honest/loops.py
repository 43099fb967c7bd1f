"""Plain Python loops over queries and keys, one number at a time where possible. Slow, and right."""

import itertools
import math

import torch
from torch import nn


def fit(*shapes):
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError:
        raise ValueError(f"shapes {shapes} do not fit") from None


def problems(*tensors):
    """Expand the leading dimensions against each other and list the single problems."""
    lead = fit(*[t.shape[:-2] for t in tensors])
    expanded = [t.expand(lead + t.shape[-2:]) for t in tensors]
    places = list(itertools.product(*[range(n) for n in lead]))
    return lead, [[t[place] for t in expanded] for place in places]


def pack(lead, results, like, shape):
    return torch.stack(results).reshape(lead + shape) if results else like.new_zeros(lead + shape)


def validate(q, k, mask=None, v=None):
    if q.ndim < 2 or k.ndim < 2 or (v is not None and v.ndim < 2):
        raise ValueError("need at least two dimensions")
    if q.shape[-1] != k.shape[-1] or q.shape[-1] < 1:
        raise ValueError("q and k need the same d_k")
    if v is not None and v.shape[-2] != k.shape[-2]:
        raise ValueError("as many values as keys")
    shape = fit(q.shape[:-2], k.shape[:-2]) + (q.shape[-2], k.shape[-2])
    if mask is not None and mask.dtype != torch.bool:
        raise ValueError("mask must be a boolean tensor")
    if mask is not None and fit(mask.shape, shape) != shape:
        raise ValueError("mask does not fit")
    return shape


def softmax_of(scores):
    """Softmax of a list of 0-d tensors."""
    top = max(s.item() for s in scores)
    powers = [torch.exp(s - top) for s in scores]
    total = sum(powers)
    return [p / total for p in powers]


def weights_of_one(q, k, mask):
    rows = []
    for i in range(len(q)):
        allowed = [j for j in range(len(k)) if mask[i, j]]
        row = [q.new_zeros(()) for _ in range(len(k))]
        if allowed:
            scores = [(q[i] * k[j]).sum() / math.sqrt(q.shape[1]) for j in allowed]
            for j, weight in zip(allowed, softmax_of(scores)):
                row[j] = weight
        rows.append(torch.stack(row) if row else q.new_zeros(0))
    return torch.stack(rows) if rows else q.new_zeros(0, len(k))


def attention_weights(q, k, mask=None):
    shape = validate(q, k, mask)
    mask = torch.ones(shape, dtype=torch.bool) if mask is None else mask.expand(shape)
    lead, jobs = problems(q, k, mask)
    return pack(lead, [weights_of_one(*job) for job in jobs], q, shape[-2:])


def average(weights, v):
    """Each row of weights times the values."""
    rows = []
    for row in weights:
        total = v.new_zeros(v.shape[-1])
        for weight, value in zip(row, v):
            total = total + weight * value
        rows.append(total)
    return torch.stack(rows) if rows else v.new_zeros(0, v.shape[-1])


def scaled_dot_product_attention(q, k, v, mask=None):
    shape = validate(q, k, mask, v)
    lead, jobs = problems(attention_weights(q, k, mask), v)
    return pack(lead, [average(*job) for job in jobs], q, (shape[-2], v.shape[-1]))


def vjp_of_one(q, k, g):
    a = weights_of_one(q, k, torch.ones(len(q), len(k), dtype=torch.bool))
    grad_q, grad_k = torch.zeros_like(q), torch.zeros_like(k)
    for i in range(len(q)):
        mean = sum(a[i, m] * k[m] for m in range(len(k)))
        for j in range(len(k)):
            grad_q[i] += g[i, j] * a[i, j] * (k[j] - mean)
            for p in range(len(k)):
                grad_k[p] += g[i, j] * a[i, j] * (float(j == p) - a[i, p]) * q[i]
    return grad_q / math.sqrt(q.shape[1]), grad_k / math.sqrt(q.shape[1])


def attention_weights_vjp(q, k, grad_weights):
    shape = validate(q, k)
    if q.shape[:-2] != k.shape[:-2] or tuple(grad_weights.shape) != tuple(shape):
        raise ValueError("grad_weights must have the shape of the weights")
    lead, jobs = problems(q, k, grad_weights)
    pairs = [vjp_of_one(*job) for job in jobs]
    return pack(lead, [a for a, _ in pairs], q, q.shape[-2:]), pack(lead, [b for _, b in pairs], k, k.shape[-2:])


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        for size in (d_model, d_k, d_v):
            if size < 1:
                raise ValueError("every size must be at least one")
        self.W_Q = nn.Parameter(torch.randn(d_model, d_k) / math.sqrt(d_model))
        self.W_K = nn.Parameter(torch.randn(d_model, d_k) / math.sqrt(d_model))
        self.W_V = nn.Parameter(torch.randn(d_model, d_v) / math.sqrt(d_model))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ValueError("x has the wrong width")
        return scaled_dot_product_attention(x @ self.W_Q, x @ self.W_K, x @ self.W_V, mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1:
            raise ValueError("every size must be at least one")
        if d_model % n_heads != 0:
            raise ValueError("d_model must be a multiple of n_heads")
        self.n_heads = n_heads
        self.W_Q = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.W_K = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.W_V = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.W_O = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ValueError("x has the wrong width")
        width = x.shape[-1] // self.n_heads
        outputs = []
        for head in range(self.n_heads):
            columns = slice(head * width, (head + 1) * width)
            q, k, v = x @ self.W_Q[:, columns], x @ self.W_K[:, columns], x @ self.W_V[:, columns]
            outputs.append(scaled_dot_product_attention(q, k, v, mask))
        return torch.cat(outputs, dim=-1) @ self.W_O


def score_rank(q, k):
    if q.ndim != 2 or k.ndim != 2:
        raise ValueError("score_rank wants matrices")
    shape = validate(q, k)
    if 0 in shape:
        return 0
    rank, values = 0, torch.linalg.svd(q.double() @ k.double().T).S
    for value in values:
        if value > 1e-10 * values[0]:
            rank += 1
    return rank


def low_rank_attention(q, k, v, rank):
    shape = validate(q, k, None, v)
    if rank < 1 or rank > min(shape[-2:]):
        raise ValueError("rank out of range")

    def one(q, k, v):
        u, s, vh = torch.linalg.svd(q @ k.T / math.sqrt(q.shape[1]))
        scores = torch.zeros(len(q), len(k), dtype=q.dtype)
        for t in range(rank):
            scores += s[t] * torch.outer(u[:, t], vh[t])
        return average(torch.stack([torch.stack(softmax_of(list(row))) for row in scores]), v)

    lead, jobs = problems(q, k, v)
    return pack(lead, [one(*job) for job in jobs], q, (shape[-2], v.shape[-1]))


def kernel_regression(queries, keys, values, bandwidth):
    shape = validate(queries, keys, None, values)
    if bandwidth <= 0 or shape[-1] == 0:
        raise ValueError("need a positive bandwidth and a key")

    def one(queries, keys, values):
        rows = []
        for query in queries:
            squared = [((query - key) ** 2).sum() for key in keys]
            nearest = min(s.item() for s in squared)
            h = max(bandwidth, torch.finfo(query.dtype).tiny)
            rows.append(torch.stack(softmax_of([-(s - nearest) / h / h / 2 for s in squared])))
        return average(rows, values)

    lead, jobs = problems(queries, keys, values)
    return pack(lead, [one(*job) for job in jobs], queries, (shape[-2], values.shape[-1]))
