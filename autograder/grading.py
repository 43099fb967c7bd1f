"""One submission against one assignment: a `Result` with everything that a report may want to say."""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from autograder import diagnosis, doors, doubt, figures, fixtures, suite, traces
from autograder.assignment import Assignment, Question
from autograder.diagnosis import Diagnosis
from autograder.figures import Figure
from autograder.fixtures import Fixtures
from autograder.sandbox.host import Bounds, Code, Sandbox
from autograder.sandbox.operators import matching, watchable
from autograder.sandbox.remote import Elsewhere, Namespace
from autograder.sandbox.session import CellError, Session, Usage
from autograder.submission import Submission, answers, read
from autograder.suite import CaseResult, Outcome

# By this name a hidden test asks for a second process: elsewhere(function, *arguments).
ELSEWHERE = "elsewhere"
NOT_IMPLEMENTED = "This question is not implemented yet."

Progress = Callable[[str], None]


@dataclass
class QuestionResult:
    """One question of one submission.

    Attributes:
        score: points earned, by Otter's rules; 0 where `policy` is set.
        policy: why the question earns nothing in spite of its tests, such as a forbidden operator.
        note: said before the tests: not implemented yet, or what to mend first.
        diagnosis: the mistake that explains the failures, if one was found.
    """

    name: str
    title: str
    score: float
    possible: float
    cases: list[CaseResult]
    policy: str = ""
    note: str = ""
    diagnosis: Diagnosis | None = None

    @property
    def undecided(self) -> bool:
        """Whether some case could not be judged, through no fault of the student."""
        return any(case.outcome is Outcome.COULD_NOT_TELL for case in self.cases)

    @property
    def fails_in_public(self) -> bool:
        """Whether a student sees at once that something is wrong, before hidden cases are published."""
        return any(case.outcome is not Outcome.PASSED and not case.hidden for case in self.cases)


@dataclass
class Result:
    """One submission, graded.

    Attributes:
        status: "graded"; "failed" (the submission cannot be read); "error" (the grader's own fault).
        message: what the student should know about the submission as a whole.
        detail: for staff.
        layers: what confined the student's code.
        leaderboard: numbers to compare, by name.
        figures: what the submission does, to be drawn.
        written: answers that a person grades, by question.
        traces: what the code reaches for that no solution needs, for staff (see `traces`).
    """

    submission: str
    status: str = "graded"
    questions: list[QuestionResult] = field(default_factory=list)
    possible: float = 0.0
    message: str = ""
    detail: str = ""
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    layers: list[str] = field(default_factory=list)
    leaderboard: dict[str, float] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    traces: list[str] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Points earned."""
        return sum(question.score for question in self.questions)


class Judge:
    """Grades submissions to one assignment, one after the other.

    Args:
        assignment: what was asked.
        sandbox: where student code runs.
    """

    def __init__(self, assignment: Assignment, sandbox: Sandbox) -> None:
        self.assignment = assignment
        self._sandbox = sandbox
        self._recipes = fixtures.load_recipes(assignment)
        self._drawings = figures.load_drawings(assignment)
        self._suite = suite.load(assignment, {ELSEWHERE, *self._recipes})
        self._data = assignment.data()
        self._forbidden = {question.name: matching(question.forbidden) for question in assignment.questions}
        self._watched = watchable(name for question in assignment.questions for name in question.forbidden)
        self._reference: dict[str, Any] | None = None
        self._right: Fixtures | None = None
        self._diagnostician: diagnosis.Diagnostician | None = None
        self._sound: dict[int, bool] = {}
        self._session: Session | None = None
        self._used: dict[str, set[str]] = {}

    def grade(
        self,
        submission: Submission,
        progress: Progress = lambda _: None,
        questions: Collection[str] | None = None,
        beside: bool = True,
    ) -> Result:
        """Grades one submission; whatever it does, there is a result.

        Args:
            submission: what was handed in.
            progress: is told each question as it begins.
            questions: names of those to be run; None: all.
            beside: whether the leaderboard's numbers and the figures are wanted as well.
        """
        asked = [q for q in self.assignment.questions if questions is None or q.name in questions]
        started = time.perf_counter()
        result = Result(submission.name, possible=self.assignment.possible, layers=self._sandbox.layers)
        result.written = answers(submission, [question.name for question in self.assignment.written])
        result.traces = traces.find(submission, self.assignment)
        with (
            Session(
                self._sandbox, _code(submission, self._data), _bounds(self.assignment), self._watched
            ) as session,
            Elsewhere(session) as elsewhere,
        ):
            self._session = session
            names = [name for question in self.assignment.questions for name in question.defines]
            student = Namespace(
                session, lambda name: _why_missing(name, session, submission), names, {ELSEWHERE: elsewhere}
            )
            namespace = self._fixtures(session, student, submission)
            self._used = {question.name: set() for question in asked}
            for file in self._suite.values():
                file.cases = []
            for hidden in (
                False,
                True,
            ):  # all public ones first: what a student may read knows of no hidden input
                for question in asked:
                    progress(question.name)
                    self._run(question, session, namespace, hidden)
            for question in asked:
                result.questions.append(self._conclude(question, session, namespace, submission))
            if beside:
                self._compare_and_show(result, namespace)
            self._session = None
            result.message = _message(submission, session.cell_errors, namespace.notes)
        self._doubt(result, submission)
        result.usage = session.usage
        result.seconds = time.perf_counter() - started
        return conclude(self.assignment, result)

    def _fixtures(self, session: Session, names: Namespace, submission: Submission) -> Fixtures:
        limits = self.assignment.limits
        seconds = limits.training_seconds or limits.call_seconds
        return Fixtures(
            self.assignment,
            self._recipes,
            names,
            submission.files,
            lambda seed: session.fixture(seed, seconds),
        )

    def _compare_and_show(self, result: Result, namespace: Fixtures) -> None:
        """The leaderboard, and what the figures show, from what the tests have computed."""
        if result.questions and not result.score:  # an untouched stub has nothing to show
            return
        for metric in self.assignment.leaderboard:
            with suppress(Exception):
                if math.isfinite(value := float(namespace.get(metric.value))):
                    result.leaderboard[metric.name] = value
        drawn = list(figures.gather(self.assignment, self._drawings, namespace))
        result.figures = [figure for figure in drawn if isinstance(figure, Figure)]
        result.detail = "\n".join(text for text in drawn if isinstance(text, str))

    def so_far(self) -> list[QuestionResult]:
        """What is known in the middle of `grade`: cases that nobody came to are not judged, nothing is explained."""
        known = []
        for question in self.assignment.questions:
            file = self._suite[question.name]
            names = {case.name for case in file.cases}
            cases = [*file.cases, *(_waiting(case) for case in file.test_cases if case.name not in names)]
            score = sum(case.points for case in file.cases if case.outcome is Outcome.PASSED)
            result = QuestionResult(question.name, question.title, score, question.points, cases)
            self._apply_policy(question, result)
            known.append(result)
        return known

    # -------------------------------------------------------------------------------------------------- one question

    def _run(self, question: Question, session: Session, namespace: Fixtures, hidden: bool) -> None:
        session.begin_question(self._forbidden[question.name], question.name)
        session.operators |= self._used[question.name]  # what ran in public tests is known in hidden ones
        self._suite[question.name].judge(namespace, self, hidden)
        session.callbacks.clear()
        self._used[question.name] |= session.operators

    def _conclude(
        self, question: Question, session: Session, namespace: Fixtures, submission: Submission
    ) -> QuestionResult:
        file = self._suite[question.name]
        result = QuestionResult(question.name, question.title, file.score, question.points, file.cases)
        self._apply_policy(question, result)
        if not result.policy and result.score < result.possible:
            self._explain(result, question, session, namespace, submission)
        return result

    def _apply_policy(self, question: Question, result: QuestionResult) -> None:
        used = sorted(name for name in self._used[question.name] if _is_forbidden(name, question.forbidden))
        if used:
            result.score, result.policy = 0.0, _policy_text(question, used)

    def _doubt(self, result: Result, submission: Submission) -> None:
        """Code that could have wiped the record of what ran has to pass without what its question forbids."""
        judged = {question.name: question for question in self.assignment.questions if question.forbidden}
        doubtful = [r for r in result.questions if r.name in judged and r.score and not r.policy]
        if doubtful and doors.reaches_behind(submission, self.assignment):
            for question in doubtful:
                if not self._passes_without(judged[question.name], submission):
                    question.score, question.policy = 0.0, _doubt_text(judged[question.name])

    def _passes_without(self, question: Question, submission: Submission) -> bool:
        """Whether what has passed does so again; but for cases that the reference does not pass there either."""
        file = self._suite[question.name]
        with self._without(question, self._reference_submission()) as names:
            sound = {case.name for case in file.test_cases if file.passes([case.name], names, self)}
        passed = {case.name for case in file.cases if case.outcome is Outcome.PASSED}
        with self._without(question, submission) as names:
            return file.passes(sound & passed, names, self)

    @contextmanager
    def _without(self, question: Question, submission: Submission) -> Iterator[Fixtures]:
        """What a submission defines in a process without what a question forbids."""
        code, removed = doubt.by_statement(_code(submission, self._data)), doubt.removal(question)
        with (
            Session(self._sandbox, code, _bounds(self.assignment), removed=removed) as session,
            Elsewhere(session) as elsewhere,
        ):
            self._session = session
            defined = [name for asked in self.assignment.questions for name in asked.defines]
            names = Namespace(session, lambda _: "", defined, {ELSEWHERE: elsewhere})
            yield self._fixtures(session, names, submission)
            self._session = None

    def _reference_submission(self) -> Submission:
        """The reference as if it had been handed in, with its artifacts."""
        right = read(self.assignment.reference, "reference", self.assignment)
        return replace(right, files=right.files | fixtures.reference_files(self.assignment))

    def _explain(
        self,
        result: QuestionResult,
        question: Question,
        session: Session,
        namespace: Fixtures,
        submission: Submission,
    ) -> None:
        """Looks for the mistake behind lost points.

        The tests run once more for it, with the calls recorded: recording all calls of everybody from the start would
        cost those who pass, the most, a tenth of the judge's time.
        """
        if result.score == 0 and _untouched(question, self.assignment, submission):
            result.note = NOT_IMPLEMENTED
            return
        if any(case.cause in ("timed_out", "died", "overused", "sandbox", "suite") for case in result.cases):
            return
        if self._diagnostician is None:
            known = diagnosis.load_misconceptions(self.assignment)
            self._diagnostician = diagnosis.Diagnostician(self._names_of_reference(), known)
        if mistakes := [case.mistake for case in result.cases if case.mistake]:
            result.diagnosis = self._diagnostician.named(mistakes[0])
            return
        if not self._diagnostician.replays(question.name):
            return
        session.begin_question(self._forbidden[question.name], question.name)
        session.recorder = []
        self._suite[question.name].repeat(namespace, self)
        records, session.recorder = session.recorder, None
        result.diagnosis = self._diagnostician.explain(question.name, records)

    def begin_case(self, question: str, case: str, seed: int) -> None:
        """Called by the suite: the random numbers start over."""
        assert self._session is not None
        self._session.start()
        self._session.seed(seed)

    def passes_on_reference(self, case: Any) -> bool:
        """Called by the suite for a case that failed: is the test itself sound? Asked once a case."""
        if id(case) not in self._sound:
            try:
                suite.call(case, self._right_names())
                self._sound[id(case)] = True
            except Exception:
                self._sound[id(case)] = False
        return self._sound[id(case)]

    def _right_names(self) -> Fixtures:
        """The reference with its own artifacts, for tests in this process."""
        if self._right is None:
            names = {ELSEWHERE: _here, **self._names_of_reference()}
            files = fixtures.reference_files(self.assignment)
            self._right = Fixtures(self.assignment, self._recipes, names, files)
        return self._right

    def _names_of_reference(self) -> dict[str, Any]:
        if self._reference is None:
            self._reference = diagnosis.load_reference(self.assignment)
        return self._reference


def conclude(assignment: Assignment, result: Result) -> Result:
    """Says what follows from all questions together: the status, and which question to mend first.

    It may be said again, after some of the questions were graded anew.
    """
    result.status = "error" if any(question.undecided for question in result.questions) else "graded"
    for question in result.questions:
        question.note = NOT_IMPLEMENTED if question.note == NOT_IMPLEMENTED else ""
    _point_to_causes(assignment, result)
    return result


def _waiting(case: Any) -> CaseResult:
    text = "Not judged: the grader was stopped before it came to this test."
    return CaseResult(case.name, case.hidden, case.points, Outcome.COULD_NOT_TELL, text=text, cause="stopped")


def _here(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Stands for another process where the reference is run, which is trusted in this."""
    return function(*args, **kwargs)


def unreadable(name: str, possible: float, message: str) -> Result:
    """The result for a submission that cannot be read: 0 points and what to do."""
    return Result(name, status="failed", possible=possible, message=message)


def broken(name: str, possible: float, error: BaseException) -> Result:
    """The result for a submission that the grader failed to grade."""
    text = "The grader could not grade this submission. That is not your fault; the course staff see this."
    return Result(
        name, status="error", possible=possible, message=text, detail=f"{type(error).__name__}: {error}"
    )


def _code(submission: Submission, data: dict[str, bytes]) -> Code:
    """What is run, with the assignment's data files where the submission has none of these names."""
    cells = tuple((cell.source, cell.line) for cell in submission.cells)
    files = data | submission.files
    return Code(cells, submission.main.rsplit("/", 1)[-1], submission.kind == "notebook", files)


def _bounds(assignment: Assignment) -> Bounds:
    limits = assignment.limits
    return Bounds(
        call_seconds=limits.call_seconds,
        cell_seconds=limits.cell_seconds,
        total_seconds=limits.total_seconds,
        memory=limits.memory_mb << 20,
        output=limits.output_kb << 10,
        disk=limits.disk_mb << 20,
    )


@functools.cache
def _is_forbidden(operator: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(operator, pattern) for pattern in patterns)


def _policy_text(question: Question, used: list[str]) -> str:
    names = ", ".join(used[:3])
    return (
        f"0 points: this question is to be written from scratch, but your code ran {names}, "
        f"which {question.name} does not allow."
    )


def _doubt_text(question: Question) -> str:
    names = ", ".join(question.forbidden[:2])
    return (
        f"0 points: this question is to be written from scratch. Your code was run again in a Python without what "
        f"{question.name} does not allow, such as {names}, and did not pass there what it had passed before."
    )


def _untouched(question: Question, assignment: Assignment, submission: Submission) -> bool:
    """Whether the kit's stubs of this question stand in the submission as they were handed out, and nothing else."""
    template = assignment.template / f"{assignment.slug}.py"
    if not template.exists():
        return False
    text = _flat(submission.text)
    stubs = [_definition(template.read_text(encoding="utf-8"), name) for name in question.defines]
    return all(stub and _flat(stub) in text for stub in stubs) and not any(
        len(re.findall(rf"^\s*(?:def|class)\s+{name}\b|^{name}\s*=", submission.text, re.M)) > 1
        for name in question.defines
    )


def _definition(source: str, name: str) -> str:
    """The text of a top-level function or class: from its first line to the next line that is not indented."""
    match = re.search(rf"^(?:def|class) {name}\b.*\n(?:(?:[ \t)].*)?\n)*", source + "\n", re.M)
    return match.group().rstrip() if match else ""


def _flat(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def _why_missing(name: str, session: Session, submission: Submission) -> str:
    """What happened to the cell that should have defined a name."""
    for error in session.cell_errors:
        source = submission.cells[error.cell].source
        if re.search(rf"^\s*(?:def|class)\s+{re.escape(name)}\b|^\s*{re.escape(name)}\s*=", source, re.M):
            return f"The code that defines it stopped: {_told(error, submission)}"
    return "Did you rename or delete it?"


def _told(error: CellError, submission: Submission) -> str:
    place = f"cell {error.cell + 1}" if submission.kind == "notebook" else submission.main.rsplit("/", 1)[-1]
    if error.line is not None:
        place += f", line {error.line}"
    if error.kind == "SystemExit":
        return f"{place}: it called sys.exit (or exit, or quit)."
    text = _PLACE.sub("", error.text) if error.line is not None else error.text
    return suite.clean(f"{place}: {text}" if error.kind in _WORDS else f"{place}: {error.kind}: {text}")


_PLACE = re.compile(r" \([^()]+, line \d+\)$")  # a SyntaxError says it at its end as well
_WORDS = ("Died", "TimedOut", "Overused", "BadAnswer", "NotRun")  # their text is a sentence of its own


def _message(submission: Submission, errors: list[CellError], notes: list[str]) -> str:
    """What the student should know about the submission as a whole."""
    lines = [*submission.notes, *notes]
    if errors:
        lines.append("Some of your code stopped with an error; what follows it in the same cell was not run:")
        lines += [f"- {_told(error, submission)}" for error in errors[:5]]
        if len(errors) > 5:
            lines.append(f"- and {len(errors) - 5} more")
    return "\n".join(lines)


def _point_to_causes(assignment: Assignment, result: Result) -> None:
    """Where a question rests on one that failed and has no explanation of its own, says to mend that one first."""
    failed = {q.name: q.fails_in_public for q in result.questions if q.score < q.possible and not q.undecided}
    for question in result.questions:
        wanted = [name for name in assignment.question(question.name).rests_on if name in failed]
        # a visible text does not tell of a question that fails in hidden cases alone
        rests_on = [name for name in wanted if failed[name] or not question.fails_in_public]
        explained = question.diagnosis or question.note or question.policy
        missing = all(case.cause in ("", "not_defined", "left_out") for case in question.cases)
        if question.name in failed and rests_on and not explained and not missing:
            question.note = _what_to_mend_first(assignment, question.name, rests_on)


def _what_to_mend_first(assignment: Assignment, question: str, causes: list[str]) -> str:
    own = assignment.question(question).defines
    same = [cause for cause in causes if set(own) & set(assignment.question(cause).defines)]
    names = " and ".join(same or causes)
    why = f"This judges the same code as {names}:" if same else f"If your solution calls that of {names},"
    return f"{why} mend {names} first, then look here again."
