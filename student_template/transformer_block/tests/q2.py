"""q2: center(x), to_sphere(x) and layer_norm_jacobian(x): LayerNorm as a projection and a scaling."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


@test_case(
    name="the two steps by hand",
    points=2,
    hidden=False,
    failure_message="(7, 2, 2, 2, 2) has the mean 3, so what is orthogonal to (1, 1, 1, 1, 1) is (4, -1, "
    "-1, -1, -1). Its length is sqrt(20), and half of it has the length sqrt(5), for d = 5.",
)
def test_hand(center, to_sphere):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    centred = torch.tensor([4.0, -1.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    check_close(center(x), centred, what="center([7, 2, 2, 2, 2])")
    check_close(to_sphere(centred), centred / 2, what="to_sphere([4, -1, -1, -1, -1])")


@test_case(
    name="the Jacobian by hand",
    points=2,
    hidden=False,
    failure_message="With c = (4, -1, -1, -1, -1): 1/2 (I - 1 1^T / 5 - c c^T / 20). The first row is 0, "
    "and the second is (0, 3, -1, -1, -1) / 8.",
)
def test_jacobian_by_hand(layer_norm_jacobian):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    expected[1:, 1:] = torch.eye(4, dtype=torch.float64) / 2 - 1 / 8
    check_close(layer_norm_jacobian(x), expected, what="layer_norm_jacobian([7, 2, 2, 2, 2])")


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
