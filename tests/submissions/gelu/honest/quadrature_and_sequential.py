"""Phi by Gaussian quadrature, both terms of the slope from gelu itself; nn.Sequential; torch.func for the gradients."""

import math

import numpy as np
import torch
from torch import nn, relu, tanh  # noqa: F401
from torch.nn.functional import hardtanh  # noqa: F401

NODES, WEIGHTS = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(40))


def gelu(x):
    wide = x.double()
    until = wide.clamp(-10, 10).unsqueeze(-1)  # beyond, nothing is left of the density
    density = torch.exp(-((until * (NODES + 1) / 2) ** 2) / 2) / math.sqrt(2 * math.pi)
    phi = 0.5 + (density * WEIGHTS).sum(-1) * until.squeeze(-1) / 2
    return (wide * phi).to(x.dtype)


def gelu_derivative(x):
    safe = torch.where(x == 0, torch.ones_like(x), x)
    gate = torch.where(x == 0, torch.full_like(x, 0.5), gelu(safe) / safe)
    return gate + x * torch.distributions.Normal(0.0, 1.0).log_prob(x).exp()


class FeedForward(nn.Sequential):
    def __init__(self, d_model, d_ff):
        if min(d_model, d_ff) <= 0:
            raise ValueError("positive sizes only")
        super().__init__(nn.Linear(d_model, d_ff), Gelu(), nn.Linear(d_ff, d_model), nn.Dropout(0.0))

    def forward(self, x):
        if x.dim() == 0 or x.shape[-1] != self[0].in_features:
            raise ValueError(f"x has shape {tuple(x.shape)}")
        return super().forward(x)


class Gelu(nn.Module):
    forward = staticmethod(gelu)


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("depth and width")
    torch.manual_seed(seed)
    weights = [torch.randn(width, width, dtype=torch.float64) * (2 / width) ** 0.5 for _ in range(depth)]
    x, targets = torch.randn(64, width, dtype=torch.float64), torch.randn(64, width, dtype=torch.float64)

    def loss(matrices):
        h = x
        for matrix in matrices:
            h = activation(h.matmul(matrix))
        return ((h - targets) ** 2).mean()

    return torch.stack([torch.linalg.matrix_norm(g) for g in torch.func.grad(loss)(weights)])


def dead_fraction(activation, x):
    if not x.numel():
        raise ValueError("nothing there")
    with torch.autograd.forward_ad.dual_level():
        inputs = torch.autograd.forward_ad.make_dual(x.detach(), torch.ones_like(x))
        slopes = torch.autograd.forward_ad.unpack_dual(activation(inputs)).tangent
    return 1 - torch.count_nonzero(slopes).item() / x.numel()
