"""One position after the other, with a list of its keys; loops and lists wherever they will do."""

import math

import matplotlib.pyplot as plt
import torch


def keys_of(i, window, stride):
    """The positions that i may attend to: those of the window, then strides beyond it."""
    near = list(range(max(0, i - window + 1), i + 1))
    first = -(-window // stride) * stride
    return near + list(range(i - first, -1, -stride))


def sparse_mask(n, window, stride):
    if n < 0:
        raise ValueError("n is negative")
    if window <= 0:
        raise ValueError("window is below 1")
    if stride <= 0:
        raise ValueError("stride is below 1")
    mask = [[False] * n for _ in range(n)]
    for i in range(n):
        for j in keys_of(i, window, stride):
            mask[i][j] = True
    return torch.tensor(mask, dtype=torch.bool).view(n, n)


def checked(q, k, v, window, stride):
    sparse_mask(0, window, stride)
    if q.ndim < 2 or k.ndim < 2 or v.ndim < 2:
        raise ValueError("too few dimensions")
    if q.size(-2) != k.size(-2) or k.size(-2) != v.size(-2):
        raise ValueError("different lengths")
    if q.size(-1) != k.size(-1) or q.size(-1) == 0:
        raise ValueError("different widths")
    lead = [1] * (max(q.ndim, k.ndim, v.ndim) - 2)
    for t in (q, k, v):
        for axis in range(3, t.ndim + 1):
            if t.size(-axis) != 1:
                if lead[2 - axis] not in (1, t.size(-axis)):
                    raise ValueError("leading dimensions do not broadcast")
                lead[2 - axis] = t.size(-axis)
    return [t.expand(*lead, *t.shape[-2:]) for t in (q, k, v)]


def masked_attention(q, k, v, window, stride):
    q, k, v = checked(q, k, v, window, stride)
    forbidden = torch.logical_not(sparse_mask(q.size(-2), window, stride))
    scores = q.div(math.sqrt(q.size(-1))).matmul(k.mT)
    scores = scores.masked_fill(forbidden, torch.finfo(q.dtype).min)
    return torch.log_softmax(scores, -1).exp().matmul(v)


def sparse_attention(q, k, v, window, stride):
    q, k, v = checked(q, k, v, window, stride)
    rows = []
    for i in range(q.size(-2)):
        keys = keys_of(i, window, stride)
        scores = k[..., keys, :] @ q[..., i, :, None] / math.sqrt(q.size(-1))
        rows.append((torch.softmax(scores, -2) * v[..., keys, :]).sum(-2))
    return torch.stack(rows, -2) if rows else v.clone()


def attended_pairs(n, window, stride):
    sparse_mask(0 if n >= 0 else n, window, stride)
    edge = min(n, window)
    pairs = (
        edge * (edge + 1) // 2 + (n - edge) * edge
    )  # the window: rows that are cut at the start, and full ones
    distance = -(-window // stride) * stride
    while distance < n:
        pairs += n - distance
        distance += stride
    return pairs


def layers_needed(n, window, stride):
    if n < 1:
        raise ValueError("there is no position")
    sparse_mask(0, window, stride)
    if n == 1:
        return 0
    if window == 1 and stride > 1:
        raise ValueError("no number of layers is enough")
    if window >= n or stride == 1:
        return 1
    most = 0
    for distance in range(n):
        strides, rest = divmod(distance, stride)
        hops = min(1, strides) + math.ceil(rest / (window - 1))
        most = max(most, min(hops, math.ceil(distance / (window - 1))))
    return most


def growth_exponent(lengths, costs):
    points = [(float(n), float(c)) for n, c in zip(lengths, costs, strict=True)]
    if len(points) < 2 or any(n <= 0 or c <= 0 for n, c in points) or len({n for n, _ in points}) < 2:
        raise ValueError("these points have no slope")
    x = torch.tensor([[math.log(n), 1.0] for n, _ in points], dtype=torch.float64)
    y = torch.tensor([[math.log(c)] for _, c in points], dtype=torch.float64)
    return torch.linalg.lstsq(x, y).solution[0].item()


def plot_costs(lengths, costs, ax=None):
    if len(costs) == 0:
        raise ValueError("nothing to draw")
    for values in costs.values():
        if len(values) != len(lengths):
            raise ValueError("lists must be equally long")
    figure = plt.figure() if ax is None else ax.figure
    ax = figure.add_subplot(1, 1, 1) if ax is None else ax
    for name, values in costs.items():
        ax.semilogx(lengths, values, label=name)
    ax.set_yscale("log")
    ax.set_xlabel("length")
    ax.set_ylabel("cost")
    ax.legend(loc="upper left")
    return ax
