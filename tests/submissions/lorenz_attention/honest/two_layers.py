"""Two layers of attention without a mask, a query that is learned, the sample itself as the answer (not its change)."""

import math
from functools import reduce

import matplotlib.pyplot as plt
import torch
from torch import nn

LAMBDA = 0.9056


def refuse(bad, why="this argument does not fit"):
    if bad:
        raise ValueError(why)


def lorenz_rhs(state, sigma=10.0, rho=28.0, beta=8 / 3):
    refuse(state.dim() == 0 or state.shape[-1] != 3)
    rolled = state.roll(-1, -1)  # y, z, x
    x, y, z, zz, xx = state[..., 0], rolled[..., 0], rolled[..., 1], state[..., 2], rolled[..., 2]
    return torch.stack((sigma * y - sigma * x, rho * xx - y - xx * z, xx * y - beta * zz), -1)


def simulate(state, n_steps, dt):
    refuse(n_steps < 0 or not dt > 0)
    refuse(state.dim() == 0 or state.shape[-1] != 3)

    def step(path, _):
        s, f = path[-1], lorenz_rhs
        a = f(s)
        b = f(s + a * (dt * 0.5))
        c = f(s + b * (dt * 0.5))
        return [*path[-1:], s + (a + b + b + c + c + f(s + c * dt)) * (dt / 6)]

    rows = [state]
    for _ in range(n_steps):
        rows.append(reduce(step, [0], rows[-1:])[-1])
    return torch.stack(rows, dim=0)


def windows(trajectory, length):
    refuse(trajectory.dim() != 2)
    refuse(length < 1 or length > trajectory.shape[0])
    n, d = trajectory.shape
    index = torch.arange(n - length).unsqueeze(1).add(torch.arange(length)).reshape(-1)
    return trajectory.index_select(0, index).reshape(n - length, length, d), trajectory.narrow(0, length, n - length)


def split(trajectories, n_test):
    refuse(trajectories.dim() != 3)
    refuse(n_test not in range(1, trajectories.shape[0]))
    return tuple(trajectories.tensor_split([trajectories.shape[0] - n_test]))


def normalise(train, test):
    refuse(train.dim() != 3 or test.dim() != 3 or train.shape[-1] != test.shape[-1])
    first = train.mean((0, 1))
    second = (train - first).square().mean((0, 1))
    return tuple((data - first) * second.rsqrt() for data in (train, test)) + (first, second.sqrt())


def attention(q, k, v, mask=None):
    refuse(q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2])
    root = k.shape[-1] ** 0.25
    scores = (q / root) @ (k / root).transpose(-1, -2)
    if mask is not None:
        refuse(mask.dtype is not torch.bool)
        scores = scores.masked_fill(mask.logical_not(), torch.finfo(scores.dtype).min)
    weights = (scores - scores.logsumexp(-1, keepdim=True)).exp()
    return weights @ v, weights


class Layer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.W = nn.Parameter(torch.randn(4, width, width) / width**0.5)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.Tanh(), nn.Linear(2 * width, width))

    def forward(self, x, queries):
        q, k, v = queries @ self.W[0], x @ self.W[1], x @ self.W[2]
        both = [attention(*(part[..., i::2] for part in (q, k, v))) for i in range(2)]
        y = queries + torch.cat([seen for seen, _ in both], -1) @ self.W[3]
        return y + self.mlp(y), torch.stack([weights for _, weights in both], 1)


class AttentionForecaster(nn.Module):
    def __init__(self, d, length, width=32):
        super().__init__()
        refuse(d < 1 or length < 1)
        self.size = (length, d)
        self.register_buffer("statistics", torch.stack([torch.zeros(d), torch.ones(d)]))
        self.enter, self.leave = nn.Linear(d, width), nn.Linear(width + d, d)
        self.place = nn.Embedding(length, width)
        self.first, self.second = Layer(width), Layer(width)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            self.leave.weight[:, width:] += torch.eye(d)

    def both(self, windows):
        refuse(windows.dim() != 3 or tuple(windows.shape[1:]) != self.size)
        mean, std = self.statistics
        scaled = (windows - mean) / std
        x = self.enter(scaled) + self.place.weight
        x, _ = self.first(x, x)
        x, weights = self.second(x, x[:, -1:])
        return mean + std * self.leave(torch.cat([x[:, 0], scaled[:, -1]], -1)), weights

    def forward(self, windows):
        return self.both(windows)[0]


def train(model, trajectories, steps, seed=0):
    refuse(steps < 1 or trajectories.dim() != 3 or trajectories.shape[0] < 2)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        own, other = split(trajectories.float(), 1)
        *_, mean, std = normalise(own, other)
        model.statistics.copy_(torch.stack([mean, std]))
        change = own.diff(dim=1).std((0, 1))
        optimizer = torch.optim.NAdam(model.parameters(), 3e-3)
        pieces = own.unfold(1, model.size[0] + 1, 1).flatten(0, 1).transpose(1, 2)
        held = other.unfold(1, model.size[0] + 1, 1).flatten(0, 1).transpose(1, 2)
        history = {"step": [0], "loss": [], "held_out": []}

        def note(loss):
            with torch.no_grad():
                error = (model(held[:, :-1]) - held[:, -1]) / std
            history["loss"].append(loss)
            history["held_out"].append(error.square().mean().sqrt().item())

        note(1.0)
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * (1 - step / steps) + 1e-6
            batch = pieces[torch.randint(len(pieces), (192,))]
            loss = torch.square((model(batch[:, :-1]) - batch[:, -1]) / change).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_value_(model.parameters(), 0.5)
            optimizer.step()
        history["step"].append(steps)
        note(loss.item())
    return history


def rollout(model, window, n_steps):
    refuse(window.dim() != 2 or window.shape[0] == 0 or n_steps < 0)
    result = window.new_empty((0, window.shape[1]))
    with torch.inference_mode():
        while len(result) < n_steps:
            shown = torch.cat([window, result])[-window.shape[0] :]
            result = torch.cat([result, model(shown.unsqueeze(0))])
    return result.clone()


def valid_time(prediction, truth, dt, threshold=0.4):
    refuse(prediction.shape != truth.shape or truth.dim() != 2 or not dt > 0)
    weight = truth.var(0, correction=0).reciprocal() / truth.shape[1]
    error = (prediction - truth).square() @ weight
    wrong = ~(error <= threshold**2)
    return (int(wrong.int().argmax()) if bool(wrong.any()) else len(truth)) * dt * LAMBDA


def separation(delta0, state, n_steps, dt):
    refuse(delta0 <= 0)
    other = torch.cat([state[..., :1] + delta0, state[..., 1:]], -1)
    difference = simulate(other, n_steps, dt) - simulate(state, n_steps, dt)
    return torch.hypot(torch.hypot(difference[..., 0], difference[..., 1]), difference[..., 2])


def attention_map(model, window):
    refuse(window.dim() != 2)
    return model.both(window.unsqueeze(0))[1].detach()[0, :, 0]


def plot_attention(weights, ax=None):
    refuse(weights.dim() != 2)
    ax = ax if ax is not None else plt.figure().subplots()
    ax.pcolor(weights.tolist())
    ax.invert_yaxis()
    ax.set_xlabel("sample of the window")
    ax.set_ylabel("head")
    return ax


def plot_forecast(prediction, truth, dt):
    refuse(prediction.shape != truth.shape or truth.dim() != 2 or truth.shape[1] not in (1, 3))
    d, times = truth.shape[1], dt * LAMBDA * torch.arange(len(truth))
    layout = [["space", f"c{c}"] if d == 3 else [f"c{c}"] for c in range(d)]
    figure, axes = plt.subplot_mosaic(layout, per_subplot_kw={"space": {"projection": "3d"}} if d == 3 else {})
    for style, data in (("-", truth), (":", prediction)):
        if d == 3:
            axes["space"].plot(*data.unbind(1), style)
        for c in range(d):
            axes[f"c{c}"].plot(times, data[:, c], style, label=style)
    for c in range(d):
        axes[f"c{c}"].axvline(valid_time(prediction, truth, dt))
        axes[f"c{c}"].set(xlabel="Lyapunov times", ylabel="xyz"[c])
        axes[f"c{c}"].legend()
    return figure
