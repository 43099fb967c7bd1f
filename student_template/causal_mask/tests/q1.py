"""q1: causal_mask(n, m=None), True where a query may attend."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def booleans(rows):
    return torch.tensor(rows, dtype=torch.bool)


def check_mask(found, expected, what):
    """Pass if it is this mask, entry by entry: a boolean is right or wrong, so there is no tolerance."""
    mask = check_shape(found, expected.shape, what=what)
    check_dtype(mask, torch.bool, what=what)
    wrong = (mask != expected).nonzero().tolist()
    if wrong:
        i, j = wrong[0]
        raise AssertionError(
            f"{what} is wrong in {len(wrong)} of {mask.numel()} entries. The first one is at index [{i}, {j}]: may "
            f"query {i} attend to key {j}? {expected[i, j].item()} was expected, {mask[i, j].item()} found."
        )


@test_case(
    name="shape, dtype and diagonal",
    points=1,
    hidden=False,
    failure_message="One row for each query, one column for each key, and booleans: True = may attend. Each position "
    "may attend to itself.",
)
def test_shape(causal_mask):
    found = check_shape(causal_mask(4), (4, 4), what="causal_mask(4)")
    check_dtype(found, torch.bool, what="causal_mask(4)")
    assert found.diagonal().all(), (
        f"The diagonal of causal_mask(4) is {found.diagonal().tolist()}, but True was expected everywhere."
    )


@test_case(
    name="three positions",
    points=2,
    hidden=False,
    failure_message="Row i sees the columns 0, ..., i: the first row sees only itself, the last row everything.",
)
def test_three(causal_mask):
    expected = booleans([[1, 0, 0], [1, 1, 0], [1, 1, 1]])
    check_mask(causal_mask(3), expected, "causal_mask(3)")


@test_case(
    name="two new positions after a cache of two",
    points=2,
    hidden=False,
    failure_message="The newest query belongs to the newest key: the lower right corner is the fixed "
    "point, and the last row sees everything.",
)
def test_cache(causal_mask):
    expected = booleans([[1, 1, 1, 0], [1, 1, 1, 1]])
    check_mask(causal_mask(2, 4), expected, "causal_mask(2, 4)")


# The comparisons that are used above.

from collections.abc import Callable, Sequence


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
