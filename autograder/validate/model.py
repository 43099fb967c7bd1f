"""What an examination is, and what it finds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from autograder.assignment import Assignment
from autograder.validate.digests import graded_digest

if TYPE_CHECKING:
    from autograder.validate.bench import Bench

Level = Literal["error", "note"]


@dataclass(frozen=True)
class Options:
    """What was asked for.

    Attributes:
        seeds: under how many seeds the suites are run again; 0: not at all.
        quick: a sample of each examination, for every change; in full: all of it.
    """

    seeds: int = 0
    quick: bool = False


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know: an "error" is to be mended, a "note" need not be."""

    level: Level
    text: str


@dataclass
class Verdict:
    """What an examination says about one assignment.

    Attributes:
        summary: a few words for the table, such as "70 of 70".
        findings: the reasons, listed below the table.
        lines: what else is worth a look, below those.
        data: all that was measured, for the JSON file: plain data.
    """

    summary: str = ""
    findings: list[Finding] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def error(self, text: str) -> None:
        """Adds what is to be mended."""
        self.findings.append(Finding("error", text))

    def note(self, text: str) -> None:
        """Adds what is good to know."""
        self.findings.append(Finding("note", text))

    @property
    def errors(self) -> list[str]:
        """What is to be mended."""
        return [finding.text for finding in self.findings if finding.level == "error"]


@dataclass(frozen=True)
class Piece:
    """A part of one examination of one assignment, done in one go by one judge; its outcome is kept.

    Attributes:
        key: digest of all that it reads.
    """

    slug: str
    examination: str
    name: str
    key: str

    @property
    def label(self) -> str:
        """For people: "attention mutation q1"."""
        return f"{self.slug} {self.examination} {self.name}"


@dataclass
class Outcome:
    """What came of a piece.

    Attributes:
        value: what `Examination.examine` returned: plain data.
        problem: why there is no value, or "".
        seconds: what it took.
    """

    value: Any = None
    problem: str = ""
    seconds: float = 0.0


class Examination(ABC):
    """One way of looking at a suite.

    The command's process asks `pieces` and `key`, judges do `examine`, and the command's process concludes.

    Attributes:
        name: the column's head in the table, and the examination's name in `--only` and in the JSON file.
    """

    name: ClassVar[str]

    @abstractmethod
    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """The names of its parts, each a few seconds' work, in the order in which they are best done."""

    def key(self, assignment: Assignment) -> str:
        """A digest of what its pieces read: one with the same name and digest is not done again.

        By default what any result of the grader rests on, and this package. What reads more must say so.
        """
        return graded_digest(assignment)

    @abstractmethod
    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> Any:
        """Does one piece, in a judge's process; plain data that JSON can hold comes of it."""

    @abstractmethod
    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """What follows from all pieces together; `found` has the values by piece."""
