"""Three-dimensional tensors and torch.baddbmm throughout: the mask is the bias that is added to the product."""

import math

import torch
from torch import nn


def need(ok, text):
    if not ok:
        raise ValueError(text)


def lead_of(*tensors):
    try:
        return torch.broadcast_shapes(*(t.shape[:-2] for t in tensors))
    except RuntimeError as error:
        raise ValueError(f"leading dimensions: {error}") from None


def stack3(tensor, lead):
    """(..., m, n) to (batch, m, n)."""
    return tensor.expand(*lead, *tensor.shape[-2:]).reshape(math.prod(lead), *tensor.shape[-2:])


def attention_weights(q, k, mask=None):
    need(q.dim() > 1 and k.dim() > 1, "at least two dimensions")
    need(q.shape[-1] == k.shape[-1] > 0, "d_k of q and k")
    lead = lead_of(q, k)
    shape = (*lead, q.shape[-2], k.shape[-2])
    bias = q.new_zeros(shape)
    if mask is not None:
        need(mask.dtype == torch.bool, "boolean mask")
        try:
            mask = mask.expand(shape)
        except RuntimeError:
            raise ValueError(f"a mask of shape {tuple(mask.shape)} for scores of shape {shape}") from None
        bias = bias.masked_fill(~mask, -1e30)  # absorbs the score: x - 1e30 == -1e30
    scores = torch.baddbmm(stack3(bias, lead), stack3(q, lead), stack3(k, lead).transpose(1, 2), alpha=1 / math.sqrt(q.shape[-1]))
    weights = scores.softmax(2).reshape(shape)
    return weights if mask is None else weights * mask


def scaled_dot_product_attention(q, k, v, mask=None):
    need(v.dim() > 1 and v.shape[-2] == k.shape[-2], "values and keys")
    weights = attention_weights(q, k, mask)
    lead = lead_of(weights, v)
    return torch.bmm(stack3(weights, lead), stack3(v, lead)).reshape(*lead, q.shape[-2], v.shape[-1])


def attention_weights_vjp(q, k, grad_weights):
    weights = attention_weights(q, k)
    need(q.shape[:-2] == k.shape[:-2] and grad_weights.shape == weights.shape, "shape of grad_weights")
    lead = q.shape[:-2]
    w, g, q3, k3 = (stack3(t, lead) for t in (weights, grad_weights, q, k))
    r = torch.bmm((w * g).flatten(0, 1).unsqueeze(1), torch.ones_like(w).flatten(0, 1).unsqueeze(2)).reshape(*w.shape[:2], 1)
    h = w * (g - r)
    zero_q, zero_k, alpha = torch.zeros_like(q3), torch.zeros_like(k3), q.shape[-1] ** -0.5
    grad_q = torch.baddbmm(zero_q, h, k3, alpha=alpha)
    grad_k = torch.baddbmm(zero_k, h.transpose(1, 2), q3, alpha=alpha)
    return grad_q.reshape(q.shape), grad_k.reshape(k.shape)


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        need(min(d_model, d_k, d_v) > 0, "sizes")
        self.W_Q = nn.Parameter(torch.randn(d_model, d_k).div_(d_model**0.5))
        self.W_K = nn.Parameter(torch.randn(d_model, d_k).div_(d_model**0.5))
        self.W_V = nn.Parameter(torch.randn(d_model, d_v).div_(d_model**0.5))

    def forward(self, x, mask=None):
        need(x.dim() > 1 and x.shape[-1] == self.W_Q.shape[0], "shape of x")
        flat = x.reshape(-1, x.shape[-1])
        q, k, v = (torch.mm(flat, w).reshape(*x.shape[:-1], -1) for w in (self.W_Q, self.W_K, self.W_V))
        return scaled_dot_product_attention(q, k, v, mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        need(d_model > 0 and n_heads > 0 and d_model % n_heads == 0, "sizes")
        self.n_heads = n_heads
        self.W_Q = nn.Parameter(torch.randn(d_model, d_model).div_(d_model**0.5))
        self.W_K = nn.Parameter(torch.randn(d_model, d_model).div_(d_model**0.5))
        self.W_V = nn.Parameter(torch.randn(d_model, d_model).div_(d_model**0.5))
        self.W_O = nn.Parameter(torch.randn(d_model, d_model).div_(d_model**0.5))

    def forward(self, x, mask=None):
        need(x.dim() > 1 and x.shape[-1] == self.W_Q.shape[0], "shape of x")
        length, d_model, h = x.shape[-2], x.shape[-1], self.n_heads
        if mask is not None:
            need(mask.dtype == torch.bool, "boolean mask")
            try:
                mask = mask.expand(*x.shape[:-1], length).reshape(-1, 1, length, length).expand(-1, h, -1, -1).flatten(0, 1)
            except RuntimeError:
                raise ValueError("shape of the mask") from None
        x3 = x.reshape(-1, length, d_model)

        def heads(w):
            return (x3 @ w).reshape(-1, length, h, d_model // h).permute(0, 2, 1, 3).reshape(-1, length, d_model // h)

        out = scaled_dot_product_attention(heads(self.W_Q), heads(self.W_K), heads(self.W_V), mask)
        out = out.reshape(-1, h, length, d_model // h).permute(0, 2, 1, 3).reshape(x.shape)
        return out @ self.W_O


def score_rank(q, k):
    need(q.dim() == 2 and k.dim() == 2, "matrices")
    need(q.shape[1] == k.shape[1] > 0, "d_k of q and k")
    if not (len(q) and len(k)):
        return 0
    s = torch.linalg.svdvals(torch.addmm(torch.zeros((), dtype=torch.float64), q.double(), k.double().t()))
    return int(torch.count_nonzero(s > s.amax() * 1e-10))


def low_rank_attention(q, k, v, rank):
    need(q.dim() > 1 and k.dim() > 1 and v.dim() > 1, "at least two dimensions")
    need(q.shape[-1] == k.shape[-1] > 0 and v.shape[-2] == k.shape[-2], "shapes")
    need(1 <= rank <= min(q.shape[-2], k.shape[-2]), "rank")
    lead = lead_of(q, k, v)
    q3, k3, v3 = (stack3(t, lead) for t in (q, k, v))
    u, s, vh = torch.linalg.svd(torch.bmm(q3, k3.transpose(1, 2)) / math.sqrt(q.shape[-1]), full_matrices=False)
    scores = torch.bmm(u[:, :, :rank] * s[:, None, :rank], vh[:, :rank])
    return torch.bmm(scores.softmax(2), v3).reshape(*lead, q.shape[-2], v.shape[-1])


def kernel_regression(queries, keys, values, bandwidth):
    need(bandwidth > 0, "bandwidth")
    need(min(queries.dim(), keys.dim(), values.dim()) > 1, "at least two dimensions")
    need(queries.shape[-1] == keys.shape[-1] and values.shape[-2] == keys.shape[-2] > 0, "shapes")
    lead = lead_of(queries, keys, values)
    a, b, v = (stack3(t, lead) for t in (queries, keys, values))
    squared = torch.baddbmm((b * b).sum(2).unsqueeze(1), a, b.transpose(1, 2), alpha=-2)  # |q|^2 cancels in the softmax
    squared = squared - squared.min(dim=2, keepdim=True)[0]
    h = max(bandwidth, torch.finfo(squared.dtype).tiny)
    return torch.bmm((-0.5 * (squared / h / h)).softmax(2), v).reshape(*lead, queries.shape[-2], values.shape[-1])
