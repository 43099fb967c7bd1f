"""The reference earns all points and the untouched stub none, each as a script and as a notebook."""

from __future__ import annotations

from typing import Any

from autograder.assignment import Assignment
from autograder.grading import NOT_IMPLEMENTED, Result
from autograder.suite import Outcome
from autograder.validate.bench import Bench
from autograder.validate.digests import folder_digest, graded_digest
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.submissions import reference, stub

_MADE = {"reference": reference, "stub": stub}


class Answers(Examination):
    """Right answers and none."""

    name = "answers"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """Two submissions in two forms."""
        return [f"{what}.{kind}" for what in _MADE for kind in ("py", "ipynb")]

    def key(self, assignment: Assignment) -> str:
        """The stubs as they lie in the kit, as well."""
        return graded_digest(assignment, folder_digest(assignment.template))

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Grades one of them, with all that a class would get."""
        what, kind = piece.split(".")
        return told(bench.grade(assignment, piece, _MADE[what](assignment, kind), beside=True))

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """All points for the reference, none for the stub, and a word to every question of it."""
        verdict = Verdict(f"{assignment.possible:g}, 0", data=found)
        for piece, result in found.items():
            if piece.startswith("reference"):
                for text in losses(result):
                    verdict.error(f"{piece}: {text}")
            else:
                self._check_stub(piece, result, verdict)
        return verdict

    def _check_stub(self, piece: str, result: dict[str, Any], verdict: Verdict) -> None:
        for question in result["questions"]:
            if question["score"]:
                verdict.error(f"{piece}: {question['name']} gives {question['score']:g} points for nothing")
            elif question["note"] != NOT_IMPLEMENTED:
                verdict.error(f"{piece}: {question['name']} does not say that it is not implemented yet")


def told(result: Result) -> dict[str, Any]:
    """What an examination has to know about a result, as plain data."""
    return {
        "status": result.status,
        "message": result.message,
        "questions": [
            {
                "name": question.name,
                "score": question.score,
                "possible": question.possible,
                "policy": question.policy,
                "note": question.note,
                "diagnosis": question.diagnosis.key if question.diagnosis else "",
                "failed": {
                    case.name: f"{case.outcome.value}: {case.text}"
                    for case in question.cases
                    if case.outcome is not Outcome.PASSED
                },
            }
            for question in result.questions
        ],
    }


def losses(result: dict[str, Any]) -> list[str]:
    """Why a right answer did not get everything, a line a question; nothing if it did."""
    lines = [f"{result['status']}: {result['message']}"] if result["status"] != "graded" else []
    for question in result["questions"]:
        if question["score"] < question["possible"]:
            why = question["policy"] or "; ".join(f"{name}: {t}" for name, t in question["failed"].items())
            lines.append(f"{question['name']} {question['score']:g} of {question['possible']:g} ({why})")
    return lines
