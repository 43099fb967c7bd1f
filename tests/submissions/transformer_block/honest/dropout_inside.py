"""More dropout than asked for (on weights and hidden units, as PyTorch has it), the standard deviation, Gram-Schmidt, hooks."""

import math

import torch
import torch.nn as nn


class Misfit(ValueError):
    pass


def size_of(x):
    if x.ndim < 1 or x.size(-1) < 1:
        raise Misfit("a vector needs at least one number")
    return x.size(-1)


def along(x, direction):
    """The part of x along a direction."""
    return (x * direction).sum(-1, True) / (direction * direction).sum(-1, True) * direction


def center(x):
    return x - along(x, torch.ones(size_of(x), dtype=x.dtype))


def to_sphere(x):
    d = size_of(x)
    biggest = x.abs().amax(-1, True)
    scaled = x / torch.where(biggest > 0, biggest, torch.ones_like(biggest))
    length = torch.hypot(torch.zeros_like(biggest), scaled.pow(2).sum(-1, True).sqrt())
    return torch.where(biggest > 0, scaled / length * math.sqrt(d), torch.zeros_like(x))


def layer_norm_jacobian(x):
    d = size_of(x)
    c = center(x)
    if bool(((c * c).sum(-1) <= 0).any()):
        raise Misfit("constant")
    scale = math.sqrt(d) / (c * c).sum(-1, True).sqrt()
    columns = []
    for j in range(d):
        unit = torch.zeros_like(x)
        unit[..., j] = 1
        flat = center(unit)
        columns.append(scale * (flat - along(flat, c)))  # what is left of a unit vector after both projections
    return torch.stack(columns, dim=-1)


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    d = size_of(x)
    if eps < 0:
        raise Misfit("eps")
    weight = torch.ones(d, dtype=x.dtype) if weight is None else weight
    bias = torch.zeros(d, dtype=x.dtype) if bias is None else bias
    if list(weight.shape) != [d] or list(bias.shape) != [d]:
        raise Misfit("weight or bias")
    variance = x.var(-1, unbiased=False, keepdim=True)
    return torch.addcmul(bias, (x - x.mean(-1, True)) * torch.pow(variance + eps, -0.5), weight)


class LayerNorm(nn.Module):
    eps: float

    def __init__(self, d_model: int, eps: float = 1e-5):
        super().__init__()
        if d_model <= 0 or eps < 0:
            raise Misfit("LayerNorm")
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros_like(self.weight))
        self.eps = eps

    def forward(self, x):
        return layer_norm(x, eps=self.eps, bias=self.bias, weight=self.weight)


def layer_norm_vjp(x, weight, grad_output, eps=1e-5):
    d = size_of(x)
    if tuple(weight.shape) != (d,) or tuple(grad_output.shape) != tuple(x.shape) or eps < 0:
        raise Misfit("layer_norm_vjp")
    c = center(x)
    s = torch.sqrt(c.pow(2).sum(-1, True) / d + eps)
    hat = c / s
    jacobian = torch.eye(d, dtype=x.dtype) - 1 / d - hat.unsqueeze(-1) * hat.unsqueeze(-2) / d
    grad_x = (jacobian @ (grad_output * weight).unsqueeze(-1)).squeeze(-1) / s
    flat, out = hat.reshape(x.numel() // d, d), grad_output.reshape(x.numel() // d, d)
    return grad_x, torch.diagonal(flat.T @ out).clone(), out.T @ torch.ones(len(out), dtype=x.dtype)


def dropout(x, p=0.1, training=True, generator=None):
    if p < 0.0 or p > 1.0:
        raise Misfit("p")
    if not training or p == 0:
        return 1 * x
    if p == 1:
        return 0 * x
    # an exponential waiting time is below -log(1 - p) with probability p
    waiting = torch.empty(x.shape, dtype=x.dtype).exponential_(1.0, generator=generator)
    return x * (waiting > -math.log1p(-p)).to(x.dtype).div(1 - p)


class Dropout(nn.Module):
    def __init__(self, p: float = 0.1):
        super().__init__()
        if not (0 <= p <= 1):
            raise Misfit("p")
        self.p = p

    forward = lambda self, x: dropout(x, self.p, self.training)


def residual(x, sublayer, norm, norm_first=True):
    if norm_first:
        y = sublayer(norm(x))
        out = lambda z: z
    else:
        y = sublayer(x)
        out = norm
    if y.size() != x.size():
        raise Misfit("sublayer")
    return out(y + x)


class MHA(nn.Module):
    def __init__(self, d, h, p):
        super().__init__()
        if d < 1 or h < 1 or d % h:
            raise Misfit("heads")
        self.d, self.h, self.drop = d, h, Dropout(p)
        for c in "QKVO":
            self.register_parameter(f"W_{c}", nn.Parameter(torch.randn(d, d).div(d**0.5)))
            self.register_parameter(f"b_{c}", nn.Parameter(torch.zeros(d)))

    def forward(self, x, mask):
        if x.ndim < 2 or x.shape[-1] != self.d:
            raise Misfit("x")
        length, lead = x.shape[-2], x.shape[:-2]
        x = x.reshape(-1, length, self.d)
        if mask is not None:
            if mask.dtype != torch.bool:
                raise Misfit("mask")
            try:
                mask = mask.expand(*lead, length, length).reshape(-1, 1, length, length)
            except RuntimeError as e:
                raise Misfit("mask") from e
        per_head = (len(x), length, self.h, self.d // self.h)
        q = torch.addmm(self.b_Q, x.reshape(-1, self.d), self.W_Q).reshape(per_head).permute(0, 2, 1, 3)
        k = torch.addmm(self.b_K, x.reshape(-1, self.d), self.W_K).reshape(per_head).permute(0, 2, 3, 1)
        v = torch.addmm(self.b_V, x.reshape(-1, self.d), self.W_V).reshape(per_head).permute(0, 2, 1, 3)
        scores = (q @ k).div(per_head[-1] ** 0.5)
        if mask is not None:
            bias = torch.zeros_like(scores).masked_fill(~mask, -1e9)
            scores = scores + bias
        weights = torch.softmax(scores, -1)
        if mask is not None:
            weights = weights.masked_fill(~mask, 0)
        mixed = (self.drop(weights) @ v).permute(0, 2, 1, 3).reshape(-1, self.d)
        return torch.addmm(self.b_O, mixed, self.W_O).reshape(*lead, length, self.d)


class FFN(nn.Module):
    def __init__(self, d, f, activation, p):
        super().__init__()
        if min(d, f) < 1:
            raise Misfit("sizes")
        functions = dict(relu=lambda z: (z + z.abs()) / 2, gelu=lambda z: z * 0.5 * torch.erfc(-z / math.sqrt(2)))
        if activation not in functions:
            raise Misfit("activation")
        self.f, self.drop = functions[activation], Dropout(p)
        self.W_1, self.b_1 = nn.Parameter(torch.randn(d, f).div(d**0.5)), nn.Parameter(torch.zeros(f))
        self.W_2, self.b_2 = nn.Parameter(torch.randn(f, d).div(f**0.5)), nn.Parameter(torch.zeros(d))

    def forward(self, x):
        return torch.tensordot(self.drop(self.f(torch.tensordot(x, self.W_1, 1) + self.b_1)), self.W_2, 1) + self.b_2


class TransformerBlock(nn.Module):
    def __init__(self, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        self.drop = Dropout(dropout)
        self.norm_1, self.attention = LayerNorm(d_model), MHA(d_model, n_heads, dropout)
        self.norm_2, self.feed_forward = LayerNorm(d_model), FFN(d_model, d_ff, activation, dropout)
        self.forward_with = self.pre_norm if norm_first else self.post_norm

    def pre_norm(self, x, mask):
        h = x + self.drop(self.attention(self.norm_1(x), mask))
        return h + self.drop(self.feed_forward(self.norm_2(h)))

    def post_norm(self, x, mask):
        h = self.norm_1(x + self.drop(self.attention(x, mask)))
        return self.norm_2(h + self.drop(self.feed_forward(h)))

    def forward(self, x, mask=None):
        return self.forward_with(x, mask)


class Encoder(nn.Module):
    def __init__(self, n_layers, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        if not n_layers >= 1:
            raise Misfit("n_layers")
        make = lambda: TransformerBlock(d_model, n_heads, d_ff, norm_first, dropout, activation)
        self.blocks = nn.ModuleList([make() for _ in range(n_layers)])
        if norm_first:
            self.add_module("norm", LayerNorm(d_model))

    def forward(self, x, mask=None):
        h = self.through(x, mask)[-1]
        return self.norm(h) if "norm" in self._modules else h

    def through(self, x, mask=None):
        states = [x]
        for block in self.blocks:
            states.append(block(states[-1], mask))
        return states


def gradient_norms(encoder, x, target):
    if x.size() != target.size():
        raise Misfit("target")
    found, handles = {}, []
    for i, block in enumerate(encoder.blocks):
        handles.append(block.feed_forward.W_2.register_hook(lambda g, i=i: found.__setitem__(i, g.detach().norm())))
    matrices = [block.feed_forward.W_2 for block in encoder.blocks]
    try:
        torch.autograd.grad(((encoder(x) - target) ** 2).mean(), matrices)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack([found[i] for i in range(len(matrices))])


@torch.no_grad()
def stream_rms(encoder, x):
    if x.numel() < 1:
        raise Misfit("x")
    return torch.stack([state.detach().flatten().pow(2).mean().pow(0.5) for state in encoder.through(x)])
