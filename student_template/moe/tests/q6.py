"""q6: expert_load(assignments, n_experts) and plot_regions(assignments, extent, ax=None)."""

import sys

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False
LOAD = "expert_load(assignments, n_experts)"
PLOT = "plot_regions(assignments, extent)"


def close_figures():
    """Keep the figures of this test out of the student's notebook."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


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


# The comparisons that are used above.

from collections.abc import Callable, Sequence


def check_close(found: object, expected: torch.Tensor, *, tolerance: float = 1e-9, what: str) -> None:
    """Pass if `found` has the shape and dtype of `expected`, and each number is within `tolerance` (absolute) of it."""
    tensor = check_shape(found, expected.shape, what=what)
    check_dtype(tensor, expected.dtype, what=what)
    if not tensor.is_floating_point() and torch.equal(tensor, expected):
        return
    if tensor.is_floating_point() and (not tensor.numel() or (tensor - expected).abs().max() <= tolerance):
        return  # the usual case; NaN is not smaller than anything and goes on
    same = tensor == expected
    error = torch.where(same, 0.0, (tensor.double() - expected.double()).abs()).detach()
    wrong = ~(error <= tolerance)  # written so that NaN counts as wrong
    if not wrong.any():
        return
    index = wrong.nonzero()[0].tolist()
    place = f" at index {index}" if index else ""
    expected_here, found_here = expected[tuple(index)].item(), tensor[tuple(index)].item()
    verdict = (
        f"{what} is wrong in {int(wrong.sum())} of {wrong.numel()} numbers."
        f" The first one is{place}: expected {expected_here:.6g}, found {found_here:.6g}."
    )
    if not tensor.isfinite().all():
        raise AssertionError(f"{verdict} NaN or infinity appears where a finite number was expected.")
    raise AssertionError(
        f"{verdict} The largest error is {error.max().item():.2g}; {tolerance:g} is allowed."
    )


def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_shape(found: object, shape: Sequence[int], *, what: str) -> torch.Tensor:
    """Pass if `found` is a tensor of this shape; the tensor is returned."""
    check_returned(found, what=what)
    if not isinstance(found, torch.Tensor):
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a torch.Tensor was expected."
        )
    if tuple(found.shape) != tuple(shape):
        raise AssertionError(f"{what} has shape {tuple(found.shape)}, but shape {tuple(shape)} was expected.")
    return found


def check_dtype(found: torch.Tensor, dtype: torch.dtype, *, what: str) -> None:
    """Pass if the tensor has this dtype."""
    if found.dtype != dtype:
        raise AssertionError(f"{what} has dtype {found.dtype}, but {dtype} was expected.")
