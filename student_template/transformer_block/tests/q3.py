"""q3: layer_norm_vjp(x, weight, grad_output, eps=1e-5), judged against autograd."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False
NAMES = ("grad_x", "grad_weight", "grad_bias")


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def check_all(found, expected, what, tolerance=1e-9):
    found = check_tuple(found, NAMES, what=what)
    for label, one, other in zip(NAMES, found, expected, strict=True):
        check_close(one, other, tolerance=tolerance, what=f"{label} of {what}")


@test_case(
    name="three gradients, of three shapes",
    points=1,
    hidden=False,
    failure_message="Return (grad_x, grad_weight, grad_bias), with the shapes of x, of weight and of bias. "
    "grad_bias is the sum of grad_output over all vectors.",
)
def test_shapes(layer_norm_vjp):
    x, weight, grad = normal(4, 3, seed=0), normal(3, seed=1), normal(4, 3, seed=2)
    what = "layer_norm_vjp(x, weight, grad_output) with x of shape (4, 3)"
    found = check_tuple(layer_norm_vjp(x, weight, grad), NAMES, what=what)
    for label, tensor, shape in zip(NAMES, found, [(4, 3), (3,), (3,)], strict=True):
        check_shape(tensor, shape, what=f"{label} of {what}")
    check_close(found[2], grad.sum(0), what=f"grad_bias of {what}")


@test_case(
    name="a gradient worked out by hand",
    points=3,
    hidden=False,
    failure_message="x = (7, 2, 2, 2, 2) has s = 2 and becomes (2, -1/2, ...). With G = (0, 1, 0, 0, 0), "
    "the mean of g is 1/5 and that of g times the normalised x is -1/10: grad_x = (0, 3, -1, -1, -1) / 8.",
)
def test_hand(layer_norm_vjp):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    grad = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    expected = [torch.tensor([0.0, 3, -1, -1, -1], dtype=torch.float64) / 8, -grad / 2, grad]
    found = layer_norm_vjp(x, torch.ones(5, dtype=torch.float64), grad, 0.0)
    check_all(found, expected, "layer_norm_vjp([7, 2, 2, 2, 2], ones, [0, 1, 0, 0, 0], eps=0)")


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
