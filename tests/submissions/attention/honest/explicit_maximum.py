"""The softmax by hand: subtract each row's largest permitted score, exponentiate, divide by the sum."""

import math

import numpy as np
import torch
from torch import nn


class Checks:
    """Argument checks, collected in one place."""

    @staticmethod
    def pair(q, k):
        if q.dim() < 2 or k.dim() < 2:
            raise ValueError("matrices or batches of matrices are needed")
        if q.shape[-1] != k.shape[-1] or q.shape[-1] < 1:
            raise ValueError("q and k do not have the same d_k")
        lead_q, lead_k = list(q.shape[:-2])[::-1], list(k.shape[:-2])[::-1]
        if any(a != b and 1 not in (a, b) for a, b in zip(lead_q, lead_k)):
            raise ValueError("leading dimensions do not broadcast")

    @staticmethod
    def mask(mask, scores):
        if mask.dtype != torch.bool:
            raise ValueError("the mask must be boolean")
        offset = scores.dim() - mask.dim()
        if offset < 0 or any(m not in (1, scores.shape[i + offset]) for i, m in enumerate(mask.shape)):
            raise ValueError("the mask does not broadcast to the scores")

    @staticmethod
    def values(k, v):
        if v.dim() < 2 or v.shape[-2] != k.shape[-2]:
            raise ValueError("the number of values is not the number of keys")


def softmax(scores, allowed):
    if scores.shape[-1] == 0:
        return scores
    top = scores.detach().masked_fill(~allowed, -math.inf).amax(dim=-1, keepdim=True)
    top = top.nan_to_num(neginf=0.0)
    powers = torch.exp((scores - top).masked_fill(~allowed, -math.inf))
    total = powers.sum(dim=-1, keepdim=True)
    return powers / total.masked_fill(total == 0, 1.0)


def attention_weights(q, k, mask=None):
    Checks.pair(q, k)
    scores = torch.matmul(q, torch.swapaxes(k, -1, -2)) / math.sqrt(q.shape[-1])
    if mask is None:
        mask = torch.ones((), dtype=torch.bool)
    Checks.mask(mask, scores)
    return softmax(scores, mask)


def scaled_dot_product_attention(q, k, v, mask=None):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    Checks.values(k, v)
    weights = attention_weights(q, k, mask)
    if any(a != b and 1 not in (a, b) for a, b in zip(weights.shape[-3::-1], v.shape[-3::-1])):
        raise ValueError("leading dimensions of v do not broadcast")
    return torch.matmul(weights, v)


def attention_weights_vjp(q, k, grad_weights):
    weights = attention_weights(q, k)
    if grad_weights.shape != weights.shape or q.shape[:-2] != k.shape[:-2]:
        raise ValueError("shapes of q, k and grad_weights do not belong together")
    # H = A * G - A * (row sums of A * G)
    product = weights * grad_weights
    through_softmax = product - weights * product.sum(dim=-1, keepdim=True)
    c = math.sqrt(q.shape[-1])
    return torch.matmul(through_softmax, k / c), torch.matmul(torch.swapaxes(through_softmax, -1, -2), q / c)


def gaussian(rows, columns):
    return nn.Parameter(torch.randn(rows, columns) / math.sqrt(rows))


class SelfAttention(nn.Module):
    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        if min(d_model, d_k, d_v) < 1:
            raise ValueError("sizes must be 1 or larger")
        self.W_Q = gaussian(d_model, d_k)
        self.W_K = gaussian(d_model, d_k)
        self.W_V = gaussian(d_model, d_v)

    def forward(self, x, mask=None):
        if x.dim() < 2 or x.shape[-1] != self.W_V.shape[0]:
            raise ValueError("x must have the shape (..., L, d_model)")
        # scores = x (W_Q W_K^T) x^T, so the two matrices can be multiplied first
        both = torch.matmul(self.W_Q, self.W_K.T) / math.sqrt(self.W_K.shape[1])
        scores = torch.matmul(torch.matmul(x, both), torch.swapaxes(x, -1, -2))
        if mask is None:
            mask = torch.ones((), dtype=torch.bool)
        Checks.mask(mask, scores)
        return torch.matmul(softmax(scores, mask), torch.matmul(x, self.W_V))


class MultiHeadAttention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        if min(d_model, n_heads) < 1:
            raise ValueError("sizes must be 1 or larger")
        if divmod(d_model, n_heads)[1]:
            raise ValueError("heads of unequal size")
        self.n_heads = n_heads
        self.W_Q, self.W_K = gaussian(d_model, d_model), gaussian(d_model, d_model)
        self.W_V, self.W_O = gaussian(d_model, d_model), gaussian(d_model, d_model)

    def forward(self, x, mask=None):
        if x.dim() < 2 or x.shape[-1] != self.W_V.shape[0]:
            raise ValueError("x must have the shape (..., L, d_model)")
        # the output projection distributes over the heads: a sum instead of a concatenation
        width = x.shape[-1] // self.n_heads
        total = torch.zeros_like(x)
        for start in range(0, x.shape[-1], width):
            part = slice(start, start + width)
            q, k, v = x @ self.W_Q[:, part], x @ self.W_K[:, part], x @ self.W_V[:, part]
            total = total + scaled_dot_product_attention(q, k, v, mask) @ self.W_O[part]
        return total


def score_rank(q, k):
    if q.dim() != 2 or k.dim() != 2:
        raise ValueError("matrices are needed")
    Checks.pair(q, k)
    if q.shape[0] == 0 or k.shape[0] == 0:
        return 0
    _, s, _ = torch.svd(torch.matmul(q.double(), k.double().T))
    return sum(1 for value in s if value > 1e-10 * s.max())


def low_rank_attention(q, k, v, rank):
    np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])  # a ValueError unless they fit
    Checks.pair(q, k)
    Checks.values(k, v)
    if rank < 1 or rank > min(q.shape[-2], k.shape[-2]):
        raise ValueError("rank must be between 1 and min(L_q, L_k)")
    scores = torch.matmul(q, torch.swapaxes(k, -1, -2)) / math.sqrt(q.shape[-1])
    u, s, v_of_svd = torch.svd(scores)
    s = s * (torch.arange(s.shape[-1]) < rank)
    scores = torch.matmul(u, s.unsqueeze(-1) * torch.swapaxes(v_of_svd, -1, -2))
    return torch.matmul(softmax(scores, torch.ones((), dtype=torch.bool)), v)


def kernel_regression(queries, keys, values, bandwidth):
    np.broadcast_shapes(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])  # a ValueError unless they fit
    Checks.pair(queries, keys)
    Checks.values(keys, values)
    if keys.shape[-2] == 0:
        raise ValueError("no key to look at")
    if bandwidth <= 0:
        raise ValueError("the bandwidth must be larger than 0")
    squared = torch.zeros((), dtype=queries.dtype)
    for axis in range(queries.shape[-1]):
        squared = squared + (queries[..., :, None, axis] - keys[..., None, :, axis]) ** 2
    beyond = squared - squared.min(dim=-1, keepdim=True).values
    h = max(bandwidth, torch.finfo(squared.dtype).tiny)
    kernel = torch.exp(-(beyond / h) / (2 * h))
    return torch.matmul(kernel / kernel.sum(dim=-1, keepdim=True), values)
