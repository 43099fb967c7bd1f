"""One distance after the other: diagonals of the mask, and a running softmax that keeps maximum, sum and output."""

import statistics
from math import inf, log, sqrt

import matplotlib.pyplot as plt
import torch


def distances(n, window, stride):
    return [d for d in range(n) if d < window or d % stride == 0]


def check_sizes(*sizes):
    if min(sizes) < 1:
        raise ValueError(f"sizes must be at least 1: {sizes}")


def sparse_mask(n, window, stride):
    check_sizes(n + 1, window, stride)
    permitted = torch.zeros(max(n, 1), dtype=torch.bool)
    permitted[:window] = True
    permitted[::stride] = True
    table = torch.arange(n)[:, None] - torch.arange(n)[None, :]
    return permitted[table.clamp(min=0)] & (table >= 0)


def check_inputs(q, k, v, window, stride):
    check_sizes(window, stride)
    if any(x.ndim < 2 for x in (q, k, v)):
        raise ValueError("matrices are needed")
    if not q.shape[-2] == k.shape[-2] == v.shape[-2]:
        raise ValueError("q, k and v differ in length")
    if q.shape[-1] != k.shape[-1] or not q.shape[-1]:
        raise ValueError("q and k differ in width")
    try:
        return torch.broadcast_tensors(q[..., :1], k[..., :1], v[..., :1])[0].shape[:-1]
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def masked_attention(q, k, v, window, stride):
    check_inputs(q, k, v, window, stride)
    mask = sparse_mask(q.shape[-2], window, stride)
    scores = torch.where(mask, torch.matmul(q, k.transpose(-1, -2)) / sqrt(q.shape[-1]), -inf)
    if not q.shape[-2]:
        return scores @ v
    exponentials = (scores - scores.amax(-1, keepdim=True).detach()).exp()
    return exponentials @ v / exponentials.sum(-1, keepdim=True)


def sparse_attention(q, k, v, window, stride):
    rows = check_inputs(q, k, v, window, stride)
    n = q.shape[-2]
    largest = torch.full(rows, -inf, dtype=q.dtype)
    total = torch.zeros(rows, dtype=q.dtype)
    out = torch.zeros(*rows, v.shape[-1], dtype=q.dtype)
    near = range(min(window, n))
    far = range(-(-window // stride) * stride, n, stride)
    for d in (*near, *far):
        score = (q[..., d:, :] * k[..., : n - d, :]).sum(-1) / sqrt(q.shape[-1])
        score = score.expand(*rows[:-1], n - d)
        new = torch.maximum(largest[..., d:], score).detach()
        shrink, weight = (largest[..., d:] - new).exp(), (score - new).exp()
        largest = torch.cat([largest[..., :d], new], -1)
        total = torch.cat([total[..., :d], total[..., d:] * shrink + weight], -1)
        later = out[..., d:, :] * shrink[..., None] + weight[..., None] * v[..., : n - d, :]
        out = torch.cat([out[..., :d, :], later], -2)
    return out / total[..., None]


def attended_pairs(n, window, stride):
    check_sizes(n + 1, window, stride)

    def below(last, step):  # the sum of n - d over d = 0, step, ..., up to last
        count = last // step + 1
        return count * n - step * count * (count - 1) // 2

    if n == 0:
        return 0
    edge = min(window, n) - 1
    return below(edge, 1) + below(n - 1, stride) - below(edge, stride)


def layers_needed(n, window, stride):
    check_sizes(n, window, stride)
    if n == 1 or stride == 1:
        return int(n > 1)
    if window == 1:
        raise ValueError("with window 1 there is no way to a neighbour")
    # hops[d]: the least hops over the distance d, from the least over each residue and over the window before d
    hops, column = [0], {0: 0}
    for d in range(1, n):
        best = min(hops[max(0, d - window + 1)], hops[-1])
        best = 1 + min(best, column.get(d % stride, best))
        hops.append(best)
        column[d % stride] = min(best, column.get(d % stride, best))
    return max(hops)


def growth_exponent(lengths, costs):
    if len(lengths) != len(costs) or len(lengths) < 2:
        raise ValueError("as many costs as lengths, and two at least")
    if min(lengths) <= 0 or min(costs) <= 0:
        raise ValueError("only positive numbers have logarithms")
    x, y = [log(n) for n in lengths], [log(c) for c in costs]
    if max(x) == min(x):
        raise ValueError("lengths must differ")
    return statistics.covariance(x, y) / statistics.variance(x)


def plot_costs(lengths, costs, ax=None):
    if not len(costs):
        raise ValueError("no costs")
    if {len(c) for c in costs.values()} != {len(lengths)}:
        raise ValueError("as many costs as lengths")
    if ax is None:
        ax = plt.figure().gca()
    lines = [ax.plot(list(lengths), list(c), "s--")[0] for c in costs.values()]
    ax.legend(lines, list(costs))
    ax.set(xscale="log", yscale="log", xlabel="length", ylabel="seconds or bytes")
    return ax
