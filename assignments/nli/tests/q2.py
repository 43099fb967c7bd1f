"""q2: build_vocabulary(pairs, min_count=1) and encode_batch(pairs, vocabulary, max_len=32)."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_dtype, check_equal, check_raises, check_shape

OK_FORMAT = False
name = "q2"
all_or_nothing = False
SPECIAL = {"[pad]": 0, "[unk]": 1, "[cls]": 2, "[sep]": 3}
SMALL = {**SPECIAL, "all": 4, "cats": 5, "no": 6}


def check_ids(found, expected, *, what):
    """Pass if these are the rows of ids, torch.long."""
    expected = torch.tensor(expected)
    check_dtype(check_shape(found, expected.shape, what=what), torch.long, what=what)
    assert torch.equal(found, expected), f"{what} is {found.tolist()}, but {expected.tolist()} was expected."


@test_case(
    name="the vocabulary of two words more",
    points=2,
    hidden=False,
    failure_message="[pad] 0, [unk] 1, [cls] 2, [sep] 3; then the tokens of premises and hypotheses in "
    "alphabetical order.",
)
def test_vocabulary(build_vocabulary):
    pairs = [("no cats", "all cats", 2)]
    check_equal(build_vocabulary(pairs), SMALL, what='build_vocabulary([("no cats", "all cats", 2)])')


@test_case(
    name="one pair as a row",
    points=2,
    hidden=False,
    failure_message="[cls], the premise, [sep], the hypothesis, [sep]: 2, 6, 5, 3, 4, 5, 3.",
)
def test_row(encode_batch):
    found = encode_batch([("no cats", "all cats", 2)], dict(SMALL))
    check_ids(found, [[2, 6, 5, 3, 4, 5, 3]], what='encode_batch([("no cats", "all cats", 2)], vocabulary)')


@test_case(
    name="rare words, capitals and marks",
    points=1,
    hidden=True,
    failure_message="Tokens are those of tokenize: lower case, marks by themselves. min_count counts every "
    "occurrence, in "
    "premises and hypotheses together, and a token that occurs min_count times is in.",
)
def test_counts(build_vocabulary):
    pairs = [("Zebras run. Zebras don't!", "a Run", 0), ("the owl", "a zebra", 1), ("Owl", "", 2)]
    tokens = ["!", ".", "a", "don't", "owl", "run", "the", "zebra", "zebras"]
    everything = {**SPECIAL, **{token: number for number, token in enumerate(tokens, start=4)}}
    check_equal(build_vocabulary(pairs), everything, what="build_vocabulary(pairs)")
    twice = {**SPECIAL, "a": 4, "owl": 5, "run": 6, "zebras": 7}
    check_equal(build_vocabulary(pairs, 2), twice, what="build_vocabulary(pairs, min_count=2)")
    check_equal(build_vocabulary(pairs, 3), SPECIAL, what="build_vocabulary(pairs, min_count=3)")
    check_equal(build_vocabulary([]), SPECIAL, what="build_vocabulary([])")


@test_case(
    name="padding, unknown words, empty sentences",
    points=1,
    hidden=True,
    failure_message="Shorter rows are filled up on the right with [pad], up to the longest row of the batch. A "
    "token that "
    "the vocabulary does not have is [unk]. An empty sentence has no tokens, and its [sep] stays.",
)
def test_batch(encode_batch):
    pairs = [("No cats.", "all DOGS", 0), ("", "cats", 1), ("all", "", 2)]
    rows = [[2, 6, 5, 1, 3, 4, 1, 3], [2, 3, 5, 3, 0, 0, 0, 0], [2, 4, 3, 3, 0, 0, 0, 0]]
    check_ids(encode_batch(pairs, dict(SMALL)), rows, what="encode_batch(pairs, vocabulary)")
    check_ids(
        encode_batch(pairs[1:], dict(SMALL)),
        [row[:4] for row in rows[1:]],
        what="encode_batch of two short pairs",
    )


@test_case(
    name="the ids of any vocabulary",
    points=1,
    hidden=True,
    failure_message="Look up the special symbols, too. A row of exactly max_len is legal, and one that is longer a "
    "ValueError: a hypothesis that is cut off may mean the opposite.",
)
def test_max_len(encode_batch):
    # 40001 is no number in half precision
    vocabulary = {"b": 0, "[sep]": 7, "a": 40001, "[pad]": 9, "[unk]": 4, "[cls]": 5}
    found = encode_batch([("a", "b c", 0), ("a", "b", 0)], vocabulary, 6)
    check_ids(
        found,
        [[5, 40001, 7, 0, 4, 7], [5, 40001, 7, 0, 7, 9]],
        what="encode_batch(pairs, vocabulary, 6) with other ids",
    )
    what = "encode_batch(pairs, vocabulary, max_len=5) with a row of 6"
    try:
        found = encode_batch([("a", "b c", 0)], vocabulary, 5)
    except ValueError:
        return
    text = f"{what} must raise ValueError, but it raised nothing."
    if isinstance(found, torch.Tensor) and found.shape == (1, 5):
        raise Mistake("cut_off", text)
    raise AssertionError(text)


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a min_count below 1, a batch without pairs, and a row "
    "longer than "
    "max_len, 32 if nothing else is said.",
)
def test_bad_arguments(build_vocabulary, encode_batch):
    check_equal(build_vocabulary([("no cats", "all cats", 2)], 1), SMALL, what="build_vocabulary(pairs, 1)")
    check_raises(ValueError, build_vocabulary, [], 0, what="build_vocabulary(pairs, min_count=0)")
    check_shape(encode_batch([("all " * 29, "", 0)], dict(SMALL)), (1, 32), what="encode_batch of 29 words")
    check_raises(
        ValueError, encode_batch, [("all " * 30, "", 0)], dict(SMALL), what="encode_batch of 30 words"
    )
    check_raises(ValueError, encode_batch, [], dict(SMALL), what="encode_batch([], vocabulary)")
