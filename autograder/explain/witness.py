"""A judge that keeps the calls that each case made: it grades as every judge does."""

from __future__ import annotations

from typing import Any

from autograder.assignment import Assignment
from autograder.diagnosis import Misconception, load_misconceptions
from autograder.grading import Judge
from autograder.sandbox.calls import Record
from autograder.sandbox.host import Sandbox


class Witness(Judge):
    """Grades one submission and remembers its calls.

    Attributes:
        calls: of each case that began, by question and name of the case.
    """

    def __init__(self, assignment: Assignment, sandbox: Sandbox) -> None:
        super().__init__(assignment, sandbox)
        self.calls: dict[tuple[str, str], list[Record]] = {}

    def begin_case(self, question: str, case: str, seed: int) -> None:
        """Called by the suite. A case that began before is run once more for a diagnosis, which records by itself."""
        super().begin_case(question, case, seed)
        assert self._session is not None
        if (question, case) not in self.calls:
            self._session.recorder = self.calls[question, case] = []

    def reference(self) -> dict[str, Any]:
        """The names that the reference defines."""
        return self._names_of_reference()

    def misconceptions(self, question: str) -> list[Misconception]:
        """The known wrong answers to a question."""
        return [known for known in load_misconceptions(self.assignment) if known.question == question]

    def place(self, question: str, case: str) -> str:
        """Where the test of a case stands, such as "assignments/attention/tests/q1.py, line 57"."""
        path = self.assignment.test_file(question).relative_to(self.assignment.root)
        tests = {test.name: test.body.test_func for test in self._suite[question].test_cases}
        return f"{path.as_posix()}, line {tests[case].__code__.co_firstlineno}"
