"""q3: linear_schedule(n_steps, start, end), q_sample(x0, t, noise, betas)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import (
    check_close,
    check_dtype,
    check_gradients,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def formula(x0, t, noise, betas):
    """Equation 4 of Ho et al., board by board."""
    boards = []
    for x, number, e in zip(x0, t.tolist(), noise, strict=True):
        left = math.prod(1 - float(beta) for beta in betas[: number + 1])
        boards.append(math.sqrt(left) * x + math.sqrt(1 - left) * e)
    return torch.stack(boards)


@test_case(
    name="a schedule of three steps",
    points=1,
    hidden=False,
    failure_message="Three steps from 0.1 to 0.5 are 0.1, 0.3, 0.5: evenly spaced, both ends included.",
)
def test_schedule(linear_schedule):
    expected = torch.tensor([0.1, 0.3, 0.5])
    check_close(linear_schedule(3, 0.1, 0.5), expected, tolerance=1e-6, what="linear_schedule(3, 0.1, 0.5)")


@test_case(
    name="two steps worked out by hand",
    points=2,
    hidden=False,
    failure_message="betas (0.2, 0.5) leave alpha_bar = 0.8 after the first step and 0.8 * 0.5 = 0.4 after "
    "the second. With x0 = 1 and noise = -1 that is sqrt(0.8) - sqrt(0.2) = 0.4472 at t = 0 and sqrt(0.4) - "
    "sqrt(0.6) = -0.1421 at t = 1.",
)
def test_hand(q_sample):
    x0, betas = torch.ones(2, 4, 4, dtype=torch.float64), torch.tensor([0.2, 0.5], dtype=torch.float64)
    found = q_sample(x0, torch.tensor([0, 1]), -x0, betas)
    values = torch.tensor(
        [math.sqrt(0.8) - math.sqrt(0.2), math.sqrt(0.4) - math.sqrt(0.6)], dtype=torch.float64
    )
    check_close(found, values[:, None, None].expand(2, 4, 4), what="q_sample(1, t, -1, betas)")


@test_case(
    name="schedules of other lengths",
    points=1,
    hidden=True,
    failure_message="n_steps numbers from start to end in equal steps, as torch's default dtype; a single "
    "step has the noise start.",
)
def test_schedules(linear_schedule):
    for n, start, end in [(1, 0.3, 0.4), (2, 0.01, 0.02), (50, 0.002, 0.4), (7, 0.2, 0.2)]:
        what = f"linear_schedule({n}, {start}, {end})"
        found = check_shape(linear_schedule(n, start, end), (n,), what=what)
        expected = torch.tensor([start + (end - start) * i / max(1, n - 1) for i in range(n)])
        check_close(found, expected, tolerance=1e-6, what=what)
        check_dtype(found, torch.get_default_dtype(), what=what)


@test_case(
    name="values at all times, each board with its own",
    points=1,
    hidden=True,
    failure_message="alpha_bar[t] is the product of 1 - beta from step 0 to step t, t included, and both "
    "factors are square roots. Each board of the batch has its own t.",
)
def test_values(q_sample):
    betas = torch.linspace(0.02, 0.6, 9, dtype=torch.float64)
    t = torch.tensor([8, 0, 3, 3, 1, 7])
    x0, noise = normal(6, 4, 4, seed=1), normal(6, 4, 4, seed=2)
    before = x0.clone(), noise.clone()
    check_close(
        q_sample(x0, t, noise, betas), formula(x0, t, noise, betas), what="q_sample(x0, t, noise, betas)"
    )
    check_unchanged(before[0], x0, what="x0 in q_sample")
    check_unchanged(before[1], noise, what="noise in q_sample")


@test_case(
    name="float32, one board, other sizes",
    points=1,
    hidden=True,
    failure_message="The result has the dtype and the shape of x0, for one board as for many.",
)
def test_float32(q_sample):
    betas = torch.linspace(0.002, 0.4, 50)
    for shape, t in [((1, 8, 8), [49]), ((3, 6, 6), [0, 20, 49])]:
        x0, noise = (normal(*shape, seed=s, dtype=torch.float32) for s in (3, 4))
        times = torch.tensor(t)
        what = f"q_sample(x0, t, noise, betas) with x0 of shape {shape}, float32,"
        # the product of 50 float32 numbers: correct forms were seen to differ by 3e-7
        check_close(
            q_sample(x0, times, noise, betas), formula(x0, times, noise, betas), tolerance=1e-5, what=what
        )


@test_case(
    name="gradients",
    points=1,
    hidden=True,
    failure_message="q_sample must be differentiable in x0 and in noise: nothing on the way may be detached.",
)
def test_gradients(q_sample):
    betas, t = torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64), torch.tensor([2, 0])
    x0, noise = normal(2, 4, 4, seed=5).requires_grad_(), normal(2, 4, 4, seed=6).requires_grad_()
    found, expected = q_sample(x0, t, noise, betas), formula(x0, t, noise, betas)
    check_gradients(found, expected, {"x0": x0, "noise": noise}, what="q_sample(x0, t, noise, betas)")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: a schedule without steps, or with ends outside 0 < "
    "start <= end < 1; times below 0 (torch would count from the end) or beyond the schedule; shapes that do "
    "not match.",
)
def test_bad_arguments(linear_schedule, q_sample):
    for n, start, end in [(0, 0.1, 0.2), (3, 0.0, 0.2), (3, 0.3, 0.2), (3, 0.1, 1.0)]:
        what = f"linear_schedule({n}, {start}, {end})"
        check_raises(ValueError, linear_schedule, n, start, end, what=what)
    betas, x = torch.tensor([0.1, 0.2]), torch.ones(2, 4, 4)
    for t in ([0, 2], [-1, 0], [0], [0, 1, 1]):
        what = f"q_sample of 2 boards and 2 steps with t = {t}"
        check_raises(ValueError, q_sample, x, torch.tensor(t), x, betas, what=what)
    what = "q_sample with noise of another shape"
    check_raises(ValueError, q_sample, x, torch.tensor([0, 1]), torch.ones(2, 6, 6), betas, what=what)
