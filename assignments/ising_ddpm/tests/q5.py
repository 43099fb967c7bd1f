"""q5: ddpm_loss(model, x0, temperature, betas, generator=None)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_raises, check_shape, check_unchanged
from autograder.checks.statistics import Estimate, check_estimate, check_share, variance_limit

OK_FORMAT = False
name = "q5"
all_or_nothing = False

CALL = "ddpm_loss(model, x0, temperature, betas, generator)"
# The statistical tests of this file (seven shares, two moments) together fail a right loss once in 10,000.
FALSE_FAIL = 1e-4 / 9


def generator(seed):
    return torch.Generator().manual_seed(seed)


def boards(n, seed, dtype=torch.float64):
    """Random boards of +-1, (n, 4, 4)."""
    return (2 * torch.randint(2, (n, 4, 4), generator=generator(seed)) - 1).to(dtype)


class Listener:
    """A network with a known answer that writes down what it is asked; used as `listener.answer`."""

    def __init__(self, answer):
        self.calls, self._answer = [], answer

    def answer(self, x_t, t, temperature):
        self.calls.append((x_t.detach().clone(), t.clone(), temperature.clone()))
        return self._answer(x_t, t, temperature)

    def asked(self):
        """The one call that was made."""
        assert len(self.calls) == 1, f"{CALL} called the model {len(self.calls)} times; once was expected."
        x_t, t, temperature = self.calls[0]
        assert t.dtype == torch.int64 and t.shape == x_t.shape[:1], (
            f"The model got t of shape {tuple(t.shape)} and {t.dtype}; one long number for each board was expected."
        )
        return x_t, t, temperature


def noise_in(x_t, x0, t, betas):
    """The noise that takes x0 to x_t."""
    alpha_bar = torch.cumprod(1 - betas, 0)[t][:, None, None]
    return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()


@test_case(
    name="a network that always answers 0",
    points=2,
    hidden=False,
    failure_message="The noise has mean 0 and variance 1, so a network that always says 0 is wrong by 1 in "
    "the mean square, up to the scatter of a few thousand random numbers. The loss is one number, a 0-d tensor.",
)
def test_zero(ddpm_loss):
    betas = torch.linspace(0.01, 0.3, 10)
    model = lambda x_t, t, temperature: torch.zeros_like(x_t)  # noqa: E731
    loss = ddpm_loss(model, torch.ones(2000, 4, 4), torch.full((2000,), 2.0), betas, generator(0))
    check_shape(loss, (), what=CALL)
    # 32,000 squares of normal numbers: one standard error is 0.008
    assert abs(float(loss) - 1) < 0.04, f"The loss is {float(loss):.4f}, but 1 was expected, up to 0.04."


@test_case(
    name="a network that knows the noise",
    points=2,
    hidden=False,
    failure_message="All boards are up, so the noise can be read off: (x_t - sqrt(alpha_bar)) / sqrt(1 - "
    "alpha_bar). A network that answers this has the loss 0; one that answers 0.5 more has 0.25. x_t must come "
    "from q_sample, with the same noise that the loss compares with.",
)
def test_known(ddpm_loss):
    betas, x0 = torch.tensor([0.1, 0.3, 0.5], dtype=torch.float64), torch.ones(50, 4, 4, dtype=torch.float64)
    for extra in (0.0, 0.5):
        model = lambda x_t, t, temperature: noise_in(x_t, x0, t, betas) + extra  # noqa: B023, E731
        loss = ddpm_loss(model, x0, torch.full((50,), 2.0, dtype=torch.float64), betas, generator(1))
        expected = torch.tensor(extra**2, dtype=torch.float64)
        check_close(loss, expected, what=f"the loss of a network that answers the noise + {extra}")


@test_case(
    name="the loss of a given network, from what it was shown",
    points=1,
    hidden=True,
    failure_message="The loss is the mean of (noise - guess)^2 over boards and sites, with the noise that is "
    "in x_t.",
)
def test_exact(ddpm_loss):
    betas, x0 = torch.linspace(0.02, 0.5, 8, dtype=torch.float64), boards(40, seed=2)
    before, temperature = x0.clone(), torch.linspace(1, 4, 40, dtype=torch.float64)

    def answer(x_t, t, temperature):
        return 0.3 * x_t + 0.05 * t[:, None, None] - 0.1 * temperature[:, None, None]

    listener = Listener(answer)
    found = check_shape(ddpm_loss(listener.answer, x0, temperature, betas, generator(3)), (), what=CALL)
    x_t, t, heat = listener.asked()
    guess, noise = answer(x_t, t, heat), noise_in(x_t, x0, t, betas)
    right = (noise - guess).square().mean()
    name_the_mistake(float(found), x0, x_t, noise, guess)
    check_close(found, right, what=CALL)
    check_unchanged(before, x0, what="x0 in ddpm_loss")
    check_close(heat, temperature, what="the temperature that the model was given")


def name_the_mistake(found, x0, x_t, noise, guess):
    """Raise Mistake where the loss is to all digits that of another target or another mean."""
    wrong = {
        "x0_as_noise": (x0 - guess).square().mean(),
        "noisy_board_as_noise": (x_t - guess).square().mean(),
        "sum_of_squares": (noise - guess).square().sum(),
        "absolute_error": (noise - guess).abs().mean(),
    }
    for key, value in wrong.items():
        if math.isclose(found, float(value), rel_tol=1e-9):
            right = float((noise - guess).square().mean())
            raise Mistake(key, f"The loss of a given network is {found:.6g}, but {right:.6g} was expected.")


@test_case(
    name="every board has its own time, and all times are equally likely",
    points=1,
    hidden=True,
    failure_message="Draw one t for each board of the batch, from 0 to n_steps - 1, both included, all "
    "equally likely.",
)
def test_times(ddpm_loss):
    listener = Listener(lambda x_t, t, temperature: torch.zeros_like(x_t))
    betas = torch.linspace(0.02, 0.5, 7, dtype=torch.float64)
    ddpm_loss(listener.answer, boards(3500, seed=4), torch.full((3500,), 2.0).double(), betas, generator(5))
    _, t, _ = listener.asked()
    if len(t.unique()) == 1:
        raise Mistake("one_time_for_all", f"All 3500 boards of the batch got the time {int(t[0])}.")
    assert set(t.tolist()) <= set(range(7)), f"Times from {int(t.min())} to {int(t.max())} of 7 steps."
    for step in range(7):
        what = f"the share of boards with t = {step}, of 7 steps, is"
        check_share(int((t == step).sum()), 3500, 1 / 7, false_fail=FALSE_FAIL, what=what)


@test_case(
    name="the noise is standard normal, and another one for each site",
    points=1,
    hidden=True,
    failure_message="The noise has mean 0 and variance 1, independent for each site of each board, and is "
    "drawn with the generator that was given: the same state gives the same loss.",
)
def test_noise(ddpm_loss):
    listener = Listener(lambda x_t, t, temperature: 0.5 * x_t)
    betas, x0 = torch.linspace(0.02, 0.5, 5, dtype=torch.float64), boards(1000, seed=6)
    temperature = torch.full((1000,), 2.0, dtype=torch.float64)
    first = ddpm_loss(listener.answer, x0, temperature, betas, generator(7))
    x_t, t, _ = listener.asked()
    noise = noise_in(x_t, x0, t, betas)
    estimate = Estimate(float(noise.mean()), 1 / math.sqrt(noise.numel()))
    check_estimate(estimate, 0.0, false_fail=FALSE_FAIL, what="the mean of the noise is")
    limit = variance_limit(noise.numel(), FALSE_FAIL)
    assert abs(float(noise.var()) - 1) < limit, (
        f"The variance of the noise is {float(noise.var()):.4f}, not 1."
    )
    assert not torch.equal(noise[0], noise[1]) and noise.std((1, 2)).min() > 0.1, (
        "Boards or sites share their noise."
    )
    again = ddpm_loss(listener.answer, x0, temperature, betas, generator(7))
    check_close(again, first, what=f"{CALL} with the generator in the same state")
    other = ddpm_loss(listener.answer, x0, temperature, betas, generator(8))
    assert float(other) != float(first), "Two generators in different states gave the same loss."


@test_case(
    name="a gradient for the network; arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="The loss must carry a gradient to the parameters of the model: do not detach it, and do "
    "not turn it into a number. One temperature for each board, else ValueError.",
)
def test_gradient(ddpm_loss, Denoiser):
    model, betas = Denoiser(), torch.linspace(0.02, 0.5, 5)
    x0 = torch.ones(4, 8, 8)
    loss = check_shape(ddpm_loss(model, x0, torch.full((4,), 2.0), betas, generator(9)), (), what=CALL)
    assert loss.requires_grad, f"{CALL} carries no gradient."
    loss.backward()
    reached = [p for p in model.parameters() if p.grad is not None and p.grad.count_nonzero()]
    assert reached, f"No parameter of the model gets a gradient from {CALL}."
    what = "ddpm_loss with 4 boards and 3 temperatures"
    check_raises(ValueError, ddpm_loss, model, x0, torch.ones(3), betas, what=what)
