"""A transformer over the 64 sites, boards in small batches, union-find for the domains, sublattices in four colours."""
import math

import torch
from torch import nn


class Board:
    """A stack of boards with its neighbours, by index tables."""

    def __init__(self, spins):
        if spins.ndim < 2 or spins.shape[-1] != spins.shape[-2]:
            raise ValueError("boards must be square")
        self.L = spins.shape[-1]
        if self.L < 4 or self.L % 2 != 0:
            raise ValueError("L must be even and at least 4")
        dtype = spins.dtype if spins.dtype.is_floating_point else torch.get_default_dtype()
        self.flat = spins.to(dtype).flatten(-2)

    def moved(self, r, axis):
        index = torch.arange(self.L * self.L).reshape(self.L, self.L)
        return self.flat[..., torch.roll(index, -r, axis).flatten()]

    def agreement(self, r):
        return (self.flat * (self.moved(r, 0) + self.moved(r, 1))).mean(-1)


def energy(spins):
    return -Board(spins).agreement(1)


def magnetization(spins):
    return Board(spins).flat.mean(-1)


def correlation(spins):
    b = Board(spins)
    return torch.stack([b.agreement(r) / 2 for r in range(b.L // 2 + 1)], dim=-1)


def metropolis(spins, temperature, n_sweeps, generator=None):
    L = Board(spins).L
    if not temperature > 0:
        raise ValueError("temperature must be above zero")
    if n_sweeps < 0:
        raise ValueError("a negative number of sweeps")
    s = spins.detach().clone()
    # dE is -8, -4, 0, 4 or 8: a table of five probabilities
    table = torch.tensor([min(1.0, math.exp(-dE / temperature)) for dE in (-8, -4, 0, 4, 8)])
    for _ in range(n_sweeps):
        for a, b in ((0, 0), (1, 1), (0, 1), (1, 0)):  # four sublattices, none with two neighbours in it
            h = sum(torch.roll(s, k, d)[..., a::2, b::2] for k in (1, -1) for d in (-1, -2))
            mine = s[..., a::2, b::2]
            chance = table[((mine * h).long() + 4) // 2]
            turn = torch.rand(mine.shape, generator=generator) < chance
            s[..., a::2, b::2] = torch.where(turn, -mine, mine)
    return s


def linear_schedule(n_steps, start, end):
    if int(n_steps) < 1:
        raise ValueError("at least one step")
    if not 0 < start <= end < 1:
        raise ValueError("0 < start <= end < 1")
    step = 0.0 if n_steps == 1 else (end - start) / (n_steps - 1)
    return start + step * torch.arange(n_steps, dtype=torch.get_default_dtype())


def q_sample(x0, t, noise, betas):
    if x0.shape != noise.shape:
        raise ValueError("x0 and noise")
    if t.shape != (len(x0),):
        raise ValueError("one t for each board")
    if any(k < 0 or k >= len(betas) for k in t.tolist()):
        raise ValueError("t is outside of the schedule")
    mixture = torch.stack([torch.cumprod(1 - betas, 0), 1 - torch.cumprod(1 - betas, 0)]).sqrt()[:, t]
    return torch.einsum("kb,kbij->bij", mixture, torch.stack([x0, noise]))


class Denoiser(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.value = nn.Linear(3, width)
        self.place = nn.Parameter(0.1 * torch.randn(64, width))
        self.layer = nn.TransformerEncoderLayer(width, 2, 48, dropout=0.1, batch_first=True, norm_first=True)
        self.answer = nn.Linear(width, 1)

    def forward(self, x_t, t, temperature):
        n = len(x_t)
        time, heat = (v.to(x_t.dtype)[:, None].expand(n, 64) for v in (t / 25 - 1, temperature - 2.4))
        h = self.value(torch.stack([x_t.flatten(1), time, heat], -1)) + self.place
        return x_t + self.answer(self.layer(h)).reshape(n, 8, 8)


def ddpm_loss(model, x0, temperature, betas, generator=None):
    if temperature.ndim != 1 or temperature.shape[0] != x0.shape[0]:
        raise ValueError("one temperature for each board")
    t = torch.randint(0, betas.shape[0], x0.shape[:1], generator=generator)
    noise = torch.randn(x0.shape, dtype=x0.dtype, generator=generator)
    guess = model(q_sample(x0, t, noise, betas), t, temperature)
    return nn.MSELoss()(guess, noise)


def p_sample_step(model, x_t, t, temperature, betas, generator=None):
    if not 0 <= t <= len(betas) - 1:
        raise ValueError("t is outside of the schedule")
    alpha = 1 - betas
    bar = torch.stack([alpha[: k + 1].prod() for k in range(t + 1)])
    guess = model(x_t, torch.zeros(len(x_t), dtype=torch.long) + t, temperature)
    mean = alpha[t].rsqrt() * (x_t - (1 - alpha[t]) * (1 - bar[t]).rsqrt() * guess)
    z = torch.randn(x_t.shape, dtype=x_t.dtype, generator=generator)  # drawn at t = 0 as well, and not used
    return torch.addcmul(mean, (betas[t] * (1 - bar[t - 1]) / (1 - bar[t])).sqrt(), z) if t else mean


def training_data(n, size, temperatures, generator=None):
    if n < 2:
        raise ValueError("at least two boards")
    down = torch.arange(n) >= n / 2
    start = torch.where(down, -1.0, 1.0)[:, None, None].repeat(1, size, size)
    pairs = [(metropolis(start, T, 100, generator), torch.full((n,), float(T))) for T in temperatures]
    return tuple(torch.cat(part) for part in zip(*pairs))


def train(model, spins, temperature, betas, n_steps, seed=0):
    if n_steps < 1:
        raise ValueError("at least one step")
    if spins.shape[:1] != temperature.shape:
        raise ValueError("one temperature for each board")
    torch.manual_seed(seed)  # dropout draws from torch's own generator
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=lambda old, new, _: 0.9 * old + 0.1 * new)
    losses = []
    for _ in range(n_steps):
        k = torch.randint(len(spins), (48,))
        loss = ddpm_loss(model, spins[k], temperature[k], betas)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        average.update_parameters(model)
        losses.append(loss.detach().item())
    model.load_state_dict(average.module.state_dict())
    return losses


@torch.no_grad()
def sample(model, n, size, temperature, betas, generator=None):
    if n < 1 or size % 2 or size < 4 or temperature <= 0:
        raise ValueError("sample")
    pieces = []
    for k in range(0, n, 150):  # in small batches
        m = min(150, n - k)
        x = torch.randn((m, size, size), dtype=betas.dtype, generator=generator)
        for t in reversed(range(len(betas))):
            x = p_sample_step(model, x, t, torch.full((m,), temperature, dtype=betas.dtype), betas, generator)
        pieces.append(x)
    return torch.cat(pieces)


def domain_sizes(spins):
    if spins.ndim != 2:
        raise ValueError("one board")
    L = Board(spins).L
    s = spins.flatten().tolist()
    parent = list(range(L * L))

    def root(k):
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = parent[k]
        return k

    for i in range(L):
        for j in range(L):
            for other in (i * L + (j + 1) % L, (i + 1) % L * L + j):
                if s[i * L + j] == s[other]:
                    parent[root(i * L + j)] = root(other)
    roots = [root(k) for k in range(L * L)]
    return sorted([roots.count(r) for r in set(roots)], key=lambda size: -size)


def observables(samples):
    if samples.ndim != 3 or samples.shape[0] < 1:
        raise ValueError("(n, L, L)")
    s = (samples > 0).to(torch.int8) * 2 - 1
    N = Board(s).L ** 2
    m = s.flatten(1).sum(1, dtype=torch.long).abs()
    out = {"energy": energy(s).mean().item(), "abs_magnetization": (m.double() / N).mean().item()}
    out["histogram"] = (m[:, None] == torch.arange(0, N + 1, 2)).double().mean(0)
    out["correlation"] = correlation(s).mean(0)
    every = [domain_sizes(one) for one in s]
    out["n_domains"] = sum(map(len, every)) / len(every)
    out["largest_domain"] = sum(d[0] for d in every) / N / len(every)
    return out
