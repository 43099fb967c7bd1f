"""q4: dropout(x, p=0.1, training=True, generator=None) and class Dropout(p=0.1)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False


def generator(seed):
    return torch.Generator().manual_seed(seed)


@test_case(
    name="what is kept, by hand",
    points=1,
    hidden=False,
    failure_message="With p = 1/4, what is kept is divided by 3/4: each 3 becomes a 4 or a 0. For p = 0 "
    "nothing changes, and for p = 1 all is 0.",
)
def test_hand(dropout):
    x = torch.full((1000,), 3.0, dtype=torch.float64)
    found = check_shape(
        dropout(x, 0.25, True, generator(0)), (1000,), what="dropout(x, p=0.25) with 1000 threes"
    )
    odd = [value for value in found.tolist() if abs(value) > 1e-9 and abs(value - 4) > 1e-9]
    assert not odd, f"dropout(x, p=0.25) turned a 3 into {odd[0]:.6g}, but 0 or 3 / 0.75 = 4 was expected."
    # a right dropout drops none, or all, of 1000 once in 10^125
    zeros = int((found == 0).sum())
    assert 0 < zeros < 1000, f"dropout(x, p=0.25) dropped {zeros} of 1000 numbers; about 250 were expected."
    check_close(dropout(x, 0.0), x, what="dropout(x, p=0)")
    check_close(dropout(x, 1.0), torch.zeros_like(x), what="dropout(x, p=1)")


@test_case(
    name="eval mode does nothing",
    points=2,
    hidden=False,
    failure_message="With training=False, and in a Dropout after .eval(), x comes back as it is; the factor "
    "1 / (1 - p) belongs to training. A new module is in train mode, which self.training tells.",
)
def test_eval(dropout, Dropout):
    x = torch.arange(1.0, 101.0)
    check_close(dropout(x, 0.5, False), x, what="dropout(x, 0.5, training=False)")
    module = Dropout(0.5)
    check_close(module.eval()(x), x, what="Dropout(0.5).eval()(x)")
    found = check_shape(module.train()(x), (100,), what="Dropout(0.5).train()(x)")
    assert (found == 0).any(), "Dropout(0.5) dropped nothing of 100 numbers in train mode."


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
