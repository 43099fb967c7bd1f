"""q5: solve(model, prompt), with functions in place of a model, whose answers are known."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
ALPHABET = "0123456789+-=;_"


def speaker(answers, favourite="0"):
    """A function that is used like a model: it continues the prompts in `answers`, symbol by symbol.

    Only the last row of its logits says what comes next; all other rows favour another symbol.
    """

    def model(ids):
        if not isinstance(ids, torch.Tensor) or ids.ndim != 2 or ids.shape[0] != 1:
            raise ValueError("model(ids) needs ids of shape (1, L)")
        text = "".join(ALPHABET[number] for number in ids[0].tolist())
        prompt = text[: text.index("=") + 1]
        whole = prompt + answers[prompt]
        following = whole[len(text)] if whole.startswith(text) and len(text) < len(whole) else favourite
        logits = torch.zeros(1, len(text), 15)
        logits[0, :, ALPHABET.index(favourite)] = 5.0
        logits[0, -1] = -1.0
        logits[0, -1, ALPHABET.index(following)] = 0.5
        return logits

    return model


def check_answer(found, expected, what):
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, str), (
        f"{what} returned a value of type {type(found).__name__}, but a str was expected."
    )
    assert found == expected, f"{what} returned {found!r}, but {expected!r} was expected."


@test_case(
    name="an answer of one digit",
    points=1,
    hidden=False,
    failure_message="After 3+5= this model says 8, and after 3+5=8 it says ; (the end). The answer is the text "
    "between.",
)
def test_one_digit(solve):
    check_answer(solve(speaker({"3+5=": "8;"}), "3+5="), "8", what="solve(model, '3+5=')")


@test_case(
    name="an answer of two digits",
    points=2,
    hidden=False,
    failure_message="Append each new symbol to what the model is asked with next: after 12+9= it says 2, after "
    "12+9=2 it says 1, after 12+9=21 it says ; (the end).",
)
def test_two_digits(solve):
    check_answer(solve(speaker({"12+9=": "21;"}), "12+9="), "21", what="solve(model, '12+9=')")
