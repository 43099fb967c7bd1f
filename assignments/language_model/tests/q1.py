"""q1: encode_problem(text) and decode_ids(ids)."""

from otter.test_files import test_case

from autograder.checks import check_raises

OK_FORMAT = False
name = "q1"
all_or_nothing = False
ALPHABET = "0123456789+-=;_"


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


@test_case(
    name="all symbols, no symbols",
    points=1,
    hidden=True,
    failure_message="Each of the 15 symbols has an id, + - = ; _ too. An empty text has no ids, and no ids are an"
    " empty text.",
)
def test_all(encode_problem, decode_ids):
    check_equal(encode_problem(ALPHABET), list(range(15)), what=f"encode_problem({ALPHABET!r})")
    check_equal(encode_problem("10-2="), [1, 0, 11, 2, 12], what="encode_problem('10-2=')")
    check_equal(encode_problem(""), [], what="encode_problem('')")
    check_equal(decode_ids(list(range(13))), ALPHABET[:13], what="decode_ids([0, 1, ..., 12])")
    check_equal(decode_ids([]), "", what="decode_ids([])")


@test_case(
    name="the end of a text, and padding",
    points=2,
    hidden=True,
    failure_message="The text stops before the first ;, whatever comes after it. Padding stands for nothing, and "
    "is left out wherever it is. The list itself stays as it is.",
)
def test_end(decode_ids):
    ids = [8, 13, 14, 14]
    check_equal(decode_ids(ids), "8", what="decode_ids([8, 13, 14, 14])")
    assert ids == [8, 13, 14, 14], "decode_ids changed the list that it was given. Make a new one."
    check_equal(decode_ids([6, 5, 13, 5, 13, 7]), "65", what="decode_ids([6, 5, 13, 5, 13, 7])")
    check_equal(decode_ids([14, 6, 14, 5]), "65", what="decode_ids([14, 6, 14, 5])")
    check_equal(decode_ids([13]), "", what="decode_ids([13])")


@test_case(
    name="unknown symbols and ids",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a character that is not in the alphabet, and for an id "
    "that is not in 0..14. Python counts negative places from the end, so -1 needs care.",
)
def test_unknown(encode_problem, decode_ids):
    check_equal(encode_problem("3+5="), [3, 10, 5, 12], what="encode_problem('3+5=')")
    for text in ("3 + 5", "3*5=", "\u0663+5=", "\u00b2", "3+5=8\n"):
        check_raises(ValueError, encode_problem, text, what=f"encode_problem({text!r})")
    check_equal(decode_ids([3, 10]), "3+", what="decode_ids([3, 10])")
    for ids in ([15], [3, -1], [1000, 3]):
        check_raises(ValueError, decode_ids, ids, what=f"decode_ids({ids})")
