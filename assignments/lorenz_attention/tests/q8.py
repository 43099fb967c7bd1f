"""q8: attention_map(model, window), plot_attention(weights, ax=None) and plot_forecast(prediction, truth, dt).

What was drawn is read off the axes.
"""

import itertools
import sys

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_dtype, check_raises

OK_FORMAT = False
name = "q8"
all_or_nothing = False
LYAPUNOV = 0.9056
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


def has_shades(artist, numbers):
    """Whether most of the numbers lie where colours differ."""
    low, high = (float(v) for v in artist.get_clim())
    return low < high and float(((numbers >= low) & (numbers <= high)).double().mean()) > 0.5


def curves(ax):
    """x and y of each line of some axes."""
    lines = [(line.get_xdata(), line.get_ydata()) for line in ax.get_lines()]
    return [
        tuple(torch.tensor([float(v) for v in part], dtype=torch.float64) for part in line) for line in lines
    ]


def covered(one, other):
    """How much of the smaller one of two axes the other one covers."""
    one, other = one.bbox, other.bbox
    width = min(float(one.x1), float(other.x1)) - max(float(one.x0), float(other.x0))
    height = min(float(one.y1), float(other.y1)) - max(float(one.y0), float(other.y0))
    smaller = min(float(box.width) * float(box.height) for box in (one, other))
    return max(width, 0) * max(height, 0) / smaller


def marks_of(ax):
    """Where some axes have a vertical line that can be seen."""
    lines = [line for line in ax.get_lines() if float(line.get_linewidth()) > 0]
    ends = [[float(x) for x in line.get_xdata()] for line in lines]
    return [xs[0] for xs in ends if len(xs) == 2 and abs(xs[0] - xs[1]) < 1e-9]


def same(one, other):
    return one.shape == other.shape and bool(((one - other.double()).abs() < 1e-4).all())


def moved(AttentionForecaster):
    """A forecaster whose parameters differ from how they start, for some start as zeros."""
    model = AttentionForecaster(2, 5).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


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


@test_case(
    name="the weights follow the window and the model",
    points=2,
    hidden=True,
    failure_message="The map must come from the network: another window or other weights give "
    "another map, and each row is a "
    "softmax over the samples of the window, not a sum over heads.",
)
def test_map_is_real(AttentionForecaster, attention_map):
    model, window = moved(AttentionForecaster), 2 * normal(5, 2, seed=4)
    weights = attention_map(model, window)
    found = check_map(weights, 5, what=MAP)
    check_dtype(weights, window.dtype, what=MAP)
    assert not weights.requires_grad, f"{MAP} carries a gradient: use torch.no_grad() or .detach()."
    sums = found.sum(1)
    whole = sums.round()
    if bool((whole[0] > 1.5) & ((sums - whole[0]).abs() < 1e-4).all()):
        raise Mistake(
            "map_summed_over_heads", f"Each row of {MAP} sums to {whole[0]:.0f}, but 1 was expected."
        )
    assert float((sums - 1).abs().max()) < 1e-4 and bool((found >= 0).all()), (
        f"A row of {MAP} sums to {sums[0]:.4g}, but weights are non-negative and sum to 1."
    )
    another = check_map(attention_map(model, 2 * normal(5, 2, seed=5)), 5, what=MAP)
    # over 20 draws of its parameters the reference's map moves by 0.6 or more
    assert found.shape != another.shape or float((found - another).abs().max()) > 1e-4, (
        f"{MAP} is the same for two different windows: it does not show what the network did."
    )
    assert float((found - 1 / 5).abs().max()) > 1e-4, f"{MAP} gives every sample the same weight, 1/5."
    check_raises(ValueError, attention_map, model, window[0], what=f"{MAP} with a window of one dimension")


@test_case(
    name="the heat map shows the weights as they are",
    points=1,
    hidden=True,
    failure_message="Samples of the window run along x: a map of 3 rows and 5 columns is drawn so, not on its side.",
)
def test_heat_values(plot_attention):
    weights = torch.softmax(normal(3, 5, seed=6), -1)
    ax = plot_attention(weights)
    drawn, shades = heat_map(ax), all(has_shades(*each) for each in heat_maps(ax))
    left, right = (float(v) for v in ax.get_xlim())
    plot_attention(weights.flip(1), ax)
    number = len(heat_maps(ax))
    put_away()
    wide = abs(right - left) > 4
    if same(drawn, weights.T.flatten()) and not wide:
        raise Mistake("map_on_its_side", f"{HEAT} shows the samples of the window along y.")
    as_it_is = same(drawn, weights.flatten()) or same(drawn, weights.flip(0).flatten())
    assert as_it_is and wide, f"{HEAT} of a (3, 5) map does not show its weights with the 5 samples along x."
    assert shades, f"{HEAT} shows large weights and small ones in one colour: look at vmin and vmax."
    assert number == 2, "plot_attention(weights, ax) must draw into the axes that it is given."
    check_raises(ValueError, plot_attention, weights[0], what=f"{HEAT} with weights of one dimension")


@test_case(
    name="the curves are truth and forecast",
    points=2,
    hidden=True,
    failure_message="Every coordinate's axes hold the true and the predicted curve over time in "
    "Lyapunov times, k * dt * 0.9056; "
    "the axes in space hold both curves (x, y, z).",
)
def test_curves(plot_forecast):
    truth = normal(15, 3, seed=7).double()
    prediction = truth + 0.3 * normal(15, 3, seed=8).double()
    figure = check_there(plot_forecast(prediction, truth, 0.1), "get_axes", what=FORECAST, wanted="a figure")
    space, *flat = figure.get_axes()
    for one, other in itertools.combinations([space, *flat], 2):
        assert covered(one, other) < 0.5, (
            f"In {FORECAST}, some axes lie over others: each needs a place of its own."
        )
    times = torch.arange(15) * 0.1 * LYAPUNOV
    for c, ax in enumerate(flat):
        found = [line for line in curves(ax) if line[0].numel() == 15]
        for label, wanted in [("true", truth[:, c]), ("predicted", prediction[:, c])]:
            ok = any(same(x, times) and same(y, wanted) for x, y in found)
            assert ok, (
                f"In {FORECAST}, the axes of coordinate {c} have no {label} curve over time in Lyapunov times."
            )
        assert ax.get_xlabel() and ax.get_ylabel(), (
            f"In {FORECAST}, the axes of coordinate {c} need two labels."
        )
    lines = [
        torch.tensor([[float(v) for v in part] for part in line.get_data_3d()]) for line in space.get_lines()
    ]
    put_away()
    for label, wanted in [("true", truth), ("predicted", prediction)]:
        ok = any(same(line.double(), wanted.T) for line in lines)
        assert ok, f"In {FORECAST}, the three-dimensional axes have no {label} curve."


@test_case(
    name="the valid time is marked",
    points=1,
    hidden=True,
    failure_message="ax.axvline at the valid time, in the unit of the axis, which is Lyapunov times; "
    "ValueError for shapes "
    "that differ and for d = 2.",
)
def test_mark(plot_forecast):
    truth = torch.tensor([1.0, -1.0] * 6)[:, None]
    prediction = truth.clone()
    prediction[5:] += 1.0  # so valid for 5 samples: 0.4528 Lyapunov times, 0.5 units of time
    figure = check_there(plot_forecast(prediction, truth, 0.1), "get_axes", what=FORECAST, wanted="a figure")
    (ax,) = figure.get_axes()
    marks = marks_of(ax)
    put_away()
    if marks and all(abs(mark - 0.5) < 1e-6 for mark in marks):
        raise Mistake(
            "marked_in_units_of_time", f"{FORECAST} marks 0.5, but the valid time is 0.4528 Lyapunov times."
        )
    assert any(abs(mark - 5 * 0.1 * LYAPUNOV) < 1e-6 for mark in marks), (
        f"{FORECAST} should have a vertical line at the valid time, 0.4528 Lyapunov times, but its "
        "vertical lines are at"
        f" {marks}."
    )
    prediction[3] += 0.5  # an error above 0.4, were it not for the spread of the forecast
    prediction[5:] += 30
    (ax,) = plot_forecast(prediction, truth, 0.1).get_axes()
    marks = marks_of(ax)
    put_away()
    assert any(abs(mark - 3 * 0.1 * LYAPUNOV) < 1e-6 for mark in marks), (
        f"{FORECAST} should have a vertical line at 0.2717 Lyapunov times, but its vertical lines are at {marks}:"
        " errors are in units of the standard deviation of the truth."
    )
    check_raises(
        ValueError, plot_forecast, prediction[:5], truth, 0.1, what=f"{FORECAST} of 5 samples for 12"
    )
    two = torch.ones(12, 2)
    check_raises(ValueError, plot_forecast, two, two, 0.1, what=f"{FORECAST} with d = 2")
