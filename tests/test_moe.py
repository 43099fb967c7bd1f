"""The mixture of experts through the real grader: what every assignment must, plots, and what only looks like a mixture."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import pytest

from autograder.assignment import load
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("moe", ROOT)
grade = grading(ASSIGNMENT)

AUTOGRAD = """
def gate_gradient(gate_logits, expert_outputs, grad_output):
    z = gate_logits.detach().clone().requires_grad_()
    y = (z.softmax(-1)[..., None] * expert_outputs).sum(-2)
    return torch.autograd.grad((y * grad_output).sum(), z)[0]
"""
VJP = """
def gate_gradient(gate_logits, expert_outputs, grad_output):
    def mixed(z):
        return (z.softmax(-1)[..., None] * expert_outputs).sum(-2)

    return torch.func.vjp(mixed, gate_logits)[1](grad_output)[0]
"""
BACKWARD = """
def gate_gradient(gate_logits, expert_outputs, grad_output):
    z = gate_logits.detach().clone().requires_grad_()
    ((z.softmax(-1)[..., None] * expert_outputs).sum(-2) * grad_output).sum().backward()
    return z.grad
"""
LIBRARY = {"grad": ("q4", AUTOGRAD), "vjp": ("q4", VJP), "backward": ("q4", BACKWARD)}

FEEDBACK = {
    "no_renormalisation": """\
Your `gate` behaves exactly like a gate without renormalisation after top-k.
Hint: The kept probabilities no longer sum to 1. What should they be divided by?

passed: shape, dtype and rows that sum to 1 (2 of 2)
passed: three experts worked out by hand (2 of 2)
FAILED: two of three experts kept (0 of 2)
    gate(x, W_g, top_k=2) is wrong in 2 of 3 numbers. The first one is at index [0]: expected 0.666667, found 0.6. The largest error is 0.067; 1e-06 is allowed.
    Hint: Of 0.6, 0.3 and 0.1 the first two are kept. Divide them by their sum, 0.9; the third is 0.\
""",
    "no_factor": """\
Your `load_balancing_loss` behaves exactly like a balance loss without the factor n_experts.
Hint: Even use should cost 1 for every number of experts.

FAILED: even use costs 1 (0 of 2)
    load_balancing_loss(gate_probabilities, assignments) is wrong in 1 of 1 numbers. The first one is: expected 1, found 0.25. The largest error is 0.75; 1e-09 is allowed.
    Hint: With f = P = 1/n for all n experts, n * sum of f * P is n * n * 1/n * 1/n = 1. The result is one number, a 0-d tensor.
FAILED: four tokens worked out by hand (0 of 2)
    load_balancing_loss(gate_probabilities, assignments) is wrong in 1 of 1 numbers. The first one is: expected 1.15, found 0.575. The largest error is 0.57; 1e-09 is allowed.
    Hint: f = (3/4, 1/4) and P = (0.65, 0.35), so the loss is 2 * (0.4875 + 0.0875) = 1.15.\
""",
}


class TestMoe(Standard):
    assignment = ASSIGNMENT
    figures = 3
    library = LIBRARY
    letters = FEEDBACK
    seen_by_tests = ("SharedExperts",)  # no call shows equal beginnings
    cpu_seconds = 10


WRONG_PLOTS = {
    "upside down": "    ax.get_images()[0].origin = 'upper'",
    "transposed": "    ax.get_images()[0].set_data(assignments.T.numpy())",
    "y downwards": "    ax.invert_yaxis()",
    "no label": "    ax.set_ylabel('')",
    "two images": "    ax.imshow([[0, 1]])",
    "other borders": "    ax.get_images()[0].set_extent((0, 1, 0, 1))",
    "the image": "    ax = ax.get_images()[0]",
}


@pytest.mark.parametrize("change", WRONG_PLOTS)
def test_wrong_plots(grade, change):
    """What is wrong with the map costs q6, and nothing else."""
    code = f"right_plot = plot_regions\ndef plot_regions(assignments, extent, ax=None):\n    ax = right_plot(assignments, extent, ax)\n{WRONG_PLOTS[change]}\n    return ax\n"
    graded = grade(right_but(ASSIGNMENT, code))
    assert set(graded.lost) == {"q6"}


SHARED = """
class MoE(MoE):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__(d_model, d_ff, n_experts, top_k)
        self.experts = nn.ModuleList([Expert(d_model, d_ff)] * n_experts)
"""


def test_one_expert_in_every_place(grade):
    """A list of n times the same expert is named, although no replay can tell it from another layout; q3 points to q2."""
    graded = grade(right_but(ASSIGNMENT, SHARED))
    assert set(graded.lost) == {"q2", "q3"}
    assert graded.diagnoses == {"q2": "SharedExperts"}
    assert "This judges the same code as q2: mend q2 first, then look here again." in graded.text("q3")
    told = "has 1 experts with weights of their own, but 2 were expected. An expert that occurs twice in the list is one expert."
    assert told in graded.text("q2")


WORK = """
class MoE(MoE):
    def forward(self, x):
        weights, result = gate(x, self.W_g, self.top_k), torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            wanted = weights[..., e, None] != 0
            outputs = expert(torch.where(wanted, x, 0.0))
            result = result + torch.where(wanted, weights[..., e, None] * outputs, 0.0)
        return result
"""


def test_work_that_leaves_no_trace(grade):
    """Rows set to 0 before and after the experts: right numbers, right gradients, and four times the work."""
    graded = grade(right_but(ASSIGNMENT, WORK))
    assert graded.lost == {"q3": 9}
    told = "does the work of about 516 rows in experts, but 64 * 2 = 128 rows were expected."
    assert told in graded.text()


@pytest.mark.parametrize(
    ("answer", "points"),
    [("x * 1", 2), ("self.experts[0](x)", 2), ("torch.zeros_like(x)", 2), ("x * float('nan')", 0)],
)
def test_no_mixture_at_all(grade, answer, points):
    """What no expert can spoil is no mixture: only the case in which nobody is to be asked passes."""
    code = f"class MoE(MoE):\n    def forward(self, x):\n        return {answer}\n"
    graded = grade(right_but(ASSIGNMENT, code))
    assert set(graded.lost) == {"q2", "q3"}
    assert graded.lost["q3"] == points
