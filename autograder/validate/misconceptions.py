"""Each known mistake, handed in as the one wrong answer, loses its question alone, and is named.

All other names are right, and so is what they call. A question that rests on the mistaken one and gets the mistaken
name through a fixture, such as samples drawn by a wrong sampler, may lose too and is not asked.
"""

from __future__ import annotations

from typing import Any

from autograder.assignment import Assignment
from autograder.diagnosis import Misconception, load_misconceptions
from autograder.validate.answers import told
from autograder.validate.bench import Bench
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.reach import Reach, resting
from autograder.validate.submissions import mistaken

NOBODY = "(none)"  # in the confusion matrix: no mistake was named


class Misconceptions(Examination):
    """Known wrong answers."""

    name = "misconceptions"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """One a misconception; quickly: the first of each question."""
        known = load_misconceptions(assignment)
        if not options.quick:
            return [one.key for one in known]
        return list({one.question: one.key for one in reversed(known)}.values())[::-1]

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Grades one, in all questions that ask for the name that it replaces."""
        known = next(one for one in load_misconceptions(assignment) if one.key == piece)
        asked = concerned(assignment, known)
        return told(bench.grade(assignment, piece, mistaken(assignment, {known.replaces: known.key}), asked))

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """Its own question lost points, no other did, and the feedback has its name."""
        verdict = Verdict()
        known = {one.key: one for one in load_misconceptions(assignment) if one.key in found}
        missing = {q.name for q in assignment.questions} - {one.question for one in known.values()}
        for question in sorted(missing):
            verdict.error(f"{question} has no misconception")
        for one in known.values():
            for text in faults(assignment, one, found[one.key]):
                verdict.error(text)
        matrix = confusion(known, found)
        named = sum(row.get(key, 0) for rows in matrix.values() for key, row in rows.items())
        verdict.summary = f"{named} of {len(known)} named"
        verdict.lines = drawn(matrix)
        verdict.data = {"confusion": matrix, "named": named, "of": len(known)}
        return verdict


def concerned(assignment: Assignment, known: Misconception) -> list[str]:
    """The questions that must tell the truth about this mistake: its own loses, the others do not."""
    reach, excused = Reach(assignment), resting(assignment, known.question)
    return [
        question.name
        for question in assignment.questions
        if question.name == known.question
        or known.replaces in reach.direct[question.name]
        or (known.replaces in reach.through[question.name] and question.name not in excused)
    ]


def faults(assignment: Assignment, known: Misconception, result: dict[str, Any]) -> list[str]:
    """What is not as it should be when this mistake is graded."""
    cases, excused = Reach(assignment).cases, resting(assignment, known.question)
    lines = [f"{known.key}: {result['message']}"] if result["status"] != "graded" else []
    for question in result["questions"]:
        name = question["name"]
        if name != known.question:
            blamed = [
                c for c in question["failed"] if name not in excused or known.replaces in cases[name][c]
            ]
            if blamed or question["policy"]:
                lines.append(
                    f"{known.key}, a mistake in {known.question}, loses {name} as well: {', '.join(blamed)}"
                )
        elif question["score"] == question["possible"]:
            lines.append(f"{known.key} loses nothing: no test of {known.question} notices {known.name}")
        elif question["diagnosis"] != known.key:
            lines.append(f"{known.key} ({known.question}) is taken for {question['diagnosis'] or NOBODY}")
    return lines


def confusion(known: dict[str, Misconception], found: dict[str, Any]) -> dict[str, dict[str, dict[str, int]]]:
    """By question: what was handed in -> what it was taken for -> how often (once)."""
    matrix: dict[str, dict[str, dict[str, int]]] = {}
    for key, one in known.items():
        own = next(question for question in found[key]["questions"] if question["name"] == one.question)
        matrix.setdefault(one.question, {})[key] = {own["diagnosis"] or NOBODY: 1}
    return matrix


def drawn(matrix: dict[str, dict[str, dict[str, int]]]) -> list[str]:
    """The matrix as text, a line a question: how many lie on its diagonal, and the others one by one."""
    lines = []
    for question, rows in matrix.items():
        taken = [(key, other) for key, row in rows.items() for other in row if other != key]
        others = "".join(f"; {key} -> {other}" for key, other in taken)
        lines.append(f"{question}: {len(rows) - len(taken)} of {len(rows)} named by their own names{others}")
    return lines
