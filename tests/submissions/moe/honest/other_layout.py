"""The gate by repeated argmax; experts of another layout; every expert called, if need be with no rows."""

import math

import matplotlib.pyplot as plt
import torch
from torch import nn


def must(condition, message="the arguments do not fit"):
    if not condition:
        raise ValueError(message)


def check_gate(x, W_g, top_k):
    must(x.dim() >= 1 and W_g.dim() == 2 and x.shape[-1] == W_g.shape[0] and W_g.shape[1] > 0)
    must(top_k is None or 0 < top_k <= W_g.shape[1], "top_k is out of range")


def check_outputs(z, outputs, grad):
    must(z.dim() >= 1 and outputs.shape[:-1] == z.shape and grad.shape == z.shape[:-1] + outputs.shape[-1:])


def check_tokens(assignments, n):
    must(assignments.dtype is torch.int64 and assignments.numel() > 0 and n > 0)
    must(int(assignments.min()) >= 0 and int(assignments.max()) < n, "no such expert")


def gate(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    p = torch.nn.functional.softmax(x.matmul(W_g), dim=-1)
    if top_k is None:
        return p
    keep, left = torch.zeros_like(p, dtype=torch.bool), p.detach().clone()
    for _ in range(top_k):
        best = left.argmax(-1, keepdim=True)
        keep = keep.scatter(-1, best, True)
        left = left.scatter(-1, best, -1.0)
    kept = torch.where(keep, p, 0.0)
    return kept / kept.sum(-1, keepdim=True)


class Gated(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.A, self.B = (nn.Parameter(torch.randn(d_model, d_ff) / d_model**0.5) for _ in range(2))
        self.C = nn.Parameter(torch.randn(d_ff, d_model) / d_ff**0.5)

    def forward(self, x):
        return (torch.sigmoid(x @ self.A) * (x @ self.B)) @ self.C


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__()
        must(d_model >= 1 and d_ff >= 1 and n_experts >= 1, "sizes start at 1")
        must(top_k is None or 1 <= top_k <= n_experts, "top_k is out of range")
        self.n_kept = top_k
        self.experts = nn.ModuleList()
        self.experts.extend(Gated(d_model, d_ff) for _ in range(n_experts))
        self.W_g = nn.Parameter(torch.randn(n_experts, d_model).T.contiguous() / math.sqrt(d_model))

    def forward(self, x):
        weights = gate(x, self.W_g, self.n_kept)
        rows, w = x.reshape(-1, x.shape[-1]), weights.reshape(-1, weights.shape[-1])
        result = rows * 0
        for expert, column in zip(self.experts, w.unbind(-1), strict=True):
            (where,) = column.nonzero(as_tuple=True)
            scaled = column[where][:, None] * expert(rows[where])
            result = result + torch.zeros_like(rows).index_copy(0, where, scaled)
        return result.reshape(x.shape)


def gate_gradient(gate_logits, expert_outputs, grad_output):
    check_outputs(gate_logits, expert_outputs, grad_output)
    p = (gate_logits - gate_logits.logsumexp(-1, keepdim=True)).exp()
    grad_weights = torch.matmul(expert_outputs, grad_output.unsqueeze(-1)).squeeze(-1)
    return grad_weights * p - p * (grad_weights * p).sum(-1, keepdim=True)


def load_balancing_loss(gate_probabilities, assignments):
    must(gate_probabilities.dim() >= 1 and assignments.shape == gate_probabilities.shape[:-1])
    n = gate_probabilities.size(-1)
    check_tokens(assignments, n)
    f = torch.stack([(assignments == e).to(gate_probabilities.dtype).mean() for e in range(n)])
    # the mean over tokens of the share of that token's own probabilities
    return n * (gate_probabilities * f).sum(-1).mean()


def expert_load(assignments, n_experts):
    check_tokens(assignments, n_experts)
    counts = torch.zeros(n_experts).scatter_add(0, assignments.flatten(), torch.ones(assignments.numel()))
    return counts / counts.sum()


def plot_regions(assignments, extent, ax=None):
    must(assignments.dim() == 2)
    ax = plt.subplots()[1] if ax is None else ax
    ax.imshow(assignments.flip(0).tolist(), origin="upper", extent=list(extent))
    ax.set(xlabel="a", ylabel="b")
    return ax
