"""What a TA sees while a class is graded: a live display on a terminal, plain lines everywhere else."""

from __future__ import annotations

import time
from collections import deque

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from autograder.grading import Result
from autograder.suite import clean

_NAMES = 3  # shown in flight; how many more there are is counted
_RECENT = 50  # submissions that the rate is taken from


class Display:
    """Progress of one run.

    Args:
        console: where to.
        total: submissions that are going to be graded.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._done = self._failed = 0
        self._flying: dict[str, None] = {}
        self._times: deque[float] = deque([time.monotonic()], maxlen=_RECENT)
        self._bar = Progress(
            BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}", markup=False),
            console=console, transient=True, auto_refresh=False, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, state="")

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def began(self, name: str) -> None:
        """A submission is in flight."""
        self._flying[name] = None

    def finished(self, result: Result) -> None:
        """A submission is graded and stored."""
        told = f"{clean(result.submission)}: {result.score:g}/{result.possible:g} ({result.status})"
        self.done(result.submission, result.status != "graded", told)

    def done(self, name: str, failed: bool, told: str) -> None:
        """What was begun under this name is done; `told` is its line where there is no terminal, "" for none."""
        self._flying.pop(name, None)
        self._done += 1
        self._failed += failed
        self._times.append(time.monotonic())
        if told and not self._console.is_terminal:
            self._console.print(f"{self._done:4}/{self._total} {told}", markup=False)

    def refresh(self) -> None:
        """Shows the time and what is in flight."""
        self._bar.update(self._task, completed=self._done, state=self.state())
        self._bar.refresh()

    def state(self) -> str:
        """In words: "2 failed, 412/min, 0:12 left: ada.py, bob.py and 4 more"."""
        parts = [f"{self._failed} failed"] if self._failed else []
        rate = self._rate()
        if rate:
            left = round((self._total - self._done) / rate)
            parts += [f"{60 * rate:.0f}/min", f"{left // 60}:{left % 60:02} left"]
        names = [clean(name) for name in self._flying][:_NAMES]
        more = len(self._flying) - len(names)
        flying = ", ".join(names) + (f" and {more} more" if more else "")
        return ": ".join(part for part in (", ".join(parts), flying) if part)

    def _rate(self) -> float:
        """Submissions a second, lately."""
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(time.monotonic() - self._times[0], 1e-9)
