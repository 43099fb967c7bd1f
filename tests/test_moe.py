"""The mixture of experts: reference, stub, honest styles, misconceptions and library answers through the real grader."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from otter.test_files import ExceptionTestFile

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
ASSIGNMENT = load("moe", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "moe" / "honest").glob("*.py"))
CELLS = right_cells(ASSIGNMENT)

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


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""
    folder = tmp_path_factory.mktemp("moe")
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)

        def graded(name, content, questions=None):
            path = folder / name
            path.write_bytes(content)
            result = judge.grade(submission.read(path, name, ASSIGNMENT), questions=questions)
            return json.loads(json.dumps(gradescope.to_dict(result, ASSIGNMENT)))

        yield graded


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(result, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:"))


def wrong(key, replaces):
    """An archive whose one wrong answer is that misconception; all other names are right, also for each other."""
    return archive(mistaken(ASSIGNMENT, {replaces: key}))


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_points_and_cases(question):
    """The points add up, at least half are hidden, and each case has its own name and a hint."""
    cases = ExceptionTestFile.from_file(str(ASSIGNMENT.test_file(question.name))).test_cases
    assert sum(case.points for case in cases) == question.points
    assert sum(case.points for case in cases if case.hidden) >= question.points / 2
    assert 2 <= sum(not case.hidden for case in cases) <= 3
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.failure_message and "hidden" not in case.failure_message.lower() for case in cases)


def test_there_are_enough_of_them():
    """Honest styles and misconceptions, for every question."""
    assert len(HONEST) >= 4
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


@pytest.mark.parametrize("name", ["moe.py", "moe.ipynb"])
def test_reference(grade, name):
    """All points, as a script and as a notebook."""
    content = ASSIGNMENT.reference.read_bytes() if name.endswith(".py") else notebook(CELLS)
    result = grade(name, content)
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible
    assert result["execution_time"] < 10


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]


@pytest.mark.parametrize("name", ["moe.py", "moe.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    public = [entry for entry in result["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception(grade, misconception):
    """It loses points in its question alone, of those that ask for its name; the feedback has its name and hint."""
    name = f"{misconception.question}-{misconception.key}.zip"
    asked = concerned(ASSIGNMENT, misconception)
    result = grade(name, wrong(misconception.key, misconception.replaces), asked)
    told = text(result, misconception.question)
    assert set(lost(result)) == {misconception.question}, told
    assert result["extra_data"]["diagnoses"] == {misconception.question: misconception.key}
    like = (
        "like" if misconception.key == "SharedExperts" else "exactly like"
    )  # no call shows equal beginnings
    assert f"Your `{misconception.replaces}` behaves {like} {misconception.name}." in told
    assert f"Hint: {misconception.hint}" in told


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
    result = grade("plot.py", (script(CELLS) + "# %%\n" + code).encode())
    assert set(lost(result)) == {"q6"}


@pytest.mark.parametrize("code", [AUTOGRAD, VJP, BACKWARD], ids=["grad", "vjp", "backward"])
def test_library_answer(grade, code):
    """Autograd in place of the formula earns nothing in q4, and costs nothing elsewhere."""
    result = grade("library.py", (script(CELLS) + "# %%\n" + code).encode())
    assert lost(result) == {"q4": 0}


SHARED = """
class MoE(MoE):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=None):
        super().__init__(d_model, d_ff, n_experts, top_k)
        self.experts = nn.ModuleList([Expert(d_model, d_ff)] * n_experts)
"""


def test_one_expert_in_every_place(grade):
    """A list of n times the same expert is named, although no replay can tell it from another layout; q3 points to q2."""
    result = grade("shared.py", (script(CELLS) + "# %%\n" + SHARED).encode())
    assert set(lost(result)) == {"q2", "q3"}
    assert result["extra_data"]["diagnoses"] == {"q2": "SharedExperts"}
    assert "This judges the same code as q2: mend q2 first, then look here again." in text(result, "q3")
    told = "has 1 experts with weights of their own, but 2 were expected. An expert that occurs twice in the list is one expert."
    assert told in text(result, "q2")


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
    result = grade("work.py", (script(CELLS) + "# %%\n" + WORK).encode())
    assert lost(result) == {"q3": 9}
    told = "does the work of about 516 rows in experts, but 64 * 2 = 128 rows were expected."
    assert told in "\n".join(case["output"] for case in result["tests"])


@pytest.mark.parametrize(
    ("answer", "points"),
    [("x * 1", 2), ("self.experts[0](x)", 2), ("torch.zeros_like(x)", 2), ("x * float('nan')", 0)],
)
def test_no_mixture_at_all(grade, answer, points):
    """What no expert can spoil is no mixture: only the case in which nobody is to be asked passes."""
    code = f"class MoE(MoE):\n    def forward(self, x):\n        return {answer}\n"
    result = grade("none.py", (script(CELLS) + "# %%\n" + code).encode())
    assert set(lost(result)) == {"q2", "q3"}
    assert lost(result)["q3"] == points


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


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    result = grade(f"letter-{key}.zip", wrong(key, known.replaces))
    visible = [
        e for e in result["tests"] if e["visibility"] == "visible" and e["name"].startswith(known.question)
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook, with all figures."""
    import jupytext

    book = jupytext.read(ASSIGNMENT.reference, fmt="py:percent")
    nbformat.write(book, tmp_path / "moe.ipynb")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "moe.ipynb",
        "--output",
        "out.ipynb",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
