"""q1: pair_counts(ids) -> dict, merge(ids, pair, new_id) -> list."""

from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False

BANANA = list(b"banana bandana")


@test_case(
    name="the pairs of banana bandana",
    points=2,
    hidden=False,
    failure_message="14 letters have 13 pairs of neighbours. The keys are tuples (left, right): (97, 110) is 'an'.",
)
def test_counts_by_hand(pair_counts):
    a, b, d, n, blank = b"abdn "
    expected = {(b, a): 2, (a, n): 4, (n, a): 3, (a, blank): 1, (blank, b): 1, (n, d): 1, (d, a): 1}
    check_equal(pair_counts(list(BANANA)), expected, what="pair_counts(list(b'banana bandana'))")


@test_case(
    name="an becomes one token",
    points=2,
    hidden=False,
    failure_message="Write new_id wherever the pair stands, and copy all other ids: b X X a _ b X d X a.",
)
def test_merge_by_hand(merge):
    a, b, d, n, blank = b"abdn "
    expected = [b, 256, 256, a, blank, b, 256, d, 256, a]
    check_equal(
        merge(list(BANANA), (a, n), 256), expected, what="merge(list(b'banana bandana'), (97, 110), 256)"
    )


@test_case(
    name="pairs that overlap",
    points=2,
    hidden=False,
    failure_message="In a, a, a the pair (a, a) is counted twice, for every place counts. But merging it gives X, "
    "a: go on behind both, for an id that was merged is used up.",
)
def test_overlap(pair_counts, merge):
    check_equal(pair_counts([7, 7, 7]), {(7, 7): 2}, what="pair_counts([7, 7, 7])")
    check_equal(merge([7, 7, 7], (7, 7), 256), [256, 7], what="merge([7, 7, 7], (7, 7), 256)")


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
