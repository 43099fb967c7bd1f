"""The words that a student reads about one question: what failed, what was expected, which mistake it looks like."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from autograder.grading import NOT_IMPLEMENTED, QuestionResult
from autograder.suite import CaseResult, Outcome

MAX_CHARACTERS = 20_000  # of one entry; Gradescope cuts at 100 000, and nobody reads that far
_MARKS = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED", Outcome.COULD_NOT_TELL: "NOT JUDGED"}


def of_question(question: QuestionResult, cases: list[CaseResult], explain: bool = True) -> str:
    """The feedback on some of a question's cases.

    Args:
        question: the question.
        cases: those of its cases that this text is about (the public ones, or the hidden ones).
        explain: whether the question's note and diagnosis belong into this text.
    """
    if question.policy or question.note == NOT_IMPLEMENTED:
        return question.policy or question.note
    parts = [question.note, _diagnosis(question)] if explain else []
    parts += ["\n".join(_cases(cases))]
    return "\n\n".join(part for part in parts if part)[:MAX_CHARACTERS]


def _diagnosis(question: QuestionResult) -> str:
    if question.diagnosis is None:
        return ""
    hint = f"\nHint: {question.diagnosis.hint}" if question.diagnosis.hint else ""
    return question.diagnosis.text + hint


def _cases(cases: list[CaseResult]) -> Iterator[str]:
    """Each case in turn; a text that was there before, such as the same sys.exit, is not told again."""
    told: set[str] = set()
    for case in cases:
        earned = f"{case.points:g}" if case.outcome is Outcome.PASSED else "0"
        head = f"{_MARKS[case.outcome]}: {case.name} ({earned} of {case.points:g})"
        yield head if case.outcome is Outcome.PASSED else head + "\n" + indent(_why(case, told), "    ")
        told.add(case.text)


def _why(case: CaseResult, told: set[str]) -> str:
    hint = f"\nHint: {case.hint}" if case.hint and case.cause in ("wrong", "raised", "unusable") else ""
    return ("As above." if case.text in told else case.text) + hint
