"""q4: compression_ratio(text, merges) -> float."""

from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False


def check_ratio(found, expected, *, what):
    """Pass if `found` is a number within rounding of `expected`."""
    if not isinstance(found, int | float) or isinstance(found, bool):
        check_equal(found, 1.0, what=what)
    # one division of small integers is exact to 2e-16
    if not abs(found - expected) <= 1e-12:
        raise AssertionError(f"{what} is {found:.6g}, but {expected:.6g} was expected.")


@test_case(
    name="banana bandana",
    points=2,
    hidden=False,
    failure_message="14 bytes, and 10 tokens once 'an' is merged: 14 / 10. Encode the text and count.",
)
def test_banana(compression_ratio):
    what = 'compression_ratio("banana bandana", [(97, 110)])'
    check_ratio(compression_ratio("banana bandana", [(97, 110)]), 1.4, what=what)


@test_case(
    name="without merges",
    points=2,
    hidden=False,
    failure_message="Without merges each byte is a token, so the ratio is 1. Count bytes, not letters: å is two "
    "bytes.",
)
def test_no_merges(compression_ratio):
    text = "\u00e5\u00e5"  # not typed: on some systems, test files are not read as UTF-8
    check_ratio(compression_ratio(text, []), 1.0, what=f'compression_ratio("{text}", [])')
    check_ratio(compression_ratio("fog", []), 1.0, what='compression_ratio("fog", [])')


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
