"""Running Otter's test files: three outcomes, their texts, and what a broken test may never do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from autograder import suite
from autograder.assignment import AssignmentError, load
from autograder.sandbox.errors import BadAnswer, Died, NotDefined, SandboxError, TimedOut, student_error
from autograder.suite import Outcome

SAMPLE = Path(__file__).parent / "data" / "sample"


class Observer:
    """Notes the cases that begin; says what it was told to say about the tests."""

    def __init__(self, sound=True):
        self.sound, self.begun = sound, []

    def begin_case(self, question, case, seed):
        self.begun.append((question, case, seed))

    def passes_on_reference(self, body):
        return self.sound


def right(x):
    """A right softmax."""
    if not x.numel():
        raise ValueError("empty")
    return torch.softmax(x, -1)


def raising(error):
    """A softmax that raises this."""

    def softmax(x):
        raise error

    return softmax


def judged(softmax, observer=None):
    """How the three cases of the sample's q1 end with this function."""
    file = suite.load(load("mini", SAMPLE))["q1"]
    return file.judge({"softmax": softmax}, observer or Observer()), file


def test_right_answer():
    """All pass, nothing is said, and Otter counts the points."""
    cases, file = judged(right)
    assert [case.outcome for case in cases] == [Outcome.PASSED] * 3
    assert [case.text for case in cases] == [""] * 3
    assert file.score == 4


OF_STUDENT = {
    "wrong": (lambda x: x * 0, "softmax([0, ln 3]) is wrong in 2 of 2 numbers."),
    "raised": (raising(student_error("KeyError", "'w'", "  at line 3", [])), "Your code raised KeyError: 'w'"),
    "exited": (raising(student_error("SystemExit", "", "", [])), "Your code called sys.exit"),
    "timed_out": (raising(TimedOut("It was stopped.")), "It was stopped."),
    "died": (raising(Died("Python itself crashed (abort).")), "Your code ended the Python process that it ran in"),
    "bad_answer": (raising(BadAnswer("What came back cannot be passed on.")), "What came back"),
    "not_defined": (raising(NotDefined("`softmax` is not defined.")), "`softmax` is not defined."),
}  # fmt: skip


@pytest.mark.parametrize("cause", OF_STUDENT)
def test_failures_of_students(cause):
    """What a student's code did is a failure with its own cause and text, and staff get the traceback."""
    softmax, text = OF_STUDENT[cause]
    case = judged(softmax)[0][0]
    assert (case.outcome, case.cause) == (Outcome.FAILED, cause)
    assert text in case.text
    assert "Traceback" in case.detail


@pytest.mark.parametrize("error", [SandboxError("no child"), MemoryError()])
def test_faults_of_the_grader(error):
    """What went wrong on the grader's side is never charged: in a case that expects an exception neither."""
    cases, file = judged(raising(error))
    assert [case.outcome for case in cases] == [Outcome.COULD_NOT_TELL] * 3
    assert all("That is not your fault" in case.text for case in cases)
    assert file.score == 0


def test_memory_error_of_a_student():
    """Running out of memory in the student's own process is the student's."""
    case = judged(raising(student_error("MemoryError", "", "", [])))[0][0]
    assert (case.outcome, case.cause) == (Outcome.FAILED, "raised")


def test_timeout_where_an_exception_is_expected():
    """A case that waits for ValueError tells of the process that ended, not of a wrong exception."""
    cases, _ = judged(lambda x: right(x) if x.numel() else raising(TimedOut("It was stopped."))(x))
    assert (cases[2].cause, cases[2].text) == ("timed_out", "It was stopped.")


def test_broken_test():
    """A case that the reference fails too says so, and costs nobody anything in silence."""
    case = judged(lambda x: x, Observer(sound=False))[0][0]
    assert (case.outcome, case.cause) == (Outcome.COULD_NOT_TELL, "suite")
    assert case.text.startswith("This test does not work: the reference solution fails it too.")


def test_ends_twice():
    """After two cases that ended the process, the rest of the question is left out."""
    cases, _ = judged(raising(TimedOut("It was stopped.")))
    assert [case.cause for case in cases] == ["timed_out", "timed_out", "left_out"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_default_dtype_ends_with_its_case(fails):
    """A test may change torch's default dtype for what it asks, and forget to change it back."""

    def softmax(x):
        torch.set_default_dtype(torch.float64)
        return None if fails else right(x)

    judged(softmax)
    assert torch.get_default_dtype() is torch.float32


def test_seeds():
    """Each case has a seed of its own, the same in every run."""
    first, second = Observer(), Observer()
    judged(right, first)
    judged(right, second)
    assert first.begun == second.begun
    assert len({seed for *_, seed in first.begun}) == 3


@pytest.fixture
def copy(tmp_path):
    """The sample's root, to be changed."""
    return Path(shutil.copytree(SAMPLE, tmp_path / "sample"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points=2", "points=3", "gives 5 points as 'q1', but assignment.toml says 4 for 'q1'"),
        ('name = "q1"', 'name = "q9"', "gives 4 points as 'q9'"),
        ("OK_FORMAT = False", "OK_FORMAT = (", "q1.py of mini cannot be loaded: SyntaxError"),
        ("import torch", "import torch_of_another_name", "ModuleNotFoundError"),
    ],
)
def test_unusable_files(copy, old, new, message):
    """A test file that does not fit its assignment is refused when it is loaded, before anybody is graded."""
    path = copy / "assignments" / "mini" / "tests" / "q1.py"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AssignmentError, match=message.replace("(", r"\(")):
        suite.load(load("mini", copy))


def test_clean():
    """No addresses, which change from run to run, and nothing that a terminal would obey."""
    assert suite.clean("<f at 0x7f12ab>\x1b[31m\x00é\n") == "<f at 0x...>?[31m?é\n"


def test_the_judge_imports_only_what_it_needs():
    """Otter's test files come without pandas and nbconvert, which would double the time of a cold start."""
    code = "import sys, autograder.batch; print(sorted({'pandas', 'nbconvert', 'sympy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
