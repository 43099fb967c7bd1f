"""q4: gradient_flow and dead_fraction, with activations that the setup cell imports (relu, tanh, hardtanh) and gelu."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False


def problem(depth, width, seed):
    generator = torch.Generator().manual_seed(seed)
    size = {"generator": generator, "dtype": torch.float64}
    weights = [torch.randn(width, width, **size) * math.sqrt(2 / width) for _ in range(depth)]
    return weights, torch.randn(64, width, **size), torch.randn(64, width, **size)


def check_share(found, expected, what):
    assert found is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(found, float), (
        f"{what} returned a value of type {type(found).__name__}, but a Python float was expected."
    )
    # a share counted in float32 is off by up to 6e-8
    assert abs(found - expected) <= 1e-6, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="one norm for each layer",
    points=1,
    hidden=False,
    failure_message="Return a float64 tensor with one number for each of the depth weight matrices, "
    "detached from autograd. A norm is not negative, and here none is 0.",
)
def test_shape(gradient_flow, relu):
    what = "gradient_flow(relu, depth=4, width=3)"
    found = check_shape(gradient_flow(relu, 4, 3), (4,), what=what)
    check_dtype(found, torch.float64, what=what)
    assert not found.requires_grad, f"{what} must not require grad itself: detach the norms."
    assert (found > 0).all(), f"{what} is {found.tolist()}, but four norms above 0 were expected."


@test_case(
    name="one layer, by formula",
    points=3,
    hidden=False,
    failure_message="For a single layer with z = x W, the gradient is 2 / (64 width) x^T ((relu(z) - "
    "targets) * [z > 0]). Its norm is the root of the sum of the squares of all its entries.",
)
def test_one_layer(gradient_flow, relu):
    (weight,), x, targets = problem(1, 3, seed=5)
    z = x @ weight
    gradient = 2 / (64 * 3) * x.T @ ((z.clamp(min=0) - targets) * (z > 0))
    expected = gradient.square().sum().sqrt().reshape(1)
    check_close(gradient_flow(relu, 1, 3, 5), expected, what="gradient_flow(relu, depth=1, width=3, seed=5)")


@test_case(
    name="dead inputs counted by hand",
    points=3,
    hidden=False,
    failure_message="The slopes of relu at -2, -1, 1, 2 are 0, 0, 1, 1. hardtanh clips to [-1, 1], "
    "so its slopes at -3, 0, 2, 3 are 0, 1, 0, 0. The result is a share, a Python float.",
)
def test_dead_by_hand(dead_fraction, relu, hardtanh):
    x = torch.tensor([-2.0, -1.0, 1.0, 2.0])
    check_share(dead_fraction(relu, x), 0.5, "dead_fraction(relu, [-2, -1, 1, 2])")
    x = torch.tensor([-3.0, 0.0, 2.0, 3.0])
    check_share(dead_fraction(hardtanh, x), 0.75, "dead_fraction(hardtanh, [-3, 0, 2, 3])")


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
