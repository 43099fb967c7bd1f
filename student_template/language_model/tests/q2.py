"""q2: perplexity(logits, targets, mask=None)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


@test_case(
    name="a model that knows nothing",
    points=1,
    hidden=False,
    failure_message="Equal logits make all V symbols equally likely: each has the probability 1/V, so the "
    "perplexity is V. The result is a tensor without dimensions.",
)
def test_uniform(perplexity):
    targets = torch.tensor([[0, 3, 6], [1, 1, 2]])
    found = perplexity(torch.zeros(2, 3, 7, dtype=torch.float64), targets)
    check_close(
        found, torch.tensor(7.0, dtype=torch.float64), what="perplexity of equal logits for 7 symbols"
    )


@test_case(
    name="two symbols worked out by hand",
    points=1,
    hidden=False,
    failure_message="The probabilities are 1/2 and 1/8. The mean of ln 2 and ln 8 is 2 ln 2, and exp(2 ln 2) = 4."
    " Logits are not probabilities yet, and the logarithm is the natural one.",
)
def test_hand(perplexity):
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 5.0, 1.0, 1.0]], dtype=torch.float64).log()
    found = perplexity(logits, torch.tensor([0, 2]))
    check_close(found, torch.tensor(4.0, dtype=torch.float64), what="perplexity(logits, targets)")


@test_case(
    name="what is not counted",
    points=2,
    hidden=False,
    failure_message="mask is True where a symbol counts. The two that count have the probabilities 1/2 and 1/8, "
    "as before; the mean is over two symbols, however many there are in all.",
)
def test_mask(perplexity):
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 5.0, 1.0, 1.0]], dtype=torch.float64).log()
    logits = torch.stack([logits, torch.zeros(2, 4, dtype=torch.float64)])
    logits[1, 0] = torch.tensor([0.0, 9.0, 0.0, 0.0])
    mask = torch.tensor([[True, True], [False, False]])
    found = perplexity(logits, torch.tensor([[0, 2], [3, 1]]), mask)
    check_close(found, torch.tensor(4.0, dtype=torch.float64), what="perplexity(logits, targets, mask)")


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
