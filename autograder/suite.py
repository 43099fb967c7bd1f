"""Runs Otter's own test files against the names that a submission defines, and says how each case ended.

The test files, their points and their scoring are Otter's (`otter.test_files`); what is added here is what a judge
needs to know: one of three outcomes for each case, and what to tell the student.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import re
import sys
import time
import traceback
import zlib
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import torch

from autograder.assignment import Assignment, AssignmentError
from autograder.fixtures import Names
from autograder.sandbox.errors import (
    BadAnswer,
    Died,
    NotDefined,
    Overused,
    SandboxError,
    StudentError,
    StudentFailure,
    TimedOut,
)
from autograder.seeds import varied

MAX_ENDED = 2  # cases of one question that may end the student's process before the rest of it is left out


def _import_otter_test_files() -> None:
    """Imports `otter.test_files` without Otter's other parts (pandas, nbconvert, Playwright).

    Measured: 0.14 s instead of 0.70 s, a fifth of the time that grading one submission takes from a cold start.
    """
    if "otter" not in sys.modules:
        spec = importlib.util.find_spec("otter")
        assert spec is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["otter"] = package
        try:
            importlib.import_module("otter.test_files")
        finally:
            if sys.modules.get("otter") is package:
                del sys.modules["otter"]  # whoever imports Otter later gets all of it


_import_otter_test_files()

from otter.test_files.abstract_test import TestCaseResult  # noqa: E402
from otter.test_files.exception_test import ExceptionTestFile  # noqa: E402


class Outcome(str, Enum):
    """How a test case ended."""

    PASSED = "passed"
    FAILED = "failed"
    COULD_NOT_TELL = "could_not_tell"


@dataclass
class CaseResult:
    """One test case of one submission.

    Attributes:
        text: what the student reads.
        hint: the test author's hint, for the student.
        detail: for staff: the exception, the line of the test.
        cause: a code for machines: "" or the kind of failure, such as "timed_out".
        mistake: the misconception that the test itself has found, if any.
    """

    name: str
    hidden: bool
    points: float
    outcome: Outcome
    text: str = ""
    hint: str = ""
    detail: str = ""
    cause: str = ""
    seconds: float = 0.0
    mistake: str = ""


class Observer(Protocol):
    """Is told where the judge is, so that seeds, operators and calls belong to a case."""

    def begin_case(self, question: str, case: str, seed: int) -> None:
        """A case begins."""

    def passes_on_reference(self, case: Any) -> bool:
        """Whether the reference solution passes this case: if it doesn't, the test is wrong and not the student."""


class JudgedTestFile(ExceptionTestFile):  # type: ignore[misc]
    """Otter's exception-based test file with a record of outcomes.

    Attributes:
        cases: filled by `judge`.
    """

    cases: list[CaseResult]
    test_case_results: list[Any]
    _ended: int

    def judge(self, namespace: Names, observer: Observer, hidden: bool | None = None) -> list[CaseResult]:
        """Runs the cases; Otter's `test_case_results`, and so its score, are filled as well.

        Args:
            namespace: gives the names that the tests ask for.
            observer: is told about each case.
            hidden: False: begin anew, with the public cases; True: go on with the hidden ones; None: begin with all.

        Returns:
            What is known so far.
        """
        if not hidden:
            self.cases, self.test_case_results, self._ended = [], [], 0
        for case in self.test_cases:
            if hidden is None or case.hidden is hidden:
                self._judge(case, namespace, observer)
        return self.cases

    def _judge(self, case: Any, namespace: Names, observer: Observer) -> None:
        if self._ended >= MAX_ENDED:
            result = _left_out(case)
        else:
            result = _run_case(case, namespace, observer, self.name)
        self._ended += result.cause in ("timed_out", "died", "overused")
        self.cases.append(result)
        passed = result.outcome is Outcome.PASSED
        self.test_case_results.append(TestCaseResult(test_case=case, message=result.text, passed=passed))

    def passes(self, names: Collection[str], namespace: Names, observer: Observer) -> bool:
        """Whether these cases pass with other names; what is known of them stays as it is.

        Raises:
            SandboxError: one of them could not be run.
        """
        return all(
            _passes(case, namespace, observer, self.name) for case in self.test_cases if case.name in names
        )

    def repeat(self, namespace: Names, observer: Observer) -> None:
        """Runs all cases once more as they were run, for whoever watches the calls; what comes of it does not count."""
        for case in self.test_cases:
            with suppress(Exception):
                observer.begin_case(self.name, case.name, _seed(self.name, case.name))
                call(case, namespace)


def load(assignment: Assignment, fixtures: Collection[str] = ()) -> dict[str, JudgedTestFile]:
    """The test file of each question.

    Args:
        assignment: whose.
        fixtures: names that only the judge can give, which public tests must not ask for.

    Raises:
        AssignmentError: a file is missing or malformed, or its points are not those of `assignment.toml`.
    """
    files = {}
    for question in assignment.questions:
        path = assignment.test_file(question.name)
        try:
            file = JudgedTestFile.from_file(str(path))
        except Exception as error:
            raise AssignmentError(f"{path.name} of {assignment.slug} cannot be loaded: {error!r}") from error
        if file.name != question.name or abs(file.possible - question.points) > 1e-9:
            raise AssignmentError(
                f"{path.name} of {assignment.slug} gives {file.possible:g} points as {file.name!r}, but "
                f"assignment.toml says {question.points:g} for {question.name!r}"
            )
        _check_public(file, path.name, {*fixtures, *(artifact.name for artifact in assignment.artifacts)})
        files[question.name] = file
    return files


def _check_public(file: JudgedTestFile, path: str, judges_own: set[str]) -> None:
    for case in file.test_cases:
        if not case.hidden and (names := judges_own & set(parameters(case.body.test_func))):
            raise AssignmentError(
                f"{path}: the public test {case.name!r} asks for {sorted(names)[0]!r}, which students do not have."
            )


def _run_case(case: Any, namespace: Names, observer: Observer, question: str) -> CaseResult:
    result = CaseResult(case.name, case.hidden, case.points, Outcome.PASSED, hint=case.failure_message or "")
    started = time.perf_counter()
    try:
        observer.begin_case(question, case.name, _seed(question, case.name))
        call(case, namespace)
    except Exception as error:
        _explain(result, error)
        if result.outcome is Outcome.FAILED and not observer.passes_on_reference(case):
            result.outcome, result.cause = Outcome.COULD_NOT_TELL, "suite"
            result.text = "This test does not work: the reference solution fails it too. " + _NOT_YOUR_FAULT
    result.seconds = time.perf_counter() - started
    return result


def _passes(case: Any, namespace: Names, observer: Observer, question: str) -> bool:
    try:
        observer.begin_case(question, case.name, _seed(question, case.name))
        call(case, namespace)
    except Exception as error:
        if isinstance(error, SandboxError) and not isinstance(error, StudentFailure):
            raise
        return False
    return True


def _seed(question: str, case: str) -> int:
    """The same random numbers in a case in every run, for the test and for the student's code."""
    seed = varied(zlib.crc32(f"{question}/{case}".encode()))
    torch.default_generator.manual_seed(seed)
    return seed


def call(case: Any, namespace: Names) -> None:
    """Runs one test with the names that it asks for; a default dtype that it sets is gone afterwards."""
    test, default = case.body.test_func, torch.get_default_dtype()
    try:
        test(**{name: namespace.get(name) for name in parameters(test)})
    finally:
        torch.set_default_dtype(default)


@functools.cache
def parameters(function: Callable[..., None]) -> list[str]:
    """The student's names that a test asks for (Otter's `call_func` looks them up each time: 4 ms a submission)."""
    return list(inspect.signature(function).parameters)


_NOT_YOUR_FAULT = "That is not your fault; the course staff see this and will grade it again."


def _explain(result: CaseResult, error: Exception) -> None:
    """Sets the outcome and the three texts for a case that raised."""
    result.outcome, error = Outcome.FAILED, _underlying(error)
    result.detail = clean(
        "".join(traceback.format_exception(type(error), error, error.__traceback__))[-4000:]
    )
    if isinstance(error, (SandboxError, MemoryError)) and not isinstance(error, StudentFailure):
        result.outcome, result.cause = Outcome.COULD_NOT_TELL, "sandbox"
        result.text = "The grader could not run this test. " + _NOT_YOUR_FAULT
    elif isinstance(error, StudentFailure):
        result.cause, result.text = _student_failure(error)
    elif isinstance(error, AssertionError):
        result.cause, result.text = "wrong", str(error) or "The result is not what it should be."
        result.mistake = getattr(error, "misconception", "")
    else:
        result.cause = "unusable"
        result.text = (
            "The test could not go on with what your code returned "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'})."
        )
    result.text = clean(result.text)


def _underlying(error: Exception) -> Exception:
    """What happened to the student's process, where a check took it for the exception that it was waiting for."""
    cause = error.__context__
    taken = (SandboxError, MemoryError, TimedOut, Died, Overused, BadAnswer, NotDefined)
    return cause if isinstance(error, AssertionError) and isinstance(cause, taken) else error


def _student_failure(error: StudentFailure) -> tuple[str, str]:
    """The code and the text for what went wrong in the student's process."""
    if isinstance(error, NotDefined):
        return "not_defined", str(error)
    if isinstance(error, TimedOut):
        return "timed_out", str(error)
    if isinstance(error, Overused):
        return "overused", str(error)
    if isinstance(error, Died):
        return (
            "died",
            f"Your code ended the Python process that it ran in: {str(error).removeprefix('Python itself ')}",
        )
    if isinstance(error, BadAnswer):
        return "bad_answer", str(error)
    assert isinstance(error, StudentError)
    if error.kind in ("SystemExit", "KeyboardInterrupt"):
        return (
            "exited",
            f"Your code called sys.exit (or exit, or quit): a function must return its answer.\n{error.trace}",
        )
    where = f"\n{error.trace.rstrip()}" if error.trace else ""
    return "raised", f"Your code raised {error.kind}: {error.text}{where}"


def _left_out(case: Any) -> CaseResult:
    text = (
        f"Not run: {MAX_ENDED} tests of this question before it ended your code's process or took too long."
    )
    return CaseResult(case.name, case.hidden, case.points, Outcome.FAILED, text=text, cause="left_out")


_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")
_UNPRINTABLE = re.compile(
    r"[^\x20-\x7e\xa0-\u2027\u202f-\u2065\u206a-\ud7ff\ue000-\uffff\U00010000-\U0010ffff\n\t]"
)


def clean(text: str) -> str:
    """Text that is the same in every run, and holds nothing that a terminal or a JSON file would stumble over."""
    return _UNPRINTABLE.sub("?", _ADDRESS.sub("at 0x...", text))
