"""An approximation of erf to 1.5e-7 for gelu, a backward pass by hand for its slope; F.linear; hooks on the weights."""

import math

import torch
import torch.nn.functional as F
from torch import nn, relu, tanh  # noqa: F401
from torch.nn.functional import hardtanh  # noqa: F401


def erf(x):
    """Abramowitz and Stegun, 7.1.26."""
    t = 1 / (1 + 0.3275911 * x.abs())
    series = 0.0
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + coefficient) * t
    return torch.sign(x) * (1 - series * torch.exp(-x * x))


def gelu(x):
    return 0.5 * x * (1 + erf(x / 2**0.5))


class Slope(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        numbers = [math.erfc(-n / math.sqrt(2)) / 2 + n * bell(n) for n in x.double().flatten().tolist()]
        return torch.tensor(numbers, dtype=torch.float64).reshape(x.shape).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad * (2 - x * x) * torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def bell(number):
    return math.exp(-number * number / 2) / math.sqrt(2 * math.pi)


def gelu_derivative(x):
    return Slope.apply(x)


class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        if not (d_model >= 1 and d_ff >= 1):
            raise ValueError("no units, no network")
        for name, shape in {"up": (d_ff, d_model), "down": (d_model, d_ff)}.items():
            self.register_parameter(name, nn.Parameter(nn.init.normal_(torch.empty(shape), 0, 0.02)))
            self.register_parameter(f"{name}_bias", nn.Parameter(torch.zeros(shape[0])))

    def forward(self, x):
        try:
            return F.linear(gelu(F.linear(x, self.up, self.up_bias)), self.down, self.down_bias)
        except (RuntimeError, IndexError) as error:
            raise ValueError("x does not fit") from error


def gradient_flow(activation, depth, width, seed=0):
    if depth < 1 or width < 1:
        raise ValueError("a layer and a unit, at least")
    generator = torch.Generator().manual_seed(seed)
    rows = [width] * depth + [64, 64]
    *weights, h, targets = [torch.randn(n, width, generator=generator, dtype=torch.float64) for n in rows]
    norms = {}
    for layer, weight in enumerate(weights):
        weight.mul_(math.sqrt(2 / width)).requires_grad_()
        weight.register_hook(lambda gradient, layer=layer: norms.update({layer: gradient.norm()}))
        h = activation(h @ weight)
    torch.mean((h - targets) ** 2).backward()
    return torch.stack([norms[layer] for layer in range(depth)]).detach()


def dead_fraction(activation, x):
    if x.numel() == 0:
        raise ValueError("an empty x")
    with torch.enable_grad():
        y = torch.tensor(x.tolist(), dtype=x.dtype, requires_grad=True)
        (slopes,) = torch.autograd.grad(activation(y), y, torch.ones_like(y))
    return int(torch.logical_not(slopes).sum()) / y.numel()
