"""q7: kernel_regression(queries, keys, values, bandwidth), from a smooth average to a hard look-up."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q7"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(queries, keys, values, bandwidth):
    """What is expected where nothing underflows; correct float64 forms agree to 1e-14, hence a tolerance of 1e-9.

    Where distances are tiny or huge compared with the bandwidth, the cases use whole numbers as coordinates, so that
    every way to compute a squared distance (differences, the expanded square, torch.cdist) is exact and only the
    algorithm is judged.
    """
    squared = (queries.unsqueeze(-2) - keys.unsqueeze(-3)).square().sum(-1)
    return (-squared / (2 * bandwidth**2)).softmax(-1) @ values


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="One average of the values for each query: (..., L_q, d_v), in the dtype of the queries. Where "
    "all values are 1, it is 1.",
)
def test_shape(kernel_regression):
    queries, keys, values = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1), torch.ones(2, 4, 6).double()
    expected = torch.ones(2, 3, 6, dtype=torch.float64)
    what = "kernel_regression(queries, keys, values, 1.0) with values of 1"
    check_close(kernel_regression(queries, keys, values, 1.0), expected, what=what)


@test_case(
    name="an average worked out by hand",
    points=2,
    hidden=False,
    failure_message="One key is at the query, the other at squared distance 8 ln 3. With h = 2 the exponents "
    "are 0 and -ln 3, so the weights are 3/4 and 1/4.",
)
def test_hand(kernel_regression):
    queries = torch.tensor([[1.0]], dtype=torch.float64)
    keys = torch.tensor([[1.0], [1.0 + math.sqrt(8 * math.log(3))]], dtype=torch.float64)
    values = torch.tensor([[4.0], [8.0]], dtype=torch.float64)
    expected = torch.tensor([[5.0]], dtype=torch.float64)
    what = "kernel_regression(queries, keys, values, bandwidth=2.0)"
    check_close(kernel_regression(queries, keys, values, 2.0), expected, what=what)


@test_case(
    name="values and gradients",
    points=1,
    hidden=True,
    failure_message="The weights of one query are exp(-|q - k|^2 / (2 h^2)), divided by their sum over the "
    "keys. Leading dimensions are a stack of independent problems.",
)
def test_values(kernel_regression):
    for lead, bandwidth in [((2, 3), 0.7), ((), 3.0)]:
        inputs = {
            "queries": normal(*lead, 5, 2, seed=3).requires_grad_(),
            "keys": normal(*lead, 4, 2, seed=4).requires_grad_(),
            "values": normal(*lead, 4, 3, seed=5).requires_grad_(),
        }
        copies = {name: tensor.detach().clone() for name, tensor in inputs.items()}
        what = f"kernel_regression(queries, keys, values, {bandwidth}) with leading dimensions {lead}"
        expected = oracle(*inputs.values(), bandwidth)
        found = kernel_regression(*inputs.values(), bandwidth)
        check_close(found, expected, what=what)
        check_gradients(found, expected, inputs, what=what)
        for name, tensor in inputs.items():
            check_unchanged(
                copies[name], tensor, what=f"{name} in kernel_regression(queries, keys, values, {bandwidth})"
            )


@test_case(
    name="the limit of a hard look-up",
    points=1,
    hidden=True,
    failure_message="As h goes to 0 each query gets the value of its nearest key. All exponentials underflow "
    "to 0 then, unless the smallest squared distance is subtracted first; and h^2 itself may underflow.",
)
def test_look_up(kernel_regression):
    for dtype, bandwidth in [
        (torch.float64, 1e-6),
        (torch.float32, 1e-30),
        (torch.float32, 1e-300),
        (torch.float64, 1e-300),
    ]:
        keys = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], dtype=dtype)
        queries = torch.tensor([[1.0, 0.0], [0.0, 4.0], [3.0, 1.0], [0.0, 0.0]], dtype=dtype)
        values = torch.tensor([[1.0], [2.0], [3.0]], dtype=dtype)
        what = f"kernel_regression(queries, keys, values, {bandwidth}) in {dtype}"
        expected = values[[0, 2, 1, 0]]
        check_close(kernel_regression(queries, keys, values, bandwidth), expected, what=what)


@test_case(
    name="two keys at the same distance",
    points=1,
    hidden=True,
    failure_message="Keys at the same distance weigh the same, however small h is: a look-up that finds two "
    "keys averages them.",
)
def test_ties(kernel_regression):
    queries, keys = (
        torch.zeros(1, 2, dtype=torch.float64),
        torch.tensor([[3.0, 4.0], [-5.0, 0.0], [6.0, 0.0]]).double(),
    )
    values = torch.tensor([[1.0], [2.0], [300.0]], dtype=torch.float64)
    for bandwidth in (1e-2, 1e-300):
        what = (
            f"kernel_regression(queries, keys, values, {bandwidth}) with two keys at distance 5 and one at 6"
        )
        expected = torch.tensor([[1.5]], dtype=torch.float64)
        check_close(kernel_regression(queries, keys, values, bandwidth), expected, what=what)


@test_case(
    name="queries far from every key",
    points=1,
    hidden=True,
    failure_message="Far from all keys every exponential underflows, but their ratios are still well defined: "
    "what counts is how much further the other keys are than the nearest one.",
)
def test_far_away(kernel_regression):
    queries, keys = (
        torch.tensor([[1000.0], [-1000.0], [100.0]]).double(),
        torch.tensor([[0.0], [1.0], [2.0]]).double(),
    )
    values, bandwidth = torch.tensor([[1.0, 0.0], [2.0, 5.0], [3.0, -5.0]]).double(), 10.0
    what = "kernel_regression(queries, keys, values, 10.0) with queries far from every key"
    expected = oracle(queries, keys, values, bandwidth)
    check_close(kernel_regression(queries, keys, values, bandwidth), expected, what=what)
    found = kernel_regression(queries, keys[:1], values[:1], bandwidth)
    check_close(
        found, values[:1].expand(3, 2), what="kernel_regression(queries, keys, values, 10.0) with one key"
    )


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a bandwidth of 0 or less and for shapes that do not "
    "fit together.",
)
def test_bad_arguments(kernel_regression):
    queries, keys, values = normal(2, 3, seed=6), normal(4, 3, seed=7), normal(4, 2, seed=8)
    what = "kernel_regression(queries, keys, values, 1.0) with arguments that fit"
    check_shape(kernel_regression(queries, keys, values, 1.0), (2, 2), what=what)
    for bandwidth in (0.0, -1.0):
        what = f"kernel_regression(queries, keys, values, {bandwidth})"
        check_raises(ValueError, kernel_regression, queries, keys, values, bandwidth, what=what)
    what = "kernel_regression(queries, keys, values, 1.0) with queries of length 2 and keys of length 3"
    check_raises(ValueError, kernel_regression, queries[:, :2], keys, values, 1.0, what=what)
    what = "kernel_regression(queries, keys, values, 1.0) with 4 keys and 3 values"
    check_raises(ValueError, kernel_regression, queries, keys, values[:3], 1.0, what=what)
    what = "kernel_regression(queries, keys, values, 1.0) with no key"
    check_raises(ValueError, kernel_regression, queries, keys[:0], values[:0], 1.0, what=what)
    for bad in [((3,), (4, 3), (4, 2)), ((2, 3), (3,), (3, 2)), ((2, 3), (4, 3), (4,))]:
        what = "kernel_regression(queries, keys, values, 1.0) with shapes {}, {} and {}".format(*bad)
        check_raises(ValueError, kernel_regression, *map(torch.ones, bad), 1.0, what=what)
    for leads in [(2, 3, 3), (3, 2, 3), (3, 3, 2)]:
        bad = [x.expand(lead, 1, *x.shape) for x, lead in zip((queries, keys, values), leads, strict=True)]
        sizes = ", ".join(f"({lead}, 1)" for lead in leads)
        what = f"kernel_regression(queries, keys, values, 1.0) with leading dimensions {sizes}"
        check_raises(ValueError, kernel_regression, *bad, 1.0, what=what)
