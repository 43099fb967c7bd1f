"""Known wrong answers, each right but for one thing, with its name and a hint.

The grader uses them three ways: the suite must catch each one, the feedback names the one that a student's answer
equals, and the class report counts them. First come the right steps, which they share; then, question by question,
what goes wrong.
"""

import math

import torch
from torch import nn

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def distribution(x):
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def density(x):
    return torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)


def right_gelu(x):
    return x * distribution(x)


def problem(depth, width, seed):
    require(depth >= 1 and width >= 1, "depth and width must be at least 1")
    generator = torch.Generator().manual_seed(seed)
    size = {"generator": generator, "dtype": torch.float64}
    weights = [torch.randn(width, width, **size) * math.sqrt(2 / width) for _ in range(depth)]
    return weights, torch.randn(64, width, **size), torch.randn(64, width, **size)


def loss_of(activation, weights, x, targets):
    for weight in weights:
        x = activation(x @ weight)
    return (x - targets).square().mean()


def right_gradients(activation, depth, width, seed):
    weights, x, targets = problem(depth, width, seed)
    weights = [weight.requires_grad_() for weight in weights]
    return torch.autograd.grad(loss_of(activation, weights, x, targets), weights)


def right_norms(activation, depth, width, seed):
    return torch.stack([gradient.norm() for gradient in right_gradients(activation, depth, width, seed)])


def slopes_at(activation, x):
    require(x.numel() >= 1, "x must hold at least one number")
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(activation(x).sum(), x)[0]


def share(which):
    return which.sum().item() / which.numel()


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="gelu",
    name="the tanh approximation of GELU",
    hint="The approximation is off by up to 5e-4, near |x| = 2.7. The exact Phi is an error function away.",
)
def tanh_approximation(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@misconception(
    "q1",
    replaces="gelu",
    name="the approximation x * sigmoid(1.702 x)",
    hint="A logistic curve resembles Phi, but is off by up to 0.02. Which distribution function does "
    "the G in GELU stand "
    "for?",
)
def sigmoid_approximation(x):
    return x * torch.sigmoid(1.702 * x)


@misconception(
    "q1",
    replaces="gelu",
    name="SiLU (Swish), x * sigmoid(x)",
    hint="The gate of GELU is the distribution function of a normal variable, not of a logistic one.",
)
def silu(x):
    return x * torch.sigmoid(x)


@misconception(
    "q1",
    replaces="gelu",
    name="ReLU",
    hint="A gate that is open or shut is what GELU replaces. How likely is a standard normal "
    "variable to lie below x?",
)
def relu_instead(x):
    return torch.relu(x)


@misconception(
    "q1",
    replaces="gelu",
    name="x times the density of the normal distribution instead of the distribution function",
    hint="The density tends to 0 on both sides, so large inputs would not pass. Which of the two is "
    "a probability?",
)
def density_instead_of_distribution(x):
    return x * density(x)


@misconception(
    "q1",
    replaces="gelu",
    name="GELU with erf(x) instead of erf(x / sqrt(2))",
    hint="The exponent in erf is -s^2, that of the normal density is -t^2 / 2. So s and t are not "
    "the same unit.",
)
def no_root_of_two(x):
    return x * 0.5 * (1 + torch.erf(x))


@misconception(
    "q1",
    replaces="gelu",
    name="GELU with erf(x) / sqrt(2) instead of erf(x / sqrt(2))",
    hint="What has to be measured in another unit: the result of erf, or the number that goes in?",
)
def root_of_two_outside(x):
    return x * 0.5 * (1 + torch.erf(x) / math.sqrt(2))


@misconception(
    "q1",
    replaces="gelu",
    name="x * erf(x / sqrt(2)), without the shift from (-1, 1) to (0, 1)",
    hint="A probability is never negative. What does erf give for negative numbers, and what should "
    "the gate be at 0?",
)
def erf_not_shifted(x):
    return x * torch.erf(x / math.sqrt(2))


@misconception(
    "q1",
    replaces="gelu",
    name="the gate Phi(x) alone, without the factor x",
    hint="Phi(x) says how far the gate is open. What passes through it?",
)
def gate_alone(x):
    return distribution(x)


# ---------------------------------------------------------------------------------------------------------------- q2


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="Phi(x), the derivative without the term x * phi(x)",
    hint="When x grows, the gate opens as well. What does the product rule say?",
)
def without_second_term(x):
    return distribution(x)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="Phi(x) + phi(x), the second term without its factor x",
    hint="In the product rule each factor is kept once while the other is differentiated.",
)
def second_term_without_x(x):
    return distribution(x) + density(x)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="x * phi(x), the derivative without the term Phi(x)",
    hint="For large x, GELU is x and its slope is 1. Which term of the product rule tends to 1?",
)
def without_first_term(x):
    return x * density(x)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="the derivative with a minus between its two terms",
    hint="The derivative of Phi is phi, which is positive. Where would a minus come from?",
)
def wrong_sign(x):
    return distribution(x) - x * density(x)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="the derivative with a density that is not divided by sqrt(2 pi)",
    hint="A density has the integral 1. What is the integral of exp(-t^2 / 2)?",
)
def density_not_normalised(x):
    return distribution(x) + x * torch.exp(-x.square() / 2)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="the derivative with exp(-x^2) in the place of exp(-x^2 / 2)",
    hint="erf has exp(-s^2) inside, the normal density something else. Which of them is phi?",
)
def exponent_without_half(x):
    return distribution(x) + x * torch.exp(-x.square()) / math.sqrt(2 * math.pi)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="the derivative with a density of exp(-x^2 / 2) / sqrt(pi): a factor 1/sqrt(2) is lost",
    hint="erf has x / sqrt(2) inside. What does the chain rule make of that when erf is differentiated?",
)
def inner_derivative_lost(x):
    return distribution(x) + x * torch.exp(-x.square() / 2) / math.sqrt(math.pi)


@misconception(
    "q2",
    replaces="gelu_derivative",
    name="the derivative of the tanh approximation",
    hint="It is off by up to 9e-4. Differentiate the exact x * Phi(x).",
)
def derivative_of_approximation(x):
    factor = math.sqrt(2 / math.pi)
    t = torch.tanh(factor * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * factor * (1 + 3 * 0.044715 * x * x)


# ---------------------------------------------------------------------------------------------------------------- q3


class Network(nn.Module):
    """A right FeedForward, whose forward is what goes wrong below."""

    def __init__(self, d_model, d_ff):
        super().__init__()
        require(d_model >= 1 and d_ff >= 1, "sizes must be at least 1")
        self.W_1 = nn.Parameter(torch.randn(d_model, d_ff) / math.sqrt(d_model))
        self.b_1 = nn.Parameter(torch.zeros(d_ff))
        self.W_2 = nn.Parameter(torch.randn(d_ff, d_model) / math.sqrt(d_ff))
        self.b_2 = nn.Parameter(torch.zeros(d_model))

    def forward(self, x):
        require(x.ndim >= 1 and x.shape[-1] == self.W_1.shape[0], "the last dimension of x must be d_model")
        return self.out(self.activate(self.into(x)))

    def into(self, x):
        return x @ self.W_1 + self.b_1

    def activate(self, hidden):
        return right_gelu(hidden)

    def out(self, hidden):
        return hidden @ self.W_2 + self.b_2


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network that mixes positions",
    hint="Information moves between positions in attention only. Along which dimension may this "
    "network add numbers up?",
)
class PositionsMixed(Network):
    def activate(self, hidden):
        hidden = right_gelu(hidden)
        if hidden.ndim < 2 or hidden.shape[-2] == 0:
            return hidden
        return hidden.mean(dim=-2, keepdim=True).expand_as(hidden)


@misconception(
    "q3",
    replaces="FeedForward",
    name="the original network with ReLU in the place of GELU",
    hint="The paper of 2017 had ReLU. Which activation is asked for here, and where have you written "
    "it already?",
)
class ReluInside(Network):
    def activate(self, hidden):
        return torch.relu(hidden)


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network without an activation, which is a single linear map",
    hint="W_2 (W_1 x + b_1) + b_2 is one matrix and one vector. What must come in between?",
)
class NoActivation(Network):
    def activate(self, hidden):
        return hidden


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network that never adds its first bias, b_1",
    hint="Having a parameter is not using it. Put in x = 0: what should each hidden unit receive?",
)
class FirstBiasUnused(Network):
    def into(self, x):
        return x @ self.W_1


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network that never adds its second bias, b_2",
    hint="Having a parameter is not using it. What is the output when all hidden units are at 0?",
)
class SecondBiasUnused(Network):
    def out(self, hidden):
        return hidden @ self.W_2


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network with GELU after its second layer as well",
    hint="The output must be able to take any value, also large negative ones. How often is the "
    "activation applied?",
)
class ActivatedTwice(Network):
    def out(self, hidden):
        return right_gelu(hidden @ self.W_2 + self.b_2)


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network with a residual connection, x + FFN(x)",
    hint="In a transformer block the input is added, but outside of the feed-forward network.",
)
class ResidualInside(Network):
    def forward(self, x):
        return super().forward(x) + x


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network without biases",
    hint="Where do b_1 and b_2 live? nn.Linear makes its own, unless it is told not to.",
)
class NoBiases(Network):
    def __init__(self, d_model, d_ff):
        super().__init__(d_model, d_ff)
        del self.b_1, self.b_2

    def forward(self, x):
        require(x.ndim >= 1 and x.shape[-1] == self.W_1.shape[0], "the last dimension of x must be d_model")
        return right_gelu(x @ self.W_1) @ self.W_2


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network without its first bias, b_1",
    hint="What does a hidden unit receive when x is 0? Each needs a number of its own for that: d_ff in all.",
)
class NoFirstBias(Network):
    def __init__(self, d_model, d_ff):
        super().__init__(d_model, d_ff)
        del self.b_1

    def into(self, x):
        return x @ self.W_1


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network without its second bias, b_2",
    hint="What is the output when all hidden units are at 0? Each output needs a number of its own: d_model in all.",
)
class NoSecondBias(Network):
    def __init__(self, d_model, d_ff):
        super().__init__(d_model, d_ff)
        del self.b_2

    def out(self, hidden):
        return hidden @ self.W_2


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network with 4 * d_model hidden units, whatever d_ff is",
    hint="Four times d_model is a custom. Here the second argument says how many hidden units there are.",
)
class HiddenWidthIgnored(Network):
    def __init__(self, d_model, d_ff):
        require(d_model >= 1 and d_ff >= 1, "sizes must be at least 1")
        super().__init__(d_model, 4 * d_model)


@misconception(
    "q3",
    replaces="FeedForward",
    name="a network whose widths are swapped: d_ff numbers go in, and d_model are hidden",
    hint="x has d_model numbers at each position. Which layer widens them to d_ff, and which brings them back?",
)
class WidthsSwapped(Network):
    def __init__(self, d_model, d_ff):
        super().__init__(d_ff, d_model)


# ---------------------------------------------------------------------------------------------------------------- q4


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the norms in the order of backpropagation, last layer first",
    hint="Gradients are computed from the loss backwards, but the first number should belong to the "
    "first layer.",
)
def last_layer_first(activation, depth, width, seed=0):
    return right_norms(activation, depth, width, seed).flip(0)


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the squares of the norms, without the root",
    hint="A norm of twice the gradient is twice as large. Is yours?",
)
def norms_squared(activation, depth, width, seed=0):
    return right_norms(activation, depth, width, seed).square()


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the mean absolute entry of each gradient instead of its norm",
    hint="The Frobenius norm is the root of a sum of squares.",
)
def mean_absolute_entry(activation, depth, width, seed=0):
    return torch.stack([g.abs().mean() for g in right_gradients(activation, depth, width, seed)])


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the spectral norm of each gradient, its largest singular value",
    hint="Some functions take ord=2 of a matrix to be that. The Frobenius norm is the root of the sum of all squares.",
)
def spectral_norms(activation, depth, width, seed=0):
    gradients = right_gradients(activation, depth, width, seed)
    return torch.stack([torch.linalg.matrix_norm(gradient, 2) for gradient in gradients])


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the norms of the weights instead of those of their gradients",
    hint="Nothing has been differentiated yet: these numbers do not depend on the activation.",
)
def norms_of_weights(activation, depth, width, seed=0):
    return torch.stack([weight.norm() for weight in problem(depth, width, seed)[0]])


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the gradient norms for seed 0, whatever seed is asked for",
    hint="Try two seeds: the results should differ. Is the seed passed on?",
)
def seed_ignored(activation, depth, width, seed=0):
    return right_norms(activation, depth, width, 0)


@misconception(
    "q4",
    replaces="gradient_flow",
    name="the gradient of a loss that is summed, not averaged",
    hint="The loss is given: loss_of takes a mean over all 64 rows and all outputs.",
)
def loss_summed(activation, depth, width, seed=0):
    return right_norms(activation, depth, width, seed) * (64 * width)


@misconception(
    "q4",
    replaces="dead_fraction",
    name="the share of inputs where the output is 0, instead of the slope",
    hint="hardtanh gives 1 at x = 3 and at x = 4. What is its slope there?",
)
def output_zero(activation, x):
    require(x.numel() >= 1, "x must hold at least one number")
    return share(activation(x.detach()) == 0)


@misconception(
    "q4",
    replaces="dead_fraction",
    name="the share of inputs where the slope is small, instead of exactly 0",
    hint="A small slope still learns, if slowly. Compare with 0 itself.",
)
def small_counts_as_zero(activation, x):
    return share(slopes_at(activation, x).abs() < 1e-6)


@misconception(
    "q4",
    replaces="dead_fraction",
    name="the share of inputs that are alive",
    hint="Is your result 1 where every slope is 0?",
)
def alive_fraction(activation, x):
    return share(slopes_at(activation, x) != 0)


@misconception(
    "q4",
    replaces="dead_fraction",
    name="the number of dead inputs instead of their share",
    hint="A share lies between 0 and 1. Divide by how many numbers x holds.",
)
def number_of_dead_inputs(activation, x):
    return float((slopes_at(activation, x) == 0).sum().item())


@misconception(
    "q4",
    replaces="dead_fraction",
    name="the share of inputs where a difference quotient is 0, instead of the gradient",
    hint="activation(x + h) - activation(x - h) is rounded to 0 long before the slope is. Autograd knows the slope.",
)
def difference_quotient(activation, x):
    require(x.numel() >= 1, "x must hold at least one number")
    x = x.detach()
    return share(activation(x + 1e-6) == activation(x - 1e-6))


@misconception(
    "q4",
    replaces="dead_fraction",
    name="the share of inputs below 0, whatever the activation",
    hint="That is right for ReLU alone. Ask autograd for the slope of the activation that you were given.",
)
def negative_inputs(activation, x):
    require(x.numel() >= 1, "x must hold at least one number")
    return share(x <= 0)
