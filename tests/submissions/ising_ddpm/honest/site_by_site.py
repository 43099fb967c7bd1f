"""Index loops and plain Python: random-site Metropolis, a fully connected network, sums written out."""
import math
import random

import torch
from torch import nn


def check(spins):
    shape = tuple(spins.shape)
    if len(shape) < 2 or shape[-1] != shape[-2] or shape[-1] % 2 or shape[-1] < 4:
        raise ValueError("not a board: " + str(shape))
    if not torch.is_floating_point(spins):
        return spins * torch.ones(())
    return spins


def energy(spins):
    s = check(spins)
    L = s.shape[-1]
    total = torch.zeros(s.shape[:-2], dtype=s.dtype)
    for i in range(L):
        total = total + (s[..., i, :] * s[..., i - 1, :]).sum(-1) + (s[..., :, i] * s[..., :, i - 1]).sum(-1)
    return -total / (L * L)


def magnetization(spins):
    s = check(spins)
    return s.flatten(-2).sum(-1) / s.shape[-1] ** 2


def correlation(spins):
    s = check(spins)
    L = s.shape[-1]
    out = []
    for r in range(0, L // 2 + 1):
        index = [(i + r) % L for i in range(L)]
        a = (s * s[..., index]).flatten(-2).mean(-1)
        b = (s * s[..., index, :]).flatten(-2).mean(-1)
        out.append(0.5 * a + 0.5 * b)
    return torch.stack(out, -1)


def metropolis(spins, temperature, n_sweeps, generator=None):
    check(spins)
    if not temperature > 0 or n_sweeps < 0:
        raise ValueError("temperature must be positive and n_sweeps not negative")
    L, lead = spins.shape[-1], spins.shape[:-2]
    s = spins.clone()
    for _ in range(n_sweeps):
        order = torch.randperm(L * L, generator=generator).tolist()
        for k in order:
            i, j = k // L, k % L
            h = s[..., i - 1, j] + s[..., (i + 1) % L, j] + s[..., i, j - 1] + s[..., i, (j + 1) % L]
            cost = 2 * s[..., i, j] * h
            accept = (cost <= 0) | (torch.rand(lead, generator=generator) < torch.exp(-cost.float() / temperature))
            s[..., i, j] = torch.where(accept, -s[..., i, j], s[..., i, j])
    return s


def linear_schedule(n_steps, start, end):
    if n_steps < 1:
        raise ValueError("no steps")
    if not (0 < start and start <= end and end < 1):
        raise ValueError("bad ends")
    return torch.tensor([start + (end - start) * k / max(n_steps - 1, 1) for k in range(n_steps)])


def q_sample(x0, t, noise, betas):
    if x0.shape != noise.shape or t.ndim != 1 or len(t) != len(x0):
        raise ValueError("shapes")
    if len(t) and (min(t.tolist()) < 0 or max(t.tolist()) >= len(betas)):
        raise ValueError("t outside of the schedule")
    rows = []
    for x, time, e in zip(x0, t.tolist(), noise):
        a = torch.prod(1 - betas[: time + 1])
        rows.append(torch.sqrt(a) * x + torch.sqrt(1 - a) * e)
    return torch.stack(rows)


class Denoiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(64 + 3, 96)
        self.b = nn.Linear(96, 96)
        self.c = nn.Linear(96, 64)

    def forward(self, x_t, t, temperature):
        u = t.to(x_t.dtype) / 50
        extra = torch.stack([u, u * u, temperature / 3], dim=1)
        h = torch.tanh(self.a(torch.cat([x_t.reshape(len(x_t), 64), extra], dim=1)))
        h = h + torch.tanh(self.b(h))
        return self.c(h).reshape(len(x_t), 8, 8)


def ddpm_loss(model, x0, temperature, betas, generator=None):
    B = x0.shape[0]
    if tuple(temperature.shape) != (B,):
        raise ValueError("one temperature for each board")
    noise = torch.normal(torch.zeros_like(x0), torch.ones_like(x0), generator=generator)
    t = (torch.rand(B, generator=generator) * len(betas)).floor().long().clamp(max=len(betas) - 1)
    difference = model(q_sample(x0, t, noise, betas), t, temperature) - noise
    return (difference * difference).sum() / difference.numel()


def p_sample_step(model, x_t, t, temperature, betas, generator=None):
    if t not in range(len(betas)):
        raise ValueError("t")
    bar = 1.0
    for beta in betas[: t + 1].tolist():
        bar *= 1 - beta
    beta = float(betas[t])
    eps = model(x_t, torch.tensor([t] * len(x_t)), temperature)
    x = (x_t - beta / math.sqrt(1 - bar) * eps) / math.sqrt(1 - beta)
    if t > 0:
        x = x + math.sqrt(beta) * torch.normal(torch.zeros_like(x_t), torch.ones_like(x_t), generator=generator)
    return x


def training_data(n, size, temperatures, generator=None):
    if n < 2:
        raise ValueError("n")
    boards, labels = [], []
    for T in temperatures:
        start = torch.ones(n, size, size)
        start[: n // 2] *= -1
        boards.append(metropolis(start, T, 25, generator))
        labels += [float(T)] * n
    return torch.cat(boards), torch.tensor(labels)


def train(model, spins, temperature, betas, n_steps, seed=0):
    if n_steps < 1 or len(spins) != len(temperature):
        raise ValueError("n_steps or lengths")
    random.seed(seed)
    g = torch.Generator().manual_seed(seed)
    opt = torch.optim.Adam(model.parameters(), lr=0.003)
    history = []
    for _ in range(n_steps):
        pick = [random.randrange(len(spins)) for _ in range(32)]
        loss = ddpm_loss(model, spins[pick], temperature[pick], betas, g)
        opt.zero_grad()
        loss.backward()
        opt.step()
        history.append(float(loss))
    return history


def sample(model, n, size, temperature, betas, generator=None):
    if n < 1 or size < 4 or size % 2 == 1 or temperature <= 0:
        raise ValueError("n, size or temperature")
    x = torch.normal(torch.zeros(n, size, size, dtype=betas.dtype), 1.0, generator=generator)
    T = torch.tensor([temperature] * n, dtype=betas.dtype)
    t = len(betas) - 1
    while t >= 0:
        x = p_sample_step(model, x, t, T, betas, generator).detach()
        t -= 1
    return x


def domain_sizes(spins):
    if spins.ndim != 2:
        raise ValueError("one board")
    check(spins)
    L = len(spins)
    label = [[i * L + j for j in range(L)] for i in range(L)]
    s = spins.tolist()
    changed = True
    while changed:  # neighbours that agree take the smaller of their labels, until nothing changes
        changed = False
        for i in range(L):
            for j in range(L):
                for k, m in ((i - 1, j), (i, j - 1)):
                    if s[i][j] == s[k][m] and label[i][j] != label[k][m]:
                        label[i][j] = label[k][m] = min(label[i][j], label[k][m])
                        changed = True
    flat = [x for row in label for x in row]
    return sorted((flat.count(x) for x in set(flat)), reverse=True)


def observables(samples):
    if samples.ndim != 3 or len(samples) == 0:
        raise ValueError("(n, L, L)")
    s = check(torch.tensor([[[1.0 if x > 0 else -1.0 for x in row] for row in one] for one in samples.tolist()]))
    N = s[0].numel()
    counts = [0] * (N // 2 + 1)
    for one in s:
        counts[int(abs(one.sum().item())) // 2] += 1
    domains = [domain_sizes(one) for one in s]
    return {
        "energy": float(sum(energy(one) for one in s)) / len(s),
        "abs_magnetization": float(magnetization(s).abs().mean()),
        "histogram": torch.tensor([c / len(s) for c in counts]),
        "correlation": correlation(s).mean(0),
        "n_domains": sum(len(d) for d in domains) / len(s),
        "largest_domain": sum(max(d) for d in domains) / (N * len(s)),
    }
