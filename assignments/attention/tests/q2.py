"""q2: scaled_dot_product_attention(q, k, v, mask=None), judged against PyTorch's own."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="There is one output for each query, as long as a value: (..., L_q, d_v), in the dtype of "
    "q. It is a weighted mean of values, so where all values are 1, it is 1.",
)
def test_shape(scaled_dot_product_attention):
    q, k, v = normal(2, 3, 5, seed=0), normal(2, 4, 5, seed=1), torch.ones(2, 4, 6, dtype=torch.float64)
    expected = torch.ones(2, 3, 6, dtype=torch.float64)
    what = "scaled_dot_product_attention(q, k, v) with values of 1"
    check_close(scaled_dot_product_attention(q, k, v), expected, what=what)


@test_case(
    name="an average worked out by hand",
    points=2,
    hidden=False,
    failure_message="The weights are 3/4 and 1/4 here, so the output is 3/4 of the first value plus 1/4 of "
    "the second.",
)
def test_hand(scaled_dot_product_attention):
    q = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    k = torch.tensor([[math.log(3), math.log(3), 5.0, 0.0], [0.0, 0.0, 0.0, 7.0]], dtype=torch.float64)
    v = torch.tensor([[4.0, 0.0], [8.0, 100.0]], dtype=torch.float64)
    expected = torch.tensor([[5.0, 25.0]], dtype=torch.float64)
    check_close(scaled_dot_product_attention(q, k, v), expected, what="scaled_dot_product_attention(q, k, v)")


@test_case(
    name="a forbidden value does not enter the average",
    points=2,
    hidden=False,
    failure_message="Equal keys weigh the same if they are allowed, so each output is the plain mean of the "
    "allowed values.",
)
def test_mask(scaled_dot_product_attention):
    q, k = normal(2, 4, seed=3), torch.ones(3, 4, dtype=torch.float64)
    v = torch.tensor([[1.0], [3.0], [1000.0]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [False, True, False]])
    expected = torch.tensor([[2.0], [3.0]], dtype=torch.float64)
    what = "scaled_dot_product_attention(q, k, v, mask) with three equal keys"
    check_close(scaled_dot_product_attention(q, k, v, mask), expected, what=what)


@test_case(
    name="values, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Check which size stands under the root, over which axis the softmax runs, and what is "
    "multiplied last.",
)
def test_values(scaled_dot_product_attention):
    # Correct float64 forms differ by at most 4.7e-15 and correct float32 forms with L <= 8 by at most 1e-6; a mask of
    # -10 instead of -inf is 3.5e-3 away. Hence tolerances of 1e-9 and 1e-5.
    for lead, l_q, l_k, d_k, d_v in [((2, 3), 5, 7, 6, 2), ((), 4, 4, 4, 3)]:
        q, k, v = (
            normal(*lead, l_q, d_k, seed=4),
            normal(*lead, l_k, d_k, seed=5),
            normal(*lead, l_k, d_v, seed=6),
        )
        what = f"scaled_dot_product_attention(q, k, v) with shapes {tuple(q.shape)}, {tuple(k.shape)}, {tuple(v.shape)}"
        expected = F.scaled_dot_product_attention(q, k, v)
        check_close(scaled_dot_product_attention(q, k, v), expected, what=what)


@test_case(
    name="masks, and queries that may attend to nothing",
    points=1,
    hidden=True,
    failure_message="A mask broadcasts to (..., L_q, L_k). A query that may attend to nothing gets zeros, not "
    "a mean or NaN.",
)
def test_masks(scaled_dot_product_attention):
    for shape in [(4, 3), (2, 4, 3), (2, 1, 3)]:
        q, k, v = normal(2, 4, 5, seed=7), normal(2, 3, 5, seed=8), normal(2, 3, 6, seed=9)
        mask = normal(*shape, seed=10) > -0.3
        mask[..., 0, :] = False
        expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        what = f"scaled_dot_product_attention(q, k, v, mask) with a mask of shape {shape}"
        check_close(scaled_dot_product_attention(q, k, v, mask), expected, what=what)


@test_case(
    name="gradients",
    points=1,
    hidden=True,
    failure_message="The output must be differentiable with respect to q, k and v, through the weights as "
    "well as the values.",
)
def test_gradients(scaled_dot_product_attention):
    q, k, v = normal(2, 4, 5, seed=11), normal(2, 3, 5, seed=12), normal(2, 3, 6, seed=13)
    for tensor in (q, k, v):
        tensor.requires_grad_()
    mask = torch.tensor(
        [[True, True, True], [False, True, True], [False, False, False], [True, False, False]]
    )
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    found = scaled_dot_product_attention(q, k, v, mask)
    what = "scaled_dot_product_attention(q, k, v, mask)"
    check_gradients(found, expected, {"q": q, "k": k, "v": v}, what=what)


@test_case(
    name="float32: ordinary and large scores",
    points=1,
    hidden=True,
    failure_message="The result has the dtype of q. exp(150) overflows in float32: subtract each row's "
    "largest score first.",
)
def test_float32(scaled_dot_product_attention):
    q, k, v = (normal(2, 8, d, seed=seed, dtype=torch.float32) for seed, d in [(14, 6), (15, 6), (16, 5)])
    expected = F.scaled_dot_product_attention(q, k, v)
    found = scaled_dot_product_attention(q, k, v)
    check_close(found, expected, tolerance=1e-5, what="scaled_dot_product_attention(q, k, v) in float32")
    q = torch.tensor([[150.0, 149.0, -150.0], [-150.0, -149.5, -150.0]])
    k, v = torch.eye(3) * math.sqrt(3), torch.tensor([[1.0], [2.0], [3.0]])
    expected = F.scaled_dot_product_attention(q, k, v)
    what = "scaled_dot_product_attention(q, k, v) with scores of +-150"
    check_close(scaled_dot_product_attention(q, k, v), expected, tolerance=1e-4, what=what)


@test_case(
    name="batches, sizes of 1 and 0, arguments left alone",
    points=1,
    hidden=True,
    failure_message="Elements of a batch are independent; functions return new tensors; no query gives an "
    "empty output, and no key gives zeros: there is nothing to attend to.",
)
def test_batch_and_sizes(scaled_dot_product_attention):
    q, k, v = normal(2, 3, 5, seed=17), normal(2, 4, 5, seed=18), normal(2, 4, 1, seed=19)
    copies = q.clone(), k.clone(), v.clone()
    whole = scaled_dot_product_attention(q, k, v)
    for letter, before, after in zip("qkv", copies, (q, k, v), strict=True):
        check_unchanged(before, after, what=f"{letter} in scaled_dot_product_attention(q, k, v)")
    what = "scaled_dot_product_attention of element 1 of a batch, alone and in the batch,"
    check_close(scaled_dot_product_attention(q[1], k[1], v[1]), whole[1], what=what)
    what = "scaled_dot_product_attention(q, k, v) with one key and value"
    check_close(scaled_dot_product_attention(q, k[:, :1], v[:, :1]), v[:, :1].expand(2, 3, 1), what=what)
    found = scaled_dot_product_attention(q[:, :0], k, v)
    check_shape(found, (2, 0, 1), what="scaled_dot_product_attention(q, k, v) with no query")
    found = scaled_dot_product_attention(q, k[:, :0], v[:, :0])
    check_close(
        found, torch.zeros(2, 3, 1).double(), what="scaled_dot_product_attention(q, k, v) with no key"
    )


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: each key has one value, and a mask is boolean and fits "
    "the scores.",
)
def test_bad_arguments(scaled_dot_product_attention):
    q, k, v = normal(2, 5, seed=20), normal(3, 5, seed=21), normal(3, 4, seed=22)
    call = "scaled_dot_product_attention(q, k, v, mask)"
    attention = scaled_dot_product_attention
    check_shape(attention(q, k, v), (2, 4), what=f"{call[:-7]}) with arguments that fit")
    check_raises(ValueError, attention, q, k, v[:2], what=f"{call} with three keys and two values")
    check_raises(
        ValueError, attention, q[:, :4], k, v, what=f"{call} with queries of length 4 and keys of length 5"
    )
    check_raises(ValueError, attention, q, k, v, torch.ones(2, 3), what=f"{call} with a mask of numbers")
    check_raises(ValueError, attention, q, k, v[:, 0], what=f"{call} with values of shape (3,)")
    what = f"{call} with shapes (2, 1, 2, 5), (2, 1, 3, 5) and (3, 1, 3, 4)"
    q, k, v = (x.expand(lead, 1, *x.shape) for x, lead in ((q, 2), (k, 2), (v, 3)))
    check_raises(ValueError, attention, q, k, v, what=what)
