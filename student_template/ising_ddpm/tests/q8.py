"""q8: sample(model, n, size, temperature, betas, generator=None)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q8"
all_or_nothing = False


def generator(seed):
    return torch.Generator().manual_seed(seed)


def pattern_guess(x_t, alpha_bar):
    """The noise, where every board is the same one: rows up and down in turn."""
    board = 1.0 - 2.0 * (torch.arange(x_t.shape[-1]) % 2)
    return (x_t - alpha_bar.sqrt() * board[:, None]) / (1 - alpha_bar).sqrt()


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="n boards (n, size, size) with the dtype of betas, without gradient. The model is a "
    "plain function here: sample may call it, and nothing else.",
)
def test_shape(sample):
    model = lambda x_t, t, temperature: 0.1 * x_t  # noqa: E731
    for n, size in [(3, 4), (1, 6)]:
        betas = torch.linspace(0.01, 0.5, 4, dtype=torch.float64)
        found = check_shape(
            sample(model, n, size, 2.0, betas, generator(0)),
            (n, size, size),
            what=f"sample(model, {n}, {size}, ...)",
        )
        check_dtype(found, torch.float64, what=f"sample(model, {n}, {size}, ...) with betas in float64")
        assert not found.requires_grad, "The boards carry a gradient: use torch.no_grad()."


@test_case(
    name="a network that knows only one board",
    points=2,
    hidden=False,
    failure_message="The network is sure that every board has rows up and down in turn. Whatever the noise "
    "at the start, the last step, at t = 0 and without noise, must end on exactly this board.",
)
def test_pattern(sample):
    betas = torch.linspace(0.01, 0.5, 6, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    model = lambda x_t, t, temperature: pattern_guess(x_t, alpha_bar[t].reshape(-1, 1, 1))  # noqa: E731
    found = sample(model, 2, 4, 2.0, betas, generator(1))
    rows = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    check_close(found, rows[:, None].expand(2, 4, 4), tolerance=1e-6, what="sample(...)")


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
