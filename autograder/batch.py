"""Many submissions: what is there and unchanged is kept, the rest is graded, stored and shown; nothing is lost.

This process keeps the store, the views of it and the display; judges are processes of their own (`pool`, `cluster`).
"""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from autograder import publish, roster
from autograder.assignment import Assignment, AssignmentError, load
from autograder.grading import Result
from autograder.identity import Identity, identify
from autograder.interrupt import Interrupt
from autograder.machine import fitting_jobs
from autograder.pool import Began, Finished, Pool, PoolError, Runner, Work
from autograder.progress import Display
from autograder.report import Output
from autograder.report.manual import ManualError
from autograder.roster import RosterError
from autograder.roster.kept import assembled
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.host import remove_abandoned
from autograder.sandbox.judges import Judges
from autograder.store import DiskFull, Store, Stored, StoreError, explained
from autograder.submission import SubmissionError
from autograder.suite import clean
from autograder.summary import Change, change, print_changes, print_points
from autograder.worker import Reply, Task, fingerprint_at

GRADED, SOME_FAILED, USAGE = 0, 1, 2
TABLE_SECONDS = 5.0  # grades.csv is written again after so long, or after 20 times what writing it took
Runners = Callable[[Assignment, int], AbstractContextManager[Runner]]


def grade(
    control: socket.socket, slug: str, paths: list[str], folder: str, jobs: int | None, report: bool
) -> int:
    """What `autograder grade` runs: `launch.become_judge` calls it."""
    return grade_all(load(slug), [Path(path) for path in paths], Path(folder), local(control, jobs), report)


def regrade(control: socket.socket, folder: str, jobs: int | None, report: bool) -> int:
    """What `autograder regrade` runs: `launch.become_judge` calls it."""
    return regrade_all(Path(folder), local(control, jobs), report)


def local(control: socket.socket, jobs: int | None) -> Runners:
    """Judges on this machine.

    Args:
        control: the socket to the fork server that this process is a fork of.
        jobs: how many judges; None: as many as fit.
    """

    @contextmanager
    def runners(assignment: Assignment, tasks: int) -> Iterator[Runner]:
        remove_abandoned()
        wanted = jobs or fitting_jobs(assignment.limits.memory_mb)
        try:
            with Pool(Judges(control), assignment, max(1, min(wanted, tasks))) as pool:
                yield pool
        finally:
            remove_abandoned()  # of judges that had to be killed on the way

    return runners


def grade_all(
    assignment: Assignment, paths: Iterable[Path], folder: Path, runners: Runners, report: bool = True
) -> int:
    """Grades what is found under `paths`, apart from what the output folder has already, and prints the table.

    Returns:
        0 if all were graded, 1 if some could not be (they are named), 2 if nothing can be done.
    """

    def act(console: Console, interrupt: Interrupt) -> int:
        entries = roster.find(paths, assignment.slug)
        with Store(folder, assignment.slug) as store:
            batch = Batch(assignment, store, console, interrupt)
            publish.note_people(store, entries)
            found = [(entry.name, assembled(entry, folder / "assembled")) for entry in entries]
            tasks = batch.due_at(found)
            batch.run(runners, tasks, ((task, b"") for task in tasks))
            names = [name for name, _ in found]
            print_points(assignment, store.results(name for name in names if store.get(name)))
            batch.say_where(report)
            return batch.say_failures(names)

    return _orderly(act)


def regrade_all(folder: Path, runners: Runners, report: bool = True) -> int:
    """Grades again what the store has, where a question's suite or the grader changed, and prints whose score changed.

    Returns:
        As `grade_all`.
    """

    def act(console: Console, interrupt: Interrupt) -> int:
        with Store(folder, None) as store:
            assignment = load(store.slug)
            batch = Batch(assignment, store, console, interrupt)
            tasks = batch.due_in_store()
            batch.run(runners, tasks, batch.stored(tasks))
            names = [stored.name for stored in store.all()]
            print_changes(assignment, batch.changes, len(names))
            batch.say_where(report)
            return batch.say_failures(names)

    return _orderly(act)


def _orderly(act: Callable[[Console, Interrupt], int]) -> int:
    """Turns what can't be helped into words and an exit code."""
    console = Console(stderr=True, highlight=False)
    try:
        with Interrupt(console) as interrupt:
            return act(console, interrupt)
    except (
        SubmissionError, RosterError, ManualError, StoreError, PoolError, AssignmentError, SandboxError,
    ) as error:  # fmt: skip
        console.print(str(error), markup=False, soft_wrap=True)
        return SOME_FAILED if isinstance(error, DiskFull) else USAGE


@dataclass
class Batch:
    """One run over many submissions.

    Attributes:
        changes: of submissions that had been graded before, whose points are others now.
    """

    assignment: Assignment
    store: Store
    console: Console
    interrupt: Interrupt
    changes: list[Change] = field(default_factory=list)
    undone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._table_at = 0.0
        try:
            self._output = Output(self.store.folder, self.assignment)
        except OSError as error:
            raise explained(error, self.store.folder) from error

    @functools.cached_property
    def identity(self) -> Identity:
        """What the results of this run rest on; reading it takes 0.1 s, which a judge at work does not wait for."""
        return identify(self.assignment)

    # ----------------------------------------------------------------------------------------------- what is to be done

    def due_at(self, found: list[tuple[str, Path]]) -> list[Task]:
        """Of these submissions, those that are new or changed, and the questions whose suites changed."""
        tasks = []
        for name, path in found:
            stored = self.store.get(name)
            if stored is None or stored.fingerprint != (fingerprint_at(path) or None):
                tasks.append(Task(name, str(path)))
            elif task := self._due(stored):
                tasks.append(task)
        if kept := len(found) - len(tasks):
            self.console.print(f"{kept} of {len(found)} were graded before and have not changed.")
        return tasks

    def due_in_store(self) -> list[Task]:
        """Of the stored submissions, those with questions whose suites changed."""
        tasks = []
        for stored in self.store.all():
            if stored.status != "failed" and (task := self._due(stored)):
                if stored.digest or Path(stored.path).exists():
                    tasks.append(task)
                else:
                    text = f"{clean(stored.name)} was never read, and {clean(stored.path)} is gone: left as it was."
                    self.console.print(text, markup=False, soft_wrap=True)
        return tasks

    def _due(self, stored: Stored) -> Task | None:
        """What there is to do again about bytes that are the same."""
        wanted = self.identity.questions
        names = [name for name, key in wanted.items() if stored.keys.get(name) != key]
        if len(names) == len(wanted) or stored.keys.keys() - wanted.keys():
            return Task(stored.name, stored.path)
        beside = stored.key != self.identity.beside
        return Task(stored.name, stored.path, names, beside) if names or beside else None

    # --------------------------------------------------------------------------------------------------------- doing it

    def run(self, runners: Runners, tasks: list[Task], work: Work) -> None:
        """Grades, stores and shows; what could not be done is in `undone` afterwards.

        Args:
            runners: gives a runner for so many tasks.
            tasks: what is to be done.
            work: the same, one by one, with content where that does not lie at the path.
        """
        waiting = {task.name: task for task in tasks}
        with ExitStack() as stack:
            if tasks:
                runner = stack.enter_context(runners(self.assignment, len(tasks)))
                display = stack.enter_context(Display(self.console, len(tasks)))
                for event in runner(work):
                    if isinstance(event, Began):
                        display.began(event.task.name)
                    elif isinstance(event, Finished):
                        del waiting[event.task.name]
                        display.finished(self._keep(event))
                    display.refresh()
                    if self.interrupt.asked:
                        break
        self.undone = list(waiting)
        if self.interrupt.asked:
            done = len(tasks) - len(waiting)
            self.console.print(
                f"Stopped: {done} of {len(tasks)} are graded; their results are kept.", markup=False
            )
        self._complete_views()

    def stored(self, tasks: list[Task]) -> Iterator[tuple[Task, bytes]]:
        """The tasks, each with its content as it was graded before, whatever lies at its path by now."""
        for task in tasks:
            known = self.store.get(task.name)
            yield task, self.store.content(known.digest) if known else b""

    def _keep(self, event: Finished[Task, Reply]) -> Result:
        name = event.task.name
        before = next(self.store.results([name])) if self.store.get(name) else None
        result = self.store.save(self.assignment, self.identity, event.task.path, event.reply)
        if before is not None and (changed := change(before, result)):
            self.changes.append(changed)
        if not self.store.about(
            "whole"
        ):  # the first result of a folder: what is written from now on is not old
            self.store.note("whole", self.identity.whole)
        with self._writing():
            self._output.add(result)
            if time.monotonic() > self._table_at:
                started = time.monotonic()
                self._output.write_table(self.store.results())
                took = time.monotonic() - started
                self._table_at = time.monotonic() + max(TABLE_SECONDS, 20 * took)
        return result

    def _complete_views(self) -> None:
        """Writes the table, and the results files that a kill has prevented or that a changed text has made old."""
        old = self.store.about("whole") not in ("", self.identity.whole)
        with self._writing():
            for stored in self.store.all():
                if old or self._output.written_at(stored.name) < stored.graded_at:
                    self._output.add(next(self.store.results([stored.name])))
            self._output.write_table(self.store.results())
        self.store.note("whole", self.identity.whole)
        self.store.note("grader", self.identity.grader)

    def _writing(self) -> _Writing:
        return _Writing(self.store.folder)

    # ------------------------------------------------------------------------------------------------------ what to say

    def say_where(self, report: bool) -> None:
        """Writes the report, if that is wanted, and says where everything is, on standard output."""
        output = self._output
        lines = [f"Scores: {output.table}", f"Feedback: {output.folder / 'results'}/"]
        changes = [(entry.submission, entry.before, entry.after) for entry in self.changes]
        publish.note_changes(self.store, changes)
        if report and not self.undone:
            with self._writing():
                lines.append(f"Report: {publish.publish(self.store, self.assignment)}")
        Console(highlight=False, markup=False).print("\n".join(lines), soft_wrap=True)

    def say_failures(self, names: list[str]) -> int:
        """Names those that are not graded, among these; the exit code."""
        known = {stored.name: stored.status for stored in self.store.all()}
        failed = [name for name in names if known.get(name, "graded") != "graded" and name not in self.undone]
        for what, who in (("Could not be graded", failed), ("Not graded", self.undone)):
            if who:
                self.console.print(f"{what}: {', '.join(map(clean, who))}", markup=False)
        return SOME_FAILED if failed or self.undone else GRADED


class _Writing:
    """A disk without room, while views are written, becomes words."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        if isinstance(error, OSError):
            raise explained(error, self._folder) from error
