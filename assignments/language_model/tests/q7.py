"""q7: compare_with_gpt2(texts, model, tokenizer), with functions in place of GPT-2 and its tokenizer."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_raises

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


def random_table(seed, size=2.0):
    return size * torch.randn(7, 7, generator=torch.Generator().manual_seed(seed))


def oracle(texts, table):
    """Pooled over all tokens but the first of each text."""
    tokens = [torch.tensor(tokenizer(text)["input_ids"]) for text in texts if len(text) > 1]
    losses = [F.cross_entropy(table[ids[:-1]].double(), ids[1:], reduction="none") for ids in tokens]
    return torch.cat(losses).mean().exp().item()


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


@test_case(
    name="pooled over all tokens",
    points=2,
    hidden=True,
    failure_message="Add up the losses of all predictions of all texts, divide by their number, and take exp "
    "once, at the end. A long text has more predictions than a short one, and counts for more.",
)
def test_pooled(compare_with_gpt2):
    for seed, texts in enumerate([["abcdefgabc", "ba", "gfe"], ["aabbccdd"], ["ab", "cdefgfedcba"]]):
        table = random_table(seed)
        found = compare_with_gpt2(texts, language_model(table), tokenizer)
        check_number(found, oracle(texts, table), what=f"compare_with_gpt2({texts}, model, tokenizer)")


@test_case(
    name="texts of one token, or none",
    points=1,
    hidden=True,
    failure_message="They hold no prediction: they add nothing to the sum and nothing to the number.",
)
def test_short_texts(compare_with_gpt2):
    table, texts = random_table(5), ["a", "abcd", "", "g"]
    found = compare_with_gpt2(texts, language_model(table), tokenizer)
    check_number(found, oracle(texts, table), what=f"compare_with_gpt2({texts}, model, tokenizer)")


@test_case(
    name="large logits",
    points=1,
    hidden=True,
    failure_message="Take the logarithm of the softmax by log_softmax or cross_entropy: exp(150) overflows in "
    "float32.",
)
def test_large(compare_with_gpt2):
    table = torch.full((7, 7), -150.0)
    table[torch.arange(7), (torch.arange(7) + 1) % 7] = 150.0
    table[2, 4] = 151.0
    found = compare_with_gpt2(["abcdefg", "fga"], language_model(table), tokenizer)
    check_number(found, oracle(["abcdefg", "fga"], table), what="compare_with_gpt2 with logits of +-150")
    assert math.isfinite(found)


@test_case(
    name="nothing to predict",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message where no text has two tokens: 0/0 is not a perplexity.",
)
def test_nothing(compare_with_gpt2):
    model = language_model(random_table(6))
    check_number(
        compare_with_gpt2(["ab"], model, tokenizer), oracle(["ab"], random_table(6)), what="one text, ab,"
    )
    for texts in ([], ["a"], ["", "b"]):
        check_raises(
            ValueError, compare_with_gpt2, texts, model, tokenizer, what=f"compare_with_gpt2({texts}, ...)"
        )
