"""Each mutant of the reference, graded: one that loses nothing is a wrong answer that the suite would let pass.

A mutant is graded by the questions that judge the changed name, and stopped at its first lost case. One that survives
them goes on to the questions that rest on them: it is then killed, but not where a student would be told what to mend.
What cannot be killed, since it is right, is excused in `equivalent.toml`, each with its reason. Whether that is still
so is told by the quick cases: whoever survives runs through all cases, which took two fifths of the time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from autograder.assignment import Assignment
from autograder.grading import Judge
from autograder.sandbox.errors import TimedOut
from autograder.sandbox.host import Sandbox
from autograder.submission import Submission
from autograder.submission.cells import read_cells
from autograder.suite import parameters
from autograder.validate import excuses
from autograder.validate.bench import Bench
from autograder.validate.digests import graded_digest
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.mutants import Mutant, callers, make

CHUNK = 40  # mutants of one piece: two seconds where nothing is trained
SAMPLE = 20  # of a quick run: each twentieth mutant
# What a call of a mutant may take, in the reference's longest case and at least: the same work on a core that has
# five others to serve must pass, and a loop without an end should not cost more than forty mutants.
PATIENCE, LEAST_SECONDS = 10.0, 2.0
QUICK_SECONDS = 0.2  # of a case on the reference: all but those in which something is trained or measured


@dataclass(frozen=True)
class Fate:
    """What became of a mutant.

    Attributes:
        killer: "q1: case" or what else took the points; "" for a survivor.
        elsewhere: whether it fell only in a question that rests on its own.
        late: whether it was killed since it took too long.
    """

    killer: str = ""
    elsewhere: bool = False
    late: bool = False


class Mutation(Examination):
    """Mutants, killed or excused."""

    name = "mutation"

    def __init__(self) -> None:
        self._sieve: _Sieve | None = None

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """So many mutants at a time."""
        if options.quick:
            return [f"each {SAMPLE}th"]
        count = len(make(_source(assignment)))
        return [f"from {start}" for start in range(0, count, CHUNK)]

    def key(self, assignment: Assignment) -> str:
        """What is graded; an excuse changes the verdict, not a mutant's fate."""
        return graded_digest(assignment)

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> list[dict[str, Any]]:
        """The fates of some mutants, in their order."""
        if self._sieve is None or self._sieve.asked is not assignment:
            self._sieve = _Sieve(assignment, bench.sandbox)
        source = _source(assignment)
        excused = {excuse.key for excuse in excuses.read(assignment)}
        return [
            asdict(self._sieve.fate(mutant, source, excused=excuses.key(mutant) in excused))
            for mutant in _part(make(source), piece)
        ]

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """Survivors with their diffs, and excuses that excuse nothing."""
        source, given = _source(assignment), {excuse.key for excuse in excuses.read(assignment)}
        mutants = make(source)
        verdict, counts, used = Verdict(), Counter[str](), set[excuses.Key]()
        for piece, fates in found.items():
            for mutant, fate in zip(_part(mutants, piece), (Fate(**fate) for fate in fates), strict=True):
                key = excuses.key(mutant)
                kind = "excused" if _survives(fate) and key in given else _kind(fate)
                counts[kind] += 1
                used |= {key} if kind == "excused" else set()
                _tell(verdict, kind, mutant, fate, source)
        if set(found) == set(self.pieces(assignment, Options())):
            for name, original, changed, _ in sorted(given - used):
                verdict.error(f"{excuses.FILE}: no mutant of {name} survives as `{changed}` for `{original}`")
        killed, total = counts["killed"] + counts["elsewhere"], counts.total()
        verdict.summary = f"{killed} + {counts['excused']} of {total}"
        verdict.data = {"mutants": total, **counts}
        return verdict


def _source(assignment: Assignment) -> str:
    return assignment.reference.read_text(encoding="utf-8")


def _part(mutants: list[Mutant], piece: str) -> list[Mutant]:
    start = int(piece.removeprefix("from ")) if piece.startswith("from ") else None
    return mutants[::SAMPLE] if start is None else mutants[start : start + CHUNK]


def _survives(fate: Fate) -> bool:
    """Whether an excuse is not out of date: its own questions let it pass, or would on a faster machine."""
    return not fate.killer or fate.late or fate.elsewhere


def _kind(fate: Fate) -> str:
    return ("elsewhere" if fate.elsewhere else "killed") if fate.killer else "survived"


def _tell(verdict: Verdict, kind: str, mutant: Mutant, fate: Fate, source: str) -> None:
    if kind == "survived":
        verdict.error(f"a mutant of {mutant.name} survives:\n{mutant.diff(source)}")
    elif kind == "elsewhere":
        verdict.note(f"{mutant.name}: `{mutant.mutant}` for `{mutant.original}` falls only in {fate.killer}")


class _Killed(BaseException):
    """The first lost case of a mutant; no part of the grader takes it for an error of the submission's."""


class _Sieve(Judge):
    """The grader, stopped at the first case that is lost."""

    def __init__(self, assignment: Assignment, sandbox: Sandbox) -> None:
        super().__init__(assignment, sandbox)
        self.asked = assignment
        self._right_answer = self._reference_submission()
        self._case = ""
        self._seconds: dict[str, dict[str, float]] = {}

    def begin_case(self, question: str, case: str, seed: int) -> None:
        """Called by the suite."""
        self._case = f"{question}: {case}"
        super().begin_case(question, case, seed)

    def passes_on_reference(self, case: Any) -> bool:
        """Called by the suite for a case that failed; that the reference passes is known from `_measured`."""
        raise _Killed

    def _explain(self, *_: Any) -> None:
        """A question whose slow cases are left out lacks points, and nothing is to be explained."""

    def fate(self, mutant: Mutant, source: str, excused: bool) -> Fate:
        """Grades a mutant.

        Args:
            mutant: which.
            source: the reference's.
            excused: whether it is known to survive.
        """
        changed = self._handed_in(mutant.apply(source))
        own = _own(self.asked, mutant, source)
        if excused:
            with self._quick_cases(own):
                return self._killed(changed, own) or Fate()
        if killed := self._killed(changed, own):
            return killed
        resting = _resting(self.asked, own)
        found = self._killed(changed, resting) if resting else None
        return replace(found, elsewhere=True) if found else Fate()

    @contextmanager
    def _quick_cases(self, questions: Sequence[str]) -> Iterator[None]:
        """The suite without the cases that take long, or ask for a fixture, which may."""
        files = [self._suite[question] for question in questions]
        whole = [file.test_cases for file in files]
        try:
            for file in files:
                slow = self._slow_cases(file.name)
                file.test_cases = [case for case in file.test_cases if case.name not in slow]
            yield
        finally:
            for file, cases in zip(files, whole, strict=True):
                file.test_cases = cases

    def _slow_cases(self, question: str) -> set[str]:
        self._measured(question)
        cases = self._suite[question].test_cases
        asking = {c.name for c in cases if self._recipes.keys() & set(parameters(c.body.test_func))}
        return asking | {name for name, seconds in self._seconds[question].items() if seconds > QUICK_SECONDS}

    def _handed_in(self, text: str) -> Submission:
        main = self._right_answer.main
        data = text.encode()
        return replace(
            self._right_answer, cells=read_cells(main, data), files=self._right_answer.files | {main: data}
        )

    def _killed(self, changed: Submission, questions: Sequence[str]) -> Fate | None:
        self.assignment = _impatient(self.asked, max(self._measured(question) for question in questions))
        try:
            result = self.grade(changed, questions=questions, beside=False)
        except _Killed as error:
            return Fate(self._case, late=isinstance(error.__context__, TimedOut))
        if result.status != "graded":
            raise RuntimeError(f"could not be graded: {result.questions}")
        refused = [question.name for question in result.questions if question.policy]
        return Fate(f"{refused[0]}: what it calls") if refused else None  # a forbidden operator

    def _measured(self, question: str) -> float:
        """The seconds of the reference's slowest case."""
        if question not in self._seconds:
            self.assignment = self.asked
            right = self._handed_in(_source(self.asked))
            try:
                result = self.grade(right, questions=[question], beside=False)
            except _Killed:
                raise RuntimeError(f"the reference itself fails {self._case}") from None
            self._seconds[question] = {case.name: case.seconds for case in result.questions[0].cases}
        return max(self._seconds[question].values())


def _own(assignment: Assignment, mutant: Mutant, source: str) -> list[str]:
    """The questions that judge the changed name; for a helper, those that judge what calls it."""
    judging = {q.name: set(q.defines) for q in assignment.questions}
    own = [question for question, names in judging.items() if mutant.unit in names]
    if not own:
        above = callers(source, mutant.unit, set().union(*judging.values()))
        own = [question for question, names in judging.items() if names & above]
    return own or list(judging)


def _resting(assignment: Assignment, own: Sequence[str]) -> list[str]:
    """The questions that rest on these, directly and through one another."""
    reached = set(own)
    while more := {q.name for q in assignment.questions if reached & set(q.rests_on)} - reached:
        reached |= more
    return [q.name for q in assignment.questions if q.name in reached and q.name not in own]


def _impatient(assignment: Assignment, seconds: float) -> Assignment:
    """The same with less time for a call, as long as no case of the reference took so many seconds."""
    limit = max(LEAST_SECONDS, PATIENCE * seconds)
    limits = replace(assignment.limits, call_seconds=limit, cell_seconds=limit, training_seconds=limit)
    return replace(assignment, limits=limits)
