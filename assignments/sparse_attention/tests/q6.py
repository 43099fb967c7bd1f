"""q6: growth_exponent(lengths, costs) and plot_costs(lengths, costs, ax=None)."""

import math
import sys

from otter.test_files import test_case

from autograder.checks import check_raises

OK_FORMAT = False
name = "q6"
all_or_nothing = False
SLOPE = "growth_exponent(lengths, costs)"
PLOT = "plot_costs(lengths, costs)"


def close_figures():
    """Keep the figures of this test out of the student's notebook."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def check_slope(found, expected, what):
    """Pass if it is this number. Forms of the least-squares line differ by 1e-13 (measured)."""
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, float), (
        f"{what} returned a value of type {type(found).__name__}, but a float was expected."
    )
    assert abs(found - expected) <= 1e-9, f"{what} is {found:.6g}, but {expected:.6g} was expected."


def least_squares(lengths, costs):
    x, y = [math.log(n) for n in lengths], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def drawn(plot_costs, lengths, costs):
    """The axes, which must be something that was returned."""
    ax = plot_costs(lengths, costs)
    close_figures()
    assert ax is not None, (
        f"{PLOT} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert hasattr(ax, "get_lines"), f"{PLOT} must return the axes that it drew into."
    return ax


def points_of(line):
    """The points of a line as pairs of floats."""
    x, y = ([float(number) for number in data] for data in (line.get_xdata(), line.get_ydata()))
    return list(zip(x, y, strict=True))


@test_case(
    name="a slope worked out by hand",
    points=2,
    hidden=False,
    failure_message="In powers of ten the lengths 1, 10, 100 are 0, 1, 2, and the costs 5, 50, 50000 are 0, 1, 4 "
    "above the first: the least-squares line has slope 2. The result is a Python float.",
)
def test_slope(growth_exponent):
    what = "growth_exponent([1, 10, 100], [5, 50, 50000])"
    check_slope(growth_exponent([1, 10, 100], [5, 50, 50000]), 2.0, what)


@test_case(
    name="a picture with two curves",
    points=2,
    hidden=False,
    failure_message="Draw one line for each name, make both axes logarithmic, label them, show a legend, and "
    "return ax.",
)
def test_plot(plot_costs):
    ax = drawn(plot_costs, [4, 16, 64], {"full": [16.0, 256.0, 4096.0], "sparse": [8.0, 64.0, 512.0]})
    assert len(ax.get_lines()) == 2, (
        f"{PLOT} must draw 2 lines for 2 names, but there are {len(ax.get_lines())}."
    )
    scales = ax.get_xscale(), ax.get_yscale()
    assert scales == ("log", "log"), (
        f"In {PLOT}, both scales must be log, but they are {scales[0]} and {scales[1]}."
    )
    assert ax.get_xlabel() and ax.get_ylabel(), f"In {PLOT}, both axes need a label."


@test_case(
    name="slopes through all points",
    points=2,
    hidden=True,
    failure_message="The line goes through the middle of all points, not through the first and the last, and not "
    "through the origin; the unit of the costs does not matter. Lengths that are all equal have no slope: "
    "ValueError.",
)
def test_slopes(growth_exponent):
    lengths = [16, 100, 256, 900, 4096]
    powers = [3e-5 * n**1.5 for n in lengths]
    check_slope(growth_exponent(lengths, powers), 1.5, f"{SLOPE} with costs of 3e-5 n**1.5")
    noisy = [cost * factor for cost, factor in zip(powers, (1.3, 0.8, 1.1, 0.9, 1.4), strict=True)]
    for scale in (1.0, 1e6):
        costs = [scale * cost for cost in noisy]
        check_slope(growth_exponent(lengths, costs), least_squares(lengths, costs), f"{SLOPE} with noise")
    check_slope(growth_exponent([2.0, 8.0], [5.0, 5.0]), 0.0, f"{SLOPE} with equal costs")
    mixed = [900, 16, 4096, 100], [7.0, 2.0, 1.0, 9.0]
    check_slope(growth_exponent(*mixed), least_squares(*mixed), f"{SLOPE} with lengths in any order")
    for label, arguments in {
        "two lengths and three costs": ([1, 2], [1.0, 2.0, 3.0]),
        "one point": ([2], [3.0]),
        "nothing": ([], []),
        "a cost of 0": ([1, 2], [0.0, 1.0]),
        "a length of 0": ([0, 2], [1.0, 1.0]),
        "equal lengths": ([4, 4], [1.0, 2.0]),
    }.items():
        check_raises(ValueError, growth_exponent, *arguments, what=f"{SLOPE} with {label}")


@test_case(
    name="the curves are those given, and named",
    points=2,
    hidden=True,
    failure_message="Each line goes through (length, cost) for its name, lengths along x, in the order of the "
    "dict, and the legend shows the names; given axes are drawn into. Costs of another number than lengths, and no "
    "costs at all, are a ValueError.",
)
def test_curves(plot_costs):
    lengths, costs = (
        [9, 25, 100, 400],
        {"b": [3.0, 5.0, 2.0, 8.0], "a": [1.0, 2.0, 4.0, 7.0], "c": [6.0, 6.5, 7.0, 9.0]},
    )
    ax = drawn(plot_costs, lengths, costs)
    lines, legend = list(ax.get_lines()), ax.get_legend()
    assert len(lines) == 3, f"{PLOT} must draw 3 lines for 3 names, but there are {len(lines)}."
    for line, (label, values) in zip(lines, costs.items(), strict=True):
        expected = [(float(n), cost) for n, cost in zip(lengths, values, strict=True)]
        assert points_of(line) == expected, (
            f"In {PLOT}, the line of {label!r} goes through {points_of(line)}, not through {expected}."
        )
    assert legend is not None, f"In {PLOT}, there is no legend."
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown == list(costs), f"In {PLOT}, the legend shows {shown}, but {list(costs)} was expected."
    scales = ax.get_xscale(), ax.get_yscale()
    assert scales == ("log", "log"), (
        f"In {PLOT}, both scales must be log, but they are {scales[0]} and {scales[1]}."
    )
    plot_costs(lengths, {"d": [1.0, 1.5, 1.0, 2.0]}, ax)
    assert len(ax.get_lines()) == 4, (
        f"plot_costs(lengths, costs, ax) must draw into ax, which has {len(ax.get_lines())} lines after 3 names "
        "and 1 more."
    )
    check_raises(ValueError, plot_costs, [1, 2], {"a": [1.0]}, what=f"{PLOT} with 2 lengths and 1 cost")
    check_raises(ValueError, plot_costs, [1, 2], {}, what=f"{PLOT} without costs")
    close_figures()
