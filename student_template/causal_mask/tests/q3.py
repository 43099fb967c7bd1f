"""q3: influence(q, k, v), the norms of the Jacobians of causal attention: the executable proof of w1."""

import torch
from otter.test_files import test_case
from torch.overrides import TorchFunctionMode

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "influence(q, k, v)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


class Listening(TorchFunctionMode):
    """While it is active, it collects the names of the torch functions that are called."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(getattr(function, "__name__", ""))
        return function(*args, **(kwargs or {}))


def functions_run(function, *args):
    """What the call returned, and the names of the torch functions that ran in it."""
    with Listening() as listening:
        found = function(*args)
    # In the grader, your code runs in a process of its own, which keeps the same list under full names.
    elsewhere = {path.split(".")[-1] for path in getattr(function, "operators", ()) if "::" not in path}
    return found, listening.names | elsewhere


# One of these runs whenever something is differentiated: by grad or backward, torch.func, or in forward mode.
AUTOGRAD = {"grad", "backward", "_make_dual"}


# This case comes first: the grader writes down all functions only in the first call of a question.
@test_case(
    name="one number for each pair of positions, by autograd",
    points=1,
    hidden=False,
    failure_message="Return a matrix (n, n): entry [i, j] says how strongly output i responds to value j. It is to be "
    "found by differentiating your causal_attention, so that it checks w1 instead of repeating it.",
)
def test_shape(influence):
    q, k, v = normal(4, 3, seed=0), normal(4, 3, seed=1), normal(4, 2, seed=2)
    found, names = functions_run(influence, q, k, v)
    check_shape(found, (4, 4), what=CALL)
    assert names & AUTOGRAD, f"Nothing was differentiated in {CALL}: neither grad nor backward ran."


@test_case(
    name="Jacobians worked out by hand",
    points=2,
    hidden=False,
    failure_message="All scores are 0, so the Jacobians are 1, 1/2 and 1/3 times the identity of size "
    "4; the root of the sum of its squared entries is 2.",
)
def test_hand(influence):
    q, v = torch.zeros(3, 1, dtype=torch.float64), normal(3, 4, seed=3)
    expected = torch.tensor([[2.0, 0, 0], [1, 1, 0], [2 / 3, 2 / 3, 2 / 3]], dtype=torch.float64)
    check_close(influence(q, q, v), expected, what="influence(q, k, v) with q and k of zeros and d_v = 4")


@test_case(
    name="zero above the diagonal",
    points=2,
    hidden=False,
    failure_message="No path may lead from a later value to an earlier output. If your causal_attention "
    "passes its checks, look at which index of the result belongs to the output.",
)
def test_zero(influence):
    found = check_shape(
        influence(normal(6, 4, seed=4), normal(6, 4, seed=5), normal(6, 3, seed=6)), (6, 6), what=CALL
    )
    assert (found.diagonal() > 0).all(), (
        f"The diagonal of {CALL} is {found.diagonal().tolist()}: each output responds to its own value."
    )
    # Exactly 0 in most forms; a forbidden score of -1e4 leaves 0 too. 1e-12 is far below the smallest real influence.
    check_close(
        found.triu(1), torch.zeros_like(found), tolerance=1e-12, what=f"what {CALL} has above the diagonal"
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
