"""The tests of the attention assignment, examined in process: right answers pass, wrong ones fail where they should."""

import importlib.util
from pathlib import Path

import pytest
from otter.test_files import ExceptionTestFile
from torch import nn

from autograder.assignment import load
from autograder.diagnosis import load_misconceptions, load_reference

ASSIGNMENT = load("attention")
SUITE = {q.name: ExceptionTestFile.from_file(str(ASSIGNMENT.test_file(q.name))) for q in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((Path(__file__).parents[1] / "submissions" / "attention" / "honest").glob("*.py"))


def failures(namespace):
    """Question, case and message of each test case that this namespace fails."""
    found = []
    for question, file in SUITE.items():
        file.run(namespace)
        found += [(question, r.test_case.name, r.message) for r in file.test_case_results if not r.passed]
    return found


def loaded(path):
    """The names that a script defines."""
    spec = importlib.util.spec_from_file_location(f"honest_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@pytest.fixture(scope="module")
def right():
    return load_reference(ASSIGNMENT)


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_points_and_cases(question):
    """The points add up, at least half are hidden, and each case has its own name and a hint."""
    cases = SUITE[question.name].test_cases
    hidden = [case for case in cases if case.hidden]
    assert sum(case.points for case in cases) == question.points
    assert sum(case.points for case in hidden) >= question.points / 2
    assert 2 <= len(cases) - len(hidden) <= 3
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.failure_message and "hidden" not in case.failure_message.lower() for case in cases)


def test_reference_passes(right):
    """The reference is right in every case."""
    assert failures(right) == []


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles_pass(path):
    """However a right solution is written, it loses nothing."""
    assert failures(loaded(path)) == []


def test_there_are_enough_of_them():
    """At least eight honest styles, at least eight misconceptions, and each question has some."""
    assert len(HONEST) >= 8
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(SUITE)
    assert len({(m.question, m.name) for m in MISCONCEPTIONS}) == len(MISCONCEPTIONS)


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception_loses_its_question_and_no_other(misconception, right):
    """In place of its one name, with everything else right."""
    failed = failures({**right, misconception.replaces: misconception.implementation})
    assert {question for question, _, _ in failed} == {misconception.question}


def test_unwritten_functions_are_told_so():
    """A function that returns None and a class without content fail every public case, with a text that says it."""

    class Empty(nn.Module):
        def __init__(self, *_):
            super().__init__()

        def forward(self, *_):
            return None

    names = [name for question in ASSIGNMENT.questions for name in question.defines]
    namespace = {name: Empty if name[0].isupper() else lambda *_: None for name in names}
    failed = failures(namespace)
    public = [(q, case.name) for q, file in SUITE.items() for case in file.test_cases if not case.hidden]
    texts = {(question, case): text for question, case, text in failed}
    assert len(failed) == sum(len(file.test_cases) for file in SUITE.values())
    assert all("not implemented yet" in texts[key] for key in public)
