"""ndtr; all parameters in one vector; the whole stack of weights as one leaf; torch.func for the slopes."""

import math

import torch
from torch import nn, relu, tanh  # noqa: F401
from torch.nn.functional import hardtanh  # noqa: F401


def gelu(x):
    return torch.special.ndtr(x) * x


def gelu_derivative(x):
    return torch.special.ndtr(x) + x / torch.exp(x.clamp(-30, 30) ** 2 / 2) / math.sqrt(math.tau)


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        if d_model < 1 or d_ff < 1:
            raise ValueError("sizes start at 1")
        self.sizes = [d_model * d_ff, d_ff, d_ff * d_model, d_model]
        self.packed = nn.Parameter(torch.randn(sum(self.sizes)) / math.sqrt(d_model + d_ff))

    def forward(self, x):
        d_model, d_ff = self.sizes[3], self.sizes[1]
        if x.shape[-1:] != (d_model,):
            raise ValueError(f"expected (..., {d_model}), found {tuple(x.shape)}")
        first, b_1, second, b_2 = self.packed.split(self.sizes)
        hidden = gelu(torch.einsum("...i,ij->...j", x, first.view(d_model, d_ff)) + b_1)
        return torch.einsum("...j,ji->...i", hidden, second.view(d_ff, d_model)) + b_2


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("too small")
    generator = torch.Generator().manual_seed(seed)
    drawn = [torch.randn(width, width, generator=generator, dtype=torch.float64) for _ in range(depth)]
    stack = (torch.stack(drawn) * (2 / width) ** 0.5).requires_grad_()
    x, y = (torch.randn(64, width, generator=generator, dtype=torch.float64) for _ in range(2))
    for layer in range(depth):
        x = activation(x @ stack[layer])
    loss = ((x - y) ** 2).sum() / y.numel()
    loss.backward()
    return stack.grad.flatten(1).norm(dim=1)


def dead_fraction(activation, x):
    if not x.numel():
        raise ValueError("x is empty")
    slopes = torch.func.grad(lambda values: activation(values).sum())(x.detach())
    return float((slopes == 0).double().mean())
