"""The lorenz_attention assignment through the real grader: right answers, the stub, misconceptions, trained networks."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from autograder import fixtures
from autograder.assignment import load
from autograder.figures import Artist
from autograder.validate.submissions import reference, right_cells
from tests.assignments import ROOT, Standard, grading
from tests.build_submissions import script

ASSIGNMENT = load("lorenz_attention", ROOT)
WEIGHTS = {a.file: ASSIGNMENT.reference_artifact(a).read_bytes() for a in ASSIGNMENT.artifacts}
pytestmark = pytest.mark.slow
grade = grading(ASSIGNMENT)


def solution(code="", weights=WEIGHTS):
    """The reference's answers, with code that replaces some of them, and weights."""
    return {"lorenz_attention.py": f"{script(right_cells(ASSIGNMENT))}# %%\n{code}", **weights}


FUNCTION = """
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
# The reference's `train` and `attention_map` ask their own class for what the module has not.
LIBRARY = {"function": ("q4", FUNCTION), "module": ("q4 q5 q8", MODULE)}

SEEN_BY_TESTS = {  # named by a test that saw what the code did, where no call can be replayed
    "leaky_training", "seed_ignored", "trains_a_copy", "feeds_truth", "map_summed_over_heads", "map_on_its_side",
    "marked_in_units_of_time",
}  # fmt: skip

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


class TestLorenzAttention(Standard):
    assignment = ASSIGNMENT
    figures = 5
    library = LIBRARY
    letters = FEEDBACK
    seen_by_tests = SEEN_BY_TESTS
    peak_mb = 500

    def honest_files(self, path):
        """With networks of its own, where there are any."""
        own = {name: path.with_name(f"{path.stem}.{name}") for name in WEIGHTS}
        weights = {name: file.read_bytes() if file.exists() else WEIGHTS[name] for name, file in own.items()}
        return {path.name: path.read_bytes(), **weights}

    def test_notebook_runs_from_top_to_bottom(self, tmp_path):
        """Its networks loaded from the files."""
        for name, data in WEIGHTS.items():
            (tmp_path / name).write_bytes(data)
        self.run_notebook(tmp_path)


# --------------------------------------------------------------------------------------------------- right answers


def test_leaderboard(grade):
    """Both numbers of the reference."""
    observed, full = grade(reference(ASSIGNMENT, "py")).result.leaderboard.values()
    assert 1.8 < observed < 3 < full < 4


def test_figures(grade):
    """Each can be drawn, and says in words what it shows."""
    result = grade(reference(ASSIGNMENT, "py")).result
    drawn = [Artist(ASSIGNMENT).draw(figure) for figure in result.figures]
    assert all(drawing.svg.startswith("<svg") and len(drawing.alt) > 40 for drawing in drawn)


# --------------------------------------------------------------------------------------------------- wrong answers


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
    graded = grade(solution(UNTRAINED))
    assert set(graded.lost) == {"q4", "q5"}
    assert "standard deviations, but at most 0.005 is allowed" in graded.text("q5")


def test_an_integrator_in_place_of_a_network(grade):
    """What forecasts without weights was not learned."""
    graded = grade(solution(INTEGRATOR))
    assert "an AttentionForecaster that was never trained forecasts as well" in graded.text("q5")
    assert "has no influence on the forecast" not in graded.text("q5")


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
    graded = grade(solution(weights=noisy(0.01)))
    told = graded.text("q5")
    assert graded.lost == {"q5": 10}
    assert "standard deviations, but at most 0.005 is allowed; the best linear formula has 0.00046" in told
    assert "but at least 0.6 was expected. For comparison: 'the last sample again' holds for 0.11" in told


@pytest.mark.parametrize("kind", ["broken", "of_another_class"])
def test_weights_that_cannot_be_used(grade, kind):
    """The student is told what to do, and loses what rests on them."""
    bad = b"\x80\x04 pickled" if kind == "broken" else save_tensors({"other": torch.ones(2)})
    graded = grade(solution(weights={**WEIGHTS, "full.safetensors": bad}))
    assert graded.lost == {"q5": 13}
    said = (
        "looks like one written by torch.save" if kind == "broken" else "do not fit AttentionForecaster(3, 8)"
    )
    assert said in graded.text("q5")


CHEAP = "TEACHER = train\ndef train(model, trajectories, steps, seed=0):\n    return TEACHER(model, trajectories, min(steps, 200), seed)\n"


def test_without_weights_the_training_runs_in_the_grader(grade, monkeypatch):
    """Shortened here to 200 steps, which is not enough; how the student hears of it."""
    monkeypatch.setattr(fixtures, "WORTH_TELLING", 0.0)  # it takes a second or less
    graded = grade(solution(CHEAP, weights={}))
    assert set(graded.lost) == {"q5"}
    assert "There is no full.safetensors in your submission" in graded.report["output"]
    assert "hold for" in graded.text("q5")


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
    graded = grade({"lorenz_attention.py": code, **WEIGHTS})
    assert graded.report["score"] == 0, graded.scores
