"""results.json with what Gradescope's schema offers: Markdown, tags, numbers, visibility, the late policy.

Entries, scores and statuses are those of `autograder grade`; only how they are shown is another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from autograder.assignment import Assignment
from autograder.figures import Artist
from autograder.gradescope.metadata import Metadata
from autograder.gradescope.notices import RUNNING
from autograder.gradescope.settings import Settings
from autograder.grading import NOT_IMPLEMENTED, QuestionResult, Result
from autograder.report import gradescope
from autograder.suite import CaseResult, Outcome

MAX_CASES_CHARACTERS = (
    60_000  # of one entry's cases together; Gradescope cuts at 100 000, in the middle of a word
)
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")
_MARKS = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED", Outcome.COULD_NOT_TELL: "NOT JUDGED"}


def results(
    result: Result,
    assignment: Assignment,
    settings: Settings,
    metadata: Metadata,
    artist: Artist | None = None,
) -> dict[str, Any]:
    """The content of results.json.

    Args:
        result: the submission, graded; with status "running" while it is not done.
        assignment: what was asked.
        settings: what the course chose.
        metadata: when it was handed in and when it was due.
        artist: draws the figures, if they are wanted.
    """
    content = gradescope.to_dict(result, assignment, artist)
    content["stdout_visibility"] = "hidden"
    views = [(question, hidden) for question in result.questions for hidden in (False, True)]
    shown = [(question, hidden, cases) for question, hidden in views if (cases := _cases(question, hidden))]
    for entry, (question, hidden, cases) in zip(content["tests"], shown, strict=False):
        entry |= _in_markdown(question, hidden, cases)
        if hidden:
            entry["visibility"] = settings.hidden_visibility
    if result.status == RUNNING:
        content["output"] = "The grader was stopped before it was done; what was judged until then is below."
    _apply_late_policy(content, result, settings, metadata)
    return content


def _cases(question: QuestionResult, hidden: bool) -> list[CaseResult]:
    return [case for case in question.cases if case.hidden is hidden]


def _in_markdown(question: QuestionResult, hidden: bool, cases: list[CaseResult]) -> dict[str, Any]:
    explain = hidden is not question.fails_in_public  # where the mistake showed, as in the report
    tags = [question.name, "hidden" if hidden else "public"]
    if explain and question.diagnosis is not None and question.diagnosis.key:
        tags.append(question.diagnosis.key)
    if question.policy:
        tags.append("not allowed")
    return {"output": markdown(question, cases, explain), "output_format": "md", "tags": tags}


def markdown(question: QuestionResult, cases: list[CaseResult], explain: bool) -> str:
    """The feedback on some of a question's cases, as `feedback.of_question` words it.

    Args:
        question: the question.
        cases: those that this text is about.
        explain: whether the question's note and the named mistake belong into this text.
    """
    if question.policy or question.note == NOT_IMPLEMENTED:
        return escaped(question.policy or question.note)
    parts = [escaped(question.note), *_mistake(question)] if explain else []
    return "\n\n".join(part for part in [*parts, *_told(cases)] if part)


def _mistake(question: QuestionResult) -> Iterator[str]:
    if question.diagnosis is not None:
        yield f"**{escaped(question.diagnosis.text)}**"
        if question.diagnosis.hint:
            yield f"> Hint: {escaped(question.diagnosis.hint)}"


def _told(cases: list[CaseResult]) -> Iterator[str]:
    """Each case in turn; a text that was there before is not told again."""
    told: set[str] = set()
    for case in cases:
        earned = f"{case.points:g}" if case.outcome is Outcome.PASSED else "0"
        head = f"{_MARKS[case.outcome]}: {escaped(case.name)} ({earned} of {case.points:g})"
        if case.outcome is Outcome.PASSED:
            yield head
            continue
        yield f"**{head}**"
        room = MAX_CASES_CHARACTERS // len(cases)
        yield "As above." if case.text in told else fenced(case.text[:room])
        if case.hint and case.cause in ("wrong", "raised", "unusable"):
            yield f"> Hint: {escaped(case.hint)}"
        told.add(case.text)


def escaped(text: str) -> str:
    """Plain text in Markdown: names with underscores stay as they are."""
    return _SPECIAL.sub(r"\\\1", text)


def fenced(text: str) -> str:
    """Text as a block of code, whose fence is longer than any that the text (a student's, perhaps) holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _apply_late_policy(
    content: dict[str, Any], result: Result, settings: Settings, metadata: Metadata
) -> None:
    if settings.late is None:
        return
    adjusted = settings.late.apply(result.score, result.possible, metadata.submitted_at, metadata.due)
    if adjusted.text:
        content["score"] = round(adjusted.score, 5)
        content["output"] = "\n".join(filter(None, [content.get("output"), adjusted.text]))
        content["extra_data"]["late"] = {"before": round(result.score, 5), "text": adjusted.text}
