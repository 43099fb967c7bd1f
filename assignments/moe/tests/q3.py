"""q3: dispatch(x, weights, experts), judged with experts of the test's that write down what they see."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

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


@test_case(
    name="values, with leading dimensions",
    points=2,
    hidden=True,
    failure_message="Leading dimensions are a stack of rows, rows may use different numbers of experts, and many rows "
    "may use the same one: none is dropped.",
)
def test_values(dispatch):
    factors = torch.tensor([2.0, -1.0, 0.5, 3.0]).double()
    for lead, keep in [((), 2), ((7,), 1), ((2, 5), 2), ((2, 2, 2), 4)]:
        x, weights = normal(*lead, 3, seed=3), sparse_weights(*lead, 4, keep=keep, seed=4)
        # one product and four sums: correct float64 forms differ by at most 1.8e-15
        expected = (weights @ factors)[..., None] * x
        what = f"{CALL} with x of shape {tuple(x.shape)}"
        check_close(dispatch(x, weights, multiplying(2.0, -1.0, 0.5, 3.0)), expected, what=what)
    x, weights = normal(6, 3, seed=5), torch.tensor([0.0, 0.0, 0.3, 0.7], dtype=torch.float64).repeat(6, 1)
    expected = 2.25 * x
    expected[4], weights[4] = 0.0, 0.0
    what = f"{CALL} where rows 0 to 3 and 5 use the same two experts and row 4 none"
    check_close(dispatch(x, weights, multiplying(2.0, -1.0, 0.5, 3.0)), expected, what=what)


@test_case(
    name="each expert sees its rows, each once",
    points=2,
    hidden=True,
    failure_message="An expert must not even be asked about a row that does not use it: 0 times NaN is NaN. Select the "
    "rows before the call, not afterwards.",
)
def test_only_its_rows(dispatch):
    x, weights = normal(2, 6, 3, seed=6), sparse_weights(2, 6, 4, keep=2, seed=7)
    rows_of = [sorted(x[weights[..., e] != 0].tolist()) for e in range(4)]
    seen = [[], [], [], []]

    def expert(e):
        def function(rows):
            rows = rows.reshape(-1, 3)
            seen[e].extend(rows.tolist())
            allowed = [row in rows_of[e] for row in rows.tolist()]
            return torch.where(torch.tensor(allowed, dtype=torch.bool)[:, None], rows, math.nan)

        return function

    found = dispatch(x, weights, [expert(e) for e in range(4)])
    check_close(
        found, weights.sum(-1, keepdim=True) * x, what=f"{CALL} with experts that spoil rows of others"
    )
    for e in range(4):
        assert sorted(seen[e]) == rows_of[e], (
            f"In {CALL}, expert {e} saw {len(seen[e])} rows, but it should see its {len(rows_of[e])} rows, each once."
        )


@test_case(
    name="gradients of x, of the weights and of the experts",
    points=1,
    hidden=True,
    failure_message="Writing into a tensor under torch.no_grad(), or with .data, cuts the path of the gradient. "
    "index_add and ordinary products keep it.",
)
def test_gradients(linear_mixture):
    x, weights = normal(5, 3, seed=8).requires_grad_(), sparse_weights(5, 3, keep=2, seed=9).requires_grad_()
    matrices, what = normal(3, 3, 3, seed=14).requires_grad_(), "dispatch with experts that are matrices"
    outputs = torch.einsum("nd,edf->nef", x, matrices)
    expected = torch.einsum("ne,nef->nf", weights, outputs)
    check_gradients(
        linear_mixture(x, weights, matrices), expected, {"x": x, "the matrices": matrices}, what=what
    )
    (found,) = torch.autograd.grad(linear_mixture(x, weights, matrices).sum(), weights)
    used = weights != 0  # nothing is said about the gradient of a weight that is 0
    what = f"the gradient of {what} with respect to weights that are not 0"
    check_close(found[used], outputs.sum(-1)[used].detach(), what=what)


@test_case(
    name="float32, no rows, one expert; arguments left alone",
    points=1,
    hidden=True,
    failure_message="The result is a new tensor with the dtype of x. With no rows it is empty, and one row alone gives "
    "what it gives in a batch.",
)
def test_float32_and_sizes(dispatch):
    x = normal(5, 3, seed=10, dtype=torch.float32)
    weights = sparse_weights(5, 2, keep=1, seed=11, dtype=torch.float32)
    before = x.clone(), weights.clone()
    found = dispatch(x, weights, multiplying(2.0, -1.0))
    check_unchanged(before[0], x, what=f"x in {CALL}")
    check_unchanged(before[1], weights, what=f"weights in {CALL}")
    expected = (2 * weights[:, :1] - weights[:, 1:]) * x
    check_close(found, expected, tolerance=1e-5, what=f"{CALL} in float32")
    check_close(
        dispatch(x[3], weights[3], multiplying(2.0, -1.0)), found[3], tolerance=1e-5, what=f"{CALL} of a row"
    )
    check_shape(dispatch(x[:0], weights[:0], multiplying(2.0, -1.0)), (0, 3), what=f"{CALL} with no rows")
    found = dispatch(x, torch.ones(5, 1), multiplying(3.0))
    check_close(found, 3 * x, tolerance=1e-5, what=f"{CALL} with one expert")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when x and weights have different leading dimensions, or weights "
    "has another number of experts than the list.",
)
def test_bad_arguments(dispatch):
    x, weights, experts = normal(4, 3, seed=12), sparse_weights(4, 2, keep=1, seed=13), multiplying(1.0, 1.0)
    check_shape(dispatch(x, weights, experts), (4, 3), what=f"{CALL} with arguments that fit")
    check_raises(ValueError, dispatch, x[:3], weights, experts, what=f"{CALL} with 3 rows and weights for 4")
    check_raises(
        ValueError, dispatch, x, weights, experts[:1], what=f"{CALL} with weights for 2 experts and 1 expert"
    )
