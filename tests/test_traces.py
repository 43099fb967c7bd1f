"""What code reaches for is shown to staff; honest code, and what the kit itself holds, leaves no trace."""

from __future__ import annotations

import pytest

from autograder import submission, traces
from autograder.assignment import load, slugs
from tests import build_submissions as build

ATTENTION = load("attention")


def found(tmp_path, text):
    (tmp_path / "attention.py").write_text(text, encoding="utf-8")
    return traces.find(submission.read(tmp_path / "attention.py", "a", ATTENTION), ATTENTION)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("torch.allclose = lambda *a, **k: True", "replaces functions of a library"),
        ("import ctypes", "uses ctypes"),
        ("frame = sys._getframe(3)", "walks through the interpreter's frames or objects"),
        ("os.kill(os.getppid(), 9)", "starts processes or sends signals"),
        ("from socket import create_connection", "opens network connections"),
        ("open('/autograder/source/tests/q1.py')", "reads the system's or the grader's files"),
        ("pickle.loads(data)", "unpickles or runs text as code"),
        ("    def __eq__(self, other): return True", "defines what it means to be equal"),
    ],
)
def test_what_is_found(tmp_path, line, what):
    """In words, with the line."""
    assert found(tmp_path, f"x = 1\n{line}\n") == [f"{what}: {line.strip()}"]


@pytest.mark.parametrize("name", sorted(name for name in build.honest() if name.endswith(".py")))
def test_honest_styles_leave_none(tmp_path, name):
    """They need nothing of the kind."""
    assert found(tmp_path, build.honest()[name].decode()) == []


@pytest.mark.parametrize("slug", slugs())
def test_references_and_stubs_leave_none(slug):
    """Of every assignment."""
    assignment = load(slug)
    for path in (assignment.reference, assignment.template / f"{slug}.py"):
        assert traces.find(submission.read(path, path.name, assignment), assignment) == []


def test_an_assignment_to_ones_own_is_none(tmp_path):
    """An attribute of a module of the student's, a comparison, a name that begins alike."""
    assert found(tmp_path, "self.torch.x = 1\ntorch.x == y\ntorchish.y = 2\n") == []
