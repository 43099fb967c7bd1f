"""A causal pre-norm transformer layer over the whole window, sinusoidal positions, its own scaling, AdamW with OneCycle."""

import math

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

RATE = 0.9056


def lorenz_rhs(state, sigma=10.0, rho=28.0, beta=8 / 3):
    if not state.shape or state.shape[-1] != 3:
        raise ValueError(f"expected (..., 3), got {tuple(state.shape)}")
    x, y, z = torch.unbind(state, dim=-1)
    parts = (sigma * y - sigma * x, rho * x - x * z - y, x * y - z * beta)
    return torch.stack(parts, state.dim() - 1)


def simulate(state, n_steps, dt):
    if n_steps < 0 or dt <= 0:
        raise ValueError("n_steps and dt must be positive")
    lorenz_rhs(state)
    rows = [state.unsqueeze(0)]
    s = state
    for _ in range(n_steps):
        k = [lorenz_rhs(s)]
        for c in (dt / 2, dt / 2, dt):
            k.append(lorenz_rhs(torch.add(s, k[-1], alpha=c)))
        s = s + (k[0] + 2 * (k[1] + k[2]) + k[3]) * dt / 6
        rows.append(s.unsqueeze(0))
    return torch.cat(rows)


def windows(trajectory, length):
    if trajectory.ndim != 2 or not 0 < length <= len(trajectory):
        raise ValueError("length out of range")
    inputs = [trajectory[i : i + length] for i in range(len(trajectory) - length)]
    if not inputs:
        return trajectory.new_zeros((0, length, trajectory.shape[1])), trajectory.new_zeros((0, trajectory.shape[1]))
    return torch.stack(inputs), trajectory[length:]


def split(trajectories, n_test):
    if trajectories.ndim != 3 or n_test < 1 or n_test >= len(trajectories):
        raise ValueError("n_test out of range")
    return trajectories[:-n_test], trajectories[-n_test:]


def normalise(train, test):
    if train.ndim != 3 or test.ndim != 3 or train.shape[-1] != test.shape[-1]:
        raise ValueError("shapes")
    mean = train.flatten(0, 1).mean(0)
    std = (train - mean).pow(2).mean((0, 1)).sqrt()
    return (train - mean) / std, (test - mean) / std, mean, std


def attention(q, k, v, mask=None):
    if q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        raise ValueError("q, k and v do not fit")
    scores = torch.matmul(q, k.mT) * (1.0 / math.sqrt(k.shape[-1]))
    if mask is not None:
        if mask.dtype != torch.bool:
            raise ValueError("a boolean mask, please")
        scores = scores + torch.zeros_like(mask, dtype=scores.dtype).masked_fill(~mask, float("-inf"))
    scores = scores - scores.amax(-1, keepdim=True).detach()
    exponentials = scores.exp()
    weights = exponentials / exponentials.sum(-1, keepdim=True)
    return torch.matmul(weights, v), weights


class AttentionForecaster(nn.Module):
    def __init__(self, d, length, width=32, heads=4):
        super().__init__()
        if d < 1 or length < 1:
            raise ValueError("d and length must be at least 1")
        self.d, self.length, self.heads = d, length, heads
        self.register_buffer("centre", torch.zeros(d))
        self.register_buffer("scale", torch.ones(d))
        self.register_buffer("increment", torch.ones(d))
        angle = torch.arange(length)[:, None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
        self.register_buffer("where", torch.stack([angle.sin(), angle.cos()], -1).flatten(1))
        self.register_buffer("causal", torch.ones(length, length).tril().bool())
        self.into = nn.Linear(d, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.mix = nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.onto = nn.Linear(width, d)

    def layer(self, windows):
        if windows.ndim != 3 or windows.shape[1:] != (self.length, self.d):
            raise ValueError(f"windows must be (B, {self.length}, {self.d})")
        x = self.into((windows - self.centre) / self.scale) + self.where
        parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (p.reshape(*p.shape[:2], self.heads, -1).transpose(1, 2) for p in parts)
        seen, weights = attention(q, k, v, self.causal)
        x = x + self.mix(seen.transpose(1, 2).flatten(2))
        return x + self.down(F.silu(self.up(self.norm2(x)))), weights

    def forward(self, windows):
        x, _ = self.layer(windows)
        return windows[:, -1] + self.increment * self.onto(x[:, -1])


def train(model, trajectories, steps, seed=0):
    if steps < 1 or trajectories.ndim != 3 or len(trajectories) < 2:
        raise ValueError("not enough to train on")
    data = trajectories.float()
    fit, rest = split(data, max(1, len(data) // 10))
    _, _, mean, std = normalise(fit, rest)
    model.centre.copy_(mean)
    model.scale.copy_(std)
    model.increment.copy_(fit.diff(dim=1).std((0, 1)))
    g = torch.Generator()
    g.manual_seed(1000 + seed)
    opt = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-4)
    plan = torch.optim.lr_scheduler.OneCycleLR(opt, 5e-3, total_steps=steps + 1, pct_start=0.05)
    n, T, _ = fit.shape
    offsets = torch.arange(model.length + 1)
    model.train()
    losses = []
    for _ in range(steps):
        i = torch.randint(n, (128, 1), generator=g)
        j = torch.randint(T - model.length, (128, 1), generator=g)
        piece = fit[i, j + offsets]
        loss = (((model(piece[:, :-1]) - piece[:, -1]) / model.increment) ** 2).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        plan.step()
        losses.append(loss.detach())
    model.eval()
    with torch.no_grad():
        a, b = zip(*(windows(t, model.length) for t in rest))
        error = (((model(torch.cat(a)) - torch.cat(b)) / std) ** 2).mean().sqrt()
    return {"step": [steps], "loss": [float(losses[-1])], "held_out": [float(error)]}


def rollout(model, window, n_steps):
    if window.ndim != 2 or not len(window) or n_steps < 0:
        raise ValueError("window or n_steps")
    path = torch.cat([window, window.new_empty(n_steps, window.shape[1])])
    for k in range(n_steps):
        with torch.no_grad():
            path[len(window) + k] = model(path[None, k : k + len(window)].clone())[0]
    return path[len(window) :]


def valid_time(prediction, truth, dt, threshold=0.4):
    if prediction.shape != truth.shape or truth.ndim != 2 or dt <= 0:
        raise ValueError("prediction, truth or dt")
    error = (((prediction - truth) ** 2) / truth.var(0)).mean(-1) ** 0.5
    wrong = torch.logical_not(error <= threshold).nonzero()
    k = int(wrong[0]) if len(wrong) else len(truth)
    return float(k * dt * RATE)


def separation(delta0, state, n_steps, dt):
    if not delta0 > 0:
        raise ValueError("delta0 must be positive")
    other = state.clone()
    other[..., 0] += delta0
    return (simulate(other, n_steps, dt) - simulate(state, n_steps, dt)).pow(2).sum(-1).sqrt()


def attention_map(model, window):
    if window.ndim != 2:
        raise ValueError("window")
    with torch.no_grad():
        _, weights = model.layer(window[None])
    return weights[0].mean(0)


def plot_attention(weights, ax=None):
    if weights.ndim != 2:
        raise ValueError("weights")
    if ax is None:
        ax = plt.gca()
    ax.imshow(weights, origin="lower", cmap="viridis")
    ax.set_xlabel("key")
    ax.set_ylabel("query")
    return ax


def plot_forecast(prediction, truth, dt):
    if prediction.shape != truth.shape or truth.ndim != 2 or truth.shape[1] not in (1, 3):
        raise ValueError("shapes")
    time = torch.arange(len(truth)).numpy() * dt * RATE
    figure = plt.figure(figsize=(8, 6))
    three = truth.shape[1] == 3
    grid = figure.add_gridspec(truth.shape[1], 1 + three)
    if three:
        space = figure.add_subplot(grid[:, 0], projection="3d")
        for path in (truth, prediction):
            space.plot3D(*path.numpy().T)
    for c in range(truth.shape[1]):
        ax = figure.add_subplot(grid[c, -1])
        ax.axvline(valid_time(prediction, truth, dt))
        ax.plot(time, prediction[:, c].numpy(), label="forecast")
        ax.plot(time, truth[:, c].numpy(), label="truth")
        ax.set_xlabel("time")
        ax.set_ylabel("xyz"[c])
        ax.legend()
    return figure
