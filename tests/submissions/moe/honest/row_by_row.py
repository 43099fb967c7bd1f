"""Loops over rows and experts, one at a time; an own softmax; each expert called once for each row."""

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


def own_softmax(z):
    powers = (z - z.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


def gate(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    p = own_softmax(x @ W_g)
    if top_k is None:
        return p
    flat = p.reshape(-1, p.shape[-1])
    keep = torch.zeros_like(flat)
    for i, row in enumerate(flat.detach().tolist()):
        for e in sorted(range(len(row)), key=lambda e, row=row: -row[e])[:top_k]:
            keep[i, e] = 1
    kept = flat * keep
    return (kept / kept.sum(-1, keepdim=True)).reshape(p.shape)


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        must(min(d_model, d_ff, n_experts) >= 1)
        must(top_k is None or top_k in range(1, n_experts + 1))
        super().__init__()
        self.top_k = top_k
        self.experts = nn.ModuleList()
        for _ in range(n_experts):
            self.experts.append(Expert(d_model, d_ff))
        self.register_parameter("W_g", nn.Parameter(torch.randn(d_model, n_experts) / d_model**0.5))

    def forward(self, x):
        weights, results = gate(x, self.W_g, self.top_k), []
        for row, w in zip(x.reshape(-1, x.shape[-1]), weights.reshape(-1, len(self.experts)), strict=True):
            result = torch.zeros_like(row)
            for e in range(len(self.experts)):
                if w[e] != 0:
                    result = result + w[e] * self.experts[e](row)
            results.append(result)
        return torch.stack(results).reshape(x.shape) if results else torch.zeros_like(x)


def gate_gradient(gate_logits, expert_outputs, grad_output):
    check_outputs(gate_logits, expert_outputs, grad_output)
    p, n = own_softmax(gate_logits), gate_logits.shape[-1]
    columns = []
    for m in range(n):
        total = 0
        for e in range(n):
            jacobian = p[..., e] * (float(e == m) - p[..., m])
            total = total + jacobian * (expert_outputs[..., e, :] * grad_output).sum(-1)
        columns.append(total)
    return torch.stack(columns, -1)


def load_balancing_loss(gate_probabilities, assignments):
    must(gate_probabilities.dim() >= 1 and assignments.shape == gate_probabilities.shape[:-1])
    n, total = gate_probabilities.shape[-1], 0
    check_tokens(assignments, n)
    for e in range(n):
        share = int((assignments == e).sum()) / assignments.numel()
        total = total + n * share * gate_probabilities[..., e].mean()
    return total


def expert_load(assignments, n_experts):
    check_tokens(assignments, n_experts)
    flat = assignments.flatten().tolist()
    return torch.tensor([flat.count(e) / len(flat) for e in range(n_experts)])


def plot_regions(assignments, extent, ax=None):
    must(assignments.dim() == 2)
    if ax is None:
        ax = plt.gca()
        ax.clear()
    x_min, x_max, y_min, y_max = extent
    ax.imshow(assignments.flip(0), extent=(x_min, x_max, y_min, y_max), cmap="tab10")
    ax.set(xlabel="x", ylabel="y", title="who takes what")
    return ax
