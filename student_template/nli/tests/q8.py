"""q8: profile(model, ids, labels, repeats=3), plot_confusion(matrix, ax=None), plot_tradeoff(profiles, ax=None).

What was drawn is read off the axes. Seconds are looked at, and a pass takes no longer than all of them; else they are
never compared.
"""

import math
import sys

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q8"
all_or_nothing = False
IDS = torch.tensor([[2, 4 + i % 6, 3, 4 + i % 5, 3] for i in range(24)])
LABELS = torch.tensor([i % 3 for i in range(24)])
MATRIX = torch.tensor([[7, 1, 2], [0, 5, 4], [3, 6, 8]])


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
