"""q5: layers_needed(n, window, stride) -> int."""

import torch
from otter.test_files import test_case

from autograder.checks import check_int, check_raises

OK_FORMAT = False
name = "q5"
all_or_nothing = False


def by_products(n, window, stride):
    """What is expected, by multiplying masks until nothing below the diagonal is missing."""
    positions = torch.arange(n)
    distance = positions[:, None] - positions
    mask = ((distance >= 0) & ((distance < window) | (distance % stride == 0))).double()
    reached, layers = torch.eye(n).double(), 0
    while reached.tril().count_nonzero() != n * (n + 1) // 2:
        reached, layers = (mask @ reached > 0).double(), layers + 1
    return layers


def check_layers(layers_needed, n, window, stride, expected):
    check_int(layers_needed(n, window, stride), expected, what=f"layers_needed({n}, {window}, {stride})")


@test_case(
    name="eight positions worked out by hand",
    points=2,
    hidden=False,
    failure_message="With window 2 and stride 3 one layer covers the distances 0, 1, 3 and 6. Distance 5 needs "
    "three: 3 + 1 + 1. With window 3 it is 3 + 2, and two are enough.",
)
def test_hand(layers_needed):
    check_layers(layers_needed, 8, 2, 3, 3)
    check_layers(layers_needed, 8, 3, 3, 2)


@test_case(
    name="none, one and two",
    points=2,
    hidden=False,
    failure_message="One position needs no layer. If the window holds everything, one layer does it. A window of "
    "at least the stride takes two: one hop within the window, one by strides.",
)
def test_small_numbers(layers_needed):
    check_layers(layers_needed, 1, 1, 1, 0)
    check_layers(layers_needed, 5, 5, 3, 1)
    check_layers(layers_needed, 100, 10, 10, 2)


@test_case(
    name="small sizes, against products of the mask",
    points=3,
    hidden=True,
    failure_message="For small n, the product of L masks is above 0 where L layers lead. The window's longest hop is "
    "window - 1; one hop by strides goes as many strides as you like.",
)
def test_products(layers_needed):
    for sizes in [
        (1, 3, 5), (2, 2, 2), (2, 9, 4), (3, 2, 2), (5, 4, 2), (7, 3, 9), (9, 2, 4), (12, 2, 6), (13, 4, 6), (17, 5, 8),
        (20, 4, 11), (12, 3, 1), (10, 7, 3), (12, 11, 4),
    ]:  # fmt: skip
        check_layers(layers_needed, *sizes, by_products(*sizes))


@test_case(
    name="long sequences",
    points=2,
    hidden=True,
    failure_message="Masks of so many positions cannot be multiplied. Ask of each distance how many hops it takes, "
    "and of all distances which takes most.",
)
def test_long(layers_needed):
    # The worst distance is one below a multiple of the stride: after the hop by strides, stride - 1 is left for steps
    # of window - 1. Where the strides are longer than the sequence, all of it is left.
    for n, window, stride, expected in [
        (100_000, 317, 317, 2), (10_000, 99, 100, 3), (10_000, 34, 100, 4), (10_000, 11, 100, 11), (10_000, 2, 30, 30),
        (10_000, 101, 20_000, 100), (10_000, 10_000, 5, 1),
    ]:  # fmt: skip
        check_layers(layers_needed, n, window, stride, expected)


@test_case(
    name="arguments that are refused",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when n, window or stride is less than 1, and when no number "
    "of layers is enough: with window 1 and a stride above 1, neighbours never meet.",
)
def test_bad_arguments(layers_needed):
    check_layers(layers_needed, 4, 1, 1, 1)
    check_layers(layers_needed, 1, 1, 2, 0)
    for sizes in [(0, 2, 2), (0, 3, 1), (-1, 2, 2), (4, 0, 2), (4, 2, 0), (4, 1, 2), (2, 1, 5), (1, 0, 1)]:
        check_raises(ValueError, layers_needed, *sizes, what=f"layers_needed{sizes}")
