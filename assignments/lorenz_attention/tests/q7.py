"""q7: valid_time(prediction, truth, dt, threshold=0.4) and separation(delta0, state, n_steps, dt)."""

import functools
import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q7"
all_or_nothing = False
LYAPUNOV = 0.9056


def check_time(found, expected, *, what):
    """Pass if this is a Python number near `expected`; steps are counted, so only the last digits may differ."""
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, float | int) and not isinstance(found, bool), (
        f"{what} returned a value of type {type(found).__name__}, but a Python float was expected."
    )
    assert abs(found - expected) < 1e-5, f"{what} is {found:.6g}, but {expected:.6g} was expected."


def pair(n, d, seed):
    """A truth whose coordinates differ in size, and a forecast whose error grows."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.tensor([1.0, 20.0, 0.1], dtype=torch.float64)[:d]
    truth = sizes * (torch.randn(n, d, generator=generator, dtype=torch.float64) + 3)
    noise = sizes * torch.randn(n, d, generator=generator, dtype=torch.float64)
    return truth + noise * torch.logspace(-4, 0.5, n, dtype=torch.float64)[:, None], truth


def errors(prediction, truth):
    mean = truth.mean(0)
    return ((prediction - truth).square() / (truth - mean).square().mean(0)).mean(1).sqrt()


def steps_before(prediction, truth, threshold):
    return next(
        (k for k, e in enumerate(errors(prediction, truth).tolist()) if not e <= threshold), len(truth)
    )


def starts(n, seed):
    return torch.tensor([[1.0, 2.0, 25.0]], dtype=torch.float64) + torch.randn(
        n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


def derivative(s):
    x, y, z = s[..., 0], s[..., 1], s[..., 2]
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def solve(s, n_steps, dt):
    states = [s]
    for _ in range(n_steps):
        a = derivative(s)
        b = derivative(s + dt / 2 * a)
        c = derivative(s + dt / 2 * b)
        d = derivative(s + dt * c)
        s = s + dt / 6 * (a + 2 * b + 2 * c + d)
        states.append(s)
    return torch.stack(states)


@functools.cache
def on_the_attractor():
    return solve(starts(200, seed=5), 400, 0.02)[-1]


@test_case(
    name="the example by hand",
    points=2,
    hidden=False,
    failure_message="The variance of (1, -1, 1, -1) is 1, the errors are 0, 0.1, 0.5 and 0. Step 2 "
    "is the first above 0.4: "
    "2 * 0.5 * 0.9056.",
)
def test_hand(valid_time):
    truth, forecast = (
        torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]),
        torch.tensor([[1.0], [-0.9], [1.5], [-1.0]]),
    )
    check_time(valid_time(forecast, truth, 0.5), 0.9056, what="valid_time(prediction, truth, dt=0.5)")


@test_case(
    name="two solutions side by side",
    points=1,
    hidden=False,
    failure_message="separation starts at delta0 and has n_steps + 1 entries: simulate both starts "
    "and take the norm of the "
    "difference.",
)
def test_separation_shape(separation):
    found = separation(0.5, torch.tensor([1.0, 2.0, 20.0], dtype=torch.float64), 3, 0.01)
    check_shape(found, (4,), what="separation(0.5, state, n_steps=3, dt=0.01)")
    check_close(
        found[0], torch.tensor(0.5, dtype=torch.float64), what="the first entry of separation(0.5, ...)"
    )


@test_case(
    name="several coordinates of different size",
    points=2,
    hidden=True,
    failure_message="Divide each coordinate's squared error by its own variance over time, take the mean over the "
    "coordinates, then the root; count the samples before the first that exceeds the threshold.",
)
def test_values(valid_time):
    for n, d, dt, threshold, seed in [(40, 3, 0.02, 0.4, 1), (40, 1, 0.04, 0.4, 2), (40, 3, 0.1, 1.5, 3)]:
        prediction, truth = pair(n, d, seed)
        before = prediction.clone()
        expected = steps_before(prediction, truth, threshold) * dt * LYAPUNOV
        what = f"valid_time(prediction, truth, {dt}, threshold={threshold}) of shape {(n, d)}"
        check_time(valid_time(prediction, truth, dt, threshold), expected, what=what)
        check_unchanged(before, prediction, what=f"prediction in {what}")


@test_case(
    name="at once, never, NaN",
    points=2,
    hidden=True,
    failure_message="A first sample that is wrong gives 0, a forecast that is never wrong n * dt * "
    "0.9056; NaN counts as "
    "wrong from where it appears, and so does infinity.",
)
def test_edges(valid_time):
    truth = torch.tensor([1.0, -1.0] * 5, dtype=torch.float64)[:, None]
    check_time(valid_time(truth + 3, truth, 0.5), 0.0, what="valid_time of a forecast that is wrong at once")
    check_time(
        valid_time(truth, truth, 0.5),
        10 * 0.5 * LYAPUNOV,
        what="valid_time of a perfect forecast of 10 samples",
    )
    check_time(
        valid_time(truth + 0.5, truth, 0.5, threshold=0.5),
        10 * 0.5 * LYAPUNOV,
        what="valid_time of a forecast whose error is the threshold itself",
    )
    # divided by the number of samples or by one less, the variance leaves an error of 0.37 or less; by one more, 0.41
    four = truth[:4]
    check_time(
        valid_time(four + 0.37, four, 0.5),
        4 * 0.5 * LYAPUNOV,
        what="valid_time of 4 samples, each wrong by 0.37",
    )
    for bad, label in [(math.nan, "NaN"), (math.inf, "infinity")]:
        prediction = truth.clone()
        prediction[4:] = bad
        what = f"valid_time of a forecast that is perfect, and {label} from sample 4 on,"
        check_time(valid_time(prediction, truth, 0.5), 4 * 0.5 * LYAPUNOV, what=what)


@test_case(
    name="distances over time",
    points=2,
    hidden=True,
    failure_message="The second start is (x + delta0, y, z). The distance is Euclidean, over all three coordinates.",
)
def test_separation_values(separation):
    state = starts(4, seed=4)
    for delta0 in (0.01, 0.3):
        near = state + torch.tensor([delta0, 0.0, 0.0], dtype=torch.float64)
        expected = (solve(near, 60, 0.01) - solve(state, 60, 0.01)).norm(dim=-1)
        what = f"separation({delta0}, state, 60, 0.01)"
        check_close(separation(delta0, state, 60, 0.01), expected, what=what)
    # of float32 starts near 25 with 3e-6 in the last digit
    check_close(
        separation(0.3, state.float(), 3, 0.01),
        expected[:4].float(),
        tolerance=1e-4,
        what=f"{what} in float32",
    )


@test_case(
    name="they part at the Lyapunov rate",
    points=1,
    hidden=True,
    failure_message="The mean logarithm of the distance grows by 0.9056 per unit of time, until the "
    "distance is as large as "
    "the attractor.",
)
def test_lyapunov(separation):
    state = on_the_attractor().clone()
    found = separation(1e-8, state, 700, 0.02)
    check_shape(found, (701, 200), what="separation(1e-8, state, 700, 0.02)")
    logs = found.log().mean(1)
    slope = float((logs[700] - logs[100]) / 12)
    # these 200 starts give 0.904; other 200 starts and spans of 10 to 12 differ by up to 0.03
    assert abs(slope - LYAPUNOV) < 0.06, (
        f"Over 12 units of time, the mean logarithm of the distance grows by {slope:.3f} per unit, but about 0.906 was"
        " expected."
    )


@test_case(
    name="bad arguments",
    points=1,
    hidden=True,
    failure_message="Raise ValueError for shapes that differ or are not (n, d), for a dt that is not "
    "above 0, and for a delta0 "
    "that is not above 0.",
)
def test_bad_arguments(valid_time, separation):
    truth, state = torch.eye(4, 3), torch.ones(3)
    check_raises(ValueError, valid_time, truth[:3], truth, 0.1, what="valid_time of 3 samples for 4")
    check_raises(
        ValueError, valid_time, truth[:, 0], truth[:, 0], 0.1, what="valid_time of tensors of one dimension"
    )
    check_raises(ValueError, valid_time, truth, truth, 0.0, what="valid_time with dt=0")
    check_raises(ValueError, separation, 0.0, state, 2, 0.01, what="separation with delta0=0")
    check_raises(ValueError, separation, 0.1, state, -1, 0.01, what="separation with n_steps=-1")
