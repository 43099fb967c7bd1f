"""The Ising diffusion assignment through the real grader: right answers, the stub, every misconception, weights.

Drawing boards from a network takes ten seconds, so most submissions are judged by a copy of the assignment whose
fixtures return what the reference's network made; one goes the whole way.
"""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import inspect
import json
import re
import shutil
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

import nbformat
import pytest
import torch
from otter.test_files import ExceptionTestFile
from safetensors.torch import save

from autograder import fixtures, submission, suite
from autograder.assignment import load
from autograder.checks import Mistake, ising
from autograder.diagnosis import load_misconceptions, load_reference
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.session import Sandbox
from autograder.validate.submissions import mistaken, right_cells
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("ising_ddpm", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "ising_ddpm" / "honest").glob("*.py"))
WEIGHTS = ASSIGNMENT.reference_artifact(ASSIGNMENT.artifacts[0]).read_bytes()
CELLS = right_cells(ASSIGNMENT)
SUITE = {q.name: ExceptionTestFile.from_file(str(ASSIGNMENT.test_file(q.name))) for q in ASSIGNMENT.questions}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def right():
    """The reference's names, its weights, and what the fixtures make of them."""
    recipes, names = fixtures.load_recipes(ASSIGNMENT), load_reference(ASSIGNMENT)
    given = fixtures.Fixtures(ASSIGNMENT, recipes, names, fixtures.reference_files(ASSIGNMENT))
    return {**names, **{name: given.get(name) for name in recipes}}


def copied(folder, fixture_source):
    """The assignment with other fixtures."""
    for part in ("assignments/ising_ddpm", "student_template/ising_ddpm"):
        shutil.copytree(ROOT / part, folder / part)
    (folder / "reference").mkdir()
    for path in (ROOT / "reference").glob("ising_ddpm.*"):
        shutil.copy(path, folder / "reference")
    (folder / "assignments" / "ising_ddpm" / "fixtures.py").write_text(fixture_source, encoding="utf-8")
    return load("ising_ddpm", folder)


def grader(judge, folder):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""

    def graded(name, content):
        (folder / name).write_bytes(content)
        result = judge.grade(submission.read(folder / name, name, judge.assignment))
        return json.loads(json.dumps(gradescope.to_dict(result, judge.assignment)))

    return graded


@pytest.fixture(scope="module")
def grade(right, tmp_path_factory):
    """Grades with what the reference's network made in place of the fixtures."""
    folder = tmp_path_factory.mktemp("ising")
    recipes = fixtures.load_recipes(ASSIGNMENT)
    torch.save({name: right[name] for name in recipes}, folder / "stored.pt")
    source = f"import torch\nSTORED = torch.load({str(folder / 'stored.pt')!r})\n"
    source += "".join(f"def {name}():\n    return STORED[{name!r}]\n" for name in recipes)
    with Sandbox() as sandbox:
        yield grader(Judge(copied(folder / "copy", source), sandbox), folder)


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(result, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:"))


# -------------------------------------------------------------------------------------------------------- the suite


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_points_and_cases(question):
    """The points add up, at least half are hidden, and each case has its own name and a hint."""
    cases = SUITE[question.name].test_cases
    assert sum(case.points for case in cases) == question.points
    assert sum(case.points for case in cases if case.hidden) >= question.points / 2
    assert 2 <= sum(not case.hidden for case in cases) <= 3
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.failure_message and "hidden" not in case.failure_message.lower() for case in cases)


def test_there_are_enough_of_them():
    """Honest styles and misconceptions, for every question; each file of the former has every name."""
    assert len(HONEST) >= 4
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)
    assert len({m.key for m in MISCONCEPTIONS}) == len(MISCONCEPTIONS) >= 8
    names = [name for question in ASSIGNMENT.questions for name in question.defines]
    for path in HONEST:
        source = path.read_text(encoding="utf-8")
        assert all(re.search(rf"^(def|class) {name}\(", source, re.M) for name in names), path.name


class Names(dict):
    """A plain namespace."""

    def get(self, name):
        return self[name]


def failures(names, wanted=None):
    """(question, case, error) of the cases that fail, of those that ask for a name."""
    found = []
    for question, file in SUITE.items():
        for case in file.test_cases:
            if wanted in (None, *inspect.signature(case.body.test_func).parameters):
                suite._seed(question, case.name)
                try:
                    suite.call(case, Names(names))
                except Exception as error:
                    found.append((question, case.name, error))
    return found


def test_reference_passes(right):
    """In process, with its own weights."""
    assert failures(right) == []


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception_fails_its_own_question_only(right, misconception):
    """Of all cases that ask for its name; a mistake that a test recognises is this one."""
    failed = failures({**right, misconception.replaces: misconception.implementation}, misconception.replaces)
    assert {question for question, _, _ in failed} == {misconception.question}
    named = [error.misconception for _, _, error in failed if isinstance(error, Mistake)]
    assert named[:1] in ([], [misconception.key])


def test_names_that_mistakes_use():
    """Every key that a test may raise is a misconception."""
    source = "".join(ASSIGNMENT.test_file(name).read_text(encoding="utf-8") for name in POINTS)
    keys = set(re.findall(r'Mistake\(\s*"(\w+)"', source))
    assert keys <= {m.key for m in MISCONCEPTIONS}
    assert len(keys) > 15


# ---------------------------------------------------------------------------------------------------- right answers


def test_the_whole_way(tmp_path):
    """The reference with its weights, in a real sandbox, with the real fixtures: all points and four figures."""
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)
        content = {"ising_ddpm.py": ASSIGNMENT.reference.read_text(), "weights.safetensors": WEIGHTS}
        (tmp_path / "reference.zip").write_bytes(archive(content))
        result = judge.grade(submission.read(tmp_path / "reference.zip", "reference.zip", ASSIGNMENT))
    assert result.score == ASSIGNMENT.possible, [c for q in result.questions for c in q.cases if c.text]
    assert result.message == ""
    assert [figure.name for figure in result.figures] == [p.name for p in ASSIGNMENT.figures], result.detail
    assert result.usage.cpu_seconds < 60
    assert result.usage.peak_mb < 700


def test_reference_as_a_notebook(grade):
    """All points."""
    result = grade("ising_ddpm.ipynb", notebook(CELLS))
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible
    assert result["extra_data"]["diagnoses"] == {}


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]


@pytest.mark.parametrize("name", ["ising_ddpm.py", "ising_ddpm.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned but for the trained network, which is not the stub's here; each question says why."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert set(lost(result)) == set(POINTS)
    public = [entry for entry in result["tests"] if entry["visibility"] == "visible"]
    first = [entry["output"] for entry in public if not entry["name"].startswith(("q7", "q9"))]
    assert first == ["This question is not implemented yet."] * 7


def test_untouched_stub_the_whole_way(tmp_path):
    """With the real fixtures: 0 points."""
    with Sandbox() as sandbox:
        path = ASSIGNMENT.template / "ising_ddpm.py"
        result = Judge(ASSIGNMENT, sandbox).grade(submission.read(path, "stub", ASSIGNMENT))
    assert result.score == 0
    assert [question.note for question in result.questions] == ["This question is not implemented yet."] * 9


# --------------------------------------------------------------------------------------------------- misconceptions


def one_of_each(mistakes):
    """An archive with one wrong answer to each question; all other names are right, also for each other."""
    return archive(mistaken(ASSIGNMENT, {m.replaces: m.key for m in mistakes}))


BY_QUESTION = [[m for m in MISCONCEPTIONS if m.question == question] for question in POINTS]
ROUNDS = [[m for m in row if m] for row in zip_longest(*BY_QUESTION)]  # every misconception in one of seven


@pytest.mark.parametrize("mistakes", ROUNDS, ids=lambda mistakes: mistakes[0].key)
def test_misconceptions_are_named(grade, mistakes):
    """Each loses its question and no other, and the feedback has its name and its hint."""
    result = grade(f"{mistakes[0].key}.zip", one_of_each(mistakes))
    assert set(lost(result)) == {m.question for m in mistakes}
    assert result["extra_data"]["diagnoses"] == {m.question: m.key for m in mistakes}
    for m in mistakes:
        told = text(result, m.question)
        assert re.search(
            rf"Your `{m.replaces}` behaves (exactly )?like {re.escape(m.name)}\.", " ".join(told.split())
        )
        assert f"Hint: {m.hint}" in told


# The same mistakes in a style that draws other random numbers, so that no call can be replayed.
OTHER_STYLES = {
    "half_the_energy_change": ("site_by_site", "cost = 2 * s", "cost = s"),
    "beta_for_temperature": ("numpy_and_scipy_free", "< -cost / temperature", "< -cost * temperature"),
    "all_sites_at_once": (
        "numpy_and_scipy_free",
        "for colour in (0, 1):",
        "black = np.zeros_like(black)\n        for colour in (0,):",
    ),
    "shared_random_numbers": (
        "attention_network",
        "turn = torch.rand(mine.shape,",
        "turn = torch.rand(mine.shape[-2:],",
    ),
    "x0_as_noise": ("site_by_site", "t, temperature) - noise", "t, temperature) - x0"),
    "variance_as_deviation": (
        "site_by_site",
        "x + math.sqrt(beta) * torch.normal",
        "x + beta * torch.normal",
    ),
    "noise_at_the_end": ("convolutions", "(t > 0) * betas[t].sqrt()", "betas[t].sqrt()"),
    "no_noise": ("convolutions", "(t > 0) * betas[t].sqrt()", "0 * betas[t].sqrt()"),
    "one_sign": ("site_by_site", "start[: n // 2] *= -1", "pass"),
    "stops_before_zero": ("site_by_site", "while t >= 0:", "while t > 0:"),
    "starts_from_zero": (
        "convolutions",
        ".normal_(generator=generator)\n        heat",
        ".zero_()\n        heat",
    ),
    "sign_at_the_end": ("attention_network", "return torch.cat(pieces)", "return torch.cat(pieces).sign()"),
    "ignores_temperature": (
        "convolutions",
        "torch.stack([temperature, 1 / temperature], 1)",
        "torch.ones(len(t), 2)",
    ),
    "ignores_time": ("attention_network", "(t / 25 - 1, temperature - 2.4)", "(0 * t, temperature - 2.4)"),
}


@pytest.mark.parametrize("key", OTHER_STYLES)
def test_mistakes_in_other_styles_are_recognised(right, key):
    """By what they do."""
    name, old, new = OTHER_STYLES[key]
    source = (HONEST[0].parent / f"{name}.py").read_text(encoding="utf-8")
    assert old in source
    namespace = {"__name__": name}
    exec(source.replace(old, new), namespace)
    (misconception,) = [m for m in MISCONCEPTIONS if m.key == key]
    wrong = {**right, misconception.replaces: namespace[misconception.replaces]}
    failed = failures(wrong, misconception.replaces)
    named = {e.misconception for q, _, e in failed if isinstance(e, Mistake) and q == misconception.question}
    assert named == {key}


# ----------------------------------------------------------------------------------------- attempts to get round it


NOTHING = """
import torch
from torch import nn

class Equal:
    def __eq__(self, other): return True
    def __getattr__(self, name): return Equal()
    def __call__(self, *_, **__): return Equal()
    def __iter__(self): return iter([Equal()] * 3)

def energy(spins): return torch.full(spins.shape[:-2], float("nan"))
def magnetization(spins): return Equal()
def correlation(spins): return torch.full((*spins.shape[:-2], spins.shape[-1] // 2 + 1), float("nan"))
def metropolis(spins, *_, **__): return spins
def linear_schedule(*_): return torch.tensor([0.1, 0.3, 0.5])
def q_sample(x0, t, noise, betas): return x0 * float("nan")
class Denoiser(nn.Module):
    def forward(self, *_): return Equal()
def ddpm_loss(*_, **__): return torch.tensor(1.0)
def p_sample_step(model, x_t, *_, **__): return x_t * float("nan")
def training_data(n, size, temperatures, generator=None): return Equal()
def train(*_, **__): return [0.5, 0.4, 0.3]
def sample(model, n, size, *_, **__): return torch.full((n, size, size), float("nan"))
def domain_sizes(spins): return [16]
def observables(samples): return Equal()
"""


def test_nothing_real(grade):
    """NaN, objects that equal everything and hard-coded answers earn next to nothing, and break nothing."""
    result = grade("nothing.py", NOTHING.encode())
    scores = result["extra_data"]["questions"]
    assert result["extra_data"]["status"] == "graded"
    network = 8  # the points for the network's boards, which are the reference's here
    assert scores.pop("q9") <= network
    assert scores.pop("q7") <= 1
    assert scores.pop("q5") <= 2  # a network that answers 0 has a loss of 1: that public case holds by itself
    assert scores.pop("q3") <= 1  # the one schedule of the public test
    assert scores == dict.fromkeys(scores, 0)


def test_a_sampler_that_knows_the_answer(right):
    """Monte Carlo boards instead of the network's: q8 names it, and the network without a head gives it away in q9."""
    metropolis = right["metropolis"]

    def sample(model, n, size, temperature, betas, generator=None):
        start = torch.ones(n, size, size)
        start[::2] = -1
        return metropolis(start, temperature, 50, generator).to(betas.dtype)

    names = {**right, "sample": sample}
    found = failures(names, "sample")
    assert next(e.misconception for _, _, e in found if isinstance(e, Mistake)) == "copies"
    recipe = fixtures.load_recipes(ASSIGNMENT)["empty_headed"]
    names["empty_headed"] = recipe(right["Denoiser"], sample)
    failed = [case for _, case, _ in failures(names, "empty_headed")]
    assert failed == ["boards of its own, from the network"]


@pytest.mark.parametrize(
    ("change", "case"),
    [
        (lambda x, T: x.abs() if T < 2 else x * x.mean((1, 2), keepdim=True).sign(), "both signs of the magnetisation"),
        (lambda x, T: x[:10].repeat(50, 1, 1), "boards of its own, from the network"),
        (lambda x, T: torch.randn_like(x), "the energy of your network's boards"),
        (lambda x, T: 3 * x, "the energy of your network's boards"),
        (lambda x, T: x.flatten(1)[:, torch.randperm(64)].reshape(x.shape), "the correlations of your network's boards"),
        (lambda x, T: torch.ones_like(x), "the distribution of |m| of your network's boards"),
    ],
    ids=["one sign", "ten boards", "noise", "too large", "sites in disorder", "all up"],
)  # fmt: skip
def test_boards_that_are_wrong(right, change, case):
    """Each is seen by the test that is meant for it (CALIBRATION B4)."""
    torch.manual_seed(0)
    boards = {T: change(x, T) for T, x in right["generated"].items()}
    assert case in [name for _, name, _ in failures({**right, "generated": boards}, "generated")]


# ------------------------------------------------------------------------------------------------------- the weights


@pytest.fixture(scope="module")
def grade_quickly(tmp_path_factory):
    """Grades with the real fixtures, but three steps of training and forty boards."""
    folder = tmp_path_factory.mktemp("quick")
    source = ASSIGNMENT.fixtures.read_text(encoding="utf-8")
    source = source.replace("STEPS = 1500", "STEPS = 3").replace("BOARDS = 500", "BOARDS = 40")
    with Sandbox() as sandbox:
        yield grader(Judge(copied(folder / "copy", source), sandbox), folder)


def test_without_weights_the_network_is_trained_here(grade_quickly, monkeypatch):
    """The student's own training runs, the student is told, and only what judges the network can lose."""
    monkeypatch.setattr(fixtures, "WORTH_TELLING", 0.0)  # the training is shortened here
    result = grade_quickly("alone.py", script(CELLS).encode())
    assert set(lost(result)) == {"q7", "q9"}
    assert lost(result) == {"q7": 7, "q9": 7}
    assert "There is no weights.safetensors in your submission" in result["output"]
    assert "The root mean square of the boards at T = 1.5 is" in text(result, "q9")


def test_weights_of_another_network(grade_quickly):
    """A text that says what to do."""
    content = {"ising_ddpm.py": script(CELLS), "weights.safetensors": save({"a": torch.zeros(3)})}
    result = grade_quickly("other.zip", archive(content))
    assert set(lost(result)) == {"q7", "q9"}
    assert "weights.safetensors does not fit Denoiser()" in text(result, "q9")


# ----------------------------------------------------------------------------------------------- texts, the notebook


FEEDBACK = {
    "double_bonds": """\
Your `energy` behaves exactly like an energy that counts each bond twice.
Hint: A site has four bonds, but each of them belongs to two sites. How many bonds are there for N sites?

FAILED: energy and magnetisation of a board worked out by hand (0 of 2)
    energy(one spin of 16 turned) is wrong in 1 of 1 numbers. The first one is: expected -1.5, found -3. The largest error is 1.5; 1e-09 is allowed.
    Hint: One spin of 16 is turned. 28 of the 32 bonds are satisfied and 4 are broken, so the energy per site is -(28 - 4) / 16 = -1.5, and the mean spin is (15 - 1) / 16 = 0.875.
passed: correlations of a board worked out by hand (2 of 2)\
""",
    "sign_of_the_result": """\
Your `p_sample_step` behaves like a reverse step that ends with a sign.
Hint: Real numbers come out of the last step; signs are taken when boards are measured.

FAILED: the last step, worked out by hand (0 of 2)
    p_sample_step(model, 1, t=0, ...) is wrong in 48 of 48 numbers. The first one is at index [0, 0, 0]: expected 0.868034, found 1. The largest error is 0.13; 1e-09 is allowed.
    Hint: At t = 0 with beta = 0.2, alpha_bar is 0.8. For x_t = 1 and a network that answers 0.5 the result is (1 - 0.2 / sqrt(0.2) * 0.5) / sqrt(0.8) = 0.8680, without any noise.
passed: mean and variance of an earlier step, worked out by hand (2 of 2)\
""",
}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    result = grade(f"letter-{key}.zip", one_of_each([known]))
    visible = [
        e for e in result["tests"] if e["visibility"] == "visible" and e["name"].startswith(known.question)
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


def test_exact_numbers_in_the_notebook_and_in_the_figures(right):
    """The tables that the notebook and the feedback's figures draw are those of the transfer matrix."""
    moments = fixtures.load_functions(ASSIGNMENT.drawings)["configurations"].__globals__["MOMENTS"]
    for temperature, (energy, magnetization) in right["EXACT"].items():
        exact = ising.transfer_matrix(8, temperature)
        assert energy == pytest.approx(exact.energy, abs=6e-6)
        assert magnetization == pytest.approx(exact.moment(1), abs=6e-6)
        assert moments.get(temperature, magnetization) == magnetization


def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook, with its training and all figures; the weights that it leaves are the reference's."""
    import jupytext
    from safetensors.torch import load as load_tensors

    book = jupytext.read(ASSIGNMENT.reference, fmt="py:percent")
    nbformat.write(book, tmp_path / "ising_ddpm.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "ising_ddpm.ipynb"]
    done = subprocess.run(
        [*command, "--output", "out.ipynb"], cwd=tmp_path, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6
    made, kept = load_tensors((tmp_path / "weights.safetensors").read_bytes()), load_tensors(WEIGHTS)
    assert {name: value.shape for name, value in made.items()} == {n: v.shape for n, v in kept.items()}
