"""What `autograder validate` runs: what is to be done, doing it, saying what was found."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from autograder.assignment import Assignment, AssignmentError, find_root, load
from autograder.identity import grader_version
from autograder.interrupt import Interrupt
from autograder.machine import fitting_jobs
from autograder.pool import Began, Finished, PoolError
from autograder.progress import Display
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.host import remove_abandoned
from autograder.sandbox.judges import Judges
from autograder.validate import table
from autograder.validate.changes import changed
from autograder.validate.crew import Crew
from autograder.validate.examinations import EXAMINATIONS
from autograder.validate.kept import Kept
from autograder.validate.model import Examination, Options, Outcome, Piece, Verdict
from autograder.validate.table import Report

SOUND, FAULTY, USAGE = 0, 1, 2
CACHE = Path("build", "validate")


def main(
    control: socket.socket,
    slugs: list[str],
    only: list[str],
    seeds: int,
    quick: bool,
    since: str | None,
    json: str | None,
    jobs: int | None,
    again: bool,
) -> int:
    """What `launch.become_judge` calls.

    Returns:
        0 if there is nothing to mend, 1 if there is, or if the run was stopped, 2 if nothing can be done.
    """
    console = Console(stderr=True, highlight=False)
    names = [examination.name for examination in EXAMINATIONS]
    if strange := sorted(set(only) - set(names)):
        console.print(f"No examination {strange[0]!r}. There are: {', '.join(names)}.", markup=False)
        return USAGE
    try:
        examinations = [e for e in EXAMINATIONS if not only or e.name in only]
        assignments, root = [load(slug) for slug in slugs], find_root()
        in_full = changed(root, since, console) if since else set()
        options = {slug: Options(seeds, quick and slug not in in_full) for slug in slugs}
        run = Run(assignments, examinations, options, root / CACHE, console, again)
        run.do(control, jobs)
        report = run.report()
        table.show(report)
        if json:
            table.write(report, Path(json))
        return FAULTY if report.errors or run.waiting else SOUND
    except (AssignmentError, PoolError, SandboxError, OSError) as error:
        console.print(str(error), markup=False, soft_wrap=True)
        return USAGE


@dataclass
class Run:
    """One run over some assignments.

    Args:
        assignments: those to be examined.
        examinations: how.
        options: what was asked for, by assignment.
        cache: the folder for what is known already.
        console: for progress.
        again: whether everything is done again.

    Attributes:
        waiting: pieces that are not done.
        found: what came of the others, by assignment, examination and piece.
    """

    assignments: Sequence[Assignment]
    examinations: Sequence[Examination]
    options: Mapping[str, Options]
    cache: Path
    console: Console
    again: bool = False
    waiting: dict[Piece, Examination] = field(default_factory=dict)
    found: dict[tuple[str, str], dict[str, Outcome]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kept = {a.slug: Kept(self.cache / f"{a.slug}.jsonl") for a in self.assignments}
        for piece, examination in self._pieces():
            known = None if self.again else self._kept[piece.slug].get(piece)
            place = self.found.setdefault((piece.slug, piece.examination), {})
            if known is None:
                self.waiting[piece] = examination
            else:
                place[piece.name] = known

    def _pieces(self) -> Iterator[tuple[Piece, Examination]]:
        for assignment in self.assignments:
            for examination in self.examinations:
                if names := examination.pieces(assignment, self.options[assignment.slug]):
                    key = examination.key(assignment)
                    for name in names:
                        yield Piece(assignment.slug, examination.name, name, key), examination

    def do(self, control: socket.socket, jobs: int | None) -> None:
        """Does what is not known yet; stopped by Ctrl-C, what is done is kept."""
        total = len(self.waiting)
        if known := sum(map(len, self.found.values())):
            self.console.print(f"{known} of {known + total} pieces are known from before.")
        if not total:
            return
        remove_abandoned()
        memory = max(assignment.limits.memory_mb for assignment in self.assignments)
        with ExitStack() as stack:
            interrupt = stack.enter_context(Interrupt(self.console))
            crew = stack.enter_context(self._crew(Judges(control), min(jobs or fitting_jobs(memory), total)))
            display = stack.enter_context(Display(self.console, total))
            for event in crew(iter([(piece, b"") for piece in self.waiting])):
                if isinstance(event, Began):
                    display.began(event.task.label)
                elif isinstance(event, Finished):
                    self._keep(event.task, event.reply)
                    display.done(event.task.label, bool(event.reply.problem), _line(event.task, event.reply))
                display.refresh()
                if interrupt.asked:
                    break
        if self.waiting:
            done = total - len(self.waiting)
            self.console.print(f"Stopped: {done} of {total} pieces are done, and kept.")

    def _crew(self, judges: Judges, jobs: int) -> Crew:
        assignments = {assignment.slug: assignment for assignment in self.assignments}
        return Crew(judges, assignments, {e.name: e for e in self.examinations}, jobs)

    def _keep(self, piece: Piece, outcome: Outcome) -> None:
        del self.waiting[piece]
        self.found[piece.slug, piece.examination][piece.name] = outcome
        if not outcome.problem:
            self._kept[piece.slug].add(piece, outcome)

    def report(self) -> Report:
        """What follows; an examination with pieces that are not done is left out."""
        verdicts: dict[str, dict[str, Verdict]] = {}
        open_ = {(piece.slug, piece.examination) for piece in self.waiting}
        for assignment in self.assignments:
            row = verdicts.setdefault(assignment.slug, {})
            for examination in self.examinations:
                place = (assignment.slug, examination.name)
                if place in self.found and place not in open_:
                    row[examination.name] = self._verdict(assignment, examination, self.found[place])
        columns = [e.name for e in self.examinations if any(e.name in row for row in verdicts.values())]
        return Report(verdicts, columns, grader_version())

    def _verdict(
        self, assignment: Assignment, examination: Examination, outcomes: dict[str, Outcome]
    ) -> Verdict:
        """In the order of the pieces, whenever they were done."""
        options = self.options[assignment.slug]
        names = [name for name in examination.pieces(assignment, options) if name in outcomes]
        values: dict[str, Any] = {name: outcomes[name].value for name in names if not outcomes[name].problem}
        verdict = examination.conclude(assignment, values, options)
        for name in names:
            if problem := outcomes[name].problem:
                verdict.error(f"{name} could not be examined: {problem}")
        return verdict


def _line(piece: Piece, outcome: Outcome) -> str:
    return f"{piece.label}: {outcome.problem or 'done'} ({outcome.seconds:.1f} s)"
