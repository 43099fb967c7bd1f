"""q4: attended_pairs(n, window, stride) -> int."""

from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False


def check_count(attended_pairs, n, window, stride, expected):
    what = f"attended_pairs({n}, {window}, {stride})"
    check_int(attended_pairs(n, window, stride), expected, what=what)


@test_case(
    name="counted by hand",
    points=2,
    hidden=False,
    failure_message="The mask of q1, n = 8, window 2 and stride 3, has the distances 0, 1, 3 and 6. They occur 8, "
    "7, 5 and 2 times, together 22. The result is a Python int.",
)
def test_hand(attended_pairs):
    check_count(attended_pairs, 8, 2, 3, 22)


@test_case(
    name="all earlier positions, and oneself alone",
    points=2,
    hidden=False,
    failure_message="A window of n, or a stride of 1, permits every pair with j <= i: n (n + 1) / 2 of them, 10 "
    "for n = 4. With window 1 and a stride of n or more, each position sees itself alone.",
)
def test_extremes(attended_pairs):
    check_count(attended_pairs, 4, 4, 4, 10)
    check_count(attended_pairs, 4, 1, 1, 10)
    check_count(attended_pairs, 4, 1, 4, 4)


# The comparisons that are used above.

def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_int(found: object, expected: int, *, what: str) -> None:
    """Pass if `found` is the Python int `expected`."""
    check_returned(found, what=what)
    if type(found) is not int:
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a Python int was expected."
        )
    if found != expected:
        raise AssertionError(f"{what} is {found}, but {expected} was expected.")
