"""q6: attention_maps(model, ids), judged by whether the maps explain what the model does."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def check_maps(found, shape, what):
    """Weights of that shape: rows that sum to 1. float32: rows were seen to be off by 2e-7."""
    maps = check_shape(found, shape, what=what)
    assert maps.is_floating_point() and maps.isfinite().all(), f"{what} holds what is not a finite number."
    assert maps.min() >= 0, f"{what} holds {maps.min().item():.3g}, but a weight is never negative."
    error = (maps.sum(-1) - 1).abs().max().item()
    assert error < 1e-4, (
        f"A row of {what} sums to {maps.sum(-1).flatten()[0].item():.4g} or the like, not to 1."
    )
    return maps


@test_case(
    name="a map for each head of each layer",
    points=2,
    hidden=False,
    failure_message="For n symbols, the shape is (n_layers, n_heads, n, n), and each row sums to 1.",
)
def test_shape(TinyGPT, attention_maps):
    found = attention_maps(TinyGPT(15, 16, 4, 2, 8).eval(), torch.tensor([3, 10, 5, 12, 8]))
    check_maps(found, (2, 4, 5, 5), "attention_maps(TinyGPT(15, 16, 4, 2, 8), ids) of 5 symbols")


@test_case(
    name="a text of one symbol",
    points=1,
    hidden=False,
    failure_message="A single symbol has only itself to look at: the only weight is 1.",
)
def test_one(TinyGPT, attention_maps):
    found = attention_maps(TinyGPT(15, 16, 2, 3, 8).eval(), torch.tensor([3]))
    check_maps(found, (3, 2, 1, 1), "attention_maps(TinyGPT(15, 16, 2, 3, 8), ids) of 1 symbol")


# The comparisons that are used above.

from collections.abc import Callable, Sequence


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
