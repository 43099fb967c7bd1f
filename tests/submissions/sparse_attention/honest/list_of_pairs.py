"""The mask as a list of pairs, as in a graph: scores on edges, sums scattered to their queries."""

import cmath
import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import torch


def edges(n, window, stride):
    """All attended pairs (query, key) as two index tensors, distance by distance."""
    if n < 0 or min(window, stride) < 1:
        raise ValueError(f"no such pattern: n = {n}, window = {window}, stride = {stride}")
    distances = itertools.chain(range(min(n, window)), range(-(-window // stride) * stride, n, stride))
    queries, keys = [torch.zeros(0, dtype=torch.long)], [torch.zeros(0, dtype=torch.long)]
    for distance in distances:
        queries.append(torch.arange(distance, n))
        keys.append(torch.arange(n - distance))
    return torch.cat(queries), torch.cat(keys)


def sparse_mask(n, window, stride):
    queries, keys = edges(n, window, stride)
    mask = torch.zeros(n, n, dtype=torch.uint8)
    mask[queries, keys] = 1
    return mask.bool()


def check(q, k, v):
    if not (q.dim() > 1 and k.dim() > 1 and v.dim() > 1):
        raise ValueError("q, k and v need a length and a width")
    if q.shape[-2:] != k.shape[-2:] or k.shape[-2] != v.shape[-2] or not q.shape[-1]:
        raise ValueError(f"{q.shape}, {k.shape} and {v.shape} do not fit")
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])


def masked_attention(q, k, v, window, stride):
    check(q, k, v)
    n = q.shape[-2]
    allowed = sparse_mask(n, window, stride)
    scores = (q @ k.mT) / math.sqrt(q.shape[-1])
    top = torch.where(allowed, scores, -math.inf).detach().amax(-1, keepdim=True) if n else scores
    weights = torch.where(allowed, scores - top, -math.inf).exp()
    return (weights / weights.sum(-1, keepdim=True)) @ v


def sparse_attention(q, k, v, window, stride):
    check(q, k, v)
    n = q.shape[-2]
    queries, keys = edges(n, window, stride)
    scores = (q[..., queries, :] * k[..., keys, :]).sum(-1) / math.sqrt(q.shape[-1])
    rows = queries.expand(scores.shape)
    top = torch.full((*scores.shape[:-1], n), -math.inf, dtype=q.dtype)
    top = top.scatter_reduce(-1, rows, scores.detach(), "amax")
    weights = (scores - top[..., queries]).exp()
    total = torch.zeros(*scores.shape[:-1], n, dtype=q.dtype).scatter_add(-1, rows, weights)
    moved = (weights / total[..., queries]).unsqueeze(-1) * v[..., keys, :]
    out = torch.zeros(*moved.shape[:-2], n, v.shape[-1], dtype=q.dtype)
    return out.index_add(-2, queries, moved)


def attended_pairs(n, window, stride):
    if n < 0 or window < 1 or stride < 1:
        raise ValueError("sizes out of range")
    near = np.arange(min(window, n), dtype=np.int64)
    far = np.arange(0, n, stride, dtype=np.int64)
    return int((n - near).sum()) + int((n - far[far >= window]).sum())


def layers_needed(n, window, stride):
    if n < 1 or window < 1 or stride < 1:
        raise ValueError("sizes out of range")
    if window == 1 < stride and n > 1:
        raise ValueError("distance 1 is never covered")
    # reach: which distances are covered; a layer adds one hop
    reach, layers = np.arange(n) == 0, 0
    while not reach.all():
        padded = np.concatenate([np.zeros(window, dtype=np.int64), np.cumsum(reach)])
        near = padded[window:] > padded[:-window]
        columns = np.pad(reach, (0, -n % stride)).reshape(-1, stride)
        far = np.logical_or.accumulate(columns, axis=0).reshape(-1)[:n]
        reach, layers = near | far, layers + 1
    return layers


def growth_exponent(lengths, costs):
    if len(lengths) != len(costs) or len(lengths) < 2 or min(*lengths, *costs) <= 0:
        raise ValueError("two pairs of positive numbers are needed")
    x, y = (np.array([cmath.log(a).real for a in numbers]) for numbers in (lengths, costs))
    x = x - x.mean()
    if not np.abs(x).max() > 1e-12:
        raise ValueError("equal lengths")
    return float(x @ y / (x @ x))


def plot_costs(lengths, costs, ax=None):
    table = list(costs.values())
    if not table or any(len(column) != len(lengths) for column in table):
        raise ValueError("a table with a column for each name is needed")
    if ax is None:
        ax = plt.subplots(1, 1)[1]
    ax.set_prop_cycle(color=["k", "r", "g"])
    ax.loglog(np.array(lengths), np.array(table).T)
    ax.legend(labels=list(costs))
    ax.set_xlabel("n"), ax.set_ylabel("cost")
    return ax
