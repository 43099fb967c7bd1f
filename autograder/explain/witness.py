"""A judge that keeps the calls that each case made, and compares them; it grades as every judge does."""

from __future__ import annotations

from dataclasses import dataclass, field

from autograder.assignment import Assignment, Question
from autograder.diagnosis import load_misconceptions
from autograder.explain.compare import Compared, Considered, compared, considered
from autograder.fixtures import Fixtures
from autograder.grading import Judge, QuestionResult
from autograder.sandbox.calls import Record
from autograder.sandbox.host import Sandbox
from autograder.sandbox.session import Session
from autograder.submission import Submission
from autograder.suite import Outcome


@dataclass
class Findings:
    """What there is to say about one question beyond its result.

    Attributes:
        calls: of each case, beside the reference.
        mistakes: the known mistakes that were replayed.
        tested: keys of those that only a test can name.
    """

    calls: dict[str, list[Compared]] = field(default_factory=dict)
    mistakes: list[Considered] = field(default_factory=list)
    tested: list[str] = field(default_factory=list)


class Witness(Judge):
    """Grades one submission and remembers its calls.

    Attributes:
        findings: of each question that was graded.
    """

    def __init__(self, assignment: Assignment, sandbox: Sandbox) -> None:
        super().__init__(assignment, sandbox)
        self.findings: dict[str, Findings] = {}
        self._calls: dict[tuple[str, str], list[Record]] = {}

    def begin_case(self, question: str, case: str, seed: int) -> None:
        """Called by the suite. A case that began before is run once more for a diagnosis, which records by itself."""
        super().begin_case(question, case, seed)
        assert self._session is not None
        if (question, case) not in self._calls:
            self._session.recorder = self._calls[question, case] = []

    def _conclude(
        self, question: Question, session: Session, namespace: Fixtures, submission: Submission
    ) -> QuestionResult:
        """Compares as long as the student's process lives: its modules may be among the arguments."""
        session.recorder = None
        result = super()._conclude(question, session, namespace, submission)
        self.findings[question.name] = self._found(result)
        return result

    def _found(self, result: QuestionResult) -> Findings:
        reference = self._names_of_reference()
        calls = {
            case.name: compared(self._calls.get((result.name, case.name), []), reference)
            for case in result.cases
        }
        if not any(case.outcome is Outcome.FAILED for case in result.cases):
            return Findings(calls)
        known = [
            mistake for mistake in load_misconceptions(self.assignment) if mistake.question == result.name
        ]
        every = [call for case in result.cases for call in calls[case.name]]
        tested = [mistake.key for mistake in known if not mistake.replayed]
        return Findings(calls, considered(every, known), tested)

    def place(self, question: str, case: str) -> str:
        """Where the test of a case stands, such as "assignments/attention/tests/q1.py, line 57"."""
        path = self.assignment.test_file(question).relative_to(self.assignment.root)
        tests = {test.name: test.body.test_func for test in self._suite[question].test_cases}
        return f"{path.as_posix()}, line {tests[case].__code__.co_firstlineno}"
