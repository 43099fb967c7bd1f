"""`equivalent.toml`: mutants that no test can tell from a right answer, or need not, each with the reason."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment, AssignmentError
from autograder.validate.mutants import Mutant

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "equivalent.toml"
Key = tuple[str, str, str, int]


@dataclass(frozen=True)
class Excuse:
    """One entry.

    Attributes:
        name: the function, class or Class.method that is changed.
        original: the line, or the statement as `ast.unparse` writes it where it spans several.
        mutant: the same, changed.
        reason: why no suite has to notice.
        occurrence: 2 where the second such line of `name` is meant, and so on.
    """

    name: str
    original: str
    mutant: str
    reason: str
    occurrence: int = 1

    @property
    def key(self) -> Key:
        """What it has in common with its mutant."""
        return self.name, self.original, self.mutant, self.occurrence


def key(mutant: Mutant) -> Key:
    """What a mutant has in common with its excuse."""
    return mutant.name, mutant.original, mutant.mutant, mutant.occurrence


def path(assignment: Assignment) -> Path:
    """Where an assignment's excuses stand."""
    return assignment.folder / FILE


def read(assignment: Assignment) -> list[Excuse]:
    """All of them; none where there is no file.

    Raises:
        AssignmentError: an entry lacks something, or is there twice.
    """
    place = path(assignment)
    if not place.is_file():
        return []
    try:
        tables = tomllib.loads(place.read_text(encoding="utf-8")).get("mutants", [])
    except tomllib.TOMLDecodeError as error:
        raise AssignmentError(f"{FILE} of {assignment.slug}: {error}") from error
    found = [_excuse(table, number, assignment.slug) for number, table in enumerate(tables, start=1)]
    for number, excuse in enumerate(found, start=1):
        if any(excuse.key == other.key for other in found[: number - 1]):
            raise AssignmentError(f"{FILE} of {assignment.slug}: entry {number} is there twice.")
    return found


def _excuse(table: dict[str, Any], number: int, slug: str) -> Excuse:
    try:
        excuse = Excuse(**table)
    except TypeError:
        expected = "name, original, mutant, reason, and occurrence where the line stands there again"
        raise AssignmentError(
            f"{FILE} of {slug}: entry {number} has {', '.join(table)}; expected are {expected}."
        ) from None
    if not excuse.reason.strip():
        raise AssignmentError(f"{FILE} of {slug}: entry {number} says no reason.")
    return excuse
