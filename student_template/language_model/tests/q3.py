"""q3: class TinyGPT(vocab_size, d_model, n_heads, n_layers, max_len), by what it does, and the goal."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False
# A change that must not be seen: logits of one position in float32, twice in the same shapes. Causal models moved by 0,
# models that look ahead by 0.1 and more; with positions, a swap moved a one-layer model by 0.1 and more, else by 2e-6.
UNMOVED = 1e-4


def texts(count, length, symbols, seed):
    return torch.randint(symbols, (count, length), generator=torch.Generator().manual_seed(seed))


def other(ids, symbols):
    """Another id in place of each."""
    return (ids + 1) % symbols


@torch.no_grad()
def in_use(model, seed=0):
    """A model in eval mode whose parameters all differ from each other, as after a training.

    Layers that begin at zero, and tables that begin small, would otherwise hide what depends on what.
    """
    noise = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise))
    return model.eval()


@torch.no_grad()
def probabilities(model, ids, symbols, what):
    """Logarithms of the probabilities: a constant added to the logits of a position is no difference."""
    found = check_shape(model(ids), (*ids.shape, symbols), what=what)
    assert found.is_floating_point(), (
        f"{what} has dtype {found.dtype}, but logits are floating point numbers."
    )
    assert found.isfinite().all(), f"{what} contains NaN or infinity."
    return found.log_softmax(-1)


def moved(before, after):
    """The largest change at each position: (L,)."""
    return (after - before).abs().amax(dim=(0, 2))


@test_case(
    name="one row of logits for each symbol of each text",
    points=2,
    hidden=False,
    failure_message="ids of shape (B, L) give logits of shape (B, L, vocab_size).",
)
def test_shape(TinyGPT):
    model = TinyGPT(15, 16, 2, 2, 8)
    what = "TinyGPT(15, 16, 2, 2, 8)(ids) with ids of shape (3, 5)"
    probabilities(model, texts(3, 5, 15, seed=0), 15, what)


@test_case(
    name="a later symbol changes nothing before it",
    points=2,
    hidden=False,
    failure_message="Only the last symbol of the text is changed here. The logits at the positions before it must"
    " not move: position i may look at positions 0 to i.",
)
def test_last(TinyGPT):
    model, ids = in_use(TinyGPT(15, 16, 2, 2, 8)), texts(2, 6, 15, seed=1)
    changed = ids.clone()
    changed[:, -1] = other(ids[:, -1], 15)
    what = "TinyGPT(15, 16, 2, 2, 8)(ids)"
    change = moved(probabilities(model, ids, 15, what), probabilities(model, changed, 15, what))
    worst = change[:-1].max().item()
    assert worst < UNMOVED, (
        f"The last of 6 symbols was changed, and the logits of earlier positions moved by up to {worst:.2g}:"
        " they must not depend on what comes later."
    )


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
