"""log_ndtr, erf split at zero; one row of W_1 and one column of W_2 per hidden unit; vjp for the gradients."""

import math

import torch
from torch import nn, relu, tanh  # noqa: F401
from torch.nn.functional import hardtanh  # noqa: F401


def gelu(x):
    return x * torch.exp(torch.special.log_ndtr(x))


def gelu_derivative(x):
    half = torch.erf(x.abs() / 2**0.5) / 2
    gate = torch.where(x >= 0, 0.5 + half, 0.5 - half)
    return gate + x * torch.exp(-((x / 2**0.5) ** 2) - 0.5 * math.log(2 * math.pi))


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        if d_model < 1 or d_ff < 1:
            raise ValueError("at least 1, please")
        super().__init__()
        self.d_model = d_model
        self.rows = nn.ParameterList([nn.Parameter(torch.randn(d_model)) for _ in range(d_ff)])
        self.columns = nn.ParameterList([nn.Parameter(torch.randn(d_model)) for _ in range(d_ff)])
        self.thresholds = nn.Parameter(torch.randn(1, d_ff))
        self.offset = nn.Parameter(torch.zeros(1, d_model))

    def forward(self, x):
        if not x.dim() or x.shape[-1] != self.d_model:
            raise ValueError("wrong width")
        total = self.offset[0]
        for unit, (row, column) in enumerate(zip(self.rows, self.columns, strict=True)):
            received = (x * row).sum(-1, keepdim=True) + self.thresholds[0, unit]
            total = total + gelu(received) * column
        return total


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("depth and width must be positive")
    generator = torch.Generator().manual_seed(seed)
    make = lambda n: torch.empty(n, width, dtype=torch.float64).normal_(generator=generator)  # noqa: E731
    weights = tuple(make(width).mul_(math.sqrt(2 / width)) for _ in range(depth))
    x, y = make(64), make(64)

    def loss(*stack):
        h = x
        for w in stack:
            h = activation(h @ w)
        return (h - y).square().mean()

    _, gradients = torch.autograd.functional.vjp(loss, weights)
    return torch.stack([g.norm("fro") for g in gradients])


def dead_fraction(activation, x):
    if x.numel() < 1:
        raise ValueError("x is empty")
    flat = x.detach().flatten()
    _, slopes = torch.autograd.functional.jvp(activation, flat, torch.ones_like(flat))
    return len(slopes[slopes == 0]) / len(slopes)
