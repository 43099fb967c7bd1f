"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong.
"""

import math
import statistics

import torch

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_pattern(n, window, stride):
    require(n >= 0, "n must not be negative")
    require(window >= 1 and stride >= 1, "window and stride must be at least 1")


def all_distances(n):
    """Of query i (row) from key j (column)."""
    return torch.arange(n)[:, None] - torch.arange(n)


def pattern(n, window, stride):
    distance = all_distances(n)
    return (distance >= 0) & ((distance < window) | (distance % stride == 0))


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask whose window is one position too wide",
    hint="The window holds `window` positions, oneself included: which distance is the largest?",
)
def window_too_wide(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & ((distance <= window) | (distance % stride == 0))


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask whose strides are counted from the start of the sequence",
    hint="Your strides are the same columns for every query. They are counted back from the position that looks.",
)
def strides_from_the_start(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & ((distance < window) | (torch.arange(n) % stride == 0))


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask that permits the last position of each block",
    hint="This is the fixed pattern of the paper. In the strided one, strides are counted back from the query.",
)
def last_of_each_block(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & ((distance < window) | (torch.arange(n) % stride == stride - 1))


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask whose strides are counted from the edge of the window",
    hint="Distance 0 is a multiple of every stride: count from the query, not from the edge of its window.",
)
def strides_from_the_window(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & ((distance < window) | ((distance - window) % stride == 0))


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask that wants a key to be near and at a whole stride at once",
    hint="One of the two is enough.",
)
def both_conditions(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & (distance < window) & (distance % stride == 0)


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask with the window alone",
    hint="Where are the strides beyond the window?",
)
def window_alone(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & (distance < window)


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask with the strides alone",
    hint="Where is the window of the latest positions?",
)
def strides_alone(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance >= 0) & (distance % stride == 0)


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask with blocks in place of a sliding window",
    hint="The first position of a block sees nobody near it. The window moves along with the query.",
)
def blocks_for_windows(n, window, stride):
    check_pattern(n, window, stride)
    distance, block = all_distances(n), torch.arange(n) // window
    return (distance >= 0) & ((block[:, None] == block) | (distance % stride == 0))


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask that looks ahead as it looks back",
    hint="A distance below 0 is the future, and abs() hides it.",
)
def not_causal(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n).abs()
    return (distance < window) | (distance % stride == 0)


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask that permits every later position",
    hint="i - j < window holds for every negative distance as well.",
)
def future_permitted(n, window, stride):
    check_pattern(n, window, stride)
    distance = all_distances(n)
    return (distance < window) | ((distance >= 0) & (distance % stride == 0))


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask with keys as rows and queries as columns",
    hint="Row i belongs to query i. Which triangle must be empty?",
)
def transposed(n, window, stride):
    check_pattern(n, window, stride)
    return pattern(n, window, stride).T.clone()


@misconception(
    "q1",
    replaces="sparse_mask",
    name="a mask in which True means forbidden",
    hint="True = may attend.",
)
def inverted(n, window, stride):
    check_pattern(n, window, stride)
    return ~pattern(n, window, stride)


# ---------------------------------------------------------------------------------------------------------------- q2


def check_attention(q, k, v, window, stride):
    check_pattern(0, window, stride)
    require(min(q.ndim, k.ndim, v.ndim) >= 2, "two dimensions are needed")
    require(q.shape[-1] == k.shape[-1] >= 1, "q and k need the same width")
    require(q.shape[-2] == k.shape[-2] == v.shape[-2], "all three must be equally long")
    try:
        torch.broadcast_tensors(q[..., :0, :0], k[..., :0, :0], v[..., :0, :0])
    except RuntimeError as error:
        raise ValueError("leading dimensions do not broadcast") from error


def scores_of(q, k, scale):
    return q @ k.mT / scale


def masked(q, k, v, mask, scale=None, detached=False):
    """The right attention but for the mask and the scale."""
    scores = scores_of(q, k, math.sqrt(q.shape[-1]) if scale is None else scale)
    weights = scores.masked_fill(~mask, -math.inf).softmax(-1)
    return (weights.detach() if detached else weights) @ v


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention without the 1/sqrt(d) scale",
    hint="The variance of a dot product grows with the length of its vectors. What brings it back to 1?",
)
def no_scale(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return masked(q, k, v, pattern(q.shape[-2], window, stride), 1.0)


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention with scores divided by d instead of sqrt(d)",
    hint="The dot product of d random numbers has variance d. Divide by its standard deviation.",
)
def scale_by_d(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return masked(q, k, v, pattern(q.shape[-2], window, stride), q.shape[-1])


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention to what the mask forbids",
    hint="The mask says where to keep scores, masked_fill wants to know where to write.",
)
def mask_inverted(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return masked(q, k, v, ~pattern(q.shape[-2], window, stride))


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention with the mask after the softmax",
    hint="The weights that are left no longer sum to 1. Mask the scores, before the softmax.",
)
def mask_after_softmax(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    weights = scores_of(q, k, math.sqrt(q.shape[-1])).softmax(-1)
    return (weights * pattern(q.shape[-2], window, stride)) @ v


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention whose forbidden scores are 0",
    hint="exp(0) = 1 is a weight like any other. Which score has the exponential 0?",
)
def forbidden_scores_zero(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    scores = scores_of(q, k, math.sqrt(q.shape[-1]))
    return (scores * pattern(q.shape[-2], window, stride)).softmax(-1) @ v


@misconception(
    "q2",
    replaces="masked_attention",
    name="causal attention to every earlier position",
    hint="Nothing is left out: do window and stride reach your mask?",
)
def plain_causal(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return masked(q, k, v, all_distances(q.shape[-2]) >= 0)


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention whose softmax runs over queries instead of keys",
    hint="The weights of one query sum to 1: which dimension are the keys?",
)
def softmax_over_queries(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    scores = scores_of(q, k, math.sqrt(q.shape[-1]))
    return scores.masked_fill(~pattern(q.shape[-2], window, stride), -math.inf).softmax(-2) @ v


@misconception(
    "q2",
    replaces="masked_attention",
    name="attention whose weights are detached",
    hint="The values are right, but no gradient reaches q and k: look for .detach(), .data or torch.no_grad().",
)
def weights_detached(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return masked(q, k, v, pattern(q.shape[-2], window, stride), detached=True)


# ---------------------------------------------------------------------------------------------------------------- q3


def near_distances(n, window):
    return list(range(min(window, n)))


def far_distances(n, window, stride):
    """Multiples of the stride beyond the window."""
    return list(range(-(-window // stride) * stride, n, stride))


def each_once(n, window, stride):
    return near_distances(n, window) + far_distances(n, window, stride)


def places(n, distances):
    """The key that each position has at each distance, before the start below 0: (n, distances)."""
    return torch.arange(n)[:, None] - torch.tensor(distances, dtype=torch.long)


def gathered(q, k, v, place, allowed):
    """Scores (..., n, m) of those keys, forbidden ones at -inf, and their values (..., n, m, d_v)."""
    scores = (q.unsqueeze(-2) * k[..., place, :]).sum(-1) / math.sqrt(q.shape[-1])
    return scores.masked_fill(~allowed, -math.inf), v[..., place, :]


def weighted(weights, values):
    return (weights.unsqueeze(-1) * values).sum(-2)


def at_distances(q, k, v, distances):
    """Attention to the keys at these distances, one softmax over all."""
    place = places(q.shape[-2], distances)
    scores, values = gathered(q, k, v, place.clamp(min=0), place >= 0)
    return weighted(scores.softmax(-1), values)


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention in which keys of the window that are at a whole stride count twice",
    hint="Distance 0, at least, is in both parts. Take from the strides only what the window has not.",
)
def overlap_twice(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    return at_distances(q, k, v, near_distances(n, window) + list(range(0, n, stride)))


def two_attentions(q, k, v, window, stride):
    """Window and strides, each with a softmax of its own."""
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    return at_distances(q, k, v, near_distances(n, window)), at_distances(q, k, v, list(range(0, n, stride)))


@misconception(
    "q3",
    replaces="sparse_attention",
    name="the sum of two attentions, one over the window and one over strides",
    hint="The weights of a position sum to 1 over all its keys: the two parts share one softmax.",
)
def attentions_added(q, k, v, window, stride):
    near, far = two_attentions(q, k, v, window, stride)
    return near + far


@misconception(
    "q3",
    replaces="sparse_attention",
    name="the mean of two attentions, one over the window and one over strides",
    hint="How much weight each part gets depends on its scores: the two parts share one softmax.",
)
def attentions_averaged(q, k, v, window, stride):
    near, far = two_attentions(q, k, v, window, stride)
    return (near + far) / 2


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention that merges two parts without bringing them to the same maximum",
    hint="You subtract another maximum in each part. Before the sums are added, both must refer to the same one.",
)
def two_maxima(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    top, total = 0, 0
    for distances in (near_distances(n, window), far_distances(n, window, stride)):
        if not distances:
            continue
        place = places(n, distances)
        scores, values = gathered(q, k, v, place.clamp(min=0), place >= 0)
        largest = scores.detach().amax(-1, keepdim=True).clamp(min=torch.finfo(q.dtype).min)
        exponentials = (scores - largest).exp()
        top, total = top + weighted(exponentials, values), total + exponentials.sum(-1, keepdim=True)
    return top / total if n else at_distances(q, k, v, [])


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention in which position 0 stands in for everything before the start",
    hint="A distance that leads before the start has no key. A clamped index has one, and it counts each time.",
)
def start_repeated(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    place = places(n, each_once(n, window, stride)).clamp(min=0)
    scores, values = gathered(q, k, v, place, torch.ones_like(place, dtype=torch.bool))
    return weighted(scores.softmax(-1), values)


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention that goes on at the end of the sequence where it runs out of keys at the start",
    hint="A negative index, or a roll, takes keys from the end: they are the future.",
)
def wrapped_round(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    place = places(n, each_once(n, window, stride)) % max(n, 1)
    scores, values = gathered(q, k, v, place, torch.ones_like(place, dtype=torch.bool))
    return weighted(scores.softmax(-1), values)


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention that leaves positions beyond the last whole stride at 0",
    hint="n need not be a multiple of the stride: pad, and cut off at the end.",
)
def remainder_dropped(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    whole = (torch.arange(n) < n - n % stride).to(q.dtype)
    return at_distances(q, k, v, each_once(n, window, stride)) * whole.unsqueeze(-1)


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention whose exponentials overflow",
    hint="exp(150) is more than float32 can hold: subtract the largest score of the row first.",
)
def no_maximum(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    n = q.shape[-2]
    place = places(n, each_once(n, window, stride))
    scores, values = gathered(q, k, v, place.clamp(min=0), place >= 0)
    exponentials = scores.exp()
    return weighted(exponentials / exponentials.sum(-1, keepdim=True), values)


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention without the 1/sqrt(d) scale",
    hint="masked_attention divides its scores by sqrt(d).",
)
def sparse_without_scale(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return at_distances(q * math.sqrt(q.shape[-1]), k, v, each_once(q.shape[-2], window, stride))


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention with the window alone",
    hint="Where are the strides beyond the window?",
)
def sparse_window_alone(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return at_distances(q, k, v, near_distances(q.shape[-2], window))


@misconception(
    "q3",
    replaces="sparse_attention",
    name="attention whose weights are detached",
    hint="The values are right, but no gradient reaches q and k: look for .detach(), .data or torch.no_grad().",
)
def sparse_detached(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    place = places(q.shape[-2], each_once(q.shape[-2], window, stride))
    scores, values = gathered(q, k, v, place.clamp(min=0), place >= 0)
    return weighted(scores.softmax(-1).detach(), values)


@misconception(
    "q3",
    replaces="sparse_attention",
    name="the full matrix in disguise",
    hint="The numbers are right, and n x n of them are made on the way. Which scores of a position are ever used?",
    replayed=False,  # right numbers: a test finds it by what it makes
)
def full_matrix(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    return masked(q, k, v, pattern(q.shape[-2], window, stride))


@misconception(
    "q3",
    replaces="sparse_attention",
    name="the full matrix, row after row",
    hint="No matrix is stored, but every position still looks at all keys before it. Go straight to those it may see.",
    replayed=False,  # right numbers: a test finds it by what it does
)
def all_keys_in_turn(q, k, v, window, stride):
    check_attention(q, k, v, window, stride)
    rows = []
    for i in range(q.shape[-2]):
        distance = torch.arange(i, -1, -1)
        forbidden = (distance >= window) & (distance % stride != 0)
        scores = (q[..., i : i + 1, :] * k[..., : i + 1, :]).sum(-1) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(forbidden, -math.inf).softmax(-1)
        rows.append(weighted(weights, v[..., : i + 1, :]))
    return torch.stack(rows, -2) if rows else at_distances(q, k, v, [])


# ---------------------------------------------------------------------------------------------------------------- q4


def series(n, first, last, step):
    """The sum of n - d over d = first * step, ..., last * step."""
    count = max(0, last - first + 1)
    return count * n - step * count * (first + last) // 2


def near_pairs(n, window):
    return series(n, 0, min(window, n) - 1, 1)


def far_pairs(n, window, stride):
    return series(n, -(-window // stride), (n - 1) // stride, stride)


def right_pairs(n, window, stride):
    check_pattern(n, window, stride)
    return near_pairs(n, window) + far_pairs(n, window, stride)


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count in which every position has all its keys, also at the start",
    hint="Position 0 has one key, not window + n / stride. How many pairs are there at one distance?",
)
def rows_in_full(n, window, stride):
    check_pattern(n, window, stride)
    first, last = -(-window // stride), (n - 1) // stride
    return n * (min(window, n) + max(0, last - first + 1))


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count of distances in the window and at whole strides twice",
    hint="Distance 0, at least, is in both parts. It is one key.",
)
def pairs_twice(n, window, stride):
    check_pattern(n, window, stride)
    return near_pairs(n, window) + series(n, 0, (n - 1) // stride, stride)


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count that leaves out that each position sees itself",
    hint="Distance 0 is permitted: n pairs more.",
)
def oneself_not_counted(n, window, stride):
    return right_pairs(n, window, stride) - n


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count of both directions",
    hint="The mask is causal: of (i, j) and (j, i) only one is permitted.",
)
def both_directions(n, window, stride):
    return 2 * right_pairs(n, window, stride) - n


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count that goes through floating point",
    hint="A float has 53 bits. Beyond 9e15 it skips whole numbers: use // in place of /, and no int() at the end.",
)
def floating_point(n, window, stride):
    check_pattern(n, window, stride)
    near = min(window, n)
    first, last = -(-window // stride), (n - 1) // stride
    count = max(0, last - first + 1)
    return int(near * (n - (near - 1) / 2) + count * (n - stride * (first + last) / 2))


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count of the window alone",
    hint="Where are the multiples of the stride beyond the window?",
)
def window_pairs_alone(n, window, stride):
    check_pattern(n, window, stride)
    return near_pairs(n, window)


@misconception(
    "q4",
    replaces="attended_pairs",
    name="a count whose strides begin one stride too late",
    hint="Which multiple of the stride is the first outside of the window? The distance `window` itself may be one.",
)
def first_stride_missing(n, window, stride):
    check_pattern(n, window, stride)
    return near_pairs(n, window) + series(n, window // stride + 1, (n - 1) // stride, stride)


# ---------------------------------------------------------------------------------------------------------------- q5


def check_layers(n, window, stride):
    check_pattern(n, window, stride)
    require(n >= 1, "n must be at least 1")
    require(n == 1 or stride == 1 or window > 1, "neighbours never meet")


def hops(distance, step, stride):
    """The least number of hops: within windows, or once by strides and the rest within windows."""
    if not step:
        return min(1, distance)
    by_stride = (distance >= stride) + -(-(distance % stride) // step)
    return min(-(-distance // step), by_stride)


def most_hops(n, step, stride):
    return max(hops(distance, step, stride) for distance in range(n))


@misconception(
    "q5",
    replaces="layers_needed",
    name="two layers in every case",
    hint="Two are enough if the window reaches from one stride to the next. And if it is shorter, or holds everything?",
)
def always_two(n, window, stride):
    check_layers(n, window, stride)
    return 2


@misconception(
    "q5",
    replaces="layers_needed",
    name="a count in which a step of the window covers `window` positions",
    hint="The window includes oneself, so its longest step is window - 1.",
)
def step_too_long(n, window, stride):
    check_layers(n, window, stride)
    return most_hops(n, window, stride)


@misconception(
    "q5",
    replaces="layers_needed",
    name="a count for the window alone",
    hint="One hop by strides is much longer than a step of the window.",
)
def layers_by_window(n, window, stride):
    check_layers(n, window, stride)
    return -(-(n - 1) // (window - 1)) if window > 1 else min(n - 1, 1)


@misconception(
    "q5",
    replaces="layers_needed",
    name="a count in which one hop takes a single stride",
    hint="2 stride, 3 stride, ... are permitted in one layer as well as stride.",
)
def one_stride_a_hop(n, window, stride):
    check_layers(n, window, stride)
    if window == 1:
        return n - 1
    step = window - 1
    ways = ((d // stride) + -(-(d % stride) // step) for d in range(n))
    return max(min(way, -(-d // step)) for d, way in enumerate(ways))


@misconception(
    "q5",
    replaces="layers_needed",
    name="a count for the largest distance alone",
    hint="The first position is not the hardest to reach: n - 1 may be a whole number of strides.",
)
def largest_distance_alone(n, window, stride):
    check_layers(n, window, stride)
    return hops(n - 1, window - 1, stride)


@misconception(
    "q5",
    replaces="layers_needed",
    name="a count of one layer too many",
    hint="How many layers does a window need that holds everything? And a single position?",
)
def one_too_many(n, window, stride):
    check_layers(n, window, stride)
    return most_hops(n, window - 1, stride) + 1


@misconception(
    "q5",
    replaces="layers_needed",
    name="a count that always takes a hop by strides",
    hint="A window wider than the stride may be there sooner without.",
)
def stride_hop_always(n, window, stride):
    check_layers(n, window, stride)
    step = max(window - 1, 1)
    return max((d >= stride) + -(-(d % stride) // step) for d in range(n))


# ---------------------------------------------------------------------------------------------------------------- q6


def check_points(lengths, costs):
    require(len(lengths) == len(costs) >= 2, "two points or more are needed")
    require(min(*lengths, *costs) > 0, "numbers must be above 0")
    require(min(lengths) < max(lengths), "the lengths must not all be equal")


def logarithms(numbers):
    return [math.log(number) for number in numbers]


def slope(x, y):
    return statistics.linear_regression(x, y).slope


@misconception(
    "q6",
    replaces="growth_exponent",
    name="a slope without logarithms",
    hint="n**1.5 is no straight line. Of what is it one?",
)
def no_logarithms(lengths, costs):
    check_points(lengths, costs)
    return float(slope(lengths, costs))


@misconception(
    "q6",
    replaces="growth_exponent",
    name="a slope of log(cost) over the length itself",
    hint="That is the rate of an exponential. A power is a line if both axes are logarithmic.",
)
def length_without_logarithm(lengths, costs):
    check_points(lengths, costs)
    return float(slope(lengths, logarithms(costs)))


@misconception(
    "q6",
    replaces="growth_exponent",
    name="a line through the first and the last point",
    hint="The points in between count as well: least squares.",
)
def end_points(lengths, costs):
    check_points(lengths, costs)
    x, y = logarithms(lengths), logarithms(costs)
    return (y[-1] - y[0]) / (x[-1] - x[0])


@misconception(
    "q6",
    replaces="growth_exponent",
    name="a line through the origin",
    hint="log c need not be 0: subtract the means first.",
)
def through_the_origin(lengths, costs):
    check_points(lengths, costs)
    x, y = logarithms(lengths), logarithms(costs)
    return sum(a * b for a, b in zip(x, y, strict=True)) / sum(a * a for a in x)


@misconception(
    "q6",
    replaces="growth_exponent",
    name="a slope of length over cost",
    hint="The cost is what grows: it belongs on the y axis.",
)
def axes_exchanged(lengths, costs):
    check_points(lengths, costs)
    x, y = logarithms(lengths), logarithms(costs)
    return slope(y, x) if min(y) < max(y) else math.inf
