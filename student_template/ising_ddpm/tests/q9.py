"""q9: domain_sizes(spins), observables(samples), and the boards of the trained network."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q9"
all_or_nothing = False

KEYS = ("energy", "abs_magnetization", "histogram", "correlation", "n_domains", "largest_domain")


def stripes():
    """Columns ++-- and the same moved by one, -++-: the second domain of down spins reaches across the seam."""
    first = torch.tensor([1.0, 1.0, -1.0, -1.0]).expand(4, 4)
    return torch.stack([first, first.roll(1, 1)])


def measured(observables, samples, what):
    """The student's dict, checked for its keys."""
    found = observables(samples)
    assert found is not None, f"{what} returned None: it is not implemented yet, or its return is missing."
    assert isinstance(found, dict), f"{what} returned {type(found).__name__}, but a dict was expected."
    missing = [key for key in KEYS if key not in found]
    assert not missing, f"{what} has no {missing[0]!r}; its keys are {sorted(map(str, found))}."
    return found


def check_number(found, expected, what):
    assert isinstance(found, int | float), f"{what} is of type {type(found).__name__}; a number was expected."
    assert abs(found - expected) < 1e-4, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="domains worked out by hand",
    points=2,
    hidden=False,
    failure_message="Columns ++-- have two domains of 8 sites. Moved by one column, -++-, there are still "
    "two: the last column touches the first. A checkerboard has 16 domains of 1 site, for corners do not "
    "connect.",
)
def test_domains_by_hand(domain_sizes):
    board = 1.0 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2)
    for spins, expected, label in [
        (stripes()[0], [8, 8], "columns ++--"),
        (stripes()[1], [8, 8], "columns -++-"),
        (torch.ones(4, 4), [16], "all up"),
        (board, [1] * 16, "a checkerboard"),
    ]:
        found, what = domain_sizes(spins), f"domain_sizes({label})"
        assert found is not None, (
            f"{what} returned None: it is not implemented yet, or its return is missing."
        )
        assert list(found) == expected, f"{what} is {found}, but {expected} was expected."


@test_case(
    name="two boards measured by hand",
    points=2,
    hidden=False,
    failure_message="Columns ++-- of numbers near +-1, and all 0.3 (up). Energies -1 and -2, |m| 0 and 1, "
    "two domains and one: their means are -1.5, 0.5 and 1.5. |m| is 0 in one half of the boards and 1 in the "
    "other.",
)
def test_observables_by_hand(observables):
    samples = torch.stack([1.2 * stripes()[0], torch.full((4, 4), 0.3)])
    found = measured(observables, samples, "observables(samples)")
    for key, expected in [
        ("energy", -1.5),
        ("abs_magnetization", 0.5),
        ("n_domains", 1.5),
        ("largest_domain", 0.75),
    ]:
        check_number(found[key], expected, f"observables(samples)[{key!r}]")
    shares = torch.tensor([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5])
    check_close(found["histogram"].float(), shares, tolerance=1e-5, what="observables(samples)['histogram']")
    expected = torch.tensor([1.0, 0.75, 0.5])
    check_close(
        found["correlation"].float(), expected, tolerance=1e-5, what="observables(samples)['correlation']"
    )


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
