"""q6: rollout(model, window, n_steps), with stand-ins for the model whose answers are known."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def watched(model):
    """A stand-in for the model, the list of the windows that it is shown, and that of its forecasts."""
    seen, given = [], []

    def call(windows):
        seen.append(windows.clone())
        given.append(model(windows))
        return given[-1]

    return call, seen, given


@test_case(
    name="the Fibonacci numbers",
    points=2,
    hidden=False,
    failure_message="A model that adds the two samples of its window, started from (1, 1), gives 2, "
    "3, 5, 8, 13. The known "
    "samples are not part of the result, (n_steps, d).",
)
def test_fibonacci(rollout):
    expected = torch.tensor([[2.0], [3.0], [5.0], [8.0], [13.0]])
    check_close(
        rollout(lambda windows: windows.sum(1), torch.ones(2, 1), 5),
        expected,
        what="rollout(model, window, 5)",
    )


@test_case(
    name="the model is called on a batch of one window",
    points=1,
    hidden=False,
    failure_message="Call model(window[None]): its argument has the shape (1, length, d) at every step.",
)
def test_calls(rollout):
    model, shown, _ = watched(lambda windows: windows[:, -1])
    check_shape(rollout(model, torch.ones(4, 2), 3), (3, 2), what="rollout(model, window, 3)")
    for number, seen in enumerate(shown):
        check_shape(seen, (1, 4, 2), what=f"the argument of call {number} of the model")


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
