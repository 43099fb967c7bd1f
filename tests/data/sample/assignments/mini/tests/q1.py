"""q1: softmax(x) along the last dimension, against torch.softmax. Correct float64 forms differ by less than 1e-15."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises

OK_FORMAT = False
name = "q1"
all_or_nothing = False
HAND = [0.0, math.log(3.0)]


def stacked(seed):
    return torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@test_case(
    name="two numbers by hand",
    points=2,
    hidden=False,
    failure_message="exp(0) = 1 and exp(ln 3) = 3, so the shares are 1/4 and 3/4.",
)
def test_hand(softmax):
    expected = torch.tensor([0.25, 0.75], dtype=torch.float64)
    check_close(softmax(torch.tensor(HAND, dtype=torch.float64)), expected, what="softmax([0, ln 3])")


# Its sizes differ, so that an axis cannot be mixed up unseen.
@test_case(
    name="stacks of rows",
    points=1,
    hidden=True,
    failure_message="Each row along the last dimension is a softmax of its own.",
)
def test_stack(softmax):
    x = stacked(seed=20)
    check_close(softmax(x), torch.softmax(x, dim=-1), what="softmax(x), x of shape (2, 3, 5)")


@test_case(
    name="no numbers at all",
    points=1,
    hidden=True,
    failure_message="An empty row has no softmax: raise ValueError with a message.",
)
def test_empty(softmax):
    check_raises(ValueError, softmax, torch.empty(0), what="softmax of an empty row")
