"""q7: hypothesis_only(pairs), blind_accuracy(training, held_out), artefact_scores(pairs, smoothing=100.0)."""

import math
import random

from otter.test_files import test_case

from autograder.checks import Mistake, check_equal, check_raises

OK_FORMAT = False
name = "q7"
all_or_nothing = False
HAND = [("", "no cats", 2), ("", "all cats", 0)]


def check_float(found, expected, *, what):
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )
    assert isinstance(found, float), f"{what} returned a value of type {type(found).__name__}, not a float."
    assert abs(found - expected) < 1e-9, f"{what} is {found:.6g}, but {expected:.6g} was expected."


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


@test_case(
    name="the best blind guess",
    points=2,
    hidden=True,
    failure_message="Learn each hypothesis' most frequent label in training, and measure on held_out. Unknown "
    "hypotheses get "
    "the most frequent label of all; of equally frequent labels, the smallest is taken.",
)
def test_blind(blind_accuracy):
    training = [
        ("p", "a", 2),
        ("q", "a", 2),
        ("p", "a", 0),
        ("p", "b", 1),
        ("q", "b", 0),
        ("r", "c", 2),
        ("p", "d", 1),
    ]
    held_out = [
        ("x", "a", 2),
        ("x", "a", 0),
        ("p", "b", 0),
        ("q", "b", 0),
        ("x", "new", 2),
        ("p", "new", 1),
        ("x", "d", 1),
    ]
    what = "blind_accuracy(training, held_out)"
    # of a, a, b, b, new, new, d the second a and the second new are wrong
    check_float(blind_accuracy(training, held_out), 5 / 7, what=what)
    check_float(
        blind_accuracy([("p", "a", 1)], [("p", "a", 0)]),
        0.0,
        what=f"{what} of one pair each, with other labels",
    )
    for less, more in ((0, 1), (0, 2), (1, 2)):
        tied = [("p", "a", more), ("p", "a", less)]
        held_out = [("p", "a", less), ("p", "a", less), ("p", "new", less), ("p", "a", more)]
        tie = f"{what} where {less} and {more} are equally frequent"
        check_float(blind_accuracy(tied, held_out), 3 / 4, what=tie)
    rng = random.Random(3)
    pairs = [(f"p{rng.randrange(4)}", f"h{rng.randrange(5)}", rng.randrange(3)) for _ in range(300)]
    counts = {f"h{h}": [sum(p[1:] == (f"h{h}", y) for p in pairs[:200]) for y in range(3)] for h in range(5)}
    right = [counts[h].index(max(counts[h])) == y for _, h, y in pairs[200:]]
    check_float(
        blind_accuracy(pairs[:200], pairs[200:]), sum(right) / 100, what=f"{what} of 200 and 100 pairs"
    )


@test_case(
    name="the information of many words",
    points=1,
    hidden=True,
    failure_message="Count pairs whose hypothesis has the token, in lower case, once for each pair, whatever the "
    "premise says; "
    "smoothing is added to every count of the table, 100 unless another is given.",
)
def test_scores(artefact_scores):
    pairs = [
        ("dogs", "No, no dogs!", 2),
        ("birds no", "some dogs", 0),
        ("", "Some owls", 1),
        ("", "", 1),
        ("", "no owls", 2),
    ]
    counted = {
        "no": [0, 0, 2], ",": [0, 0, 1], "dogs": [1, 0, 1], "!": [0, 0, 1], "some": [1, 1, 0], "owls": [0, 1, 1],
    }  # fmt: skip
    for smoothing in (0.5, 7.0):
        what = f"artefact_scores(pairs, {smoothing})"
        check_scores(artefact_scores(pairs, smoothing), information(counted, smoothing), what=what)
    check_scores(artefact_scores(pairs), information(counted, 100), what="artefact_scores(pairs)")
    one = information({"owls": [0, 1, 0]}, 2)
    check_scores(artefact_scores([("no", "owls", 1)], 2), one, what="artefact_scores of a single word")


@test_case(
    name="arguments that do not fit, and pairs left alone",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: no training or held-out pair, a smoothing that is not above "
    "0, no token in "
    "any hypothesis. hypothesis_only returns new pairs.",
)
def test_bad_arguments(hypothesis_only, blind_accuracy, artefact_scores):
    pairs = list(HAND)
    check_float(blind_accuracy(pairs, pairs), 1.0, what="blind_accuracy(pairs, pairs)")
    for training, held_out in ([], pairs), (pairs, []):
        check_raises(ValueError, blind_accuracy, training, held_out, what="blind_accuracy without pairs")
    for smoothing in (0.0, -1.0):
        check_raises(
            ValueError, artefact_scores, pairs, smoothing, what=f"artefact_scores(pairs, {smoothing})"
        )
    check_raises(
        ValueError, artefact_scores, [("a", "", 0)], 1.0, what="artefact_scores of an empty hypothesis"
    )
    given = [("a premise", "b", 1)]
    hypothesis_only(given)
    if given != [("a premise", "b", 1)]:
        raise Mistake("premises_overwritten", "The pairs that were handed to hypothesis_only are others now.")
    check_equal(hypothesis_only([]), [], what="hypothesis_only([])")
