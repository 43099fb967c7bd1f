"""Everything as an einsum; the heads are cut out of the weight matrices, not out of the projections."""

import math

import numpy as np
import torch
from torch import einsum, nn


def check(q, k, mask=None):
    if q.dim() < 2 or k.dim() < 2:
        raise ValueError("q and k must be matrices or stacks of them")
    if q.size(-1) != k.size(-1) or q.size(-1) == 0:
        raise ValueError(f"d_k does not fit: {q.size(-1)} and {k.size(-1)}")
    try:
        shape = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]) + (q.size(-2), k.size(-2))
        if mask is not None:
            if mask.dtype is not torch.bool:
                raise ValueError("mask must be boolean")
            if torch.broadcast_shapes(mask.shape, shape) != shape:
                raise ValueError("mask is too large")
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def attention_weights(q, k, mask=None):
    check(q, k, mask)
    scores = einsum("...id,...jd->...ij", q, k) / math.sqrt(q.size(-1))
    if mask is None:
        return scores.softmax(-1)
    nobody = ~mask.any(-1, keepdim=True)
    scores = torch.where(mask | nobody, scores, torch.tensor(-math.inf, dtype=scores.dtype))
    return torch.where(nobody, torch.zeros((), dtype=scores.dtype), scores.softmax(-1))


def scaled_dot_product_attention(q, k, v, mask=None):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    if v.dim() < 2 or v.size(-2) != k.size(-2):
        raise ValueError("one value per key, please")
    try:
        return einsum("...ij,...jd->...id", attention_weights(q, k, mask), v)
    except RuntimeError as problem:
        raise ValueError(f"v does not go with q and k: {problem}")


def attention_weights_vjp(q, k, grad_weights):
    check(q, k)
    if q.shape[:-2] != k.shape[:-2] or grad_weights.shape != q.shape[:-1] + (k.size(-2),):
        raise ValueError("grad_weights must look like the weights")
    a = attention_weights(q, k)
    r = einsum("...ij,...ij->...i", a, grad_weights)
    h = (einsum("...ij,...ij->...ij", a, grad_weights) - einsum("...i,...ij->...ij", r, a)) / math.sqrt(q.size(-1))
    return einsum("...ij,...jd->...id", h, k), einsum("...ij,...id->...jd", h, q)


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        if d_model < 1 or d_k < 1 or d_v < 1:
            raise ValueError("sizes start at 1")
        self.W_Q, self.W_K, self.W_V = (
            nn.Parameter(torch.normal(0.0, d_model**-0.5, (d_model, n))) for n in (d_k, d_k, d_v)
        )

    def forward(self, x, mask=None):
        if x.dim() < 2 or x.size(-1) != self.W_Q.size(0):
            raise ValueError("x must be (..., L, d_model)")
        q, k, v = (einsum("...ld,de->...le", x, w) for w in (self.W_Q, self.W_K, self.W_V))
        return scaled_dot_product_attention(q, k, v, mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model % n_heads:
            raise ValueError(f"{n_heads} heads do not divide {d_model}")
        self.n_heads = n_heads
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            self.register_parameter(name, nn.Parameter(torch.normal(0.0, d_model**-0.5, (d_model, d_model))))

    def forward(self, x, mask=None):
        if x.dim() < 2 or x.size(-1) != self.W_Q.size(0):
            raise ValueError("x must be (..., L, d_model)")
        check(x, x, mask)
        h, d = self.n_heads, self.W_Q.size(0)
        q, k, v = (einsum("...ld,dhe->...hle", x, w.view(d, h, -1)) for w in (self.W_Q, self.W_K, self.W_V))
        if mask is not None:
            mask = mask.broadcast_to(x.shape[:-1] + x.shape[-2:-1])[..., None, :, :]
        heads = scaled_dot_product_attention(q, k, v, mask)
        return einsum("...hle,hed->...ld", heads, self.W_O.view(h, -1, d))


def score_rank(q, k):
    if q.dim() != 2 or k.dim() != 2:
        raise ValueError("two matrices, please")
    check(q, k)
    if len(q) == 0 or len(k) == 0:
        return 0
    return torch.linalg.matrix_rank(einsum("id,jd->ij", q.double(), k.double()), atol=0.0, rtol=1e-10).item()


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    check(q, k)
    if v.dim() < 2 or v.size(-2) != k.size(-2):
        raise ValueError("one value per key, please")
    if not 0 < rank <= min(q.size(-2), k.size(-2)):
        raise ValueError("rank out of range")
    u, s, vh = torch.linalg.svd(einsum("...id,...jd->...ij", q, k) / math.sqrt(q.size(-1)), full_matrices=False)
    scores = einsum("...ir,...r,...rj->...ij", u[..., :rank], s[..., :rank], vh[..., :rank, :])
    return einsum("...ij,...jd->...id", scores.softmax(-1), v)


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    check(queries, keys)
    if bandwidth <= 0:
        raise ValueError("bandwidth must be positive")
    if values.dim() < 2 or values.size(-2) != keys.size(-2) or keys.size(-2) == 0:
        raise ValueError("one value per key, please, and a key at least")
    difference = queries[..., :, None, :] - keys[..., None, :, :]
    squared = einsum("...ijd,...ijd->...ij", difference, difference)
    squared = squared - squared.min(-1, keepdim=True).values
    h = max(bandwidth, torch.finfo(squared.dtype).tiny)
    return einsum("...ij,...jd->...id", torch.softmax(-squared / h / h / 2, -1), values)
