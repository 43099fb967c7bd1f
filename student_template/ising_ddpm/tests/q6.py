"""q6: p_sample_step(model, x_t, t, temperature, betas, generator=None)."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def generator(seed):
    return torch.Generator().manual_seed(seed)


@test_case(
    name="the last step, worked out by hand",
    points=2,
    hidden=False,
    failure_message="At t = 0 with beta = 0.2, alpha_bar is 0.8. For x_t = 1 and a network that answers 0.5 "
    "the result is (1 - 0.2 / sqrt(0.2) * 0.5) / sqrt(0.8) = 0.8680, without any noise.",
)
def test_last(p_sample_step):
    betas, x = torch.tensor([0.2, 0.5], dtype=torch.float64), torch.ones(3, 4, 4, dtype=torch.float64)
    model = lambda x_t, t, temperature: torch.full_like(x_t, 0.5)  # noqa: E731
    expected = torch.full_like(x, (1 - 0.2 / math.sqrt(0.2) * 0.5) / math.sqrt(0.8))
    found = p_sample_step(model, x, 0, torch.full((3,), 2.0, dtype=torch.float64), betas, generator(0))
    check_close(found, expected, what="p_sample_step(model, 1, t=0, ...)")


@test_case(
    name="mean and variance of an earlier step, worked out by hand",
    points=2,
    hidden=False,
    failure_message="betas (0.2, 0.5), t = 1, so alpha_bar = 0.4. For x_t = 1 and a network that answers 0.5 "
    "the mean is (1 - 0.5 / sqrt(0.6) * 0.5) / sqrt(0.5) = 0.9578. The variance of the noise is 0.5, or 0.5 * "
    "0.2 / 0.6 = 0.1667: both are right. Multiply standard normal numbers by its square root.",
)
def test_earlier(p_sample_step):
    betas, x = torch.tensor([0.2, 0.5], dtype=torch.float64), torch.ones(4000, 4, 4, dtype=torch.float64)
    model = lambda x_t, t, temperature: torch.full_like(x_t, 0.5)  # noqa: E731
    found = p_sample_step(model, x, 1, torch.full((4000,), 2.0, dtype=torch.float64), betas, generator(1))
    check_shape(found, (4000, 4, 4), what="p_sample_step(model, 1, t=1, ...)")
    middle, spread = float(found.mean()), float(found.var())
    expected = (1 - 0.5 / math.sqrt(0.6) * 0.5) / math.sqrt(0.5)
    # 64,000 numbers: one standard error of the mean is at most 0.0028, one of the variance 0.6 %
    assert abs(middle - expected) < 0.015, f"The mean is {middle:.4f}, but {expected:.4f} was expected."
    assert min(abs(spread / 0.5 - 1), abs(spread * 6 - 1)) < 0.03, (
        f"The variance is {spread:.4f}, but 0.5 or 0.1667 was expected."
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
