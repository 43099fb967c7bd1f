"""Faults planted in a suite are reported: a hidden test removed, a tolerance loosened, a threshold that is luck."""

from __future__ import annotations

from autograder.validate.answers import Answers
from autograder.validate.flakiness import Flakiness
from autograder.validate.misconceptions import Misconceptions
from autograder.validate.model import Options
from autograder.validate.promises import Promises

Q1 = "assignments/mini/tests/q1.py"
STACK = """# Its sizes differ, so that an axis cannot be mixed up unseen.
@test_case(
    name="stacks of rows",
    points=1,
    hidden=True,
    failure_message="Each row along the last dimension is a softmax of its own.",
)
def test_stack(softmax):
    x = stacked(seed=20)
    check_close(softmax(x), torch.softmax(x, dim=-1), what="softmax(x), x of shape (2, 3, 5)")
"""
DRAWN = """
@test_case(name="luck", points=1, hidden=True, failure_message="The mean of ten numbers is near 0.")
def test_luck(softmax):
    assert softmax(stacked(seed=3).flatten())[0] < {limit}


"""


def test_the_sample_itself_is_sound(examined):
    """What follows is reported for what was planted, and for nothing else."""
    assert examined(Misconceptions()).findings == []
    assert examined(Promises()).findings == []
    assert examined(Flakiness(), Options(seeds=3)).findings == []


def test_a_hidden_test_is_removed(examined, edit):
    """Its point goes to another test, so that the points add up: a mistake gets through, and a promise is empty."""
    edit(
        Q1,
        (STACK, ""),
        ('name="two numbers by hand",\n    points=2', 'name="two numbers by hand",\n    points=3'),
    )
    assert examined(Misconceptions()).errors == [
        "first_dimension loses nothing: no test of q1 notices a softmax over the first dimension"
    ]
    edit(Q1, ('name="no numbers at all"', 'name="nothing"'))
    assert examined(Promises()).errors == [
        "promise 'x is empty' of softmax: there is no test 'q1: no numbers at all'",
        "promise 'x is empty' of softmax: no hidden test holds a student to it",
    ]


def test_a_tolerance_is_loosened(examined, edit):
    """A mistake that the test was there for gets through."""
    edit(Q1, ('dim=-1), what="softmax(x), x of', 'dim=-1), tolerance=1.0, what="softmax(x), x of'))
    assert examined(Misconceptions()).errors == [
        "first_dimension loses nothing: no test of q1 notices a softmax over the first dimension"
    ]


def test_a_threshold_is_luck(examined, edit):
    """With the numbers that it draws in grading it passes; of others, about half are beyond the limit."""
    luck = DRAWN.format(limit=0.025).lstrip("\n")
    edit(Q1, (STACK, luck))
    assert examined(Flakiness(), pieces=["1-6"]).errors[0].startswith("q1: luck: ")


def test_a_stated_rate_is_exceeded(examined, edit):
    """The same test says that a check fails a right answer once in 10,000, and is counted; a true rate is noted."""
    luck = DRAWN.format(limit="0.025 if FALSE_FAIL else 0").lstrip("\n")
    edit(Q1, (STACK, luck), ("HAND = [", "FALSE_FAIL = 1e-4\nHAND = ["))
    (error,) = examined(Flakiness(), pieces=["1-6"]).errors
    assert "of 6 failed, at most" in error
    assert "(95 % confidence); stated: 0.12 % at most" in error
    edit(Q1, ("FALSE_FAIL = 1e-4", "FALSE_FAIL = 0.05"))
    verdict = examined(Flakiness(), pieces=["1-6"])
    assert verdict.errors == []
    assert len(verdict.findings) == 1


def test_a_reference_that_is_luck(examined, edit):
    """It draws from a seed that it sets itself: what that seed comes to must not decide."""
    drawn = "torch.manual_seed(0)\n    entropy = (torch.rand(()) < 0.6).int() * -(shares"
    edit(
        "reference/mini.py",
        ("    entropy = -(shares", f"    # BEGIN SOLUTION\n    {drawn}"),
        ("sum(dim=-1)  # SOLUTION", "sum(dim=-1)\n    # END SOLUTION"),
    )
    assert examined(Answers(), pieces=["reference.py"]).errors == []
    (error,) = examined(Flakiness(), pieces=["1-5"]).errors
    assert error.startswith("q2: entropy: ")
