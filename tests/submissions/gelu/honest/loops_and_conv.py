"""Element by element where it is slow, a 1x1 convolution for the layers, one backward pass per layer."""

import math

import torch
from torch import nn, relu, tanh  # noqa: F401
from torch.nn.functional import hardtanh  # noqa: F401


def gelu(x):
    pieces = [0.5 * number * (1 + torch.erf(number * 2**-0.5)) for number in x.reshape(-1)]
    return torch.stack(pieces).reshape(x.shape) if pieces else x * 1


def gelu_derivative(x):
    pieces = []
    for number in x.reshape(-1):
        phi = torch.exp(-number * number / 2) / math.sqrt(2 * math.pi)
        pieces.append(0.5 + 0.5 * torch.erf(number * 2**-0.5) + number * phi)
    return torch.stack(pieces).reshape(x.shape) if pieces else x * 1


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        if d_model <= 0:
            raise ValueError("d_model")
        if d_ff <= 0:
            raise ValueError("d_ff")
        self.d_model = d_model
        self.body = nn.Sequential(nn.Conv1d(d_model, d_ff, 1), Own(), nn.Conv1d(d_ff, d_model, 1))

    def forward(self, x):
        if x.dim() < 1 or x.shape[-1] != self.d_model:
            raise ValueError("last dimension")
        rows = x.reshape(-1, self.d_model, 1)
        return self.body(rows).reshape(x.shape)


class Own(nn.Module):
    def forward(self, x):
        return gelu(x)


def draw_problem(depth, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = {"generator": generator, "dtype": torch.float64}
    weights = [torch.randn(width, width, **size) * math.sqrt(2 / width) for _ in range(depth)]
    return weights, torch.randn(64, width, **size), torch.randn(64, width, **size)


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("depth and width start at 1")
    norms = torch.zeros(depth, dtype=torch.float64)
    for which in range(depth):
        weights, x, targets = draw_problem(depth, width, seed)
        leaf = weights[which].requires_grad_()
        for weight in weights:
            x = activation(x @ weight)
        (gradient,) = torch.autograd.grad((x - targets).pow(2).mean(), [leaf])
        norms[which] = math.sqrt(sum(value * value for value in gradient.flatten().tolist()))
    return norms


def dead_fraction(activation, x):
    if x.numel() == 0:
        raise ValueError("empty")
    dead = 0
    for number in x.detach().reshape(-1):
        number = number.clone().requires_grad_()
        (slope,) = torch.autograd.grad(activation(number), number)
        dead += slope.item() == 0
    return dead / x.numel()
