"""Results as JSON and back: nothing is lost, and nothing that is not plain gets in."""

from __future__ import annotations

import pytest

from autograder.diagnosis import Diagnosis
from autograder.figures import Figure
from autograder.grading import QuestionResult, Result
from autograder.plain import from_json, to_json
from autograder.sandbox.session import Usage
from autograder.suite import CaseResult, Outcome
from autograder.worker import Reply

CASES = [
    CaseResult("hand", False, 2, Outcome.PASSED, seconds=0.25),
    CaseResult("values", True, 2, Outcome.FAILED, text="no\udcff\x00", cause="wrong", mistake="bare"),
    CaseResult("shape", True, 2, Outcome.COULD_NOT_TELL, detail="trace"),
]
RESULT = Result(
    "ünï☃\udcff.py",
    questions=[
        QuestionResult("q1", "Softmax", 2, 6, CASES, diagnosis=Diagnosis("bare", "Your ...", "Why?")),
        QuestionResult("q2", "A gate", 0, 4, [], policy="0 points", note="n"),
    ],
    possible=10,
    usage=Usage(1.5, 0.5, 80.25, 2, "printed"),
    layers=["limits", "seccomp"],
    leaderboard={"perplexity": 12.5},
    figures=[Figure("heads", "Heads", "[1, 2]")],
)


def test_there_and_back():
    """Everything that a result holds comes back, with its types."""
    back = from_json(Result, to_json(RESULT))
    assert back == RESULT
    assert back.questions[0].cases[1].outcome is Outcome.FAILED
    assert back.questions[0].diagnosis == Diagnosis("bare", "Your ...", "Why?")
    assert to_json(RESULT).isascii()


def test_bytes():
    """They travel as text."""
    assert from_json(Reply, to_json(Reply(RESULT, packed=b"\x00\xff"))).packed == b"\x00\xff"


def test_an_older_text_without_a_new_field():
    """A field with a default may be missing, so that the store need not be made anew for it."""
    assert from_json(Usage, '{"seconds": 1.0}') == Usage(seconds=1.0)


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j], ids=["object", "set", "complex"])
def test_what_is_not_plain(value):
    """It is refused at the place where it was made, not when it is read."""
    with pytest.raises(TypeError, match="has no place in a result"):
        to_json(value)


def test_a_text_of_another_kind():
    """A field that is not known is an error, and no result."""
    with pytest.raises(KeyError, match="surprise"):
        from_json(Usage, '{"surprise": 1}')
