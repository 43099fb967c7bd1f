"""NumPy inside wherever no gradient is needed; a recurrent walk over precomputed coefficients; a tiny pixel-wise U-Net."""
import numpy as np
import torch
from torch import nn


def _array(spins):
    a = np.asarray(spins.detach())
    if a.ndim < 2 or a.shape[-1] != a.shape[-2] or a.shape[-1] % 2 or a.shape[-1] < 4:
        raise ValueError("spins must be (..., L, L) with L even and at least 4, got %s" % (a.shape,))
    return a.astype(a.dtype if a.dtype.kind == "f" else np.float32)


def energy(spins):
    a = _array(spins)
    e = -(a * np.roll(a, 1, -1) + a * np.roll(a, 1, -2)).mean((-1, -2))
    return torch.as_tensor(e)


def magnetization(spins):
    return torch.as_tensor(_array(spins).mean((-1, -2)))


def correlation(spins):
    a = _array(spins)
    g = [(a * np.roll(a, r, -1)).mean((-1, -2)) + (a * np.roll(a, r, -2)).mean((-1, -2)) for r in range(a.shape[-1] // 2 + 1)]
    return torch.as_tensor(np.stack(g, -1) / 2)


def metropolis(spins, temperature, n_sweeps, generator=None):
    s = _array(spins).copy()
    if temperature <= 0 or n_sweeps < 0:
        raise ValueError("temperature above 0, n_sweeps at least 0")
    seed = int(torch.randint(2**31, (1,), generator=generator))
    rng = np.random.default_rng(seed)
    black = np.indices(s.shape[-2:]).sum(0) % 2
    for _ in range(n_sweeps):
        for colour in (0, 1):
            cost = 2 * s * sum(np.roll(s, k, d) for k in (-1, 1) for d in (-1, -2))
            # log u < -dE / T, which cannot overflow
            flip = (-rng.exponential(size=s.shape) < -cost / temperature) & (black == colour)
            s[flip] *= -1
    return torch.from_numpy(s).to(spins.dtype)


def linear_schedule(n_steps, start, end):
    if n_steps < 1 or not 0 < start <= end < 1:
        raise ValueError("schedule")
    return torch.from_numpy(np.linspace(start, end, n_steps)).to(torch.get_default_dtype())


def coefficients(betas):
    """sqrt(alpha_bar) and sqrt(1 - alpha_bar) of every step, step by step."""
    signal, noise, now = [], [], torch.ones((), dtype=betas.dtype)
    for beta in betas:
        now = now * (1 - beta)
        signal.append(now.sqrt())
        noise.append((1 - now).sqrt())
    return torch.stack(signal), torch.stack(noise)


def q_sample(x0, t, noise, betas):
    if x0.shape != noise.shape or t.shape != (x0.shape[0],):
        raise ValueError("shapes do not fit")
    if t.numel() and not (0 <= int(t.min()) and int(t.max()) < len(betas)):
        raise ValueError("t does not fit the schedule")
    a, b = coefficients(betas)
    return a[t].view(-1, 1, 1) * x0 + b[t].view(-1, 1, 1) * noise


class Denoiser(nn.Module):
    """Averages over rings of sites, then a small network at each site."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(9, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 1))
        self.scale = nn.Parameter(torch.ones(50))

    def forward(self, x_t, t, temperature):
        def ring(r):
            return sum(torch.roll(x_t, s * r, d) for s in (1, -1) for d in (1, 2)) / 4

        diagonal = sum(torch.roll(x_t, (a, b), (1, 2)) for a in (1, -1) for b in (1, -1)) / 4
        everything = x_t.mean((1, 2), keepdim=True).expand_as(x_t)
        clock = [(f(t.to(x_t.dtype) / 20))[:, None, None].expand_as(x_t) for f in (torch.sin, torch.cos)]
        heat = temperature[:, None, None].expand_as(x_t)
        features = torch.stack([x_t, ring(1), ring(2), ring(3), diagonal, everything, heat, *clock], -1)
        return self.scale[t][:, None, None] * x_t + self.net(features)[..., 0]


def ddpm_loss(model, x0, temperature, betas, generator=None):
    if list(temperature.shape) != [x0.shape[0]]:
        raise ValueError("temperature must be (B,)")
    t = torch.empty(x0.shape[0]).uniform_(0, len(betas), generator=generator).long() % len(betas)
    noise = torch.empty(x0.shape, dtype=x0.dtype).normal_(0, 1, generator=generator)
    guess = model(q_sample(x0, t, noise, betas), t, temperature)
    return torch.dist(guess, noise) ** 2 / noise.numel()


def p_sample_step(model, x_t, t, temperature, betas, generator=None):
    if t < 0 or t > len(betas) - 1:
        raise ValueError("t does not fit the schedule")
    a, b = coefficients(betas)
    guess = model(x_t, torch.full(x_t.shape[:1], t), temperature)
    x = (x_t - betas[t] / b[t] * guess) / torch.sqrt(1 - betas[t])
    if t == 0:
        return x
    return x + torch.sqrt(betas[t]) * b[t - 1] / b[t] * torch.empty_like(x).normal_(generator=generator)


def training_data(n, size, temperatures, generator=None):
    if n < 2:
        raise ValueError("n must be 2 or more")
    start = torch.tensor([1.0, -1.0]).repeat((n + 1) // 2)[:n, None, None] * torch.ones(size, size)
    k = len(temperatures)
    spins = torch.stack([metropolis(start, T, 120, generator) for T in temperatures], 1).reshape(n * k, size, size)
    return spins, torch.tensor(list(temperatures)).repeat(n)


def train(model, spins, temperature, betas, n_steps, seed=0):
    if n_steps < 1 or len(spins) != len(temperature):
        raise ValueError("n_steps, or lengths that differ")
    rng, g = np.random.default_rng(seed), torch.Generator().manual_seed(seed + 1)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = np.zeros(n_steps)
    for k in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = 5e-3 * (1 - k / n_steps)
        pick = torch.from_numpy(rng.integers(0, len(spins), 80))
        optimizer.zero_grad()
        loss = ddpm_loss(model, spins[pick], temperature[pick], betas, g)
        loss.backward()
        optimizer.step()
        losses[k] = loss.item()
    return losses.tolist()


def sample(model, n, size, temperature, betas, generator=None):
    if n < 1 or size < 4 or size % 2 != 0:
        raise ValueError("n or size")
    if not temperature > 0:
        raise ValueError("temperature")
    a, b = coefficients(betas)
    x = torch.empty(n, size, size, dtype=betas.dtype).normal_(generator=generator)
    heat = torch.ones(n, dtype=betas.dtype) * temperature
    for t in np.arange(len(betas))[::-1].tolist():
        with torch.no_grad():
            guess = model(x, torch.tensor(t).expand(n), heat)
        x0 = (x - b[t] * guess) / a[t]
        if t == 0:
            return x0
        # straight to the posterior of x_(t-1), given x_t and x0 (Ho et al., equation 7)
        share = betas[t] / b[t] ** 2
        x = a[t - 1] * share * x0 + torch.sqrt(1 - betas[t]) * (1 - share) * x * (b[t - 1] ** 2 / (b[t] ** 2 * (1 - share)))
        x = x + torch.sqrt(share) * b[t - 1] * torch.empty_like(x).normal_(generator=generator)


def domain_sizes(spins):
    if spins.ndim != 2:
        raise ValueError("one board (L, L)")
    a = _array(spins)
    L, seen, sizes = len(a), np.zeros(a.shape, bool), []

    def flood(i, j):
        if seen[i, j]:
            return 0
        seen[i, j] = True
        return 1 + sum(
            flood(k, m)
            for k, m in (((i + 1) % L, j), ((i - 1) % L, j), (i, (j + 1) % L), (i, (j - 1) % L))
            if a[k, m] == a[i, j]
        )

    for i in range(L):
        for j in range(L):
            sizes.append(flood(i, j))
    return sorted([size for size in sizes if size], reverse=True)


def observables(samples):
    if samples.ndim != 3 or len(samples) < 1:
        raise ValueError("(n, L, L)")
    s = np.where(_array(samples) > 0, 1.0, -1.0)
    N = s[0].size
    total = np.abs(s.sum((1, 2))).astype(int)
    histogram = np.array([(total == 2 * k).mean() for k in range(N // 2 + 1)])
    spins = torch.from_numpy(s)
    domains = [domain_sizes(one) for one in spins]
    return {
        "energy": float(energy(spins).mean()),
        "abs_magnetization": float((total / N).mean()),
        "histogram": torch.from_numpy(histogram),
        "correlation": correlation(spins).mean(0),
        "n_domains": float(np.mean([len(d) for d in domains])),
        "largest_domain": float(np.mean([d[0] / N for d in domains])),
    }
