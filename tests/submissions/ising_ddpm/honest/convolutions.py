"""Convolutions, Fourier transforms and the heat bath; the step goes through the guess of x0, with the variance beta_t."""
import torch
import torch.nn.functional as F
from torch import nn

CROSS = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]])


def as_real(s):
    if s.dim() < 2 or s.size(-1) != s.size(-2) or s.size(-1) < 4 or s.size(-1) & 1:
        raise ValueError(f"shape {tuple(s.shape)}")
    return s if s.is_floating_point() else s.float()


def field(s):
    flat = s.reshape(-1, 1, *s.shape[-2:])
    padded = F.pad(flat, (1, 1, 1, 1), mode="circular")
    return F.conv2d(padded, CROSS.to(s.dtype)[None, None]).reshape(s.shape)


def energy(spins):
    s = as_real(spins)
    return -0.5 * torch.einsum("...ij,...ij->...", s, field(s)) / s.size(-1) ** 2


def magnetization(spins):
    s = as_real(spins)
    return torch.einsum("...ij->...", s) / s.size(-1) ** 2


def correlation(spins):
    s = as_real(spins)
    L = s.size(-1)
    across = torch.fft.irfft(torch.fft.rfft(s, dim=-1).abs() ** 2, n=L, dim=-1).mean(-2) / L
    down = torch.fft.irfft(torch.fft.rfft(s, dim=-2).abs() ** 2, n=L, dim=-2).mean(-1) / L
    return ((across + down) / 2)[..., : L // 2 + 1]


def metropolis(spins, temperature, n_sweeps, generator=None):
    s = as_real(spins).float()
    if temperature <= 0:
        raise ValueError("temperature")
    if n_sweeps < 0:
        raise ValueError("n_sweeps")
    L = s.size(-1)
    even = torch.eye(2, dtype=torch.bool).repeat(L // 2, L // 2)
    for _ in range(n_sweeps):
        for sites in (even, ~even):
            up = torch.rand(s.shape, generator=generator) < torch.sigmoid(2 / temperature * field(s))
            s = torch.where(sites, torch.where(up, 1.0, -1.0), s)
    return s.to(spins.dtype).reshape(spins.shape).clone()


def linear_schedule(n_steps, start, end):
    if n_steps <= 0 or start <= 0 or end >= 1 or start > end:
        raise ValueError("schedule")
    if n_steps == 1:
        return torch.full((1,), start)
    return torch.lerp(torch.full((n_steps,), start), torch.full((n_steps,), end), torch.arange(n_steps) / (n_steps - 1))


def q_sample(x0, t, noise, betas):
    if noise.shape != x0.shape or t.shape != (x0.size(0),) or (t < 0).any() or (t >= betas.numel()).any():
        raise ValueError("q_sample")
    log_bar = torch.log1p(-betas).cumsum(0).index_select(0, t).view(-1, 1, 1)
    return torch.addcmul((0.5 * log_bar).exp() * x0, (-torch.expm1(log_bar)).sqrt(), noise)


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.one, self.two = nn.Conv2d(c, c, 3), nn.Conv2d(c, c, 3)
        self.norm = nn.GroupNorm(4, c)
        self.cond = nn.Linear(34, c)

    def forward(self, h, e):
        wrap = lambda x: F.pad(x, (1, 1, 1, 1), mode="circular")
        g = self.one(wrap(F.gelu(self.norm(h)))) + self.cond(e)[..., None, None]
        return h + self.two(wrap(F.gelu(g)))


class Denoiser(nn.Module):
    def __init__(self, channels=12, depth=3):
        super().__init__()
        self.clock = nn.Embedding(50, 32)
        self.enter = nn.Conv2d(1, channels, 1)
        self.blocks = nn.ModuleList(Residual(channels) for _ in range(depth))
        self.leave = nn.Conv2d(channels, 1, 1)

    def forward(self, x_t, t, temperature):
        e = torch.cat([self.clock(t), torch.stack([temperature, 1 / temperature], 1)], 1)
        h = self.enter(x_t.unsqueeze(1))
        for block in self.blocks:
            h = block(h, e)
        return self.leave(h).squeeze(1)


def ddpm_loss(model, x0, temperature, betas, generator=None):
    if temperature.shape != x0.shape[:1]:
        raise ValueError("temperature")
    t = torch.multinomial(torch.ones(len(betas)), len(x0), replacement=True, generator=generator)
    noise = torch.empty_like(x0).normal_(generator=generator)
    return (model(q_sample(x0, t, noise, betas), t, temperature) - noise).pow(2).mean()


def p_sample_step(model, x_t, t, temperature, betas, generator=None):
    if t < 0 or t >= len(betas):
        raise ValueError("t")
    bar = (1 - betas).cumprod(0)
    before = bar[t - 1] if t else torch.ones_like(bar[0])
    eps = model(x_t, x_t.new_full((len(x_t),), t, dtype=torch.long), temperature)
    x0 = (x_t - (1 - bar[t]).sqrt() * eps) / bar[t].sqrt()
    mean = (before.sqrt() * betas[t] * x0 + (1 - betas[t]).sqrt() * (1 - before) * x_t) / (1 - bar[t])
    return mean + (t > 0) * betas[t].sqrt() * torch.empty_like(x_t).normal_(generator=generator)


def training_data(n, size, temperatures, generator=None):
    if n < 2:
        raise ValueError("n")
    found = []
    for T in temperatures:
        s = metropolis(torch.ones(n, size, size), T, 60, generator)
        flip = torch.arange(n)[torch.randperm(n, generator=generator)] % 2 * 2.0 - 1
        found.append(s * flip[:, None, None])  # the symmetry of the model, by hand
    order = torch.randperm(n * len(found), generator=generator)
    labels = torch.tensor(list(temperatures)).repeat_interleave(n)
    return torch.cat(found)[order], labels[order]


def train(model, spins, temperature, betas, n_steps, seed=0):
    if n_steps < 1 or spins.size(0) != temperature.size(0):
        raise ValueError("train")
    torch.manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(n_steps, 2))
    losses = []
    for _ in range(n_steps):
        pick = torch.randperm(len(spins))[:64]
        loss = ddpm_loss(model, spins[pick], temperature[pick], betas)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def sample(model, n, size, temperature, betas, generator=None):
    if n < 1 or size < 4 or size % 2 or not temperature > 0:
        raise ValueError("sample")
    with torch.inference_mode():
        x = torch.empty(n, size, size, dtype=betas.dtype).normal_(generator=generator)
        heat = betas.new_full((n,), temperature)
        for t in range(len(betas))[::-1]:
            x = p_sample_step(model, x, t, heat, betas, generator)
    return x.clone()


def domain_sizes(spins):
    if spins.dim() != 2:
        raise ValueError("one board (L, L)")
    s = as_real(spins)
    label = torch.arange(s.numel()).view(s.shape)
    while True:  # every site takes the largest label among its equal neighbours
        new = label
        for d in (0, 1):
            for step in (1, -1):
                new = torch.where(s == s.roll(step, d), torch.maximum(new, new.roll(step, d)), new)
        if torch.equal(new, label):
            return sorted(label.flatten().bincount()[label.unique()].tolist())[::-1]
        label = new


def observables(samples):
    if samples.dim() != 3 or not len(samples):
        raise ValueError("(n, L, L)")
    s = 2 * (as_real(samples) > 0).float() - 1
    m = magnetization(s).abs()
    N = s.size(1) * s.size(2)
    sizes = [domain_sizes(one) for one in s]
    return dict(
        energy=float(energy(s).mean()), abs_magnetization=float(m.mean()),
        histogram=torch.histc(m, bins=N // 2 + 1, min=-1 / N, max=1 + 1 / N) / len(s), correlation=correlation(s).mean(0),
        n_domains=float(torch.tensor([len(d) for d in sizes]).float().mean()),
        largest_domain=float(torch.tensor([d[0] / N for d in sizes]).mean()),
    )
