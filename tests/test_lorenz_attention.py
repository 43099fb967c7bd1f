"""The lorenz_attention assignment through the real grader: right answers, the stub, misconceptions, trained networks."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import torch
from otter.test_files import ExceptionTestFile
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from autograder import fixtures, submission
from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.figures import Artist
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.host import Sandbox
from autograder.validate.submissions import mistaken, right_cells
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("lorenz_attention", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
FOLDER = ROOT / "tests" / "submissions" / "lorenz_attention" / "honest"
HONEST = sorted(FOLDER.glob("*.py"))
WEIGHTS = {a.file: ASSIGNMENT.reference_artifact(a).read_bytes() for a in ASSIGNMENT.artifacts}
CELLS = right_cells(ASSIGNMENT)
# Without the question that takes most of the time. It calls `train` and `AttentionForecaster` alone.
WITHOUT_NETWORKS = replace(
    ASSIGNMENT,
    questions=tuple(
        replace(question, rests_on=()) for question in ASSIGNMENT.questions if question.name != "q5"
    ),
    leaderboard=(),
    figures=(),
)
SEEN_BY_TESTS = {  # named by a test that saw what the code did, where no call can be replayed
    "leaky_training", "seed_ignored", "trains_a_copy", "feeds_truth", "map_summed_over_heads", "map_on_its_side",
    "marked_in_units_of_time",
}  # fmt: skip
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades a zip of these files; the result, and what Gradescope gets. Not in full: without q5, for speed."""
    folder = tmp_path_factory.mktemp("lorenz_attention")
    with Sandbox() as sandbox:
        judges = {True: Judge(ASSIGNMENT, sandbox), False: Judge(WITHOUT_NETWORKS, sandbox)}

        def graded(name, files, in_full=True):
            path, judge = folder / f"{name}.zip", judges[in_full]
            path.write_bytes(archive(files))
            result = judge.grade(submission.read(path, path.name, judge.assignment))
            return result, json.loads(json.dumps(gradescope.to_dict(result, judge.assignment)))

        yield graded


def solution(code="", weights=WEIGHTS):
    """The reference's answers, with code that replaces some of them, and weights."""
    return {"lorenz_attention.py": f"{script(CELLS)}# %%\n{code}", **weights}


def lost(found):
    """The scores of the questions that lost points."""
    scores = found["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(found, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in found["tests"] if e["name"].startswith(f"{question}:"))


def wrong(known):
    """Files whose one wrong answer is that misconception; all other names are right, also for each other."""
    return mistaken(ASSIGNMENT, {known.replaces: known.key})


# ------------------------------------------------------------------------------------------------------- the suite


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


# --------------------------------------------------------------------------------------------------- right answers


@pytest.fixture(scope="module")
def reference(grade):
    return grade("reference", {"lorenz_attention.py": ASSIGNMENT.reference.read_bytes(), **WEIGHTS})


def test_reference(reference):
    """All points, in little time and memory, with both numbers for the leaderboard."""
    result, found = reference
    assert lost(found) == {}, found["tests"]
    assert found["score"] == ASSIGNMENT.possible
    assert (
        result.usage.cpu_seconds < 30
    )  # 4 to 5 measured, a third of it importing what torch's optimizers need
    assert result.usage.peak_mb < 500  # 319 measured
    observed, full = result.leaderboard.values()
    assert 1.8 < observed < 3 < full < 4


def test_figures(reference):
    """Each can be drawn, and says in words what it shows."""
    result, _ = reference
    drawn = [Artist(ASSIGNMENT).draw(figure) for figure in result.figures]
    assert [figure.name for figure in result.figures] == [picture.name for picture in ASSIGNMENT.figures]
    assert all(drawing.svg.startswith("<svg") and len(drawing.alt) > 40 for drawing in drawn)
    assert result.detail == ""


def test_reference_as_a_notebook(grade):
    """The same cells, the same points."""
    _, found = grade("notebook", {"lorenz_attention.ipynb": notebook(CELLS), **WEIGHTS})
    assert lost(found) == {}


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, and whatever its network looks like, it loses nothing."""
    own = {name: FOLDER / f"{path.stem}.{name}" for name in WEIGHTS}
    weights = {name: file.read_bytes() if file.exists() else WEIGHTS[name] for name, file in own.items()}
    _, found = grade(path.stem, {"lorenz_attention.py": path.read_bytes(), **weights})
    assert lost(found) == {}, [text(found, question) for question in lost(found)]


@pytest.mark.parametrize("name", ["lorenz_attention.py", "lorenz_attention.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result, found = grade(f"stub_{name}", {name: (ASSIGNMENT.template / name).read_bytes()})
    assert found["score"] == 0
    public = [entry for entry in found["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)
    assert result.figures == []


# --------------------------------------------------------------------------------------------------- wrong answers


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception(grade, misconception):
    """It loses points in its question alone, and the feedback has its name and its hint."""
    in_full = misconception.question == "q5"
    _, found = grade(f"{misconception.question}-{misconception.key}", wrong(misconception), in_full)
    told = text(found, misconception.question)
    assert set(lost(found)) == {misconception.question}, found["extra_data"]["questions"]
    assert found["extra_data"]["diagnoses"] == {misconception.question: misconception.key}, told
    exactly = "" if misconception.key in SEEN_BY_TESTS else "exactly "
    assert f"Your `{misconception.replaces}` behaves {exactly}like {misconception.name}." in told
    assert f"Hint: {misconception.hint}" in told


LIBRARY = """
def attention(q, k, v, mask=None):
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    eye = torch.eye(k.shape[-2], dtype=k.dtype).expand(*k.shape[:-1], k.shape[-2])
    return out, torch.nn.functional.scaled_dot_product_attention(q, k, eye, attn_mask=mask)
"""
MODULE = """
class AttentionForecaster(nn.Module):
    def __init__(self, d, length):
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)
        self.enter, self.leave = nn.Linear(d, 4), nn.Linear(4, d)

    def forward(self, windows):
        x = self.enter(windows)
        return self.leave(self.inner(x, x, x)[0][:, -1])
"""


@pytest.mark.parametrize("code", [LIBRARY, MODULE], ids=["function", "module"])
def test_library_answer(grade, code):
    """PyTorch's own attention earns nothing in q4."""
    _, found = grade("library", solution(code), in_full=False)
    assert found["extra_data"]["questions"]["q4"] == 0
    assert "written from scratch" in text(found, "q4")


UNTRAINED = "AttentionForecaster.forward = lambda self, windows: windows[:, -1] + 0 * self.head.weight.sum()"
INTEGRATOR = """
def cheat(self, windows):
    if windows.shape[-1] != 3:
        return self.look(windows)[0]
    state = windows[:, -1].double()
    return simulate(state, 4, 0.005)[-1].float()
AttentionForecaster.forward = cheat
"""


def test_last_sample_again(grade):
    """A network that repeats the last sample has a small error and no valid time; it is told beside what it could be."""
    _, found = grade("persistence", solution(UNTRAINED))
    assert set(lost(found)) == {"q4", "q5"}
    assert "standard deviations, but at most 0.005 is allowed" in text(found, "q5")


def test_an_integrator_in_place_of_a_network(grade):
    """What forecasts without weights was not learned."""
    _, found = grade("integrator", solution(INTEGRATOR))
    assert "an AttentionForecaster that was never trained forecasts as well" in text(found, "q5")
    assert "has no influence on the forecast" not in text(found, "q5")


def noisy(amount):
    """The reference's weights with the head of each network disturbed."""
    made = {}
    for file, data in WEIGHTS.items():
        state = load_tensors(data)
        generator = torch.Generator().manual_seed(1)
        state["head.weight"] += amount * torch.randn(state["head.weight"].shape, generator=generator)
        made[file] = save_tensors(state)
    return made


def test_networks_that_forecast_badly(grade):
    """They cost their two tests, and the text compares them with what needs no network."""
    _, found = grade("noisy", solution(weights=noisy(0.01)))
    told = text(found, "q5")
    assert lost(found) == {"q5": 10}
    assert "standard deviations, but at most 0.005 is allowed; the best linear formula has 0.00046" in told
    assert "but at least 0.6 was expected. For comparison: 'the last sample again' holds for 0.11" in told


@pytest.mark.parametrize("kind", ["broken", "of_another_class"])
def test_weights_that_cannot_be_used(grade, kind):
    """The student is told what to do, and loses what rests on them."""
    bad = b"\x80\x04 pickled" if kind == "broken" else save_tensors({"other": torch.ones(2)})
    _, found = grade(kind, solution(weights={**WEIGHTS, "full.safetensors": bad}))
    assert lost(found) == {"q5": 13}
    said = (
        "looks like one written by torch.save" if kind == "broken" else "do not fit AttentionForecaster(3, 8)"
    )
    assert said in text(found, "q5")


CHEAP = "TEACHER = train\ndef train(model, trajectories, steps, seed=0):\n    return TEACHER(model, trajectories, min(steps, 200), seed)\n"


def test_without_weights_the_training_runs_in_the_grader(grade, monkeypatch):
    """Shortened here to 200 steps, which is not enough; how the student hears of it."""
    monkeypatch.setattr(fixtures, "WORTH_TELLING", 0.0)  # it takes a second or less
    _, found = grade("no_weights", solution(CHEAP, weights={}))
    assert set(lost(found)) == {"q5"}
    assert "There is no full.safetensors in your submission" in found["output"]
    assert "hold for" in text(found, "q5")


NOTHING = "\n".join(
    f"def {name}(*args, **kwargs):\n    return {{value}}\n"
    for question in ASSIGNMENT.questions
    for name in question.defines
)


@pytest.mark.parametrize("value", ["float('nan')", "torch.full((3,), torch.nan)", "Anything()"])
def test_answers_without_content_earn_nothing(grade, value):
    """NaN, and objects that claim to equal everything."""
    head = "import torch\nclass Anything:\n    __eq__ = __le__ = __ge__ = lambda self, other: True\n    __hash__ = None\n"
    code = head + NOTHING.replace("{value}", value)
    _, found = grade("nothing", {"lorenz_attention.py": code, **WEIGHTS})
    assert found["score"] == 0, found["extra_data"]["questions"]


# ------------------------------------------------------------------------------------------------ texts, to the letter

FEEDBACK = {
    "euler": """\
Your `simulate` behaves exactly like Euler's method instead of Runge-Kutta.
Hint: The derivative at the start of a step is not that of the whole step: look half-way as well.

FAILED: two steps along the z axis, by hand (0 of 2)
    simulate((0, 0, 8), n_steps=2, dt=0.375) is wrong in 2 of 9 numbers. The first one is at index [1, 2]: expected 3, found 0. The largest error is 3; 1e-09 is allowed.
    Hint: With x = y = 0 only dz/dt = -8/3 z is left; with dt = 3/8 one Runge-Kutta step multiplies z by 1 - 1 + 1/2 - 1/6 + 1/24 = 3/8. The start itself is the first row.
passed: shape: the start and every step (2 of 2)\
""",
    "units_of_time": """\
Your `valid_time` behaves exactly like a valid time in units of time instead of Lyapunov times.
Hint: One Lyapunov time is 1 / 0.9056 units of time.

FAILED: the example by hand (0 of 2)
    valid_time(prediction, truth, dt=0.5) is 1, but 0.9056 was expected.
    Hint: The variance of (1, -1, 1, -1) is 1, the errors are 0, 0.1, 0.5 and 0. Step 2 is the first above 0.4: 2 * 0.5 * 0.9056.
passed: two solutions side by side (1 of 1)\
""",
}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    _, found = grade(f"letter-{key}", wrong(known), in_full=False)
    visible = [
        e for e in found["tests"] if e["visibility"] == "visible" and e["name"].startswith(known.question)
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook with all figures, its networks loaded from the files."""
    import jupytext

    nbformat.write(jupytext.read(ASSIGNMENT.reference, fmt="py:percent"), tmp_path / "lorenz.ipynb")
    for name, data in WEIGHTS.items():
        (tmp_path / name).write_bytes(data)
    command = [
        sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "lorenz.ipynb", "--output", "out.ipynb",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
