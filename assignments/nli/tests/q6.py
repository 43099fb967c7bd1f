"""q6: train(model, ids, labels, steps, seed) in short trainings, and predict(model, ids)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_dtype, check_raises, check_shape

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


def mode_of(model):
    """Whether the student's process has left a model in training mode: model.training is what it will be told next."""
    try:
        return model["training"]
    except TypeError:  # a module of this process
        return model.training


@test_case(
    name="other models and batches",
    points=1,
    hidden=True,
    failure_message="One pair or many, each by itself: the largest of its own three logits, without a gradient. A "
    "model that was in training mode is in it afterwards, and one that was not is not.",
)
def test_predict_others(NLIClassifier, predict):
    for seed, count in ((2, 1), (3, 3), (4, 40)):
        ids = IDS[torch.arange(count) % 4].clone()
        ids[:, 1] = 4 + torch.arange(count) % 6
        model = spread(NLIClassifier(10, 16, 2, 1, 5), seed)
        check_predictions(predict, model, ids, f"predict(model, ids) of {count} pairs")
        assert not predict(model, ids).requires_grad, "predict(model, ids) carries a gradient."
    for training in (True, False):
        predict(model.train(training), ids)
        words = {True: "training mode", False: "eval mode"}
        text = f"predict was given a model in {words[training]} and left it in {words[not training]}."
        if mode_of(model) != training:
            raise Mistake("left_in_eval", text) if training else AssertionError(text)


@test_case(
    name="it learns from both sentences",
    points=2,
    hidden=True,
    failure_message="In these pairs one word tells the label: half of the time it is in the premise, half of the "
    "time in the "
    "hypothesis. After 121 steps, the model is to know all of them. The record holds the mean cross-entropy of the "
    "logits.",
)
def test_learns(short_training):
    history, accuracy, sees = (short_training[key] for key in ("history", "accuracy", "sees"))
    check_history(history, 121, "train(model, ids, labels, 121, 0)")
    assert short_training["moved"] > 0, (
        "The parameters of the model are the same after the training as before."
    )
    text = (
        f"After 121 steps, {accuracy['premise']:.0%} of the pairs are right whose premise tells the label, and"
        f" {accuracy['hypothesis']:.0%} of those whose hypothesis does."
    )
    if accuracy["hypothesis"] > 0.9 and accuracy["premise"] < 0.6 and sees["premise"]:
        raise Mistake("premise_taken_away", f"{text} The training does not use the premises.")
    for (
        sentence,
        share,
    ) in accuracy.items():  # what the model cannot see is its fault, and another question's business
        assert share > 0.9 or not sees[sentence], text
    recorded, true = history["loss"][-1], short_training["loss"]
    if recorded > 0.54 and true < 0.4:
        # a softmax of probabilities cannot get below ln(1 + 2/e) = 0.551
        text = f"The last loss in the record is {recorded:.3f}, but the cross-entropy is {true:.3f}."
        raise Mistake("softmax_before_loss", text)


@test_case(
    name="the seed decides",
    points=1,
    hidden=True,
    failure_message="Draw the rows of each step with a generator that is seeded with `seed`, so that the same seed "
    "gives the "
    "same training, whatever ran before, and another seed another one. Dropout draws from PyTorch's own generator: "
    "with dropout, call torch.manual_seed(seed) first.",
)
def test_seed(repeated_trainings):
    start, first, again, other = (repeated_trainings[name] for name in ("start", "first", "again", "other"))
    assert (first - start).abs().max() > 0, (
        "The parameters of the model are the same after the training as before."
    )
    # Adam's first steps are as large as the learning rate, whatever the gradient: trainings that differ are 1e-5 apart
    if (first - again).abs().max() > 1e-6:
        text = "The same model, data, steps and seed gave another result the second time."
        raise Mistake("seed_ignored", text)
    if (first - other).abs().max() <= 1e-6:
        raise Mistake("always_the_same_rows", "Seeds 1 and 2 gave the same result: the seed is not used.")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for steps below 1, no rows, and ids and labels of different "
    "length.",
)
def test_bad_arguments(NLIClassifier, train):
    model = NLIClassifier(10, 16, 2, 1, 5)
    check_history(train(model, IDS.clone(), LABELS.clone(), 1, 0), 1, "train(model, ids, labels, 1, 0)")
    check_history(train(model, IDS[:1], LABELS[:1], 1, 0), 1, "train(model, ids, labels, 1, 0) of one row")
    check_raises(ValueError, train, model, IDS, LABELS, 0, 0, what="train(model, ids, labels, 0, 0)")
    check_raises(ValueError, train, model, IDS, LABELS[:3], 1, 0, what="train of 4 rows of ids and 3 labels")
    check_raises(ValueError, train, model, IDS[:0], LABELS[:0], 1, 0, what="train of no rows")
