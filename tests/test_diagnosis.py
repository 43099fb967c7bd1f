"""Which mistake explains a wrong answer: clues from the numbers, and misconceptions by replay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from autograder import submission
from autograder.assignment import load
from autograder.diagnosis import Diagnostician, Misconception, clue, load_misconceptions, load_reference
from autograder.grading import Judge
from autograder.sandbox.calls import Record
from autograder.sandbox.host import Sandbox

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")
WANTED = torch.arange(1.0, 10.0, dtype=torch.float64).reshape(3, 3).sin() + 2
LONG = torch.arange(8.0).sin()


@pytest.mark.parametrize(
    ("key", "found", "wanted", "text"),
    [
        ("clue:transposed", WANTED.mT, WANTED, "The result of `f` is right but transposed."),
        ("clue:transposed", WANTED[:2].mT, WANTED[:2], "The result of `f` is right but transposed."),
        ("clue:factor", WANTED * 3, WANTED, "The result of `f` is 3 times what it should be, everywhere."),
        ("clue:factor", -WANTED, WANTED, "The result of `f` is -1 times what it should be, everywhere."),
        ("clue:shifted", LONG.roll(1), LONG, "The result of `f` is right but shifted by one position."),
        ("clue:zeros", WANTED * 0, WANTED, "The result of `f` is zero everywhere."),
        ("clue:nan", WANTED / 0 * 0, WANTED, "The result of `f` contains NaN"),
    ],
)
def test_clues(key, found, wanted, text):
    """What a wrong tensor looks like beside the right one."""
    diagnosis = clue("`f`", found, wanted)
    assert diagnosis is not None
    assert diagnosis.key == key
    assert diagnosis.text.startswith(text)


def test_detached():
    """Right numbers, and no way back for a gradient."""
    leaf = WANTED.clone().requires_grad_()
    diagnosis = clue("`f`", (leaf * 2).detach(), leaf * 2)
    assert diagnosis.key == "clue:detached"


@pytest.mark.parametrize(
    "found",
    [
        WANTED,
        WANTED + torch.eye(3),
        WANTED[:2],
        WANTED > 2,
        torch.empty(0),
        torch.full((3, 3), float("inf")).double(),
    ],
)
def test_no_clue(found):
    """Where nothing fits, nothing is said."""
    assert clue("`f`", found, WANTED) is None


def record(**changes):
    """One call of `softmax` as the judge saw it."""
    x = torch.tensor([[1.0, 2.0], [4.0, 3.0]], dtype=torch.float64)
    call = Record("softmax", (x,), {}, grad_enabled=True, seed=1, tensors=[x])
    for name, value in changes.items():
        setattr(call, name, value)
    return call


@pytest.fixture(scope="module")
def diagnostician():
    """Knows the sample's reference and misconceptions."""
    return Diagnostician(load_reference(SAMPLE), load_misconceptions(SAMPLE))


def test_misconception(diagnostician):
    """The calls are replayed; the one that does the same names the mistake."""
    wrong = torch.softmax(record().tensors[0], 0)
    found = diagnostician.explain("q1", [record(result=wrong, outputs=[wrong])])
    assert found.key == "first_dimension"
    assert found.text == "Your `softmax` behaves exactly like a softmax over the first dimension."
    assert found.hint == "Which dimension should sum to 1?"


def test_only_if_all_calls_agree(diagnostician):
    """One call in which it does something else, and it is not that mistake."""
    wrong = torch.softmax(record().tensors[0], 0)
    records = [record(result=wrong, outputs=[wrong]), record(result=wrong + 1, outputs=[wrong + 1])]
    assert getattr(diagnostician.explain("q1", records), "key", "") != "first_dimension"


def test_not_for_another_question(diagnostician):
    """A mistake of q1 does not explain q2."""
    wrong = torch.softmax(record().tensors[0], 0)
    found = diagnostician.explain("q2", [record(result=wrong, outputs=[wrong])])
    assert getattr(found, "key", "") != "first_dimension"


def test_what_a_test_names_is_not_looked_for(diagnostician):
    """A training is known by its results: nothing is recorded where no misconception of a question is replayed."""
    slow = Misconception("slow", "q3", "train", "a slow one", "", lambda: 1 / 0, replayed=False)
    known = Diagnostician({}, [*diagnostician.misconceptions, slow])
    assert [known.replays(question) for question in ("q1", "q3", "q4")] == [True, False, True]
    wrong = torch.softmax(record().tensors[0], 0)
    shy = [replace(m, replayed=False) for m in diagnostician.misconceptions]
    found = Diagnostician(diagnostician.reference, shy).explain("q1", [record(result=wrong, outputs=[wrong])])
    assert getattr(found, "key", "") != "first_dimension"
    assert known.named("slow").text == "Your `train` behaves like a slow one."


def test_right_calls_need_no_explanation(diagnostician):
    """Nothing wrong was returned: nothing is explained."""
    good = torch.softmax(record().tensors[0], -1)
    assert diagnostician.explain("q1", [record(result=good, outputs=[good])]) is None


def test_a_misconception_that_fails_to_run_explains_nothing():
    """A diagnosis is a courtesy: an error in it is no answer, and no crash."""
    broken = Misconception("broken", "q1", "softmax", "", "", lambda x: 1 / 0)
    found = Diagnostician({"softmax": torch.softmax}, [broken]).explain("q1", [record(result=object())])
    assert found is None


def test_nothing_to_go_by(diagnostician):
    """No calls, or calls of unknown names only."""
    assert diagnostician.explain("q1", []) is None
    assert diagnostician.explain("q1", [record(name="other")]) is None


def test_through_the_sandbox(tmp_path):
    """A module with a known mistake, from a script to a diagnosis; its parameters are the judge's."""
    reference = SAMPLE.reference.read_text(encoding="utf-8")
    path = tmp_path / "mini.py"
    path.write_text(reference.replace("return softmax(x @ self.W)", "return x @ self.W"), encoding="utf-8")
    with Sandbox() as sandbox:
        result = Judge(SAMPLE, sandbox).grade(submission.read(path, path.name, SAMPLE))
    assert [question.diagnosis and question.diagnosis.key for question in result.questions] == [
        None,
        "BareGate",
    ]
    assert [question.score for question in result.questions] == [4, 2]
