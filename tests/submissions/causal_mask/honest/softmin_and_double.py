"""Softmin of negative scores in float64, cast back; torch.func for the Jacobians; a column of scores; timeit.Timer."""

import math
import timeit

import torch
import torch.nn.functional as F


def causal_mask(n, m=None):
    if m is None:
        m = n
    if n < 0 or m < n:
        raise ValueError("n queries need at least n keys")
    mask = torch.ones(n, m, dtype=torch.bool)
    rows, columns = torch.triu_indices(n, m, offset=m - n + 1)
    mask[rows, columns] = False
    return mask


def refuse(condition, text):
    if condition:
        raise ValueError(text)


def check(q, k, v):
    refuse(q.dim() < 2 or k.dim() < 2 or v.dim() < 2, "too few dimensions")
    refuse(q.shape[-1] != k.shape[-1] or not q.shape[-1], "widths")
    refuse(k.shape[-2] != v.shape[-2], "numbers of keys and values")
    try:
        torch.broadcast_tensors(*(torch.empty(x.shape[:-2]) for x in (q, k, v)))
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def causal_attention(q, k, v):
    check(q, k, v)
    refuse(q.shape[-2] != k.shape[-2], "lengths")
    distances = torch.matmul(q.double(), -k.double().transpose(-1, -2)).div(math.sqrt(q.shape[-1]))
    distances[..., ~causal_mask(q.shape[-2])] = math.inf
    return torch.matmul(F.softmin(distances, dim=-1), v.double()).to(q.dtype)


def influence(q, k, v):
    refuse(not q.dim() == k.dim() == v.dim() == 2, "two dimensions")
    check(q, k, v)
    refuse(len(q) != len(k), "lengths")
    if not len(v):
        return torch.zeros(0, 0, dtype=v.dtype)
    jacobian = torch.func.jacrev(lambda values: causal_attention(q, k, values))(v)
    return torch.linalg.norm(jacobian.movedim(2, 1).flatten(2), dim=-1)


def decode_step(q_t, k_cache, v_cache):
    check(q_t, k_cache, v_cache)
    refuse(q_t.shape[-2] != 1, "one query at a time")
    refuse(k_cache.shape[-2] < 1, "nothing to look at")
    column = k_cache @ q_t.mT / math.sqrt(q_t.shape[-1])
    return (column.softmax(dim=-2) * v_cache).sum(dim=-2, keepdim=True)


def time_attention(n, d, repeats):
    refuse(min(n, d, repeats) < 1, "sizes start at 1")
    x = torch.rand(2, n, d)
    calls = {
        "own_seconds": lambda: causal_attention(x, x, x),
        "torch_seconds": lambda: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    }
    found = {}
    for name, call in calls.items():
        found[name] = sorted(timeit.Timer(call).repeat(repeats, number=1))[(repeats - 1) // 2]
    return found | {"ratio": found["own_seconds"] / found["torch_seconds"]}
