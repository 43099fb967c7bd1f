"""q1: attention_weights(q, k, mask=None)."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(q, k, mask=None):
    """PyTorch's own attention, with the identity matrix as values.

    Sizes are chosen so that d_k, L_q, L_k and their roots all differ: a wrong scale cannot hide behind equal numbers.
    One case is square on purpose, for a forgotten transpose is silent there. Correct float64 forms differ by at most
    4.7e-15 and correct float32 forms with L <= 8 by at most 1e-6, while the mildest wrong scale is 0.3 away; hence
    tolerances of 1e-9 and 1e-5.
    """
    lead = torch.broadcast_tensors(q[..., :1, :1], k[..., :1, :1])[0].shape[:-2]
    q, k = q.expand(*lead, *q.shape[-2:]), k.expand(*lead, *k.shape[-2:])
    identity = torch.eye(k.shape[-2], dtype=k.dtype).expand(*lead, -1, -1)
    return F.scaled_dot_product_attention(q, k, identity, attn_mask=mask)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="There is one weight for each pair of a query and a key: (..., L_q, L_k), in the dtype of "
    "q.",
)
def test_shape(attention_weights):
    q, k = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1)
    weights = check_shape(attention_weights(q, k), (2, 3, 4), what="attention_weights(q, k)")
    check_close(
        weights.sum(-1),
        torch.ones(2, 3, dtype=q.dtype),
        what="the sum of each row of attention_weights(q, k)",
    )


@test_case(
    name="two weights worked out by hand",
    points=2,
    hidden=False,
    failure_message="The query's dot products with the two keys are 2 ln 3 and 0. With d_k = 4 the scores are "
    "ln 3 and 0, so the exponentials are 3 and 1, and the weights 3/4 and 1/4.",
)
def test_hand(attention_weights):
    q = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    k = torch.tensor([[math.log(3), math.log(3), 5.0, 0.0], [0.0, 0.0, 0.0, 7.0]], dtype=torch.float64)
    expected = torch.tensor([[0.75, 0.25]], dtype=torch.float64)
    check_close(attention_weights(q, k), expected, what="attention_weights(q, k)")


@test_case(
    name="a forbidden key gets no weight",
    points=2,
    hidden=False,
    failure_message="mask is True where a query may attend. A forbidden key must not count in the sum that "
    "normalises the row: the weights of the allowed keys still sum to 1, and equal keys have equal "
    "weights.",
)
def test_mask(attention_weights):
    q, k = normal(2, 4, seed=2), torch.ones(3, 4, dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [False, True, False]])
    expected = torch.tensor([[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    check_close(
        attention_weights(q, k, mask), expected, what="attention_weights(q, k, mask) with three equal keys"
    )


@test_case(
    name="values, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Check the scale (which size belongs under the root?), the axis of the softmax, and which "
    "matrix is transposed. Leading dimensions are a stack of independent problems, and broadcast.",
)
def test_values(attention_weights):
    for shape_q, shape_k in [((2, 3, 5, 6), (2, 3, 7, 6)), ((3, 3), (3, 3)), ((2, 1, 2, 5), (3, 4, 5))]:
        q, k = normal(*shape_q, seed=3), normal(*shape_k, seed=4)
        what = f"attention_weights(q, k), q of shape {shape_q}, k of shape {shape_k},"
        expected = oracle(q, k)
        check_close(attention_weights(q, k), expected, what=what)


@test_case(
    name="masks that broadcast",
    points=1,
    hidden=True,
    failure_message="A mask may have fewer dimensions than the weights, and sizes of 1: it broadcasts to "
    "(..., L_q, L_k).",
)
def test_mask_shapes(attention_weights):
    q, k = normal(2, 4, 5, seed=5), normal(2, 3, 5, seed=6)
    for queries, shape in [(q, (4, 3)), (q, (2, 1, 3)), (q, (3,)), (q[0], (2, 4, 3))]:
        mask = normal(*shape, seed=7) > -0.5
        mask[..., 0] = True
        what = f"attention_weights(q, k, mask), q of shape {tuple(queries.shape)}, a mask of shape {shape},"
        expected = oracle(queries, k, mask)
        check_close(attention_weights(queries, k, mask), expected, what=what)


@test_case(
    name="a query that may attend to nothing",
    points=1,
    hidden=True,
    failure_message="A row of the mask that is all False gives a row of zeros, and gradients of zero, never "
    "NaN. Mind that a NaN which is replaced afterwards may return in the gradient.",
)
def test_nothing_allowed(attention_weights):
    q, k = normal(3, 5, seed=8).requires_grad_(), normal(4, 5, seed=9).requires_grad_()
    mask = torch.ones(3, 4, dtype=torch.bool)
    mask[1] = False
    expected = oracle(q, k, mask)
    found = attention_weights(q, k, mask)
    check_close(found, expected, what="attention_weights(q, k, mask) with one row of the mask all False")
    check_gradients(found, expected, {"q": q, "k": k}, what="attention_weights(q, k, mask)")


@test_case(
    name="gradients",
    points=1,
    hidden=True,
    failure_message="The weights must be differentiable with respect to q and k: nothing on the way may be "
    "detached.",
)
def test_gradients(attention_weights):
    q, k = normal(2, 2, 5, seed=10).requires_grad_(), normal(2, 3, 5, seed=11).requires_grad_()
    mask = normal(2, 3, seed=12) > -0.8
    expected = oracle(q, k, mask)
    found = attention_weights(q, k, mask)
    check_gradients(found, expected, {"q": q, "k": k}, what="attention_weights(q, k, mask)")
    check_gradients(attention_weights(q, k), oracle(q, k), {"q": q, "k": k}, what="attention_weights(q, k)")


@test_case(
    name="large scores, float32",
    points=1,
    hidden=True,
    failure_message="exp(150) overflows in float32 and exp(-150) underflows: subtract each row's largest "
    "allowed score first.",
)
def test_large_scores(attention_weights):
    scores = torch.tensor([[150.0, 149.0, -150.0], [-150.0, -149.5, -150.0], [150.0, -150.0, -149.0]])
    mask = torch.tensor([[True, True, True], [True, True, True], [False, True, True]])
    q, k = scores, torch.eye(3) * math.sqrt(3)
    expected = oracle(q, k, mask)
    found = attention_weights(q, k, mask)
    # a float32 score of 150 is itself rounded by 1e-5
    check_close(found, expected, tolerance=1e-4, what="attention_weights(q, k, mask) with scores of +-150")


@test_case(
    name="float32, and each element of a batch by itself",
    points=1,
    hidden=True,
    failure_message="The result has the dtype of q, and what stands in one element of a batch must not change "
    "another.",
)
def test_float32_and_batch(attention_weights):
    q, k = normal(2, 8, 6, seed=13, dtype=torch.float32), normal(2, 7, 6, seed=14, dtype=torch.float32)
    expected = oracle(q, k)
    found = attention_weights(q.clone(), k.clone())
    check_close(found, expected, tolerance=1e-5, what="attention_weights(q, k) in float32")
    k[1] = 40.0
    what = "element 0 of attention_weights(q, k), after only element 1 of k was changed,"
    check_close(attention_weights(q, k)[0], expected[0], tolerance=1e-5, what=what)


@test_case(
    name="arguments stay as they are; sizes of 1 and 0",
    points=1,
    hidden=True,
    failure_message="Functions return new tensors. A single key gets the whole weight; no query at all gives "
    "an empty result.",
)
def test_unchanged_and_sizes(attention_weights):
    q, k, mask = normal(2, 5, seed=15), normal(3, 5, seed=16), torch.tensor([True, False, True])
    copies = q.clone(), k.clone(), mask.clone()
    found = attention_weights(q, k, mask)
    check_close(found, oracle(*copies), what="attention_weights(q, k, mask)")
    for letter, before, after in zip(("q", "k", "mask"), copies, (q, k, mask), strict=True):
        check_unchanged(before, after, what=f"{letter} in attention_weights(q, k, mask)")
    check_close(
        attention_weights(q, k[:1]), torch.ones_like(q[:, :1]), what="attention_weights(q, k) with one key"
    )
    check_shape(attention_weights(q[:0], k), (0, 3), what="attention_weights(q, k) with no query")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a mask that is not boolean and for shapes that do "
    "not fit together.",
)
def test_bad_arguments(attention_weights):
    q, k = normal(2, 5, seed=17), normal(3, 5, seed=18)
    check_shape(attention_weights(q, k), (2, 3), what="attention_weights(q, k) with arguments that fit")
    call = "attention_weights(q, k, mask)"
    check_raises(ValueError, attention_weights, q, k, torch.ones(2, 3), what=f"{call} with a mask of numbers")
    bad = torch.ones(2, 4, dtype=torch.bool)
    check_raises(
        ValueError, attention_weights, q, k, bad, what=f"{call} with shapes (2, 5), (3, 5) and a (2, 4) mask"
    )
    check_raises(
        ValueError,
        attention_weights,
        q,
        k[:, :4],
        what="attention_weights(q, k) with shapes (2, 5) and (3, 4)",
    )
    bad = torch.ones(4, 2, 3, dtype=torch.bool)
    check_raises(
        ValueError,
        attention_weights,
        q,
        k,
        bad,
        what=f"{call} with shapes (2, 5), (3, 5) and a (4, 2, 3) mask",
    )
    for shape_q, shape_k in [((5,), (3, 5)), ((2, 5), (5,)), ((2, 0), (3, 0)), ((2, 1, 2, 5), (3, 1, 3, 5))]:
        what = f"attention_weights(q, k) with shapes {shape_q} and {shape_k}"
        check_raises(ValueError, attention_weights, torch.ones(shape_q), torch.ones(shape_k), what=what)
