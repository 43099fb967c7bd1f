"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong.
"""

import math

import matplotlib.pyplot as plt
import torch

from autograder.diagnosis import misconception

LYAPUNOV = 0.9056


def require(condition, message="the arguments do not fit"):
    if not condition:
        raise ValueError(message)


def check_state(state):
    require(state.ndim >= 1 and state.shape[-1] == 3, "a state ends in 3 coordinates")


def right_rhs(state, sigma=10.0, rho=28.0, beta=8 / 3):
    check_state(state)
    x, y, z = state.unbind(-1)
    return torch.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z], -1)


def runge_kutta(state, dt):
    k1 = right_rhs(state)
    k2 = right_rhs(state + dt / 2 * k1)
    k3 = right_rhs(state + dt / 2 * k2)
    k4 = right_rhs(state + dt * k3)
    return state + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def solved(step, state, n_steps, dt):
    require(n_steps >= 0 and dt > 0, "n_steps or dt is out of range")
    check_state(state)
    states = [state]
    for _ in range(n_steps):
        states.append(step(states[-1], dt))
    return torch.stack(states)


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="lorenz_rhs",
    name="the Lorenz equations with rho and beta swapped",
    hint="Which of the two belongs to y, and which damps z? Look where the parameters stand in the equations.",
)
def rho_beta_swapped(state, sigma=10.0, rho=28.0, beta=8 / 3):
    return right_rhs(state, sigma, beta, rho)


@misconception(
    "q1",
    replaces="lorenz_rhs",
    name="the Lorenz equations with x y and x z exchanged",
    hint="One product drives z, the other one damps y. Which is which?",
)
def products_exchanged(state, sigma=10.0, rho=28.0, beta=8 / 3):
    check_state(state)
    x, y, z = state.unbind(-1)
    return torch.stack([sigma * (y - x), rho * x - x * y - y, x * z - beta * z], -1)


@misconception(
    "q1",
    replaces="lorenz_rhs",
    name="the Lorenz equations with the sign of sigma (y - x) reversed",
    hint="x is pulled towards y, not away from it.",
)
def sigma_reversed(state, sigma=10.0, rho=28.0, beta=8 / 3):
    return right_rhs(state, -sigma, rho, beta)


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="simulate",
    name="Euler's method instead of Runge-Kutta",
    hint="The derivative at the start of a step is not that of the whole step: look half-way as well.",
)
def euler(state, n_steps, dt):
    return solved(lambda s, h: s + h * right_rhs(s), state, n_steps, dt)


@misconception(
    "q2",
    replaces="simulate",
    name="the midpoint method, of second order",
    hint="Two evaluations a step give order two. The classical method makes four.",
)
def midpoint(state, n_steps, dt):
    return solved(lambda s, h: s + h * right_rhs(s + h / 2 * right_rhs(s)), state, n_steps, dt)


@misconception(
    "q2",
    replaces="simulate",
    name="Runge-Kutta with the four slopes weighted alike",
    hint="The two slopes half-way count double.",
)
def equal_weights(state, n_steps, dt):
    def step(s, h):
        k1 = right_rhs(s)
        k2 = right_rhs(s + h / 2 * k1)
        k3 = right_rhs(s + h / 2 * k2)
        return s + h / 4 * (k1 + k2 + k3 + right_rhs(s + h * k3))

    return solved(step, state, n_steps, dt)


@misconception(
    "q2",
    replaces="simulate",
    name="a simulation without its start",
    hint="n_steps steps make n_steps + 1 states.",
)
def start_left_out(state, n_steps, dt):
    return solved(runge_kutta, state, n_steps, dt)[1:]


# ---------------------------------------------------------------------------------------------------------------- q3


def check_trajectory(trajectory, length):
    require(trajectory.ndim == 2, "a trajectory has two dimensions")
    require(1 <= length <= len(trajectory), "length is out of range")


def cut(trajectory, length, n):
    return trajectory[torch.arange(n)[:, None] + torch.arange(length)]


@misconception(
    "q3",
    replaces="windows",
    name="windows that contain their target",
    hint="The target must be the first sample that the window does not hold.",
)
def target_in_window(trajectory, length):
    check_trajectory(trajectory, length)
    n = len(trajectory) - length
    return cut(trajectory, length, n), trajectory[length - 1 : length - 1 + n].clone()


@misconception(
    "q3",
    replaces="windows",
    name="windows with one sample left out before the target",
    hint="The target comes right after the window. Is it the next sample, or the one after that?",
)
def one_sample_skipped(trajectory, length):
    check_trajectory(trajectory, length)
    n = max(0, len(trajectory) - length - 1)
    return cut(trajectory, length, n), trajectory[length + 1 :].clone()


@misconception(
    "q3",
    replaces="windows",
    name="windows that do not overlap",
    hint="From one window to the next it is one sample, not a whole window.",
)
def no_overlap(trajectory, length):
    check_trajectory(trajectory, length)
    n = len(trajectory) - length
    return cut(trajectory, length, n)[::length], trajectory[length:][::length].clone()


def check_split(trajectories, n_test):
    require(trajectories.ndim == 3 and 1 <= n_test < len(trajectories), "n_test is out of range")


@misconception(
    "q3",
    replaces="split",
    name="a split along time: training and test data come from the same trajectories",
    hint="Which dimension counts the trajectories? The end of a trajectory looks much like its beginning.",
)
def split_along_time(trajectories, n_test):
    check_split(trajectories, n_test)
    return trajectories[:, :-n_test].clone(), trajectories[:, -n_test:].clone()


@misconception(
    "q3",
    replaces="split",
    name="a split in which the training data still hold the test trajectories",
    hint="A network must not be tested on what it was trained on: take them out.",
)
def test_kept_in_training(trajectories, n_test):
    check_split(trajectories, n_test)
    return trajectories.clone(), trajectories[-n_test:].clone()


def scaled(train, test, source):
    require(train.ndim == test.ndim == 3 and train.shape[-1] == test.shape[-1], "the data do not fit")
    flat = torch.cat([part.flatten(0, 1) for part in source])
    mean, std = flat.mean(0), flat.std(0, correction=0)
    return (train - mean) / std, (test - mean) / std, mean, std


@misconception(
    "q3",
    replaces="normalise",
    name="a normalisation with the statistics of the test set",
    hint="Mean and standard deviation are part of the model: which data may it know?",
)
def statistics_of_test(train, test):
    return scaled(train, test, [test])


@misconception(
    "q3",
    replaces="normalise",
    name="a normalisation with the statistics of training and test data together",
    hint="Mean and standard deviation are part of the model: which data may it know?",
)
def statistics_of_both(train, test):
    return scaled(train, test, [train, test])


@misconception(
    "q3",
    replaces="normalise",
    name="a normalisation in which the test data are scaled with their own statistics",
    hint="A network that has learned in one unit must be asked in the same unit.",
)
def each_by_itself(train, test):
    scaled_train, _, mean, std = scaled(train, test, [train])
    return scaled_train, scaled(test, test, [test])[0], mean, std


# ---------------------------------------------------------------------------------------------------------------- q4


def attended(q, k, v, mask, scale, dim=-1):
    require(q.shape[-1] == k.shape[-1] and k.shape[-2] == v.shape[-2], "q, k and v do not fit")
    scores = q @ k.transpose(-2, -1) / scale
    if mask is not None:
        require(mask.dtype == torch.bool, "mask must be boolean")
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim)
    return weights @ v, weights


@misconception(
    "q4",
    replaces="attention",
    name="attention without the 1/sqrt(d_k) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings the scores back to order 1?",
)
def no_scale(q, k, v, mask=None):
    return attended(q, k, v, mask, 1.0)


@misconception(
    "q4",
    replaces="attention",
    name="attention with a softmax over the batch",
    hint="Elements of a batch have nothing to do with each other. Which dimension of the scores are the keys?",
)
def softmax_over_batch(q, k, v, mask=None):
    return attended(q, k, v, mask, math.sqrt(q.shape[-1]), dim=0)


@misconception(
    "q4",
    replaces="attention",
    name="attention with a softmax over the queries instead of the keys",
    hint="Each query shares a total weight of 1 among the keys: which sums should be 1?",
)
def softmax_over_queries(q, k, v, mask=None):
    return attended(q, k, v, mask, math.sqrt(q.shape[-1]), dim=-2)


@misconception(
    "q4",
    replaces="attention",
    name="attention with the mask inverted",
    hint="True means that a query may attend to a key (some libraries use the opposite convention).",
)
def mask_inverted(q, k, v, mask=None):
    inverted = ~mask if mask is not None and mask.dtype == torch.bool else mask
    return attended(q, k, v, inverted, math.sqrt(q.shape[-1]))


# ---------------------------------------------------------------------------------------------------------------- q5


def pairs(trajectories, length, gap=0):
    """All windows and targets; with gap = -1 the target is the window's own last sample."""
    cuts = trajectories.unfold(1, length + 1, 1).transpose(2, 3).flatten(0, 1)
    return cuts[:, :-1], cuts[:, length + gap]


def check_training(trajectories, steps):
    require(steps >= 1 and trajectories.ndim == 3 and len(trajectories) >= 2, "too few steps or trajectories")


def trained(model, trajectories, steps, generator=None, gap=0):
    """A plain training of any forecaster with an attribute `length`; its history."""
    std = trajectories.std((0, 1))
    inputs, targets = pairs(trajectories[:-1], model.length, gap)
    test_inputs, test_targets = pairs(trajectories[-1:], model.length, gap)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(steps):
        batch = torch.randint(len(inputs), (64,), generator=generator)
        loss = ((model(inputs[batch]) - targets[batch]) / std).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        error = ((model(test_inputs) - test_targets) / std).square().mean().sqrt()
    return {"step": [steps], "loss": [loss.item()], "held_out": [error.item()]}


@misconception(
    "q5",
    replaces="train",
    name="a training in which the network sees its target",
    hint="On white noise nobody can be better than 1 standard deviation. Which sample is the target, "
    "and is it in the window?",
)
def leaky_training(model, trajectories, steps, seed=0):
    check_training(trajectories, steps)
    return trained(model, trajectories, steps, torch.Generator().manual_seed(seed), gap=-1)


@misconception(
    "q5",
    replaces="train",
    name="a training whose random numbers do not follow from the seed",
    hint="Where do the numbers of the batches come from, and who sets where they begin?",
)
def seed_ignored(model, trajectories, steps, seed=0):
    check_training(trajectories, steps)
    return trained(model, trajectories, steps)


@misconception(
    "q5",
    replaces="train",
    name="the training of a copy of the model, which is then thrown away",
    hint="The weights that are trained must be those of the model that was given.",
)
def trains_a_copy(model, trajectories, steps, seed=0):
    check_training(trajectories, steps)
    kept = {key: value.clone() for key, value in model.state_dict().items()}
    history = trained(model, trajectories, steps, torch.Generator().manual_seed(seed))
    model.load_state_dict(kept)
    return history


# ---------------------------------------------------------------------------------------------------------------- q6


def continued(model, window, n_steps, follow):
    """A rollout whose next window is follow(window, forecast)."""
    require(window.ndim == 2 and len(window) >= 1 and n_steps >= 0, "the window or n_steps does not fit")
    found = []
    with torch.no_grad():
        for _ in range(n_steps):
            found.append(model(window[None]))
            window = follow(window, found[-1])
    return torch.cat(found) if found else window.new_zeros(0, window.shape[1])


@misconception(
    "q6",
    replaces="rollout",
    name="a rollout that is fed the truth",
    hint="After the window has ended, nobody knows the true samples: the model's own forecasts take their place.",
)
def feeds_truth(model, window, n_steps):
    def truth(window, forecast):
        known = window.shape[1] == 3
        return torch.cat([window[1:], runge_kutta(window[-1:], 0.02) if known else forecast])

    return continued(model, window, n_steps, truth)


@misconception(
    "q6",
    replaces="rollout",
    name="a rollout in which the window never moves on",
    hint="After each forecast the window loses its oldest sample and gains the forecast.",
)
def window_stays(model, window, n_steps):
    return continued(model, window, n_steps, lambda window, forecast: window)


@misconception(
    "q6",
    replaces="rollout",
    name="a rollout that puts its forecasts at the old end of the window",
    hint="The oldest sample is first and the newest last: on which side does a forecast belong?",
)
def wrong_end(model, window, n_steps):
    return continued(model, window, n_steps, lambda window, forecast: torch.cat([forecast, window[:-1]]))


@misconception(
    "q6",
    replaces="rollout",
    name="a rollout that drops the newest known sample instead of the oldest",
    hint="Which sample leaves the window when a forecast comes in?",
)
def drops_newest(model, window, n_steps):
    return continued(model, window, n_steps, lambda window, forecast: torch.cat([window[:-1], forecast]))


# ---------------------------------------------------------------------------------------------------------------- q7


def check_pair(prediction, truth, dt):
    require(
        prediction.shape == truth.shape and truth.ndim == 2 and dt > 0, "prediction, truth or dt does not fit"
    )


def right_error(prediction, truth):
    return ((prediction - truth).square() / truth.var(0, correction=0)).mean(-1).sqrt()


def before_first(wrong):
    """How many entries come before the first True."""
    return int((~wrong).long().cumprod(0).sum())


@misconception(
    "q7",
    replaces="valid_time",
    name="a valid time in units of time instead of Lyapunov times",
    hint="One Lyapunov time is 1 / 0.9056 units of time.",
)
def units_of_time(prediction, truth, dt, threshold=0.4):
    check_pair(prediction, truth, dt)
    return before_first(~(right_error(prediction, truth) <= threshold)) * dt


@misconception(
    "q7",
    replaces="valid_time",
    name="a valid time for which NaN is valid",
    hint="Every comparison with NaN is false: do you ask what is valid, or what is not?",
)
def nan_is_valid(prediction, truth, dt, threshold=0.4):
    check_pair(prediction, truth, dt)
    return before_first(right_error(prediction, truth) > threshold) * dt * LYAPUNOV


@misconception(
    "q7",
    replaces="valid_time",
    name="a valid time from the squared error, without the root",
    hint="The threshold is for the root of the mean square.",
)
def no_root(prediction, truth, dt, threshold=0.4):
    check_pair(prediction, truth, dt)
    return before_first(~(right_error(prediction, truth).square() <= threshold)) * dt * LYAPUNOV


@misconception(
    "q7",
    replaces="valid_time",
    name="a valid time whose error is not divided by the variance",
    hint="z moves over 40 units: an error of 0.4 means something else for it than for a coordinate of size 1.",
)
def no_variance(prediction, truth, dt, threshold=0.4):
    check_pair(prediction, truth, dt)
    error = (prediction - truth).square().mean(-1).sqrt()
    return before_first(~(error <= threshold)) * dt * LYAPUNOV


@misconception(
    "q7",
    replaces="valid_time",
    name="a valid time that counts all valid samples, also those after the first that is not",
    hint="A forecast that has gone wrong and comes close again by chance is not valid again.",
)
def counts_all_valid(prediction, truth, dt, threshold=0.4):
    check_pair(prediction, truth, dt)
    return int((right_error(prediction, truth) <= threshold).sum()) * dt * LYAPUNOV


def check_delta(delta0):
    require(delta0 > 0, "delta0 must be above 0")


@misconception(
    "q7",
    replaces="separation",
    name="a separation measured along x alone",
    hint="The second solution starts beside the first one in x, but it does not stay there.",
)
def along_x(delta0, state, n_steps, dt):
    check_delta(delta0)
    near = state + torch.tensor([delta0, 0.0, 0.0], dtype=state.dtype)
    both = [solved(runge_kutta, start, n_steps, dt) for start in (near, state)]
    return (both[0] - both[1])[..., 0].abs()


# ---------------------------------------------------------------------------------------------------------------- q8


@misconception(
    "q8",
    replaces="attention_map",
    name="attention weights summed over the heads",
    hint="Every head has a weight of 1 to give. Show the heads one by one, or their mean.",
)
def map_summed_over_heads(model, window):
    require(window.ndim == 2, "a window has two dimensions")
    with torch.no_grad():
        return model.look(window[None])[1].flatten(0, -2).sum(0, keepdim=True)


@misconception(
    "q8",
    replaces="plot_attention",
    name="a heat map on its side",
    hint="imshow draws the first dimension of a matrix downwards. Along which axis should the window run?",
)
def map_on_its_side(weights, ax=None):
    require(weights.ndim == 2, "weights must have two dimensions")
    ax = plt.subplots()[1] if ax is None else ax
    ax.imshow(weights.T.numpy())
    ax.set(xlabel="query or head", ylabel="sample of the window")
    return ax


@misconception(
    "q8",
    replaces="plot_forecast",
    name="a plot that marks the valid time in units of time, on an axis in Lyapunov times",
    hint="valid_time is in the unit of the axis already.",
)
def marked_in_units_of_time(prediction, truth, dt):
    require(
        prediction.shape == truth.shape and truth.ndim == 2 and truth.shape[1] in (1, 3), "shapes do not fit"
    )
    n, d = truth.shape
    figure, times = plt.figure(), torch.arange(n) * dt * LYAPUNOV
    if d == 3:
        space = figure.add_subplot(1, 2, 1, projection="3d")
        space.plot(*truth.T)
        space.plot(*prediction.T)
    end = before_first(~(right_error(prediction, truth) <= 0.4)) * dt
    for c in range(d):
        ax = figure.add_subplot(d, 2, 2 * c + 2)
        ax.plot(times, truth[:, c], label="true")
        ax.plot(times, prediction[:, c], label="predicted")
        ax.axvline(end)
        ax.set(xlabel="Lyapunov times", ylabel="xyz"[c])
        ax.legend()
    return figure
