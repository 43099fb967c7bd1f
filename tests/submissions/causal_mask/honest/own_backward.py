"""The backward pass by formula in a torch.autograd.Function; decoding as one pass over the cache with a running maximum."""

import math
import statistics
import time

import torch
import torch.nn as nn


def causal_mask(n, m=None):
    m = n if m is None else m
    if n < 0 or n > m:
        raise ValueError(f"n = {n} and m = {m} do not fit")
    marks = torch.zeros(n, m + 1, dtype=torch.long)
    marks[torch.arange(n), torch.arange(n) + (m - n) + 1] = 1  # one step right of the border
    return marks[:, :m].cumsum(1) == 0


class Causal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q, k, v):
        scale = 1 / math.sqrt(q.shape[-1])
        weights = torch.softmax(
            torch.where(causal_mask(q.shape[-2]), q @ k.mT * scale, torch.tensor(-math.inf, dtype=q.dtype)), -1
        )
        ctx.save_for_backward(q, k, v, weights)
        ctx.scale = scale
        return weights @ v

    @staticmethod
    def backward(ctx, grad):
        q, k, v, weights = ctx.saved_tensors
        to_weights = grad @ v.mT
        to_scores = weights * (to_weights - (to_weights * weights).sum(-1, keepdim=True)) * ctx.scale
        return to_scores @ k, to_scores.mT @ q, weights.mT @ grad


def require_fit(q, k, v):
    if q.dim() < 2 or k.dim() < 2 or v.dim() < 2:
        raise ValueError("q, k, v: two dimensions or more")
    if q.shape[-1] != k.shape[-1] or q.shape[-1] < 1 or k.shape[-2] != v.shape[-2]:
        raise ValueError("q, k, v do not fit together")
    meta = [torch.empty((*x.shape[:-2], 1), device="meta") for x in (q, k, v)]
    try:
        return (meta[0] + meta[1] + meta[2]).shape[:-1]
    except RuntimeError:
        raise ValueError("leading dimensions do not fit together") from None


def causal_attention(q, k, v):
    lead = require_fit(q, k, v)
    if q.shape[-2] != k.shape[-2]:
        raise ValueError("q and k: the same length")
    return Causal.apply(*(x.expand(*lead, *x.shape[-2:]) for x in (q, k, v)))


def influence(q, k, v):
    if q.dim() != 2 or k.dim() != 2 or v.dim() != 2:
        raise ValueError("no batches here")
    require_fit(q, k, v)
    if len(q) != len(k):
        raise ValueError("q and k: the same length")
    n, d_v = v.shape
    values = nn.Parameter(v.detach().clone())
    out = causal_attention(q.detach(), k.detach(), values)
    result = []
    for i in range(n):
        rows = torch.stack([torch.autograd.grad(x, values, retain_graph=True)[0] for x in out[i].unbind()])
        result.append(torch.linalg.vector_norm(rows, dim=(0, 2)))
    return torch.stack(result) if result else v.new_empty(0, 0)


def decode_step(q_t, k_cache, v_cache):
    require_fit(q_t, k_cache, v_cache)
    if q_t.shape[-2] != 1:
        raise ValueError("a single query")
    if not k_cache.shape[-2]:
        raise ValueError("an empty cache")
    largest = total = out = None
    for key, value in zip(k_cache.unbind(-2), v_cache.unbind(-2)):
        score = (q_t[..., 0, :] * key).sum(-1, keepdim=True) / math.sqrt(key.shape[-1])
        if largest is None:
            largest, total, out = score, torch.ones_like(score), value
            continue
        new = torch.maximum(largest, score)
        old_share, share = (largest - new).exp(), (score - new).exp()
        largest, total, out = new, total * old_share + share, out * old_share + share * value
    shape = torch.Size([*(q_t[..., 0, :1] + k_cache[..., 0, :1] + v_cache[..., 0, :1]).shape[:-1], v_cache.shape[-1]])
    return (out / total).expand(shape).unsqueeze(-2)


def time_attention(n, d, repeats):
    for size in (n, d, repeats):
        if size < 1:
            raise ValueError(f"{size} is less than 1")
    tensors = [torch.randn(1, 2, n, d, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    mask = causal_mask(n)
    functions = [causal_attention, lambda q, k, v: nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)]
    medians = []
    for function in functions:
        readings = []
        for _ in range(repeats):
            start = time.monotonic()
            function(*tensors)
            readings.append(max(time.monotonic() - start, 1e-9))
        medians.append(statistics.median_low(readings))
    own, library = medians
    return {"own_seconds": own, "torch_seconds": library, "ratio": own / library}
