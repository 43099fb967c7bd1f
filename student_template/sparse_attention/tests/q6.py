"""q6: growth_exponent(lengths, costs) and plot_costs(lengths, costs, ax=None)."""
import sys

from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False
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


def drawn(plot_costs, lengths, costs):
    """The axes, which must be something that was returned."""
    ax = plot_costs(lengths, costs)
    close_figures()
    assert ax is not None, (
        f"{PLOT} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert hasattr(ax, "get_lines"), f"{PLOT} must return the axes that it drew into."
    return ax


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
