"""No mask at all in the attention: position i is given the first i + 1 keys, one position after the other."""

import time

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention as theirs


def causal_mask(n, m=None):
    m = m if m is not None else n
    if n < 0:
        raise ValueError("a negative number of queries")
    if m < n:
        raise ValueError("fewer keys than queries")
    mask = torch.zeros((n, m), dtype=torch.bool)
    for i in range(n):
        mask[i, : m - n + i + 1] = True
    return mask


def check(q, k, v):
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise ValueError("at least two dimensions")
    if q.shape[-1] != k.shape[-1] or q.shape[-1] == 0:
        raise ValueError("q and k differ in width")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError("one value per key")
    return np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # raises ValueError by itself


def one_row(query, keys, values):
    """A weighted mean by hand: (..., 1, d), (..., t, d), (..., t, d_v)."""
    scores = (query * keys).sum(-1, keepdim=True) / keys.shape[-1] ** 0.5
    weights = torch.exp(scores - scores.max(dim=-2, keepdim=True).values)
    return (weights * values).sum(-2, keepdim=True) / weights.sum(-2, keepdim=True)


def causal_attention(q, k, v):
    lead = check(q, k, v)
    n = q.shape[-2]
    if n != k.shape[-2]:
        raise ValueError("as many queries as keys")
    if n == 0:
        return v.new_zeros(*lead, 0, v.shape[-1])
    return torch.cat([one_row(q[..., i : i + 1, :], k[..., : i + 1, :], v[..., : i + 1, :]) for i in range(n)], -2)


def influence(q, k, v):
    if {q.ndim, k.ndim, v.ndim} != {2}:
        raise ValueError("two dimensions each")
    check(q, k, v)
    if q.shape[0] != k.shape[0]:
        raise ValueError("as many queries as keys")
    n, d_v = v.shape
    total = torch.zeros(n, n, dtype=v.dtype)
    for a in range(d_v):
        for i in range(n):
            leaf = v.detach().clone()
            leaf.requires_grad = True
            causal_attention(q, k, leaf)[i, a].backward()
            total[i] += leaf.grad.pow(2).sum(1)
    return total**0.5


def decode_step(q_t, k_cache, v_cache):
    check(q_t, k_cache, v_cache)
    if q_t.shape[-2] != 1:
        raise ValueError("one query at a time")
    if k_cache.shape[-2] == 0:
        raise ValueError("nothing in the cache")
    return one_row(q_t, k_cache, v_cache)


def time_attention(n, d, repeats):
    if min(n, d, repeats) < 1:
        raise ValueError("n, d, repeats: at least 1")
    x = torch.rand(2, n, d, dtype=torch.float64)

    def clock(function):
        readings = []
        for _ in range(repeats):
            before = time.perf_counter_ns()
            function()
            readings.append((time.perf_counter_ns() - before) * 1e-9)
        return float(np.median(readings))

    theirs(x, x, x, is_causal=True)
    torch_seconds = clock(lambda: theirs(x, x, x, is_causal=True))
    own_seconds = clock(lambda: causal_attention(x, x, x))
    return {"ratio": own_seconds / torch_seconds, "own_seconds": own_seconds, "torch_seconds": torch_seconds}
