"""q2: train_bpe(text, vocab_size) -> list[(int, int)].

Judged by what each merge must be: a most frequent pair, given the merges before it. Lists are compared only where
no tie decides.
"""

from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def check_pairs(merges, count, *, what):
    """Pass if this is a list of so many tuples (int, int)."""
    if not isinstance(merges, list):
        check_equal(merges, [], what=what)
    for number, pair in enumerate(merges):
        if not (isinstance(pair, tuple) and [type(half) for half in pair] == [int, int]):
            raise AssertionError(f"{what}[{number}] is {pair!r}, but a tuple of two ints was expected.")
    if len(merges) != count:
        raise AssertionError(f"{what} has {len(merges)} merges, but {count} were expected.")


@test_case(
    name="banana bandana: one merge, and none",
    points=2,
    hidden=False,
    failure_message="'an' is the most frequent pair: (97, 110). A vocabulary of 257 tokens has room for one merge, "
    "one of 256 for none.",
)
def test_banana(train_bpe):
    check_equal(train_bpe("banana bandana", 257), [(97, 110)], what='train_bpe("banana bandana", 257)')
    check_equal(train_bpe("banana bandana", 256), [], what='train_bpe("banana bandana", 256)')


@test_case(
    name="two merges worked out by hand",
    points=3,
    hidden=False,
    failure_message="'an' stands in 7 places, more than any other pair. Once it is X, that is 256, the row is bXXa "
    "bXdXa bXXa bXd: (b, X) stands in 4 places, (X, a) in 3. Count again after each merge.",
)
def test_two_merges(train_bpe):
    text = "banana bandana banana band"
    check_equal(train_bpe(text, 258), [(97, 110), (98, 256)], what=f'train_bpe("{text}", 258)')


@test_case(
    name="the same twice",
    points=2,
    hidden=False,
    failure_message="Where several pairs are equally frequent, chance must not decide, and nothing may be left over "
    "from the call before.",
)
def test_twice(train_bpe):
    first = train_bpe("equal pairs: ab cd ef gh", 270)
    check_pairs(first, 14, what='train_bpe("equal pairs: ab cd ef gh", 270)')
    train_bpe("another text in between", 260)
    check_equal(train_bpe("equal pairs: ab cd ef gh", 270), first, what="the same call for the second time")


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
