"""Mutants, graded: what a suite lets pass is reported, unless it is excused, and what needs no excuse as well."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from autograder.assignment import AssignmentError, load
from autograder.validate import excuses
from autograder.validate.model import Options
from autograder.validate.mutants import make
from autograder.validate.mutation import CHUNK, Fate, Mutation
from tests.validate.test_faults import Q1, STACK

SOFTMAX = ["from 0"]  # the mutants of softmax, and a few more


def survivors(verdict):
    """The lines that survive, of softmax."""
    return {
        text.split("\n+")[-1].split("\n")[0].strip() for text in verdict.errors if "softmax survives" in text
    }


def test_a_loosened_and_a_removed_test_let_mutants_pass(examined, edit):
    """Planted faults: what only that test noticed survives and is shown, or falls in another question alone."""
    rounded = "return (powers / powers.sum(dim=-1, keepdim=True)).float()"
    other_axis = "softmax: `return powers / powers.sum(dim=0, keepdim=True)`"
    sound = examined(Mutation(), pieces=SOFTMAX)
    assert not [text for text in survivors(sound) if text.startswith(rounded)]
    assert not [finding for finding in sound.findings if finding.text.startswith(other_axis)]
    loosened = 'dim=-1), tolerance=1.0, what="softmax(x), x of'
    edit(Q1, ('dim=-1), what="softmax(x), x of', loosened))
    verdict = examined(Mutation(), pieces=SOFTMAX)
    assert [text for text in survivors(verdict) if text.startswith(rounded)]
    assert [finding for finding in verdict.findings if finding.text.startswith(other_axis)]
    edit(
        Q1,
        (STACK.replace('dim=-1), what="softmax(x), x of', loosened), ""),
        ('name="two numbers by hand",\n    points=2', 'name="two numbers by hand",\n    points=3'),
    )
    assert survivors(verdict) <= survivors(examined(Mutation(), pieces=SOFTMAX))


@pytest.fixture
def concluded(root):
    """What follows where the mutants with these changed lines survive, and all others are killed."""

    def concluded(*surviving, options=Options(), fate=Fate("q1: a case")):  # noqa: B008  both are frozen
        assignment, found = load("mini", root), {}
        mutants = make(assignment.reference.read_text(encoding="utf-8"))
        fates = [asdict(Fate() if m.mutant in surviving else fate) for m in mutants]
        for start in range(0, len(fates), CHUNK):
            found[f"from {start}"] = fates[start : start + CHUNK]
        return Mutation().conclude(assignment, found, options)

    return concluded


EXCUSE = """
[[mutants]]
name = "softmax"
original = "powers = torch.exp(x - x.amax(dim=-1, keepdim=True))"
mutant = "powers = torch.exp(x + x.amax(dim=-1, keepdim=True))"
reason = "No large number is promised to work."
"""
SURVIVOR = "powers = torch.exp(x + x.amax(dim=-1, keepdim=True))"


def excuse(root, text):
    (root / "assignments" / "mini" / excuses.FILE).write_text(text, encoding="utf-8")


def test_survivors_and_excuses(concluded, root):
    """A survivor is an error, excused none; an excuse that no survivor needs is one again."""
    assert concluded().errors == []
    (error,) = concluded(SURVIVOR).errors
    assert error.startswith("a mutant of softmax survives:\n--- softmax")
    assert f"+    {SURVIVOR}" in error
    excuse(root, EXCUSE)
    excused = concluded(SURVIVOR)
    assert excused.errors == []
    assert excused.data["excused"] == 1
    (stale,) = concluded().errors
    assert stale == (
        f"equivalent.toml: no mutant of softmax survives as `{SURVIVOR}` for "
        "`powers = torch.exp(x - x.amax(dim=-1, keepdim=True))`"
    )
    slow = Fate("q1: a case", late=True)
    assert concluded(fate=slow).errors == []  # too slow this time only, as far as one can know


def test_killed_elsewhere(concluded):
    """It counts as killed, and is noted: the student would be sent to another question."""
    verdict = concluded(fate=Fate("q2: values", elsewhere=True))
    assert verdict.errors == []
    assert verdict.data["elsewhere"] == verdict.data["mutants"] == len(verdict.findings)
    assert "falls only in q2: values" in verdict.findings[0].text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[mutants]]\nname = 'a'\n", "expected are name, original, mutant, reason"),
        (EXCUSE.replace("No large number is promised to work.", " "), "entry 1 says no reason"),
        (EXCUSE + EXCUSE, "entry 2 is there twice"),
        ("[[mutants", "equivalent.toml of mini"),
    ],
)
def test_malformed_excuses(root, text, says):
    """Each says what is wrong with it."""
    excuse(root, text)
    with pytest.raises(AssignmentError, match=says):
        excuses.read(load("mini", root))
