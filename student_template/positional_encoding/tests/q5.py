"""q5: encoding_spectrum(encoding) -> (eigenvalues, numerical_rank)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
PARTS = ("eigenvalues", "numerical_rank")


def check_spectrum(found, eigenvalues, rank, *, what):
    """Tolerance: eigenvalues are exact to 1e-15 of the largest, so 1e-9 of the largest leaves room."""
    values, found_rank = check_tuple(found, PARTS, what=what)
    largest = max(float(eigenvalues.abs().max()), 1e-12) if len(eigenvalues) else 1.0
    check_close(values, eigenvalues, tolerance=1e-9 * largest, what=f"eigenvalues, the first part of {what},")
    check_int(found_rank, rank, what=f"numerical_rank, the second part of {what},")


@test_case(
    name="a spectrum worked out by hand",
    points=2,
    hidden=False,
    failure_message="The Gram matrix is diagonal here, with 1, 4 and 0: three eigenvalues in ascending order, two "
    "of them not 0.",
)
def test_hand(encoding_spectrum):
    encoding = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    check_spectrum(encoding_spectrum(encoding), expected, 2, what="encoding_spectrum(encoding)")


@test_case(
    name="as many eigenvalues as positions",
    points=2,
    hidden=False,
    failure_message="encoding @ encoding.T is n by n, with n the number of rows; all its eigenvalues together make "
    "up the sum of all squared numbers.",
)
def test_sum(encoding_spectrum):
    encoding = torch.tensor([[3.0, 0.0, 4.0], [0.0, 5.0, 0.0]], dtype=torch.float64)
    values, rank = check_tuple(encoding_spectrum(encoding), PARTS, what="encoding_spectrum(encoding)")
    check_shape(values, (2,), what="eigenvalues, the first part of encoding_spectrum(encoding),")
    total = torch.tensor(50.0, dtype=torch.float64)
    check_close(values.sum(), total, what="the sum of the eigenvalues of encoding_spectrum(encoding)")
    check_int(rank, 2, what="numerical_rank, the second part of encoding_spectrum(encoding),")


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


def check_int(found: object, expected: int, *, what: str) -> None:
    """Pass if `found` is the Python int `expected`."""
    check_returned(found, what=what)
    if type(found) is not int:
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a Python int was expected."
        )
    if found != expected:
        raise AssertionError(f"{what} is {found}, but {expected} was expected.")


def check_tuple(found: object, names: Sequence[str], *, what: str) -> Sequence[object]:
    """Pass if `found` is a tuple (or list) with one item for each name; it is returned."""
    check_returned(found, what=what)
    wanted = f"a tuple ({', '.join(names)}) was expected"
    if not isinstance(found, tuple | list):
        raise AssertionError(f"{what} returned a value of type {type(found).__name__}, but {wanted}.")
    if len(found) != len(names):
        raise AssertionError(f"{what} returned {len(found)} values, but {wanted}.")
    return found
