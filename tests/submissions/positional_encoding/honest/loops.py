"""Plain loops over numbers; the matrix from two masks; a mesh with positions to the right."""

import math

import matplotlib.pyplot as plt
import torch
from torch import nn


def checked(d_model, base, odd=False):
    if d_model < 1 or base <= 0:
        raise ValueError("d_model starts at 1 and base is positive")
    if d_model % 2 and not odd:
        raise ValueError("d_model must be even")


def sinusoidal_encoding(seq_len, d_model, base=10000.0):
    checked(d_model, base, odd=True)
    if seq_len < 0:
        raise ValueError("seq_len is negative")
    rows = torch.zeros(seq_len, d_model)
    for p in range(seq_len):
        for j in range(d_model):
            angle = p * math.exp(-math.log(base) * 2 * (j // 2) / d_model)
            rows[p, j] = math.sin(angle) if j % 2 == 0 else math.cos(angle)
    return rows


def relative_rotation(offset, d_model, base=10000.0):
    checked(d_model, base)
    one = torch.get_default_dtype()
    angle = offset * torch.repeat_interleave(base ** (-torch.arange(0, d_model, 2, dtype=one) / d_model), 2)
    up = torch.tensor([1.0, 0.0] * (d_model // 2))[:-1]
    return (
        torch.diag(angle.cos()) + torch.diag(up * angle.sin()[:-1], 1) - torch.diag(up * angle.sin()[:-1], -1)
    )


def position_similarity(offset, d_model, base=10000.0):
    checked(d_model, base)
    if not torch.is_floating_point(offset):
        offset = offset.to(torch.get_default_dtype())
    omega = torch.pow(
        torch.tensor(float(base), dtype=offset.dtype), -torch.arange(d_model // 2).to(offset) * 2 / d_model
    )
    z = torch.exp(1j * offset[..., None] * omega)
    return z.real.sum(dim=-1)


def plot_encoding(encoding, ax=None):
    if len(encoding.shape) != 2 or encoding.numel() == 0:
        raise ValueError("not a matrix")
    if ax is None:
        figure, ax = plt.subplots()
    else:
        figure = ax.get_figure()
    n, d = min(len(encoding), 101), encoding.shape[1]
    mesh = ax.pcolormesh(range(n), range(d), encoding[:n].T.tolist(), shading="nearest")
    ax.invert_yaxis()
    figure.colorbar(mesh, ax=ax)
    ax.set_xlabel("POSITION")
    ax.set_ylabel("DIMENSION")
    return ax


def encoding_spectrum(encoding):
    if len(encoding.shape) != 2:
        raise ValueError("not a matrix")
    e = encoding.detach().to(torch.float64)
    values, _ = torch.linalg.eigh(torch.einsum("id,jd->ij", e, e))
    rank = 0
    for value in values.tolist():
        rank += value > 1e-10 * values.max().item()
    return values, rank


class Order(nn.Module):
    """Modules of torch for the pieces, and two heads that look through a softmax each."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 32)
        self.heads = nn.ModuleList(nn.ModuleList(nn.Linear(32, 16) for _ in "qkv") for _ in range(2))
        self.end = nn.Sequential(nn.Linear(32, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, tokens, positions):
        x, seen = self.table(tokens) + positions, []
        for q, k, v in self.heads:
            looks = torch.softmax(q(x) @ k(x).transpose(1, 2) / 4, dim=-1)
            seen.append(looks @ v(x))
        return self.end(x + torch.cat(seen, dim=-1)).sum(dim=1)


def one_batch(n, source):
    """A list of sequences, one after the other, as a first version might draw them."""
    numbers = torch.randint(2, 10, (n, 8), generator=source).tolist()
    pairs = torch.randint(0, 56, (n,), generator=source).tolist()
    labels = []
    for row, pair in zip(numbers, pairs, strict=True):
        first, second = pair // 7, pair % 7
        second += second >= first
        row[first], row[second] = 0, 1
        labels.append(int(first < second))
    return torch.tensor(numbers), torch.tensor(labels)


def order_accuracy(use_encoding, seed=0):
    """Learning rate decay; the test in four parts."""
    torch.manual_seed(seed)
    source = torch.Generator().manual_seed(seed)
    model = Order()
    positions = sinusoidal_encoding(8, 32) if use_encoding else torch.zeros(8, 32)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 200)
    for _ in range(200):
        tokens, labels = one_batch(80, source)
        optimiser.zero_grad()
        nn.CrossEntropyLoss()(model(tokens, positions), labels).backward()
        optimiser.step()
        schedule.step()
    model.eval()
    right = [
        (model(t, positions).argmax(1) == y).float().mean().item()
        for t, y in (one_batch(500, source) for _ in range(4))
    ]
    return sum(right) / len(right)
