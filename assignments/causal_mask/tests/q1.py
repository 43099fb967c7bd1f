"""q1: causal_mask(n, m=None), True where a query may attend."""

import torch
from otter.test_files import test_case

from autograder.checks import check_dtype, check_raises, check_shape

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def booleans(rows):
    return torch.tensor(rows, dtype=torch.bool)


def by_definition(n, m):
    """Query i stands at place i + (m - n) of the sequence and sees every key up to there."""
    return booleans([[j <= i + (m - n) for j in range(m)] for i in range(n)]).reshape(n, m)


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


@test_case(
    name="other lengths",
    points=2,
    hidden=True,
    failure_message="Query i may see key j if j <= i + (m - n).",
)
def test_lengths(causal_mask):
    for n, m in [(1, 1), (5, 5), (3, 8), (6, 7)]:
        check_mask(causal_mask(n, m), by_definition(n, m), f"causal_mask({n}, {m})")
    check_mask(causal_mask(6), by_definition(6, 6), "causal_mask(6)")
    check_mask(causal_mask(n=2, m=5), by_definition(2, 5), "causal_mask(n=2, m=5)")


@test_case(
    name="with a cache, the last rows of the whole triangle",
    points=2,
    hidden=True,
    failure_message="A cache changes what is computed, not who sees whom: the mask for n new positions "
    "is the last n rows of the mask for all m.",
)
def test_last_rows(causal_mask):
    whole = check_shape(causal_mask(9), (9, 9), what="causal_mask(9)")
    for n in (1, 4, 8):
        check_mask(causal_mask(n, 9), by_definition(n, 9), f"causal_mask({n}, 9)")
        check_mask(
            causal_mask(n, 9), whole[9 - n :], f"causal_mask({n}, 9), beside the last rows of causal_mask(9),"
        )


@test_case(
    name="no query, no key",
    points=1,
    hidden=True,
    failure_message="A length may be 0: the mask is then empty, with the right shape and dtype.",
)
def test_empty(causal_mask):
    for n, m in [(0, 0), (0, 3)]:
        check_mask(causal_mask(n, m), by_definition(n, m), f"causal_mask({n}, {m})")
    check_mask(causal_mask(0), by_definition(0, 0), "causal_mask(0)")


@test_case(
    name="lengths that are refused",
    points=2,
    hidden=True,
    failure_message="Raise ValueError with a message if n is negative or if there are fewer keys than queries.",
)
def test_refused(causal_mask):
    check_mask(causal_mask(3, 3), by_definition(3, 3), "causal_mask(3, 3)")
    for n, m in [(3, 2), (1, 0), (-1, 2), (-2, -1)]:
        check_raises(ValueError, causal_mask, n, m, what=f"causal_mask({n}, {m})")
    check_raises(ValueError, causal_mask, -1, what="causal_mask(-1)")
