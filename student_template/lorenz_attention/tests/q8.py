"""q8: attention_map(model, window), plot_attention(weights, ax=None) and plot_forecast(prediction, truth, dt).

What was drawn is read off the axes.
"""
import sys

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q8"
all_or_nothing = False
MAP = "attention_map(model, window)"
HEAT = "plot_attention(weights)"
FORECAST = "plot_forecast(prediction, truth, dt=0.1)"


def normal(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def put_away():
    """A notebook would show every figure that a check left open."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def check_there(found, attribute, *, what, wanted):
    """Pass if something was returned, and it is what was wanted."""
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert hasattr(found, attribute), (
        f"{what} returned a value of type {type(found).__name__}, but {wanted} was expected."
    )
    return found


def heat_maps(ax):
    """What imshow or pcolormesh drew, each with its numbers in one row."""
    found = []
    for artist in ax.get_children():
        try:
            numbers = artist.get_array()
        except AttributeError:
            continue
        if numbers is not None and torch.tensor(numbers.tolist()).numel() > 1:
            found.append((artist, torch.tensor(numbers.tolist(), dtype=torch.float64).flatten()))
    return found


def heat_map(ax):
    """The numbers of the first one."""
    return next((numbers for _, numbers in heat_maps(ax)), torch.zeros(0, dtype=torch.float64))


def check_map(found, length, *, what):
    """Pass if these are weights over a window, (rows, length)."""
    check_there(found, "shape", what=what, wanted="a torch.Tensor")
    shape = tuple(found.shape)
    assert len(shape) == 2 and shape[0] >= 1 and shape[1] == length, (
        f"{what} has shape {shape}, but (rows, {length}) was expected: one column for each sample of the window."
    )
    return found.detach().double()


@test_case(
    name="weights over the window",
    points=2,
    hidden=False,
    failure_message="Return the weights that your attention returned for this window: (rows, "
    "length), each row non-negative "
    "with sum 1.",
)
def test_map(AttentionForecaster, attention_map):
    found = check_map(attention_map(AttentionForecaster(2, 5), normal(5, 2, seed=2)), 5, what=MAP)
    # a row of float32 weights sums to 1 within 1e-6
    off = float((found.sum(1) - 1).abs().max())
    assert off < 1e-4 and bool((found >= 0).all()), (
        f"The rows of {MAP} sum to {[round(v, 3) for v in found.sum(1).tolist()][:4]}, but weights "
        "are non-negative and sum to 1."
    )


@test_case(
    name="a heat map with labels",
    points=1,
    hidden=False,
    failure_message="Draw the weights with ax.imshow or ax.pcolormesh, label both axes, and return the axes.",
)
def test_heat(plot_attention):
    ax = plot_attention(torch.tensor([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]))
    put_away()
    check_there(ax, "get_xlabel", what=HEAT, wanted="matplotlib Axes")
    drawn = heat_map(ax).numel()
    assert drawn == 6, f"{HEAT} should draw 2 times 3 cells, but draws {drawn}."
    assert ax.get_xlabel() and ax.get_ylabel(), f"In {HEAT} both axes need a label."


@test_case(
    name="one set of axes for each coordinate",
    points=1,
    hidden=False,
    failure_message="With d = 3: three-dimensional axes first, then one for each coordinate. With d "
    "= 1: only the latter. "
    "Return the figure.",
)
def test_forecast_axes(plot_forecast):
    for d, kinds in [(3, [True, False, False, False]), (1, [False])]:
        truth = normal(12, d, seed=3)
        figure = check_there(
            plot_forecast(truth + 0.1, truth, 0.1), "get_axes", what=FORECAST, wanted="a figure"
        )
        found = [ax.name == "3d" for ax in figure.get_axes()]
        put_away()
        assert found == kinds, (
            f"The figure of {FORECAST} with d = {d} should have {len(kinds)} axes, three-dimensional: {kinds}, but"
            f" found: {found}."
        )
