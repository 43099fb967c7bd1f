"""Each row gathers the matrices of its experts, and all rows are multiplied at once; sums over pairs of experts."""

import numpy as np
import torch
from matplotlib import pyplot as plt


def gate(x, W_g, top_k=None):
    if x.ndim == 0 or W_g.ndim != 2 or x.shape[-1] != len(W_g) or W_g.numel() == 0:
        raise ValueError(f"{x.shape} and {W_g.shape} do not fit together")
    n = W_g.shape[1]
    if top_k is not None and not 0 < top_k < n + 1:
        raise ValueError(f"top_k = {top_k}, but there are {n} experts")
    return scattered(*chosen(x, W_g, n if top_k is None else top_k), n)


def chosen(x, W_g, k):
    """The numbers of each row's experts and their weights: the softmax of their logits alone."""
    logits, experts = (x @ W_g).sort(dim=-1, descending=True, stable=True)
    return experts[..., :k], torch.log_softmax(logits[..., :k], dim=-1).exp()


def scattered(experts, weights, n):
    one_hot = experts[..., None] == torch.arange(n)
    return (one_hot * weights[..., None]).sum(-2)


class Half(torch.nn.Module):
    """Two layers with a bias row each."""

    def __init__(self, d, h):
        super().__init__()
        self.up = torch.nn.Parameter(torch.rand(d + 1, h) - 0.5)
        self.down = torch.nn.Parameter(torch.rand(h + 1, d) - 0.5)

    def forward(self, x):
        return layers(x.reshape(-1, 1, x.shape[-1]), self.up[None], self.down[None]).reshape(x.shape)


def layers(x, up, down):
    """(rows, 1, d) through matrices (rows or 1, ...)."""
    hidden = torch.nn.functional.softplus(x @ up[:, :-1] + up[:, -1:])
    return hidden @ down[:, :-1] + down[:, -1:]


class MoE(torch.nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        for size in (d_model, d_ff, n_experts, 1 if top_k is None else top_k):
            if size < 1:
                raise ValueError("every size is at least 1")
        if top_k is not None and top_k > n_experts:
            raise ValueError("more experts are kept than there are")
        super().__init__()
        self.W_g = torch.nn.Parameter(torch.randn(d_model, n_experts) * d_model**-0.5)
        self.experts = torch.nn.ModuleList([Half(d_model, d_ff) for _ in range(n_experts)])
        self.kept = top_k or n_experts

    def forward(self, x):
        if x.shape[-1] != len(self.W_g):
            raise ValueError(f"rows of length {len(self.W_g)} were expected")
        numbers, weights = chosen(x.reshape(-1, x.shape[-1]), self.W_g, self.kept)
        up = torch.stack([expert.up for expert in self.experts])[numbers.flatten()]
        down = torch.stack([expert.down for expert in self.experts])[numbers.flatten()]
        rows = x.reshape(-1, 1, x.shape[-1]).repeat_interleave(self.kept, 0)
        outputs = layers(rows, up, down).reshape(-1, self.kept, x.shape[-1])
        return torch.einsum("rk,rkd->rd", weights, outputs).reshape(x.shape)


def gate_gradient(gate_logits, expert_outputs, grad_output):
    if gate_logits.ndim == 0:
        raise ValueError("no expert at all")
    if gate_logits.shape != expert_outputs.shape[:-1]:
        raise ValueError("one output for each logit")
    if expert_outputs.shape[:-2] + expert_outputs.shape[-1:] != grad_output.shape:
        raise ValueError("one gradient for each row")
    p = scattered(*chosen(gate_logits, torch.eye(gate_logits.shape[-1]).to(gate_logits), gate_logits.shape[-1]),
                  gate_logits.shape[-1])  # fmt: skip
    agreement = torch.einsum("...ed,...d->...e", expert_outputs, grad_output)
    # the covariance of indicator and agreement under p, as a sum over pairs of experts
    pairs = agreement[..., :, None] - agreement[..., None, :]
    return (p[..., :, None] * p[..., None, :] * pairs).sum(-1)


def load_balancing_loss(gate_probabilities, assignments):
    load = numbers_of(assignments, gate_probabilities.shape[-1] if gate_probabilities.ndim else 0)
    if gate_probabilities[..., 0].shape != assignments.shape:
        raise ValueError("one assignment for each token")
    p = gate_probabilities.reshape(-1, len(load))
    f = torch.from_numpy(load).to(p) / assignments.numel()
    return (p @ f).mean() * len(load)


def numbers_of(assignments, n):
    """How often each of n experts occurs."""
    if n < 1 or assignments.dtype != torch.int64 or not assignments.numel():
        raise ValueError("int64 numbers of at least one expert are needed")
    a = assignments.numpy().ravel()
    if a.min() < 0 or a.max() >= n:
        raise ValueError("an expert that does not exist")
    return np.bincount(a, minlength=n)


def expert_load(assignments, n_experts):
    counts = numbers_of(assignments, n_experts)
    return torch.tensor((counts / counts.sum()).tolist())


def plot_regions(assignments, extent, ax=None):
    if len(assignments.shape) != 2:
        raise ValueError("a picture has rows and columns")
    if ax is None:
        figure = plt.figure()
        ax = figure.add_axes((0.1, 0.1, 0.8, 0.8))
    image = ax.imshow(np.flipud(assignments.numpy()), origin="upper", extent=extent)
    ax.figure.colorbar(image)
    ax.set_xlabel("to the right")
    ax.set_ylabel("upwards")
    return ax
