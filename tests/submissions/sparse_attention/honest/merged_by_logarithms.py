"""Two attentions, over windows (as unfolded views) and over strides, merged by the logarithms of their sums."""

from functools import reduce
from math import isqrt, log10

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure


def need(condition, message):
    if not condition:
        raise ValueError(message)


def sparse_mask(n, window, stride):
    need(n >= 0 and window >= 1 and stride >= 1, f"sizes {n}, {window}, {stride}")
    ones = torch.ones(n, n)
    near = ones.tril() - ones.tril(-window)
    index = torch.arange(n)
    return ((near > 0) | (index[:, None] % stride == index % stride)) & (ones.tril() > 0)


def fits(q, k, v, window, stride):
    need(window >= 1 and stride >= 1, "window and stride are at least 1")
    need(all(t.ndim > 1 for t in (q, k, v)), "two dimensions at least")
    need(q.shape[-2:] == k.shape[-2:] and q.shape[-1] > 0, "q and k have the same length and width")
    need(v.shape[-2] == k.shape[-2], "one value a key")
    shapes = [t.shape[:-2] for t in (q, k, v)]
    reduce(joint, shapes)


def joint(one, other):
    longer, shorter = (one, other) if len(one) >= len(other) else (other, one)
    for a, b in zip(reversed(longer), reversed(shorter), strict=False):
        need(a == b or 1 in (a, b), "leading dimensions do not broadcast")
    tail = [b if a == 1 else a for a, b in zip(longer[len(longer) - len(shorter) :], shorter, strict=True)]
    return (*longer[: len(longer) - len(shorter)], *tail)


def masked_attention(q, k, v, window, stride):
    fits(q, k, v, window, stride)
    logits = (q @ k.mT) * q.shape[-1] ** -0.5
    logits = logits.masked_fill(~sparse_mask(q.shape[-2], window, stride), float("-inf"))
    return (logits - logits.logsumexp(-1, keepdim=True)).exp() @ v


def partial(logits, values):
    """Output and logarithm of the sum of one part; rows without any key have the logarithm -1e30 and an output of 0."""
    top = logits.detach().amax(-1, keepdim=True).clamp(min=-1e30)
    exponentials = (logits - top).exp()
    total = exponentials.sum(-1, keepdim=True)
    empty = total == 0
    total = torch.where(empty, 1.0, total)
    return exponentials @ values / total, torch.where(empty, -1e30, top + total.log())


def windows(x, window):
    """The latest `window` rows of each position, as a view: (..., n, window, d)."""
    return F.pad(x, (0, 0, window - 1, 0)).unfold(-2, window, 1).mT


def columns(x, stride):
    x = F.pad(x, (0, 0, 0, -x.shape[-2] % stride))
    return x.reshape(*x.shape[:-2], x.shape[-2] // stride, stride, x.shape[-1]).transpose(-3, -2)


def rows(x, n):
    return x.transpose(-3, -2).flatten(-3, -2)[..., :n, :]


def sparse_attention(q, k, v, window, stride):
    fits(q, k, v, window, stride)
    n = q.shape[-2]
    if n == 0:
        return torch.zeros(
            *joint(q.shape[:-2], joint(k.shape[:-2], v.shape[:-2])), 0, v.shape[-1], dtype=v.dtype
        )
    window, stride, q = min(window, n), min(stride, n), q / q.shape[-1] ** 0.5
    place = torch.arange(n)
    before = place[:, None] - window + 1 + torch.arange(window) < 0
    near = q.unsqueeze(-2) @ windows(k, window).mT  # (..., n, 1, window): each position is a matrix of one row
    near = near.masked_fill(before.unsqueeze(-2), float("-inf"))
    near_out, near_log = (part.squeeze(-2) for part in partial(near, windows(v, window)))
    row = torch.arange(-(-n // stride))
    too_near = (row[:, None] - row) * stride < window
    far = columns(q, stride) @ columns(k, stride).mT
    far_out, far_log = partial(far.masked_fill(too_near, float("-inf")), columns(v, stride))
    share = torch.sigmoid(near_log - rows(far_log, n))
    return share * near_out + (1 - share) * rows(far_out, n)


def attended_pairs(n, window, stride):
    need(n >= 0 and window >= 1 and stride >= 1, f"sizes {n}, {window}, {stride}")
    w = min(n, window)
    inside = w * (2 * n - w + 1) // 2
    outside = max(0, (n - 1) // stride - (w - 1) // stride) if n else 0
    last = (n - 1) // stride * stride if n else 0
    # an arithmetic series from n - last upwards in steps of stride
    return inside + outside * (n - last) + stride * (outside * (outside - 1) // 2)


def layers_needed(n, window, stride):
    need(n >= 1 and window >= 1 and stride >= 1, f"sizes {n}, {window}, {stride}")
    if n == 1:
        return 0
    if stride == 1:
        return 1
    need(window > 1, "no layers are enough")
    step, farthest = window - 1, n - 1

    def steps(d):
        return (d + step - 1) // step

    candidates = {farthest, *range(max(0, farthest - stride - 1), farthest)}
    candidates |= {d for d in range(min(2 * stride + 2, n))}
    return max(min(steps(d), (d >= stride) + steps(d % stride)) for d in candidates)


def growth_exponent(lengths, costs):
    need(len(lengths) == len(costs) > 1, "two points at least")
    need(all(number > 0 for number in (*lengths, *costs)), "numbers above 0")
    need(any(n != lengths[0] for n in lengths), "different lengths")
    x, y = [log10(n) for n in lengths], [log10(c) for c in costs]
    count, sum_x, sum_y = len(x), sum(x), sum(y)
    products, squares = sum(a * b for a, b in zip(x, y, strict=True)), sum(a * a for a in x)
    return (count * products - sum_x * sum_y) / (count * squares - sum_x * sum_x)


def plot_costs(lengths, costs, ax=None):
    need(bool(costs) and all(len(c) == len(lengths) for c in costs.values()), "lists that do not fit")
    ax = ax if ax is not None else Figure().subplots()
    for name, c in costs.items():
        ax.loglog(lengths, c, label=name, lw=isqrt(9))
    ax.legend(title="")
    ax.set_xlabel("$n$")
    ax.set_ylabel("cost")
    return ax
