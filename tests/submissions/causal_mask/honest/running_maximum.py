"""Attention over blocks of keys with a running maximum, never the whole matrix; batched gradients; a mask by numpy."""

import time

import numpy as np
import torch
import torch.nn.functional as F

BLOCK = 3


def causal_mask(n, m=None):
    m = n if m is None else m
    if n < 0 or m < n:
        raise ValueError(f"a mask of {n} by {m}")
    return torch.from_numpy(np.tri(n, m, m - n, dtype=bool))


def lead_of(q, k, v):
    if min(q.ndim, k.ndim, v.ndim) < 2 or q.shape[-1] != k.shape[-1] or q.shape[-1] == 0:
        raise ValueError("q, k, v do not fit")
    if k.shape[-2] != v.shape[-2]:
        raise ValueError("keys and values differ in number")
    return np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])


def over_blocks(q, k, v, first):
    """Softmax-weighted means where query i sees the keys up to first + i."""
    lead, n, t = lead_of(q, k, v), q.shape[-2], k.shape[-2]
    places = torch.arange(first, first + n).unsqueeze(1)
    largest = q.new_full((*lead, n, 1), torch.finfo(q.dtype).min)
    total, out = q.new_zeros(*lead, n, 1), q.new_zeros(*lead, n, v.shape[-1])
    for start in range(0, t, BLOCK):
        keys, values = k[..., start : start + BLOCK, :], v[..., start : start + BLOCK, :]
        seen = torch.arange(start, start + keys.shape[-2]) <= places
        scores = (q @ keys.mT * q.shape[-1] ** -0.5).masked_fill(~seen, torch.finfo(q.dtype).min)
        new = torch.maximum(largest, scores.amax(-1, keepdim=True))
        share, weights = (largest - new).exp(), (scores - new).exp() * seen
        total, out, largest = (
            total * share + weights.sum(-1, keepdim=True),
            out * share + weights @ values,
            new,
        )
    return out / total


def causal_attention(q, k, v):
    lead_of(q, k, v)
    if q.shape[-2] != k.shape[-2]:
        raise ValueError("q and k differ in length")
    return over_blocks(q, k, v, 0)


def influence(q, k, v):
    if not q.ndim == k.ndim == v.ndim == 2:
        raise ValueError("matrices only")
    leaf = v.detach().clone().requires_grad_()
    out = causal_attention(q.detach(), k.detach(), leaf)
    if not out.numel():
        return v.new_zeros(0, 0)
    units = torch.eye(out.numel(), dtype=v.dtype).reshape(-1, *out.shape)
    (rows,) = torch.autograd.grad(out, leaf, units, is_grads_batched=True)
    return rows.reshape(*out.shape, *v.shape).square().sum((1, 3)).sqrt()


def decode_step(q_t, k_cache, v_cache):
    lead_of(q_t, k_cache, v_cache)
    if q_t.shape[-2] != 1 or k_cache.shape[-2] == 0:
        raise ValueError("one query, and at least one key")
    return over_blocks(q_t, k_cache, v_cache, k_cache.shape[-2] - 1)


def time_attention(n, d, repeats):
    if n < 1 or d < 1 or repeats < 1:
        raise ValueError("too small")
    qkv, readings = torch.randn(3, 2, 2, n, d), torch.zeros(2, repeats, dtype=torch.float64)
    for row, function in enumerate((causal_attention, F.scaled_dot_product_attention)):
        arguments = {"is_causal": True} if row else {}
        for column in range(repeats):
            start = time.perf_counter()
            function(*qkv, **arguments)
            readings[row, column] = time.perf_counter() - start
    own, library = readings.median(dim=1).values.tolist()
    return dict(zip(("own_seconds", "torch_seconds", "ratio"), (own, library, own / library), strict=True))
