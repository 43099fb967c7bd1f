"""q3: class FeedForward(d_model, d_ff), judged by what it does, whatever its parameters are called and how they lie.

Where values are compared, every parameter is filled with one and the same number. Then no name, order or orientation
of the parameters matters, while both biases, the number of hidden units and the activation still do.
"""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "FeedForward(d_model=4, d_ff=3)"
# Correct float64 forms of gelu differ by 1.8e-15. A Phi good to 1e-6, as q1 allows, is multiplied by up to d_ff = 3;
# the tanh form is off by 1e-3 here.
EXACT = 1e-5


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def count_of(model):
    try:
        return sum(parameter.numel() for parameter in model.parameters())
    except AttributeError:  # nn.Module.__init__ never ran
        return 0


def check_count(model, expected, what):
    count = count_of(model)
    assert count > 0, f"{what} has no parameters: it is not implemented yet, or they are not nn.Parameter."
    found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(model.named_parameters())[:6])
    assert count == expected, (
        f"{what} has {count} numbers in its parameters, but {expected} were expected: d_model * d_ff in each matrix,"
        f" d_ff in b_1 and d_model in b_2. Found: {found}."
    )


def filled(model, number):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(number)
    return model


def exact(x):
    return x * torch.special.ndtr(x)


def passes(check, *args):
    """Whether a check holds."""
    try:
        check(*args)
    except Exception:
        return False
    return True


def check_either(found, expected_with, gelu, *, tolerance=EXACT, what):
    """Pass if `found` is what is expected with the exact gelu, or with the student's own, which q1 judges."""

    def check_with(activation):
        check_close(found, expected_with(activation), tolerance=tolerance, what=what)

    if not passes(check_with, exact) and not passes(check_with, gelu):
        check_with(exact)


@test_case(
    name="the number of parameters",
    points=2,
    hidden=False,
    failure_message="Two matrices with d_model * d_ff numbers each, a bias with d_ff and one with "
    "d_model, all nn.Parameter (nn.Linear has them), made in __init__ after super().__init__().",
)
def test_count(FeedForward):
    for d_model, d_ff in [(4, 3), (2, 8)]:
        call = f"FeedForward(d_model={d_model}, d_ff={d_ff})"
        check_count(FeedForward(d_model, d_ff), 2 * d_model * d_ff + d_ff + d_model, call)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="Each position has d_model numbers before and after: (..., d_model) to (..., d_model).",
)
def test_shape(FeedForward):
    model, x = FeedForward(4, 3).float(), normal(2, 5, 4, seed=0, dtype=torch.float32)
    assert count_of(model) > 0, (
        f"{CALL} has no parameters: it is not implemented yet, or they are not nn.Parameter."
    )
    what = f"{CALL}(x) with x of shape (2, 5, 4)"
    check_dtype(check_shape(model(x), (2, 5, 4), what=what), torch.float32, what=what)


@test_case(
    name="all parameters 1, worked out by hand",
    points=4,
    hidden=False,
    failure_message="Every hidden unit receives x_1 + x_2 + 1, here 1 and -1, and gives 0.8413 and "
    "-0.1587. Every output is three times that, plus 1.",
)
def test_hand(FeedForward, gelu):
    model = FeedForward(2, 3).double()
    check_count(model, 2 * 2 * 3 + 3 + 2, "FeedForward(d_model=2, d_ff=3)")
    x = torch.tensor([[1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    received = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)  # by each hidden unit, at the two positions

    def expected_with(activation):
        return (3 * activation(received) + 1).expand(2, 2)

    what = "FeedForward(2, 3)(x) with every parameter 1, at x = [[1, -1], [-1, -1]],"
    check_either(filled(model, 1.0)(x), expected_with, gelu, what=what)


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
