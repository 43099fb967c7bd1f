"""LayerNorm with a backward pass of its own, double precision inside, and a block of plain functions."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


class Normalise(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, eps):
        var, mean = torch.var_mean(x.double(), dim=-1, correction=0, keepdim=True)
        inverse = (var + eps).rsqrt()
        hat = (x - mean) * inverse
        ctx.save_for_backward(hat, inverse)
        return hat.to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        hat, inverse = ctx.saved_tensors
        g = grad.double()
        g = g - g.mean(-1, keepdim=True) - hat * (g * hat).mean(-1, keepdim=True)
        return (g * inverse).to(grad.dtype), None


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    if x.dim() < 1 or x.shape[-1] < 1 or not eps >= 0:
        raise ValueError(f"cannot normalise x of shape {tuple(x.shape)} with eps {eps}")
    size = torch.Size([x.shape[-1]])
    if weight is not None and weight.shape != size or bias is not None and bias.shape != size:
        raise ValueError(f"weight and bias must have the shape {tuple(size)}")
    y = Normalise.apply(x, eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        if d_model < 1:
            raise ValueError("d_model must be positive")
        if eps < 0:
            raise ValueError("eps must not be negative")
        self.weight = nn.Parameter(torch.empty(d_model))
        self.bias = nn.Parameter(torch.empty(d_model))
        self.eps = eps
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)


def center(x):
    if x.dim() < 1 or x.shape[-1] < 1:
        raise ValueError("no vectors")
    ones = torch.ones_like(x) / x.shape[-1] ** 0.5
    return x - (x * ones).sum(-1, keepdim=True) * ones


def to_sphere(x):
    if x.dim() < 1 or x.shape[-1] < 1:
        raise ValueError("no vectors")
    mean_square = (x * x).mean(dim=-1, keepdim=True)
    return torch.nan_to_num(x / mean_square.sqrt(), nan=0.0)


def layer_norm_jacobian(x):
    c = center(x)
    if (c == 0).all(dim=-1).any():
        raise ValueError("a constant vector has no derivative")
    d = x.shape[-1]
    sigma = c.square().mean(-1).sqrt()[..., None, None]
    hat = to_sphere(c)
    matrix = torch.diag_embed(torch.ones_like(x)) - 1 / d - hat.unsqueeze(-1) * hat.unsqueeze(-2) / d
    return matrix / sigma


def layer_norm_vjp(x, weight, grad_output, eps=1e-5):
    if x.dim() < 1 or x.shape[-1] < 1 or eps < 0:
        raise ValueError("x or eps")
    if weight.shape != x.shape[-1:] or grad_output.shape != x.shape:
        raise ValueError("weight or grad_output")
    # in NumPy, so there is no autograd anywhere near
    a, w, g = x.detach().numpy(), weight.detach().numpy(), grad_output.detach().numpy()
    d = a.shape[-1]
    c = a - a.mean(axis=-1, keepdims=True)
    s = np.sqrt((c**2).mean(axis=-1, keepdims=True) + eps)
    hat = c / s
    gw = g * w
    gx = (d * gw - gw.sum(axis=-1, keepdims=True) - hat * (gw * hat).sum(axis=-1, keepdims=True)) / (d * s)
    axes = tuple(range(a.ndim - 1))
    results = gx, (g * hat).sum(axis=axes), g.sum(axis=axes)
    return tuple(torch.from_numpy(np.array(r, dtype=a.dtype)) for r in results)


def dropout(x, p=0.1, training=True, generator=None):
    if not 0 <= p <= 1:
        raise ValueError("p")
    if not training:
        return x
    noise = torch.rand(x.numel(), generator=generator, dtype=torch.float64).reshape(x.shape)
    return torch.zeros_like(x) + x.masked_fill(noise < p, 0) / max(1 - p, 1e-9)


class Dropout(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p")
        self.p = p

    def forward(self, x):
        return dropout(x, p=self.p, training=self.training)


def residual(x, sublayer, norm, norm_first=True):
    before, after = (norm, lambda y: y) if norm_first else ((lambda y: y), norm)
    update = sublayer(before(x))
    if update.shape != x.shape:
        raise ValueError("sublayer")
    return after(torch.add(x, update))


class SelfAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if min(d_model, n_heads) < 1 or d_model % n_heads:
            raise ValueError("heads")
        self.heads = n_heads
        for name in ("Q", "K", "V", "O"):
            setattr(self, f"W_{name}", nn.Parameter(nn.init.xavier_normal_(torch.empty(d_model, d_model))))
            setattr(self, f"b_{name}", nn.Parameter(torch.zeros(d_model)))

    def forward(self, x, mask):
        if x.dim() < 2 or x.shape[-1] != len(self.b_Q):
            raise ValueError("x")
        if mask is not None:
            if mask.dtype != torch.bool:
                raise ValueError("mask")
            shape = x.shape[:-1] + x.shape[-2:-1]
            padded = (1,) * (len(shape) - mask.dim()) + tuple(mask.shape)
            if len(padded) != len(shape) or any(m not in (1, n) for m, n in zip(padded, shape)):
                raise ValueError("mask")
            mask = mask.reshape(padded).unsqueeze(-3)
        heads = [F.linear(x, getattr(self, f"W_{n}").T, getattr(self, f"b_{n}")) for n in "QKV"]
        q, k, v = (torch.stack(t.chunk(self.heads, dim=-1), dim=-3) for t in heads)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return F.linear(torch.cat(mixed.unbind(-3), dim=-1), self.W_O.T, self.b_O)


class FeedForwardNetwork(nn.Module):
    def __init__(self, d_model, d_ff, activation):
        super().__init__()
        if min(d_model, d_ff) < 1 or activation not in ("gelu", "relu"):
            raise ValueError("feed-forward network")
        self.activation = getattr(F, activation)
        self.W_1 = nn.Parameter(nn.init.xavier_normal_(torch.empty(d_model, d_ff)))
        self.W_2 = nn.Parameter(nn.init.xavier_normal_(torch.empty(d_ff, d_model)))
        self.b_1, self.b_2 = nn.Parameter(torch.zeros(d_ff)), nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        return F.linear(self.activation(F.linear(x, self.W_1.T, self.b_1)), self.W_2.T, self.b_2)


class TransformerBlock(nn.Module):
    def __init__(self, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        self.attention = SelfAttention(d_model, n_heads)
        self.feed_forward = FeedForwardNetwork(d_model, d_ff, activation)
        self.norm_1, self.norm_2 = LayerNorm(d_model), LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        self.pre = bool(norm_first)

    def forward(self, x, mask=None):
        steps = [(lambda h: self.attention(h, mask), self.norm_1), (self.feed_forward, self.norm_2)]
        for sublayer, norm in steps:
            if self.pre:
                x = x + self.dropout(sublayer(norm(x)))
            else:
                x = norm(x + self.dropout(sublayer(x)))
        return x


class Encoder(nn.Module):
    def __init__(self, n_layers, *args, **kwargs):
        super().__init__()
        if n_layers < 1:
            raise ValueError("n_layers")
        self.blocks = nn.ModuleList([TransformerBlock(*args, **kwargs) for _ in range(n_layers)])
        if self.blocks[0].pre:
            self.norm = LayerNorm(self.blocks[0].norm_1.weight.numel())

    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask=mask)
        return self.norm(x) if hasattr(self, "norm") else x


def gradient_norms(encoder, x, target):
    if x.shape != target.shape:
        raise ValueError("target")
    names = [f"blocks.{i}.feed_forward.W_2" for i in range(len(encoder.blocks))]
    matrices = {name: encoder.get_parameter(name).detach().clone().requires_grad_() for name in names}
    out = torch.func.functional_call(encoder, matrices, (x.detach(),))
    ((out - target.detach()) ** 2).mean().backward()
    return torch.stack([matrices[name].grad.flatten().norm() for name in names])


def stream_rms(encoder, x):
    if not x.numel():
        raise ValueError("x")
    states = [x.detach()]
    with torch.inference_mode():
        for block in encoder.blocks:
            states.append(block(states[-1]))
        return torch.cat([s.flatten().norm().reshape(1) / s.numel() ** 0.5 for s in states]).clone()
