"""The vector-Jacobian product from the full Jacobian; the rank and the low-rank scores from eigenvalues."""

import math

import numpy as np
import torch
from torch import nn


def checked(q, k, mask=None, v=None, rank=None):
    try:
        assert q.ndim >= 2 and k.ndim >= 2, "two dimensions at least"
        assert q.shape[-1] == k.shape[-1] > 0, "d_k"
        assert v is None or (v.ndim >= 2 and v.shape[-2] == k.shape[-2]), "values"
        shape = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2]) + (q.shape[-2], k.shape[-2])
        assert rank is None or 1 <= rank <= min(shape[-2:]), "rank"
        assert mask is None or mask.dtype == torch.bool, "mask is not boolean"
        assert mask is None or torch.broadcast_shapes(mask.shape, shape) == shape, "shape of the mask"
        return shape
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"bad arguments: {error}") from None


def attention_weights(q, k, mask=None):
    shape = checked(q, k, mask)
    scores = q @ k.mT / math.sqrt(q.shape[-1])
    if mask is None:
        return scores.softmax(-1)
    mask = mask.expand(shape)
    weights = torch.zeros(shape, dtype=q.dtype)
    rows = mask.any(-1)  # only rows in which something is allowed are touched at all
    some = scores[rows].masked_fill(~mask[rows], -math.inf).softmax(-1)
    return weights.index_put((rows,), some)


def scaled_dot_product_attention(q, k, v, mask=None):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    checked(q, k, mask, v)
    try:
        return attention_weights(q, k, mask) @ v
    except RuntimeError as error:
        raise ValueError(str(error))


def attention_weights_vjp(q, k, grad_weights):
    if grad_weights.shape != checked(q, k) or q.shape[:-2] != k.shape[:-2]:
        raise ValueError("grad_weights must have the shape of the weights")
    a = attention_weights(q, k)
    # J[..., i, j, m] = d A_ij / d S_im
    jacobian = torch.diag_embed(a) - a.unsqueeze(-1) * a.unsqueeze(-2)
    grad_scores = (grad_weights.unsqueeze(-2) @ jacobian).squeeze(-2)
    # D[..., i, m, d] = d S_im / d q_id, and likewise for k
    to_q = k.unsqueeze(-3) / math.sqrt(q.shape[-1])
    to_k = q.unsqueeze(-2) / math.sqrt(q.shape[-1])
    return (grad_scores.unsqueeze(-1) * to_q).sum(-2), (grad_scores.unsqueeze(-1) * to_k).sum(-3)


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        if any(size < 1 for size in (d_model, d_k, d_v)):
            raise ValueError("sizes are positive")
        self.sizes = [d_k, d_k, d_v]
        self.W_Q = nn.Parameter(nn.init.normal_(torch.empty(d_model, d_k), 0, d_model**-0.5))
        self.W_K = nn.Parameter(nn.init.normal_(torch.empty(d_model, d_k), 0, d_model**-0.5))
        self.W_V = nn.Parameter(nn.init.normal_(torch.empty(d_model, d_v), 0, d_model**-0.5))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ValueError("x does not fit")
        together = x @ torch.cat([self.W_Q, self.W_K, self.W_V], dim=1)
        return scaled_dot_product_attention(*together.split(self.sizes, dim=-1), mask)


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if d_model < 1 or n_heads < 1 or d_model % n_heads:
            raise ValueError("d_model must be a positive multiple of n_heads")
        self.n_heads = n_heads
        for letter in "QKVO":
            setattr(self, f"W_{letter}", nn.Parameter(nn.init.normal_(torch.empty(d_model, d_model), 0, d_model**-0.5)))

    def forward(self, x, mask=None):
        if x.ndim < 2 or x.shape[-1] != self.W_Q.shape[0]:
            raise ValueError("x does not fit")
        width = x.shape[-1] // self.n_heads
        # (n_heads, d_model, width), with axes in front for the leading dimensions of x to broadcast against
        q, k, v = (
            x.unsqueeze(-3) @ w.reshape(-1, self.n_heads, width).transpose(0, 1) for w in (self.W_Q, self.W_K, self.W_V)
        )
        if mask is not None and mask.ndim > 2:
            mask = mask.unsqueeze(-3)
        heads = scaled_dot_product_attention(q, k, v, mask)
        return (heads @ self.W_O.reshape(self.n_heads, width, -1)).sum(-3)


def score_rank(q, k):
    if q.ndim != 2 or k.ndim != 2:
        raise ValueError("matrices only")
    n, m = checked(q, k)
    if n * m == 0:
        return 0
    # the eigenvalues of [[0, S], [S^T, 0]] are plus and minus the singular values of S, and zeros
    big = torch.zeros(n + m, n + m, dtype=torch.float64)
    big[:n, n:] = q.double() @ k.double().T
    big[n:, :n] = big[:n, n:].T.clone()
    values = torch.linalg.eigvalsh(big)
    return int((values > 1e-10 * values.max()).sum())


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    checked(q, k, None, v, rank)
    scores = (q @ k.mT / math.sqrt(q.shape[-1])).double()
    directions = torch.linalg.eigh(scores.mT @ scores).eigenvectors[..., -rank:]  # the right singular vectors
    return (scores @ directions @ directions.mT).softmax(-1).to(v.dtype) @ v


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    if bandwidth <= 0 or 0 in checked(queries, keys, None, values)[-1:]:
        raise ValueError("positive bandwidth and one key at least")
    squared = (queries.unsqueeze(-2) - keys.unsqueeze(-3)).pow(2).sum(-1)
    order = squared.sort(dim=-1)
    h = max(bandwidth, torch.finfo(squared.dtype).tiny)
    weights = torch.exp(-(order.values - order.values[..., :1]) / h / h / 2)
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.zeros_like(squared).scatter(-1, order.indices, weights) @ values
