"""The gelu assignment through the real grader: what every assignment must, and mistakes in plain code."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import re

import pytest

from autograder import submission
from autograder.assignment import load
from tests.assignments import ROOT, Standard, grading, right_but

ASSIGNMENT = load("gelu", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
pytestmark = pytest.mark.slow
grade = grading(ASSIGNMENT)

LIBRARY = {
    "q1 by F.gelu": ("q1 q3", "def gelu(x):\n    return F.gelu(x)"),
    "q1 by nn.GELU": ("q1 q3", "def gelu(x):\n    return nn.GELU()(x)"),
    "q1 by the operator": ("q1 q3", "def gelu(x):\n    return torch.ops.aten.gelu(x)"),
    "q1 by the builtin": ("q1 q3", "gelu = torch._C._nn.gelu"),
    "q2 by autograd": (
        "q2",
        "def gelu_derivative(x):\n    x = x.detach().clone().requires_grad_()\n"
        "    return torch.autograd.grad(gelu(x).sum(), x)[0]",
    ),
    "q2 by backward": (
        "q2",
        "def gelu_derivative(x):\n    x = x.detach().clone().requires_grad_()\n"
        "    gelu(x).sum().backward()\n    return x.grad",
    ),
    "q2 by torch.func": (
        "q2",
        "def gelu_derivative(x):\n    return torch.func.grad(lambda t: gelu(t).sum())(x)",
    ),
    "q2 by forward mode": (
        "q2",
        "import torch.autograd.forward_ad as fw\n"
        "def gelu_derivative(x):\n    with fw.dual_level():\n"
        "        return fw.unpack_dual(gelu(fw.make_dual(x, torch.ones_like(x)))).tangent",
    ),
    "q2 by the operator": (
        "q2",
        "def gelu_derivative(x):\n    return torch.ops.aten.gelu_backward(torch.ones_like(x), x)",
    ),
    "q3 by nn.GELU": (
        "q3",
        "class FeedForward(nn.Sequential):\n    def __init__(self, d, h):\n"
        "        super().__init__(nn.Linear(d, h), nn.GELU(), nn.Linear(h, d))",
    ),
    "q3 by F.gelu": (
        "q3",
        "class FeedForward(nn.Module):\n    def __init__(self, d, h):\n        super().__init__()\n"
        "        self.a, self.b = nn.Linear(d, h), nn.Linear(h, d)\n"
        "    def forward(self, x):\n        return self.b(F.gelu(self.a(x)))",
    ),
}

FEEDBACK = {
    "tanh_approximation": """\
Your `gelu` behaves exactly like the tanh approximation of GELU.
Hint: The approximation is off by up to 5e-4, near |x| = 2.7. The exact Phi is an error function away.

passed: shape, dtype and sign (1 of 1)
FAILED: four values worked out by hand (0 of 4)
    gelu(x) at x = [0, 1, -1, 2] is wrong in 3 of 4 numbers. The first one is at index [1]: expected 0.841345, found 0.841192. The largest error is 0.00015; 1e-06 is allowed.
    Hint: Multiply x by the probability that a standard normal variable lies below x: Phi(0) = 0.5, Phi(1) = 0.8413447, Phi(-1) = 1 - Phi(1) and Phi(2) = 0.9772499.
passed: gelu(x) - gelu(-x) is x (2 of 2)""",
    "without_second_term": """\
Your `gelu_derivative` behaves exactly like Phi(x), the derivative without the term x * phi(x).
Hint: When x grows, the gate opens as well. What does the product rule say?

passed: shape and dtype, and which slopes are steep (1 of 1)
FAILED: the slope at 0, 1 and -1, by hand (0 of 4)
    gelu_derivative(x) at x = [0, 1, -1] is wrong in 2 of 3 numbers. The first one is at index [1]: expected 1.08332, found 0.841345. The largest error is 0.24; 1e-06 is allowed.
    Hint: Phi(1) = 0.8413447 and phi(1) = exp(-1/2) / sqrt(2 pi) = 0.2419707. The product rule has two terms.
FAILED: the largest and the smallest slope (0 of 2)
    gelu_derivative(x) at x = [sqrt(2), -sqrt(2)] is wrong in 2 of 2 numbers. The first one is at index [0]: expected 1.1289, found 0.92135. The largest error is 0.21; 1e-06 is allowed.
    Hint: w1 says where the slope is largest and smallest: at sqrt(2) and -sqrt(2), where it is 1.1289 and -0.1289. If you are right at 0 and wrong here, look at the second term.""",
}


class TestGelu(Standard):
    assignment = ASSIGNMENT
    figures = 3
    library = LIBRARY  # a q3 that calls a forbidden q1 runs what it must not
    letters = FEEDBACK
    seen_by_tests = ("q3",)  # a module's weights differ from one layout to another


@pytest.mark.parametrize("question", POINTS)
def test_each_question_stands_alone(grade, question):
    """With one question left as in the stub and all else right, only that one, and what calls it, loses points."""
    cells = submission.read(ASSIGNMENT.template / "gelu.py", "", ASSIGNMENT).cells
    defines = next(q.defines for q in ASSIGNMENT.questions if q.name == question)
    unsolved = [
        c.source for c in cells if any(re.search(rf"^(def|class) {n}\(", c.source, re.M) for n in defines)
    ]
    assert unsolved
    graded = grade(right_but(ASSIGNMENT, "\n\n".join(unsolved)))
    assert set(graded.lost) == ({"q1", "q3", "q4"} if question == "q1" else {question})
    assert graded.scores[question] == 0


def test_a_wrong_gelu_costs_its_own_question_only(grade):
    """q3 and q4 are judged with the gelu that the student has."""
    graded = grade(right_but(ASSIGNMENT, "def gelu(x):\n    return x * torch.sigmoid(x)"))
    assert set(graded.lost) == {"q1"}
    assert graded.diagnoses == {"q1": "silu"}


NETWORK = """
class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.up, self.down = {layers}

    def forward(self, x):
        return {output}
"""
LINEAR = "nn.Linear(d_model, d_ff), nn.Linear(d_ff, d_model)"
PLAIN_MISTAKES = {
    "ReluInside": (LINEAR, "self.down(torch.relu(self.up(x)))"),
    "NoActivation": (LINEAR, "self.down(self.up(x))"),
    "ActivatedTwice": (LINEAR, "gelu(self.down(gelu(self.up(x))))"),
    "ResidualInside": (LINEAR, "x + self.down(gelu(self.up(x)))"),
    "SecondBiasUnused": (LINEAR, "gelu(self.up(x)) @ self.down.weight.T"),
    "PositionsMixed": (LINEAR, "self.down(gelu(self.up(x)).mean(0, keepdim=True) + 0 * self.up(x))"),
    "NoBiases": (LINEAR.replace(")", ", bias=False)"), "self.down(gelu(self.up(x)))"),
    "NoFirstBias": (LINEAR.replace(")", ", bias=False)", 1), "self.down(gelu(self.up(x)))"),
    "HiddenWidthIgnored": (LINEAR.replace("d_ff", "4 * d_model"), "self.down(gelu(self.up(x)))"),
    "WidthsSwapped": ("nn.Linear(d_ff, d_model), nn.Linear(d_model, d_ff)", "self.down(gelu(self.up(x)))"),
}


@pytest.mark.parametrize("key", PLAIN_MISTAKES)
def test_mistakes_are_named_whatever_the_parameters_are_called(grade, key):
    """As students write it: nn.Linear, and no argument checked."""
    layers, output = PLAIN_MISTAKES[key]
    graded = grade(right_but(ASSIGNMENT, NETWORK.format(layers=layers, output=output)))
    assert set(graded.lost) == {"q3"}
    assert graded.diagnoses == {"q3": key}


def test_a_plain_network_loses_the_argument_checks_alone(grade):
    """The same without a mistake: nothing is named."""
    graded = grade(right_but(ASSIGNMENT, NETWORK.format(layers=LINEAR, output="self.down(gelu(self.up(x)))")))
    assert graded.lost == {"q3": POINTS["q3"] - 1}
    assert graded.diagnoses == {}


EMPTY = """
def gelu(x):
    {function}
gelu_derivative = gelu
def gradient_flow(activation, depth, width, seed=0):
    {flow}
def dead_fraction(activation, x):
    {share}
class FeedForward(nn.Module):
    def __init__(self, d_model, d_ff):
        super().__init__()
        self.numbers = nn.Parameter(torch.zeros(2 * d_model * d_ff + d_model + d_ff))
    def forward(self, x):
        {function}
"""
WITHOUT_CONTENT = {
    "zeros": ("return 0 * x", "return torch.zeros(depth, dtype=torch.float64)", "return 0.0", 3),
    "the input": ("return x.clone()", "return torch.ones(depth, dtype=torch.float64)", "return 0.5", 8),
    "NaN": ("return x * math.nan", "return torch.full((depth,), math.nan)", "return math.nan", 3),
    "refusals": (*["raise ValueError('no')"] * 3, 2),
}


@pytest.mark.parametrize("name", WITHOUT_CONTENT)
def test_answers_without_content(grade, name):
    """What knows nothing of the question earns little: the points for shapes and for counting parameters."""
    function, flow, share, at_most = WITHOUT_CONTENT[name]
    graded = grade(right_but(ASSIGNMENT, EMPTY.format(function=function, flow=flow, share=share)))
    assert graded.report["score"] <= at_most, graded.scores
