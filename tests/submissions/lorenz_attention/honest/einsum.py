"""Matrix form of the quadratic terms; einsum; windows by unfold; a window kept as a ring; the reference's parameters."""

import math

import matplotlib.pyplot as plt
import torch
from torch import nn


def must(condition, message="the arguments do not fit"):
    if not condition:
        raise ValueError(message)


def lorenz_rhs(state, sigma=10.0, rho=28.0, beta=8 / 3):
    must(state.dim() > 0 and state.size(-1) == 3, "no x, y, z")
    linear = state.new_tensor([[-sigma, sigma, 0.0], [rho, -1.0, 0.0], [0.0, 0.0, -beta]])
    x = state[..., :1]
    quadratic = torch.cat([torch.zeros_like(x), -x * state[..., 2:], x * state[..., 1:2]], -1)
    return torch.einsum("ij,...j->...i", linear, state) + quadratic


NODES, WEIGHTS = (0.0, 0.5, 0.5, 1.0), (1 / 6, 1 / 3, 1 / 3, 1 / 6)


def simulate(state, n_steps, dt):
    must(n_steps >= 0, "negative n_steps")
    must(dt > 0, "dt must be positive")
    lorenz_rhs(state)
    path = [state]
    while len(path) <= n_steps:
        slope, total = 0, 0
        for node, weight in zip(NODES, WEIGHTS):
            slope = lorenz_rhs(path[-1] + node * dt * slope)
            total = total + weight * slope
        path.append(path[-1] + dt * total)
    return torch.stack(path, 0)


def windows(trajectory, length):
    must(trajectory.dim() == 2 and 1 <= length <= trajectory.size(0), "length")
    n, d = trajectory.shape
    if n == length:
        return trajectory.new_empty(0, length, d), trajectory.new_empty(0, d)
    pieces = trajectory.unfold(0, length + 1, 1).permute(0, 2, 1).contiguous()
    return pieces[:, :-1], pieces[:, -1]


def split(trajectories, n_test):
    must(trajectories.dim() == 3 and 0 < n_test < trajectories.size(0), "n_test")
    sizes = [trajectories.size(0) - n_test, n_test]
    return torch.split(trajectories, sizes)


def normalise(train, test):
    must(train.dim() == 3 and test.dim() == 3 and train.size(2) == test.size(2), "shapes")
    variance, mean = torch.var_mean(train, (0, 1), correction=0)
    std = variance.sqrt()
    return [(train - mean).div(std), (test - mean).div(std), mean, std]


def attention(q, k, v, mask=None):
    must(q.size(-1) == k.size(-1), "d_k")
    must(k.size(-2) == v.size(-2), "L_k")
    must(mask is None or mask.dtype is torch.bool, "mask")
    scores = torch.einsum("...id,...jd->...ij", q * q.size(-1) ** -0.5, k)
    if mask is not None:
        scores = torch.where(mask, scores, scores.new_tensor(-math.inf))
    weights = torch.exp(torch.log_softmax(scores, -1))
    return torch.einsum("...ij,...jd->...id", weights, v), weights


class AttentionForecaster(nn.Module):
    def __init__(self, d, length, d_model=32):
        super().__init__()
        must(d > 0 and length > 0, "sizes")
        self.shape = (length, d)
        self.length = length
        for name in ("mean", "std", "change"):
            self.register_buffer(name, torch.ones(d) * {"mean": 0.0, "std": 1.0, "change": 0.1}[name])
        self.embed = nn.Linear(d, d_model)
        self.positions = nn.Parameter(torch.zeros(length, d_model))
        self.query = nn.Linear(d_model, d_model)
        self.key = nn.Linear(d_model, d_model)
        self.value = nn.Linear(d_model, d_model)
        self.out = nn.Linear(d_model, d_model)
        self.feed_forward = nn.Sequential(nn.Linear(d_model, 128), nn.GELU(), nn.Linear(128, d_model))
        self.head = nn.Linear(d_model, d)
        nn.init.zeros_(self.head.weight)

    def forward(self, windows, with_weights=False):
        must(tuple(windows.shape[1:]) == self.shape and windows.dim() == 3, "windows")
        x = self.embed((windows - self.mean) / self.std) + self.positions
        last, (b, n, _) = x[:, n_last(windows)], x.shape
        q = self.query(last).view(b, 1, 4, -1).permute(0, 2, 1, 3)
        k, v = (part(x).view(b, n, 4, -1).permute(0, 2, 1, 3) for part in (self.key, self.value))
        seen, weights = attention(q, k, v)
        state = last + self.out(seen.permute(0, 2, 1, 3).reshape(b, -1))
        state = state + self.feed_forward(state)
        forecast = torch.addcmul(windows[:, -1], self.change, self.head(state))
        return (forecast, weights) if with_weights else forecast


def n_last(windows):
    return windows.size(1) - 1


def train(model, trajectories, steps, seed=0):
    must(steps > 0, "steps")
    must(trajectories.dim() == 3 and trajectories.size(0) > 1, "trajectories")
    torch.manual_seed(seed)
    own, other = split(trajectories.float(), 1)
    _, _, mean, std = normalise(own, other)
    with torch.no_grad():
        model.mean[:], model.std[:], model.change[:] = mean, std, (own[:, 1:] - own[:, :-1]).std((0, 1))
    inputs, targets = (torch.cat(part) for part in zip(*(windows(t, model.length) for t in own)))
    test_inputs, test_targets = windows(other[0], model.length)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    history = {"step": [], "loss": [], "held_out": []}
    for step in range(steps):
        chosen = torch.randperm(len(inputs))[:128]
        loss = nn.functional.mse_loss(model(inputs[chosen]) / model.change, targets[chosen] / model.change)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in (0, steps // 2, steps - 1) and step not in history["step"]:
            history["step"].append(step)
            history["loss"].append(loss.item())
            with torch.no_grad():
                rest = (model(test_inputs) - test_targets) / std
            history["held_out"].append(float(rest.pow(2).mean().sqrt()))
    return history


def rollout(model, window, n_steps):
    must(window.dim() == 2 and window.size(0) > 0 and n_steps >= 0, "window or n_steps")
    samples = [sample for sample in window]
    with torch.no_grad():
        for step in range(n_steps):
            samples.append(model(torch.stack(samples[step:]).unsqueeze(0)).squeeze(0))
    return torch.stack(samples)[window.size(0) :]


def valid_time(prediction, truth, dt, threshold=0.4):
    must(prediction.shape == truth.shape and truth.dim() == 2 and dt > 0, "shapes or dt")
    error = torch.sqrt(((prediction - truth) ** 2 / truth.var(0, unbiased=False)).mean(1)).tolist()
    for k, value in enumerate(error):
        if value > threshold or math.isnan(value):
            return k * dt * 0.9056
    return len(error) * dt * 0.9056


def separation(delta0, state, n_steps, dt):
    must(delta0 > 0, "delta0")
    both = torch.stack([state, state])
    both[1, ..., 0] += delta0
    path = simulate(both, n_steps, dt)
    return torch.linalg.vector_norm(path[:, 1] - path[:, 0], dim=-1)


def attention_map(model, window):
    must(window.dim() == 2, "window")
    with torch.no_grad():
        return model(window.unsqueeze(0), with_weights=True)[1].squeeze(0).mean(0)


def plot_attention(weights, ax=None):
    must(weights.dim() == 2, "weights")
    ax = ax or plt.figure().add_subplot()
    mesh = ax.pcolormesh(weights.numpy())
    ax.figure.colorbar(mesh)
    ax.set_xlabel("sample")
    ax.set_ylabel("row")
    return ax


def plot_forecast(prediction, truth, dt):
    must(prediction.shape == truth.shape and truth.dim() == 2 and truth.size(1) in (1, 3), "shapes")
    n, d = truth.shape
    t = [k * dt * 0.9056 for k in range(n)]
    figure = plt.figure()
    if d == 3:
        ax = figure.add_subplot(2, 2, 1, projection="3d")
        ax.plot(truth[:, 0].numpy(), truth[:, 1].numpy(), truth[:, 2].numpy())
        ax.plot(prediction[:, 0].numpy(), prediction[:, 1].numpy(), prediction[:, 2].numpy())
    for c in range(d):
        ax = figure.add_subplot(2, 2, 2 + c) if d == 3 else figure.add_subplot()
        ax.plot(t, truth[:, c].numpy(), t, prediction[:, c].numpy())
        ax.axvline(valid_time(prediction, truth, dt), ls=":")
        ax.set(xlabel="t lambda", ylabel=f"coordinate {c}")
        ax.legend(["true", "predicted"])
    return figure
