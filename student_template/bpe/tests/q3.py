"""q3: encode(text, merges) -> list of ids, decode(ids, merges) -> text."""

from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False

# "cd", then "ab", then "abc"
HAND = [(99, 100), (97, 98), (257, 99)]


@test_case(
    name="abcd by hand",
    points=2,
    hidden=False,
    failure_message="cd was learned first, so it is merged first; then ab. After that no c is left for the third "
    "merge. Without merges, the ids are the bytes.",
)
def test_encode_by_hand(encode):
    check_equal(encode("abcd", HAND), [257, 256], what='encode("abcd", [(99, 100), (97, 98), (257, 99)])')
    check_equal(encode("h\u00e5", []), [104, 195, 165], what='encode("h\u00e5", [])')


@test_case(
    name="half a letter and a whole one",
    points=2,
    hidden=False,
    failure_message="Join the bytes of all ids first, then decode them once, with errors='replace'.",
)
def test_decode_by_hand(decode):
    check_equal(
        decode([257, 99, 258], HAND),
        "abcabc",
        what="decode([257, 99, 258], [(99, 100), (97, 98), (257, 99)])",
    )
    check_equal(decode([104, 195, 165], []), "h\u00e5", what="decode([104, 195, 165], [])")
    check_equal(decode([104, 195], []), "h\ufffd", what="decode([104, 195], [])")


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
