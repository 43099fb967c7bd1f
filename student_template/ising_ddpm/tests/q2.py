"""q2: metropolis(spins, temperature, n_sweeps, generator=None)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def half_and_half(n, size=8, dtype=torch.float32):
    """Boards to start from: every second one all down."""
    spins = torch.ones(n, size, size, dtype=dtype)
    spins[::2] = -1
    return spins


def generator(seed):
    return torch.Generator().manual_seed(seed)


def check_spins(found, shape, what):
    """Pass if these are boards of +-1."""
    check_shape(found, shape, what=what)
    wrong = (found != 1) & (found != -1)
    assert not wrong.any(), f"{what} holds {found[wrong][0].item():.6g}; spins are +1 or -1."


@test_case(
    name="boards of +1 and -1, new ones",
    points=2,
    hidden=False,
    failure_message="The result is a new tensor of +1 and -1 with the shape and the dtype of the spins; the "
    "boards that came in stay as they were. Without sweeps nothing changes.",
)
def test_shape(metropolis):
    for dtype in (torch.float32, torch.int8):
        spins = half_and_half(3, 4, dtype)
        before = spins.clone()
        found = metropolis(spins, 4.0, 5, generator(0))
        check_spins(found, (3, 4, 4), "metropolis(spins, 4.0, 5)")
        assert found.dtype == dtype, f"The result has dtype {found.dtype}; the spins have {dtype}."
        check_unchanged(before, spins, what="spins in metropolis(spins, 4.0, 5)")
        # 240 proposals at T = 4, each accepted with probability 0.13 or more
        assert not torch.equal(found, before), "After 5 sweeps at T = 4 not a single spin has turned."
        check_close(
            metropolis(spins, 2.5, 0, generator(0)), before, what="metropolis(spins, 2.5, n_sweeps=0)"
        )


@test_case(
    name="one wrong spin at a very low temperature",
    points=2,
    hidden=False,
    failure_message="At T = 0.05 a spin that disagrees with all four neighbours turns over for sure, and its "
    "neighbours, which agree with three of theirs, stay. One sweep must visit every site, of both colours.",
)
def test_cold(metropolis):
    # exp(-dE / T) is e^-80 for the neighbours, and e^160 for the spin itself: still a number in Python
    for i, j in [(0, 0), (0, 1), (2, 3), (3, 3)]:
        spins = torch.ones(4, 4)
        spins[i, j] = -1
        what = f"metropolis(all up but site ({i}, {j}), T = 0.05, one sweep)"
        check_close(metropolis(spins, 0.05, 1, generator(1)), torch.ones(4, 4), what=what)


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


def check_unchanged(before: torch.Tensor, after: torch.Tensor, *, what: str) -> None:
    """Pass if a call left its argument alone; `before` is a clone made ahead of the call."""
    changed = ~((before == after) | (before.isnan() & after.isnan()))
    if changed.any():
        index = changed.nonzero()[0].tolist()
        raise AssertionError(
            f"{what} was changed by the call: at index {index} it was {before[tuple(index)].item():.6g} and is now"
            f" {after[tuple(index)].item():.6g}. Make new tensors; operations such as *= or masked_fill_ work in place."
        )
