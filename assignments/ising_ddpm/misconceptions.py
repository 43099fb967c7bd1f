"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong. A test that recognises one
of them by its behaviour (`Mistake`) names it too, for where random numbers are drawn in another order no call can be
replayed.
"""

import torch
import torch.nn.functional as F
from torch import nn

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def real(spins):
    require(spins.ndim >= 2 and spins.shape[-1] == spins.shape[-2], "spins must be (..., L, L)")
    require(spins.shape[-1] >= 4 and spins.shape[-1] % 2 == 0, "L must be even and at least 4")
    return spins if spins.is_floating_point() else spins.to(torch.get_default_dtype())


def right_energy(spins):
    s = real(spins)
    return -(s * (s.roll(1, -1) + s.roll(1, -2))).mean((-2, -1))


def right_correlation(spins):
    s = real(spins)
    pairs = [s * (s.roll(r, -1) + s.roll(r, -2)) / 2 for r in range(s.shape[-1] // 2 + 1)]
    return torch.stack([products.mean((-2, -1)) for products in pairs], -1)


def neighbours(s):
    return s.roll(1, -1) + s.roll(-1, -1) + s.roll(1, -2) + s.roll(-1, -2)


def colours(size):
    sites = torch.arange(size)
    white = (sites[:, None] + sites) % 2 == 0
    return white, ~white


def monte_carlo(spins, temperature, n_sweeps, generator, chance, masks=None, shape=None):
    """Checkerboard Metropolis whose acceptance probability, sites of an update or random numbers may be wrong."""
    s = real(spins).clone()
    require(temperature > 0, "temperature must be above 0")
    require(n_sweeps >= 0, "n_sweeps must not be negative")
    for _ in range(n_sweeps):
        for mask in masks or colours(s.shape[-1]):
            rise = 2 * s * neighbours(s)
            draw = torch.rand(shape or s.shape, generator=generator)
            s = torch.where((draw < chance(rise, temperature)) & mask, -s, s)
    return s.to(spins.dtype)


def right_chance(rise, temperature):
    return torch.exp(-rise / temperature)


def right_metropolis(spins, temperature, n_sweeps, generator=None):
    return monte_carlo(spins, temperature, n_sweeps, generator, right_chance)


def check_q_sample(x0, t, noise, betas):
    require(x0.shape == noise.shape, "x0 and noise must match")
    require(t.shape == x0.shape[:1], "t must be (B,)")
    require(bool(((t >= 0) & (t < len(betas))).all()), "t must be inside the schedule")


def per_board(values, x):
    return values.reshape(-1, *[1] * (x.ndim - 1))


def right_q_sample(x0, t, noise, betas):
    check_q_sample(x0, t, noise, betas)
    alpha_bar = per_board(torch.cumprod(1 - betas, 0)[t], x0)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def drawn(x0, betas, generator):
    """Times and noise of one loss."""
    t = torch.randint(len(betas), (len(x0),), generator=generator)
    return t, torch.randn(x0.shape, generator=generator, dtype=x0.dtype)


def check_loss(x0, temperature):
    require(temperature.shape == x0.shape[:1], "temperature must be (B,)")


def right_loss(model, x0, temperature, betas, generator=None):
    check_loss(x0, temperature)
    t, noise = drawn(x0, betas, generator)
    return F.mse_loss(model(right_q_sample(x0, t, noise, betas), t, temperature), noise)


def asked(model, x_t, t, temperature, betas):
    """The model's guess at one time for all boards, and alpha_bar."""
    require(0 <= t < len(betas), "t must be inside the schedule")
    return model(x_t, torch.full((len(x_t),), t), temperature), torch.cumprod(1 - betas, 0)


def right_mean(x_t, guess, beta, alpha_bar):
    return (x_t - beta / (1 - alpha_bar).sqrt() * guess) / (1 - beta).sqrt()


def posterior_deviation(t, betas, alpha_bar):
    return (betas[t] * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])).sqrt()


def normal_like(x, generator):
    return torch.randn(x.shape, generator=generator, dtype=x.dtype)


def right_step(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    mean = right_mean(x_t, guess, betas[t], alpha_bar[t])
    if t == 0:
        return mean
    return mean + posterior_deviation(t, betas, alpha_bar) * normal_like(x_t, generator)


def check_sample(n, size, temperature):
    require(n >= 1, "n must be at least 1")
    require(size >= 4 and size % 2 == 0, "size must be even and at least 4")
    require(temperature > 0, "temperature must be above 0")


@torch.no_grad()
def walk(model, n, size, temperature, betas, generator, times, start=None, told=lambda t: t):
    """The reverse process over some times; the model is told `told(t)`."""
    check_sample(n, size, temperature)
    heat = torch.full((n,), temperature, dtype=betas.dtype)
    x = torch.randn(n, size, size, generator=generator, dtype=betas.dtype) if start is None else start
    for t in times:
        off = lambda x_t, now, heat: model(x_t, told(now), heat)  # noqa: E731
        x = right_step(off, x, t, heat, betas, generator)
    return x


def backwards(betas):
    return range(len(betas) - 1, -1, -1)


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="energy",
    name="an energy that counts each bond twice",
    hint="A site has four bonds, but each of them belongs to two sites. How many bonds are there for N "
    "sites?",
)
def double_bonds(spins):
    return 2 * right_energy(spins)


@misconception(
    "q1",
    replaces="energy",
    name="an energy with open boundaries",
    hint="The board is a torus: what is the right neighbour of the last column?",
)
def open_boundaries(spins):
    s = real(spins)
    across = (s[..., 1:] * s[..., :-1]).sum((-2, -1))
    down = (s[..., 1:, :] * s[..., :-1, :]).sum((-2, -1))
    return -(across + down) / s.shape[-1] ** 2


@misconception(
    "q1",
    replaces="energy",
    name="the energy of the whole board instead of the energy per site",
    hint="An all-up board should have the energy -2, whatever its size.",
)
def total_energy(spins):
    return right_energy(spins) * spins.shape[-1] ** 2


@misconception(
    "q1",
    replaces="energy",
    name="an energy with the wrong sign",
    hint="Neighbours that agree lower the energy.",
)
def positive_energy(spins):
    return -right_energy(spins)


@misconception(
    "q1",
    replaces="magnetization",
    name="a magnetisation without its sign",
    hint="A board that is all down has the magnetisation -1.",
)
def unsigned_magnetization(spins):
    return real(spins).mean((-2, -1)).abs()


@misconception(
    "q1",
    replaces="correlation",
    name="a connected correlation, with the squared magnetisation subtracted",
    hint="What is G(0)? It should be 1 for every board.",
)
def connected_correlation(spins):
    return right_correlation(spins) - real(spins).mean((-2, -1))[..., None] ** 2


@misconception(
    "q1",
    replaces="correlation",
    name="a correlation along one axis only",
    hint="Pairs at distance r lie along a row or along a column. Take the mean of both.",
)
def one_axis(spins):
    s = real(spins)
    return torch.stack([(s * s.roll(r, -1)).mean((-2, -1)) for r in range(s.shape[-1] // 2 + 1)], -1)


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="metropolis",
    name="a Monte Carlo that updates all sites at once",
    hint="Two neighbours that flip in the same instant each decide by what the other was. Which sites may be "
    "updated together?",
)
def all_sites_at_once(spins, temperature, n_sweeps, generator=None):
    everywhere = torch.ones(spins.shape[-1], spins.shape[-1], dtype=torch.bool) if spins.ndim else None
    return monte_carlo(spins, temperature, n_sweeps, generator, right_chance, [everywhere])


@misconception(
    "q2",
    replaces="metropolis",
    name="a Monte Carlo with half the change of the energy",
    hint="When a spin turns, each of its four bonds changes from -1 to +1 or back. By how much is that?",
)
def half_the_energy_change(spins, temperature, n_sweeps, generator=None):
    chance = lambda rise, T: torch.exp(-rise / 2 / T)  # noqa: E731
    return monte_carlo(spins, temperature, n_sweeps, generator, chance)


@misconception(
    "q2",
    replaces="metropolis",
    name="a Monte Carlo that multiplies by the temperature instead of dividing by it",
    hint="At a high temperature nearly every proposal is accepted. Is it in yours?",
)
def beta_for_temperature(spins, temperature, n_sweeps, generator=None):
    chance = lambda rise, T: torch.exp(-rise * T)  # noqa: E731
    return monte_carlo(spins, temperature, n_sweeps, generator, chance)


@misconception(
    "q2",
    replaces="metropolis",
    name="a Monte Carlo that prefers to raise the energy",
    hint="The sign of the energy change: an up spin among up spins should stay.",
)
def sign_of_the_energy_change(spins, temperature, n_sweeps, generator=None):
    chance = lambda rise, T: torch.exp(rise / T)  # noqa: E731
    return monte_carlo(spins, temperature, n_sweeps, generator, chance)


@misconception(
    "q2",
    replaces="metropolis",
    name="a Monte Carlo whose chains share their random numbers",
    hint="Draw one random number for each site of each chain.",
)
def shared_random_numbers(spins, temperature, n_sweeps, generator=None):
    return monte_carlo(spins, temperature, n_sweeps, generator, right_chance, shape=real(spins).shape[-2:])


@misconception(
    "q2",
    replaces="metropolis",
    name="a Monte Carlo that updates one colour of the board only",
    hint="One sweep visits every site: first one colour, then the other.",
)
def one_colour(spins, temperature, n_sweeps, generator=None):
    size = real(spins).shape[-1]
    return monte_carlo(spins, temperature, n_sweeps, generator, right_chance, colours(size)[:1])


# ---------------------------------------------------------------------------------------------------------------- q3


@misconception(
    "q3",
    replaces="q_sample",
    name="a mixture without the square roots on alpha_bar",
    hint="Variances add, not amplitudes. What is the variance of x_t if that of x0 is 1?",
)
def no_square_root(x0, t, noise, betas):
    check_q_sample(x0, t, noise, betas)
    alpha_bar = per_board(torch.cumprod(1 - betas, 0)[t], x0)
    return alpha_bar * x0 + (1 - alpha_bar) * noise


@misconception(
    "q3",
    replaces="q_sample",
    name="a mixture with alpha of the one step instead of the product of all steps",
    hint="At time t, the noise of all steps up to t has been added.",
)
def alpha_of_one_step(x0, t, noise, betas):
    check_q_sample(x0, t, noise, betas)
    alpha = per_board((1 - betas)[t], x0)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


@misconception(
    "q3",
    replaces="q_sample",
    name="a mixture that is one step late (t counted from 1)",
    hint="Times start at 0, and at t = 0 the noise of one step has been added.",
)
def one_based_t(x0, t, noise, betas):
    check_q_sample(x0, t, noise, betas)
    alpha_bar = torch.cat([torch.ones_like(betas[:1]), torch.cumprod(1 - betas, 0)])
    alpha_bar = per_board(alpha_bar[t], x0)
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


@misconception(
    "q3",
    replaces="linear_schedule",
    name="a schedule that stops one step before its end",
    hint="Both ends belong to the schedule: the last beta is `end`.",
)
def without_the_end(n_steps, start, end):
    require(n_steps >= 1 and 0 < start <= end < 1, "the schedule must have steps, and 0 < start <= end < 1")
    return start + (end - start) * torch.arange(n_steps) / n_steps


# ---------------------------------------------------------------------------------------------------------------- q4


class SmallNetwork(nn.Module):
    """Two convolutions that see the board, the time and the temperature as three channels."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular")
        self.second = nn.Conv2d(8, 1, 3, padding=1, padding_mode="circular")

    def forward(self, x_t, t, temperature):
        flat = [per_board(value.to(x_t.dtype), x_t).expand_as(x_t) for value in (t / 50, temperature / 4)]
        return x_t + self.second(F.silu(self.first(torch.stack([x_t, *flat], 1))))[:, 0]


@misconception(
    "q4",
    replaces="Denoiser",
    name="a network that is not told the time",
    hint="A value may be much noise or little: the network cannot know which without t. Is t used in "
    "forward?",
)
class ignores_time(SmallNetwork):
    def forward(self, x_t, t, temperature):
        return super().forward(x_t, torch.zeros_like(t), temperature)


@misconception(
    "q4",
    replaces="Denoiser",
    name="a network that is not told the temperature",
    hint="A speck of noise is obvious in an ordered board, and not in a disordered one. Is temperature used "
    "in forward?",
)
class ignores_temperature(SmallNetwork):
    def forward(self, x_t, t, temperature):
        return super().forward(x_t, t, torch.zeros_like(temperature))


@misconception(
    "q4",
    replaces="Denoiser",
    name="a network that mixes the boards of a batch",
    hint="Which layer or sum runs over the first dimension?",
)
class mixes_the_batch(SmallNetwork):
    def forward(self, x_t, t, temperature):
        return super().forward(x_t - x_t.mean(0), t, temperature)


# ---------------------------------------------------------------------------------------------------------------- q5


@misconception(
    "q5",
    replaces="ddpm_loss",
    name="a loss that wants the board x0 where the noise belongs",
    hint="What does the network guess? Compare its answer with that.",
)
def x0_as_noise(model, x0, temperature, betas, generator=None):
    check_loss(x0, temperature)
    t, noise = drawn(x0, betas, generator)
    return F.mse_loss(model(right_q_sample(x0, t, noise, betas), t, temperature), x0)


@misconception(
    "q5",
    replaces="ddpm_loss",
    name="a loss that wants the noisy board x_t where the noise belongs",
    hint="x_t is what the network is shown. What is it to guess?",
)
def noisy_board_as_noise(model, x0, temperature, betas, generator=None):
    check_loss(x0, temperature)
    t, noise = drawn(x0, betas, generator)
    x_t = right_q_sample(x0, t, noise, betas)
    return F.mse_loss(model(x_t, t, temperature), x_t)


@misconception(
    "q5",
    replaces="ddpm_loss",
    name="a sum of squares instead of their mean",
    hint="The loss should not depend on how many boards are in the batch.",
)
def sum_of_squares(model, x0, temperature, betas, generator=None):
    return right_loss(model, x0, temperature, betas, generator) * x0.numel()


@misconception(
    "q5",
    replaces="ddpm_loss",
    name="the mean absolute error instead of the mean squared one",
    hint="Which power of the difference is in equation 14?",
)
def absolute_error(model, x0, temperature, betas, generator=None):
    check_loss(x0, temperature)
    t, noise = drawn(x0, betas, generator)
    return F.l1_loss(model(right_q_sample(x0, t, noise, betas), t, temperature), noise)


@misconception(
    "q5",
    replaces="ddpm_loss",
    name="a loss with one time for the whole batch",
    hint="Draw one t for each board: what should the shape of t be?",
)
def one_time_for_all(model, x0, temperature, betas, generator=None):
    check_loss(x0, temperature)
    t = torch.randint(len(betas), (1,), generator=generator).expand(len(x0))
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    return F.mse_loss(model(right_q_sample(x0, t, noise, betas), t, temperature), noise)


# ---------------------------------------------------------------------------------------------------------------- q6


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step that adds noise at the end, too",
    hint="At t = 0 nothing comes after: what you return is the board.",
)
def noise_at_the_end(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    mean = right_mean(x_t, guess, betas[t], alpha_bar[t])
    deviation = posterior_deviation(t, betas, alpha_bar) if t else betas[0].sqrt()
    return mean + deviation * normal_like(x_t, generator)


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step without noise",
    hint="Walking from mean to mean ends in the most typical board, every time. What keeps the variety?",
)
def no_noise(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    return right_mean(x_t, guess, betas[t], alpha_bar[t])


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step whose noise is multiplied by the variance",
    hint="sigma squared is the variance. By what do you multiply a standard normal number?",
)
def variance_as_deviation(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    mean = right_mean(x_t, guess, betas[t], alpha_bar[t])
    return mean if t == 0 else mean + betas[t] * normal_like(x_t, generator)


def step_with(mean, t, x_t, betas, alpha_bar, generator):
    """A step with some mean and the right noise; at t = 0 a right mean, so that only one thing is wrong."""
    if t == 0:
        return mean
    return mean + posterior_deviation(t, betas, alpha_bar) * normal_like(x_t, generator)


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step with beta / (1 - alpha_bar) in front of the guess, without the root",
    hint="The amplitude of the noise in x_t is the square root of 1 - alpha_bar.",
)
def coefficient_without_root(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    mean = (x_t - betas[t] / (1 - alpha_bar[t]) * guess) / (1 - betas[t]).sqrt()
    return step_with(mean, t, x_t, betas, alpha_bar, generator)


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step that is not divided by the root of alpha",
    hint="The step forward shrank the board by sqrt(alpha_t). The step back must undo that.",
)
def not_rescaled(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    mean = x_t - betas[t] / (1 - alpha_bar[t]).sqrt() * guess
    return step_with(mean, t, x_t, betas, alpha_bar, generator)


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step with alpha_bar of the step before (off by one in t)",
    hint="Which alpha_bar belongs to x_t?",
)
def previous_alpha_bar(model, x_t, t, temperature, betas, generator=None):
    guess, alpha_bar = asked(model, x_t, t, temperature, betas)
    mean = right_mean(x_t, guess, betas[t], alpha_bar[max(t - 1, 0)])
    return step_with(mean, t, x_t, betas, alpha_bar, generator)


@misconception(
    "q6",
    replaces="p_sample_step",
    name="a reverse step that ends with a sign",
    hint="Real numbers come out of the last step; signs are taken when boards are measured.",
)
def sign_of_the_result(model, x_t, t, temperature, betas, generator=None):
    x = right_step(model, x_t, t, temperature, betas, generator)
    return x if t else x.sign()


# ---------------------------------------------------------------------------------------------------------------- q7


def data(n, size, temperatures, generator, start):
    require(n >= 2, "n must be at least 2")
    return torch.cat([right_metropolis(start, temperature, 200, generator) for temperature in temperatures])


@misconception(
    "q7",
    replaces="training_data",
    name="training data with one sign of the magnetisation only",
    hint="A chain at low temperature keeps the sign that it started with. How do your chains start?",
)
def one_sign(n, size, temperatures, generator=None):
    boards = data(n, size, temperatures, generator, torch.ones(n, size, size))
    return boards, torch.tensor(temperatures).repeat_interleave(n)


@misconception(
    "q7",
    replaces="training_data",
    name="training data whose temperatures do not stand beside their boards",
    hint="All boards of the first temperature come first. Do their labels? (repeat or repeat_interleave)",
)
def labels_do_not_match(n, size, temperatures, generator=None):
    start = torch.ones(n, size, size)
    start[::2] = -1
    return data(n, size, temperatures, generator, start), torch.tensor(temperatures).repeat(n)


def right_training(model, spins, temperature, betas, n_steps, seed):
    require(n_steps >= 1, "n_steps must be at least 1")
    require(len(spins) == len(temperature), "spins and temperature must match")
    generator = torch.Generator().manual_seed(seed)
    optimizer, losses = torch.optim.Adam(model.parameters(), lr=2e-3), []
    for _ in range(n_steps):
        chosen = torch.randint(len(spins), (64,), generator=generator)
        loss = right_loss(model, spins[chosen], temperature[chosen], betas, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@misconception(
    "q7",
    replaces="train",
    name="a training that leaves the model as it was",
    hint="Is the network that you train the one that you were given? Does the optimiser take its steps?",
)
def trains_a_copy(model, spins, temperature, betas, n_steps, seed=0):
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    losses = right_training(model, spins, temperature, betas, n_steps, seed)
    with torch.no_grad():
        for name, value in model.named_parameters():
            value.copy_(before[name])
    return losses


# ---------------------------------------------------------------------------------------------------------------- q8


@misconception(
    "q8",
    replaces="sample",
    name="a sampler that returns copies of known boards",
    hint="The boards must come out of the model: start from noise and ask it at every step.",
)
def copies(model, n, size, temperature, betas, generator=None):
    check_sample(n, size, temperature)
    start = torch.ones(100, size, size)
    start[::2] = -1
    known = right_metropolis(start, temperature, 100, torch.Generator().manual_seed(0))
    return known[torch.randint(100, (n,), generator=generator)].to(betas.dtype)


@misconception(
    "q8",
    replaces="sample",
    name="a sampler that tells the model a time that is off by one",
    hint="The step from x_t asks the model at t, not at t + 1.",
)
def off_by_one_in_t(model, n, size, temperature, betas, generator=None):
    last = len(betas) - 1
    told = lambda t: (t + 1).clamp(max=last)  # noqa: E731
    return walk(model, n, size, temperature, betas, generator, backwards(betas), told=told)


@misconception(
    "q8",
    replaces="sample",
    name="a sampler that stops before t = 0",
    hint="Where does your range end? The step at t = 0 is the last one.",
)
def stops_before_zero(model, n, size, temperature, betas, generator=None):
    return walk(model, n, size, temperature, betas, generator, range(len(betas) - 1, 0, -1))


@misconception(
    "q8",
    replaces="sample",
    name="a sampler that goes forward in time",
    hint="At the start x is pure noise. Which t does that belong to?",
)
def forward_in_time(model, n, size, temperature, betas, generator=None):
    return walk(model, n, size, temperature, betas, generator, range(len(betas)))


@misconception(
    "q8",
    replaces="sample",
    name="a sampler that starts from zero instead of noise",
    hint="Everything that distinguishes one board from the next comes from the noise at the start and on the "
    "way.",
)
def starts_from_zero(model, n, size, temperature, betas, generator=None):
    check_sample(n, size, temperature)
    start = torch.zeros(n, size, size, dtype=betas.dtype)
    return walk(model, n, size, temperature, betas, generator, backwards(betas), start)


@misconception(
    "q8",
    replaces="sample",
    name="a sampler that takes the sign at the end",
    hint="How near the numbers are to +-1 tells how good the network is: do not hide it.",
)
def sign_at_the_end(model, n, size, temperature, betas, generator=None):
    return walk(model, n, size, temperature, betas, generator, backwards(betas)).sign()


# ---------------------------------------------------------------------------------------------------------------- q9


def painted(spins, steps, wrap):
    """The sizes of the domains, with some neighbourhood, on a torus or not."""
    require(spins.ndim == 2, "one board (L, L) is needed")
    size, values = len(real(spins)), spins.tolist()
    dry, sizes = {(i, j) for i in range(size) for j in range(size)}, []
    while dry:
        edge, count = [dry.pop()], 0
        while edge:
            i, j = edge.pop()
            count += 1
            for di, dj in steps:
                near = ((i + di) % size, (j + dj) % size) if wrap else (i + di, j + dj)
                if near in dry and values[near[0]][near[1]] == values[i][j]:
                    dry.remove(near)
                    edge.append(near)
        sizes.append(count)
    return sorted(sizes, reverse=True)


EDGES = [(0, 1), (0, -1), (1, 0), (-1, 0)]


def right_observables(samples, threshold=0.0):
    require(samples.ndim == 3 and len(samples) >= 1, "(n, L, L) is needed")
    real(samples)
    spins = torch.where(samples > threshold, 1.0, -1.0)
    sites = spins[0].numel()
    level = (spins.sum((1, 2)).abs() / 2).long()
    domains = [painted(one, EDGES, wrap=True) for one in spins]
    return {
        "energy": right_energy(spins).mean().item(),
        "abs_magnetization": spins.mean((1, 2)).abs().mean().item(),
        "histogram": torch.bincount(level, minlength=sites // 2 + 1) / len(spins),
        "correlation": right_correlation(spins).mean(0),
        "n_domains": sum(map(len, domains)) / len(spins),
        "largest_domain": sum(sizes[0] for sizes in domains) / sites / len(spins),
    }


@misconception(
    "q9",
    replaces="domain_sizes",
    name="domains that end at the edge of the board",
    hint="The board is a torus: domains reach across the seam.",
)
def domains_with_edges(spins):
    return painted(spins, EDGES, wrap=False)


@misconception(
    "q9",
    replaces="domain_sizes",
    name="domains that also connect at corners",
    hint="Four neighbours, not eight: on a checkerboard every site is a domain of its own.",
)
def domains_by_corners(spins):
    return painted(spins, [*EDGES, (1, 1), (1, -1), (-1, 1), (-1, -1)], wrap=True)


@misconception(
    "q9",
    replaces="observables",
    name="observables of the raw numbers, without taking signs",
    hint="Spins are +-1: take the sign of each number before you measure.",
)
def raw_observables(samples):
    found = right_observables(samples)
    x = real(samples)
    return {
        **found,
        "energy": right_energy(x).mean().item(),
        "abs_magnetization": x.mean((1, 2)).abs().mean().item(),
        "correlation": right_correlation(x).mean(0),
    }


@misconception(
    "q9",
    replaces="observables",
    name="the absolute value of the mean magnetisation, where the mean of the absolute value is asked",
    hint="Half of the boards are up and half are down, so the mean of m is near 0 at every temperature.",
)
def absolute_of_the_mean(samples):
    found = right_observables(samples)
    m = torch.where(samples > 0, 1.0, -1.0).mean((1, 2))
    return {**found, "abs_magnetization": m.mean().abs().item()}


@misconception(
    "q9",
    replaces="observables",
    name="a histogram of counts instead of shares",
    hint="The shares of the boards add up to 1.",
)
def counts_for_shares(samples):
    found = right_observables(samples)
    return {**found, "histogram": found["histogram"] * len(samples)}
