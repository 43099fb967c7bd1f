"""q4: compression_ratio(text, merges) -> float."""

from otter.test_files import test_case

from autograder.checks import check_equal

OK_FORMAT = False
name = "q4"
all_or_nothing = False

CALL = "compression_ratio(text, merges)"


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


@test_case(
    name="texts in several alphabets",
    points=2,
    hidden=True,
    failure_message="The bytes of the text in UTF-8, over the number of ids that encode gives for it.",
)
def test_alphabets(compression_ratio):
    merges = [(0xC3, 0xA5), (256, 256), (97, 98), (258, 258), (0xE7, 0x87)]
    for text, tokens in (("åååå", 2), ("ababab", 2), ("ab å", 3), ("燈燈", 4), ("xyz", 3), ("åab燈", 4)):
        expected = len(text.encode()) / tokens
        check_ratio(
            compression_ratio(text, list(merges)), expected, what=f'compression_ratio("{text}", {merges})'
        )


@test_case(
    name="the empty text, and what was given",
    points=2,
    hidden=True,
    failure_message="The ratio of the empty text is 1.0, with merges and without. The merges must be as they were.",
)
def test_empty(compression_ratio):
    merges = [(97, 98)]
    check_ratio(compression_ratio("", []), 1.0, what='compression_ratio("", [])')
    check_ratio(compression_ratio("", merges), 1.0, what='compression_ratio("", [(97, 98)])')
    check_ratio(compression_ratio("ab", merges), 2.0, what='compression_ratio("ab", [(97, 98)])')
    check_equal(merges, [(97, 98)], what=f"merges after {CALL}")
