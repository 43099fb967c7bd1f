"""One submission as `results.json` in Gradescope's schema.

The entries are Otter's own (`GradingResults.to_gradescope_dict`), one for the public and one for the hidden cases of
each question; numbers, visibility and the texts are added here.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from types import SimpleNamespace
from typing import Any

from otter.test_files import GradingResults
from otter.test_files.abstract_test import TestCase, TestCaseResult

from autograder.assignment import Assignment
from autograder.figures import Artist
from autograder.grading import QuestionResult, Result
from autograder.report import feedback
from autograder.suite import CaseResult, JudgedTestFile, Outcome

MAX_HTML = 95_000  # characters; Gradescope cuts at 100 000

# The options of otter.run's AutograderConfig that the dictionary depends on; importing that class itself costs 0.3 s.
_OPTIONS = SimpleNamespace(
    show_hidden=True, show_all_public=False, force_public_test_summary=False, warn_missing_pdf=False,
    show_stdout=False, points_possible=None, score_threshold=None,
)  # fmt: skip


def to_dict(result: Result, assignment: Assignment, artist: Artist | None = None) -> dict[str, Any]:
    """The content of `results.json`.

    Args:
        result: what was found out.
        assignment: what was asked.
        artist: draws the figures, if they are wanted.

    Returns:
        A dictionary in Gradescope's schema. Public entries are visible, hidden ones after grades are published.
    """
    views = [view for question in result.questions for view in _views(question)]
    otters = GradingResults([view.file for view in views]).to_gradescope_dict(_OPTIONS)
    entries = [_entry(entry, view) for entry, view in zip(otters["tests"], views, strict=True)]
    return {
        **otters,
        "score": round(result.score, 5),
        "max_score": round(result.possible, 5),
        "output": _overview(result, assignment),
        "output_format": "text",
        "execution_time": round(result.seconds, 3),
        "tests": [*entries, *_pictures(result, artist)] or [_unread(result)],
        "leaderboard": [
            {"name": metric.name, "value": result.leaderboard[metric.name], "order": metric.order}
            for metric in assignment.leaderboard
            if metric.name in result.leaderboard
        ],
        "extra_data": _extra(result),
    }


class _View:
    """Some cases of a question, as a test file of Otter's with the share of the score that they earned."""

    def __init__(self, question: QuestionResult, cases: list[CaseResult], hidden: bool, number: str) -> None:
        self.question, self.cases, self.hidden, self.number = question, cases, hidden, number
        kind = "hidden tests" if hidden else "public tests"
        tests = [TestCase(c.name, None, c.hidden, c.points, None, None) for c in cases]
        self.file = JudgedTestFile(
            f"{question.name}: {question.title} ({kind})", "", tests, all_or_nothing=False
        )
        self.file.test_case_results = [
            TestCaseResult(test, case.text, case.outcome is Outcome.PASSED)
            for test, case in zip(tests, cases, strict=True)
        ]
        passed = sum(case.points for case in question.cases if case.outcome is Outcome.PASSED)
        self.file.update_score(self.file.score * question.score / passed if passed else 0)


def _views(question: QuestionResult) -> Iterator[_View]:
    for letter, hidden in (("1", False), ("2", True)):
        cases = [case for case in question.cases if case.hidden is hidden]
        if cases:
            yield _View(question, cases, hidden, f"{question.name.removeprefix('q')}.{letter}")


def _entry(entry: dict[str, Any], view: _View) -> dict[str, Any]:
    """Otter's entry with our texts; the explanation stands with the cases that the mistake showed in."""
    public_failed = any(c.outcome is not Outcome.PASSED and not c.hidden for c in view.question.cases)
    explain = view.hidden is not public_failed
    passed = all(case.outcome is Outcome.PASSED for case in view.cases) and not view.question.policy
    return {
        **entry,
        "number": view.number,
        "status": "passed" if passed else "failed",
        "visibility": "after_published" if view.hidden else "visible",
        "output": feedback.of_question(view.question, view.cases, explain),
        "output_format": "text",
    }


def _overview(result: Result, assignment: Assignment) -> str:
    lines = [result.message] if result.message else []
    if result.status == "error" and result.questions:
        names = ", ".join(question.name for question in result.questions if question.undecided)
        lines.append(f"{names} could not be judged, through no fault of yours: the course staff see this.")
    if result.questions:
        lines += [f"{w.name} ({w.title}, {w.points:g} points) is graded by hand." for w in assignment.written]
    return "\n".join(lines)


def _pictures(result: Result, artist: Artist | None) -> Iterator[dict[str, Any]]:
    """Each figure as an entry without a score; what Gradescope would cut in the middle is left out."""
    for figure in result.figures if artist is not None else []:
        try:
            drawing = artist.draw(figure)  # type: ignore[union-attr]  # as the loop says
        except Exception:  # a figure is a courtesy
            continue
        text = f"<p>{escape(drawing.alt)}</p>"
        picture = f'<img alt="{escape(drawing.alt)}" src="data:image/png;base64,{drawing.png}">'
        output = text + picture if len(text) + len(picture) < MAX_HTML else text
        yield {"name": figure.title, "output": output, "output_format": "html", "visibility": "visible"}


def _unread(result: Result) -> dict[str, Any]:
    """The one entry of a submission that could not be read or graded."""
    name = (
        "The submission could not be read"
        if result.status == "failed"
        else "The submission could not be graded"
    )
    return {
        "name": name, "score": 0, "max_score": round(result.possible, 5), "status": "failed", "visibility": "visible",
        "output": result.message, "output_format": "text",
    }  # fmt: skip


def _extra(result: Result) -> dict[str, Any]:
    """For machines and staff: what the score rests on."""
    return {
        "status": result.status,
        "questions": {q.name: round(q.score, 5) for q in result.questions},
        "diagnoses": {q.name: q.diagnosis.key for q in result.questions if q.diagnosis is not None},
        "policy": {q.name: q.policy for q in result.questions if q.policy},
        "details": {
            f"{q.name}/{case.name}": case.detail for q in result.questions for case in q.cases if case.detail
        },
        "detail": result.detail,
        "printed": result.usage.output,
        "layers": result.layers,
        "usage": {
            "seconds": round(result.usage.seconds, 3),
            "cpu_seconds": round(result.usage.cpu_seconds, 3),
            "peak_mb": round(result.usage.peak_mb, 1),
            "starts": result.usage.starts,
        },
    }
