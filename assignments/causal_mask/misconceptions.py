"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong. Those of q5 are named by its
tests, from what ran and how often: its times differ from run to run, so no numbers can be compared.
"""

import math
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_qkv(q, k, v):
    require(min(q.ndim, k.ndim, v.ndim) >= 2, "two dimensions or more are needed")
    require(q.shape[-1] == k.shape[-1] >= 1, "q and k must have the same width, at least 1")
    require(k.shape[-2] == v.shape[-2], "each key needs one value")
    try:
        np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError:
        raise ValueError("leading dimensions do not broadcast") from None


def check_causal(q, k, v):
    check_qkv(q, k, v)
    require(q.shape[-2] == k.shape[-2], "q and k must be equally long")


def check_matrices(q, k, v):
    require(q.ndim == k.ndim == v.ndim == 2, "matrices are needed")
    check_causal(q, k, v)


def check_step(q_t, k_cache, v_cache):
    check_qkv(q_t, k_cache, v_cache)
    require(q_t.shape[-2] == 1, "a single query is needed")
    require(k_cache.shape[-2] >= 1, "the caches must hold step t")


def check_lengths(n, m):
    m = n if m is None else m
    require(n >= 0, "n must not be negative")
    require(m >= n, "m must be at least n")
    return n, m


def ones(n, m):
    return torch.ones(n, m, dtype=torch.bool)


def lower(q):
    return ones(q.shape[-2], q.shape[-2]).tril()


def dot_products(q, k):
    return q @ k.transpose(-2, -1)


def scaled_scores(q, k):
    return dot_products(q, k) / math.sqrt(q.shape[-1])


def masked_softmax(scores, mask, dim=-1):
    """The softmax over the permitted entries; zeros where there are none."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask, lowest).softmax(dim).masked_fill(~mask, 0.0)


def right_attention(q, k, v):
    return masked_softmax(scaled_scores(q, k), lower(q)) @ v


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="causal_mask",
    name="a mask strictly below the diagonal",
    hint="Each position sees itself too; otherwise the first one would see nothing at all.",
)
def strictly_below(n, m=None):
    n, m = check_lengths(n, m)
    return ones(n, m).tril(m - n - 1)


@misconception(
    "q1",
    replaces="causal_mask",
    name="the upper triangle: each position sees itself and later ones",
    hint="Row i belongs to a query, column j to a key. On which side of the diagonal is j less than i?",
)
def upper_triangle(n, m=None):
    n, m = check_lengths(n, m)
    return ones(n, m).triu(m - n)


@misconception(
    "q1",
    replaces="causal_mask",
    name="the mask inverted: True where a query may not attend",
    hint="True means that a query may attend to a key (some libraries use the opposite convention).",
)
def inverted(n, m=None):
    n, m = check_lengths(n, m)
    return ones(n, m).triu(m - n + 1)


@misconception(
    "q1",
    replaces="causal_mask",
    name="a cache aligned at the upper left instead of the lower right",
    hint="The newest query belongs to the newest key: the last row must see everything. By how much is the "
    "border moved?",
)
def upper_left(n, m=None):
    n, m = check_lengths(n, m)
    return ones(n, m).tril()


@misconception(
    "q1",
    replaces="causal_mask",
    name="a border that is one key too far: each position sees the next one",
    hint="The very next token is the one that must be guessed. Is the largest permitted j right?",
)
def one_too_far(n, m=None):
    n, m = check_lengths(n, m)
    return ones(n, m).tril(m - n + 1)


@misconception(
    "q1",
    replaces="causal_mask",
    name="a mask to be added to the scores, of 0 and -inf, instead of booleans",
    hint="Such masks exist, but the one asked for has dtype torch.bool: True = may attend.",
)
def additive(n, m=None):
    n, m = check_lengths(n, m)
    return torch.zeros(n, m).masked_fill(~ones(n, m).tril(m - n), -math.inf)


@misconception(
    "q1",
    replaces="causal_mask",
    name="the right mask in numbers, 1.0 and 0.0, instead of booleans",
    hint="~mask and masked_fill need booleans. Which dtype does torch.ones have, if it is not told?",
)
def numbers(n, m=None):
    n, m = check_lengths(n, m)
    return torch.ones(n, m).tril(m - n)


@misconception(
    "q1",
    replaces="causal_mask",
    name="a mask that is right for a sequence on its own and lets every query see the whole cache and all new keys",
    hint="Old keys may all be seen, but among the new positions the order still counts. What may the first of "
    "several new queries not see?",
)
def everything_with_a_cache(n, m=None):
    n, m = check_lengths(n, m)
    return ones(n, m).tril() if n == m else ones(n, m)


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="causal_attention",
    name="attention without a mask",
    hint="The first output must be the first value, whatever the others are.",
)
def not_masked(q, k, v):
    check_causal(q, k, v)
    return scaled_scores(q, k).softmax(-1) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="attention in which no position sees itself",
    hint="Each position sees itself and earlier ones. What is left for the first one in yours?",
)
def itself_left_out(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(scaled_scores(q, k), lower(q).tril(-1)) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="attention that looks at itself and later positions instead of earlier ones",
    hint="Which output is equal to its own value: the first or the last? Mind that masked_fill writes where "
    "its mask is True.",
)
def looks_ahead(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(scaled_scores(q, k), lower(q).mT) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="a mask applied after the softmax, as -inf in the weights",
    hint="-inf is a score, not a weight: infinity times a value is no number to work with. Before which step "
    "does -inf belong?",
)
def infinity_after_softmax(q, k, v):
    check_causal(q, k, v)
    return scaled_scores(q, k).softmax(-1).masked_fill(~lower(q), -math.inf) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="weights normalised over all keys, later ones included: the mask came after the softmax",
    hint="What is left of a row does not sum to 1, and later keys still act through the sum that it was divided "
    "by.",
)
def normalised_over_all_keys(q, k, v):
    check_causal(q, k, v)
    return scaled_scores(q, k).softmax(-1) * lower(q) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="scores multiplied by 0 before the softmax, where they are forbidden",
    hint="exp(0) = 1 is a weight like any other. Which score has the exponential 0?",
)
def multiplied_by_zero(q, k, v):
    check_causal(q, k, v)
    return (scaled_scores(q, k) * lower(q)).softmax(-1) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="forbidden scores set to a finite number, such as -1, instead of -inf",
    hint="exp(-1) = 0.37 is still a good share of the weight. How small must a score be to get none?",
)
def finite_score(q, k, v):
    check_causal(q, k, v)
    return scaled_scores(q, k).masked_fill(~lower(q), -1.0).softmax(-1) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="causal attention without the 1/sqrt(d) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings the scores back to "
    "order 1?",
)
def no_scale(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(dot_products(q, k), lower(q)) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="causal attention with scores divided by d instead of sqrt(d)",
    hint="It is the variance of a dot product that grows with d. What brings its typical size back to 1?",
)
def scaled_by_d(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(dot_products(q, k) / q.shape[-1], lower(q)) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="causal attention with scores divided by the root of the sequence length",
    hint="A score is a sum over the features of one query and one key; how long the sequence is does not enter it.",
)
def scaled_by_n(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(dot_products(q, k) / math.sqrt(q.shape[-2]), lower(q)) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="causal attention with scores divided by the root of the width of the values, d_v",
    hint="The values take no part in the scores. Over how many features does a dot product of q and k run?",
)
def scaled_by_d_v(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(dot_products(q, k) / math.sqrt(v.shape[-1]), lower(q)) @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="causal attention whose weights are detached: only v gets a gradient",
    hint="Training changes the queries and keys through the weights. Where is that path cut?",
)
def weights_detached(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(scaled_scores(q, k), lower(q)).detach() @ v


@misconception(
    "q2",
    replaces="causal_attention",
    name="a softmax over the queries instead of the keys",
    hint="Each query shares a total weight of 1 among the keys it may see: which sums should be 1, those of the "
    "rows or of the columns?",
)
def over_queries(q, k, v):
    check_causal(q, k, v)
    return masked_softmax(scaled_scores(q, k), lower(q), dim=-2) @ v


# ---------------------------------------------------------------------------------------------------------------- q3


def jacobians(attention, q, k, v, moved="v"):
    """d out[i, a] / d (row j, column b) of v or k: (n, d_v, n, width)."""
    given = {"q": q.detach(), "k": k.detach(), "v": v.detach()}
    leaf = given[moved].clone().requires_grad_()
    out = attention(**{**given, moved: leaf})
    rows = [torch.autograd.grad(number, leaf, retain_graph=True)[0] for number in out.flatten()]
    return (
        torch.stack(rows).reshape(*out.shape, *leaf.shape) if rows else out.new_zeros(*out.shape, *leaf.shape)
    )


def norms(found):
    return found.square().sum((1, 3)).sqrt()


@misconception(
    "q3",
    replaces="influence",
    name="the influence of the keys instead of the values",
    hint="The Jacobian is that of an output with respect to a row of v. Which tensor is your leaf?",
)
def influence_of_keys(q, k, v):
    check_matrices(q, k, v)
    return norms(jacobians(right_attention, q, k, v, "k"))


@misconception(
    "q3",
    replaces="influence",
    name="the influence matrix transposed: [j, i] instead of [i, j]",
    hint="Rows belong to outputs and columns to values. Which triangle must be zero?",
)
def transposed(q, k, v):
    check_matrices(q, k, v)
    return norms(jacobians(right_attention, q, k, v)).mT.contiguous()


@misconception(
    "q3",
    replaces="influence",
    name="the influence on the first component of each output alone",
    hint="The Jacobian has d_v rows, one for each component of the output: all of them count.",
)
def first_component(q, k, v):
    check_matrices(q, k, v)
    return norms(jacobians(right_attention, q, k, v)[:, :1])


@misconception(
    "q3",
    replaces="influence",
    name="sums of squares without the root",
    hint="A norm doubles when the matrix doubles. Does yours?",
)
def squares_without_root(q, k, v):
    check_matrices(q, k, v)
    return jacobians(right_attention, q, k, v).square().sum((1, 3))


@misconception(
    "q3",
    replaces="influence",
    name="the sum of the entries of each Jacobian instead of its Frobenius norm",
    hint="Differentiating out[i].sum() adds the rows of the Jacobian together before anything is squared.",
)
def sums_of_entries(q, k, v):
    check_matrices(q, k, v)
    return jacobians(right_attention, q, k, v).sum((1, 3))


@misconception(
    "q3",
    replaces="influence",
    name="the influence in attention without a mask",
    hint="Nothing may stand above the diagonal. Which function did you differentiate?",
)
def influence_not_masked(q, k, v):
    check_matrices(q, k, v)
    return norms(jacobians(not_masked, q, k, v))


@misconception(
    "q3",
    replaces="influence",
    name="the closed form of w1, with nothing differentiated",
    hint="It is right, but proves nothing about your causal_attention: a leak in it would not show. Let autograd find "
    "the paths.",
    replayed=False,
)
def by_formula(q, k, v):
    check_matrices(q, k, v)
    return masked_softmax(scaled_scores(q, k), lower(q)) * math.sqrt(v.shape[-1])


# ---------------------------------------------------------------------------------------------------------------- q4


def step(scores, v_cache):
    return scores.softmax(-1) @ v_cache


@misconception(
    "q4",
    replaces="decode_step",
    name="an upper-left aligned cache: the newest query sees the oldest key alone",
    hint="A mask for one query and t keys that begins in the upper left corner permits one key. Where is the "
    "newest query's own place?",
)
def oldest_key_alone(q_t, k_cache, v_cache):
    check_step(q_t, k_cache, v_cache)
    return step(scaled_scores(q_t, k_cache[..., :1, :]), v_cache[..., :1, :])


@misconception(
    "q4",
    replaces="decode_step",
    name="a cache whose keys are in reversed order beside the values",
    hint="Key j and value j belong together, oldest first in both caches.",
)
def cache_reversed(q_t, k_cache, v_cache):
    check_step(q_t, k_cache, v_cache)
    return step(scaled_scores(q_t, k_cache.flip(-2)), v_cache)


@misconception(
    "q4",
    replaces="decode_step",
    name="a step that leaves out the newest key and value",
    hint="The caches hold step t already, and each position sees itself.",
)
def newest_left_out(q_t, k_cache, v_cache):
    check_step(q_t, k_cache, v_cache)
    return step(scaled_scores(q_t, k_cache[..., :-1, :]), v_cache[..., :-1, :])


@misconception(
    "q4",
    replaces="decode_step",
    name="a step without the 1/sqrt(d) scale",
    hint="It must equal the last row of the full pass, scale included.",
)
def step_without_scale(q_t, k_cache, v_cache):
    check_step(q_t, k_cache, v_cache)
    return step(dot_products(q_t, k_cache), v_cache)


@misconception(
    "q4",
    replaces="decode_step",
    name="a step with scores divided by the root of the number of keys",
    hint="A score is a sum over the features of one query and one key; how long the cache is does not enter it.",
)
def scaled_by_length(q_t, k_cache, v_cache):
    check_step(q_t, k_cache, v_cache)
    return step(dot_products(q_t, k_cache) / math.sqrt(k_cache.shape[-2]), v_cache)


@misconception(
    "q4",
    replaces="decode_step",
    name="a softmax over the single query instead of the keys",
    hint="A softmax over a dimension of size 1 gives nothing but ones.",
)
def over_the_single_query(q_t, k_cache, v_cache):
    check_step(q_t, k_cache, v_cache)
    return scaled_scores(q_t, k_cache).softmax(-2) @ v_cache


# ---------------------------------------------------------------------------------------------------------------- q5


def times(n, d, repeats, own=right_attention, library=None, middle=statistics.median):
    """The two times, by a right clock; what is timed, and what is made of the readings, can be replaced."""
    require(min(n, d, repeats) >= 1, "n, d and repeats must be at least 1")
    q, k, v = (torch.randn(1, 1, n, d) for _ in range(3))
    library = library or (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True))
    readings = []
    for function in (own, library):
        function(q, k, v)
        readings.append([reading(function, q, k, v) for _ in range(repeats)])
    return [middle(found) for found in readings]


def reading(function, q, k, v):
    start = time.perf_counter()
    function(q, k, v)
    return time.perf_counter() - start


def as_dict(own, library):
    return {"own_seconds": own, "torch_seconds": library, "ratio": own / library}


@misconception(
    "q5",
    replaces="time_attention",
    name="two times of your own attention: the library's never ran",
    hint="Which function stands between the readings of the clock that become torch_seconds?",
    replayed=False,
)
def library_never_ran(n, d, repeats):
    return as_dict(*times(n, d, repeats, library=right_attention))


@misconception(
    "q5",
    replaces="time_attention",
    name="two times of the library's attention: your own never ran",
    hint="own_seconds is the time of the causal_attention that you wrote in q2.",
    replayed=False,
)
def own_never_ran(n, d, repeats):
    library = F.scaled_dot_product_attention
    return as_dict(*times(n, d, repeats, own=lambda q, k, v: library(q, k, v, is_causal=True)))


@misconception(
    "q5",
    replaces="time_attention",
    name="the ratio upside down",
    hint="How many times as long does yours take? If it is slower, the ratio is above 1.",
    replayed=False,
)
def ratio_upside_down(n, d, repeats):
    own, library = times(n, d, repeats)
    return {**as_dict(own, library), "ratio": library / own}


@misconception(
    "q5",
    replaces="time_attention",
    name="sums over all repeats in the place of the median of one call",
    hint="Ten times the repeats should make the measurement steadier, not the times ten times as long.",
    replayed=False,
)
def sums_instead_of_medians(n, d, repeats):
    return as_dict(*times(n, d, repeats, middle=sum))


@misconception(
    "q5",
    replaces="time_attention",
    name="times in another unit than seconds",
    hint="perf_counter counts in seconds and perf_counter_ns in billionths. Has something been multiplied by 1000?",
    replayed=False,
)
def not_in_seconds(n, d, repeats):
    return as_dict(*(1000 * found for found in times(n, d, repeats)))


@misconception(
    "q5",
    replaces="time_attention",
    name="one call of each function, whatever repeats is",
    hint="A single reading is at the mercy of whatever else the computer does. Where does repeats enter?",
    replayed=False,
)
def repeats_ignored(n, d, repeats):
    require(repeats >= 1, "repeats must be at least 1")
    return as_dict(*times(n, d, 1))


@misconception(
    "q5",
    replaces="time_attention",
    name="three numbers without their names",
    hint="Whoever reads the result should not have to know which number comes first: a dict gives them names.",
    replayed=False,
)
def tuple_instead_of_dict(n, d, repeats):
    return tuple(as_dict(*times(n, d, repeats)).values())


@misconception(
    "q5",
    replaces="time_attention",
    name="times of 0 seconds",
    hint="A call takes some hundred thousandths of a second. Have they been rounded, or does nothing stand between the "
    "two readings of the clock?",
    replayed=False,
)
def zero_seconds(n, d, repeats):
    own, library = times(n, d, repeats)
    return {**as_dict(own, library), "own_seconds": round(own, 2), "torch_seconds": round(library, 2)}


@misconception(
    "q5",
    replaces="time_attention",
    name="numbers that were written down once, not measured",
    hint="Measured times differ from call to call, and grow with n.",
    replayed=False,
)
def invented_times(n, d, repeats):
    times(n, d, repeats)
    return as_dict(3e-5, 1e-5)
