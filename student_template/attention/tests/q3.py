"""q3: attention_weights_vjp(q, k, grad_weights) -> (grad_q, grad_k), judged against autograd."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "attention_weights_vjp(q, k, grad_weights)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def check_pair(found, expected, tolerance=1e-9, note=""):
    pair = check_tuple(found, ("grad_q", "grad_k"), what=CALL)
    for letter, gradient, right in zip("qk", pair, expected, strict=True):
        check_close(gradient, right, tolerance=tolerance, what=f"grad_{letter} of {CALL}{note}")


@test_case(
    name="two gradients, shaped like q and k",
    points=1,
    hidden=False,
    failure_message="Return the tuple (grad_q, grad_k); grad_q has the shape of q, grad_k that of k.",
)
def test_shapes(attention_weights_vjp):
    q, k, grad_weights = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1), normal(2, 3, 4, seed=2)
    pair = check_tuple(attention_weights_vjp(q, k, grad_weights), ("grad_q", "grad_k"), what=CALL)
    for letter, gradient, shape in zip("qk", pair, (q.shape, k.shape), strict=True):
        check_shape(gradient, shape, what=f"grad_{letter} of {CALL}")
        assert gradient.count_nonzero(), f"grad_{letter} of {CALL} is zero everywhere."


@test_case(
    name="gradients worked out by hand",
    points=3,
    hidden=False,
    failure_message="Both scores are 0, so both weights are 1/2. The gradient of the scores is then 1/2 * (1 "
    "- 1/2) = 1/4 for the first key and 1/2 * (0 - 1/2) = -1/4 for the second; the scale 1/sqrt(d_k) is "
    "1/2.",
)
def test_hand(attention_weights_vjp):
    q = torch.tensor([[0.0, 0.0, 8.0, 0.0]], dtype=torch.float64)
    k = torch.tensor([[8.0, 0.0, 0.0, 0.0], [0.0, 16.0, 0.0, 0.0]], dtype=torch.float64)
    grad_q = torch.tensor([[1.0, -2.0, 0.0, 0.0]], dtype=torch.float64)
    grad_k = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, -1.0, 0.0]], dtype=torch.float64)
    grad_weights = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    check_pair(attention_weights_vjp(q, k, grad_weights), (grad_q, grad_k))


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
