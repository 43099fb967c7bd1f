"""q5: train(model, trajectories, steps, seed=0), in small trainings and by the two networks that came out of it."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
CALL = "train(model, trajectories, steps=20)"
LISTS = ("step", "loss", "held_out")


def waves(n, n_samples):
    """Trajectories of sines and cosines, (n, n_samples, 2)."""
    angle = torch.arange(n, dtype=torch.float32)[:, None] + 0.3 * torch.arange(n_samples)
    return torch.stack([angle.sin(), angle.cos()], -1)


def check_history(history, steps, *, what):
    """Pass if this is a history as the docstring promises it."""
    assert history is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(history, dict), f"{what} returned a value of type {type(history).__name__}, not a dict."
    missing = [key for key in LISTS if key not in history]
    assert not missing, f"The history that {what} returned has no entry {missing[0]!r}."
    numbers = [[float(value) for value in history[key]] for key in LISTS]
    lengths = [len(column) for column in numbers]
    assert lengths[0] >= 1 and len(set(lengths)) == 1, (
        f"The lists step, loss and held_out of {what} have {lengths[0]}, {lengths[1]} and {lengths[2]} entries."
    )
    rising = all(one < two for one, two in zip(numbers[0], numbers[0][1:], strict=False))
    assert rising and numbers[0][0] >= 0 and numbers[0][-1] <= steps, (
        f"The list step of {what} must grow from entry to entry and end at {steps} or before: {numbers[0][:5]} ..."
    )
    for key, column in zip(LISTS, numbers, strict=True):
        assert all(math.isfinite(value) for value in column), (
            f"The list {key} of {what} is not finite everywhere."
        )


@test_case(
    name="a history of the training",
    points=2,
    hidden=False,
    failure_message='Return {"step": [...], "loss": [...], "held_out": [...]}, three lists of the same length with '
    "at least one entry.",
)
def test_history(AttentionForecaster, train):
    check_history(train(AttentionForecaster(2, 4), waves(4, 30), 20), 20, what=CALL)


@test_case(
    name="the model itself is trained",
    points=2,
    hidden=False,
    failure_message="Give the optimizer model.parameters(), call loss.backward() and "
    "optimizer.step(), and make no copy of "
    "the model.",
)
def test_in_place(AttentionForecaster, train):
    model = AttentionForecaster(2, 4)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    check_history(train(model, waves(4, 30), 20), 20, what=CALL)
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert any(moved), f"No parameter of the model has changed in {CALL}."
