"""Masks from comparing places, einsum everywhere, the library's jacobian, and timeit."""

import math
import statistics
import timeit

import torch
import torch.nn.functional as F
from torch import einsum


def causal_mask(n, m=None):
    if m is None:
        m = n
    if n < 0 or m < n:
        raise ValueError(f"no causal mask for {n} queries and {m} keys")
    return torch.arange(m)[None, :] <= torch.arange(m - n, m)[:, None]


def fit(q, k, v):
    if q.dim() < 2 or k.dim() < 2 or v.dim() < 2:
        raise ValueError("matrices, or stacks of them")
    if q.size(-1) != k.size(-1) or not q.size(-1) or k.size(-2) != v.size(-2):
        raise ValueError("sizes do not fit")
    for shapes in zip(*(reversed((1,) * 9 + tuple(x.shape[:-2])) for x in (q, k, v))):
        if len(set(shapes) - {1}) > 1:
            raise ValueError("leading dimensions do not broadcast")


def attend(q, k, v, mask):
    scores = einsum("...id,...jd->...ij", q, k) * q.size(-1) ** -0.5
    scores = torch.where(mask, scores, torch.finfo(scores.dtype).min)
    return einsum("...ij,...jd->...id", scores.softmax(-1), v)


def causal_attention(q, k, v):
    fit(q, k, v)
    if q.size(-2) != k.size(-2):
        raise ValueError("q and k must be equally long")
    return attend(q, k, v, causal_mask(q.size(-2)))


def influence(q, k, v):
    if not q.dim() == k.dim() == v.dim() == 2:
        raise ValueError("matrices, please")
    fit(q, k, v)
    if len(q) != len(k):
        raise ValueError("q and k must be equally long")
    if len(q) == 0:
        return v.new_zeros(0, 0)
    jacobian = torch.autograd.functional.jacobian(lambda values: causal_attention(q, k, values), v)
    return torch.linalg.matrix_norm(jacobian.transpose(1, 2))


def decode_step(q_t, k_cache, v_cache):
    fit(q_t, k_cache, v_cache)
    if q_t.size(-2) != 1 or k_cache.size(-2) < 1:
        raise ValueError("one query and at least one key")
    return attend(q_t, k_cache, v_cache, causal_mask(1, k_cache.size(-2)))


def time_attention(n, d, repeats):
    if n < 1 or d < 1 or repeats < 1:
        raise ValueError("all three must be positive")
    q, k, v = torch.randn(3, n, d).unbind()
    own = statistics.median(timeit.repeat(lambda: causal_attention(q, k, v), number=1, repeat=repeats))
    library = statistics.median(
        timeit.repeat(lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), number=1, repeat=repeats)
    )
    return dict(own_seconds=own, torch_seconds=library, ratio=own / library)
