"""q6: train(model, ids, labels, steps, seed) in short trainings, and predict(model, ids)."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False
IDS = torch.tensor([[2, 4, 3, 7, 3], [2, 5, 3, 8, 3], [2, 6, 3, 9, 3], [2, 4, 3, 9, 3]])
LABELS = torch.tensor([0, 1, 2, 0])
CALL = "train(model, ids, labels, 5, 0)"


def check_history(history, steps, what):
    """The two lists; what they hold is looked at elsewhere."""
    assert history is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(history, dict), f"{what} returned a value of type {type(history).__name__}, not a dict."
    for key in ("step", "loss"):
        assert isinstance(history.get(key), list), f"{what} returned a dict without a list named {key!r}."
    found, losses = history["step"], history["loss"]
    assert len(found) == len(losses) >= 2, (
        f"The lists step and loss of {what} have {len(found)} and {len(losses)} entries, but as many, two or more, were"
        " expected."
    )
    assert found[0] == 0 and found[-1] == steps and sorted(set(found)) == found, (
        f"The steps of {what} must grow from 0 to {steps}, but are {found[:5]} ... {found[-1]}."
    )
    for value in losses:
        assert isinstance(value, float) and math.isfinite(value), (
            f"'loss' of {what} holds {value!r}, but Python floats were expected (a tensor's .item())."
        )


@test_case(
    name="the record of a training",
    points=2,
    hidden=False,
    failure_message="Return a dict of two lists of equal length, step and loss. The first row is of step 0, before any "
    "update, the last one of step `steps`. The loss of four pairs falls at once.",
)
def test_record(NLIClassifier, train):
    model = NLIClassifier(10, 16, 2, 1, 5)
    check_history(train(model, IDS.clone(), LABELS.clone(), 5, 0), 5, CALL)
    history = train(model, IDS.clone(), LABELS.clone(), 20, 0)
    first, last = history["loss"][0], history["loss"][-1]
    assert last < first, f"The loss was {first:.3f} before and {last:.3f} after 20 steps: it is to fall."


@torch.no_grad()
def spread(model, seed):
    """The model with parameters that all differ, so that its answers do."""
    noise = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=noise))
    return model


@torch.no_grad()
def check_predictions(predict, model, ids, what):
    """Pass if these are the labels with the largest logits of the model in eval mode."""
    training = model.training
    logits = check_shape(model.eval()(ids), (len(ids), 3), what="NLIClassifier(10, 16, 2, 1, 5)(ids)")
    model.train(training)
    found = check_shape(predict(model, ids), (len(ids),), what=what)
    check_dtype(found, torch.long, what=what)
    expected = logits.argmax(-1)
    assert torch.equal(found, expected), f"{what} is {found.tolist()}, but {expected.tolist()} was expected."


@test_case(
    name="the label with the largest logit",
    points=1,
    hidden=False,
    failure_message="argmax over the last dimension of the logits: one label for each pair, torch.long.",
)
def test_predict(NLIClassifier, predict):
    check_predictions(predict, spread(NLIClassifier(10, 16, 2, 1, 5), 1), IDS, "predict(model, ids)")


# The comparisons that are used above.

from collections.abc import Callable, Sequence


def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_shape(found: object, shape: Sequence[int], *, what: str) -> torch.Tensor:
    """Pass if `found` is a tensor of this shape; the tensor is returned."""
    check_returned(found, what=what)
    if not isinstance(found, torch.Tensor):
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a torch.Tensor was expected."
        )
    if tuple(found.shape) != tuple(shape):
        raise AssertionError(f"{what} has shape {tuple(found.shape)}, but shape {tuple(shape)} was expected.")
    return found


def check_dtype(found: torch.Tensor, dtype: torch.dtype, *, what: str) -> None:
    """Pass if the tensor has this dtype."""
    if found.dtype != dtype:
        raise AssertionError(f"{what} has dtype {found.dtype}, but {dtype} was expected.")
