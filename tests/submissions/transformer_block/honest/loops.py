"""Vector by vector in Python loops, as a beginner would who distrusts broadcasting."""

import math

import torch
from torch import nn


def rows_of(x):
    if x.ndim == 0 or x.shape[-1] == 0:
        raise ValueError(f"x has no vectors: shape {tuple(x.shape)}")
    return list(x.reshape(x.shape[:-1].numel(), x.shape[-1]))


def together(rows, like, shape=None):
    shape = like.shape if shape is None else shape
    if not rows:
        return like.new_zeros(shape)
    return torch.stack(rows).reshape(shape)


def layer_norm(x, weight=None, bias=None, eps=1e-5):
    d = x.shape[-1] if x.ndim else 0
    if eps < 0:
        raise ValueError("eps is negative")
    for parameter in (weight, bias):
        if parameter is not None and (parameter.ndim != 1 or len(parameter) != d):
            raise ValueError("weight and bias must have the length of a vector")
    result = []
    for row in rows_of(x):
        mu = sum(row) / d
        var = sum((number - mu) ** 2 for number in row) / d
        sigma = torch.sqrt(var + eps)
        numbers = []
        for i in range(d):
            number = (row[i] - mu) / sigma
            if weight is not None:
                number = number * weight[i]
            if bias is not None:
                number = number + bias[i]
            numbers.append(number)
        result.append(torch.stack(numbers))
    return together(result, x)


class LayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        if d_model < 1 or eps < 0:
            raise ValueError("d_model or eps is too small")
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.tensor([1.0] * d_model))
        self.bias = nn.Parameter(torch.tensor([0.0] * d_model))

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias, self.eps)


def center(x):
    return together([row - sum(row) / len(row) for row in rows_of(x)], x)


def to_sphere(x):
    result = []
    for row in rows_of(x):
        length = math.sqrt(sum(number.item() ** 2 for number in row))
        result.append(row * (math.sqrt(len(row)) / length) if length > 0 else torch.zeros_like(row))
    return together(result, x)


def layer_norm_jacobian(x):
    result = []
    for row in rows_of(x):
        d = len(row)
        c = row - row.mean()
        length = torch.linalg.vector_norm(c)
        if length == 0:
            raise ValueError("a constant vector")
        matrix = torch.zeros(d, d, dtype=x.dtype)
        for i in range(d):
            for j in range(d):
                entry = (1.0 if i == j else 0.0) - 1 / d - c[i] * c[j] / length**2
                matrix[i, j] = math.sqrt(d) / length * entry
        result.append(matrix)
    return together(result, x, (*x.shape, x.shape[-1]))


def layer_norm_vjp(x, weight, grad_output, eps=1e-5):
    rows = rows_of(x)
    d = x.shape[-1]
    if weight.shape != (d,) or grad_output.shape != x.shape or eps < 0:
        raise ValueError("weight, grad_output or eps does not fit")
    grad_rows, grad_weight, grad_bias = [], torch.zeros_like(x.new_empty(d)), torch.zeros_like(x.new_empty(d))
    for row, grad in zip(rows, rows_of(grad_output)):
        mu = row.mean()
        s = ((row - mu).pow(2).mean() + eps).sqrt()
        hat = (row - mu) / s
        # the whole Jacobian of the normalised vector, entry by entry: eye - 1/d - hat hat^T / d
        jacobian = (torch.eye(d, dtype=x.dtype) - 1 / d - torch.outer(hat, hat) / d) / s
        grad_rows.append((grad * weight) @ jacobian)
        grad_weight = grad_weight + grad * hat
        grad_bias = grad_bias + grad
    return together(grad_rows, x), grad_weight, grad_bias


def dropout(x, p=0.1, training=True, generator=None):
    if p < 0 or p > 1:
        raise ValueError("p is no probability")
    if training is False:
        return x
    if p == 1:
        return x * 0
    numbers = torch.empty_like(x).uniform_(0, 1, generator=generator)
    return torch.where(numbers < p, torch.zeros_like(x), x / (1 - p))


class Dropout(nn.Module):
    def __init__(self, p=0.1):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError("p is no probability")
        self.p = p

    def forward(self, x):
        if self.training:
            return dropout(x, self.p)
        return x


def residual(x, sublayer, norm, norm_first=True):
    if norm_first:
        what_to_add = sublayer(norm(x))
    else:
        what_to_add = sublayer(x)
    if list(what_to_add.shape) != list(x.shape):
        raise ValueError("the sublayer changed the shape")
    total = x + what_to_add
    if norm_first:
        return total
    return norm(total)


class Head(nn.Module):
    """Attention, one head after the other."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model % n_heads != 0:
            raise ValueError("n_heads must divide d_model")
        self.d_model, self.n_heads = d_model, n_heads
        self.W_Q = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.b_Q = nn.Parameter(torch.zeros(d_model))
        self.W_K = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.b_K = nn.Parameter(torch.zeros(d_model))
        self.W_V = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.b_V = nn.Parameter(torch.zeros(d_model))
        self.W_O = nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model))
        self.b_O = nn.Parameter(torch.zeros(d_model))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.d_model:
            raise ValueError("x does not fit")
        length = x.shape[-2]
        if mask is not None:
            if mask.dtype != torch.bool:
                raise ValueError("mask must be boolean")
            try:
                mask = mask.expand(*x.shape[:-2], length, length)
            except RuntimeError:
                raise ValueError("mask has the wrong shape")
        width = self.d_model // self.n_heads
        outputs = []
        for h in range(self.n_heads):
            block = slice(h * width, (h + 1) * width)
            q = x @ self.W_Q[:, block] + self.b_Q[block]
            k = x @ self.W_K[:, block] + self.b_K[block]
            v = x @ self.W_V[:, block] + self.b_V[block]
            scores = q @ k.transpose(-1, -2) / math.sqrt(width)
            if mask is not None:
                scores = scores.masked_fill(~mask, -1e30)
            weights = torch.softmax(scores, -1)
            if mask is not None:
                weights = weights * mask
            outputs.append(weights @ v)
        return torch.cat(outputs, -1) @ self.W_O + self.b_O


class Mlp(nn.Module):
    def __init__(self, d_model, d_ff, activation):
        super().__init__()
        if d_ff < 1:
            raise ValueError("d_ff")
        if activation == "gelu":
            self.act = nn.GELU()
        elif activation == "relu":
            self.act = nn.ReLU()
        else:
            raise ValueError(f"unknown activation {activation}")
        self.W_1 = nn.Parameter(torch.randn(d_model, d_ff) / math.sqrt(d_model))
        self.b_1 = nn.Parameter(torch.zeros(d_ff))
        self.W_2 = nn.Parameter(torch.randn(d_ff, d_model) / math.sqrt(d_ff))
        self.b_2 = nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        hidden = self.act(torch.matmul(x, self.W_1) + self.b_1)
        return torch.matmul(hidden, self.W_2) + self.b_2


class TransformerBlock(nn.Module):
    def __init__(self, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        if not 0 <= dropout <= 1:
            raise ValueError("dropout")
        self.attention = Head(d_model, n_heads)
        self.feed_forward = Mlp(d_model, d_ff, activation)
        self.norm_1 = LayerNorm(d_model)
        self.norm_2 = LayerNorm(d_model)
        self.norm_first = norm_first
        self.p = dropout

    def forward(self, x, mask=None):
        def first(h):
            return dropout(self.attention(h, mask), self.p, self.training)

        def second(h):
            return dropout(self.feed_forward(h), self.p, self.training)

        h = residual(x, first, self.norm_1, self.norm_first)
        return residual(h, second, self.norm_2, self.norm_first)


class Encoder(nn.Module):
    def __init__(self, n_layers, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        if n_layers < 1:
            raise ValueError("no layers")
        blocks = []
        for _ in range(n_layers):
            blocks.append(TransformerBlock(d_model, n_heads, d_ff, norm_first, dropout, activation))
        self.blocks = nn.ModuleList(blocks)
        self.norm_first = norm_first
        if norm_first:
            self.norm = LayerNorm(d_model)

    def forward(self, x, mask=None):
        for i in range(len(self.blocks)):
            x = self.blocks[i](x, mask)
        if self.norm_first:
            x = self.norm(x)
        return x


def gradient_norms(encoder, x, target):
    if list(x.shape) != list(target.shape):
        raise ValueError("x and target differ in shape")
    norms = []
    for block in encoder.blocks:
        # one block at a time, the whole way anew
        difference = encoder(x) - target
        loss = (difference * difference).sum() / difference.numel()
        (gradient,) = torch.autograd.grad(loss, [block.feed_forward.W_2])
        norms.append(math.sqrt(sum(number**2 for row in gradient.tolist() for number in row)))
    return torch.tensor(norms, dtype=x.dtype)


def stream_rms(encoder, x):
    if x.numel() == 0:
        raise ValueError("x is empty")
    sizes = []
    for depth in range(len(encoder.blocks) + 1):
        h = x.detach()
        for block in list(encoder.blocks)[:depth]:
            h = block(h).detach()
        sizes.append(h.pow(2).mean().sqrt().item())
    return torch.tensor(sizes, dtype=x.dtype)
