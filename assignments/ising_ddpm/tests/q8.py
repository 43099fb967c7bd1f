"""q8: sample(model, n, size, temperature, betas, generator=None)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_dtype, check_raises, check_shape
from autograder.checks.statistics import (
    Estimate,
    check_estimate,
    standard_errors_apart,
    variance_limit,
    z_limit,
)

OK_FORMAT = False
name = "q8"
all_or_nothing = False

CALL = "sample(model, n, size, temperature, betas, generator)"
# Mean and variance of the start, mean and variance of the Gaussian result, together once in 10,000; the limits of the
# two-state test are 14 standard errors away from both right samplers.
FALSE_FAIL = 1e-4 / 4
# 20 steps from almost nothing to almost everything: with so few, every step counts (CALIBRATION B3).
BETAS = torch.linspace(0.005, 1.0, 20, dtype=torch.float64).clamp(max=0.999)


def generator(seed):
    return torch.Generator().manual_seed(seed)


class Network:
    """An exact denoiser, used as `network.answer`, that writes down what it is asked."""

    def __init__(self, guess, betas=None):
        self.calls, self._guess = [], guess
        self._alpha_bar = torch.cumprod(1 - (BETAS if betas is None else betas), 0)

    def answer(self, x_t, t, temperature):
        self.calls.append((x_t.detach().clone(), t.clone(), temperature.clone()))
        return self._guess_at(x_t, t)

    def _guess_at(self, x_t, t):
        inside = t.clamp(0, len(self._alpha_bar) - 1)  # one outside is a mistake that `times` tells of
        return self._guess(x_t, self._alpha_bar[inside].reshape(-1, 1, 1))

    def ends(self):
        """What comes out of the steps from t = 0, without noise."""
        last = [(x_t, t) for x_t, t, _ in self.calls if int(t.flatten()[0]) == 0]
        return torch.cat(
            [(x - BETAS[0].sqrt() * self._guess_at(x, t)) / (1 - BETAS[0]).sqrt() for x, t in last]
        )

    def times(self):
        """The times in the order of the calls."""
        if not self.calls:
            raise Mistake("copies", "sample never called the model: its boards do not come from there.")
        return [int(t.flatten()[0]) for _, t, _ in self.calls]


def pattern_guess(x_t, alpha_bar):
    """The noise, where every board is the same one: rows up and down in turn."""
    board = 1.0 - 2.0 * (torch.arange(x_t.shape[-1]) % 2)
    return (x_t - alpha_bar.sqrt() * board[:, None]) / (1 - alpha_bar).sqrt()


def two_state_guess(x_t, alpha_bar):
    """The best guess for spins that are +1 three times out of four and -1 else, each for itself.

    Source: the posterior mean of the two-state mixture is tanh(sqrt(a) x / (1 - a) + ln(3) / 2).
    """
    x0 = torch.tanh(alpha_bar.sqrt() * x_t / (1 - alpha_bar) + 0.5 * math.log(3))
    return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()


MEAN, VARIANCE = 0.5, 0.36


def gaussian_guess(x_t, alpha_bar):
    """The best guess for sites that are normal with mean 0.5 and variance 0.36."""
    return (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * MEAN) / (alpha_bar * VARIANCE + 1 - alpha_bar)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="n boards (n, size, size) with the dtype of betas, without gradient. The model is a "
    "plain function here: sample may call it, and nothing else.",
)
def test_shape(sample):
    model = lambda x_t, t, temperature: 0.1 * x_t  # noqa: E731
    for n, size in [(3, 4), (1, 6)]:
        betas = torch.linspace(0.01, 0.5, 4, dtype=torch.float64)
        found = check_shape(
            sample(model, n, size, 2.0, betas, generator(0)),
            (n, size, size),
            what=f"sample(model, {n}, {size}, ...)",
        )
        check_dtype(found, torch.float64, what=f"sample(model, {n}, {size}, ...) with betas in float64")
        assert not found.requires_grad, "The boards carry a gradient: use torch.no_grad()."


@test_case(
    name="a network that knows only one board",
    points=2,
    hidden=False,
    failure_message="The network is sure that every board has rows up and down in turn. Whatever the noise "
    "at the start, the last step, at t = 0 and without noise, must end on exactly this board.",
)
def test_pattern(sample):
    betas = torch.linspace(0.01, 0.5, 6, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    model = lambda x_t, t, temperature: pattern_guess(x_t, alpha_bar[t].reshape(-1, 1, 1))  # noqa: E731
    found = sample(model, 2, 4, 2.0, betas, generator(1))
    rows = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    check_close(found, rows[:, None].expand(2, 4, 4), tolerance=1e-6, what="sample(...)")


@test_case(
    name="from the last time to the first, with the temperature",
    points=1,
    hidden=True,
    failure_message="The model is asked at t = n_steps - 1, ..., 1, 0, in this order, each time with x_t as "
    "it is then, the time as a long tensor (B,) and the temperature as a tensor (B,).",
)
def test_times(sample):
    network = Network(two_state_guess)
    found = check_shape(sample(network.answer, 3, 4, 2.5, BETAS, generator(2)), (3, 4, 4), what=CALL)
    times = network.times()
    told = f"The model was asked at the times {str(times)[:80]}; expected: 19, 18, ..., 1, 0."
    if times == list(range(20)):
        raise Mistake("forward_in_time", told)
    if times == list(range(19, 0, -1)):
        raise Mistake("stops_before_zero", told)
    if times in ([*range(20, 0, -1)], [19, *range(19, 0, -1)], [*range(18, -2, -1)], [*range(18, -1, -1), 0]):
        raise Mistake("off_by_one_in_t", told)
    # a batch may be cut into pieces: in each step, or as a whole
    once = [t for i, t in enumerate(times) if i == 0 or t != times[i - 1]]
    assert once == list(range(19, -1, -1)) * max(1, len(once) // 20), told
    for x_t, t, temperature in network.calls:
        check_close(t, torch.full((len(x_t),), int(t.flatten()[0])), what="the t that the model was given")
        expected = torch.full((len(x_t),), 2.5, dtype=torch.float64)
        check_close(temperature.double(), expected, what="the temperature that the model was given")
    assert found.isfinite().all(), "The boards hold NaN or infinity."


@test_case(
    name="the start, and the generator",
    points=1,
    hidden=True,
    failure_message="The first board is standard normal noise from the generator that was given. The same "
    "state gives the same boards, another state others.",
)
def test_start(sample):
    first_model, second_model = Network(two_state_guess), Network(two_state_guess)
    first = check_shape(sample(first_model.answer, 400, 6, 2.0, BETAS, generator(3)), (400, 6, 6), what=CALL)
    first_model.times()
    start = torch.cat(
        [x_t for x_t, t, _ in first_model.calls if int(t.flatten()[0]) == int(first_model.calls[0][1][0])]
    )
    if start.count_nonzero() == 0:
        raise Mistake("starts_from_zero", "The first x_t that the model saw is 0 everywhere.")
    estimate = Estimate(float(start.mean()), 1 / math.sqrt(start.numel()))
    check_estimate(estimate, 0.0, false_fail=FALSE_FAIL, what="the mean of the first x_t is")
    limit = variance_limit(start.numel(), FALSE_FAIL)
    assert abs(float(start.var()) - 1) < limit, (
        f"The variance of the first x_t is {float(start.var()):.4f}, not 1."
    )
    check_dtype(first, BETAS.dtype, what=f"{CALL} with betas in {BETAS.dtype}")
    check_close(
        first, first_model.ends(), what=f"{CALL}, beside what the step from t = 0 makes of the last x_t,"
    )
    single = sample(lambda x_t, t, temperature: 0.1 * x_t, 2, 4, 2.0, BETAS.float(), generator(3))
    check_dtype(single, torch.float32, what=f"{CALL} with betas in float32")
    assert not first.requires_grad, f"The boards of {CALL} carry a gradient: use torch.no_grad()."
    again = sample(second_model.answer, 400, 6, 2.0, BETAS, generator(3))
    check_close(again, first, what=f"{CALL} with the generator in the same state")
    other = sample(second_model.answer, 400, 6, 2.0, BETAS, generator(4))
    assert not torch.equal(first, other), "Two generators in different states gave the same boards."


@test_case(
    name="Gaussian data, whose boards are known in closed form",
    points=1,
    hidden=True,
    failure_message="For data that are normal, with the best possible network, mean and variance of what "
    "comes out follow from the schedule exactly. Yours differ: look at the variance of each step, and at the "
    "first and the last one.",
)
def test_gaussian(sample):
    found = sample(Network(gaussian_guess).answer, 2500, 4, 2.0, BETAS, generator(5))
    check_shape(found, (2500, 4, 4), what=CALL)
    wanted = [gaussian_result(posterior) for posterior in (False, True)]
    limit, fits = variance_limit(found.numel(), FALSE_FAIL), []
    for middle, spread in wanted:
        estimate = Estimate(float(found.mean()), math.sqrt(spread / found.numel()))
        near = standard_errors_apart(estimate, middle) < z_limit(FALSE_FAIL)
        fits.append(near and abs(float(found.var()) / spread - 1) < limit)
    told = " or ".join(f"{middle:.4f} and {spread:.4f}" for middle, spread in wanted)
    assert any(fits), (
        f"Mean and variance of the boards are {float(found.mean()):.4f} and {float(found.var()):.4f};"
        f" expected: {told} (with the variance beta_t, or that of the posterior)."
    )


def gaussian_result(posterior):
    """Mean and variance of the whole reverse process for the Gaussian data: every step is linear."""
    alpha_bar = torch.cumprod(1 - BETAS, 0).tolist()
    middle, spread = 0.0, 1.0
    for t in reversed(range(20)):
        beta, a = float(BETAS[t]), alpha_bar[t]
        slope = beta / (a * VARIANCE + 1 - a)  # of beta / sqrt(1 - a) times the guess
        factor = (1 - slope) / math.sqrt(1 - beta)
        middle = factor * middle + slope * math.sqrt(a) * MEAN / math.sqrt(1 - beta)
        added = (beta * (1 - alpha_bar[t - 1]) / (1 - a) if posterior else beta) if t else 0.0
        spread = factor**2 * spread + added
    return middle, spread


@test_case(
    name="spins in a field, whose boards are known in closed form",
    points=1,
    hidden=True,
    failure_message="For spins that are up three times out of four, with the best possible network, three "
    "quarters of the numbers that come out must be near +1 and the others near -1, sharply. Look at the noise "
    "on the way, at the last step, and at the times that the network is told.",
)
def test_two_states(sample):
    found = sample(Network(two_state_guess).answer, 2500, 4, 2.0, BETAS, generator(6))
    check_shape(found, (2500, 4, 4), what=CALL)
    if found.abs().eq(1).all():
        raise Mistake("sign_at_the_end", "Every number is exactly +1 or -1: a sign was taken.")
    up, size = float((found > 0).double().mean()), found.abs()
    # CALIBRATION B3, 40,000 numbers: right samplers gave 0.748 and 0.779, spreads of 0.002 and 0.006; wrong ones from
    # 0.013 up, or shares below 0.66 or above 0.89. One standard error of the share is 0.002.
    assert 0.72 <= up <= 0.81, f"{up:.3f} of the spins are up; 0.75 to 0.78 were expected."
    assert abs(float(size.mean()) - 1) < 0.01, f"The mean of |x| is {float(size.mean()):.4f}; 1 was expected."
    assert float(size.std()) < 0.012, f"|x| scatters by {float(size.std()):.4f}; 0.006 at most were expected."


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for n below 1, a size that is odd or below 4, and a "
    "temperature that is not above 0.",
)
def test_bad_arguments(sample):
    model = lambda x_t, t, temperature: 0.1 * x_t  # noqa: E731
    cold = sample(model, 1, 4, 0.5, BETAS, generator(7))
    check_shape(cold, (1, 4, 4), what="sample(model, 1, 4, 0.5, betas)")
    for n, size, temperature in [(0, 4, 2.0), (2, 5, 2.0), (2, 2, 2.0), (2, 4, 0.0)]:
        what = f"sample(model, {n}, {size}, {temperature}, betas)"
        check_raises(ValueError, sample, model, n, size, temperature, BETAS, what=what)
