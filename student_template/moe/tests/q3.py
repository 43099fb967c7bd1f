"""q3: dispatch(x, weights, experts), judged with experts of the test's that write down what they see."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "dispatch(x, weights, experts)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def sparse_weights(*shape, keep, seed, dtype=torch.float64):
    """Weights of which each row keeps some, the rest exactly 0."""
    probabilities = normal(*shape, seed=seed, dtype=dtype).softmax(-1)
    kept = probabilities.topk(keep, -1)
    return torch.zeros_like(probabilities).scatter(-1, kept.indices, kept.values)


def multiplying(*factors):
    """Experts that multiply by a number each."""
    return [lambda rows, factor=factor: factor * rows for factor in factors]


@test_case(
    name="the shape of the result",
    points=1,
    hidden=False,
    failure_message="The result has the shape of x.",
)
def test_shape(dispatch):
    found = dispatch(normal(5, 3, seed=0), sparse_weights(5, 2, keep=1, seed=1), multiplying(1.0, 2.0))
    check_shape(found, (5, 3), what=CALL)


@test_case(
    name="two experts worked out by hand",
    points=2,
    hidden=False,
    failure_message="The experts multiply by 2 and by -1. Row 0 is 3/4 * 2 * (4, 8) - 1/4 * (4, 8), row 1 uses the "
    "second expert alone.",
)
def test_hand(dispatch):
    x = torch.tensor([[4.0, 8.0], [1.0, 2.0]]).double()
    weights = torch.tensor([[0.75, 0.25], [0.0, 1.0]]).double()
    expected = torch.tensor([[5.0, 10.0], [-1.0, -2.0]]).double()
    check_close(dispatch(x, weights, multiplying(2.0, -1.0)), expected, what=CALL)


@test_case(
    name="rows counted",
    points=2,
    hidden=False,
    failure_message="Read the columns of weights: expert e gets the rows whose weight for e is not 0, and no others. "
    "Here, experts 0, 1 and 2 get 2, 3 and 1 rows.",
)
def test_rows(dispatch):
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.9, 0.1], [0.2, 0.8, 0.0]]).double()
    seen = [0, 0, 0]

    def counting(e):
        def expert(rows):
            seen[e] += len(rows)
            return rows

        return expert

    found = dispatch(normal(3, 2, seed=2), weights, [counting(e) for e in range(3)])
    check_shape(found, (3, 2), what=CALL)
    assert seen == [2, 3, 1], f"In {CALL} the experts saw {seen} rows, but [2, 3, 1] were expected."


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
