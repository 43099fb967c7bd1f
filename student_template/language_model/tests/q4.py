"""q4: train(model, problems, steps, seed), judged by short trainings on made-up problems."""

import math
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False
LISTS = ("step", "loss", "perplexity", "singular_values")
# 15+3 and 10-4 are held out, the other four are not
PROBLEMS = ["12+5=37", "13+5=37", "20-4=37", "22-4=37", "15+3=64", "10-4=64"]


def check_history(history, steps, what):
    """The four lists; what they hold is looked at elsewhere."""
    assert history is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(history, dict), (
        f"{what} returned a value of type {type(history).__name__}, but a dict was expected."
    )
    for name in LISTS:
        assert isinstance(history.get(name), list), f"{what} returned a dict without a list named {name!r}."
    lengths = {name: len(history[name]) for name in LISTS}
    assert len(set(lengths.values())) == 1, f"The lists of {what} have different lengths: {lengths}."
    found = history["step"]
    assert len(found) >= 2, (
        f"{what} has {len(found)} rows, but one before and one after the training were expected."
    )
    assert found[0] == 0, f"The first row of {what} is of step {found[0]}, but 0 was expected."
    assert found[-1] == steps, f"The last row of {what} is of step {found[-1]}, but {steps} was expected."
    assert sorted(set(found)) == found, f"The steps of {what} do not grow: {found}."
    for name in ("loss", "perplexity"):
        for value in history[name]:
            assert isinstance(value, float) and math.isfinite(value), (
                f"{name!r} of {what} holds {value!r}, but Python floats were expected (a tensor's .item())."
            )


@test_case(
    name="the record of a training",
    points=2,
    hidden=False,
    failure_message="Return a dict of four lists of equal length: step, loss, perplexity, singular_values. The "
    "first row is of step 0, before any update, the last one of step `steps`, after all of them.",
)
def test_record(TinyGPT, train):
    history = train(TinyGPT(15, 16, 2, 1, 12), PROBLEMS, 5, 0)
    check_history(history, 5, "train(model, problems, 5, 0)")
    for row in history["singular_values"]:
        assert isinstance(row, list) and len(row) == 15, (
            "Each row of 'singular_values' is a list: the 15 singular values of a 15 x 16 table of embeddings."
        )


@test_case(
    name="the model learns",
    points=2,
    hidden=False,
    failure_message="In these problems every answer is 37, so the loss falls at once. The model itself must "
    "change: its parameters are updated in place.",
)
def test_learns(TinyGPT, train):
    model = TinyGPT(15, 16, 2, 1, 12)
    history = train(model, PROBLEMS, 20, 0)
    check_history(history, 20, "train(model, problems, 20, 0)")
    first, last = history["loss"][0], history["loss"][-1]
    assert last < first, f"The loss was {first:.3f} before and {last:.3f} after 20 steps: it is to fall."
