"""q7: training_data(n, size, temperatures, ...), train(model, spins, temperature, betas, n_steps, seed=0)."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q7"
all_or_nothing = False


def generator(seed):
    return torch.Generator().manual_seed(seed)


def two_kinds(n):
    """Boards all up, at T = 2."""
    return torch.ones(n, 8, 8), torch.full((n,), 2.0)


@test_case(
    name="boards and their temperatures",
    points=1,
    hidden=False,
    failure_message="training_data(n, size, temperatures) gives n boards at each of the k temperatures: "
    "spins of +1 and -1, (k n, size, size), and the temperature of each board, (k n,), both in torch's default "
    "dtype.",
)
def test_data_shape(training_data):
    call = "training_data(4, 6, [1.0, 3.0])"
    found = check_tuple(training_data(4, 6, [1.0, 3.0], generator(0)), ["spins", "temperature"], what=call)
    spins = check_shape(found[0], (8, 6, 6), what=f"spins of {call}")
    assert bool((spins.abs() == 1).all()), f"spins of {call} holds other numbers than +1 and -1."
    assert spins.is_floating_point(), (
        f"spins of {call} has dtype {spins.dtype}, but torch.float32 was expected."
    )
    temperature = check_shape(found[1], (8,), what=f"temperature of {call}")
    expected = torch.tensor([1.0] * 4 + [3.0] * 4)
    check_close(temperature.sort().values, expected, tolerance=1e-6, what=f"the sorted temperature of {call}")


@test_case(
    name="a few steps of training",
    points=2,
    hidden=False,
    failure_message="train changes the parameters of the model that it is given, in place, and returns the "
    "loss of each step as a list of Python floats.",
)
def test_few_steps(train, Denoiser):
    model = Denoiser()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    spins, temperature = two_kinds(8)
    losses = train(model, spins, temperature, torch.linspace(0.01, 0.3, 10), 3, 0)
    assert losses is not None, "train(...) returned None: it is not implemented yet, or returns nothing."
    assert isinstance(losses, list) and len(losses) == 3, (
        "train(..., n_steps=3) must return a list of 3 numbers."
    )
    assert all(isinstance(x, float) and math.isfinite(x) for x in losses), (
        f"The losses are {losses}; use loss.item()."
    )
    changed = any(not torch.equal(a, b.detach()) for a, b in zip(before, model.parameters(), strict=True))
    assert changed, "After train(...) the parameters of the model are what they were."


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


def check_tuple(found: object, names: Sequence[str], *, what: str) -> Sequence[object]:
    """Pass if `found` is a tuple (or list) with one item for each name; it is returned."""
    check_returned(found, what=what)
    wanted = f"a tuple ({', '.join(names)}) was expected"
    if not isinstance(found, tuple | list):
        raise AssertionError(f"{what} returned a value of type {type(found).__name__}, but {wanted}.")
    if len(found) != len(names):
        raise AssertionError(f"{what} returned {len(found)} values, but {wanted}.")
    return found
