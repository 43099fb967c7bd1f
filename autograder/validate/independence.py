"""Solving one question earns that question's points, and no others: what it needs besides is declared in `rests_on`.

Each question is solved alone with those that it declares to rest on, and graded; where it declares some, also without
each of them, to see which are needed by the reference. A solution of a student's may need others than ours does, so a
declared dependency that ours does not need is no error.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from autograder.assignment import Assignment
from autograder.fixtures import reference_files
from autograder.kit import stub_source
from autograder.validate.bench import Bench
from autograder.validate.digests import content_digest, graded_digest
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.reach import Reach, closure
from autograder.validate.submissions import Files

_WITHOUT = " without "


class Independence(Examination):
    """Questions, one at a time."""

    name = "independence"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """Each question; in full also without each that it rests on."""
        names = [question.name for question in assignment.questions]
        if options.quick:
            return names
        return names + [f"{q.name}{_WITHOUT}{other}" for q in assignment.questions for other in q.rests_on]

    def key(self, assignment: Assignment) -> str:
        """The reference's markers as well, which are comments."""
        return graded_digest(assignment, content_digest(assignment.reference))

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """The points by question, and what failed in the solved one.

        Artifacts are handed in where the solved questions could have made them, and else only if the question does not
        get its points without: weights would earn points for whoever was given them.
        """
        question, _, left_out = piece.partition(_WITHOUT)
        solved = {question, *closure(assignment, question)} - {left_out}
        script = stub_source(assignment, solved).encode()
        asked = [question] if left_out else None
        for artifacts in self._artifacts(assignment, solved):
            result = bench.grade(assignment, piece, {f"{assignment.slug}.py": script, **artifacts}, asked)
            own = next(one for one in result.questions if one.name == question)
            if own.score == own.possible:
                break
        failed = {case.name: case.text.split("\n")[0] for case in own.cases if case.text}
        return {"scores": {one.name: one.score for one in result.questions}, "failed": failed}

    def _artifacts(self, assignment: Assignment, solved: Collection[str]) -> list[Files]:
        """What is to be tried, one after the other."""
        artifacts = reference_files(assignment)
        if not artifacts:
            return [{}]
        made_from = Reach(assignment).making_artifacts()
        answered = {name for one in solved for name in assignment.question(one).defines}
        return [artifacts] if made_from <= answered else [{}, artifacts]

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """Errors where a dependency is not declared, or points come without work; notes where one is not needed."""
        verdict = Verdict(f"{len(assignment.questions)} questions", data=found)
        for question in assignment.questions:
            if question.name in found:
                self._check(assignment, question.name, found[question.name], verdict)
        for piece, result in found.items():
            name, _, left_out = piece.partition(_WITHOUT)
            if left_out and result["scores"][name] == assignment.question(name).points:
                verdict.note(f"{name} is declared to rest on {left_out}, and the reference gets it without")
        return verdict

    def _check(self, assignment: Assignment, name: str, result: dict[str, Any], verdict: Verdict) -> None:
        solved = {name, *closure(assignment, name)}
        answered = {defined for one in solved for defined in assignment.question(one).defines}
        for question in assignment.questions:
            score = result["scores"].get(question.name, 0.0)
            if question.name == name and score < question.points:
                with_ = f" with {', '.join(sorted(solved - {name}))}" if len(solved) > 1 else " alone"
                why = "; ".join(f"{case}: {text}" for case, text in list(result["failed"].items())[:2])
                verdict.error(
                    f"{name}, solved{with_}, gets {score:g} of {question.points:g}: does it rest on a question that "
                    f"rests_on does not say? ({why})"
                )
            elif question.name not in solved and score and not answered >= set(question.defines):
                verdict.error(f"with {name} solved, {question.name} gets {score:g} points for nothing")
