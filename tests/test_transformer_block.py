"""The transformer block: reference, stub, honest styles, misconceptions and library answers through the real grader."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import itertools
import json
import re
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
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("transformer_block", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "transformer_block" / "honest").glob("*.py"))
CELLS = [
    re.sub(r"^ *# (BEGIN|END) SOLUTION.*\n?", "", cell.source, flags=re.M).strip("\n")
    for cell in submission.read(ASSIGNMENT.reference, "", ASSIGNMENT).cells
]


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""
    folder = tmp_path_factory.mktemp("transformer_block")
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)

        def graded(name, content):
            path = folder / name
            path.write_bytes(content)
            result = judge.grade(submission.read(path, name, ASSIGNMENT))
            return json.loads(json.dumps(gradescope.to_dict(result, ASSIGNMENT)))

        yield graded


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(result, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:"))


def wrong(*misconceptions):
    """An archive with these mistakes, one for a name; all other names are right, also for each other."""
    source = ASSIGNMENT.misconceptions.read_text(encoding="utf-8")
    stand_in = "misconception = lambda *_, **__: lambda thing: thing\n"
    source = re.sub(r"^from autograder\.diagnosis import misconception\n", stand_in, source, flags=re.M)
    main = "from right import *\n" + "".join(
        f"from wrong import {m.key} as {m.replaces}\n" for m in misconceptions
    )
    return archive({"transformer_block.py": main, "right.py": script(CELLS), "wrong.py": source})


def right_but(code):
    """The right answers, then some names defined again."""
    return (script(CELLS) + "# %%\n" + code).encode()


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
    """Honest styles, each with all names, and misconceptions for every question."""
    names = [name for question in ASSIGNMENT.questions for name in question.defines]
    assert len(HONEST) >= 4
    for path in HONEST:
        assert all(re.search(rf"^(def|class) {name}\(", path.read_text(), re.M) for name in names), path.name
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


@pytest.mark.parametrize("name", ["transformer_block.py", "transformer_block.ipynb"])
def test_reference(grade, name):
    """All points, as a script and as a notebook."""
    content = ASSIGNMENT.reference.read_bytes() if name.endswith(".py") else notebook(CELLS)
    result = grade(name, content)
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]
    assert result["extra_data"]["diagnoses"] == {}


@pytest.mark.parametrize("name", ["transformer_block.py", "transformer_block.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    assert result["extra_data"]["status"] == "graded"
    public = [entry for entry in result["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)


def groups():
    """All misconceptions, at most one a question in a group: the odd questions together, and the even ones.

    One by one they would be graded 93 times, three times the work. `autograder validate` does that.
    """
    for parity in (1, 0):
        by_question = [
            [m for m in MISCONCEPTIONS if m.question == q] for q in POINTS if int(q[1:]) % 2 == parity
        ]
        for row in itertools.zip_longest(*by_question):
            yield [m for m in row if m is not None]


@pytest.mark.parametrize("group", list(groups()), ids=lambda group: "-".join(m.key for m in group))
def test_misconceptions(grade, group):
    """Each loses points in its question, and the feedback there has its name and its hint; no other question loses any."""
    result = grade(f"{group[0].key}.zip", wrong(*group))
    assert set(lost(result)) == {m.question for m in group}, [text(result, m.question) for m in group]
    assert result["extra_data"]["diagnoses"] == {m.question: m.key for m in group}
    for known in group:
        told = text(result, known.question)
        like = "exactly like" if known.replayed else "like"
        assert f"Your `{known.replaces}` behaves {like} {known.name}." in told
        assert f"Hint: {known.hint}" in told


SHARED = """
class Encoder(Encoder):
    def __init__(self, n_layers, *options, **more):
        super().__init__(n_layers, *options, **more)
        self.blocks = nn.ModuleList([self.blocks[0]] * n_layers)
"""


def test_one_block_in_every_place(grade):
    """A list of n times the same block is named, although no call can tell it from another layout."""
    result = grade("shared.py", right_but(SHARED))
    assert set(lost(result)) == {
        "q7",
        "q8",
    }  # there are fewer matrices than blocks, so q8 has nothing to measure
    assert result["extra_data"]["diagnoses"]["q7"] == "SharedBlocks"


LIBRARY = {
    "q1 by F.layer_norm": (
        "q1",
        "def layer_norm(x, weight=None, bias=None, eps=1e-5):\n    return nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)",
    ),
    "q1 by the operator": (
        "q1",
        "def layer_norm(x, weight=None, bias=None, eps=1e-5):\n    return torch.ops.aten.layer_norm(x, x.shape[-1:], weight, bias, eps)",
    ),
    "q1 by group_norm": (
        "q1",
        "def layer_norm(x, weight=None, bias=None, eps=1e-5):\n    return nn.functional.group_norm(x.reshape(-1, x.shape[-1]), 1, weight, bias, eps).reshape(x.shape)",
    ),
    "q1 by nn.LayerNorm": ("q1", "LayerNorm = nn.LayerNorm"),
    "q2 by autograd": (
        "q2",
        "def layer_norm_jacobian(x):\n    return torch.autograd.functional.jacobian(lambda t: to_sphere(center(t)), x)",
    ),
    "q2 by torch.func": (
        "q2",
        "def layer_norm_jacobian(x):\n    return torch.func.jacrev(lambda t: to_sphere(center(t)))(x)",
    ),
    "q3 by autograd": (
        "q3",
        "def layer_norm_vjp(x, weight, grad_output, eps=1e-5):\n    leaves = [x.detach().requires_grad_(), weight.detach().requires_grad_(), torch.zeros_like(weight).requires_grad_()]\n    return torch.autograd.grad((layer_norm(*leaves, eps) * grad_output).sum(), leaves)",
    ),
    "q3 by the operator": (
        "q3",
        "def layer_norm_vjp(x, weight, grad_output, eps=1e-5):\n    shape = x.shape[-1:]\n    _, mean, rstd = torch.ops.aten.native_layer_norm(x, shape, weight, None, eps)\n    return torch.ops.aten.native_layer_norm_backward(grad_output, x, shape, mean, rstd, weight, torch.zeros_like(weight), [True] * 3)",
    ),
    "q4 by F.dropout": (
        "q4",
        "def dropout(x, p=0.1, training=True, generator=None):\n    return nn.functional.dropout(x, p, training)",
    ),
    "q4 by nn.Dropout": ("q4", "Dropout = nn.Dropout"),
    "q4 by the operator": (
        "q4",
        "def dropout(x, p=0.1, training=True, generator=None):\n    return torch.native_dropout(x, p, training)[0]",
    ),
    "q6 by nn.MultiheadAttention": (
        "q6",
        "class TransformerBlock(TransformerBlock):\n    def forward(self, x, mask=None):\n        nn.MultiheadAttention(2, 1)(*[torch.ones(1, 2)] * 3)\n        return super().forward(x, mask)",
    ),
}


@pytest.mark.parametrize("case", LIBRARY)
def test_library_answers_earn_nothing(grade, case):
    """The question that forbids it earns 0 and says so; the others keep their points."""
    question, code = LIBRARY[case]
    result = grade("library.py", right_but(code))
    assert result["extra_data"]["questions"][question] == 0, text(result, question)
    assert "to be written from scratch" in text(result, question)
    # whatever calls a forbidden function runs what it must not, too
    allowed = {"q1": {"q1", "q3", "q6", "q7"}, "q4": {"q4", "q6", "q7"}, "q6": {"q6", "q7"}}
    assert set(lost(result)) <= allowed.get(question, {question})


EMPTY = """
def layer_norm(x, weight=None, bias=None, eps=1e-5): {0}
center = to_sphere = layer_norm
def layer_norm_jacobian(x): {1}
def layer_norm_vjp(x, weight, grad_output, eps=1e-5): {2}
def dropout(x, p=0.1, training=True, generator=None): {0}
def residual(x, sublayer, norm, norm_first=True): {0}
def gradient_norms(encoder, x, target): {3}
def stream_rms(encoder, x): {3}
for kind in (LayerNorm, Dropout, TransformerBlock, Encoder):
    kind.forward = lambda self, x, mask=None: layer_norm(x)
"""
WITHOUT_CONTENT = {
    "the input": ("return x.clone()", "return torch.eye(x.shape[-1], dtype=x.dtype)", "return grad_output, weight, grad_output", "return torch.ones(3)", 9),
    "zeros": ("return 0 * x", "return 0 * x", "return 0 * x, 0 * weight, 0 * weight", "return torch.zeros(3)", 7),
    "NaN": ("return x * math.nan", "return x * math.nan", "return x * math.nan, weight, weight", "return torch.full((3,), math.nan)", 6),
    "refusals": (*["raise ValueError('no')"] * 4, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_CONTENT)
def test_answers_without_content(grade, name):
    """What knows nothing of the question earns little: the points for parameters, shapes and modes."""
    *answers, at_most = WITHOUT_CONTENT[name]
    result = grade("empty.py", right_but(EMPTY.format(*answers)))
    assert result["extra_data"]["status"] == "graded"
    assert result["score"] <= at_most, result["extra_data"]["questions"]


FEEDBACK = {
    "unbiased_variance": """\
Your `layer_norm` behaves exactly like layer normalisation with the unbiased variance.
Hint: By what is the sum of the d squares divided, d or d - 1? And what does x.var() do unless told otherwise?

passed: shape and dtype (1 of 1)
FAILED: a vector worked out by hand (0 of 2)
    layer_norm([7, 2, 2, 2, 2], eps=0) is wrong in 5 of 5 numbers. The first one is at index [0]: expected 2, found 1.78885. The largest error is 0.21; 1e-09 is allowed.
    Hint: The mean is 3, and the mean of the squares of (4, -1, -1, -1, -1) is 20 / 5 = 4. With eps = 0 divide by sqrt(4) = 2, with eps = 5 by sqrt(4 + 5) = 3. Then comes the weight, and last the bias.
passed: the module, and how its parameters start (1 of 1)\
""",
    "swapped": """\
Your `residual` behaves exactly like pre-norm and post-norm in each other's place.
Hint: norm_first=True: the norm is applied first, to what goes into the sublayer.

FAILED: pre-norm by hand (0 of 1)
    residual(x, sublayer, norm, norm_first=True) with sublayer(x) = 2 x, norm(x) = x + 1 is wrong in 2 of 2 numbers. The first one is at index [0]: expected 5, found 4. The largest error is 1; 1e-06 is allowed.
    Hint: With f(x) = 2 x and x + 1 in the place of the norm, x = 1: the norm gives 2, f gives 4, and 1 + 4 = 5.
FAILED: post-norm by hand (0 of 1)
    residual(x, sublayer, norm, norm_first=False) with sublayer(x) = 2 x, norm(x) = x + 1 is wrong in 2 of 2 numbers. The first one is at index [0]: expected 4, found 5. The largest error is 1; 1e-06 is allowed.
    Hint: With f(x) = 2 x and x + 1 in the place of the norm, x = 1: f gives 2, the sum is 3, and the norm of it 4.\
""",
}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    result = grade(f"letter-{key}.zip", wrong(known))
    visible = [
        e
        for e in result["tests"]
        if e["visibility"] == "visible" and e["name"].startswith(f"{known.question}:")
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook, with all figures."""
    import jupytext

    book = jupytext.read(ASSIGNMENT.reference, fmt="py:percent")
    nbformat.write(book, tmp_path / "block.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "block.ipynb", "--output", "out.ipynb"]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
