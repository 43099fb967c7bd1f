"""q1: read_snli(lines), on lines made here."""

import json

from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def line(label, premise="A man sleeps.", hypothesis="Nobody sleeps.", **more):
    """A line as the corpus has it, with fields that nobody asked for."""
    entry = {"annotator_labels": [label], "gold_label": label, "pairID": "1.jpg#0", "sentence1": premise}
    return json.dumps({**entry, "sentence1_parse": "(ROOT)", "sentence2": hypothesis, **more}) + "\n"


def check_pairs(found, expected, *, what):
    """Pass if these are the pairs; lists in place of tuples are fine."""
    check_equal(found, expected if isinstance(found, list) else [], what=what)


def as_tuples(found):
    """The pairs as tuples, if they look like pairs."""
    pairs = isinstance(found, list) and all(isinstance(pair, tuple | list) for pair in found)
    return [tuple(pair) for pair in found] if pairs else found


@test_case(
    name="one pair of each label",
    points=2,
    hidden=False,
    failure_message="sentence1 is the premise, sentence2 the hypothesis; entailment is 0, neutral 1, contradiction 2.",
)
def test_labels(read_snli):
    labels = ("entailment", "neutral", "contradiction")
    lines = [line(label, f"premise {i}", f"hypothesis {i}") for i, label in enumerate(labels)]
    expected = [(f"premise {i}", f"hypothesis {i}", i) for i in range(3)]
    check_pairs(as_tuples(read_snli(lines)), expected, what="read_snli(lines) of three lines")


@test_case(
    name="pairs without a gold label",
    points=2,
    hidden=False,
    failure_message='A gold_label of "-" means that the annotators did not agree: leave the pair out.',
)
def test_no_majority(read_snli):
    lines = [line("-", "left out"), line("neutral", "kept"), line("-", "left out, too")]
    what = 'read_snli(lines) of three lines, two with the gold_label "-"'
    check_pairs(as_tuples(read_snli(lines)), [("kept", "Nobody sleeps.", 1)], what=what)


# The comparisons that are used above.

from collections.abc import Callable, Sequence


def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_equal(found: object, expected: object, *, what: str) -> None:
    """Pass if `found` is the plain value `expected`: a text, or a list or dict of numbers."""
    check_returned(found, what=what)
    if not isinstance(found, type(expected)):
        kind = type(expected).__name__
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a {kind} was expected."
        )
    if found == expected:
        return
    shown = [text if len(text) <= 120 else f"{text[:117]}..." for text in (repr(found), repr(expected))]
    verdict = f"{what} is {shown[0]}, but {shown[1]} was expected."
    if isinstance(found, Sequence) and isinstance(expected, Sequence) and len(expected) > 8:
        pairs = enumerate(zip(found, expected, strict=False))
        place = next((i for i, (one, other) in pairs if one != other), min(len(found), len(expected)))
        verdict += f" They differ from place {place} on."
    raise AssertionError(verdict)
