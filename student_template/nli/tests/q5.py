"""q5: confusion_matrix(labels, predictions, n_classes=3), precision_recall(matrix), macro_f1(matrix)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
HAND = torch.tensor([[2, 1, 0], [1, 1, 0], [0, 0, 0]])


def check_counts(found, expected, *, what):
    check_dtype(check_shape(found, expected.shape, what=what), torch.long, what=what)
    assert torch.equal(found, expected), f"{what} is {found.tolist()}, but {expected.tolist()} was expected."


def exact(values):
    return torch.tensor(values, dtype=torch.float64)


def check_scores(found, precision, recall, *, what):
    first, second = check_tuple(found, ("precision", "recall"), what=what)
    check_close(first, precision, what=f"the precision that {what} returned")
    check_close(second, recall, what=f"the recall that {what} returned")


def check_float(found, expected, *, what):
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )
    assert isinstance(found, float), f"{what} returned a value of type {type(found).__name__}, not a float."
    assert abs(found - expected) < 1e-9, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="five predictions counted by hand",
    points=2,
    hidden=False,
    failure_message="Row = true class, column = predicted class: two zeros found, one zero called 1, one 1 found, "
    "one 1 "
    "called 0.",
)
def test_matrix(confusion_matrix):
    found = confusion_matrix(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0]))
    check_counts(found, HAND, what="confusion_matrix(labels, predictions)")


@test_case(
    name="precision and recall by hand",
    points=2,
    hidden=False,
    failure_message="Precision divides by the sum of the column (what was called so), recall by the sum of the row "
    "(what is "
    "so). Here 0/0 is 0.",
)
def test_hand(precision_recall):
    matrix = torch.tensor([[3, 1, 0], [0, 2, 0], [0, 0, 0]])
    expected = exact([1.0, 2 / 3, 0.0]), exact([0.75, 1.0, 0.0])
    check_scores(precision_recall(matrix), *expected, what="precision_recall(matrix)")


@test_case(
    name="macro F1 by hand",
    points=2,
    hidden=False,
    failure_message="The example has the F1 values 2/3, 1/2 and 0: their mean is 7/18.",
)
def test_f1(macro_f1):
    check_float(macro_f1(HAND.clone()), 7 / 18, what="macro_f1(matrix)")


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
