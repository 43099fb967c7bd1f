"""q8: profile(model, ids, labels, repeats=3), plot_confusion(matrix, ax=None), plot_tradeoff(profiles, ax=None).

What was drawn is read off the axes. Seconds are looked at, and a pass takes no longer than all of them; else they are
never compared.
"""

import math
import sys
import time

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_raises

OK_FORMAT = False
name = "q8"
all_or_nothing = False
IDS = torch.tensor([[2, 4 + i % 6, 3, 4 + i % 5, 3] for i in range(24)])
LABELS = torch.tensor([i % 3 for i in range(24)])
MATRIX = torch.tensor([[7, 1, 2], [0, 5, 4], [3, 6, 8]])
PROFILES = {
    "vanilla": {"accuracy": 0.75, "seconds": 0.5, "parameters": 18659},
    "sparse": {"accuracy": 0.5, "seconds": 0.25, "parameters": 18657},
    "moe": {"accuracy": 0.875, "seconds": 2.0, "parameters": 44067},
}


def put_away():
    """A notebook would show every figure that a check left open."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def check_axes(ax, *, what):
    """Pass if something like axes was returned."""
    put_away()
    if ax is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )
    assert hasattr(ax, "get_xlabel"), (
        f"{what} did not return matplotlib Axes: return the axes that you drew in."
    )
    return ax


def labels_of(ax):
    return str(ax.get_xlabel()).lower(), str(ax.get_ylabel()).lower()


def texts_of(ax):
    """What is written in the axes, with where it stands; an empty title is no text."""
    found = []
    for artist in ax.get_children():
        try:
            text, place = str(artist.get_text()), artist.get_position()
        except AttributeError:
            continue
        if text.strip():
            found.append((text, tuple(round(float(number), 3) for number in place)))
    return found


def heat_map(ax):
    """The numbers of what imshow or pcolormesh drew, in one row."""
    for artist in ax.get_children():
        try:
            numbers = torch.tensor(artist.get_array().tolist(), dtype=torch.float64).flatten()
        except AttributeError:
            continue
        if numbers.numel() > 1:
            return numbers
    return torch.zeros(0, dtype=torch.float64)


def points_of(ax):
    """Where plot and scatter put their points."""
    found = [
        point for line in ax.get_lines() for point in zip(line.get_xdata(), line.get_ydata(), strict=True)
    ]
    for artist in ax.get_children():
        try:
            found += [tuple(point) for point in artist.get_offsets().tolist()]
        except AttributeError:
            continue
    return {(round(float(x), 6), round(float(y), 6)) for x, y in found}


def axes_beside(ax):
    """New axes in the same figure, to be drawn in."""
    return ax.figure.add_axes((0.1, 0.1, 0.8, 0.8))


def distance(text, ax, point):
    """How far a text is from a point, in pixels: 0 if the text covers it."""
    (left, bottom), (right, top) = text.get_window_extent().get_points().tolist()
    x, y = ax.transData.transform(point).tolist()
    return math.hypot(max(left - x, x - right, 0), max(bottom - y, y - top, 0))


def check_beside(ax, profiles, *, what):
    """Pass if each model has a text that is nearer to its own point than to those of the others."""
    places = {key: (p["seconds"], p["accuracy"]) for key, p in profiles.items()}
    ax.get_xlim()  # Matplotlib fits the limits to what was drawn when somebody asks for them
    for key in places:
        texts = [a for a in ax.get_children() if hasattr(a, "get_text") and key in str(a.get_text())]
        nearest = [min(places, key=lambda other: distance(text, ax, places[other])) for text in texts]
        assert key in nearest, f"{what} writes the text with {key} beside the point of {nearest[0]}."


@test_case(
    name="a profile has three numbers",
    points=1,
    hidden=False,
    failure_message="Return a dict with accuracy (a float from 0 to 1), seconds (a float above 0) and parameters "
    "(an int).",
)
def test_profile(NLIClassifier, profile):
    found = profile(NLIClassifier(10, 16, 2, 1, 5), IDS.clone(), LABELS.clone())
    if found is None:
        raise AssertionError(
            "profile returned None: it is not implemented yet, or its return statement is missing."
        )
    assert isinstance(found, dict), f"profile returned a value of type {type(found).__name__}, not a dict."
    for key, kind in {"accuracy": float, "seconds": float, "parameters": int}.items():
        assert type(found.get(key)) is kind, (
            f"profile returned {key!r}: {found.get(key)!r}, but a {kind.__name__} was expected."
        )
    assert found["seconds"] > 0 and math.isfinite(found["seconds"]), f"The seconds are {found['seconds']}."


@test_case(
    name="a heat map with its numbers",
    points=1,
    hidden=False,
    failure_message='imshow or pcolormesh, one text in each cell, and the labels "true ..." (y) and "predicted '
    '..." (x).',
)
def test_confusion(plot_confusion):
    ax = check_axes(plot_confusion(MATRIX.clone()), what="plot_confusion(matrix)")
    assert heat_map(ax).numel() == 9, (
        f"plot_confusion(matrix) should draw 9 cells, but draws {heat_map(ax).numel()}."
    )
    x, y = labels_of(ax)
    assert "predicted" in x and "true" in y, f"The labels are {x!r} (x) and {y!r} (y)."
    written = [text for text, _ in texts_of(ax) if text.strip().isdigit()]
    assert len(written) == 9, f"plot_confusion(matrix) writes {len(written)} counts, but 9 were expected."


@test_case(
    name="the three numbers of a profile are right",
    points=1,
    hidden=True,
    failure_message="The share of labels that are the largest logit's, from 0 to 1, the sum of numel() over the "
    "parameters, and the time of one pass in seconds: the difference of two readings of the clock.",
)
def test_numbers(NLIClassifier, profile):
    model = NLIClassifier(10, 16, 2, 2, 5, variant="moe").eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
        right = (model(IDS).argmax(-1) == LABELS).double().mean().item()
    tensors = list(model.parameters())
    numbers = sum(parameter.numel() for parameter in tensors)
    for repeats in (1, 4):
        started = time.perf_counter()
        found = profile(model, IDS.clone(), LABELS.clone(), repeats)
        passed = time.perf_counter() - started
        text = f"The accuracy of profile is {found['accuracy']:.6g}, but {right:.6g} was expected."
        if right > 0 and abs(found["accuracy"] - 100 * right) < 1e-3:
            raise Mistake("percent", text)
        assert abs(found["accuracy"] - right) < 1e-6, text
        text = f"The parameters of profile are {found['parameters']}, but {numbers} was expected."
        if found["parameters"] == len(tensors):
            raise Mistake("tensors_counted", text)
        assert found["parameters"] == numbers, text
        assert found["seconds"] <= passed, (
            f"profile says that one forward pass takes {found['seconds']:.3g} seconds, but all {repeats} of them took "
            f"{passed:.3g}."
        )
    found = profile(model, IDS[:1], LABELS[:1], 1)["accuracy"]
    assert found in (0.0, 1.0), f"The accuracy of profile of one pair is {found}, but 0 or 1 was expected."
    check_raises(ValueError, profile, model, IDS, LABELS, 0, what="profile(model, ids, labels, repeats=0)")
    check_raises(ValueError, profile, model, IDS, LABELS[:5], 1, what="profile of 24 pairs and 5 labels")


@test_case(
    name="each count in its cell",
    points=1,
    hidden=True,
    failure_message="True classes from top to bottom, predicted ones from left to right, each count in its own "
    "cell, for any "
    "number of classes. When axes are given, draw in them.",
)
def test_cells(plot_confusion):
    for matrix in (MATRIX, torch.tensor([[3, 12], [0, 9]])):
        what, n = f"plot_confusion(torch.tensor({matrix.tolist()}))", len(matrix)
        ax = check_axes(plot_confusion(matrix.clone()), what=what)
        found = heat_map(ax)
        if torch.equal(found, matrix.T.double().flatten()):
            raise Mistake("drawn_transposed", f"{what} has the true classes from left to right.")
        assert torch.equal(found, matrix.double().flatten()), f"{what} draws {found.tolist()}."
        written = {place: int(text) for text, place in texts_of(ax) if text.strip().isdigit()}
        assert len(written) == n * n, (
            f"{what} writes counts at {len(written)} places, but {n * n} were expected."
        )
        rows = sorted({y for _, y in written})
        read = [[written[place] for place in sorted(written) if place[1] == y] for y in rows]
        assert read == matrix.tolist(), f"{what} writes {read}, from the first row to the last."
    given = axes_beside(ax)
    plot_confusion(MATRIX.clone(), given)
    if not torch.equal(heat_map(given), MATRIX.double().flatten()):
        raise Mistake("other_axes", "plot_confusion(matrix, ax) did not draw in the axes that it was given.")


@test_case(
    name="points with names",
    points=2,
    hidden=True,
    failure_message="One point for each model: seconds along x, accuracy along y; beside it a text with its name "
    "and its number of "
    'parameters. The axis labels contain "seconds" and "accuracy". When axes are given, draw in them.',
)
def test_tradeoff(plot_tradeoff):
    for names in (list(PROFILES), ["moe"]):
        profiles = {key: dict(PROFILES[key]) for key in names}
        what = f"plot_tradeoff(profiles) of {', '.join(names)}"
        ax = check_axes(plot_tradeoff(profiles), what=what)
        wanted = {(p["seconds"], p["accuracy"]) for p in profiles.values()}
        found = points_of(ax)
        text = f"{what} draws the points {sorted(found)}, but {sorted(wanted)} was expected."
        if {(y, x) for x, y in wanted} <= found:
            raise Mistake("axes_exchanged", text)
        assert wanted <= found, text
        x, y = labels_of(ax)
        assert "seconds" in x and "accuracy" in y, f"The labels of {what} are {x!r} (x) and {y!r} (y)."
        for key in names:
            number = str(profiles[key]["parameters"])
            texts = [text.replace(",", "").replace("_", "") for text, _ in texts_of(ax) if key in text]
            if texts and not any(number in text for text in texts):
                raise Mistake("sizes_left_out", f"In {what} no text says {key} and {number}.")
            assert texts, f"In {what} no text names {key}: {[text for text, _ in texts_of(ax)]}."
        check_beside(ax, profiles, what=what)
    given = axes_beside(ax)
    plot_tradeoff({"moe": dict(PROFILES["moe"])}, given)
    assert points_of(given), "plot_tradeoff(profiles, ax) did not draw in the axes that it was given."
