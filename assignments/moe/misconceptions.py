"""Known wrong answers, each right but for one thing, with its name and a hint.

First come the right steps, which they share; then, question by question, what goes wrong.
"""

import math

import torch
from torch import nn

from autograder.diagnosis import misconception


def require(condition, message):
    if not condition:
        raise ValueError(message)


def check_gate(x, W_g, top_k):
    require(x.ndim >= 1 and W_g.ndim == 2, "x needs a dimension and W_g two")
    require(x.shape[-1] == W_g.shape[0] and W_g.shape[1] >= 1, "x and W_g do not fit")
    require(top_k is None or 1 <= top_k <= W_g.shape[1], "top_k is out of range")


def keep(probabilities, top_k, normalised=True, largest=True):
    if top_k is None:
        return probabilities
    kept, indices = probabilities.topk(top_k, dim=-1, largest=largest)
    if normalised:
        kept = kept / kept.sum(-1, keepdim=True)
    return torch.zeros_like(probabilities).scatter(-1, indices, kept)


def right_gate(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    return keep((x @ W_g).softmax(-1), top_k)


def spread(x, weights, experts, choose=lambda column: column.nonzero().squeeze(-1), factors=None):
    """The right sum, but for the choice of rows and for what their outputs are multiplied with (else the weights)."""
    rows, n = x.reshape(-1, x.shape[-1]), len(experts)
    row_weights = weights.reshape(-1, n)
    row_factors = row_weights if factors is None else factors.reshape(-1, n)
    result = torch.zeros_like(rows)
    for e, expert in enumerate(experts):
        wanted = choose(row_weights[:, e])
        result = result.index_add(0, wanted, row_factors[wanted, e].unsqueeze(-1) * expert(rows[wanted]))
    return result.reshape(x.shape)


# ---------------------------------------------------------------------------------------------------------------- q1


@misconception(
    "q1",
    replaces="gate",
    name="a gate without renormalisation after top-k",
    hint="The kept probabilities no longer sum to 1. What should they be divided by?",
)
def no_renormalisation(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    return keep((x @ W_g).softmax(-1), top_k, normalised=False)


@misconception(
    "q1",
    replaces="gate",
    name="a softmax over the batch instead of the experts",
    hint="One row must not depend on another. Which sums should be 1, those over experts or those over rows?",
)
def softmax_over_batch(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    return keep((x @ W_g).softmax(0), top_k)


@misconception(
    "q1",
    replaces="gate",
    name="a gate that keeps every expert as good as the k-th",
    hint="Where probabilities are equal, a comparison with the k-th largest value keeps too many of them.",
)
def ties_kept(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    p = (x @ W_g).softmax(-1)
    if top_k is None:
        return p
    kept = torch.where(p >= p.topk(top_k, -1).values[..., -1:], p, 0.0)
    return kept / kept.sum(-1, keepdim=True)


@misconception(
    "q1",
    replaces="gate",
    name="a gate that keeps the smallest probabilities",
    hint="top_k is about the experts that the gate likes best.",
)
def smallest_kept(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    return keep((x @ W_g).softmax(-1), top_k, largest=False)


@misconception(
    "q1",
    replaces="gate",
    name="a gate that sets the logits it drops to 0 before the softmax",
    hint="exp(0) = 1 is a weight like any other. Which logit has the exponential 0?",
)
def dropped_logits_zero(x, W_g, top_k=None):
    check_gate(x, W_g, top_k)
    logits = x @ W_g
    if top_k is None:
        return logits.softmax(-1)
    kept = torch.zeros_like(logits).scatter(-1, logits.topk(top_k, -1).indices, 1.0)
    return (logits * kept).softmax(-1)


@misconception(
    "q1",
    replaces="gate",
    name="a gate whose weights are detached",
    hint="The values are right, but no gradient reaches W_g: look for .detach(), .data or torch.no_grad().",
)
def gate_detached(x, W_g, top_k=None):
    return right_gate(x, W_g, top_k).detach()


# ---------------------------------------------------------------------------------------------------------------- q2


class Network(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.outer = nn.Linear(d_ff, d_model)

    def forward(self, x):
        return self.outer(torch.relu(self.inner(x)))


class RightMoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__()
        require(min(d_model, d_ff, n_experts) >= 1, "sizes must be at least 1")
        require(top_k is None or 1 <= top_k <= n_experts, "top_k is out of range")
        self.top_k = top_k
        self.experts = nn.ModuleList(Network(d_model, d_ff) for _ in range(n_experts))
        self.W_g = nn.Parameter(torch.randn(d_model, n_experts) / math.sqrt(d_model))

    def weights(self, x):
        return right_gate(x, self.W_g, self.top_k)

    def factors(self, weights):
        return weights

    def forward(self, x):
        weights = self.weights(x)
        return spread(x, weights, self.experts, factors=self.factors(weights))


@misconception(
    "q2",
    replaces="MoE",
    name="a mixture whose experts all have the same weights",
    hint="Each place in the list needs a network of its own, with random numbers of its own.",
)
class SharedExperts(RightMoE):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__(d_model, d_ff, n_experts, top_k)
        for expert in self.experts:
            expert.load_state_dict(self.experts[0].state_dict())


@misconception(
    "q2",
    replaces="MoE",
    name="a mixture in which all experts that are asked count alike",
    hint="The output is the plain mean of the experts: where do the weights of the gate come in?",
)
class AveragedExperts(RightMoE):
    def factors(self, weights):
        asked = (weights != 0).to(weights.dtype)
        return asked / asked.sum(-1, keepdim=True)


@misconception(
    "q2",
    replaces="MoE",
    name="a mixture that takes the best expert without its gate weight",
    hint="An argmax has no gradient, so the gate cannot learn. Multiply outputs by weights, and sum.",
)
class HardArgmax(RightMoE):
    def factors(self, weights):
        return torch.zeros_like(weights).scatter(-1, weights.argmax(-1, keepdim=True), 1.0)


@misconception(
    "q2",
    replaces="MoE",
    name="a mixture whose kept weights are not renormalised",
    hint="With top_k, the weights of a row no longer sum to 1. Does the call of your gate pass top_k on?",
)
class NotRenormalised(RightMoE):
    def factors(self, weights):
        return weights * self.share

    def forward(self, x):
        p = right_gate(x, self.W_g)
        self.share = (p * (right_gate(x, self.W_g, self.top_k) != 0)).sum(-1, keepdim=True)
        return super().forward(x)


@misconception(
    "q2",
    replaces="MoE",
    name="a mixture that drops rows when an expert has its share",
    hint="Where many rows want the same expert, all of them are computed: there is no capacity here.",
)
class DroppedRows(RightMoE):
    def forward(self, x):
        weights = self.weights(x)
        capacity = math.ceil(weights[..., 0].numel() * (self.top_k or len(self.experts)) / len(self.experts))
        return spread(x, weights, self.experts, lambda column: column.nonzero().squeeze(-1)[:capacity])


@misconception(
    "q2",
    replaces="MoE",
    name="a mixture whose gate weights are detached",
    hint="The experts learn, but no gradient reaches W_g through the weights.",
)
class DetachedGate(RightMoE):
    def factors(self, weights):
        return weights.detach()


# ---------------------------------------------------------------------------------------------------------------- q3


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture in which every expert computes every row",
    hint="A weight of 0 hides the result, but not the work. Which rows does expert e need to see?",
)
class DenseMixture(RightMoE):
    def forward(self, x):
        weights = self.weights(x)
        outputs = torch.stack([expert(x) for expert in self.experts], -2)
        return (weights.unsqueeze(-1) * outputs).sum(-2)


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture that computes every row in every expert and leaves out what is not used afterwards",
    hint="What is left out at the end has been computed all the same. Pick the rows before the call.",
)
class LeftOutAfterwards(RightMoE):
    def forward(self, x):
        kept, indices = self.weights(x).topk(self.top_k or len(self.experts), -1)
        outputs = torch.stack([expert(x) for expert in self.experts], -2)
        picked = outputs.gather(-2, indices.unsqueeze(-1).expand(*indices.shape, x.shape[-1]))
        return (kept.unsqueeze(-1) * picked).sum(-2)


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture that gives an expert all rows as soon as one row wants it",
    hint="An idle expert is left out, but the others still see rows that do not use them. Choose row by row.",
)
class AllRowsOrNone(RightMoE):
    def forward(self, x):
        weights, result = self.weights(x), torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            if weights[..., e].any():
                result = result + weights[..., e, None] * expert(x)
        return result


# ---------------------------------------------------------------------------------------------------------------- q4


def check_gradient(z, outputs, grad):
    require(z.ndim >= 1 and outputs.shape[:-1] == z.shape, "each logit needs an output")
    require(grad.shape == (*z.shape[:-1], outputs.shape[-1]), "grad_output does not fit")


def agreements(outputs, grad):
    return (outputs * grad.unsqueeze(-2)).sum(-1)


@misconception(
    "q4",
    replaces="gate_gradient",
    name="a gradient without the softmax Jacobian",
    hint="G . E_e is the derivative with respect to the weight. How does the weight depend on the logits?",
)
def no_jacobian(gate_logits, expert_outputs, grad_output):
    check_gradient(gate_logits, expert_outputs, grad_output)
    return agreements(expert_outputs, grad_output).to(gate_logits.dtype)


@misconception(
    "q4",
    replaces="gate_gradient",
    name="a gradient with the diagonal of the softmax Jacobian alone",
    hint="Raising one logit lowers the weights of all other experts, too.",
)
def diagonal_jacobian(gate_logits, expert_outputs, grad_output):
    check_gradient(gate_logits, expert_outputs, grad_output)
    p = gate_logits.softmax(-1)
    return p * (1 - p) * agreements(expert_outputs, grad_output)


@misconception(
    "q4",
    replaces="gate_gradient",
    name="a gradient in which y is not subtracted",
    hint="If all experts give the same output, the gate does not matter: is your gradient 0 then?",
)
def mean_not_subtracted(gate_logits, expert_outputs, grad_output):
    check_gradient(gate_logits, expert_outputs, grad_output)
    return gate_logits.softmax(-1) * agreements(expert_outputs, grad_output)


@misconception(
    "q4",
    replaces="gate_gradient",
    name="a gradient that subtracts the plain mean of the experts instead of y",
    hint="y is the mean under the gate's weights.",
)
def plain_mean_subtracted(gate_logits, expert_outputs, grad_output):
    check_gradient(gate_logits, expert_outputs, grad_output)
    agreement = agreements(expert_outputs, grad_output)
    return gate_logits.softmax(-1) * (agreement - agreement.mean(-1, keepdim=True))


@misconception(
    "q4",
    replaces="gate_gradient",
    name="a gradient of the wrong sign",
    hint="The gradient points uphill: experts better than the mixture have a negative one.",
)
def wrong_sign(gate_logits, expert_outputs, grad_output):
    check_gradient(gate_logits, expert_outputs, grad_output)
    p, agreement = gate_logits.softmax(-1), agreements(expert_outputs, grad_output)
    return p * ((p * agreement).sum(-1, keepdim=True) - agreement)


# ---------------------------------------------------------------------------------------------------------------- q5


def check_loss(p, assignments):
    require(p.ndim >= 1 and p.shape[-1] >= 1, "probabilities are needed")
    require(assignments.dtype == torch.long, "assignments must be int64")
    require(assignments.shape == p.shape[:-1] and assignments.numel() >= 1, "one assignment a token")
    require(bool(((assignments >= 0) & (assignments < p.shape[-1])).all()), "an index is out of range")


def shares(p, assignments):
    """f and P."""
    counts = torch.bincount(assignments.flatten(), minlength=p.shape[-1])
    return counts.to(p.dtype) / assignments.numel(), p.reshape(-1, p.shape[-1]).mean(0)


@misconception(
    "q5",
    replaces="load_balancing_loss",
    name="a balance loss without the factor n_experts",
    hint="Even use should cost 1 for every number of experts.",
)
def no_factor(gate_probabilities, assignments):
    check_loss(gate_probabilities, assignments)
    f, mean = shares(gate_probabilities, assignments)
    return (f * mean).sum()


@misconception(
    "q5",
    replaces="load_balancing_loss",
    name="a balance loss of the counts alone",
    hint="f squared has no gradient. One of the two factors is the mean probability.",
)
def counts_alone(gate_probabilities, assignments):
    check_loss(gate_probabilities, assignments)
    f, _ = shares(gate_probabilities, assignments)
    return f.numel() * (f * f).sum() + 0 * gate_probabilities.sum()


@misconception(
    "q5",
    replaces="load_balancing_loss",
    name="a balance loss of the probabilities alone",
    hint="P squared does not see where the tokens were sent. One of the two factors counts assignments.",
)
def probabilities_alone(gate_probabilities, assignments):
    check_loss(gate_probabilities, assignments)
    _, mean = shares(gate_probabilities, assignments)
    return mean.numel() * (mean * mean).sum()


@misconception(
    "q5",
    replaces="load_balancing_loss",
    name="a balance loss that counts the largest probability instead of the assignments given",
    hint="Where a token was sent is an argument, and need not be the argmax.",
)
def argmax_counted(gate_probabilities, assignments):
    check_loss(gate_probabilities, assignments)
    f, mean = shares(gate_probabilities, gate_probabilities.argmax(-1))
    return f.numel() * (f * mean).sum()


@misconception(
    "q5",
    replaces="load_balancing_loss",
    name="a balance loss of sums instead of means",
    hint="f and P are shares: they do not grow with the number of tokens.",
)
def sums_not_means(gate_probabilities, assignments):
    check_loss(gate_probabilities, assignments)
    f, mean = shares(gate_probabilities, assignments)
    return f.numel() * (f * mean).sum() * assignments.numel()


# ---------------------------------------------------------------------------------------------------------------- q6


def check_load(assignments, n_experts):
    require(n_experts >= 1 and assignments.numel() >= 1, "there is nothing to count")
    require(assignments.dtype == torch.long, "assignments must be int64")
    require(bool(((assignments >= 0) & (assignments < n_experts)).all()), "an index is out of range")


@misconception(
    "q6",
    replaces="expert_load",
    name="a load that leaves out experts nobody was sent to",
    hint="An idle expert has the load 0, and the result has one number for each of the n_experts.",
)
def idle_left_out(assignments, n_experts):
    check_load(assignments, n_experts)
    counts = torch.unique(assignments, return_counts=True)[1]
    return counts.to(torch.get_default_dtype()) / assignments.numel()


@misconception(
    "q6",
    replaces="expert_load",
    name="a load that counts rows instead of giving their share",
    hint="The load sums to 1, however many rows there are.",
)
def counts_not_shares(assignments, n_experts):
    check_load(assignments, n_experts)
    return torch.bincount(assignments.flatten(), minlength=n_experts).to(torch.get_default_dtype())
