"""q7: compare_with_gpt2(texts, model, tokenizer), with functions in place of GPT-2 and its tokenizer."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q7"
all_or_nothing = False


def tokenizer(text):
    """One token for each character, a to g."""
    return {"input_ids": ["abcdefg".index(character) for character in text]}


def language_model(table):
    """A function that is used like a model of transformers: row t of the table has the logits after token t."""

    def model(ids):
        if not isinstance(ids, torch.Tensor) or ids.ndim != 2 or ids.shape[0] != 1:
            raise ValueError("model(ids) needs ids of shape (1, n)")
        return {"logits": table[ids]}

    return model


def check_number(found, expected, what):
    """float32 logits, losses up to 10: correct forms were seen to differ by 1e-6 of the result."""
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert type(found) is float, (
        f"{what} returned a value of type {type(found).__name__}, but a Python float was expected."
    )
    assert abs(found - expected) <= 1e-4 * expected, (
        f"{what} is {found:.6g}, but {expected:.6g} was expected."
    )


@test_case(
    name="a model that knows nothing",
    points=1,
    hidden=False,
    failure_message="Equal logits make all 7 tokens equally likely, so the perplexity is 7. Use the model and the"
    " tokenizer that are given, as model(ids)['logits'] with ids of shape (1, n), and "
    "tokenizer(text)['input_ids'].",
)
def test_uniform(compare_with_gpt2):
    model = language_model(torch.zeros(7, 7))
    check_number(
        compare_with_gpt2(["abcd", "ga"], model, tokenizer), 7.0, what="compare_with_gpt2 of equal logits"
    )


@test_case(
    name="two texts worked out by hand",
    points=2,
    hidden=False,
    failure_message="After a comes b with probability 1/2, after b comes c with probability 1/8. The text abc has"
    " these two predictions and the text ab one: exp of (ln 2 + ln 8 + ln 2) / 3 = 2^(5/3). The "
    "first token of a text is not predicted, and row i of the logits predicts token i + 1.",
)
def test_hand(compare_with_gpt2):
    table = torch.full((7, 7), 1 / 12)
    table[1] = 7 / 48
    table[0, 1], table[1, 2] = 1 / 2, 1 / 8
    found = compare_with_gpt2(["abc", "ab"], language_model(table.log()), tokenizer)
    check_number(found, 2 ** (5 / 3), what="compare_with_gpt2(['abc', 'ab'], model, tokenizer)")
