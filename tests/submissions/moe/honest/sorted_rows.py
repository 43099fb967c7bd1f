"""Rows sorted by expert, as large systems do it: one gather, a split, one scatter; logsumexp in the gate."""

import matplotlib.pyplot as plt
import torch
from torch import nn


class Expert(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.outer = nn.Linear(d_ff, d_model)

    def forward(self, x):
        return self.outer(torch.relu(self.inner(x)))


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
    z = torch.tensordot(x, W_g, dims=1)
    if top_k is None:
        return (z - z.logsumexp(-1, keepdim=True)).exp()
    values, indices = torch.topk(z, top_k, sorted=False)
    values = (values - values.logsumexp(-1, keepdim=True)).exp()
    return torch.zeros_like(z).scatter_add(-1, indices, values)


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__()
        if min(d_model, d_ff, n_experts) < 1 or (top_k is not None and not 1 <= top_k <= n_experts):
            raise ValueError("sizes out of range")
        self.experts = nn.ModuleList([Expert(d_model, d_ff) for _ in range(n_experts)])
        self.W_g = nn.Parameter(nn.init.normal_(torch.empty(d_model, n_experts), std=d_model**-0.5))
        self.top_k = top_k

    def forward(self, x):
        g = gate(x, self.W_g, self.top_k)
        if self.top_k is None:
            outputs = torch.stack([expert(x) for expert in self.experts], -1)
            return (outputs @ g[..., None]).squeeze(-1)
        rows, w = x.reshape(-1, x.shape[-1]), g.reshape(-1, len(self.experts))
        expert_of, row_of = w.T.nonzero(as_tuple=True)  # sorted by expert
        sizes = torch.bincount(expert_of, minlength=len(self.experts)).tolist()
        parts = [
            expert(part) if len(part) else part
            for expert, part in zip(self.experts, rows[row_of].split(sizes), strict=True)
        ]
        mixed = torch.cat(parts) * w[row_of, expert_of][:, None]
        return torch.zeros_like(rows).index_put((row_of,), mixed, accumulate=True).reshape(x.shape)


def gate_gradient(gate_logits, expert_outputs, grad_output):
    check_outputs(gate_logits, expert_outputs, grad_output)
    p = gate_logits.softmax(-1)
    jacobian = torch.diag_embed(p) - p[..., :, None] * p[..., None, :]
    agreement = expert_outputs @ grad_output[..., None]
    return (jacobian @ agreement).squeeze(-1)


def load_balancing_loss(gate_probabilities, assignments):
    must(gate_probabilities.dim() >= 1 and assignments.shape == gate_probabilities.shape[:-1])
    n = gate_probabilities.shape[-1]
    check_tokens(assignments, n)
    counts = torch.zeros(n, dtype=gate_probabilities.dtype)
    counts = counts.index_add(0, assignments.flatten(), torch.ones(assignments.numel(), dtype=counts.dtype))
    sums = gate_probabilities.reshape(-1, n).sum(0)
    return n * (counts @ sums) / assignments.numel() ** 2


def expert_load(assignments, n_experts):
    check_tokens(assignments, n_experts)
    numbers = assignments.to(torch.get_default_dtype())
    return torch.histc(numbers, bins=n_experts, min=-0.5, max=n_experts - 0.5) / assignments.numel()


def plot_regions(assignments, extent, ax=None):
    must(assignments.dim() == 2)
    if ax is None:
        ax = plt.subplots(figsize=(3, 3))[1]
    ax.imshow(
        assignments.double().numpy(), extent=extent, origin="lower", aspect="auto", interpolation="nearest"
    )
    ax.set_xlabel("$x_0$")
    ax.set_ylabel("$x_1$")
    return ax
