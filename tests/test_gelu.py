"""The gelu assignment through the real grader: right answers, the stub, every misconception, library answers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest

from autograder import submission
from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.session import Sandbox
from autograder.validate.misconceptions import concerned
from autograder.validate.submissions import mistaken, right_cells
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("gelu", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
HONEST = sorted((ROOT / "tests" / "submissions" / "gelu" / "honest").glob("*.py"))
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
pytestmark = pytest.mark.slow


def wrong(misconception):
    """A submission that is right but for one misconception."""
    return archive(mistaken(ASSIGNMENT, {misconception.replaces: misconception.key}))


@pytest.fixture(scope="module")
def judge():
    with Sandbox() as sandbox:
        yield Judge(ASSIGNMENT, sandbox)


@pytest.fixture
def grade(judge, tmp_path):
    """Grades the bytes of a submission."""

    def run(name, content, questions=None):
        path = tmp_path / name
        path.write_bytes(content)
        result = judge.grade(submission.read(path, name, ASSIGNMENT), questions=questions)
        return gradescope.to_dict(result, ASSIGNMENT)

    return run


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def entries(result, question):
    """What a student reads about a question, entry by entry."""
    return [entry["output"] for entry in result["tests"] if entry["name"].startswith(f"{question}:")]


def right_but(question_code):
    """The right answers, then some names defined again."""
    return script([*right_cells(ASSIGNMENT), question_code]).encode()


# --------------------------------------------------------------------------------------------------- right answers

RIGHT = {
    "reference.py": ASSIGNMENT.reference.read_bytes(),
    "reference.ipynb": notebook(right_cells(ASSIGNMENT)),
    **{path.name: path.read_bytes() for path in HONEST},
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_earn_everything(grade, name):
    result = grade(name, RIGHT[name])
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible
    assert result["extra_data"]["diagnoses"] == {}


def test_there_are_enough_of_them():
    """At least four unusual right answers to each question, each file with all names."""
    names = [name for question in ASSIGNMENT.questions for name in question.defines]
    assert len(HONEST) >= 4
    for path in HONEST:
        text = path.read_text(encoding="utf-8")
        assert all(re.search(rf"^(def|class) {name}\(", text, re.M) for name in names), path.name


@pytest.mark.parametrize("name", ["gelu.py", "gelu.ipynb"])
def test_untouched_stub(grade, name):
    result = grade(name, (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    public = [entry["output"] for entry in result["tests"] if entry["visibility"] == "visible"]
    assert public == ["This question is not implemented yet."] * len(POINTS)


@pytest.mark.parametrize("question", POINTS)
def test_each_question_stands_alone(grade, question):
    """With one question left as in the stub and all else right, only that one, and what calls it, loses points."""
    stub = (ASSIGNMENT.template / "gelu.py").read_text(encoding="utf-8")
    cells = submission.read(ASSIGNMENT.template / "gelu.py", "", ASSIGNMENT).cells
    defines = next(q.defines for q in ASSIGNMENT.questions if q.name == question)
    unsolved = [
        c.source for c in cells if any(re.search(rf"^(def|class) {n}\(", c.source, re.M) for n in defines)
    ]
    assert unsolved, stub
    result = grade("gelu.py", right_but("\n\n".join(unsolved)))
    assert set(lost(result)) == ({"q1", "q3", "q4"} if question == "q1" else {question})
    assert result["extra_data"]["questions"][question] == 0


def test_a_wrong_gelu_costs_its_own_question_only(grade):
    """q3 and q4 are judged with the gelu that the student has."""
    result = grade("gelu.py", right_but("def gelu(x):\n    return x * torch.sigmoid(x)"))
    assert set(lost(result)) == {"q1"}
    assert result["extra_data"]["diagnoses"] == {"q1": "silu"}


# --------------------------------------------------------------------------------------------------- misconceptions


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception(grade, misconception):
    """It loses points in its question alone, of those that ask for its name, and is named with its hint."""
    result = grade("wrong.zip", wrong(misconception), concerned(ASSIGNMENT, misconception))
    assert set(lost(result)) == {misconception.question}, result["tests"]
    assert result["extra_data"]["diagnoses"] == {misconception.question: misconception.key}
    text = "\n".join(entries(result, misconception.question))
    like = re.escape(f"like {misconception.name}.")
    assert re.search(f"Your `{misconception.replaces}` behaves (exactly )?{like}", text)
    assert f"Hint: {misconception.hint}" in text


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
    result = grade("gelu.py", right_but(NETWORK.format(layers=layers, output=output)))
    assert set(lost(result)) == {"q3"}
    assert result["extra_data"]["diagnoses"] == {"q3": key}


def test_a_plain_network_loses_the_argument_checks_alone(grade):
    """The same without a mistake: nothing is named."""
    result = grade("gelu.py", right_but(NETWORK.format(layers=LINEAR, output="self.down(gelu(self.up(x)))")))
    assert lost(result) == {"q3": POINTS["q3"] - 1}
    assert result["extra_data"]["diagnoses"] == {}


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
    result = grade("gelu.py", right_but(EMPTY.format(function=function, flow=flow, share=share)))
    assert result["score"] <= at_most, result["extra_data"]["questions"]


def test_there_are_enough_misconceptions():
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


# -------------------------------------------------------------------------------------------------- library answers

LIBRARY = {
    "q1 by F.gelu": ("q1", "def gelu(x):\n    return F.gelu(x)"),
    "q1 by nn.GELU": ("q1", "def gelu(x):\n    return nn.GELU()(x)"),
    "q1 by the operator": ("q1", "def gelu(x):\n    return torch.ops.aten.gelu(x)"),
    "q1 by the builtin": ("q1", "gelu = torch._C._nn.gelu"),
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


@pytest.mark.parametrize("case", LIBRARY)
def test_library_answers_earn_nothing(grade, case):
    """The question that forbids it earns 0 and says so; the others keep their points."""
    question, code = LIBRARY[case]
    result = grade("gelu.py", right_but(code))
    assert result["extra_data"]["questions"][question] == 0, entries(result, question)
    # a q3 that calls a forbidden q1 runs what it must not
    assert set(lost(result)) == ({"q1", "q3"} if question == "q1" else {question})
    assert "to be written from scratch" in entries(result, question)[0]


# ---------------------------------------------------------------------------------------------- words, to the letter

# ruff: noqa: E501  lines are as long as students get them
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


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    misconception = next(m for m in MISCONCEPTIONS if m.key == key)
    result = grade("wrong.zip", wrong(misconception))
    assert entries(result, misconception.question)[0] == FEEDBACK[key]


# ---------------------------------------------------------------------------------------------------------- notebook


def test_reference_runs_as_a_notebook(tmp_path):
    """From top to bottom without an error, and every figure is drawn."""
    nbformat.write(jupytext.read(ASSIGNMENT.reference, fmt="py:percent"), tmp_path / "gelu.ipynb")
    convert = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "--output",
        "done.ipynb",
        "gelu.ipynb",
    ]
    done = subprocess.run(convert, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    cells = nbformat.read(tmp_path / "done.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert not any("appears once" in output.get("text", "") for output in outputs)
