"""Loops and lists wherever they are possible; attention row by row; the history kept at every step; the reference's parameters."""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn


def check(*conditions):
    for ok in conditions:
        if not ok:
            raise ValueError("an argument does not fit")


def lorenz_rhs(state, sigma=10.0, rho=28.0, beta=8 / 3):
    check(state.ndim > 0 and state.shape[-1:] == (3,))
    x, y, z = state.movedim(-1, 0)
    return torch.cat([t[..., None] for t in (sigma * (y - x), x * (rho - z) - y, x * y - beta * z)], dim=-1)


def simulate(state, n_steps, dt):
    check(n_steps >= 0, dt > 0, state.ndim > 0 and state.shape[-1:] == (3,))
    path = []
    for step in range(n_steps + 1):
        if step:
            last = path[-1]
            increments = []
            for share in (0, 0.5, 0.5, 1):
                at = last if share == 0 else last + share * increments[-1]
                increments.append(dt * lorenz_rhs(at))
            state = last + increments[0] / 6 + increments[1] / 3 + increments[2] / 3 + increments[3] / 6
        path.append(state)
    return torch.stack(path)


def windows(trajectory, length):
    check(trajectory.ndim == 2, length >= 1, length <= trajectory.shape[0])
    n, d = trajectory.shape[0] - length, trajectory.shape[1]
    inputs, targets = trajectory.new_zeros(n, length, d), trajectory.new_zeros(n, d)
    for i in range(n):
        for j in range(length):
            inputs[i, j] = trajectory[i + j]
        targets[i] = trajectory[i + length]
    return inputs, targets


def split(trajectories, n_test):
    check(trajectories.ndim == 3, n_test >= 1, n_test < trajectories.shape[0])
    everyone = list(trajectories)
    return torch.stack(everyone[:-n_test]), torch.stack(everyone[-n_test:])


def normalise(train, test):
    check(train.ndim == 3, test.ndim == 3, train.shape[-1] == test.shape[-1])
    means, stds = [], []
    for c in range(train.shape[-1]):
        numbers = train[..., c].reshape(-1)
        means.append(numbers.sum() / len(numbers))
        stds.append(((numbers - means[-1]) ** 2).mean() ** 0.5)
    mean, std = torch.stack(means), torch.stack(stds)
    return [*((data - mean) / std for data in (train, test)), mean, std]


def attention(q, k, v, mask=None):
    check(q.shape[-1] == k.shape[-1], k.shape[-2] == v.shape[-2], mask is None or mask.dtype == torch.bool)
    rows = []
    for i in range(q.shape[-2]):
        scores = (q[..., i, None, :] * k).sum(-1) / k.shape[-1] ** 0.5
        if mask is not None:
            row = mask.expand(*q.shape[:-1], k.shape[-2])[..., i, :]
            scores = scores.masked_fill(~row, float("-inf"))
        rows.append(scores.softmax(-1))
    weights = torch.stack(rows, -2)
    output = torch.stack([(weights[..., i, :, None] * v).sum(-2) for i in range(q.shape[-2])], -2)
    return output, weights


class AttentionForecaster(nn.Module):
    def __init__(self, d, length):
        super().__init__()
        check(d >= 1, length >= 1)
        self.length, self.d = length, d
        self.mean, self.std, self.change = (nn.Buffer(torch.full((d,), value)) for value in (0.0, 1.0, 1.0))
        self.positions = nn.Parameter(torch.randn(length, 32))
        self.embed, self.head = nn.Linear(d, 32), nn.Linear(32, d)
        for name in ("query", "key", "value", "out"):
            setattr(self, name, nn.Linear(32, 32))
        self.feed_forward = nn.Sequential(nn.Linear(32, 128), nn.GELU(), nn.Linear(128, 32))
        self.last_weights = None

    def forward(self, windows):
        check(windows.ndim == 3)
        check(windows.shape[1] == self.length, windows.shape[2] == self.d)
        x = self.embed((windows - self.mean) / self.std) + self.positions
        heads, maps = [], []
        q, k, v = self.query(x[:, -1:]), self.key(x), self.value(x)
        for h in range(0, 32, 8):
            seen, weights = attention(q[..., h : h + 8], k[..., h : h + 8], v[..., h : h + 8])
            heads.append(seen)
            maps.append(weights)
        self.last_weights = torch.cat(maps, dim=1).detach()
        x = x[:, -1] + self.out(torch.cat(heads, -1)[:, 0])
        x = x + self.feed_forward(x)
        return windows[:, -1] + self.change * self.head(x)


def train(model, trajectories, steps, seed=0):
    check(steps >= 1, trajectories.ndim == 3)
    check(trajectories.shape[0] >= 2)
    state = np.random.RandomState(seed)
    fit, rest = split(trajectories.to(torch.float32), 1)
    _, _, mean, std = normalise(fit, rest)
    model.mean.data, model.std.data = mean, std
    model.change.data = (fit[:, 1:] - fit[:, :-1]).flatten(0, 1).std(0)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    history = {"step": [], "loss": [], "held_out": []}
    for step in range(1, steps + 1):
        rows, times = state.randint(len(fit), size=64), state.randint(fit.shape[1] - model.length, size=64)
        inputs = torch.stack([fit[r, t : t + model.length] for r, t in zip(rows, times)])
        targets = torch.stack([fit[r, t + model.length] for r, t in zip(rows, times)])
        loss = ((model(inputs) - targets) / std).pow(2).mean()
        model.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            test_inputs, test_targets = windows(rest[0], model.length)
            error = ((model(test_inputs) - test_targets) / std).pow(2).mean().sqrt()
        for key, value in zip(history, (step, loss, error)):
            history[key].append(float(value))
    return history


def rollout(model, window, n_steps):
    check(window.ndim == 2 and window.shape[0] > 0, n_steps >= 0)
    known, forecasts = window.tolist(), []
    for _ in range(n_steps):
        with torch.no_grad():
            shown = torch.tensor([known[-window.shape[0] :]], dtype=window.dtype)
            forecasts.append(model(shown)[0].tolist())
        known.append(forecasts[-1])
    return torch.tensor(forecasts, dtype=window.dtype).reshape(n_steps, window.shape[1])


def valid_time(prediction, truth, dt, threshold=0.4):
    check(prediction.shape == truth.shape, truth.ndim == 2, dt > 0)
    p, t = prediction.detach().double().numpy(), truth.detach().double().numpy()
    variance = t.var(axis=0)
    steps = 0
    for k in range(len(t)):
        error = math.sqrt(sum((p[k, c] - t[k, c]) ** 2 / variance[c] for c in range(t.shape[1])) / t.shape[1])
        if not error <= threshold:
            break
        steps += 1
    return steps * dt * 0.9056


def separation(delta0, state, n_steps, dt):
    check(delta0 > 0)
    shift = torch.zeros_like(state)
    shift[..., 0] = delta0
    pairs = zip(simulate(state, n_steps, dt), simulate(state + shift, n_steps, dt))
    return torch.stack([torch.sqrt(((one - other) ** 2).sum(-1)) for one, other in pairs])


def attention_map(model, window):
    check(window.ndim == 2)
    model(window[None])
    return model.last_weights[0].reshape(-1, model.length)


def plot_attention(weights, ax=None):
    check(weights.ndim == 2)
    if ax is None:
        ax = plt.axes()
    picture = ax.matshow(np.array(weights.tolist()))
    plt.colorbar(picture, ax=ax)
    ax.set_xlabel("sample")
    ax.set_ylabel("head")
    return ax


def plot_forecast(prediction, truth, dt):
    check(prediction.shape == truth.shape, truth.ndim == 2, truth.shape[-1] in (1, 3))
    d = truth.shape[1]
    figure = plt.figure()
    times = np.arange(len(truth)) * dt * 0.9056
    if d == 3:
        ax = figure.add_subplot(1, 4, 1, projection="3d")
        for path, name in ((truth, "true"), (prediction, "predicted")):
            x, y, z = path.tolist() and path.T.tolist()
            ax.plot(x, y, zs=z, label=name)
    for c in range(d):
        ax = figure.add_subplot(1, 4, c + 2)
        for path, name in ((truth, "true"), (prediction, "predicted")):
            ax.plot(times, path[:, c].tolist(), label=name)
        ax.axvline(x=valid_time(prediction, truth, dt), color="red")
        ax.set_xlabel("time")
        ax.set_ylabel(str(c))
        ax.legend()
    return figure
