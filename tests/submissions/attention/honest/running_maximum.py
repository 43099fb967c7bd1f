"""Blocks of keys with a running maximum; heads inside the weights by einsum; the Jacobian of the softmax in full."""

import math

import numpy as np
import torch
from torch import nn

BLOCK = 3


def refuse(condition, text):
    if condition:
        raise ValueError(text)


def shape_of_scores(q, k):
    refuse(q.ndim < 2 or k.ndim < 2, "two dimensions or more")
    refuse(q.shape[-1] != k.shape[-1] or q.shape[-1] == 0, "queries and keys differ in width, or have none")
    return (*np.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])


def expanded(mask, shape):
    """The mask as a view of the size of the scores, with strides of 0 where it is repeated."""
    if mask is None:
        return torch.ones((), dtype=torch.bool).expand(shape)
    refuse(mask.dtype is not torch.bool, "a mask of booleans, please")
    try:
        return mask.expand(shape)
    except RuntimeError as error:
        raise ValueError(str(error)) from None


def attention_weights(q, k, mask=None):
    shape = shape_of_scores(q, k)
    seen = expanded(mask, shape)
    if 0 in shape:
        return q @ k.mT
    scores = torch.where(seen, (q / q.shape[-1] ** 0.5) @ k.mT, torch.finfo(q.dtype).min)
    powers = (scores - scores.detach().amax(-1, keepdim=True)).exp() * seen
    return powers / powers.sum(-1, keepdim=True).clamp_min(torch.finfo(q.dtype).tiny)


def scaled_dot_product_attention(q, k, v, mask=None):
    shape = shape_of_scores(q, k)
    refuse(v.ndim < 2 or v.shape[-2] != k.shape[-2], "each key has one value")
    lead = np.broadcast_shapes(shape[:-2], v.shape[:-2])
    seen, low = expanded(mask, shape), torch.finfo(q.dtype).min / 2
    top, total = q.new_full((*shape[:-1], 1), low), q.new_zeros(*shape[:-1], 1)
    out = q.new_zeros(*lead, shape[-2], v.shape[-1])
    for start in range(0, shape[-1], BLOCK):
        here = slice(start, start + BLOCK)
        scores = (q @ k[..., here, :].mT / math.sqrt(q.shape[-1])).masked_fill(~seen[..., here], low)
        new = torch.maximum(top, scores.amax(-1, keepdim=True))
        weights, share = (scores - new).exp() * seen[..., here], (top - new).exp()
        top, total, out = new, total * share + weights.sum(-1, keepdim=True), out * share + weights @ v[..., here, :]
    return out / torch.where(total == 0, torch.ones_like(total), total)


def attention_weights_vjp(q, k, grad_weights):
    shape = shape_of_scores(q, k)
    refuse(q.shape[:-2] != k.shape[:-2] or tuple(grad_weights.shape) != shape, "shapes")
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    jacobian = torch.diag_embed(weights) - weights.unsqueeze(-1) * weights.unsqueeze(-2)
    grad_scores = torch.einsum("...ijm,...im->...ij", jacobian, grad_weights) / math.sqrt(q.shape[-1])
    return torch.einsum("...ij,...jd->...id", grad_scores, k), torch.einsum("...ij,...id->...jd", grad_scores, q)


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        refuse(min(d_model, d_k, d_v) < 1, "sizes start at 1")
        for name, width in {"W_Q": d_k, "W_K": d_k, "W_V": d_v}.items():
            self.register_parameter(name, nn.Parameter(torch.empty(d_model, width).normal_(0, d_model**-0.5)))

    def forward(self, x, mask=None):
        refuse(x.ndim < 2 or x.shape[-1] != len(self.W_Q), "x does not fit")
        # The product of all scores at once: x (W_Q W_K^T) x^T.
        scores = x @ (self.W_Q @ self.W_K.T) @ x.mT / math.sqrt(self.W_Q.shape[1])
        seen = expanded(mask, tuple(scores.shape))
        weights = scores.masked_fill(~seen, -1e30).softmax(-1) * seen
        return (weights @ x) @ self.W_V


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        refuse(d_model < 1 or n_heads < 1 or d_model % n_heads, "n_heads must divide d_model")
        self.heads = n_heads
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            self.register_parameter(name, nn.Parameter(torch.randn(d_model, d_model) * d_model**-0.5))

    def forward(self, x, mask=None):
        refuse(x.ndim < 2 or x.shape[-1] != len(self.W_Q), "x does not fit")
        d, h = len(self.W_Q), self.heads
        split = (W.unflatten(1, (h, d // h)) for W in (self.W_Q, self.W_K, self.W_V))
        q, k, v = (torch.einsum("...ld,dhe->...hle", x, W) for W in split)
        scores = torch.einsum("...hle,...hme->...hlm", q, k) / math.sqrt(d // h)
        seen = expanded(mask, (*x.shape[:-1], x.shape[-2])).unsqueeze(-3)
        weights = scores.masked_fill(~seen, -1e30).softmax(-1) * seen
        return torch.einsum("...hlm,...hme,hef->...lf", weights, v, self.W_O.unflatten(0, (h, d // h)))


def score_rank(q, k):
    refuse(q.ndim != 2 or k.ndim != 2, "matrices")
    if 0 in shape_of_scores(q, k):
        return 0
    found = torch.linalg.svd(q.double() @ k.double().mT, full_matrices=False).S
    return 0 if found[0] == 0 else torch.count_nonzero(found / found[0] > 1e-10).item()


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    shape = shape_of_scores(q, k)
    refuse(v.ndim < 2 or v.shape[-2] != k.shape[-2], "each key has one value")
    refuse(not 1 <= rank <= min(shape[-2:]), "no such rank")
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).double()
    basis = torch.linalg.svd(scores).U[..., :rank]  # the projection on its first directions is the best approximation
    return torch.softmax(basis @ (basis.mT @ scores), -1).to(q.dtype) @ v


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    refuse(not bandwidth > 0, "bandwidth must be positive")
    shape_of_scores(queries, keys)
    refuse(values.ndim < 2 or keys.shape[-2] != values.shape[-2] or keys.shape[-2] == 0, "keys and values")
    # |q|^2 is the same for all keys of a query, so q.k - |k|^2 / 2 orders them as the distance does.
    nearness = queries @ keys.mT - keys.square().sum(-1).unsqueeze(-2) / 2
    behind = (nearness - nearness.detach().amax(-1, keepdim=True)).double()
    return (behind / bandwidth / bandwidth).clamp(min=-1e300).softmax(-1).to(values.dtype) @ values
