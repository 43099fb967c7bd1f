"""What a student and what staff would see on Gradescope, side by side in the terminal."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.gradescope.emulator import Trial
from autograder.suite import clean

_WHEN = {
    "hidden": "never",
    "after_due_date": "after the due date",
    "after_published": "once grades are published",
}
MAX_PRINTED = 2000  # characters, where something went wrong
MAX_LINES = 12  # of one text; the rest is said to be there


def show(trial: Trial, console: Console) -> None:
    """Prints a trial: both views, what it took, and what went wrong."""
    if trial.results is not None:
        console.print(_table(trial.results))
    usage = trial.usage
    took = f"{trial.seconds:.1f} s, {usage.cpu_seconds:.1f} processor seconds, {usage.peak_mb:.0f} MB at most"
    console.print(f"{took} ({trial.where})", markup=False)
    if trial.problems and trial.output:
        console.print(f"Printed, at the end:\n{clean(trial.output[-MAX_PRINTED:])}", markup=False)
    for problem in trial.problems:
        console.print(f"PROBLEM: {clean(problem)}", markup=False)
    if not trial.problems:
        console.print("No problem found.")


def _table(results: dict[str, Any]) -> Table:
    table = Table("a student sees, before grades are published", "staff see", show_lines=True, expand=True)
    tests = [test for test in results.get("tests", []) if isinstance(test, dict)]
    hidden = any(_visibility(test, results) != "visible" for test in tests)
    table.add_row(_total(results, tests, not hidden), _total(results, tests, True))
    for test in tests:
        seen = _visibility(test, results)
        told = Text(f"not shown: {_WHEN.get(seen, seen)}", style="dim")
        table.add_row(_shown(test) if seen == "visible" else told, _shown(test, seen))
    return table


def _visibility(test: dict[str, Any], results: dict[str, Any]) -> str:
    """A test's own goes before the top one."""
    return str(test.get("visibility") or results.get("visibility") or "visible")


def _total(results: dict[str, Any], tests: list[dict[str, Any]], with_score: bool) -> Text:
    score = results.get("score", sum(test.get("score", 0) for test in tests))
    possible = sum(test.get("max_score", 0) for test in tests)
    text = Text(
        f"Total: {score:g} / {possible:g}" if with_score else "Total: - (a test is hidden)", style="bold"
    )
    if output := results.get("output"):
        text.append(f"\n{_short(output)}", style="not bold")
    return text


def _shown(test: dict[str, Any], visibility: str = "") -> Text:
    style = {"passed": "green", "failed": "red"}.get(str(test.get("status")), "")
    points = f"({test.get('score', 0):g} / {test.get('max_score', 0):g})"
    text = Text(
        f"{test.get('number', '')} {clean(str(test.get('name', '')))} {points}".strip(), style=f"bold {style}"
    )
    if visibility:
        tags = ", ".join(map(str, test.get("tags", [])))
        text.append(f"\n{visibility}{f'; tags: {tags}' if tags else ''}", style="not bold dim")
    if test.get("output"):
        text.append(f"\n{_short(str(test['output']))}", style="not bold default")
    return text


def _short(output: str) -> str:
    """The first lines, without Markdown's own signs."""
    lines = [re.sub(r"\\([^\w\s])", r"\1", line) for line in clean(output).splitlines()]
    lines = [line for line in lines if line.strip() and not re.fullmatch("`{3,}", line)]
    more = f"\n... {len(lines) - MAX_LINES} more lines" if len(lines) > MAX_LINES else ""
    return "\n".join(lines[:MAX_LINES]) + more
