"""q3: windows(trajectory, length), split(trajectories, n_test) and normalise(train, test): data that leak nothing."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False
WINDOWS = "windows(trajectory, length)"
PAIR = ("inputs", "targets")
SETS = ("train", "test")
FOUR = ("train", "test", "mean", "std")


def check_all(found, expected, names, *, tolerance=1e-9, what):
    for number, (part, right) in enumerate(zip(check_tuple(found, names, what=what), expected, strict=True)):
        check_close(part, right, tolerance=tolerance, what=f"item {number} ({names[number]}) of {what}")


@test_case(
    name="windows of five samples",
    points=2,
    hidden=False,
    failure_message="Samples 0 to 4 in windows of 2: [0, 1] with target 2, [1, 2] with target 3, [2, 3] with target 4. "
    "Return both tensors: inputs (3, 2, 1), targets (3, 1).",
)
def test_windows_by_hand(windows):
    inputs = torch.tensor([[[0.0], [1.0]], [[1.0], [2.0]], [[2.0], [3.0]]])
    targets = torch.tensor([[2.0], [3.0], [4.0]])
    check_all(windows(torch.arange(5.0)[:, None], 2), (inputs, targets), PAIR, what=WINDOWS)


@test_case(
    name="three trajectories, one for testing",
    points=1,
    hidden=False,
    failure_message="The first dimension counts trajectories: the last n_test of them, whole, are the test set.",
)
def test_split_by_hand(split):
    trajectories = torch.arange(24.0).reshape(3, 4, 2)
    expected = (trajectories[:2], trajectories[2:])
    check_all(split(trajectories, 1), expected, SETS, what="split(trajectories, 1)")


@test_case(
    name="the example of the text, scaled",
    points=2,
    hidden=False,
    failure_message="Training data 1, 3, 5, 7 have mean 4 and mean squared deviation 5; 4 and 9 "
    "become 0 and 5 / sqrt(5).",
)
def test_normalise_by_hand(normalise):
    train = torch.tensor([[[1.0], [3.0]], [[5.0], [7.0]]], dtype=torch.float64)
    test = torch.tensor([[[4.0], [9.0]]], dtype=torch.float64)
    mean, std = torch.tensor([4.0], dtype=torch.float64), torch.tensor([5.0], dtype=torch.float64).sqrt()
    expected = ((train - mean) / std, (test - mean) / std, mean, std)
    check_all(normalise(train, test), expected, FOUR, what="normalise(train, test)")


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
