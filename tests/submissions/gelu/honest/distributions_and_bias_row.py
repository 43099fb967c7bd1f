"""torch.distributions; biases as an extra row of each matrix; the backward pass of the network by hand."""

import math

import torch
from torch import nn, relu, tanh  # noqa: F401
from torch.distributions import Normal
from torch.nn.functional import hardtanh  # noqa: F401


def standard(x):
    return Normal(x.new_zeros(()), x.new_ones(()), validate_args=False)


def gelu(x):
    return x.mul(standard(x).cdf(x))


def gelu_derivative(x):
    return standard(x).cdf(x) + x * standard(x).log_prob(x).exp()


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        if d_model < 1 or d_ff < 1:
            raise ValueError(f"cannot build ({d_model}, {d_ff})")
        self.A = nn.Parameter(torch.rand(d_model + 1, d_ff) - 0.5)
        self.B = nn.Parameter(torch.rand(d_ff + 1, d_model) - 0.5)

    def forward(self, x):
        if x.ndim == 0 or x.shape[-1] + 1 != len(self.A):
            raise ValueError("x has the wrong width")
        for i, matrix in enumerate((self.A, self.B)):
            x = torch.cat([x, torch.ones_like(x[..., :1])], dim=-1) @ matrix
            x = gelu(x) if i == 0 else x
        return x


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("sizes")
    generator = torch.Generator().manual_seed(seed)

    def draw(rows):
        return torch.randn(rows, width, generator=generator, dtype=torch.float64)

    weights = [draw(width) * math.sqrt(2 / width) for _ in range(depth)]
    layers, targets = [draw(64)], draw(64)
    slopes = []
    for weight in weights:
        z = (layers[-1] @ weight).requires_grad_()
        out = activation(z)
        slopes.append(torch.autograd.grad(out.sum(), z)[0])
        layers.append(out.detach())
    back, norms = 2 * (layers[-1] - targets) / targets.numel(), []
    for layer in reversed(range(depth)):
        back = back * slopes[layer]
        norms.insert(0, (layers[layer].T @ back).square().sum().sqrt())
        back = back @ weights[layer].T
    return torch.stack(norms)


def dead_fraction(activation, x):
    if x.numel() == 0:
        raise ValueError("an empty x has no share of anything")
    with torch.enable_grad():
        values = x.detach().clone().requires_grad_(True)
        out = activation(values)
        out.backward(torch.ones_like(out))
    return torch.eq(values.grad, 0).float().mean().item()
