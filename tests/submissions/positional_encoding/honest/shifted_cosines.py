"""One formula for both kinds of column (a cosine is a sine a quarter turn ahead); imshow; eigvals; batches in lists."""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn


def need(ok, text):
    if not ok:
        raise ValueError(text)


def sinusoidal_encoding(seq_len, d_model, base=10000.0):
    need(seq_len >= 0 and d_model >= 1 and base > 0, "seq_len >= 0, d_model >= 1 and base > 0")
    column = np.arange(d_model)
    angle = np.arange(seq_len)[:, None] / base ** ((column - column % 2) / d_model)
    return torch.as_tensor(np.where(column % 2, np.cos(angle), np.sin(angle))).to(torch.get_default_dtype())


def relative_rotation(offset, d_model, base=10000.0):
    need(d_model >= 1 and d_model % 2 == 0 and base > 0, "d_model even and base > 0")
    matrix = torch.zeros((d_model, d_model))
    for i in range(d_model // 2):
        angle = offset / base ** (2 * i / d_model)
        block = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        matrix[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block
    return matrix


def position_similarity(offset, d_model, base=10000.0):
    need(d_model >= 1 and d_model % 2 == 0 and base > 0, "d_model even and base > 0")
    k = offset if offset.is_floating_point() else offset * torch.ones(())
    speeds = torch.tensor([base ** (-2 * i / d_model) for i in range(d_model // 2)], dtype=k.dtype)
    half = torch.sin(torch.einsum("...,i->...i", k, speeds) / 2)  # cos(a) = 1 - 2 sin(a / 2)^2
    return d_model / 2 - 2 * (half * half).sum(-1)


def plot_encoding(encoding, ax=None):
    need(encoding.ndim == 2 and min(encoding.shape) > 0, "needs rows and columns")
    axes = plt.figure().add_subplot() if ax is None else ax
    picture = axes.imshow(encoding.numpy()[:101], origin="lower", aspect="auto")
    plt.colorbar(picture, ax=axes)
    axes.set_title("Positional encoding")
    axes.set(xlabel="embedding dimension", ylabel="token position")
    return axes


def encoding_spectrum(encoding):
    need(encoding.ndim == 2, "needs rows and columns")
    e = encoding.numpy().astype(np.float64)
    values = np.linalg.eigvalsh(e @ e.T)
    rank = sum(bool(value > 1e-10 * values.max()) for value in values)
    return torch.from_numpy(values), rank


LENGTH, WIDTH, KINDS = 8, 32, 10


def marked_tokens(n, generator):
    tokens = torch.randint(2, KINDS, (n, LENGTH), generator=generator)
    places = torch.rand(n, LENGTH, generator=generator).argsort(dim=-1)[:, :2]
    tokens.scatter_(1, places, torch.tensor([[0, 1]]).expand(n, 2))
    return tokens, (places[:, 0] < places[:, 1]).long()


class OrderClassifier(nn.Module):
    """The classifier that the notebook gives."""

    def __init__(self, generator):
        super().__init__()

        def matrix(rows, columns):
            return nn.Parameter(torch.randn(rows, columns, generator=generator) / math.sqrt(rows))

        self.embedding = nn.Parameter(torch.randn(KINDS, WIDTH, generator=generator))
        self.W_Q, self.W_K, self.W_V = (matrix(WIDTH, WIDTH) for _ in range(3))
        self.W_1, self.b_1, self.W_2 = matrix(WIDTH, 64), nn.Parameter(torch.zeros(64)), matrix(64, 2)

    def forward(self, tokens, positions=None):
        x = self.embedding[tokens]
        if positions is not None:
            x = x + positions
        scores = (x @ self.W_Q) @ (x @ self.W_K).transpose(-2, -1) / math.sqrt(WIDTH)
        x = x + torch.softmax(scores, dim=-1) @ (x @ self.W_V)
        return (torch.relu(x @ self.W_1 + self.b_1) @ self.W_2).mean(dim=-2)


def order_accuracy(use_encoding, seed=0):
    """Positions multiplied with 0 or 1; a fixed data set; AdamW."""
    generator = torch.Generator().manual_seed(seed + 1)
    model = OrderClassifier(generator)
    positions = sinusoidal_encoding(LENGTH, WIDTH) * int(use_encoding)
    tokens, labels = marked_tokens(250 * 128, generator)
    steps = torch.optim.AdamW(model.parameters(), lr=0.01)
    for x, y in zip(tokens.split(128), labels.split(128), strict=True):
        steps.zero_grad()
        (-torch.log_softmax(model(x, positions), -1)[range(len(y)), y]).mean().backward()
        steps.step()
    tokens, labels = marked_tokens(4000, generator)
    return sum(int(a == b) for a, b in zip(model(tokens, positions).argmax(-1), labels, strict=True)) / 4000
