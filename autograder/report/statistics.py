"""What a class did, in numbers: which questions, which tests, which mistakes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from autograder.assignment import Assignment
from autograder.grading import QuestionResult, Result
from autograder.suite import Outcome

MIN_FOR_CORRELATION = 5  # submissions: a correlation of fewer says nothing


@dataclass(frozen=True)
class QuestionStatistics:
    """One question over a class.

    Attributes:
        right: share of submissions with full points.
        mean: mean share of the points.
        discrimination: correlation of the points with those of all other questions (item-rest); None where one of
            the two does not vary, or there are too few.
        seconds: median time that its tests took.
    """

    name: str
    title: str
    possible: float
    right: float
    mean: float
    discrimination: float | None
    seconds: float


@dataclass(frozen=True)
class CaseStatistics:
    """One test over a class; `passed` is the share that passed it."""

    question: str
    name: str
    hidden: bool
    passed: float
    discrimination: float | None

    @property
    def split(self) -> float:
        """How evenly it divides the class: 1 where half pass, 0 where all or none do."""
        return 4 * self.passed * (1 - self.passed)


@dataclass(frozen=True)
class Finding:
    """Something found in several submissions, such as a misconception; `who` are their names."""

    question: str
    key: str
    text: str
    who: tuple[str, ...]


def of_questions(assignment: Assignment, results: Sequence[Result]) -> list[QuestionStatistics]:
    """Each question of a class."""
    graded = [result for result in results if result.questions]
    return [_of_question(number, graded) for number in range(len(assignment.questions) if graded else 0)]


def _of_question(number: int, results: Sequence[Result]) -> QuestionStatistics:
    of = [result.questions[number] for result in results]
    rest = [result.score - question.score for result, question in zip(results, of, strict=True)]
    return QuestionStatistics(
        of[0].name,
        of[0].title,
        of[0].possible,
        right=statistics.fmean(question.score >= question.possible for question in of),
        mean=statistics.fmean(question.score / question.possible for question in of),
        discrimination=correlation([question.score for question in of], rest),
        seconds=statistics.median(sum(case.seconds for case in question.cases) for question in of),
    )


def of_cases(results: Iterable[Result]) -> list[CaseStatistics]:
    """Each test of a class, the one that splits it most evenly first."""
    passed: dict[tuple[str, str, bool], list[tuple[float, float]]] = {}
    for result in results:
        for question in result.questions:
            for case in question.cases:
                key = (question.name, case.name, case.hidden)
                mark = (float(case.outcome is Outcome.PASSED), result.score - question.score)
                passed.setdefault(key, []).append(mark)
    found = [
        CaseStatistics(*key, statistics.fmean(p for p, _ in marks), correlation(*zip(*marks, strict=True)))
        for key, marks in passed.items()
    ]
    return sorted(found, key=lambda case: (-case.split, case.question, case.name))


def correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Pearson's correlation (point-biserial where one of the two is 0 or 1)."""
    if len(x) < MIN_FOR_CORRELATION or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return statistics.correlation(x, y)


def misconceptions(results: Iterable[Result]) -> list[Finding]:
    """The mistakes that were named, the most frequent first; clues about single calls are none."""
    return _ranked(
        results,
        lambda q: (q.diagnosis.key, q.diagnosis.text) if q.diagnosis and ":" not in q.diagnosis.key else None,
    )


def policies(results: Iterable[Result]) -> list[Finding]:
    """Questions answered with what they forbid."""
    return _ranked(results, lambda q: ("not allowed", q.policy) if q.policy else None)


_ENDINGS = {
    "bad_answer": "the process answered with what is no plain data",
    "died": "the process ended",
    "timed_out": "it took too long",
    "overused": "it took too much disk, memory or processes",
    "exited": "it called sys.exit",
}


def endings(results: Iterable[Result]) -> list[Finding]:
    """Processes that did not answer as they should: accidents for the most part, attacks among them."""

    def find(question: QuestionResult) -> tuple[str, str] | None:
        causes = [case.cause for case in question.cases if case.cause in _ENDINGS]
        return (causes[0], _ENDINGS[causes[0]]) if causes else None

    return _ranked(results, find)


def traces(results: Iterable[Result]) -> list[tuple[str, list[str]]]:
    """Submissions whose code reaches for what no solution needs."""
    return [(result.submission, result.traces) for result in results if result.traces]


def _ranked(
    results: Iterable[Result], find: Callable[[QuestionResult], tuple[str, str] | None]
) -> list[Finding]:
    who: dict[tuple[str, str], list[str]] = {}
    texts: dict[tuple[str, str], str] = {}
    for result in results:
        for question in result.questions:
            if found := find(question):
                who.setdefault((question.name, found[0]), []).append(result.submission)
                texts.setdefault((question.name, found[0]), found[1])
    ranked = sorted(who.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Finding(*key, texts[key], tuple(names)) for key, names in ranked]
