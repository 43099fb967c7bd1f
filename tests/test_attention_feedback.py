"""The words that students read about known mistakes, to the letter: a change of a text is seen here before it is sent."""

# ruff: noqa: E501  the lines are as long as students get them

from __future__ import annotations

import pytest

from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.validate.submissions import mistaken
from tests.assignments import ROOT, grading

ASSIGNMENT = load("attention", ROOT)
grade = grading(ASSIGNMENT)
pytestmark = pytest.mark.slow

# misconception: (visible entry, entry that is published later) of its question
FEEDBACK = {
    "no_scale": (
"""\
Your `attention_weights` behaves exactly like attention without the 1/sqrt(d_k) scale.
Hint: The variance of a dot product grows with the length of its vectors. What brings the scores back to order 1?

passed: shape and dtype (1 of 1)
FAILED: two weights worked out by hand (0 of 2)
    attention_weights(q, k) is wrong in 2 of 2 numbers. The first one is at index [0, 0]: expected 0.75, found 0.9. The largest error is 0.15; 1e-09 is allowed.
    Hint: The query's dot products with the two keys are 2 ln 3 and 0. With d_k = 4 the scores are ln 3 and 0, so the exponentials are 3 and 1, and the weights 3/4 and 1/4.
passed: a forbidden key gets no weight (2 of 2)\
""",
"""\
FAILED: values, with and without leading dimensions (0 of 2)
    attention_weights(q, k), q of shape (2, 3, 5, 6), k of shape (2, 3, 7, 6), is wrong in 210 of 210 numbers. The first one is at index [0, 0, 0, 0]: expected 0.132081, found 0.0936368. The largest error is 0.4; 1e-09 is allowed.
    Hint: Check the scale (which size belongs under the root?), the axis of the softmax, and which matrix is transposed. Leading dimensions are a stack of independent problems, and broadcast.
FAILED: masks that broadcast (0 of 1)
    attention_weights(q, k, mask), q of shape (2, 4, 5), a mask of shape (4, 3), is wrong in 22 of 24 numbers. The first one is at index [0, 0, 0]: expected 0.349767, found 0.291797. The largest error is 0.25; 1e-09 is allowed.
    Hint: A mask may have fewer dimensions than the weights, and sizes of 1: it broadcasts to (..., L_q, L_k).
FAILED: a query that may attend to nothing (0 of 1)
    attention_weights(q, k, mask) with one row of the mask all False is wrong in 8 of 12 numbers. The first one is at index [0, 0]: expected 0.36487, found 0.506025. The largest error is 0.19; 1e-09 is allowed.
    Hint: A row of the mask that is all False gives a row of zeros, and gradients of zero, never NaN. Mind that a NaN which is replaced afterwards may return in the gradient.
FAILED: gradients (0 of 1)
    the gradient of attention_weights(q, k, mask) with respect to q is wrong in 20 of 20 numbers. The first one is at index [0, 0, 0]: expected 0.0585381, found 0.027529. The largest error is 0.41; 1e-09 is allowed.
    Hint: The weights must be differentiable with respect to q and k: nothing on the way may be detached.
FAILED: large scores, float32 (0 of 1)
    attention_weights(q, k, mask) with scores of +-150 is wrong in 7 of 9 numbers. The first one is at index [0, 0]: expected 0.731059, found 0.849675. The largest error is 0.12; 0.0001 is allowed.
    Hint: exp(150) overflows in float32 and exp(-150) underflows: subtract each row's largest allowed score first.
FAILED: float32, and each element of a batch by itself (0 of 1)
    attention_weights(q, k) in float32 is wrong in 112 of 112 numbers. The first one is at index [0, 0, 0]: expected 0.116491, found 0.0450396. The largest error is 0.4; 1e-05 is allowed.
    Hint: The result has the dtype of q, and what stands in one element of a batch must not change another.
FAILED: arguments stay as they are; sizes of 1 and 0 (0 of 1)
    attention_weights(q, k, mask) is wrong in 4 of 6 numbers. The first one is at index [0, 0]: expected 0.482269, found 0.460419. The largest error is 0.16; 1e-09 is allowed.
    Hint: Functions return new tensors. A single key gets the whole weight; no query at all gives an empty result.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "softmax_over_queries": (
"""\
Your `attention_weights` behaves exactly like a softmax over the queries instead of the keys.
Hint: Each query shares a total weight of 1 among the keys: which sums should be 1, those of the rows or of the columns?

FAILED: shape and dtype (0 of 1)
    the sum of each row of attention_weights(q, k) is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 1, found 1.01194. The largest error is 0.81; 1e-09 is allowed.
    Hint: There is one weight for each pair of a query and a key: (..., L_q, L_k), in the dtype of q.
FAILED: two weights worked out by hand (0 of 2)
    attention_weights(q, k) is wrong in 2 of 2 numbers. The first one is at index [0, 0]: expected 0.75, found 1. The largest error is 0.75; 1e-09 is allowed.
    Hint: The query's dot products with the two keys are 2 ln 3 and 0. With d_k = 4 the scores are ln 3 and 0, so the exponentials are 3 and 1, and the weights 3/4 and 1/4.
FAILED: a forbidden key gets no weight (0 of 2)
    attention_weights(q, k, mask) with three equal keys is wrong in 3 of 6 numbers. The first one is at index [0, 0]: expected 0.5, found 1. The largest error is 0.5; 1e-09 is allowed.
    Hint: mask is True where a query may attend. A forbidden key must not count in the sum that normalises the row: the weights of the allowed keys still sum to 1, and equal keys have equal weights.\
""",
"""\
FAILED: values, with and without leading dimensions (0 of 2)
    attention_weights(q, k), q of shape (2, 3, 5, 6), k of shape (2, 3, 7, 6), is wrong in 210 of 210 numbers. The first one is at index [0, 0, 0, 0]: expected 0.132081, found 0.327908. The largest error is 0.35; 1e-09 is allowed.
    Hint: Check the scale (which size belongs under the root?), the axis of the softmax, and which matrix is transposed. Leading dimensions are a stack of independent problems, and broadcast.
FAILED: masks that broadcast (0 of 1)
    attention_weights(q, k, mask), q of shape (2, 4, 5), a mask of shape (4, 3), is wrong in 22 of 24 numbers. The first one is at index [0, 0, 0]: expected 0.349767, found 0.0462696. The largest error is 0.7; 1e-09 is allowed.
    Hint: A mask may have fewer dimensions than the weights, and sizes of 1: it broadcasts to (..., L_q, L_k).
FAILED: a query that may attend to nothing (0 of 1)
    attention_weights(q, k, mask) with one row of the mask all False is wrong in 8 of 12 numbers. The first one is at index [0, 0]: expected 0.36487, found 0.812635. The largest error is 0.58; 1e-09 is allowed.
    Hint: A row of the mask that is all False gives a row of zeros, and gradients of zero, never NaN. Mind that a NaN which is replaced afterwards may return in the gradient.
FAILED: gradients (0 of 1)
    the gradient of attention_weights(q, k, mask) with respect to q is wrong in 20 of 20 numbers. The first one is at index [0, 0, 0]: expected 0.0585381, found 0.0363363. The largest error is 0.25; 1e-09 is allowed.
    Hint: The weights must be differentiable with respect to q and k: nothing on the way may be detached.
FAILED: large scores, float32 (0 of 1)
    attention_weights(q, k, mask) with scores of +-150 is wrong in 8 of 9 numbers. The first one is at index [0, 0]: expected 0.731059, found 1. The largest error is 0.73; 0.0001 is allowed.
    Hint: exp(150) overflows in float32 and exp(-150) underflows: subtract each row's largest allowed score first.
FAILED: float32, and each element of a batch by itself (0 of 1)
    attention_weights(q, k) in float32 is wrong in 112 of 112 numbers. The first one is at index [0, 0, 0]: expected 0.116491, found 0.159836. The largest error is 0.32; 1e-05 is allowed.
    Hint: The result has the dtype of q, and what stands in one element of a batch must not change another.
FAILED: arguments stay as they are; sizes of 1 and 0 (0 of 1)
    attention_weights(q, k, mask) is wrong in 4 of 6 numbers. The first one is at index [0, 0]: expected 0.482269, found 0.784672. The largest error is 0.33; 1e-09 is allowed.
    Hint: Functions return new tensors. A single key gets the whole weight; no query at all gives an empty result.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "mask_filled_with_zero": (
"""\
Your `attention_weights` behaves exactly like a mask that sets forbidden scores to 0.
Hint: exp(0) = 1 is a weight like any other. Which score has the exponential 0?

passed: shape and dtype (1 of 1)
passed: two weights worked out by hand (2 of 2)
FAILED: a forbidden key gets no weight (0 of 2)
    attention_weights(q, k, mask) with three equal keys is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 0.5, found 0.251906. The largest error is 0.5; 1e-09 is allowed.
    Hint: mask is True where a query may attend. A forbidden key must not count in the sum that normalises the row: the weights of the allowed keys still sum to 1, and equal keys have equal weights.\
""",
"""\
passed: values, with and without leading dimensions (2 of 2)
FAILED: masks that broadcast (0 of 1)
    attention_weights(q, k, mask), q of shape (2, 4, 5), a mask of shape (4, 3), is wrong in 6 of 24 numbers. The first one is at index [0, 1, 0]: expected 0.827421, found 0.628302. The largest error is 0.24; 1e-09 is allowed.
    Hint: A mask may have fewer dimensions than the weights, and sizes of 1: it broadcasts to (..., L_q, L_k).
FAILED: a query that may attend to nothing (0 of 1)
    attention_weights(q, k, mask) with one row of the mask all False is wrong in 4 of 12 numbers. The first one is at index [1, 0]: expected 0, found 0.25. The largest error is 0.25; 1e-09 is allowed.
    Hint: A row of the mask that is all False gives a row of zeros, and gradients of zero, never NaN. Mind that a NaN which is replaced afterwards may return in the gradient.
FAILED: gradients (0 of 1)
    the gradient of attention_weights(q, k, mask) with respect to q is wrong in 20 of 20 numbers. The first one is at index [0, 0, 0]: expected 0.0585381, found 0.039113. The largest error is 0.16; 1e-09 is allowed.
    Hint: The weights must be differentiable with respect to q and k: nothing on the way may be detached.
FAILED: large scores, float32 (0 of 1)
    attention_weights(q, k, mask) with scores of +-150 is wrong in 3 of 9 numbers. The first one is at index [2, 0]: expected 0, found 1. The largest error is 1; 0.0001 is allowed.
    Hint: exp(150) overflows in float32 and exp(-150) underflows: subtract each row's largest allowed score first.
passed: float32, and each element of a batch by itself (1 of 1)
FAILED: arguments stay as they are; sizes of 1 and 0 (0 of 1)
    attention_weights(q, k, mask) is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 0.482269, found 0.333263. The largest error is 0.53; 1e-09 is allowed.
    Hint: Functions return new tensors. A single key gets the whole weight; no query at all gives an empty result.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "nan_where_nothing_allowed": (
"""\
passed: shape and dtype (1 of 1)
passed: two weights worked out by hand (2 of 2)
passed: a forbidden key gets no weight (2 of 2)\
""",
"""\
Your `attention_weights` behaves exactly like attention that gives NaN where a query may attend to nothing.
Hint: If all scores of a row are -inf, the softmax divides 0 by 0. What must never be fed to it?

passed: values, with and without leading dimensions (2 of 2)
passed: masks that broadcast (1 of 1)
FAILED: a query that may attend to nothing (0 of 1)
    attention_weights(q, k, mask) with one row of the mask all False is wrong in 4 of 12 numbers. The first one is at index [1, 0]: expected 0, found nan. NaN or infinity appears where a finite number was expected.
    Hint: A row of the mask that is all False gives a row of zeros, and gradients of zero, never NaN. Mind that a NaN which is replaced afterwards may return in the gradient.
passed: gradients (1 of 1)
passed: large scores, float32 (1 of 1)
passed: float32, and each element of a batch by itself (1 of 1)
passed: arguments stay as they are; sizes of 1 and 0 (1 of 1)
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "weights_detached": (
"""\
passed: shape and dtype (1 of 1)
passed: two weights worked out by hand (2 of 2)
passed: a forbidden key gets no weight (2 of 2)\
""",
"""\
Your `attention_weights` behaves exactly like attention whose weights are detached from q and k.
Hint: The numbers are right, but no gradient flows back: nothing could be trained. Look for detach, data, item, no_grad, or a tensor built from numbers.

passed: values, with and without leading dimensions (2 of 2)
passed: masks that broadcast (1 of 1)
FAILED: a query that may attend to nothing (0 of 1)
    attention_weights(q, k, mask) carries no gradient: the path back to its inputs is cut. Look for .detach(), .data, .item(), torch.tensor(...) or torch.no_grad().
    Hint: A row of the mask that is all False gives a row of zeros, and gradients of zero, never NaN. Mind that a NaN which is replaced afterwards may return in the gradient.
FAILED: gradients (0 of 1)
    As above.
    Hint: The weights must be differentiable with respect to q and k: nothing on the way may be detached.
passed: large scores, float32 (1 of 1)
passed: float32, and each element of a batch by itself (1 of 1)
passed: arguments stay as they are; sizes of 1 and 0 (1 of 1)
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "mask_inverted": (
"""\
Your `attention_weights` behaves exactly like attention with the mask inverted.
Hint: True means that a query may attend to a key (some libraries use the opposite convention).

passed: shape and dtype (1 of 1)
passed: two weights worked out by hand (2 of 2)
FAILED: a forbidden key gets no weight (0 of 2)
    attention_weights(q, k, mask) with three equal keys is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 0.5, found 0. The largest error is 1; 1e-09 is allowed.
    Hint: mask is True where a query may attend. A forbidden key must not count in the sum that normalises the row: the weights of the allowed keys still sum to 1, and equal keys have equal weights.\
""",
"""\
passed: values, with and without leading dimensions (2 of 2)
FAILED: masks that broadcast (0 of 1)
    attention_weights(q, k, mask), q of shape (2, 4, 5), a mask of shape (4, 3), is wrong in 24 of 24 numbers. The first one is at index [0, 0, 0]: expected 0.349767, found 0. The largest error is 1; 1e-09 is allowed.
    Hint: A mask may have fewer dimensions than the weights, and sizes of 1: it broadcasts to (..., L_q, L_k).
FAILED: a query that may attend to nothing (0 of 1)
    attention_weights(q, k, mask) with one row of the mask all False is wrong in 12 of 12 numbers. The first one is at index [0, 0]: expected 0.36487, found 0. The largest error is 0.39; 1e-09 is allowed.
    Hint: A row of the mask that is all False gives a row of zeros, and gradients of zero, never NaN. Mind that a NaN which is replaced afterwards may return in the gradient.
FAILED: gradients (0 of 1)
    the gradient of attention_weights(q, k, mask) with respect to q is wrong in 20 of 20 numbers. The first one is at index [0, 0, 0]: expected 0.0585381, found 0. The largest error is 0.35; 1e-09 is allowed.
    Hint: The weights must be differentiable with respect to q and k: nothing on the way may be detached.
FAILED: large scores, float32 (0 of 1)
    attention_weights(q, k, mask) with scores of +-150 is wrong in 8 of 9 numbers. The first one is at index [0, 0]: expected 0.731059, found 0. The largest error is 1; 0.0001 is allowed.
    Hint: exp(150) overflows in float32 and exp(-150) underflows: subtract each row's largest allowed score first.
passed: float32, and each element of a batch by itself (1 of 1)
FAILED: arguments stay as they are; sizes of 1 and 0 (0 of 1)
    attention_weights(q, k, mask) is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 0.482269, found 0. The largest error is 1; 1e-09 is allowed.
    Hint: Functions return new tensors. A single key gets the whole weight; no query at all gives an empty result.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "output_scale_by_d_v": (
"""\
Your `scaled_dot_product_attention` behaves exactly like attention with scores divided by sqrt(d_v) instead of sqrt(d_k).
Hint: A score is a sum over the features of a query and a key; the length of a value does not enter it.

passed: shape and dtype (1 of 1)
FAILED: an average worked out by hand (0 of 2)
    scaled_dot_product_attention(q, k, v) is wrong in 2 of 2 numbers. The first one is at index [0, 0]: expected 5, found 4.69823. The largest error is 7.5; 1e-09 is allowed.
    Hint: The weights are 3/4 and 1/4 here, so the output is 3/4 of the first value plus 1/4 of the second.
passed: a forbidden value does not enter the average (2 of 2)\
""",
"""\
FAILED: values, with and without leading dimensions (0 of 2)
    scaled_dot_product_attention(q, k, v) with shapes (2, 3, 5, 6), (2, 3, 7, 6), (2, 3, 7, 2) is wrong in 60 of 60 numbers. The first one is at index [0, 0, 0, 0]: expected -0.136847, found -0.317365. The largest error is 0.42; 1e-09 is allowed.
    Hint: Check which size stands under the root, over which axis the softmax runs, and what is multiplied last.
FAILED: masks, and queries that may attend to nothing (0 of 1)
    scaled_dot_product_attention(q, k, v, mask) with a mask of shape (2, 4, 3) is wrong in 30 of 48 numbers. The first one is at index [0, 1, 0]: expected -0.0421709, found -0.0415335. The largest error is 0.073; 1e-09 is allowed.
    Hint: A mask broadcasts to (..., L_q, L_k). A query that may attend to nothing gets zeros, not a mean or NaN.
FAILED: gradients (0 of 1)
    the gradient of scaled_dot_product_attention(q, k, v, mask) with respect to q is wrong in 20 of 40 numbers. The first one is at index [0, 0, 0]: expected -0.326887, found -0.327749. The largest error is 0.065; 1e-09 is allowed.
    Hint: The output must be differentiable with respect to q, k and v, through the weights as well as the values.
FAILED: float32: ordinary and large scores (0 of 1)
    scaled_dot_product_attention(q, k, v) in float32 is wrong in 80 of 80 numbers. The first one is at index [0, 0, 0]: expected 0.607792, found 0.60859. The largest error is 0.11; 1e-05 is allowed.
    Hint: The result has the dtype of q. exp(150) overflows in float32: subtract each row's largest score first.
passed: batches, sizes of 1 and 0, arguments left alone (1 of 1)
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "vjp_without_row_sum": (
"""\
Your `attention_weights_vjp` behaves exactly like the gradient without the row-sum term of the softmax Jacobian.
Hint: Raising one score of a row lowers all the other weights of it. Which term of the Jacobian A_ij (delta_jm - A_im) says so?

passed: two gradients, shaped like q and k (1 of 1)
FAILED: gradients worked out by hand (0 of 3)
    grad_q of attention_weights_vjp(q, k, grad_weights) is wrong in 2 of 4 numbers. The first one is at index [0, 0]: expected 1, found 2. The largest error is 2; 1e-09 is allowed.
    Hint: Both scores are 0, so both weights are 1/2. The gradient of the scores is then 1/2 * (1 - 1/2) = 1/4 for the first key and 1/2 * (0 - 1/2) = -1/4 for the second; the scale 1/sqrt(d_k) is 1/2.\
""",
"""\
FAILED: equal to autograd, with and without leading dimensions (0 of 3)
    grad_q of attention_weights_vjp(q, k, grad_weights), q of shape (2, 3, 5, 6), k of shape (2, 3, 7, 6), is wrong in 180 of 180 numbers. The first one is at index [0, 0, 0, 0]: expected 0.140449, found 0.186416. The largest error is 0.41; 1e-09 is allowed.
    Hint: Derive three steps: weights to scores (the softmax Jacobian), scores to q, scores to k. Where does the scale enter, and which product needs a transpose?
FAILED: a constant added to a row changes nothing (0 of 1)
    grad_q of attention_weights_vjp(q, k, grad_weights) with a constant in each row of grad_weights is wrong in 15 of 15 numbers. The first one is at index [0, 0]: expected 0, found -0.248666. The largest error is 20; 1e-09 is allowed.
    Hint: Each row of weights sums to 1 whatever q and k are, so a grad_weights that is constant along each row must give gradients of zero.
FAILED: float32: ordinary and large scores (0 of 2)
    grad_q of attention_weights_vjp(q, k, grad_weights) in float32 is wrong in 24 of 24 numbers. The first one is at index [0, 0]: expected -0.0433173, found -0.135296. The largest error is 0.44; 1e-05 is allowed.
    Hint: The gradients have the dtype of q and stay finite when scores reach 150.
FAILED: arguments left alone, batches, sizes of 1 and 0 (0 of 1)
    grad_q of attention_weights_vjp(q, k, grad_weights) with one key is wrong in 15 of 15 numbers. The first one is at index [0, 0]: expected 0, found 0.571917. The largest error is 1; 1e-09 is allowed.
    Hint: Return new tensors; elements of a batch are independent; a single key always has weight 1.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "ScaledByModelSize": (
"""\
Your `SelfAttention` behaves exactly like self-attention with scores divided by sqrt(d_model) instead of sqrt(d_k).
Hint: The dot product is taken between a query and a key. How long are they?

passed: three parameters, and how they start (1 of 1)
passed: shape and dtype of the output (1 of 1)
FAILED: two outputs worked out by hand (0 of 2)
    SelfAttention(2, 1, 1)(x) is wrong in 1 of 2 numbers. The first one is at index [0, 0]: expected 5, found 5.26001. The largest error is 0.26; 1e-05 is allowed.
    Hint: Here q = x W_Q = (ln 3, 0), k = x W_K = (1, 0) and v = x W_V = (4, 8). The first query's scores are ln 3 and 0 (d_k = 1), its weights 3/4 and 1/4; the second query weighs both values alike.\
""",
"""\
FAILED: values, with and without leading dimensions (0 of 2)
    SelfAttention(d_model=6, d_k=4, d_v=3)(x) with x of shape (5, 6) is wrong in 15 of 15 numbers. The first one is at index [0, 0]: expected -0.461064, found -0.451831. The largest error is 0.33; 1e-09 is allowed.
    Hint: Project x with W_Q, W_K and W_V, then attend. The scale belongs to the length of a key, not of x.
FAILED: masks (0 of 2)
    SelfAttention(d_model=6, d_k=4, d_v=3)(x, mask) with a mask of shape (5, 5) is wrong in 24 of 30 numbers. The first one is at index [0, 0, 0]: expected 0.311555, found 0.280567. The largest error is 0.28; 1e-09 is allowed.
    Hint: The mask says which position (row) may attend to which (column); (L, L) serves every element of the batch.
FAILED: gradients of every parameter and of x (0 of 2)
    the gradient of SelfAttention(d_model=6, d_k=4, d_v=3)(x, mask) with respect to x is wrong in 60 of 60 numbers. The first one is at index [0, 0, 0]: expected -0.200179, found 0.0554806. The largest error is 0.77; 1e-09 is allowed.
    Hint: Training needs a gradient in W_Q, W_K and W_V, and earlier layers need one in x.
FAILED: float32, large scores, batches; x left alone (0 of 1)
    SelfAttention(d_model=6, d_k=4, d_v=3)(x) in float32 is wrong in 30 of 30 numbers. The first one is at index [0, 0, 0]: expected 0.364461, found 0.363393. The largest error is 0.46; 1e-05 is allowed.
    Hint: The output has the dtype of x and is finite at scores of 150; elements of a batch are independent.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "InterleavedHeads": (
"""\
passed: four parameters, and how they start (1 of 1)
passed: shape and dtype of the output (1 of 1)
passed: two heads worked out by hand (2 of 2)\
""",
"""\
Your `MultiHeadAttention` behaves exactly like multi-head attention whose heads take every n-th column instead of a block of columns.
Hint: Head t owns d_head neighbouring columns. In which order do the two new axes stand after you split d_model?

FAILED: equal to nn.MultiheadAttention, with and without leading dimensions (0 of 2)
    MultiHeadAttention(d_model=6, n_heads=3)(x) with x of shape (5, 6) is wrong in 30 of 30 numbers. The first one is at index [0, 0]: expected -4.30984, found 5.27031. The largest error is 17; 1e-09 is allowed.
    Hint: Head i has the i-th block of d_model / n_heads consecutive columns of x W_Q, x W_K and x W_V; the scale belongs to the length of a head.
FAILED: masks (0 of 2)
    MultiHeadAttention(d_model=6, n_heads=3)(x, mask) with a mask of shape (5, 5) is wrong in 54 of 90 numbers. The first one is at index [0, 0, 0]: expected -4.40553, found -8.60259. The largest error is 12; 1e-09 is allowed.
    Hint: A mask (L, L) serves the whole batch, a mask (B, L, L) has one for each element of it, and (B, 1, L) broadcasts as usual; all heads share it.
FAILED: gradients of every parameter and of x (0 of 2)
    the gradient of MultiHeadAttention(d_model=6, n_heads=3)(x, mask) with respect to x is wrong in 48 of 48 numbers. The first one is at index [0, 0, 0]: expected 2.382, found -0.764678. The largest error is 16; 1e-09 is allowed.
    Hint: Training needs a gradient in W_Q, W_K, W_V and W_O, and earlier layers need one in x.
FAILED: float32, large scores, batches, one head; x left alone (0 of 1)
    MultiHeadAttention(d_model=6, n_heads=3)(x) in float32 is wrong in 60 of 60 numbers. The first one is at index [0, 0, 0]: expected 4.16613, found -1.48954. The largest error is 16; 5e-05 is allowed.
    Hint: The output has the dtype of x and is finite at scores of 150; elements of a batch are independent; one head and heads of length 1 are legal.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "rank_in_own_precision": (
"""\
passed: a rank worked out by hand (2 of 2)
passed: shape of the low-rank output (1 of 1)
passed: with nothing cut off it is attention (1 of 1)\
""",
"""\
Your `score_rank` behaves exactly like a rank computed in the precision of q, not in float64.
Hint: A product rounded to float32 has noise near 1e-7 of its largest singular value, and that counts. When to convert?

FAILED: ranks of matrices with known singular values (0 of 2)
    score_rank(q, k) in float32 with d_k = 2 is 6, but 2 was expected.
    Hint: Count the singular values of q k^T above 1e-10 times the largest one: a share of the largest, not an absolute number, and computed in float64 whatever the dtype of q.
passed: rank zero, and arguments left alone (1 of 1)
passed: the best approximation of the scores (2 of 2)
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "low_rank_of_weights": (
"""\
Your `low_rank_attention` behaves exactly like low-rank attention that truncates the weights instead of the scores.
Hint: The rows of a truncated weight matrix no longer sum to 1. What should come last, the truncation or the softmax?

passed: a rank worked out by hand (2 of 2)
FAILED: shape of the low-rank output (0 of 1)
    low_rank_attention(q, k, v, rank=1) with values of 1 is wrong in 8 of 8 numbers. The first one is at index [0, 0]: expected 1, found 0.925383. The largest error is 0.075; 1e-09 is allowed.
    Hint: One output for each query, as long as a value: (L_q, d_v), in the dtype of q. It is a weighted mean of values, so where all values are 1, it is 1.
FAILED: with nothing cut off it is attention (0 of 1)
    low_rank_attention(q, k, v, rank=3) with d_k = 3 is wrong in 8 of 8 numbers. The first one is at index [0, 0]: expected 0.156707, found 0.14965. The largest error is 0.0071; 1e-09 is allowed.
    Hint: q k^T / sqrt(d_k) has rank 3 at most here, so its best approximation of rank 3 is itself.\
""",
"""\
passed: ranks of matrices with known singular values (2 of 2)
passed: rank zero, and arguments left alone (1 of 1)
FAILED: the best approximation of the scores (0 of 2)
    low_rank_attention(q, k, v, rank=1) is wrong in 18 of 18 numbers. The first one is at index [0, 0]: expected 0.394892, found 0.559341. The largest error is 0.51; 1e-09 is allowed.
    Hint: Keep the largest `rank` singular values of q k^T / sqrt(d_k), set the others to 0, multiply back, and only then take the softmax.
passed: arguments that do not fit (1 of 1)\
""",
    ),
    "no_factor_two": (
"""\
Your `kernel_regression` behaves exactly like kernel regression that divides by h^2 instead of 2h^2.
Hint: Compare the exponent with that of a normal distribution of standard deviation h. What is missing?

passed: shape and dtype (1 of 1)
FAILED: an average worked out by hand (0 of 2)
    kernel_regression(queries, keys, values, bandwidth=2.0) is wrong in 1 of 1 numbers. The first one is at index [0, 0]: expected 5, found 4.4. The largest error is 0.6; 1e-09 is allowed.
    Hint: One key is at the query, the other at squared distance 8 ln 3. With h = 2 the exponents are 0 and -ln 3, so the weights are 3/4 and 1/4.\
""",
"""\
FAILED: values and gradients (0 of 1)
    kernel_regression(queries, keys, values, 0.7) with leading dimensions (2, 3) is wrong in 90 of 90 numbers. The first one is at index [0, 0, 0, 0]: expected 0.0318579, found 0.0192712. The largest error is 0.56; 1e-09 is allowed.
    Hint: The weights of one query are exp(-|q - k|^2 / (2 h^2)), divided by their sum over the keys. Leading dimensions are a stack of independent problems.
passed: the limit of a hard look-up (1 of 1)
passed: two keys at the same distance (1 of 1)
FAILED: queries far from every key (0 of 1)
    kernel_regression(queries, keys, values, 10.0) with queries far from every key is wrong in 6 of 6 numbers. The first one is at index [0, 0]: expected 2.99995, found 3. The largest error is 1.6; 1e-09 is allowed.
    Hint: Far from all keys every exponential underflows, but their ratios are still well defined: what counts is how much further the other keys are than the nearest one.
passed: arguments that do not fit (1 of 1)\
""",
    ),
}  # fmt: skip


MISCONCEPTIONS = {m.key: m for m in load_misconceptions(ASSIGNMENT)}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback(grade, key):
    """What stands in results.json about the question, whole."""
    known = MISCONCEPTIONS[key]
    graded = grade(mistaken(ASSIGNMENT, {known.replaces: key}))
    assert graded.entries(known.question, visible=True) == [FEEDBACK[key][0]]
    assert graded.entries(known.question) == list(FEEDBACK[key])
