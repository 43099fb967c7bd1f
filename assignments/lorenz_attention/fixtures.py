"""What is computed once a submission: both trained networks, their forecasts of new trajectories, small trainings.

The trajectories are the judge's own: its integrator with four steps a sample, and starts that no submission knows.
"""

import functools
import math
from typing import NamedTuple

import torch

from autograder.checks import check_shape

LYAPUNOV = 0.9056
N_TEST = 200  # trajectories; the median of their valid times has a standard error near 0.1
SHOWN = 40  # steps that are forecast even if all are wrong, so that a figure has something to show
TRAINING_SEED, TEST_SEED = 4071, 8830


class _Task(NamedTuple):
    """One of the two tasks.

    Attributes:
        horizon: samples of the truth, 10 Lyapunov times: the best networks measured hold for 4, and beyond 7 the
            integration itself, with steps as long as the full task's, has lost the truth.
    """

    name: str
    d: int
    length: int
    dt: float
    steps: int
    horizon: int


_FULL = _Task("full", 3, 8, 0.02, 2000, 552)
_OBSERVED = _Task("observed", 1, 16, 0.04, 2500, 276)


# ------------------------------------------------------------------------------------------------------- trajectories


def _derivative(state):
    x, y, z = state.unbind(-1)
    return torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], -1)


def _step(state, dt):
    a = _derivative(state)
    b = _derivative(state + dt / 2 * a)
    c = _derivative(state + dt / 2 * b)
    d = _derivative(state + dt * c)
    return state + dt / 6 * (a + 2 * b + 2 * c + d)


def _trajectories(n, n_samples, dt, seed):
    """n trajectories on the attractor, (n, n_samples, 3) in float64."""
    generator = torch.Generator().manual_seed(seed)
    state = 8 * torch.randn(n, 3, generator=generator, dtype=torch.float64)
    state[:, 2] += 25
    for _ in range(1500):  # 15 units of time: a distance from the attractor has shrunk by e^-200
        state = _step(state, 0.01)
    samples = [state]
    for _ in range(n_samples - 1):
        for _ in range(4):
            state = _step(state, dt / 4)
        samples.append(state)
    return torch.stack(samples, 1)


@functools.cache
def _training_set(task):
    """64 trajectories of 1000 samples as the task sees them, (64, 1000, d) in float32."""
    return _trajectories(64, 1000, task.dt, TRAINING_SEED)[..., : task.d].float()


@functools.cache
def _test_set(task):
    """(N_TEST, length + horizon, d) in float32."""
    return _trajectories(N_TEST, task.length + task.horizon, task.dt, TEST_SEED)[..., : task.d].float()


# ----------------------------------------------------------------------------------------------- forecasts, judged


def _rolled_out(forecast, start, truth, variance):
    """Forecasts (N, n, d), all windows side by side, and how many steps of each are valid.

    It ends when four in five have gone wrong, for then the median is known: n is at most the length of the truth.
    """
    windows, found = start, []
    alive, steps = torch.ones(len(start), dtype=torch.bool), torch.zeros(len(start), dtype=torch.long)
    for k in range(truth.shape[1]):
        found.append(forecast(windows))
        error = ((found[-1] - truth[:, k]).square() / variance).mean(-1).sqrt()
        alive &= error <= 0.4  # false for NaN
        steps += alive
        if k >= SHOWN and alive.sum() < len(alive) / 5:
            break
        windows = torch.cat([windows[:, 1:], found[-1][:, None]], 1)
    return torch.stack(found, 1), steps


def _judged(forecast, task):
    """One-step error and valid times, in Lyapunov times, of a forecast function on the test set."""
    test = _test_set(task)
    starts, variance = range(0, 150, 30), test.var((0, 1))
    inputs = torch.cat([test[:, i : i + task.length] for i in starts])
    targets = torch.cat([test[:, i + task.length] for i in starts])
    error = ((forecast(inputs) - targets).square() / variance).mean().sqrt()
    truth = test[:, task.length :]
    prediction, steps = _rolled_out(forecast, test[:, : task.length], truth, variance)
    times = steps * task.dt * LYAPUNOV
    return {
        "error": float(error),
        "median": float(times.median()),
        "times": times,
        "prediction": prediction,
        "truth": truth[:, : prediction.shape[1]],
    }


def _linear(task):
    """The best linear formula on the window, by least squares on the training set."""
    train = _training_set(task).double()
    windows = train.unfold(1, task.length + 1, 7).transpose(2, 3).flatten(0, 1)
    inputs = torch.cat([windows[:, :-1].flatten(1), torch.ones(len(windows), 1, dtype=torch.float64)], 1)
    weights = torch.linalg.lstsq(inputs, windows[:, -1], driver="gelsd").solution
    return lambda given: (given.double().flatten(1) @ weights[:-1] + weights[-1]).float()


@functools.cache
def _baselines(task):
    """Median valid times of "the last sample again" and of the linear formula, and the linear one-step error."""
    linear = _judged(_linear(task), task)
    last = _judged(lambda given: given[:, -1], task)
    return {"last sample": last["median"], "linear": linear["median"], "linear error": linear["error"]}


# -------------------------------------------------------------------------------------------- the student's networks


def _trained(AttentionForecaster, train, weights, task):
    if weights is not None:
        return weights
    model = AttentionForecaster(task.d, task.length)
    train(model, _training_set(task), task.steps, 0)
    return dict(model.state_dict())


def _loaded(AttentionForecaster, state, task):
    model = AttentionForecaster(task.d, task.length)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise AssertionError(
            f"The weights in {task.name}.safetensors do not fit AttentionForecaster({task.d}, {task.length}):"
            f" train again after a change to the class. {str(error)[:300]}"
        ) from None
    return model.eval()


def _forecast(model, task):
    """The model as a function that is checked at every call."""
    what = f"AttentionForecaster({task.d}, {task.length})(windows)"

    def forecast(windows):
        with torch.no_grad():
            return check_shape(model(windows), (len(windows), task.d), what=what).float()

    return forecast


def _report(AttentionForecaster, state, task):
    model = _loaded(AttentionForecaster, state, task)
    return _judged(_forecast(model, task), task) | {"baselines": _baselines(task)}


def trained_full(AttentionForecaster, train, full_weights):
    """The state of the network of the task full: as handed in, or trained now."""
    return _trained(AttentionForecaster, train, full_weights, _FULL)


def trained_observed(AttentionForecaster, train, observed_weights):
    """The state of the network of the task observed: as handed in, or trained now."""
    return _trained(AttentionForecaster, train, observed_weights, _OBSERVED)


def report_full(AttentionForecaster, trained_full):
    """How its forecasts are: error, median, times (N,), prediction and truth (N, n, 3), baselines."""
    return _report(AttentionForecaster, trained_full, _FULL)


def report_observed(AttentionForecaster, trained_observed):
    """The same for the task observed."""
    return _report(AttentionForecaster, trained_observed, _OBSERVED)


def median_valid_time_full(report_full):
    """In Lyapunov times."""
    return report_full["median"]


def median_valid_time_observed(report_observed):
    """In Lyapunov times."""
    return report_observed["median"]


def untrained(AttentionForecaster):
    """Median valid times of networks that were never trained, by task."""
    return {
        task.name: _judged(_forecast(AttentionForecaster(task.d, task.length).eval(), task), task)["median"]
        for task in (_FULL, _OBSERVED)
    }


def maps_observed(AttentionForecaster, attention_map, trained_observed):
    """Attention maps for two windows of the task observed, inside a wing and on the way to the other."""
    model, test = _loaded(AttentionForecaster, trained_observed, _OBSERVED), _test_set(_OBSERVED)[..., 0]
    product = test[:, :150] * test[:, 15:165]
    pairs = [divmod(int(where), 150) for where in (product.argmax(), product.argmin())]
    windows = [test[i, j : j + 16, None] for i, j in pairs]
    return [(window, attention_map(model, window)) for window in windows]


def _typical(report, task):
    """A trajectory whose valid time is the median, with what the figures say about it."""
    which = int((report["times"] - report["median"]).abs().argmin())
    return {
        "truth": report["truth"][which],
        "prediction": report["prediction"][which],
        "end": float(report["times"][which]),
        "dt": task.dt,
        "median": report["median"],
        "baselines": report["baselines"],
    }


def typical_full(report_full):
    """A typical trajectory: truth and prediction (n, 3), its valid time, the step; median, baselines."""
    return _typical(report_full, _FULL)


def typical_observed(report_observed):
    """The same for the task observed."""
    return _typical(report_observed, _OBSERVED)


def near_trajectories(separation, report_full):
    """Geometric mean of 50 distances that start at 1e-8, every 0.1 units of time up to 24."""
    starts = report_full["truth"][:50, 0].double()
    return separation(1e-8, starts, 1200, 0.02)[::5].log().mean(1).exp()


def forecast_errors(report_full, report_observed):
    """Geometric mean of the forecasts' distances from the truth after each step, with the step, by task."""
    found = {}
    for task, report in ((_FULL, report_full), (_OBSERVED, report_observed)):
        distance = (report["prediction"] - report["truth"]).norm(dim=-1).nan_to_num(1e6)
        found[task.name] = (task.dt, distance.clamp(1e-9, 1e6).log().mean(0).exp())
    return found


# ----------------------------------------------------------------------------------------------------- small trainings


def _noise(n, seed):
    """Independent normal numbers of standard deviation 5, (n, 60, 2): nobody can forecast them."""
    return 5 * torch.randn(n, 60, 2, generator=torch.Generator().manual_seed(seed))


def _waves(n, seed):
    """Sine and cosine of one period of 24 samples with random phases, (n, 60, 2), around other means.

    In units in which one of them is 0.01 and the other 300: a network that does not scale them cannot learn both.
    """
    phase = 2 * math.pi * torch.rand(n, 1, generator=torch.Generator().manual_seed(seed))
    angle = phase + 2 * math.pi / 24 * torch.arange(60)
    return torch.stack([300 * angle.sin() + 1000, 0.01 * angle.cos()], -1)


def _error(model, trajectories, std):
    """One-step error in standard deviations, on windows of 4."""
    windows = trajectories.unfold(1, 5, 1).transpose(2, 3).flatten(0, 1)
    with torch.no_grad():
        found = check_shape(
            model(windows[:, :-1]), windows[:, -1].shape, what="AttentionForecaster(2, 4)(windows)"
        )
    return float(((found - windows[:, -1]) / std).square().mean().sqrt())


def training_on_noise(AttentionForecaster, train):
    """A short training on white noise: its history."""
    model = AttentionForecaster(2, 4)
    return {"history": train(model, _noise(8, 1), 150, 0)}


def training_on_waves(AttentionForecaster, train):
    """A short training on waves: its history, errors before and after on new waves, whether the weights moved."""
    model, trajectories, new = AttentionForecaster(2, 4).eval(), _waves(8, 1), _waves(8, 2)
    given, std = trajectories.clone(), new.std((0, 1))
    before, old = {key: value.clone() for key, value in model.state_dict().items()}, _error(model, new, std)
    history = train(model, trajectories, 120, 0)
    after = model.state_dict()
    moved = any(not torch.equal(before[key], after[key]) for key in before)
    untouched = torch.equal(given, trajectories)
    error = _error(model.eval(), new, std)
    return {"history": history, "before": old, "after": error, "moved": moved, "untouched": untouched}


def trainings_from_one_start(AttentionForecaster, train):
    """The first state, and those after trainings from it with the seeds 5, 5 and 6; other numbers drawn between."""
    models = [AttentionForecaster(2, 4) for _ in range(3)]
    states = [{key: value.clone() for key, value in models[0].state_dict().items()}]
    for model, seed in zip(models, (5, 5, 6), strict=True):
        model.load_state_dict(states[0])
        train(model, _waves(6, 3), 12, seed)
        AttentionForecaster(2, 4)  # draws random numbers
        states.append({key: value.clone() for key, value in model.state_dict().items()})
    return states
