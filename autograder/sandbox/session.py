"""The judge's side of one submission: its child, its cells, its limits, its usage.

A child that dies or overruns is ended; the next request starts a fresh one, which runs the cells again, so that what
happened costs the case in which it happened and no other. A cell that itself ends or hangs the child is left out
the next time.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch

from autograder.sandbox.errors import (
    MAX_TEXT,
    BadAnswer,
    Died,
    Overused,
    StudentError,
    TimedOut,
    student_error,
)
from autograder.sandbox.host import Bounds, Code, Sandbox, remove
from autograder.sandbox.wire import NAMES, Channel, Tree, WireError
from autograder.work import counting

MAX_FATAL_CELLS = 3  # cells that end the process: after so many, what follows them is not run at all
NODES_BEFORE_FREEING = 20
MAX_NAME = 200  # characters of an operator's name
# Bytes of tensors to a test's functions in one call; a test may keep them. Sampling 64 lattices of 32 by 32 in 1000
# steps takes 0.26 GB.
MAX_CALLED_BACK = 1 << 30
MAX_OPERATORS = 10_000  # names kept in one question; torch has 3 000 operators, overloads among them
MAX_WORK = 1 << 60  # operations of one call; a processor core does 2**45 in ten minutes


@dataclass
class CellError:
    """A cell that stopped with an error, or ended the process."""

    cell: int
    line: int | None
    kind: str
    text: str
    trace: str = ""


@dataclass
class Usage:
    """What a submission used, over all its children.

    Attributes:
        starts: how many children there were.
        calls: how often they were asked for something.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    starts: int = 0
    calls: int = 0
    output: str = ""


@dataclass
class Session:
    """One submission in the sandbox.

    Args:
        sandbox: where its children come from.
        code: what is run.
        bounds: what it may use.
        watched: functions of torch's whose calls are to be noticed wherever they come from.
        removed: what is taken away before the first cell runs, as `removal.remove` takes it.

    Attributes:
        generation: counts the children; what belonged to an earlier one is gone.
        cell_errors: what went wrong in the cells, as of the last start.
        operators: names of the operators that ran since the last `begin_question`.
        usage: what was used so far.
        patience: seconds that a call may take while a fixture is computed, instead of the usual bound.
    """

    sandbox: Sandbox
    code: Code
    bounds: Bounds
    watched: list[str] = field(default_factory=list)
    removed: dict[str, Any] | None = None
    generation: int = 0
    cell_errors: list[CellError] = field(default_factory=list)
    operators: set[str] = field(default_factory=set)
    usage: Usage = field(default_factory=Usage)
    recorder: Any = None
    callbacks: list[Any] = field(default_factory=list)
    dead_nodes: list[int] = field(default_factory=list)
    patience: float | None = None

    def __post_init__(self) -> None:
        self._output: IO[bytes] | None = None
        self._printed = ""
        self._closed = False
        self._pid: int | None = None
        self._box: Path | None = None
        self._channel: Channel | None = None
        self._fatal: dict[int, CellError] = {}
        self._seed = 0
        self._question: dict[str, Any] = {"forbidden": [], "question": ""}
        self._pending: dict[str, Any] = {}
        self._called_back = 0  # bytes that a test's functions were given in the call that is under way

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------------- life and death

    @property
    def alive(self) -> bool:
        """Whether a child is there to answer."""
        return self._channel is not None

    def start(self) -> None:
        """Makes sure that a child is there and has run the cells.

        Raises:
            SandboxError: no child could be started.
            TimedOut: the time for the submission is used up.
        """
        while not self.alive:
            if self.usage.seconds > self.bounds.total_seconds:
                raise TimedOut(f"The time for one submission ({self.bounds.total_seconds:g} s) is used up.")
            # A file: nobody has to drain it, unlike a pipe. One for each child: what one wrote no other can read,
            # or hidden tests' inputs would come to light in the errors of the cells that run again.
            self._output = tempfile.TemporaryFile(mode="a+b")  # noqa: SIM115  `kill` closes it
            self._pid, self._box, self._channel = self.sandbox.spawn(
                self.bounds, self.code, self._output.fileno()
            )
            self.generation += 1
            self.usage.starts += 1
            self.dead_nodes.clear()
            self._run_cells()

    def _run_cells(self) -> None:
        self.cell_errors = []
        # No traps yet: a cell may well compare with the library's answer.
        self._pending = {"watched": self.watched} | ({"removed": self.removed} if self.removed else {})
        for number, (source, line) in enumerate(self.code.cells):
            if number in self._fatal or (len(self._fatal) >= MAX_FATAL_CELLS and number > max(self._fatal)):
                self.cell_errors.append(self._fatal.get(number) or _not_run(number))
                continue
            name = f"cell {number + 1}" if self.code.notebook else self.code.filename
            message = {
                "op": "cell",
                "source": source,
                "line": line,
                "filename": name,
                "notebook": self.code.notebook,
            }
            try:
                answer, _ = self.request(message, seconds=self.bounds.cell_seconds)
            except (Died, TimedOut, Overused, BadAnswer) as error:
                self._fatal[number] = CellError(number, None, type(error).__name__, str(error))
                return  # `start` tries again, without this cell
            except StudentError as error:  # the shell itself failed
                self.cell_errors.append(CellError(number, None, error.kind, error.text))
                continue
            if isinstance(answer.get("error"), dict):
                self.cell_errors.append(_cell_error(number, answer["error"]))
        self._pending = {"seed": self._seed, **self._question}

    def kill(self) -> str:
        """Ends the child; says in words how it had ended by itself, if it had."""
        if self._channel is None or self._pid is None:
            return "was ended"
        self._channel.close()
        self._channel = None
        report = self.sandbox.end(self._pid)
        self.usage.cpu_seconds += report.get("cpu") or 0.0
        self.usage.peak_mb = max(self.usage.peak_mb, (report.get("peak_kb") or 0) / 1024)
        if self._box is not None:
            remove(self._box)
        if self._output is not None:
            self._printed = _shortened(
                self._printed + _excerpt(self._output, self.bounds.output), self.bounds.output
            )
            self._output.close()
        return how_it_ended(report.get("status"))

    def close(self) -> None:
        """Ends the child and keeps what it printed in `usage.output`; the second time it does nothing."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        self.usage.output = without_folder(self._printed)

    # ------------------------------------------------------------------------------------------------------ requests

    def begin_question(self, forbidden: list[str], question: str | None = "") -> None:
        """Forgets the operators seen so far, and has those that this question forbids watched.

        Args:
            forbidden: aten operators, as `operators.matching` names them.
            question: its name, so that a second beginning does not sample the same calls again; None: no sampling.
        """
        self.operators.clear()
        self._question = {"forbidden": forbidden, "question": question}
        self._pending |= self._question

    @contextmanager
    def fixture(self, seed: int, seconds: float) -> Iterator[None]:
        """For what is computed once a submission: seeds of its own, more time, no recording; then all is as it was.

        Args:
            seed: of the random numbers inside.
            seconds: what one call may take.
        """
        question, operators, before = self._question, set(self.operators), self._seed
        recorder, patience = self.recorder, self.patience
        self.start()
        self.recorder, self.patience = None, seconds
        self.begin_question(question["forbidden"], None)
        self.seed(seed)
        try:
            yield
        finally:
            self.recorder, self.patience = recorder, patience
            ran = set(self.operators)
            self.begin_question(**question)
            self.operators |= operators | ran
            self.seed(before)

    def seed(self, seed: int) -> None:
        """Fixes the random numbers that follow: the same seed, the same numbers, in a fresh child too."""
        self._seed = seed
        self._pending["seed"] = seed  # goes over with the next request: a message of its own costs 0.3 ms

    def request(
        self, message: Tree, tensors: list[torch.Tensor] | None = None, seconds: float | None = None
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Sends one message to the child that is there and waits for the answer.

        Args:
            message: `{"op": ...}`.
            tensors: the frame's tensors.
            seconds: how long it may take; by default that of a call.

        Raises:
            StudentError: the student's code raised an exception.
            TimedOut, Died, Overused, BadAnswer: the child is gone now, for this reason.
        """
        limit = min(
            seconds or self.patience or self.bounds.call_seconds,
            max(0.1, self.bounds.total_seconds - self.usage.seconds),
        )
        started = time.monotonic()
        self.usage.calls += 1
        try:
            return self._exchange(message, tensors, limit)
        except Overused:
            self.kill()
            raise
        except StudentError as error:  # its EOFError or TimeoutError says nothing about the child
            if _is_full(error):
                self.kill()  # what filled the memory may be kept there, and is not to cost other questions
            raise
        except TimeoutError:
            self.kill()
            raise TimedOut(_timeout_text(message, limit, self.bounds)) from None
        except (EOFError, ConnectionError):
            raise Died(f"Python itself {self.kill()}.") from None
        except WireError as error:
            self.kill()
            raise BadAnswer(f"What came back cannot be passed on: {error}.") from None
        finally:
            self.usage.seconds += time.monotonic() - started

    @contextmanager
    def charged(self) -> Iterator[None]:
        """Counts the time inside as the submission's: reading what it answered takes as long as it makes it."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.usage.seconds += time.monotonic() - started

    def _exchange(
        self, message: Tree, tensors: list[torch.Tensor] | None, limit: float
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        channel = self._channel
        if channel is None:
            raise Died("The process that held this object has ended.")
        channel.within(limit)
        self._called_back = 0
        if len(self.dead_nodes) >= NODES_BEFORE_FREEING:
            channel.send({"op": "free", "nodes": self.dead_nodes[:]})
            self.dead_nodes.clear()
        pending, self._pending = self._pending, {}
        cell = message.get("op") == "cell"
        channel.send({**message, **pending, **({} if cell else _circumstances())}, tensors)
        answer, out = channel.receive()
        while "callback" in answer:
            self._serve_callback(channel, answer, out)
            answer, out = channel.receive()
        channel.look_back()
        if not cell:  # a cell may well compare with the library's answer
            self._note_operators(answer.get("operators"))
            _note_work(answer.get("work"))
        if answer.get("ok") is not True:
            raise _error_from(answer)
        return answer, out

    def _serve_callback(self, channel: Channel, call: dict[str, Any], tensors: list[torch.Tensor]) -> None:
        number = call["callback"]
        if type(number) is not int or not 0 <= number < len(self.callbacks):
            raise WireError("a call to a function that was not offered")
        self._called_back += sum(tensor.nbytes for tensor in tensors)
        if self._called_back > MAX_CALLED_BACK:
            raise WireError("more data than a test's functions may be given in one call")
        reply, out = self.callbacks[number](call.get("arguments"), tensors)
        channel.send(reply, out)

    def _note_operators(self, names: Any) -> None:
        if isinstance(names, list):
            room = max(0, MAX_OPERATORS - len(self.operators))
            self.operators.update([name[:MAX_NAME] for name in names if isinstance(name, str)][:room])


def _circumstances() -> dict[str, Any]:
    """What a test has set for the time being, and the student's code is to find as if it ran in the same process."""
    default = torch.get_default_dtype()
    found: dict[str, Any] = {} if default is torch.float32 else {"default_dtype": NAMES[default]}
    return found | ({"count": True} if counting() else {})


def _note_work(counts: Any) -> None:
    if isinstance(counts, list) and len(counts) == 3:
        flops, largest, written = (n if type(n) is int and 0 <= n < MAX_WORK else 0 for n in counts)
        for work in counting():
            work.add(flops, largest, written)


def _error_from(answer: dict[str, Any]) -> StudentError:
    kind, text, trace = _texts(answer)
    bases = answer.get("bases")
    names = [base for base in bases if isinstance(base, str)][:10] if isinstance(bases, list) else []
    return student_error(kind[:100], text, trace, names)


def _cell_error(number: int, error: dict[str, Any]) -> CellError:
    line = error.get("line")
    kind, text, trace = _texts(error)
    return CellError(number, line if type(line) is int else None, kind[:100], text, trace)


def _is_full(error: StudentError) -> bool:
    """Whether the student's code ran out of memory: Python's own, or torch's."""
    return error.kind == "MemoryError" or "can't allocate memory" in error.text


def _texts(error: dict[str, Any]) -> Iterator[str]:
    texts = (error.get(key) for key in ("kind", "text", "trace"))
    return (without_folder(text[:MAX_TEXT]) if isinstance(text, str) else "" for text in texts)


_BOX = re.compile(re.escape(tempfile.gettempdir()) + r"/autograder-\w+/\d+(/?)")


def without_folder(text: str) -> str:
    """A text without the name of the submission's folder, which is another in every run."""
    return _BOX.sub(lambda found: "" if found[1] else ".", text)


def _not_run(number: int) -> CellError:
    return CellError(number, None, "NotRun", f"not run: {MAX_FATAL_CELLS} cells before it ended the process")


def _timeout_text(message: Tree, limit: float, bounds: Bounds) -> str:
    if limit < min(bounds.call_seconds, bounds.cell_seconds):
        return f"It was stopped: the time for one submission ({bounds.total_seconds:g} s) was used up."
    what = "cell" if message.get("op") == "cell" else "call"
    return f"It was stopped: one {what} may take {limit:g} s. Is there a loop that never ends?"


def how_it_ended(status: int | None) -> str:
    """In words, what an exit status says (negative: the signal that ended it)."""
    if status is None or status == -signal.SIGKILL:
        return "was ended"
    if status >= 0:
        return f"was ended by the code with exit code {status} (os._exit or similar)"
    known = {
        signal.SIGSEGV: "crashed (segmentation fault)",
        signal.SIGABRT: "crashed (abort)",
        signal.SIGBUS: "crashed (bus error)",
        signal.SIGFPE: "crashed (floating-point exception)",
        signal.SIGXCPU: "was stopped: it used too much processor time",
        signal.SIGSYS: "was stopped: it made a system call that is not allowed",
    }
    return known.get(signal.Signals(-status), f"was ended by signal {-status}")


def _shortened(text: str, bound: int) -> str:
    """The beginning and the end of what several children printed."""
    half = bound // 2
    if len(text) <= 2 * bound:
        return text
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"


def _excerpt(file: Any, bound: int) -> str:
    """The beginning and the end of what was printed."""
    size = os.fstat(file.fileno()).st_size
    head = os.pread(file.fileno(), min(size, bound), 0)
    if size <= bound:
        return head.decode(errors="replace")
    half = bound // 2
    tail = os.pread(file.fileno(), half, size - half)
    gap = f"\n[... {size - 2 * half:,} bytes left out ...]\n"
    return head[:half].decode(errors="replace") + gap + tail.decode(errors="replace")
