"""q5: solve(model, prompt), with functions in place of a model, whose answers are known."""

import torch
from otter.test_files import test_case

from autograder.checks import check_raises

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


@test_case(
    name="the most likely symbol, and the last row",
    points=2,
    hidden=True,
    failure_message="The last row of the logits predicts the next symbol; the others predict symbols that are "
    "there already. Take the most likely one (argmax), even if it is not likely: draw nothing at "
    "random.",
)
def test_greedy(solve):
    answers = {"27+38=": "65;", "49-0=": "49;", "10-10=": "0;", "1+1=": "2;"}
    for prompt, answer in answers.items():
        for favourite in "73":
            found = solve(speaker(answers, favourite), prompt)
            check_answer(found, answer[:-1], what=f"solve(model, {prompt!r})")


@test_case(
    name="an answer that does not end, and an empty one",
    points=1,
    hidden=True,
    failure_message="Stop after 8 symbols if no end has come, and as soon as it comes. A model that says ; at once "
    "gives an empty answer.",
)
def test_stops(solve):
    check_answer(
        solve(speaker({"3+5=": "12345678901234"}), "3+5="),
        "12345678",
        what="solve of a model that never ends",
    )
    check_answer(
        solve(speaker({"3+5=": "12345678;"}), "3+5="), "12345678", what="solve of an answer of 8 digits"
    )
    check_answer(solve(speaker({"3+5=": ";"}), "3+5="), "", what="solve of a model that ends at once")
    model, lengths = speaker({"3+5=": "8;"}), []
    solve(lambda ids: (lengths.append(len(ids[0])), model(ids))[1], "3+5=")
    assert max(lengths) == 5, f"After the end, solve asked the model again, with {max(lengths)} symbols."


@test_case(
    name="any text with an = at its end",
    points=1,
    hidden=True,
    failure_message="Each symbol that the model says is part of the answer until the end, even a sign. The prompt"
    " is passed on as it is.",
)
def test_any_prompt(solve):
    answers = {"1+2+3=": "6;", "0=": "-4;", "=": "7;"}
    for prompt, answer in answers.items():
        check_answer(solve(speaker(answers, "9"), prompt), answer[:-1], what=f"solve(model, {prompt!r})")


@test_case(
    name="prompts that are none",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a prompt that does not end with =, and for a character "
    "that is no symbol.",
)
def test_bad_prompts(solve):
    model = speaker({"3+5=": "8;"})
    check_answer(solve(model, "3+5="), "8", what="solve(model, '3+5=')")
    for prompt in ("3+5", "", "3+5=8", "3*5=", "3 + 5 ="):
        check_raises(ValueError, solve, model, prompt, what=f"solve(model, {prompt!r})")
