"""Known wrong answers, each right but for one thing, with its name and a hint.

The grader uses them three ways: the suite must catch each one, the feedback names the one that a student's
answer equals, and the class report counts them. First come the right steps, which they share; then, question
by question, what goes wrong.
"""

import math

import torch
from torch import nn

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_lead(*shapes):
    try:
        return torch.broadcast_shapes(*shapes)
    except RuntimeError:
        raise ValueError(f"leading dimensions do not broadcast: {shapes}") from None


def check_qk(q, k, mask=None):
    require(q.ndim >= 2 and k.ndim >= 2, "q and k need two dimensions or more")
    require(q.shape[-1] == k.shape[-1] >= 1, "q and k must have the same d_k, at least 1")
    shape = (*check_lead(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
    if mask is not None:
        require(mask.dtype == torch.bool, "mask must be boolean")
        require(check_lead(mask.shape, shape) == shape, "mask does not broadcast to (..., L_q, L_k)")


def check_qkv(q, k, v, mask=None):
    check_qk(q, k, mask)
    require(v.ndim >= 2 and v.shape[-2] == k.shape[-2], "each key needs one value")
    check_lead(q.shape[:-2], k.shape[:-2], v.shape[:-2])


def dot_products(q, k):
    return q @ k.transpose(-2, -1)


def scaled_scores(q, k):
    return dot_products(q, k) / math.sqrt(q.shape[-1])


def masked_softmax(scores, mask, dim=-1):
    """The softmax over the permitted entries; zeros, and zero gradient, where there are none."""
    if mask is None:
        return scores.softmax(dim)
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(dim).masked_fill(~mask, 0.0)


def right_weights(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(scaled_scores(q, k), mask)


def invert(mask):
    return None if mask is None else ~mask


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention without the 1/sqrt(d_k) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings the scores back to "
    "order 1?",
)
def no_scale(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(dot_products(q, k), mask)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention with scores divided by d_k instead of sqrt(d_k)",
    hint="It is the variance of q . k that is d_k. Which power of it is a standard deviation?",
)
def scale_by_d_k(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(dot_products(q, k) / q.shape[-1], mask)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention with scores divided by the root of the sequence length",
    hint="A score is a sum over the features of one query and one key; how many keys there are does not enter "
    "it. Which dimension of q do you take the root of?",
)
def scale_by_root_of_length(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(dot_products(q, k) / math.sqrt(max(k.shape[-2], 1)), mask)


@misconception(
    "q1",
    replaces="attention_weights",
    name="a softmax over the queries instead of the keys",
    hint="Each query shares a total weight of 1 among the keys: which sums should be 1, those of the rows or "
    "of the columns?",
)
def softmax_over_queries(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(scaled_scores(q, k), mask, dim=-2)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention with the mask inverted",
    hint="True means that a query may attend to a key (some libraries use the opposite convention).",
)
def mask_inverted(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(scaled_scores(q, k), invert(mask))


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention that ignores the mask",
    hint="The function takes a mask, but the result is the same with and without it.",
)
def mask_ignored(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(scaled_scores(q, k), None)


@misconception(
    "q1",
    replaces="attention_weights",
    name="a mask applied after the softmax, without normalising again",
    hint="Forbidden keys have taken part in the sum that normalises the row, so what is left does not sum to "
    "1.",
)
def mask_after_softmax(q, k, mask=None):
    check_qk(q, k, mask)
    weights = masked_softmax(scaled_scores(q, k), None)
    return weights if mask is None else weights * mask


@misconception(
    "q1",
    replaces="attention_weights",
    name="a mask that sets forbidden scores to 0",
    hint="exp(0) = 1 is a weight like any other. Which score has the exponential 0?",
)
def mask_filled_with_zero(q, k, mask=None):
    check_qk(q, k, mask)
    scores = scaled_scores(q, k)
    return masked_softmax(scores if mask is None else scores.masked_fill(~mask, 0.0), None)


@misconception(
    "q1",
    replaces="attention_weights",
    name="q @ k with k not transposed",
    hint="Each score is the product of a row of q with a row of k. With three sizes that differ, only one "
    "order of the axes fits.",
)
def keys_not_transposed(q, k, mask=None):
    check_qk(q, k, mask)
    return masked_softmax(q @ k / math.sqrt(q.shape[-1]), mask)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention whose weights are detached from q and k",
    hint="The numbers are right, but no gradient flows back: nothing could be trained. Look for detach, data, "
    "item, no_grad, or a tensor built from numbers.",
)
def weights_detached(q, k, mask=None):
    return right_weights(q, k, mask).detach()


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention that scales its argument q in place",
    hint="The caller's tensor is not yours: q /= c changes it for everyone who holds it, q / c makes a new "
    "one.",
)
def scaled_in_place(q, k, mask=None):
    check_qk(q, k, mask)
    q /= math.sqrt(q.shape[-1])
    return masked_softmax(dot_products(q, k), mask)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention that gives NaN where a query may attend to nothing",
    hint="If all scores of a row are -inf, the softmax divides 0 by 0. What must never be fed to it?",
)
def nan_where_nothing_allowed(q, k, mask=None):
    check_qk(q, k, mask)
    scores = scaled_scores(q, k)
    return (scores if mask is None else scores.masked_fill(~mask, -math.inf)).softmax(-1)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention that repairs NaN after the softmax, when the gradient is lost already",
    hint="The weights are right, but the backward pass still runs through 0/0 and the gradients become NaN. "
    "Keep a row that is forbidden throughout away from the softmax, or finite.",
)
def nan_repaired_too_late(q, k, mask=None):
    check_qk(q, k, mask)
    scores = scaled_scores(q, k)
    if mask is None:
        return scores.softmax(-1)
    weights = (scores + torch.zeros_like(scores).masked_fill(~mask, -math.inf)).softmax(-1)
    return weights.masked_fill(weights.isnan(), 0.0)


@misconception(
    "q1",
    replaces="attention_weights",
    name="attention that spreads its weight evenly where a query may attend to nothing",
    hint="A large negative number for every forbidden score makes them equal again in a row where all are "
    "forbidden. What should such a query get?",
)
def mean_where_nothing_allowed(q, k, mask=None):
    check_qk(q, k, mask)
    scores = scaled_scores(q, k)
    return (scores if mask is None else scores.masked_fill(~mask, -1e9)).softmax(-1)


@misconception(
    "q1",
    replaces="attention_weights",
    name="a softmax that overflows: exp(scores) / sum, with nothing subtracted first",
    hint="exp(150) is more than float32 can hold. Which number can be subtracted from a row without changing "
    "its softmax?",
)
def softmax_without_maximum(q, k, mask=None):
    check_qk(q, k, mask)
    return normalise(scaled_scores(q, k).exp(), mask)


@misconception(
    "q1",
    replaces="attention_weights",
    name="a softmax that subtracts one maximum of all scores instead of each row's own",
    hint="A row that lies far below the largest score of the whole matrix underflows to 0/0. Whose maximum "
    "should be subtracted?",
)
def one_maximum_for_all_rows(q, k, mask=None):
    check_qk(q, k, mask)
    scores = scaled_scores(q, k)
    return normalise((scores - scores.detach().max()).exp(), mask) if scores.numel() else scores


def normalise(exponentials, mask):
    """Divide each row by its sum over the permitted keys; rows without any become zeros."""
    if mask is None:
        return exponentials / exponentials.sum(-1, keepdim=True)
    exponentials = exponentials.masked_fill(~mask, 0.0)
    total = exponentials.sum(-1, keepdim=True).masked_fill(~mask.any(-1, keepdim=True), 1.0)
    return exponentials / total


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention with scores divided by sqrt(d_v) instead of sqrt(d_k)",
    hint="A score is a sum over the features of a query and a key; the length of a value does not enter it.",
)
def output_scale_by_d_v(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return masked_softmax(dot_products(q, k) / math.sqrt(v.shape[-1]), mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention without the 1/sqrt(d_k) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings the scores back to "
    "order 1?",
)
def output_no_scale(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return no_scale(q, k, mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention with scores divided by d_k instead of sqrt(d_k)",
    hint="It is the variance of q . k that is d_k. Which power of it is a standard deviation?",
)
def output_scale_by_d_k(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return scale_by_d_k(q, k, mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention with a softmax over the queries instead of the keys",
    hint="Each output is a mean of the values: its weights, one for each key, must sum to 1.",
)
def output_softmax_over_queries(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return softmax_over_queries(q, k, mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention with the mask inverted",
    hint="True means that a query may attend to a key (some libraries use the opposite convention).",
)
def output_mask_inverted(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return right_weights(q, k, invert(mask)) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention that ignores the mask",
    hint="The function takes a mask, but does it hand it on to where the weights are computed?",
)
def output_mask_ignored(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return right_weights(q, k) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention with a mask applied after the softmax, without normalising again",
    hint="Forbidden keys have taken part in the sum that normalises the row, so the output is no mean of the "
    "values any more.",
)
def output_mask_after_softmax(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return mask_after_softmax(q, k, mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention whose weights are detached: only the values get a gradient",
    hint="The numbers are right, but q and k could never be trained. Where are the weights cut off from them?",
)
def output_weights_detached(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return weights_detached(q, k, mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention that gives NaN where a query may attend to nothing",
    hint="If all scores of a row are -inf, the softmax divides 0 by 0. What must never be fed to it?",
)
def output_nan_where_nothing_allowed(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return nan_where_nothing_allowed(q, k, mask) @ v


@misconception(
    "q2",
    replaces="scaled_dot_product_attention",
    name="attention that gives the mean of all values where a query may attend to nothing",
    hint="A large negative number for every forbidden score makes them equal again in a row where all are "
    "forbidden.",
)
def output_mean_where_nothing_allowed(q, k, v, mask=None):
    check_qkv(q, k, v, mask)
    return mean_where_nothing_allowed(q, k, mask) @ v


# ---------------------------------------------------------------------------------------------------------------- q3


def check_vjp(q, k, grad_weights):
    check_qk(q, k)
    require(q.shape[:-2] == k.shape[:-2], "q and k must have the same leading dimensions")
    require(
        grad_weights.shape == (*q.shape[:-1], k.shape[-2]), "grad_weights must have the shape of the weights"
    )


def through_softmax(weights, grad_weights):
    return weights * (grad_weights - (weights * grad_weights).sum(-1, keepdim=True))


def through_scores(q, k, grad_scores, scale):
    return grad_scores @ k * scale, grad_scores.transpose(-2, -1) @ q * scale


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the gradient without its factor 1/sqrt(d_k)",
    hint="The scores are the dot products divided by sqrt(d_k), and so is their derivative. Follow that "
    "factor on the way back.",
)
def vjp_without_scale(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    return through_scores(q, k, through_softmax(right_weights(q, k), grad_weights), 1.0)


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the gradient without the row-sum term of the softmax Jacobian",
    hint="Raising one score of a row lowers all the other weights of it. Which term of the Jacobian A_ij "
    "(delta_jm - A_im) says so?",
)
def vjp_without_row_sum(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    return through_scores(q, k, right_weights(q, k) * grad_weights, 1 / math.sqrt(q.shape[-1]))


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the gradient with only the diagonal of the softmax Jacobian, A (1 - A)",
    hint="A (1 - A) is how a weight answers to its own score. What about the other scores of its row?",
)
def vjp_diagonal_only(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    weights = right_weights(q, k)
    return through_scores(q, k, weights * (1 - weights) * grad_weights, 1 / math.sqrt(q.shape[-1]))


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the gradient with column sums where the softmax Jacobian has row sums",
    hint="The softmax ties together the keys of one query. Over which axis does the sum of G * A run, then?",
)
def vjp_column_sums(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    weights = right_weights(q, k)
    grad_scores = weights * (grad_weights - (weights * grad_weights).sum(-2, keepdim=True))
    return through_scores(q, k, grad_scores, 1 / math.sqrt(q.shape[-1]))


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the gradient with the factor 1/sqrt(d_k) applied twice",
    hint="The factor comes in once, where the scores are differentiated with respect to q or k. Is it already "
    "in your scores' gradient?",
)
def vjp_scaled_twice(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    return through_scores(q, k, through_softmax(right_weights(q, k), grad_weights), 1 / q.shape[-1])


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the gradient at weights that were computed without the scale",
    hint="The backward pass needs the weights of the forward pass, those of the scaled scores.",
)
def vjp_of_unscaled_weights(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    return through_scores(q, k, through_softmax(no_scale(q, k), grad_weights), 1 / math.sqrt(q.shape[-1]))


@misconception(
    "q3",
    replaces="attention_weights_vjp",
    name="the two gradients in the wrong order",
    hint="The docstring says which of the two comes first.",
)
def vjp_swapped(q, k, grad_weights):
    check_vjp(q, k, grad_weights)
    grad_scores = through_softmax(right_weights(q, k), grad_weights)
    return through_scores(q, k, grad_scores, 1 / math.sqrt(q.shape[-1]))[::-1]


# ---------------------------------------------------------------------------------------------------------------- q4


class RightSelfAttention(nn.Module):
    """What the misconceptions of q4 change in one place each."""

    def __init__(self, d_model, d_k, d_v):
        super().__init__()
        require(min(d_model, d_k, d_v) >= 1, "sizes must be at least 1")
        self.W_Q = nn.Parameter(torch.randn(d_model, d_k) / math.sqrt(d_model))
        self.W_K = nn.Parameter(torch.randn(d_model, d_k) / math.sqrt(d_model))
        self.W_V = nn.Parameter(torch.randn(d_model, d_v) / math.sqrt(d_model))

    def forward(self, x, mask=None):
        require(x.ndim >= 2 and x.shape[-1] == len(self.W_Q), "x must have the shape (..., L, d_model)")
        check_qk(x, x, mask)
        return self.weights(x, mask) @ (x @ self.W_V)

    def weights(self, x, mask):
        return right_weights(x @ self.W_Q, x @ self.W_K, mask)


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention with the roles of W_Q and W_K exchanged",
    hint="Row i of the weights belongs to the query of position i. Which matrix makes the queries?",
)
class QueriesAndKeysExchanged(RightSelfAttention):
    def weights(self, x, mask):
        return right_weights(x @ self.W_K, x @ self.W_Q, mask)


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention with scores divided by sqrt(d_model) instead of sqrt(d_k)",
    hint="The dot product is taken between a query and a key. How long are they?",
)
class ScaledByModelSize(RightSelfAttention):
    def weights(self, x, mask):
        return masked_softmax(dot_products(x @ self.W_Q, x @ self.W_K) / math.sqrt(x.shape[-1]), mask)


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention without the 1/sqrt(d_k) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings the scores back to "
    "order 1?",
)
class SelfAttentionWithoutScale(RightSelfAttention):
    def weights(self, x, mask):
        return no_scale(x @ self.W_Q, x @ self.W_K, mask)


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention with a softmax over the queries instead of the keys",
    hint="Each output is a mean of the values: its weights, one for each key, must sum to 1.",
)
class SelfAttentionOverQueries(RightSelfAttention):
    def weights(self, x, mask):
        return softmax_over_queries(x @ self.W_Q, x @ self.W_K, mask)


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention that ignores the mask",
    hint="forward takes a mask, but does it hand it on to where the weights are computed?",
)
class SelfAttentionIgnoresMask(RightSelfAttention):
    def weights(self, x, mask):
        return right_weights(x @ self.W_Q, x @ self.W_K)


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention with the mask inverted",
    hint="True means that a position may attend to another (some libraries use the opposite convention).",
)
class SelfAttentionMaskInverted(RightSelfAttention):
    def weights(self, x, mask):
        return right_weights(x @ self.W_Q, x @ self.W_K, invert(mask))


@misconception(
    "q4",
    replaces="SelfAttention",
    name="self-attention with the mask transposed",
    hint="The rows of the mask are the positions that look, its columns those that are looked at.",
)
class SelfAttentionMaskTransposed(RightSelfAttention):
    def weights(self, x, mask):
        return right_weights(x @ self.W_Q, x @ self.W_K, None if mask is None else mask.mT)


# ---------------------------------------------------------------------------------------------------------------- q5


class RightMultiHeadAttention(nn.Module):
    """What the misconceptions of q5 change in one place each."""

    def __init__(self, d_model, n_heads):
        super().__init__()
        require(min(d_model, n_heads) >= 1, "sizes must be at least 1")
        require(d_model % n_heads == 0, "n_heads must divide d_model")
        self.n_heads, self.d_head = n_heads, d_model // n_heads
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            setattr(self, name, nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model)))

    def forward(self, x, mask=None):
        require(x.ndim >= 2 and x.shape[-1] == len(self.W_Q), "x must have the shape (..., L, d_model)")
        check_qk(x, x, mask)
        q, k, v = self.split(x @ self.W_Q), self.split(x @ self.W_K), self.split(x @ self.W_V)
        return self.project(self.join(self.weights(q, k, self.for_heads(mask, x)) @ v))

    def split(self, projected):
        return projected.unflatten(-1, (self.n_heads, self.d_head)).transpose(-3, -2)

    def for_heads(self, mask, x):
        return None if mask is None else mask.expand(*x.shape[:-1], x.shape[-2]).unsqueeze(-3)

    def weights(self, q, k, mask):
        return right_weights(q, k, mask)

    def join(self, heads):
        return heads.transpose(-3, -2).flatten(-2)

    def project(self, joined):
        return joined @ self.W_O


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention that cuts the heads out along the wrong axis",
    hint="A reshape of (..., L, d_model) straight to (..., n_heads, L, d_head) mixes positions with features. "
    "Split the last axis first; then change the order of the axes.",
)
class SplitAlongTheWrongAxis(RightMultiHeadAttention):
    def split(self, projected):
        return projected.reshape(*projected.shape[:-2], self.n_heads, projected.shape[-2], self.d_head)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention whose heads take every n-th column instead of a block of columns",
    hint="Head t owns d_head neighbouring columns. In which order do the two new axes stand after you split "
    "d_model?",
)
class InterleavedHeads(RightMultiHeadAttention):
    def split(self, projected):
        return projected.unflatten(-1, (self.d_head, self.n_heads)).movedim(-1, -3)

    def join(self, heads):
        return heads.movedim(-3, -1).flatten(-2)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention that joins the heads without moving their axis back",
    hint="Side by side means that the features of one position stand together: which axis must be next to "
    "d_head before you reshape?",
)
class JoinedAlongTheWrongAxis(RightMultiHeadAttention):
    def join(self, heads):
        return heads.reshape(*heads.shape[:-3], heads.shape[-2], self.n_heads * self.d_head)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention without the output projection",
    hint="There are four matrices. Which of them does nothing yet?",
)
class NoOutputProjection(RightMultiHeadAttention):
    def project(self, joined):
        return joined


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention with the output projection transposed",
    hint="All four matrices are applied in the same way, as x @ W.",
)
class OutputProjectionTransposed(RightMultiHeadAttention):
    def project(self, joined):
        return joined @ self.W_O.T


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention with scores divided by sqrt(d_model) instead of sqrt(d_head)",
    hint="Within one head the dot product is taken between shorter vectors. How long are they?",
)
class HeadsScaledByModelSize(RightMultiHeadAttention):
    def weights(self, q, k, mask):
        return masked_softmax(dot_products(q, k) / math.sqrt(self.n_heads * self.d_head), mask)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention without the 1/sqrt(d_head) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings the scores back to "
    "order 1?",
)
class HeadsWithoutScale(RightMultiHeadAttention):
    def weights(self, q, k, mask):
        return no_scale(q, k, mask)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention with a softmax over the queries instead of the keys",
    hint="Each head's output is a mean of the values: its weights, one for each key, must sum to 1.",
)
class HeadsOverQueries(RightMultiHeadAttention):
    def weights(self, q, k, mask):
        return softmax_over_queries(q, k, mask)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="a single head, whatever n_heads is",
    hint="The result does not depend on n_heads: all columns take part in one softmax.",
)
class SingleHead(RightMultiHeadAttention):
    def __init__(self, d_model, n_heads):
        super().__init__(d_model, n_heads)
        self.n_heads, self.d_head = 1, d_model


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention with the mask inverted",
    hint="True means that a position may attend to another (nn.MultiheadAttention uses the opposite "
    "convention).",
)
class HeadsMaskInverted(RightMultiHeadAttention):
    def for_heads(self, mask, x):
        return super().for_heads(invert(mask), x)


@misconception(
    "q5",
    replaces="MultiHeadAttention",
    name="multi-head attention that hands the masks of the batch to the heads",
    hint="The weights have the shape (B, n_heads, L, L), and shapes are matched from the right: a mask (B, L, "
    "L) meets the axis of the heads. Where does it need a new axis?",
)
class MaskOfBatchGivenToHeads(RightMultiHeadAttention):
    def for_heads(self, mask, x):
        return mask

    def weights(self, q, k, mask):
        return masked_softmax(scaled_scores(q, k), mask)


# ---------------------------------------------------------------------------------------------------------------- q6


def count_above(values, threshold):
    return int((values > threshold).sum())


def check_matrices(q, k):
    require(q.ndim == 2 and k.ndim == 2, "q and k must be matrices")
    check_qk(q, k)


def singular_values(matrix):
    """In descending order; a single 0 for an empty matrix, so that there is a largest one."""
    return torch.linalg.svdvals(matrix) if matrix.numel() else matrix.new_zeros(1)


@misconception(
    "q6",
    replaces="score_rank",
    name="a rank counted with an absolute threshold of 1e-10",
    hint="Multiply q by 1e-12: the rank of q k^T is the same. Compared with what must a singular value be "
    "small?",
)
def rank_absolute_threshold(q, k):
    check_matrices(q, k)
    return count_above(singular_values(dot_products(q.double(), k.double())), 1e-10)


@misconception(
    "q6",
    replaces="score_rank",
    name="a rank computed in the precision of q, not in float64",
    hint="A product rounded to float32 has noise near 1e-7 of its largest singular value, and that counts. "
    "When to convert?",
)
def rank_in_own_precision(q, k):
    check_matrices(q, k)
    values = singular_values(dot_products(q, k).double())
    return count_above(values, 1e-10 * values[0])


@misconception(
    "q6",
    replaces="score_rank",
    name="the rank of the attention weights instead of the scores",
    hint="The softmax is not linear: it turns scores of rank 1 into weights of full rank. Which matrix is "
    "asked for?",
)
def rank_after_softmax(q, k):
    check_matrices(q, k)
    values = singular_values(scaled_scores(q.double(), k.double()).softmax(-1))
    return count_above(values, 1e-10 * values[0])


@misconception(
    "q6",
    replaces="score_rank",
    name="a rank counted with a library's default threshold",
    hint="torch.linalg.matrix_rank has a threshold of its own, near 1e-15 of the largest singular value; the "
    "docstring asks for another.",
)
def rank_default_threshold(q, k):
    check_matrices(q, k)
    product = dot_products(q.double(), k.double())
    return int(torch.linalg.matrix_rank(product)) if product.numel() else 0


@misconception(
    "q6",
    replaces="score_rank",
    name="a rank counted on the eigenvalues of S S^T, which are squares of singular values",
    hint="1e-10 of the largest square is only 1e-5 of the largest singular value; and squaring loses half of "
    "the digits.",
)
def rank_of_squares(q, k):
    check_matrices(q, k)
    product = dot_products(q.double(), k.double())
    values = (
        torch.linalg.eigvalsh(dot_products(product, product)) if product.numel() else product.new_zeros(1)
    )
    return count_above(values, 1e-10 * values[-1])


@misconception(
    "q6",
    replaces="score_rank",
    name="the largest rank that the shapes allow, min(L_q, L_k, d_k)",
    hint="That is a bound, not the rank: repeated rows lower it. The singular values must be looked at.",
)
def rank_from_shapes(q, k):
    check_matrices(q, k)
    return min(*q.shape, *k.shape)


def check_low_rank(q, k, v, rank):
    check_qkv(q, k, v)
    require(1 <= rank <= min(q.shape[-2], k.shape[-2]), "rank must be between 1 and min(L_q, L_k)")


def truncated(matrix, rank):
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    return u[..., :rank] * s[..., None, :rank] @ vh[..., :rank, :]


@misconception(
    "q6",
    replaces="low_rank_attention",
    name="low-rank attention that truncates the weights instead of the scores",
    hint="The rows of a truncated weight matrix no longer sum to 1. What should come last, the truncation or "
    "the softmax?",
)
def low_rank_of_weights(q, k, v, rank):
    check_low_rank(q, k, v, rank)
    return truncated(right_weights(q, k), rank) @ v


@misconception(
    "q6",
    replaces="low_rank_attention",
    name="low-rank attention that keeps the smallest singular values",
    hint="torch.linalg.svd returns them in descending order. Which ones carry most of the matrix?",
)
def low_rank_smallest(q, k, v, rank):
    check_low_rank(q, k, v, rank)
    u, s, vh = torch.linalg.svd(scaled_scores(q, k), full_matrices=False)
    return (u[..., -rank:] * s[..., None, -rank:] @ vh[..., -rank:, :]).softmax(-1) @ v


@misconception(
    "q6",
    replaces="low_rank_attention",
    name="low-rank attention without the 1/sqrt(d_k) scale",
    hint="The best approximation is that of q k^T / sqrt(d_k): the scores are the same as in q1.",
)
def low_rank_without_scale(q, k, v, rank):
    check_low_rank(q, k, v, rank)
    return truncated(dot_products(q, k), rank).softmax(-1) @ v


@misconception(
    "q6",
    replaces="low_rank_attention",
    name="low-rank attention that keeps the first features of q and k instead of the largest singular values",
    hint="Cutting q and k to a few columns gives a matrix of that rank, but not the best one. Which theorem "
    "says what is?",
)
def low_rank_first_features(q, k, v, rank):
    check_low_rank(q, k, v, rank)
    return (dot_products(q[..., :rank], k[..., :rank]) / math.sqrt(q.shape[-1])).softmax(-1) @ v


@misconception(
    "q6",
    replaces="low_rank_attention",
    name="low-rank attention that forgets to multiply with the singular values",
    hint="The matrix is U diag(s) V^T: three factors.",
)
def low_rank_without_singular_values(q, k, v, rank):
    check_low_rank(q, k, v, rank)
    u, _, vh = torch.linalg.svd(scaled_scores(q, k), full_matrices=False)
    return (u[..., :rank] @ vh[..., :rank, :]).softmax(-1) @ v


# ---------------------------------------------------------------------------------------------------------------- q7


def check_regression(queries, keys, values, bandwidth):
    require(bandwidth > 0, "bandwidth must be above 0")
    check_qkv(queries, keys, values)
    require(keys.shape[-2] >= 1, "at least one key is needed")


def squared_distances(queries, keys):
    return (queries.unsqueeze(-2) - keys.unsqueeze(-3)).square().sum(-1)


def soft_look_up(distances, widths, dim=-1):
    """The softmax of -distances / product of the widths, which may be smaller than any number of the dtype."""
    exponents = distances - distances.detach().amin(dim, keepdim=True)
    for width in widths:
        exponents = exponents / max(width, torch.finfo(distances.dtype).tiny)
    return (-exponents).softmax(dim)


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression that divides by 2h instead of 2h^2",
    hint="The exponent must have no unit: a squared distance is divided by the square of a length.",
)
def bandwidth_not_squared(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    return soft_look_up(squared_distances(queries, keys), (bandwidth, 2)) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression that divides by h^2 instead of 2h^2",
    hint="Compare the exponent with that of a normal distribution of standard deviation h. What is missing?",
)
def no_factor_two(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    return soft_look_up(squared_distances(queries, keys), (bandwidth, bandwidth)) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression with the distance instead of its square",
    hint="Near a key the weight should be smooth, like a bell; yours has the peak of exp(-|x|).",
)
def distance_not_squared(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    distances = torch.linalg.vector_norm(queries.unsqueeze(-2) - keys.unsqueeze(-3), dim=-1)
    return soft_look_up(distances, (bandwidth, bandwidth, 2)) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression normalised over the queries instead of the keys",
    hint="For each query the weights of all keys sum to 1: a single query must get a mean of the values as "
    "well.",
)
def normalised_over_queries(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    return soft_look_up(squared_distances(queries, keys), (bandwidth, bandwidth, 2), dim=-2) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression that divides 0 by 0 when all exponentials underflow",
    hint="Far from every key, or for a small bandwidth, each exponential is rounded to 0. What may be "
    "subtracted from all exponents?",
)
def exponentials_underflow(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    h = max(bandwidth, torch.finfo(queries.dtype).tiny)
    weights = (-squared_distances(queries, keys) / h / h / 2).exp()
    return weights / weights.sum(-1, keepdim=True) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression with a small number added to the denominator",
    hint="The NaN is gone, but far from every key the result drops to 0 instead of the value of the nearest "
    "key.",
)
def guarded_denominator(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    h = max(bandwidth, torch.finfo(queries.dtype).tiny)
    weights = (-squared_distances(queries, keys) / h / h / 2).exp()
    return weights / (weights.sum(-1, keepdim=True) + 1e-12) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="kernel regression whose h^2 underflows to 0 for a tiny bandwidth",
    hint="The largest weight is handled well, but h = 1e-300 squared is 0 in floating point. Can you divide "
    "without squaring h?",
)
def bandwidth_underflows(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    squared = squared_distances(queries, keys)
    excess = squared - squared.detach().amin(-1, keepdim=True)
    return (-excess / (2 * bandwidth**2 + excess.new_zeros(()))).softmax(-1) @ values


@misconception(
    "q7",
    replaces="kernel_regression",
    name="dot-product attention instead of a kernel of the distance",
    hint="A long key wins every dot product, near or far. The weight asked for here falls off with the "
    "distance.",
)
def dot_product_instead(queries, keys, values, bandwidth):
    check_regression(queries, keys, values, bandwidth)
    return soft_look_up(-dot_products(queries, keys), (bandwidth, bandwidth)) @ values
