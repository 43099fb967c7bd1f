"""q1: encode_problem(text) and decode_ids(ids)."""

from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def check_equal(found, expected, what):
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert type(found) is type(expected), (
        f"{what} returned a value of type {type(found).__name__}, but a {type(expected).__name__} was expected."
    )
    assert found == expected, f"{what} is {found!r}, but {expected!r} was expected."
    for item in found:
        assert type(item) in (int, str), (
            f"{what} holds a {type(item).__name__}, but a Python int was expected."
        )


@test_case(
    name="a problem with its end",
    points=1,
    hidden=False,
    failure_message="The id of a symbol is its place in the alphabet, counted from 0. One id for each symbol of "
    "the text, and nothing else: the end is there because the text has a ; itself.",
)
def test_encode(encode_problem):
    check_equal(encode_problem("3+5=8;"), [3, 10, 5, 12, 8, 13], what="encode_problem('3+5=8;')")


@test_case(
    name="back to text",
    points=1,
    hidden=False,
    failure_message="The symbol of an id is ALPHABET[id]; the ids become one string.",
)
def test_decode(decode_ids):
    check_equal(decode_ids([1, 0, 11, 2, 12]), "10-2=", what="decode_ids([1, 0, 11, 2, 12])")
