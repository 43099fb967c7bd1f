"""q6: rollout(model, window, n_steps), with stand-ins for the model whose answers are known."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def weighted(windows):
    """A stand-in that weighs each sample of the window differently and mixes coordinates, so that any mix-up shows."""
    weights = torch.linspace(-0.5, 0.8, windows.shape[1], dtype=windows.dtype)
    return (weights[:, None] * windows).sum(1).roll(1, -1) + 0.1


def continued(model, window, n_steps):
    samples = list(window)
    for _ in range(n_steps):
        samples.append(model(torch.stack(samples[-len(window) :])[None])[0])
    return torch.stack(samples[len(window) :])


def watched(model):
    """A stand-in for the model, the list of the windows that it is shown, and that of its forecasts."""
    seen, given = [], []

    def call(windows):
        seen.append(windows.clone())
        given.append(model(windows))
        return given[-1]

    return call, seen, given


@test_case(
    name="the Fibonacci numbers",
    points=2,
    hidden=False,
    failure_message="A model that adds the two samples of its window, started from (1, 1), gives 2, "
    "3, 5, 8, 13. The known "
    "samples are not part of the result, (n_steps, d).",
)
def test_fibonacci(rollout):
    expected = torch.tensor([[2.0], [3.0], [5.0], [8.0], [13.0]])
    check_close(
        rollout(lambda windows: windows.sum(1), torch.ones(2, 1), 5),
        expected,
        what="rollout(model, window, 5)",
    )


@test_case(
    name="the model is called on a batch of one window",
    points=1,
    hidden=False,
    failure_message="Call model(window[None]): its argument has the shape (1, length, d) at every step.",
)
def test_calls(rollout):
    model, shown, _ = watched(lambda windows: windows[:, -1])
    check_shape(rollout(model, torch.ones(4, 2), 3), (3, 2), what="rollout(model, window, 3)")
    for number, seen in enumerate(shown):
        check_shape(seen, (1, 4, 2), what=f"the argument of call {number} of the model")


@test_case(
    name="values",
    points=2,
    hidden=True,
    failure_message="The newest forecast comes last in the next window, the oldest sample drops out, "
    "and the window keeps its "
    "length.",
)
def test_values(rollout):
    for length, d, dtype, tolerance in [
        (4, 3, torch.float64, 1e-9),
        (1, 2, torch.float64, 1e-9),
        (6, 1, torch.float32, 1e-4),
    ]:
        window = normal(length, d, seed=length, dtype=dtype)
        what = f"rollout(model, window, 9) with a window of shape {(length, d)}"
        check_close(
            rollout(weighted, window, 9), continued(weighted, window, 9), tolerance=tolerance, what=what
        )


@test_case(
    name="fed with its own forecasts",
    points=2,
    hidden=True,
    failure_message="From the second step on, the window ends with forecasts: the model's own, and "
    "nothing that it did not "
    "say itself.",
)
def test_feeds_itself(rollout):
    def stand_in(windows):
        return 0.5 * windows[:, -1] + 0.25 * windows[:, 0]

    window, (model, shown, given) = 4 * normal(3, 3, seed=5), watched(stand_in)
    found = rollout(model, window, 6)
    check_shape(found, (6, 3), what="rollout(model, window, 6)")
    known = torch.cat([window, *given])
    for number, seen in enumerate(shown):
        distance = torch.cdist(seen[0], known, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        if not (distance < 1e-6).all():
            raise Mistake(
                "feeds_truth",
                f"In call {number} the model was shown samples that are neither in the window nor "
                "among its own forecasts.",
            )
    check_close(found, continued(stand_in, window, 6), what="rollout(model, window, 6)")


@test_case(
    name="no steps; bad arguments; the window is left alone",
    points=1,
    hidden=True,
    failure_message="n_steps = 0 gives (0, d). Raise ValueError for a negative n_steps and for a window that is not "
    "(length, d). Make each next window a new tensor.",
)
def test_care(rollout):
    window = normal(3, 2, seed=6)
    before = window.clone()
    check_shape(rollout(weighted, window, 0), (0, 2), what="rollout(model, window, 0)")
    rollout(weighted, window, 4)
    check_unchanged(before, window, what="window in rollout(model, window, 4)")
    check_raises(ValueError, rollout, weighted, window, -1, what="rollout with n_steps=-1")
    for other in (window[None], window[:0]):
        what = f"rollout with a window of shape {tuple(other.shape)}"
        check_raises(ValueError, rollout, weighted, other, 2, what=what)
