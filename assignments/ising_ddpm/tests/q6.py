"""q6: p_sample_step(model, x_t, t, temperature, betas, generator=None)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_dtype, check_raises, check_shape, check_unchanged
from autograder.checks.statistics import Estimate, check_estimate, check_share, variance_limit

OK_FORMAT = False
name = "q6"
all_or_nothing = False

CALL = "p_sample_step(model, x_t, t, temperature, betas, generator)"
# Mean, variance and one share at three times, together once in 10,000.
FALSE_FAIL = 1e-4 / 9
BETAS = torch.linspace(0.005, 0.6, 20, dtype=torch.float64)
TIMES = (1, 8, 19)  # at t = 1 the two right variances differ by a factor of 8
N = 1000


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


def wavy(x_t, t, temperature):
    """A network with a known answer."""
    return torch.sin(2 * x_t) + 0.3


def mean(x, t, guess, betas):
    """Equation 11 of Ho et al."""
    alpha_bar = torch.cumprod(1 - betas, 0)[t]
    return (x - betas[t] / (1 - alpha_bar).sqrt() * guess) / (1 - betas[t]).sqrt()


def variances(t, betas):
    """Both right ones: beta_t, and that of the posterior."""
    alpha_bar = torch.cumprod(1 - betas, 0)
    return float(betas[t]), float(betas[t] * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t]))


def step(p_sample_step, x, t, seed, betas=None, model=wavy):
    """One step of the student's, checked for its shape and dtype."""
    betas = BETAS if betas is None else betas
    temperature = torch.full((len(x),), 2.0, dtype=x.dtype)
    found = p_sample_step(model, x, t, temperature, betas, generator(seed))
    check_dtype(check_shape(found, tuple(x.shape), what=CALL), x.dtype, what=CALL)
    return found


@test_case(
    name="the last step, worked out by hand",
    points=2,
    hidden=False,
    failure_message="At t = 0 with beta = 0.2, alpha_bar is 0.8. For x_t = 1 and a network that answers 0.5 "
    "the result is (1 - 0.2 / sqrt(0.2) * 0.5) / sqrt(0.8) = 0.8680, without any noise.",
)
def test_last(p_sample_step):
    betas, x = torch.tensor([0.2, 0.5], dtype=torch.float64), torch.ones(3, 4, 4, dtype=torch.float64)
    model = lambda x_t, t, temperature: torch.full_like(x_t, 0.5)  # noqa: E731
    expected = torch.full_like(x, (1 - 0.2 / math.sqrt(0.2) * 0.5) / math.sqrt(0.8))
    found = p_sample_step(model, x, 0, torch.full((3,), 2.0, dtype=torch.float64), betas, generator(0))
    check_close(found, expected, what="p_sample_step(model, 1, t=0, ...)")


@test_case(
    name="mean and variance of an earlier step, worked out by hand",
    points=2,
    hidden=False,
    failure_message="betas (0.2, 0.5), t = 1, so alpha_bar = 0.4. For x_t = 1 and a network that answers 0.5 "
    "the mean is (1 - 0.5 / sqrt(0.6) * 0.5) / sqrt(0.5) = 0.9578. The variance of the noise is 0.5, or 0.5 * "
    "0.2 / 0.6 = 0.1667: both are right. Multiply standard normal numbers by its square root.",
)
def test_earlier(p_sample_step):
    betas, x = torch.tensor([0.2, 0.5], dtype=torch.float64), torch.ones(4000, 4, 4, dtype=torch.float64)
    model = lambda x_t, t, temperature: torch.full_like(x_t, 0.5)  # noqa: E731
    found = p_sample_step(model, x, 1, torch.full((4000,), 2.0, dtype=torch.float64), betas, generator(1))
    check_shape(found, (4000, 4, 4), what="p_sample_step(model, 1, t=1, ...)")
    middle, spread = float(found.mean()), float(found.var())
    expected = (1 - 0.5 / math.sqrt(0.6) * 0.5) / math.sqrt(0.5)
    # 64,000 numbers: one standard error of the mean is at most 0.0028, one of the variance 0.6 %
    assert abs(middle - expected) < 0.015, f"The mean is {middle:.4f}, but {expected:.4f} was expected."
    assert min(abs(spread / 0.5 - 1), abs(spread * 6 - 1)) < 0.03, (
        f"The variance is {spread:.4f}, but 0.5 or 0.1667 was expected."
    )


@test_case(
    name="the mean, to all digits",
    points=1,
    hidden=True,
    failure_message="With the generator in the same state the noise is the same, so it cancels between two "
    "steps from different boards: what is left is the difference of the means of equation 11.",
)
def test_mean(p_sample_step):
    pairs, x, y = [], normal(5, 4, 4, seed=2), 2 * normal(5, 4, 4, seed=3) - 0.5
    for t in TIMES:
        before = x.clone()
        found = step(p_sample_step, x, t, seed=4) - step(p_sample_step, y, t, seed=4)
        check_unchanged(before, x, what="x_t in p_sample_step")
        pairs.append((t, found))
    right = {t: mean(x, t, wavy(x, t, None), BETAS) - mean(y, t, wavy(y, t, None), BETAS) for t in TIMES}
    for key, wrong in WRONG_MEANS.items():
        off = [
            (wrong(x, t, wavy(x, t, None)) - wrong(y, t, wavy(y, t, None)) - d).abs().max() for t, d in pairs
        ]
        if max(off) < 1e-9:
            t, found = pairs[0]
            text = f"{found[0, 0, 0].item():.6g}, but {right[t][0, 0, 0].item():.6g} was expected"
            raise Mistake(key, f"The difference of two results with the same noise at t = {t} is {text}.")
    for t, found in pairs:
        check_close(found, right[t], what=f"the difference of two results with the same noise at t = {t}")


def wrong_mean(coefficient, factor):
    """A mean with another coefficient of the noise or another factor in front."""

    def formula(x, t, guess):
        alpha_bar = torch.cumprod(1 - BETAS, 0)
        return (x - coefficient(BETAS[t], alpha_bar, t) * guess) * factor(BETAS[t], alpha_bar, t)

    return formula


WRONG_MEANS = {
    "coefficient_without_root": wrong_mean(lambda b, a, t: b / (1 - a[t]), lambda b, a, t: (1 - b).rsqrt()),
    "not_rescaled": wrong_mean(lambda b, a, t: b / (1 - a[t]).sqrt(), lambda b, a, t: 1.0),
    "previous_alpha_bar": wrong_mean(
        lambda b, a, t: b / (1 - a[t - 1]).sqrt(), lambda b, a, t: (1 - b).rsqrt()
    ),
}


@test_case(
    name="the noise: its mean, its variance, and that it is normal",
    points=1,
    hidden=True,
    failure_message="Around the mean of equation 11, each site of each board has its own normal noise with "
    "the variance beta_t, or that of the posterior. sigma is the square root of the variance.",
)
def test_noise(p_sample_step):
    noise = {}
    for number, t in enumerate(TIMES):
        x = normal(N, 8, 8, seed=5)
        found = step(p_sample_step, x, t, seed=6 + number)
        noise[t] = found - mean(x, t, wavy(x, t, None), BETAS)
    if all(rest.abs().max() < 1e-9 for rest in noise.values()):
        raise Mistake("no_noise", "The result is the mean itself at every t: no noise was added.")
    found = {t: float(rest.var()) for t, rest in noise.items()}
    limit = variance_limit(N * 64, FALSE_FAIL)
    if all(is_near(v, [b * b for b in variances(t, BETAS)], limit) for t, v in found.items()):
        raise Mistake("variance_as_deviation", f"The variance at t = 8 is {found[8]:.4g}: {told(8)}.")
    for t, rest in noise.items():
        spread = math.sqrt(found[t])
        assert is_near(found[t], variances(t, BETAS), limit), (
            f"The variance of the noise at t = {t} is {found[t]:.4g}: {told(t)}."
        )
        estimate = Estimate(float(rest.mean()), spread / math.sqrt(rest.numel()))
        check_estimate(estimate, 0.0, false_fail=FALSE_FAIL, what=f"the mean of the noise at t = {t} is")
        inside = int((rest.abs() < spread).sum())
        what = f"the share of the noise within one standard deviation at t = {t} is"
        check_share(inside, rest.numel(), 0.682689, false_fail=FALSE_FAIL, what=what)
        assert not torch.equal(rest[0], rest[1]), "All boards of the batch got the same noise."


def is_near(found, wanted, limit):
    return any(abs(found / value - 1) < limit for value in wanted)


def told(t):
    one, other = variances(t, BETAS)
    return f"{one:.4g} (beta_t) or {other:.4g} (posterior) was expected"


@test_case(
    name="the last step in general",
    points=1,
    hidden=True,
    failure_message="At t = 0 the result is the mean itself, whatever the generator; real numbers, no sign "
    "taken and nothing clipped.",
)
def test_end(p_sample_step):
    x = 2 * normal(6, 6, 6, seed=10)
    expected = mean(x, 0, wavy(x, 0, None), BETAS)
    first, second = (step(p_sample_step, x, 0, seed=seed) for seed in (11, 12))
    if not torch.equal(first, second):
        raise Mistake("noise_at_the_end", "At t = 0 two generators give different results: noise was added.")
    if first.abs().eq(1).all():
        raise Mistake("sign_of_the_result", "The result holds nothing but +1 and -1.")
    check_close(first, expected, what="p_sample_step(model, x_t, t=0, ...)")
    single = x.float()[:1]
    wanted = mean(single, 0, wavy(single, 0, None), BETAS.float())
    found = step(p_sample_step, single, 0, seed=13, betas=BETAS.float())
    check_close(found, wanted, tolerance=1e-5, what="p_sample_step(model, x_t, t=0, ...) in float32")
    step(p_sample_step, single, 8, seed=13, betas=BETAS.float())


@test_case(
    name="what the model is asked; arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="The model is called once, with x_t, the time as a long tensor (B,), and the "
    "temperatures. The same state of the generator gives the same result. A t outside 0 .. n_steps - 1 is a "
    "ValueError.",
)
def test_call(p_sample_step):
    calls, x = [], normal(3, 4, 4, seed=14)
    temperature = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def model(x_t, t, heat):
        calls.append((x_t.clone(), t.clone(), heat.clone()))
        return 0.1 * x_t

    first = p_sample_step(model, x, 7, temperature, BETAS, generator(15))
    assert len(calls) == 1, f"{CALL} called the model {len(calls)} times; once was expected."
    check_close(calls[0][0], x, what="the x_t that the model was given")
    check_close(calls[0][1], torch.tensor([7, 7, 7]), what="the t that the model was given")
    check_close(calls[0][2], temperature, what="the temperature that the model was given")
    again = p_sample_step(model, x, 7, temperature, BETAS, generator(15))
    check_close(again, first, what=f"{CALL} with the generator in the same state")
    for t in (-1, 20):
        what = f"p_sample_step(model, x_t, t={t}, ...) of 20 steps"
        check_raises(ValueError, p_sample_step, model, x, t, temperature, BETAS, what=what)
