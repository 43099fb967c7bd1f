"""q7: hypothesis_only(pairs), blind_accuracy(training, held_out), artefact_scores(pairs, smoothing=100.0)."""

import math

from otter.test_files import test_case

OK_FORMAT = False
name = "q7"
all_or_nothing = False
HAND = [("", "no cats", 2), ("", "all cats", 0)]


def check_scores(found, expected, *, what):
    """Pass if each word has its three numbers, within 1e-9."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )
    assert isinstance(found, dict), f"{what} returned a value of type {type(found).__name__}, not a dict."
    assert sorted(found) == sorted(expected), (
        f"{what} has the words {sorted(found)}, but {sorted(expected)} was expected."
    )
    for word, numbers in expected.items():
        assert len(found[word]) == 3, (
            f"{what} has {len(found[word])} numbers for {word!r}, but 3 were expected."
        )
        for label, (one, other) in enumerate(zip(found[word], numbers, strict=True)):
            assert isinstance(one, float), (
                f"{what} has a value of type {type(one).__name__} for {word!r}, but Python floats were expected "
                "(.tolist() makes them of a tensor)."
            )
            assert abs(one - other) < 1e-9, (
                f"{what} has {one:.6g} for {word!r} and label {label}, but {other:.6g} was expected."
            )


def information(counted, smoothing):
    """What is expected, number by number, from {word: [count, count, count]}."""
    table = {word: [count + smoothing for count in counts] for word, counts in counted.items()}
    total = math.fsum(number for row in table.values() for number in row)
    columns = [math.fsum(row[y] for row in table.values()) for y in range(3)]
    return {
        word: [math.log(row[y] * total / (math.fsum(row) * columns[y])) for y in range(3)]
        for word, row in table.items()
    }


@test_case(
    name="pairs without premises",
    points=2,
    hidden=False,
    failure_message='Each pair becomes ("", hypothesis, label).',
)
def test_hypothesis_only(hypothesis_only):
    pairs = [("no pets are awake", "all cats are asleep", 0), ("some owls are outdoors", "no owls", 2)]
    found = hypothesis_only(list(pairs))
    as_tuples = [tuple(pair) for pair in found] if isinstance(found, list) else found
    expected = [("", "all cats are asleep", 0), ("", "no owls", 2)]
    check_equal(as_tuples, expected, what="hypothesis_only(pairs)")


@test_case(
    name="the information of a word by hand",
    points=2,
    hidden=False,
    failure_message='The smoothed table has the sum 13, the row of "no" sums to 4, the column of label 2 to 5, and '
    "their entry is 2: PMI(no, 2) = ln(2/13 / (4/13 * 5/13)).",
)
def test_hand(artefact_scores):
    expected = information({"all": [1, 0, 0], "cats": [1, 0, 1], "no": [0, 0, 1]}, 1)
    check_scores(artefact_scores(list(HAND), 1.0), expected, what="artefact_scores(pairs, 1.0)")


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
