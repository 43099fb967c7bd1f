"""q3: attention_weights_vjp(q, k, grad_weights) -> (grad_q, grad_k), judged against autograd."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_tuple, check_unchanged

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "attention_weights_vjp(q, k, grad_weights)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def gradients_by_autograd(q, k, grad_weights):
    """What is expected. Correct float64 forms (row sums, explicit Jacobian, einsum) agree to 1e-14, and leaving out the
    scale or the row-sum term is wrong by more than 0.1; hence a tolerance of 1e-9."""
    q, k = q.clone().requires_grad_(), k.clone().requires_grad_()
    weights = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return torch.autograd.grad((weights * grad_weights).sum(), (q, k))


def check_pair(found, expected, tolerance=1e-9, note=""):
    pair = check_tuple(found, ("grad_q", "grad_k"), what=CALL)
    for letter, gradient, right in zip("qk", pair, expected, strict=True):
        check_close(gradient, right, tolerance=tolerance, what=f"grad_{letter} of {CALL}{note}")


@test_case(
    name="two gradients, shaped like q and k",
    points=1,
    hidden=False,
    failure_message="Return the tuple (grad_q, grad_k); grad_q has the shape of q, grad_k that of k.",
)
def test_shapes(attention_weights_vjp):
    q, k, grad_weights = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1), normal(2, 3, 4, seed=2)
    pair = check_tuple(attention_weights_vjp(q, k, grad_weights), ("grad_q", "grad_k"), what=CALL)
    for letter, gradient, shape in zip("qk", pair, (q.shape, k.shape), strict=True):
        check_shape(gradient, shape, what=f"grad_{letter} of {CALL}")
        assert gradient.count_nonzero(), f"grad_{letter} of {CALL} is zero everywhere."


@test_case(
    name="gradients worked out by hand",
    points=3,
    hidden=False,
    failure_message="Both scores are 0, so both weights are 1/2. The gradient of the scores is then 1/2 * (1 "
    "- 1/2) = 1/4 for the first key and 1/2 * (0 - 1/2) = -1/4 for the second; the scale 1/sqrt(d_k) is "
    "1/2.",
)
def test_hand(attention_weights_vjp):
    q = torch.tensor([[0.0, 0.0, 8.0, 0.0]], dtype=torch.float64)
    k = torch.tensor([[8.0, 0.0, 0.0, 0.0], [0.0, 16.0, 0.0, 0.0]], dtype=torch.float64)
    grad_q = torch.tensor([[1.0, -2.0, 0.0, 0.0]], dtype=torch.float64)
    grad_k = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, -1.0, 0.0]], dtype=torch.float64)
    grad_weights = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    check_pair(attention_weights_vjp(q, k, grad_weights), (grad_q, grad_k))


@test_case(
    name="equal to autograd, with and without leading dimensions",
    points=3,
    hidden=True,
    failure_message="Derive three steps: weights to scores (the softmax Jacobian), scores to q, scores to k. "
    "Where does the scale enter, and which product needs a transpose?",
)
def test_values(attention_weights_vjp):
    for lead, l_q, l_k, d_k in [((2, 3), 5, 7, 6), ((), 3, 3, 3)]:
        q, k = normal(*lead, l_q, d_k, seed=3), normal(*lead, l_k, d_k, seed=4)
        grad_weights = normal(*lead, l_q, l_k, seed=5)
        note = f", q of shape {tuple(q.shape)}, k of shape {tuple(k.shape)},"
        expected = gradients_by_autograd(q, k, grad_weights)
        check_pair(attention_weights_vjp(q, k, grad_weights), expected, note=note)


@test_case(
    name="a constant added to a row changes nothing",
    points=1,
    hidden=True,
    failure_message="Each row of weights sums to 1 whatever q and k are, so a grad_weights that is constant "
    "along each row must give gradients of zero.",
)
def test_constant_rows(attention_weights_vjp):
    q, k = normal(3, 5, seed=6), normal(4, 5, seed=7)
    rows = torch.tensor([[1.0], [-2.0], [30.0]], dtype=torch.float64).expand(3, 4).clone()
    expected = torch.zeros_like(q), torch.zeros_like(k)
    check_pair(
        attention_weights_vjp(q, k, rows), expected, note=" with a constant in each row of grad_weights"
    )


@test_case(
    name="float32: ordinary and large scores",
    points=2,
    hidden=True,
    failure_message="The gradients have the dtype of q and stay finite when scores reach 150.",
)
def test_float32(attention_weights_vjp):
    q, k = normal(4, 6, seed=8, dtype=torch.float32), normal(5, 6, seed=9, dtype=torch.float32)
    grad_weights = normal(4, 5, seed=10, dtype=torch.float32)
    expected = gradients_by_autograd(q, k, grad_weights)
    check_pair(
        attention_weights_vjp(q, k, grad_weights.clone()), expected, tolerance=1e-5, note=" in float32"
    )
    q, k = torch.tensor([[150.0, 149.0, -150.0], [-150.0, -149.5, -150.0]]), torch.eye(3) * math.sqrt(3)
    expected = gradients_by_autograd(q, k, grad_weights[:2, :3])
    found = attention_weights_vjp(q, k, grad_weights[:2, :3])
    # absolute, for numbers up to 40: a score of 150 is itself rounded by 1e-5
    check_pair(found, expected, tolerance=2e-3, note=" with scores of +-150")


@test_case(
    name="arguments left alone, batches, sizes of 1 and 0",
    points=1,
    hidden=True,
    failure_message="Return new tensors; elements of a batch are independent; a single key always has weight "
    "1.",
)
def test_batch_and_sizes(attention_weights_vjp):
    q, k, grad_weights = normal(2, 3, 5, seed=11), normal(2, 4, 5, seed=12), normal(2, 3, 4, seed=13)
    copies = q.clone(), k.clone(), grad_weights.clone()
    whole = check_tuple(attention_weights_vjp(q, k, grad_weights), ("grad_q", "grad_k"), what=CALL)
    for letter, before, after in zip(("q", "k", "grad_weights"), copies, (q, k, grad_weights), strict=True):
        check_unchanged(before, after, what=f"{letter} in {CALL}")
    alone = attention_weights_vjp(q[1], k[1], grad_weights[1])
    check_pair(alone, (whole[0][1], whole[1][1]), note=" of element 1 of a batch, alone and in the batch,")
    one_key = attention_weights_vjp(q[0], k[0, :1], grad_weights[0, :, :1])
    check_pair(one_key, (torch.zeros(3, 5).double(), torch.zeros(1, 5).double()), note=" with one key")
    no_query = attention_weights_vjp(q[0, :0], k[0], grad_weights[0, :0])
    check_pair(no_query, (torch.zeros(0, 5).double(), torch.zeros(4, 5).double()), note=" with no query")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: grad_weights has the shape (..., L_q, L_k) of the "
    "weights.",
)
def test_bad_arguments(attention_weights_vjp):
    q, k, grad_weights = normal(2, 5, seed=14), normal(3, 5, seed=15), normal(2, 3, seed=16)
    vjp = attention_weights_vjp
    check_tuple(vjp(q, k, grad_weights), ("grad_q", "grad_k"), what=f"{CALL} with arguments that fit")
    check_raises(
        ValueError,
        vjp,
        q,
        k,
        grad_weights.mT,
        what=f"{CALL} with 2 queries, 3 keys and a (3, 2) grad_weights",
    )
    check_raises(
        ValueError,
        vjp,
        q,
        k[:, :4],
        grad_weights,
        what=f"{CALL} with queries of length 5 and keys of length 4",
    )
    q, k, grad_weights = q.expand(1, 2, 5), k.expand(4, 3, 5), grad_weights.expand(4, 2, 3)
    check_raises(
        ValueError, vjp, q, k, grad_weights, what=f"{CALL} with shapes (1, 2, 5), (4, 3, 5), (4, 2, 3)"
    )
