"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong.
"""

import itertools
import math

import torch
from torch import nn

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_norm(x, weight=None, bias=None, eps=0.0):
    require(x.ndim >= 1 and x.shape[-1] >= 1 and eps >= 0, "x or eps does not fit")
    require(all(p is None or p.shape == x.shape[-1:] for p in (weight, bias)), "weight or bias does not fit")


def affine(x, weight, bias):
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def mean(x):
    return x.mean(-1, keepdim=True)


def variance(x):
    return mean((x - mean(x)).square())


def right_layer_norm(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine((x - mean(x)) / (variance(x) + eps).sqrt(), weight, bias)


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation with the unbiased variance",
    hint="By what is the sum of the d squares divided, d or d - 1? And what does x.var() do unless told otherwise?",
)
def unbiased_variance(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    v = (x - mean(x)).square().sum(-1, keepdim=True) / (x.shape[-1] - 1)
    return affine((x - mean(x)) / (v + eps).sqrt(), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation with eps outside of the root",
    hint="sqrt(v) + eps and sqrt(v + eps) differ. Which of them is in the formula?",
)
def eps_outside(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine((x - mean(x)) / (variance(x).sqrt() + eps), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation without eps",
    hint="A constant vector has the variance 0. What keeps you from dividing by it?",
)
def no_eps(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine((x - mean(x)) / variance(x).sqrt(), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="a division by the variance instead of the standard deviation",
    hint="If x is multiplied by 10, so is the numerator. What must the denominator be multiplied by?",
)
def no_root(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine((x - mean(x)) / (variance(x) + eps), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="a norm that does not subtract the mean (RMSNorm)",
    hint="Each normalised vector has the mean 0. Does yours?",
)
def not_centred(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine(x / (mean(x.square()) + eps).sqrt(), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="a norm that only subtracts the mean",
    hint="Each normalised vector has the variance 1 (before the weight). Does yours?",
)
def only_centred(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine(x - mean(x), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="batch normalisation: statistics over the first dimension",
    hint="One vector must not depend on another. Along which dimension do the d numbers of a vector lie?",
)
def over_the_batch(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    centred = x - x.mean(0, keepdim=True)
    return affine(centred / (centred.square().mean(0, keepdim=True) + eps).sqrt(), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="a norm with one mean and one variance for all vectors together",
    hint="mean() without a dimension takes the mean of everything. Each vector has a mean of its own.",
)
def over_everything(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    centred = x - x.mean()
    return affine(centred / (centred.square().mean() + eps).sqrt(), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation that leaves out the weight and the bias",
    hint="What happens to the normalised numbers in the end?",
)
def affine_forgotten(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return right_layer_norm(x, eps=eps)


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation that multiplies the bias by the weight, too",
    hint="First times the weight, then plus the bias: which brackets did you write?",
)
def bias_before_weight(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    return affine(affine(right_layer_norm(x, eps=eps), None, bias), weight, None)


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation whose mean and variance are detached",
    hint="The values are right and the gradient is not: x acts through its mean and its variance as well.",
)
def detached_statistics(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    fixed = x.detach()
    return affine((x - mean(fixed)) / (variance(fixed) + eps).sqrt(), weight, bias)


@misconception(
    "q1",
    replaces="layer_norm",
    name="layer normalisation with the variance as E[x^2] - (E x)^2",
    hint="Right on paper, but far from 0 a small difference of two huge, rounded numbers. Subtract the mean first.",
)
def cancelling_variance(x, weight=None, bias=None, eps=1e-5):
    check_norm(x, weight, bias, eps)
    v = mean(x.square()) - mean(x).square()
    return affine((x - mean(x)) / (v + eps).sqrt(), weight, bias)


class RightLayerNorm(nn.Module):
    def __init__(self, d_model, eps=1e-5):
        super().__init__()
        require(d_model >= 1 and eps >= 0, "d_model or eps does not fit")
        self.eps = eps
        self.weight, self.bias = nn.Parameter(torch.ones(d_model)), nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        return right_layer_norm(x, self.weight, self.bias, self.eps)


@misconception(
    "q1",
    replaces="LayerNorm",
    name="a norm whose weight starts at 0",
    hint="With the weight 0 everything that comes in is forgotten. Which weight changes nothing?",
    replayed=False,
)
class WeightStartsAtZero(RightLayerNorm):
    def __init__(self, d_model, eps=1e-5):
        super().__init__(d_model, eps)
        nn.init.zeros_(self.weight)


@misconception(
    "q1",
    replaces="LayerNorm",
    name="a norm that always uses eps = 1e-5",
    hint="The eps that the constructor gets must reach layer_norm.",
)
class EpsNotPassedOn(RightLayerNorm):
    def forward(self, x):
        return right_layer_norm(x, self.weight, self.bias)


@misconception(
    "q1",
    replaces="LayerNorm",
    name="a norm that does not use its weight and bias",
    hint="The parameters are there, but forward does not pass them on.",
)
class ParametersNotPassedOn(RightLayerNorm):
    def forward(self, x):
        require(x.ndim >= 1 and x.shape[-1:] == self.weight.shape, "x does not fit")
        return right_layer_norm(x, eps=self.eps)


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="center",
    name="the projection onto (1, ..., 1) instead of away from it",
    hint="You have found the part that is to be taken away. What is left?",
)
def onto_the_ones(x):
    check_norm(x)
    return mean(x).expand_as(x).clone()


@misconception(
    "q2",
    replaces="center",
    name="a centring over the batch",
    hint="The numbers of each vector sum to 0, not those of each column.",
)
def centred_over_the_batch(x):
    check_norm(x)
    return x - x.mean(0, keepdim=True)


def length(x):
    return x.square().sum(-1, keepdim=True).sqrt()


def onto(x, radius, size):
    check_norm(x)
    return radius * x / size.masked_fill(size == 0, 1.0)


@misconception(
    "q2",
    replaces="to_sphere",
    name="a scaling to the length 1",
    hint="LayerNorm makes the mean of the d squares 1. What is their sum, then, and what is the length?",
)
def unit_sphere(x):
    return onto(x, 1.0, length(x))


@misconception(
    "q2",
    replaces="to_sphere",
    name="a scaling to the length d",
    hint="The sum of the d squares is d. What is the length?",
)
def radius_d(x):
    return onto(x, x.shape[-1] if x.ndim else 1, length(x))


@misconception(
    "q2",
    replaces="to_sphere",
    name="a scaling of all vectors by one common length",
    hint="norm() without a dimension is the length of everything. Each vector has a length of its own.",
)
def one_length(x):
    check_norm(x)
    return onto(x, math.sqrt(x.shape[-1]), x.square().sum().sqrt())


@misconception(
    "q2",
    replaces="to_sphere",
    name="a scaling that divides by the length even where it is 0",
    hint="0 / 0 is NaN. A vector of zeros has no direction, and is to stay zero.",
)
def nan_at_zero(x):
    check_norm(x)
    return math.sqrt(x.shape[-1]) * x / length(x)


@misconception(
    "q2",
    replaces="to_sphere",
    name="a scaling that centres as well",
    hint="Subtracting the mean is center's work. Here the direction stays as it is.",
)
def sphere_centred(x):
    check_norm(x)
    return onto(x - mean(x), math.sqrt(x.shape[-1]), length(x - mean(x)))


def jacobian(x, factor=lambda d, size: math.sqrt(d) / size, ones=1.0, radial=1.0):
    """sqrt(d) / |c| (I - 1 1^T / d - u u^T), with the three parts to be changed."""
    check_norm(x)
    c, d = x - mean(x), x.shape[-1]
    size = length(c).unsqueeze(-1)
    require(bool((size > 0).all()), "a constant vector")
    u = c.unsqueeze(-1) / size
    eye = torch.eye(d, dtype=x.dtype, device=x.device)
    return factor(d, size) * (eye - ones / d - radial * u * u.mT)


@misconception(
    "q2",
    replaces="layer_norm_jacobian",
    name="a Jacobian without the centring: I in the place of P",
    hint="A shift of x changes nothing, so J times (1, ..., 1) must be 0.",
)
def jacobian_without_centring(x):
    return jacobian(x, ones=0.0)


@misconception(
    "q2",
    replaces="layer_norm_jacobian",
    name="a Jacobian without the term u u^T",
    hint="The length depends on x, too. A stretch of x changes nothing, so J times c must be 0.",
)
def jacobian_without_radial_term(x):
    return jacobian(x, radial=0.0)


@misconception(
    "q2",
    replaces="layer_norm_jacobian",
    name="a Jacobian with the factor 1 / |c| instead of sqrt(d) / |c|",
    hint="To which length does LayerNorm scale?",
)
def jacobian_of_unit_sphere(x):
    return jacobian(x, factor=lambda d, size: 1 / size)


@misconception(
    "q2",
    replaces="layer_norm_jacobian",
    name="a Jacobian without the factor sqrt(d) / |c|",
    hint="Ten times the x, a tenth of the derivative: where is |c| in yours?",
)
def jacobian_without_factor(x):
    return jacobian(x, factor=lambda d, size: 1.0)


@misconception(
    "q2",
    replaces="layer_norm_jacobian",
    name="a Jacobian with c c^T in the place of u u^T",
    hint="P and u u^T are projections. What length must a vector have for its outer product to be one?",
)
def jacobian_not_normalised(x):
    check_norm(x)
    return jacobian(x, radial=(x - mean(x)).square().sum(-1)[..., None, None])


# ---------------------------------------------------------------------------------------------------------------- q3


def vjp(x, weight, grad_output, eps, along_ones=1.0, along_x=1.0, inside=True, after=False, scaled=True):
    """The right gradient of x, with its parts to be left out or misplaced."""
    check_norm(x, weight, None, eps)
    require(grad_output.shape == x.shape, "grad_output does not fit")
    normalised = right_layer_norm(x, eps=eps)
    g = grad_output * weight if inside else grad_output
    grad_x = g - along_ones * mean(g) - along_x * normalised * mean(g * normalised)
    grad_x = grad_x / (variance(x) + eps).sqrt() if scaled else grad_x
    grad_x = grad_x * weight if after else grad_x
    return grad_x, total(grad_output * normalised), total(grad_output)


def total(x):
    return x.sum(tuple(range(x.ndim - 1))) if x.ndim > 1 else x.clone()


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="the gradient that treats the mean as a constant",
    hint="x_j changes the mean of all d numbers. Which term expresses that?",
)
def without_the_mean(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, along_ones=0.0)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="the gradient that treats the variance as a constant",
    hint="x_j changes the variance, and with it all d outputs. Which term expresses that?",
)
def without_the_variance(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, along_x=0.0)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="grad_output / s: mean and variance treated as constants",
    hint="LayerNorm is not a division by a fixed number: mean and variance depend on x.",
)
def statistics_constant(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, along_ones=0.0, along_x=0.0)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="a gradient of x that does not know the weight",
    hint="The output is weight times the normalised x. On the way back, what comes first?",
)
def weight_forgotten(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, inside=False)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="a gradient of x that is multiplied by the weight at the end",
    hint="The weight differs from coordinate to coordinate, so it matters that it comes before the two means.",
)
def weight_at_the_end(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, inside=False, after=True)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="a gradient of x without the factor 1 / s",
    hint="Ten times the x, a tenth of the gradient: where is s in yours?",
)
def without_deviation(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, scaled=False)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="a gradient in which the last term is added instead of subtracted",
    hint="The part of g along x is to be removed: is your result orthogonal to x - mean?",
)
def wrong_sign(x, weight, grad_output, eps=1e-5):
    return vjp(x, weight, grad_output, eps, along_x=-1.0)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="a gradient of the weight from x instead of the normalised x",
    hint="The weight is multiplied with the normalised vector. What is its derivative, then?",
)
def weight_gradient_from_x(x, weight, grad_output, eps=1e-5):
    grad_x, _, grad_bias = vjp(x, weight, grad_output, eps)
    return grad_x, total(grad_output * x), grad_bias


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="gradients of weight and bias that are not summed over the vectors",
    hint="weight and bias have the shape (d,), and so have their gradients: all vectors share them.",
)
def not_summed(x, weight, grad_output, eps=1e-5):
    grad_x, _, _ = vjp(x, weight, grad_output, eps)
    return grad_x, grad_output * right_layer_norm(x, eps=eps), grad_output


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="gradients of weight and bias that are averaged over the vectors",
    hint="Contributions of several vectors to one parameter add up. A mean belongs to the loss, if anywhere.",
)
def averaged(x, weight, grad_output, eps=1e-5):
    grad_x, grad_weight, grad_bias = vjp(x, weight, grad_output, eps)
    vectors = max(1, x.shape[:-1].numel())
    return grad_x, grad_weight / vectors, grad_bias / vectors


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="gradients of weight and bias that are summed over the first dimension alone",
    hint="A batch of sequences has two leading dimensions; all vectors share weight and bias.",
)
def summed_once(x, weight, grad_output, eps=1e-5):
    grad_x, _, _ = vjp(x, weight, grad_output, eps)
    parts = (grad_output * right_layer_norm(x, eps=eps), grad_output)
    return grad_x, *(part.sum(0) if x.ndim > 1 else part for part in parts)


@misconception(
    "q3",
    replaces="layer_norm_vjp",
    name="a gradient that ignores eps",
    hint="eps is part of s, in the gradient as in layer_norm itself. Is it passed on?",
)
def eps_ignored(x, weight, grad_output, eps=1e-5):
    require(eps >= 0, "eps")
    return vjp(x, weight, grad_output, 1e-5)


# ---------------------------------------------------------------------------------------------------------------- q4
# Random numbers cannot be replayed against another way to draw them: the tests name these by what they see.


def drop(x, p, training, generator, factor=None, shape=None, drop_probability=None):
    require(0 <= p <= 1, "p")
    if not training:
        return x
    uniform = torch.rand(x.shape if shape is None else shape, generator=generator, dtype=x.dtype)
    kept = uniform >= (p if drop_probability is None else drop_probability)
    right = 1 / (1 - p) if p < 1 else 0.0
    return x * kept * (right if factor is None else factor)


@misconception(
    "q4",
    replaces="dropout",
    name="dropout without the factor 1 / (1 - p)",
    hint="In training some numbers are missing, in use none: what keeps the mean the same?",
    replayed=False,
)
def not_rescaled(x, p=0.1, training=True, generator=None):
    return drop(x, p, training, generator, factor=1.0)


@misconception(
    "q4",
    replaces="dropout",
    name="dropout that multiplies by 1 - p in training",
    hint="What is left over has to become larger, not smaller, for the mean to stay.",
    replayed=False,
)
def scaled_by_the_share_kept(x, p=0.1, training=True, generator=None):
    return drop(x, p, training, generator, factor=1 - p)


@misconception(
    "q4",
    replaces="dropout",
    name="dropout that takes p for the probability to be kept",
    hint="With p = 0 nothing is dropped, and with p = 1 everything.",
    replayed=False,
)
def keep_probability(x, p=0.1, training=True, generator=None):
    return drop(x, p, training, generator, factor=1 / p if p else 0.0, drop_probability=1 - p)


@misconception(
    "q4",
    replaces="dropout",
    name="dropout of whole rows or columns",
    hint="Which shape must the random numbers have for each number of x to have its own?",
    replayed=False,
)
def whole_rows(x, p=0.1, training=True, generator=None):
    return drop(x, p, training, generator, shape=(*x.shape[:-1], 1) if x.ndim else ())


@misconception(
    "q4",
    replaces="dropout",
    name="dropout that ignores training",
    hint="With training=False, x comes back as it is.",
    replayed=False,
)
def active_in_eval(x, p=0.1, training=True, generator=None):
    return drop(x, p, True, generator)


@misconception(
    "q4",
    replaces="dropout",
    name="dropout that scales in eval mode",
    hint="Inverted dropout has corrected the mean in training already. What is left to do afterwards?",
    replayed=False,
)
def rescaled_in_eval(x, p=0.1, training=True, generator=None):
    require(0 <= p <= 1, "p")
    return drop(x, p, True, generator) if training else x * (1 - p)


@misconception(
    "q4",
    replaces="dropout",
    name="dropout that drops the same numbers in every call",
    hint="A seed that is set inside of the function starts the random numbers anew each time.",
    replayed=False,
)
def same_mask(x, p=0.1, training=True, generator=None):
    return drop(x, p, training, torch.Generator().manual_seed(0))


@misconception(
    "q4",
    replaces="dropout",
    name="dropout that does not use the generator it is given",
    hint="Which argument of torch.rand says where the random numbers come from?",
    replayed=False,
)
def generator_ignored(x, p=0.1, training=True, generator=None):
    return drop(x, p, training, None)


# ---------------------------------------------------------------------------------------------------------------- q5


def added(x, update):
    require(update.shape == x.shape, "shapes differ")
    return x + update


@misconception(
    "q5",
    replaces="residual",
    name="pre-norm and post-norm in each other's place",
    hint="norm_first=True: the norm is applied first, to what goes into the sublayer.",
)
def swapped(x, sublayer, norm, norm_first=True):
    return norm(added(x, sublayer(x))) if norm_first else added(x, sublayer(norm(x)))


@misconception(
    "q5",
    replaces="residual",
    name="sublayer and norm without the residual connection",
    hint="What came in is to be added to what the sublayer gives.",
)
def no_residual(x, sublayer, norm, norm_first=True):
    update = sublayer(norm(x) if norm_first else x)
    require(update.shape == x.shape, "shapes differ")
    return update if norm_first else norm(update)


@misconception(
    "q5",
    replaces="residual",
    name="a connection that adds the normalised x instead of x in pre-norm",
    hint="In pre-norm the stream runs past the norm, too: what is added to the sublayer's output?",
)
def residual_after_norm(x, sublayer, norm, norm_first=True):
    if not norm_first:
        return norm(added(x, sublayer(x)))
    normalised = norm(x)
    return added(normalised, sublayer(normalised))


@misconception(
    "q5",
    replaces="residual",
    name="a connection that normalises the output of the sublayer alone in post-norm",
    hint="Post-norm normalises the sum, with what came in inside of it.",
)
def norm_of_update(x, sublayer, norm, norm_first=True):
    return added(x, sublayer(norm(x))) if norm_first else added(x, norm(added(0 * x, sublayer(x))))


@misconception(
    "q5",
    replaces="residual",
    name="pre-norm whatever norm_first says",
    hint="norm_first=False is post-norm: does your function look at it?",
)
def always_pre(x, sublayer, norm, norm_first=True):
    return added(x, sublayer(norm(x)))


@misconception(
    "q5",
    replaces="residual",
    name="post-norm whatever norm_first says",
    hint="norm_first=True is pre-norm: does your function look at it?",
)
def always_post(x, sublayer, norm, norm_first=True):
    return norm(added(x, sublayer(x)))


@misconception(
    "q5",
    replaces="residual",
    name="a connection with two norms in pre-norm, one before and one after",
    hint="In pre-norm nothing normalises the sum: the stream runs through untouched.",
)
def both_norms(x, sublayer, norm, norm_first=True):
    return norm(added(x, sublayer(norm(x) if norm_first else x)))


# ---------------------------------------------------------------------------------------------------------------- q6


class Attention(nn.Module):
    def __init__(self, d_model, n_heads):
        super().__init__()
        require(min(d_model, n_heads) >= 1 and d_model % n_heads == 0, "sizes do not fit")
        self.d_model, self.n_heads = d_model, n_heads
        for part in "QKVO":
            setattr(self, f"W_{part}", nn.Parameter(torch.randn(d_model, d_model) / math.sqrt(d_model)))
            setattr(self, f"b_{part}", nn.Parameter(torch.zeros(d_model)))

    def forward(self, x, mask=None):
        require(x.ndim >= 2 and x.shape[-1] == self.d_model, "x does not fit")
        split = (self.n_heads, self.d_model // self.n_heads)
        q, k, v = (
            (x @ getattr(self, f"W_{part}") + getattr(self, f"b_{part}"))
            .unflatten(-1, split)
            .transpose(-3, -2)
            for part in "QKV"
        )
        scores = q @ k.mT / math.sqrt(split[1])
        weights = scores.softmax(-1) if mask is None else self.masked(scores, mask, x)
        return (weights @ v).transpose(-3, -2).flatten(-2) @ self.W_O + self.b_O

    def masked(self, scores, mask, x):
        require(mask.dtype == torch.bool, "the mask is not boolean")
        try:
            forbidden = ~mask.expand(*x.shape[:-1], x.shape[-2]).unsqueeze(-3)
        except RuntimeError:
            raise ValueError("the mask does not fit") from None
        lowest = torch.finfo(scores.dtype).min
        return scores.masked_fill(forbidden, lowest).softmax(-1).masked_fill(forbidden, 0.0)


class Network(nn.Module):
    def __init__(self, d_model, d_ff, activation):
        super().__init__()
        activations = {"gelu": nn.functional.gelu, "relu": torch.relu}
        require(min(d_model, d_ff) >= 1 and activation in activations, "sizes or activation do not fit")
        self.activation = activations[activation]
        self.W_1 = nn.Parameter(torch.randn(d_model, d_ff) / math.sqrt(d_model))
        self.W_2 = nn.Parameter(torch.randn(d_ff, d_model) / math.sqrt(d_ff))
        self.b_1, self.b_2 = nn.Parameter(torch.zeros(d_ff)), nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        return self.activation(x @ self.W_1 + self.b_1) @ self.W_2 + self.b_2


class RightBlock(nn.Module):
    def __init__(self, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        require(0 <= dropout <= 1, "dropout")
        self.norm_first, self.p = norm_first, dropout
        self.attention, self.feed_forward = Attention(d_model, n_heads), Network(d_model, d_ff, activation)
        self.norm_1, self.norm_2 = RightLayerNorm(d_model), RightLayerNorm(d_model)

    def drop(self, x):
        return drop(x, self.p, self.training, None)

    def connect(self, x, sublayer, norm):
        return x + self.drop(sublayer(norm(x))) if self.norm_first else norm(x + self.drop(sublayer(x)))

    def attend(self, mask):
        return lambda x: self.attention(x, mask)

    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_1)
        return self.connect(h, self.feed_forward, self.norm_2)


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block with pre-norm and post-norm in each other's place",
    hint="norm_first=True: the norm is applied to what goes into each sublayer.",
)
class FormsSwapped(RightBlock):
    def connect(self, x, sublayer, norm):
        return norm(x + self.drop(sublayer(x))) if self.norm_first else x + self.drop(sublayer(norm(x)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block that is pre-norm whatever norm_first says",
    hint="Is norm_first kept in __init__, and passed on to both connections?",
)
class AlwaysPreNorm(RightBlock):
    def connect(self, x, sublayer, norm):
        return x + self.drop(sublayer(norm(x)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block that is post-norm whatever norm_first says",
    hint="Is norm_first kept in __init__, and passed on to both connections?",
)
class AlwaysPostNorm(RightBlock):
    def connect(self, x, sublayer, norm):
        return norm(x + self.drop(sublayer(x)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block that uses norm_1 for both sublayers",
    hint="Each connection has a norm of its own. No gradient reaches norm_2 in your block.",
)
class OneNormForBoth(RightBlock):
    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_1)
        return self.connect(h, self.feed_forward, self.norm_1)


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block with norm_1 and norm_2 in each other's place",
    hint="norm_1 belongs to the attention, norm_2 to the feed-forward network, in both forms.",
)
class NormsSwapped(RightBlock):
    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_2)
        return self.connect(h, self.feed_forward, self.norm_1)


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block whose feed-forward network comes before its attention",
    hint="First the positions exchange information, then each works on what it got.",
)
class FeedForwardFirst(RightBlock):
    def forward(self, x, mask=None):
        require(x.ndim >= 2 and x.shape[-1] == self.norm_1.weight.shape[0], "x does not fit")
        h = self.connect(x, self.feed_forward, self.norm_2)
        return self.connect(h, self.attend(mask), self.norm_1)


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block whose two sublayers both read the block's input",
    hint="The feed-forward network works on what the attention has changed: the second connection starts from h.",
)
class ParallelSublayers(RightBlock):
    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_1)
        if self.norm_first:
            return h + self.drop(self.feed_forward(self.norm_2(x)))
        return self.norm_2(h + self.drop(self.feed_forward(x)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block whose second connection adds the block's input again",
    hint="What is added to the feed-forward network's output is what went into it, not the x from the beginning.",
)
class ResidualFromTheInput(RightBlock):
    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_1)
        if self.norm_first:
            return x + self.drop(self.feed_forward(self.norm_2(h)))
        return self.norm_2(x + self.drop(self.feed_forward(h)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block without a residual connection around the feed-forward network",
    hint="There are two residual connections, one around each sublayer.",
)
class OneResidualOnly(RightBlock):
    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_1)
        if self.norm_first:
            return self.drop(self.feed_forward(self.norm_2(h)))
        return self.norm_2(self.drop(self.feed_forward(h)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block that does not pass the mask on to its attention",
    hint="residual calls its sublayer with one argument. How does the mask get into the attention?",
)
class MaskForgotten(RightBlock):
    def attend(self, mask):
        def attended(x):
            if mask is not None:
                self.attention.masked(x.new_zeros(*x.shape[:-2], 1, x.shape[-2], x.shape[-2]), mask, x)
            return self.attention(x)

        return attended


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block whose mask is inverted",
    hint="Here True means may attend; PyTorch's encoder layer has it the other way round.",
)
class MaskInverted(RightBlock):
    def attend(self, mask):
        def attended(x):
            require(mask is None or mask.dtype == torch.bool, "the mask is not boolean")
            return self.attention(x, None if mask is None else ~mask)

        return attended


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block that uses GELU whatever activation says",
    hint="The activation must reach the feed-forward network.",
)
class ActivationIgnored(RightBlock):
    def __init__(self, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        require(activation in ("gelu", "relu"), "activation")
        super().__init__(d_model, n_heads, d_ff, norm_first, dropout)


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block with dropout on the sum instead of on what is added",
    hint="The stream itself is never dropped: dropout comes before the addition. Try dropout=1.",
)
class DropoutOnTheStream(RightBlock):
    def connect(self, x, sublayer, norm):
        return self.drop(x + sublayer(norm(x))) if self.norm_first else norm(self.drop(x + sublayer(x)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block with dropout on what goes into each sublayer",
    hint="Dropout acts on the output of a sublayer, before the addition. Try dropout=1: nothing may be added.",
)
class DropoutBeforeTheSublayer(RightBlock):
    def connect(self, x, sublayer, norm):
        return x + sublayer(self.drop(norm(x))) if self.norm_first else norm(x + sublayer(self.drop(x)))


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block without dropout on what the attention adds",
    hint="Both sublayers' outputs are dropped out. Try dropout=1: which of the two still adds something?",
)
class NoDropoutAfterAttention(RightBlock):
    def forward(self, x, mask=None):
        p, self.p = self.p, 0.0
        h = self.connect(x, self.attend(mask), self.norm_1)
        self.p = p
        return self.connect(h, self.feed_forward, self.norm_2)


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block without dropout on what the feed-forward network adds",
    hint="Both sublayers' outputs are dropped out. Try dropout=1: which of the two still adds something?",
)
class NoDropoutAfterFeedForward(RightBlock):
    def forward(self, x, mask=None):
        h = self.connect(x, self.attend(mask), self.norm_1)
        p, self.p = self.p, 0.0
        y = self.connect(h, self.feed_forward, self.norm_2)
        self.p = p
        return y


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block without any dropout",
    hint="The constructor gets a probability, and nothing makes use of it. Try dropout=1 in train mode.",
)
class NoDropout(RightBlock):
    def drop(self, x):
        return x


@misconception(
    "q6",
    replaces="TransformerBlock",
    name="a block that drops out in eval mode, too",
    hint="The block's train() and eval() switch a Dropout module; a call of dropout needs training=self.training.",
)
class DropoutInEvalMode(RightBlock):
    def drop(self, x):
        return drop(x, self.p, True, None)


# ---------------------------------------------------------------------------------------------------------------- q7


class RightEncoder(nn.Module):
    def __init__(self, n_layers, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__()
        require(n_layers >= 1, "n_layers")
        options = (d_model, n_heads, d_ff, norm_first, dropout, activation)
        self.blocks = nn.ModuleList(RightBlock(*options) for _ in range(n_layers))
        self.norm = RightLayerNorm(d_model) if norm_first else None

    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask)
        return x if self.norm is None else self.norm(x)


@misconception(
    "q7",
    replaces="Encoder",
    name="a pre-norm encoder that does not use its last norm",
    hint="Nobody has normalised what leaves the last pre-norm block.",
)
class NoLastNorm(RightEncoder):
    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask)
        return x


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder with one more norm in post-norm, too",
    hint="A post-norm block ends with a norm. A second one has parameters that nobody asked for.",
    replayed=False,
)
class NormInPostNormToo(RightEncoder):
    def __init__(self, n_layers, d_model, n_heads, d_ff, norm_first=True, dropout=0.0, activation="gelu"):
        super().__init__(n_layers, d_model, n_heads, d_ff, norm_first, dropout, activation)
        self.norm = RightLayerNorm(d_model)


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder that applies its norm after every block",
    hint="The last norm comes once, after the last block. Between blocks, the pre-norm stream runs on as it is.",
)
class NormAfterEveryBlock(RightEncoder):
    def forward(self, x, mask=None):
        for block in self.blocks:
            x = block(x, mask) if self.norm is None else self.norm(block(x, mask))
        return x


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder with one block, n_layers times",
    hint="[block] * n is a list that holds the same block n times. Each place needs a block of its own.",
    replayed=False,
)
class SharedBlocks(RightEncoder):
    def __init__(self, n_layers, *options, **more):
        super().__init__(n_layers, *options, **more)
        for block in self.blocks:
            block.load_state_dict(self.blocks[0].state_dict())


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder that gives the mask to its first block only",
    hint="What the first block must not see, the second must not see either.",
)
class MaskForTheFirst(RightEncoder):
    def forward(self, x, mask=None):
        for i, block in enumerate(self.blocks):
            x = block(x, mask if i == 0 else None)
        return x if self.norm is None else self.norm(x)


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder that does not pass the mask on",
    hint="forward gets a mask: where does it go?",
)
class NoMaskAtAll(RightEncoder):
    def forward(self, x, mask=None):
        return super().forward(x)


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder with a residual connection around every block",
    hint="The blocks have their residual connections inside. Each block's output goes on as it is.",
)
class ResidualAroundBlocks(RightEncoder):
    def forward(self, x, mask=None):
        for block in self.blocks:
            x = x + block(x, mask)
        return x if self.norm is None else self.norm(x)


@misconception(
    "q7",
    replaces="Encoder",
    name="an encoder that applies the last block first",
    hint="blocks[0] is the first to see x.",
)
class LastBlockFirst(RightEncoder):
    def forward(self, x, mask=None):
        for i in reversed(range(len(self.blocks))):
            x = self.blocks[i](x, mask)
        return x if self.norm is None else self.norm(x)


# ---------------------------------------------------------------------------------------------------------------- q8


def blocks(encoder):
    return list(encoder.blocks.children())


def gradients(encoder, x, target, matrix="W_2", loss=lambda error: error.square().mean()):
    require(target.shape == x.shape, "target")
    matrices = [getattr(block.feed_forward, matrix) for block in blocks(encoder)]
    with torch.enable_grad():
        return torch.autograd.grad(loss(encoder(x) - target), matrices)


def frobenius(found):
    return torch.stack([gradient.square().sum().sqrt() for gradient in found])


@misconception(
    "q8",
    replaces="gradient_norms",
    name="the squares of the norms",
    hint="The root is missing.",
)
def squared_norms(encoder, x, target):
    return frobenius(gradients(encoder, x, target)) ** 2


@misconception(
    "q8",
    replaces="gradient_norms",
    name="the root mean square of each gradient instead of its norm",
    hint="The Frobenius norm is the root of the sum of the squares, without a division by their number.",
)
def mean_instead_of_sum(encoder, x, target):
    return torch.stack([g.square().mean().sqrt() for g in gradients(encoder, x, target)])


@misconception(
    "q8",
    replaces="gradient_norms",
    name="gradient norms with the last block first",
    hint="The first number belongs to the block that sees x first.",
)
def last_block_first(encoder, x, target):
    return frobenius(gradients(encoder, x, target)).flip(0)


@misconception(
    "q8",
    replaces="gradient_norms",
    name="gradient norms of W_1 instead of W_2",
    hint="Which of the two matrices does the question ask for?",
)
def first_matrix(encoder, x, target):
    return frobenius(gradients(encoder, x, target, "W_1"))


@misconception(
    "q8",
    replaces="gradient_norms",
    name="gradient norms of the sum of the squared distances instead of their mean",
    hint="How should the gradient depend on the number of positions?",
)
def sum_of_squares(encoder, x, target):
    return frobenius(gradients(encoder, x, target, loss=lambda error: error.square().sum()))


@misconception(
    "q8",
    replaces="gradient_norms",
    name="the norms of the matrices instead of their gradients",
    hint="It is the gradient of the loss whose size is asked for.",
)
def norms_of_the_weights(encoder, x, target):
    require(target.shape == x.shape, "target")
    return frobenius([block.feed_forward.W_2.detach() for block in blocks(encoder)])


@misconception(
    "q8",
    replaces="gradient_norms",
    name="gradient norms by backward(), which adds to what .grad held before",
    hint="A second call finds the first one's gradients in .grad. Which function of torch.autograd just returns them?",
    replayed=False,
)
def left_in_grad(encoder, x, target):
    require(target.shape == x.shape, "target")
    with torch.enable_grad():
        (encoder(x) - target).square().mean().backward()
    return frobenius([block.feed_forward.W_2.grad for block in blocks(encoder)])


@torch.no_grad()
def stream(encoder, x):
    require(x.numel() >= 1, "x is empty")
    found = [x]
    for block in blocks(encoder):
        found.append(block(found[-1]))
    return found


def root_mean_square(x):
    return x.detach().square().mean().sqrt()


@misconception(
    "q8",
    replaces="stream_rms",
    name="the mean squares, without the root",
    hint="A root mean square has the unit of x.",
)
def without_root(encoder, x):
    return torch.stack([root_mean_square(part) ** 2 for part in stream(encoder, x)])


@misconception(
    "q8",
    replaces="stream_rms",
    name="standard deviations instead of root mean squares",
    hint="A root mean square does not subtract the mean.",
)
def deviations(encoder, x):
    return torch.stack([part.detach().std(correction=0) for part in stream(encoder, x)])


@misconception(
    "q8",
    replaces="stream_rms",
    name="the norm of the stream instead of its root mean square",
    hint="Divide by the number of numbers before you take the root.",
)
def norm_of_the_stream(encoder, x):
    return torch.stack([part.detach().square().sum().sqrt() for part in stream(encoder, x)])


@misconception(
    "q8",
    replaces="stream_rms",
    name="the sizes of what each block adds instead of the stream",
    hint="x_l is what leaves block l: all that was added up to there.",
)
def updates(encoder, x):
    found = stream(encoder, x)
    steps = [found[0]] + [after - before for before, after in itertools.pairwise(found)]
    return torch.stack([root_mean_square(step) for step in steps])


@misconception(
    "q8",
    replaces="stream_rms",
    name="the stream with the last norm included",
    hint="The last norm is no block: measure before it.",
)
def after_the_last_norm(encoder, x):
    found = [root_mean_square(part) for part in stream(encoder, x)]
    with torch.no_grad():
        found[-1] = root_mean_square(encoder(x))
    return torch.stack(found)


@misconception(
    "q8",
    replaces="stream_rms",
    name="the mean of the vectors' root mean squares",
    hint="Take the mean over all numbers first and one root after it: a mean of roots is not a root of a mean.",
)
def mean_of_roots(encoder, x):
    return torch.stack([part.detach().square().mean(-1).sqrt().mean() for part in stream(encoder, x)])
