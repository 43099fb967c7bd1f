"""The exponentials written out, an additive mask of -1e30, batched gradients, and a sum of logarithms."""

import math
import time

import torch
import torch.nn.functional as F


def causal_mask(n, m=None):
    m = n if m is None else m
    if not 0 <= n <= m:
        raise ValueError("0 <= n <= m must hold")
    return ~torch.ones(m, m).triu(1).bool()[m - n :]


def sizes(q, k, v, square):
    bad = q.ndim < 2 or k.ndim < 2 or v.ndim < 2
    if bad or q.shape[-1] != k.shape[-1] or q.shape[-1] < 1 or k.shape[-2] != v.shape[-2]:
        raise ValueError("the shapes of q, k, v do not fit")
    if square and q.shape[-2] != k.shape[-2]:
        raise ValueError("q and k have different lengths")
    try:
        torch.broadcast_tensors(q[..., :1, :1].sum((-2, -1)), k[..., :1, :1].sum((-2, -1)), v[..., :1, :1].sum((-2, -1)))
    except RuntimeError as problem:
        raise ValueError(str(problem)) from problem


def causal_attention(q, k, v):
    sizes(q, k, v, square=True)
    n = q.shape[-2]
    if n == 0:
        return q[..., :1] @ k[..., :1].transpose(-1, -2) @ v
    penalty = torch.zeros(n, n, dtype=q.dtype).masked_fill_(~causal_mask(n), -1e30)
    scores = (q / math.sqrt(math.sqrt(q.shape[-1]))) @ (k / math.sqrt(math.sqrt(k.shape[-1]))).mT + penalty
    scores = scores - scores.detach().amax(-1, keepdim=True)
    weights = scores.exp() * causal_mask(n)
    return (weights @ v) / weights.sum(-1)[..., None]


def influence(q, k, v):
    if q.ndim != 2 or k.ndim != 2 or v.ndim != 2:
        raise ValueError("q, k and v must be matrices")
    sizes(q, k, v, square=True)
    n, d_v = v.shape
    # All values at once: d_v * n copies of the sequence in a batch, each with a leaf of its own.
    leaf = v.detach().expand(n * d_v, n, d_v).clone().requires_grad_()
    out = causal_attention(q.detach(), k.detach(), leaf)
    picked = out.reshape(n * d_v, n * d_v).diagonal().sum()
    (gradient,) = torch.autograd.grad(picked, leaf)
    return gradient.reshape(n, d_v, n, d_v).norm(dim=(1, 3))


def decode_step(q_t, k_cache, v_cache):
    sizes(q_t, k_cache, v_cache, square=False)
    if q_t.shape[-2] != 1 or k_cache.shape[-2] < 1:
        raise ValueError("one query, and a cache with something in it")
    logits = torch.matmul(q_t, k_cache.mT).div(k_cache.shape[-1] ** 0.5)
    return (logits - logits.logsumexp(-1, keepdim=True)).exp().matmul(v_cache)


def time_attention(n, d, repeats):
    if n <= 0 or d <= 0 or repeats <= 0:
        raise ValueError("positive numbers, please")
    q, k, v = torch.randn(n, d), torch.randn(n, d), torch.randn(n, d)
    mine, yours = [], []
    with torch.no_grad():
        for _ in range(repeats + 2):
            t0 = time.perf_counter()
            causal_attention(q, k, v)
            t1 = time.perf_counter()
            F.scaled_dot_product_attention(q[None, None], k[None, None], v[None, None], is_causal=True)
            t2 = time.perf_counter()
            mine.append(t1 - t0)
            yours.append(t2 - t1)
    own, library = sorted(mine[2:])[repeats // 2], sorted(yours[2:])[repeats // 2]
    return {"own_seconds": own, "torch_seconds": library, "ratio": own / library}
