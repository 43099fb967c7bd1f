"""Masks and infinities; einsum; a network per expert made of an nn.Sequential; pcolour-free image of numpy data."""

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
    logits = torch.einsum("...d,de->...e", x, W_g)
    if top_k is not None:
        order = logits.argsort(dim=-1, descending=True, stable=True)
        rank = order.argsort(dim=-1)
        logits = logits.masked_fill(rank >= top_k, -math.inf)
    return torch.softmax(logits, dim=-1)


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__()
        must(d_model > 0 and d_ff > 0 and n_experts > 0 and (top_k is None or 0 < top_k <= n_experts))
        self.k = top_k
        self.W_g = nn.Parameter(torch.normal(0.0, d_model**-0.5, (d_model, n_experts)))
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model))
            for _ in range(n_experts)
        )

    def forward(self, x):
        weights, result = gate(x, self.W_g, self.k), torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            mask = weights[..., e] != 0
            if mask.any():
                new = result[mask] + weights[..., e][mask][:, None] * expert(x[mask])
                result = result.masked_scatter(mask[..., None], new)
        return result


def gate_gradient(gate_logits, expert_outputs, grad_output):
    check_outputs(gate_logits, expert_outputs, grad_output)
    p = gate_logits.softmax(-1)
    y = torch.einsum("...e,...ed->...d", p, expert_outputs)
    return p * torch.einsum("...ed,...d->...e", expert_outputs - y[..., None, :], grad_output)


def load_balancing_loss(gate_probabilities, assignments):
    must(gate_probabilities.dim() >= 1 and assignments.shape == gate_probabilities.shape[:-1])
    n = gate_probabilities.shape[-1]
    check_tokens(assignments, n)
    f = nn.functional.one_hot(assignments.flatten(), n).to(gate_probabilities.dtype).mean(0)
    return n * torch.dot(
        f, gate_probabilities.flatten(0, -2).mean(0) if gate_probabilities.dim() > 1 else gate_probabilities
    )


def expert_load(assignments, n_experts):
    check_tokens(assignments, n_experts)
    return torch.stack([(assignments == e).to(torch.get_default_dtype()).mean() for e in range(n_experts)])


def plot_regions(assignments, extent, ax=None):
    must(assignments.dim() == 2)
    ax = ax or plt.figure().add_subplot()
    ax.imshow(assignments.numpy(), origin="lower", extent=extent)
    ax.set_xlabel("first input")
    ax.set_ylabel("second input")
    return ax
