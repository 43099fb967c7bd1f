"""The Ising diffusion assignment through the real grader: right answers, the stub, every misconception, weights.

Drawing boards from a network takes ten seconds, so most submissions are judged by a copy of the assignment whose
fixtures return what the reference's network made; one goes the whole way.
"""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import inspect
import re
import shutil
from itertools import zip_longest

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save

from autograder import fixtures, suite
from autograder.assignment import load
from autograder.checks import Mistake, ising
from autograder.diagnosis import load_misconceptions, load_reference
from autograder.grading import Judge
from autograder.sandbox.session import Sandbox
from autograder.validate.submissions import mistaken, reference, right_cells, stub
from tests.assignments import NOT_YET, ROOT, Standard, grader, honest, one_thread
from tests.build_submissions import script

ASSIGNMENT = load("ising_ddpm", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
WEIGHTS = ASSIGNMENT.reference_artifact(ASSIGNMENT.artifacts[0]).read_bytes()
RIGHT = script(right_cells(ASSIGNMENT))
SUITE = suite.load(ASSIGNMENT)
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


@pytest.fixture(scope="module")
def grade(right, tmp_path_factory):
    """Grades with what the reference's network made in place of the fixtures."""
    folder = tmp_path_factory.mktemp("ising")
    recipes = fixtures.load_recipes(ASSIGNMENT)
    torch.save({name: right[name] for name in recipes}, folder / "stored.pt")
    source = f"import torch\nSTORED = torch.load({str(folder / 'stored.pt')!r})\n"
    source += "".join(f"def {name}():\n    return STORED[{name!r}]\n" for name in recipes)
    with one_thread(), Sandbox() as sandbox:
        yield grader(Judge(copied(folder / "copy", source), sandbox), folder)


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


class TestIsingDdpm(Standard):
    assignment = ASSIGNMENT
    figures = 6
    letters = FEEDBACK
    seen_by_tests = None
    test_library_answers_earn_nothing = None  # nothing is forbidden
    notebook_seconds = 400  # it trains
    test_misconception = None  # below, in rounds: 7 submissions instead of 46

    def test_untouched_stub(self, grade, kind):
        """Nothing is earned but for the trained network, which is not the stub's here; each question says why."""
        graded = grade(stub(ASSIGNMENT, kind))
        assert graded.lost.keys() == POINTS.keys()
        public = [entry for entry in graded.report["tests"] if entry["visibility"] == "visible"]
        first = [entry["output"] for entry in public if not entry["name"].startswith(("q7", "q9"))]
        assert first == [NOT_YET] * 7

    def test_notebook_runs_from_top_to_bottom(self, tmp_path):
        """With its training; the weights that it leaves are the reference's, in form."""
        self.run_notebook(tmp_path)
        made, kept = load_tensors((tmp_path / "weights.safetensors").read_bytes()), load_tensors(WEIGHTS)
        assert {name: value.shape for name, value in made.items()} == {n: v.shape for n, v in kept.items()}


# -------------------------------------------------------------------------------------------------------- the suite


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


# --------------------------------------------------------------------------------------------------- the whole way


@pytest.fixture(scope="module")
def grade_in_full(tmp_path_factory):
    """Grades with the real fixtures."""
    with one_thread(), Sandbox() as sandbox:
        yield grader(Judge(ASSIGNMENT, sandbox), tmp_path_factory.mktemp("full"))


def test_the_whole_way(grade_in_full):
    """The reference with its weights, in a real sandbox, with the real fixtures: all points and four figures."""
    graded = grade_in_full(reference(ASSIGNMENT, "py"))
    result = graded.result
    assert graded.lost == {}, graded.why
    assert result.score == ASSIGNMENT.possible
    assert result.message == ""
    assert [figure.name for figure in result.figures] == [p.name for p in ASSIGNMENT.figures], result.detail
    assert result.usage.cpu_seconds < 60
    assert result.usage.peak_mb < 700


def test_untouched_stub_the_whole_way(grade_in_full):
    """With the real fixtures: 0 points."""
    graded = grade_in_full(stub(ASSIGNMENT, "py"))
    assert graded.report["score"] == 0
    assert graded.entries(visible=True) == [NOT_YET] * 9


# --------------------------------------------------------------------------------------------------- misconceptions

BY_QUESTION = [[m for m in MISCONCEPTIONS if m.question == question] for question in POINTS]
ROUNDS = [[m for m in row if m] for row in zip_longest(*BY_QUESTION)]  # every misconception in one of seven


@pytest.mark.parametrize("mistakes", ROUNDS, ids=lambda mistakes: mistakes[0].key)
def test_misconceptions_are_named(grade, mistakes):
    """Each loses its question and no other, and the feedback has its name and its hint."""
    graded = grade(mistaken(ASSIGNMENT, {m.replaces: m.key for m in mistakes}))
    assert set(graded.lost) == {m.question for m in mistakes}
    assert graded.diagnoses == {m.question: m.key for m in mistakes}
    for known in mistakes:
        TestIsingDdpm().check_named(graded.text(known.question), known)


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
    source = {path.stem: path for path in honest(ASSIGNMENT)}[name].read_text(encoding="utf-8")
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
    graded = grade({"nothing.py": NOTHING})
    scores = dict(graded.scores)
    assert graded.report["extra_data"]["status"] == "graded"
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
    with one_thread(), Sandbox() as sandbox:
        yield grader(Judge(copied(folder / "copy", source), sandbox), folder)


def test_without_weights_the_network_is_trained_here(grade_quickly, monkeypatch):
    """The student's own training runs, the student is told, and only what judges the network can lose."""
    monkeypatch.setattr(fixtures, "WORTH_TELLING", 0.0)  # the training is shortened here
    graded = grade_quickly({"alone.py": RIGHT})
    assert set(graded.lost) == {"q7", "q9"}
    assert graded.lost == {"q7": 7, "q9": 7}
    assert "There is no weights.safetensors in your submission" in graded.report["output"]
    assert "The root mean square of the boards at T = 1.5 is" in graded.text("q9")


def test_weights_of_another_network(grade_quickly):
    """A text that says what to do."""
    other = save({"a": torch.zeros(3)})
    graded = grade_quickly({"ising_ddpm.py": RIGHT, "weights.safetensors": other})
    assert set(graded.lost) == {"q7", "q9"}
    assert "weights.safetensors does not fit Denoiser()" in graded.text("q9")


def test_exact_numbers_in_the_notebook_and_in_the_figures(right):
    """The tables that the notebook and the feedback's figures draw are those of the transfer matrix."""
    moments = fixtures.load_functions(ASSIGNMENT.drawings)["configurations"].__globals__["MOMENTS"]
    for temperature, (energy, magnetization) in right["EXACT"].items():
        exact = ising.transfer_matrix(8, temperature)
        assert energy == pytest.approx(exact.energy, abs=6e-6)
        assert magnetization == pytest.approx(exact.moment(1), abs=6e-6)
        assert moments.get(temperature, magnetization) == magnetization
