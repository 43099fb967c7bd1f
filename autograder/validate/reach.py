"""Which questions can notice that one of a student's names is wrong: their tests ask for it, or a fixture does."""

from __future__ import annotations

import inspect

from autograder.assignment import Assignment
from autograder.fixtures import load_recipes
from autograder.suite import load


class Reach:
    """What the tests of an assignment ask for.

    Args:
        assignment: whose.

    Attributes:
        cases: by question, then by case, the names that are its parameters.
        direct: by question, the same of all its cases.
        through: by question, what the fixtures among these need, and so on.
    """

    def __init__(self, assignment: Assignment) -> None:
        recipes = load_recipes(assignment)
        self._artifacts = {artifact.name for artifact in assignment.artifacts}
        self._needs = {name: set(inspect.signature(recipe).parameters) for name, recipe in recipes.items()}
        self.cases = {
            question: {case.name: set(_parameters(case)) for case in file.test_cases}
            for question, file in load(assignment, {"elsewhere", *recipes}).items()
        }
        self.direct = {question: set().union(*cases.values()) for question, cases in self.cases.items()}
        self.through = {
            question: self._closure(names & set(recipes)) - names for question, names in self.direct.items()
        }

    def resting_on_artifacts(self) -> set[str]:
        """The fixtures that an artifact goes into, directly or through others."""
        return {name for name in self._needs if self._closure({name}) & self._artifacts}

    def making_artifacts(self) -> set[str]:
        """The student's names that are called to make what an artifact would hold, where it was not handed in."""
        using = [names for names in self._needs.values() if names & self._artifacts]
        return {name for names in using for name in names} - self._artifacts - set(self._needs)

    def _closure(self, names: set[str]) -> set[str]:
        found: set[str] = set()
        while names:
            found |= names
            names = {needed for name in names for needed in self._needs.get(name, ())} - found
        return found


def resting(assignment: Assignment, question: str) -> set[str]:
    """The questions that declare to rest on this one, directly or through others."""
    return {q.name for q in assignment.questions if question in closure(assignment, q.name)}


def closure(assignment: Assignment, question: str) -> set[str]:
    """The questions that this one declares to rest on, directly or through others."""
    found: set[str] = set()
    waiting = list(assignment.question(question).rests_on)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += assignment.question(name).rests_on
    return found - {question}


def _parameters(case: object) -> list[str]:
    return list(inspect.signature(case.body.test_func).parameters)  # type: ignore[attr-defined]  # Otter has no types
