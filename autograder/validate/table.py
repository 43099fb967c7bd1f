"""What was found: one table, the reasons below it, and a file for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.plain import to_json
from autograder.summary import PLAIN_WIDTH
from autograder.validate.model import Verdict

Verdicts = Mapping[str, Mapping[str, Verdict]]  # by assignment, then by examination


@dataclass(frozen=True)
class Report:
    """All that a run found.

    Attributes:
        verdicts: by assignment, then by examination; what was not examined to its end is not in it.
        columns: the names of the examinations, in order.
        grader: the program.
    """

    verdicts: Verdicts
    columns: Sequence[str]
    grader: str

    @property
    def errors(self) -> int:
        """How much there is to mend."""
        return sum(len(v.errors) for row in self.verdicts.values() for v in row.values())


def show(report: Report) -> None:
    """The table and the reasons, on standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=max(PLAIN_WIDTH, 14 * (len(report.columns) + 2)))
    table = Table("assignment", *report.columns)
    for slug, row in report.verdicts.items():
        table.add_row(slug, *(_cell(row.get(name)) for name in report.columns))
    console.print(table)
    for slug, row in report.verdicts.items():
        for name, verdict in row.items():
            for finding in verdict.findings:
                text = f"{finding.level}: {slug}, {name}: {finding.text}"
                console.print(text, markup=False, soft_wrap=True)
    for slug, row in report.verdicts.items():
        for name, verdict in row.items():
            for line in verdict.lines:
                console.print(f"{slug}, {name}: {line}", markup=False, soft_wrap=True)


def write(report: Report, path: Path) -> None:
    """Everything, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        to_json({"grader": report.grader, "errors": report.errors, "assignments": report.verdicts}) + "\n",
        encoding="utf-8",
    )


def _cell(verdict: Verdict | None) -> Text:
    if verdict is None:
        return Text("-", style="dim")
    if count := len(verdict.errors):
        return Text(f"{count} error{'s' if count > 1 else ''}", style="bold red")
    return Text(verdict.summary or "ok", style="green")
