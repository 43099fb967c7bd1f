"""q5: layers_needed(n, window, stride) -> int."""
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False


def check_layers(layers_needed, n, window, stride, expected):
    check_int(layers_needed(n, window, stride), expected, what=f"layers_needed({n}, {window}, {stride})")


@test_case(
    name="eight positions worked out by hand",
    points=2,
    hidden=False,
    failure_message="With window 2 and stride 3 one layer covers the distances 0, 1, 3 and 6. Distance 5 needs "
    "three: 3 + 1 + 1. With window 3 it is 3 + 2, and two are enough.",
)
def test_hand(layers_needed):
    check_layers(layers_needed, 8, 2, 3, 3)
    check_layers(layers_needed, 8, 3, 3, 2)


@test_case(
    name="none, one and two",
    points=2,
    hidden=False,
    failure_message="One position needs no layer. If the window holds everything, one layer does it. A window of "
    "at least the stride takes two: one hop within the window, one by strides.",
)
def test_small_numbers(layers_needed):
    check_layers(layers_needed, 1, 1, 1, 0)
    check_layers(layers_needed, 5, 5, 3, 1)
    check_layers(layers_needed, 100, 10, 10, 2)


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
