"""erfc with the mirrored argument; nn.Linear in an nn.ModuleDict; backward() and .grad."""

import math

import torch
from torch import nn, relu, tanh  # noqa: F401
from torch.nn.functional import hardtanh  # noqa: F401


def gelu(x):
    return x * torch.erfc(-x * math.sqrt(0.5)) / 2


def gelu_derivative(x):
    gate = torch.erfc(-x * math.sqrt(0.5)) / 2
    bell = (-0.5 * x * x).exp() * 0.3989422804014327
    return torch.addcmul(gate, x, bell)


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        if min(d_model, d_ff) < 1:
            raise ValueError("no empty layers")
        self.layers = nn.ModuleDict({"down": nn.Linear(d_ff, d_model), "up": nn.Linear(d_model, d_ff)})

    def forward(self, x):
        if x.dim() == 0 or x.size(-1) != self.layers["up"].in_features:
            raise ValueError("x does not fit")
        return self.layers["down"](gelu(self.layers["up"](x)))


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("a network has at least one layer and one unit")
    g = torch.Generator()
    g.manual_seed(seed)
    weights = []
    for _ in range(depth):
        weight = torch.randn(width, width, generator=g, dtype=torch.double) * math.sqrt(2 / width)
        weights.append(nn.Parameter(weight))
    h = torch.randn(64, width, generator=g, dtype=torch.double)
    targets = torch.randn(64, width, generator=g, dtype=torch.double)
    for weight in weights:
        h = activation(torch.mm(h, weight))
    torch.nn.functional.mse_loss(h, targets).backward()
    return torch.tensor([torch.linalg.norm(w.grad).item() for w in weights], dtype=torch.double)


def dead_fraction(activation, x):
    if x.nelement() == 0:
        raise ValueError("nothing to count")
    leaf = x.detach().clone()
    leaf.requires_grad = True
    activation(leaf).sum().backward()
    return 1.0 - leaf.grad.count_nonzero().item() / leaf.nelement()
