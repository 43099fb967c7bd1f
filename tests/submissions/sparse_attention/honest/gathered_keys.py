"""Every position picks its keys by index, one for each permitted distance; sums over multiples; numpy for the slope."""

import math

import numpy as np
import torch
from matplotlib import pyplot as plt


def permitted(n, window, stride):
    """The permitted distances below n, each once."""
    return sorted(set(range(min(window, n))) | set(range(0, n, stride)))


def refuse(condition, message):
    if condition:
        raise ValueError(message)


def sparse_mask(n, window, stride):
    refuse(n < 0 or window < 1 or stride < 1, f"no such mask: {n}, {window}, {stride}")
    mask = torch.zeros(n, n, dtype=torch.bool)
    for distance in permitted(n, window, stride):
        mask.diagonal(-distance).fill_(True)
    return mask


def check(q, k, v, window, stride):
    refuse(min(t.dim() for t in (q, k, v)) < 2, "two dimensions are needed")
    refuse(len({t.shape[-2] for t in (q, k, v)}) > 1, "q, k and v must be equally long")
    refuse(q.shape[-1] != k.shape[-1] or q.shape[-1] == 0, "q and k must be equally wide")
    np.broadcast_shapes(*(tuple(t.shape[:-2]) for t in (q, k, v)))
    refuse(window < 1 or stride < 1, "window and stride must be at least 1")


def masked_attention(q, k, v, window, stride):
    check(q, k, v, window, stride)
    scores = torch.einsum("...id,...jd->...ij", q, k) * q.shape[-1] ** -0.5
    bias = torch.zeros(scores.shape[-2:], dtype=q.dtype)
    bias[~sparse_mask(len(bias), window, stride)] = -math.inf
    return torch.einsum("...ij,...jd->...id", (scores + bias).softmax(-1), v)


def sparse_attention(q, k, v, window, stride):
    check(q, k, v, window, stride)
    n, width = q.shape[-2:]
    distances = torch.tensor(permitted(n, window, stride), dtype=torch.long)
    place = torch.arange(n).unsqueeze(-1) - distances
    nothing = place < 0
    place = place.clamp(min=0)
    scores = (q.unsqueeze(-2) * k[..., place, :]).sum(-1) / math.sqrt(width)
    weights = scores.masked_fill(nothing, -math.inf).softmax(-1)
    return (weights.unsqueeze(-1) * v[..., place, :]).sum(-2)


def attended_pairs(n, window, stride):
    refuse(n < 0 or window < 1 or stride < 1, f"no such mask: {n}, {window}, {stride}")
    total = sum(range(n, max(0, n - window), -1))
    first = (window + stride - 1) // stride * stride
    return total + sum(n - distance for distance in range(first, n, stride))


def layers_needed(n, window, stride):
    refuse(min(n, window, stride) < 1, "sizes must be at least 1")
    if n == 1:
        return 0
    if stride == 1:
        return 1
    refuse(window == 1, "neighbours never meet")
    distance = np.arange(1, n)
    by_window = np.ceil(distance / (window - 1))
    by_stride = (distance >= stride) + np.ceil(distance % stride / (window - 1))
    return int(np.minimum(by_window, by_stride).max())


def growth_exponent(lengths, costs):
    refuse(len(lengths) != len(costs) or len(costs) < 2, "two points or more are needed")
    refuse(min(lengths) <= 0 or min(costs) <= 0, "logarithms need numbers above 0")
    refuse(len(set(lengths)) == 1, "all lengths are equal")
    slope, _ = np.polyfit(np.log2(lengths), np.log2(costs), 1)
    return float(slope)


def plot_costs(lengths, costs, ax=None):
    refuse(
        not costs or any(len(values) != len(lengths) for values in costs.values()), "lists of unequal length"
    )
    ax = ax or plt.figure().add_subplot()
    for name in costs:
        ax.plot(lengths, costs[name], marker="x", label=name)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("n")
    ax.set_ylabel("cost")
    ax.legend()
    return ax
