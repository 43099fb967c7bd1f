"""q6: expert_load(assignments, n_experts) and plot_regions(assignments, extent, ax=None)."""

import sys

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_unchanged

OK_FORMAT = False
name = "q6"
all_or_nothing = False
LOAD = "expert_load(assignments, n_experts)"
PLOT = "plot_regions(assignments, extent)"


def close_figures():
    """Keep the figures of this test out of the student's notebook."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def values_of(image):
    """The numbers of an image, as nested lists from the top row of its data."""
    return [[int(value) for value in row] for row in image.get_array().tolist()]


@test_case(
    name="five rows and an idle expert",
    points=2,
    hidden=False,
    failure_message="Count how often each index occurs and divide by the number of rows. An idle expert has load 0.",
)
def test_load(expert_load):
    found = expert_load(torch.tensor([0, 2, 2, 1, 2]), 4)
    # fractions of small integers: one rounding in float32
    check_close(found, torch.tensor([0.2, 0.2, 0.6, 0.0]), tolerance=1e-6, what=LOAD)


@test_case(
    name="a picture with an image and labels",
    points=2,
    hidden=False,
    failure_message="Draw with ax.imshow, label both axes and return ax, not the image or the figure.",
)
def test_plot(plot_regions):
    ax = plot_regions(torch.tensor([[0, 1], [2, 3]]), (-1.0, 1.0, -1.0, 1.0))
    assert ax is not None, (
        f"{PLOT} returned None: it is not implemented yet, or its return statement is missing."
    )
    close_figures()
    assert hasattr(ax, "get_images"), f"{PLOT} must return the axes that it drew into."
    assert len(ax.get_images()) == 1, f"{PLOT} must draw one image, but there are {len(ax.get_images())}."
    assert ax.get_xlabel() and ax.get_ylabel(), f"In {PLOT}, both axes need a label."


@test_case(
    name="load of any shape",
    points=2,
    hidden=True,
    failure_message="All entries of assignments count, in any shape; the result sums to 1, has n_experts entries and "
    "torch's default dtype. Wrong arguments raise ValueError.",
)
def test_load_shapes(expert_load):
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        found = expert_load(torch.tensor([0, 1, 0]), 2)
    finally:
        torch.set_default_dtype(default)
    expected = torch.tensor([2 / 3, 1 / 3], dtype=torch.float64)
    check_close(found, expected, what=f"{LOAD} while the default dtype is float64")
    assignments = torch.tensor([[[0, 1], [1, 3]], [[3, 3], [0, 3]]])
    before = assignments.clone()
    expected = torch.tensor([0.25, 0.25, 0.0, 0.5, 0.0])
    check_close(expert_load(assignments, 5), expected, tolerance=1e-6, what=LOAD)
    check_unchanged(before.double(), assignments.double(), what=f"assignments in {LOAD}")
    check_close(expert_load(torch.tensor([0]), 1), torch.ones(1), tolerance=1e-6, what=LOAD)
    check_raises(ValueError, expert_load, assignments, 3, what=f"{LOAD} with the index 3 and 3 experts")
    check_raises(ValueError, expert_load, assignments - 1, 5, what=f"{LOAD} with the index -1")
    check_raises(ValueError, expert_load, assignments, 0, what=f"{LOAD} with no experts")
    check_raises(ValueError, expert_load, assignments[:0], 4, what=f"{LOAD} with no rows")
    check_raises(
        ValueError, expert_load, assignments.double(), 4, what=f"{LOAD} with assignments of type float64"
    )


@test_case(
    name="the picture is the right way up",
    points=2,
    hidden=True,
    failure_message="Row 0 of assignments has the smallest y and belongs at the bottom; extent gives the borders; the "
    "image holds the assignments themselves. Axes that are given are drawn into and returned.",
)
def test_plot_orientation(plot_regions):
    assignments = torch.tensor([[0, 1, 1], [2, 3, 1]])
    ax = plot_regions(assignments, (-2.0, 1.0, 0.0, 4.0))
    close_figures()
    (image,) = ax.get_images()
    rows, origin = values_of(image), image.origin
    left, right, bottom, top = (float(value) for value in image.get_extent())
    assert {left, right} == {-2.0, 1.0} and {bottom, top} == {0.0, 4.0}, (
        f"In {PLOT} with the extent (-2, 1, 0, 4), the image has the borders {(left, right, bottom, top)}."
    )
    if left > right:
        rows = [row[::-1] for row in rows]
    if (origin == "upper") == (top > bottom):
        rows = rows[::-1]
    assert rows == assignments.tolist(), (
        f"In {PLOT}, from the bottom up, the image shows {rows}, not {assignments.tolist()}."
    )
    assert ax.get_ylim()[0] < ax.get_ylim()[1], f"In {PLOT}, y does not grow upwards."
    given = ax.figure.add_axes([0.1, 0.1, 0.3, 0.3])
    given.set_gid("given")
    found = plot_regions(assignments, (-2.0, 1.0, 0.0, 4.0), given)
    close_figures()
    assert found.get_gid() == "given", (
        "plot_regions(assignments, extent, ax) returned other axes than it was given."
    )
    assert len(given.get_images()) == 1, (
        "plot_regions(assignments, extent, ax) must draw into the axes given."
    )
    check_raises(
        ValueError,
        plot_regions,
        torch.tensor([0, 1]),
        (0.0, 1.0, 0.0, 1.0),
        what=f"{PLOT} with one dimension",
    )
