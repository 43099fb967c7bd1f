"""q4: plot_encoding(encoding, ax=None). What was drawn is read off the axes."""

import sys

import torch
from otter.test_files import test_case

from autograder.checks import check_raises, check_unchanged

OK_FORMAT = False
name = "q4"
all_or_nothing = False
ROWS, COLUMNS = "position", "dimension"


def check_returned(found, *, what):
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def matrix(n, d, dtype=torch.float64):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(n), dtype=dtype)


def heat_map(ax):
    """What imshow or pcolormesh drew: the artist and its numbers in one row, or None."""
    for artist in ax.get_children():
        try:
            numbers = artist.get_array()
        except AttributeError:
            continue
        if numbers is not None:
            return artist, torch.tensor(numbers.tolist(), dtype=torch.float64).flatten()
    return None


def put_away():
    """A notebook would show every figure that a check left open."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def check_axes(ax, *, what):
    """Pass if something like axes was returned; what was drawn in it is returned."""
    put_away()
    check_returned(ax, what=what)
    if not hasattr(ax, "get_children"):
        raise AssertionError(f"{what} did not return matplotlib Axes: return the axes that you drew in.")
    drawn = heat_map(ax)
    if drawn is None:
        raise AssertionError(
            f"In what {what} returned there is no heat map: draw it with ax.imshow or ax.pcolormesh."
        )
    return drawn


def check_map(ax, expected, *, what):
    """Pass if the heat map shows these numbers, (positions, dimensions), and the labels fit its orientation."""
    _, numbers = check_axes(ax, what=what)
    if numbers.numel() != expected.numel():
        raise AssertionError(
            f"{what} draws {numbers.numel()} cells, but {expected.shape[0]} positions times {expected.shape[1]}"
            f" dimensions, {expected.numel()} cells, were expected."
        )
    down, right = close(numbers, expected.flatten()), close(numbers, expected.T.flatten())
    if not (down or right):
        raise AssertionError(f"{what} draws other numbers than those of the encoding.")
    labels = str(ax.get_xlabel()), str(ax.get_ylabel())
    fitting = [words for words, yes in (((ROWS, COLUMNS)[::-1], down), ((ROWS, COLUMNS), right)) if yes]
    if any(
        all(word in label.lower() for word, label in zip(words, labels, strict=True)) for words in fitting
    ):
        return
    raise AssertionError(
        f'{what} shows the {fitting[0][0]}s along x and the {fitting[0][1]}s along y, but the labels are "{labels[0]}"'
        f' (x) and "{labels[1]}" (y): each should contain the word for its axis.'
    )


def close(found, expected):
    """imshow and pcolormesh keep the numbers as they are; half precision for drawing would be fine as well."""
    return bool(((found - expected.double()).abs() <= 2e-3).all())


@test_case(
    name="a heat map with labels",
    points=2,
    hidden=False,
    failure_message="Draw with ax.imshow or ax.pcolormesh and return the axes. Rows of an image run down: which "
    "axis shows the positions?",
)
def test_map(plot_encoding):
    encoding = matrix(5, 4)
    check_map(plot_encoding(encoding), encoding, what="plot_encoding(encoding)")


@test_case(
    name="a colour bar",
    points=2,
    hidden=False,
    failure_message="figure.colorbar(...), given what imshow or pcolormesh returned, says which colour is which "
    "number.",
)
def test_colour_bar(plot_encoding):
    artist, _ = check_axes(plot_encoding(matrix(6, 3)), what="plot_encoding(encoding)")
    assert artist.colorbar is not None, "The heat map of plot_encoding(encoding) has no colour bar."


@test_case(
    name="positions 0 to 100",
    points=2,
    hidden=True,
    failure_message="The first 101 positions are drawn, or all if there are fewer; in float32 as well as in "
    "float64.",
)
def test_positions(plot_encoding):
    for n, d, dtype in [
        (101, 6, torch.float32),
        (130, 5, torch.float64),
        (1, 3, torch.float64),
        (1, 1, torch.float64),
    ]:
        encoding = matrix(n, d, dtype)
        what = f"plot_encoding(encoding) with an encoding of shape {(n, d)}"
        check_map(plot_encoding(encoding), encoding[:101], what=what)


@test_case(
    name="axes that are given, and the encoding left alone",
    points=1,
    hidden=True,
    failure_message="When axes are given, draw in them and return them. The encoding itself is not changed.",
)
def test_given_axes(plot_encoding):
    encoding = matrix(7, 4)
    before = encoding.clone()
    first = plot_encoding(encoding)
    check_map(first, encoding, what="plot_encoding(encoding)")
    check_unchanged(before, encoding, what="encoding in plot_encoding(encoding)")
    given = first.figure.add_axes([0.1, 0.1, 0.3, 0.3])
    given.set_gid("given")
    found = plot_encoding(before * 2, given)
    check_map(found, before * 2, what="plot_encoding(encoding, ax)")
    assert found.get_gid() == "given", (
        "plot_encoding(encoding, ax) returned other axes than those it was given."
    )


@test_case(
    name="arguments that make no sense",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message unless the encoding has two dimensions, neither of them 0.",
)
def test_bad_arguments(plot_encoding):
    check_axes(plot_encoding(matrix(2, 2)), what="plot_encoding(encoding)")
    for shape in [(4,), (2, 3, 4), (0, 4)]:
        what = f"plot_encoding(encoding) with an encoding of shape {shape}"
        check_raises(ValueError, plot_encoding, torch.zeros(shape), what=what)
