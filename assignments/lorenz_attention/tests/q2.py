"""q2: simulate(state, n_steps, dt), against the method written out again, and against its own order."""

import functools

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def derivative(s):
    x, y, z = s[..., 0], s[..., 1], s[..., 2]
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def oracle(s, n_steps, dt):
    """The classical method. Over 40 steps of 0.01, forms that add in another order differ by 1e-13; 1e-9 is allowed."""
    states = [s]
    for _ in range(n_steps):
        a = derivative(s)
        b = derivative(s + dt / 2 * a)
        c = derivative(s + dt / 2 * b)
        d = derivative(s + dt * c)
        s = s + dt / 6 * (a + 2 * b + 2 * c + d)
        states.append(s)
    return torch.stack(states)


def starts(*shape, seed, dtype=torch.float64):
    noise = torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return 5 * noise + torch.tensor([0.0, 0.0, 25.0], dtype=dtype)


@functools.cache
def nearly_exact():
    """Eight starts and where they are at t = 1, with steps so short that their error does not count."""
    start = starts(8, seed=2)
    return start, oracle(start, 3200, 1 / 3200)[-1]


@test_case(
    name="two steps along the z axis, by hand",
    points=2,
    hidden=False,
    failure_message="With x = y = 0 only dz/dt = -8/3 z is left; with dt = 3/8 one Runge-Kutta step multiplies z by "
    "1 - 1 + 1/2 - 1/6 + 1/24 = 3/8. The start itself is the first row.",
)
def test_hand(simulate):
    start = torch.tensor([0.0, 0.0, 8.0], dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.0, 8.0], [0.0, 0.0, 3.0], [0.0, 0.0, 1.125]], dtype=torch.float64)
    check_close(simulate(start, 2, 0.375), expected, what="simulate((0, 0, 8), n_steps=2, dt=0.375)")


@test_case(
    name="shape: the start and every step",
    points=2,
    hidden=False,
    failure_message="Collect the start and n_steps states in a list, then torch.stack: time comes first.",
)
def test_shape(simulate):
    call = "simulate(state, n_steps=4, dt=0.01) with a state of shape (2, 3)"
    found = check_shape(simulate(torch.ones(2, 3), 4, 0.01), (5, 2, 3), what=call)
    assert found.dtype == torch.float32, f"{call} has dtype {found.dtype}, but torch.float32 was expected."
    check_close(found[0], torch.ones(2, 3), what=f"row 0 of {call}")


@test_case(
    name="values",
    points=3,
    hidden=True,
    failure_message="Four evaluations a step: at the start, twice half-way (the second time with the first half-way "
    "slope), and at the end; the middle two count double.",
)
def test_values(simulate):
    for shape in [(), (2, 3)]:
        start = starts(*shape, seed=1)
        what = f"simulate(state, 40, 0.01) with a state of shape {(*shape, 3)}"
        check_close(simulate(start, 40, 0.01), oracle(start, 40, 0.01), what=what)


@test_case(
    name="the error falls with the fourth power of the step",
    points=2,
    hidden=True,
    failure_message="Halve the step and the error at t = 1 must become sixteen times smaller.",
)
def test_order(simulate):
    start, exact = nearly_exact()
    coarse, fine = ((simulate(start, n, 1 / n)[-1] - exact).norm().item() for n in (200, 400))
    # the method written out above gives 17.3; a method of third order gives 8, one of second order 4
    ratio = coarse / fine if fine > 0 else float("inf")
    assert 12 < ratio < 22, (
        f"The error at t = 1 is {coarse:.2g} with 200 steps and {fine:.2g} with 400: a factor of {ratio:.3g},"
        " but about 16 was expected."
    )


@test_case(
    name="gradients with respect to the start",
    points=1,
    hidden=True,
    failure_message="Every step is differentiable: keep tensors, and no .detach(), .item() or torch.no_grad().",
)
def test_gradients(simulate):
    start = starts(2, seed=3).requires_grad_()
    expected = oracle(start, 5, 0.02)
    check_gradients(simulate(start, 5, 0.02), expected, {"state": start}, what="simulate(state, 5, 0.02)")


@test_case(
    name="no steps; bad arguments; the start is left alone",
    points=2,
    hidden=True,
    failure_message="n_steps = 0 gives the start alone, (1, ..., 3). Raise ValueError for a negative "
    "n_steps, a dt that is "
    "not above 0, and a state whose last dimension is not 3.",
)
def test_care(simulate):
    start = starts(2, seed=4)
    before = start.clone()
    check_close(simulate(start, 0, 0.01), start[None], what="simulate(state, 0, 0.01)")
    simulate(start, 3, 0.01)
    check_unchanged(before, start, what="state in simulate(state, 3, 0.01)")
    check_shape(simulate(starts(0, seed=4), 2, 0.01), (3, 0, 3), what="simulate of no systems")
    check_raises(ValueError, simulate, start, -1, 0.01, what="simulate with n_steps=-1")
    check_raises(ValueError, simulate, start, 2, 0.0, what="simulate with dt=0")
    check_raises(ValueError, simulate, torch.ones(2), 2, 0.01, what="simulate with a state of shape (2,)")
    check_raises(
        ValueError, simulate, torch.ones(2), 0, 0.01, what="simulate of no step from a state of shape (2,)"
    )
