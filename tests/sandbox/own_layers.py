"""The grader's own layers, which no kernel gives: what each stops, with it and without it.

Each is switched off in the way that a simpler grader would be built: tests beside the student's code, pickle, tests
that students can read, no escaping. An attack is a submission to the sample assignment, or a file or a value.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import jinja2
import torch
from rich.console import Console

from autograder import doors, fixtures, progress, submission, suite
from autograder.assignment import Artifact, Assignment, load
from autograder.grading import Judge, Result
from autograder.report import grades, site
from autograder.sandbox import wire
from autograder.sandbox.errors import Died
from autograder.sandbox.host import Bounds, Code, Sandbox
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session
from autograder.submission import SubmissionError, bundle

ROOT = Path(__file__).parents[2]
MINI = load("mini", Path(__file__).parents[1] / "data" / "sample")

REPLACES_CHECKS = """
import sys

def softmax(x):
    tests = sys._getframe(1).f_globals
    tests.update({name: lambda *args, **kwargs: None for name in tests if name.startswith("check_")})
    return x
"""
KNOWS_THE_PUBLIC_TEST = """
import torch

def softmax(x):
    return torch.tensor([0.25, 0.75], dtype=torch.float64)
"""
TELLS_WHAT_IT_SAW = """
seen = []

def softmax(x):
    seen.append(x.tolist())
    raise RuntimeError(f"seen: {seen}")
"""
ENDS_ITSELF = """
import os

def softmax(x):
    os._exit(0)

def gate_entropy(shares):
    return -(shares * shares.log()).sum(-1)
"""
LIBRARY = """
import torch

def softmax(x):
    if x.numel() == 0:
        raise ValueError("no numbers")
    return getattr(torch, "soft" + "max")(x, -1)
"""
WIPES_THE_RECORD = (
    LIBRARY
    + """
import gc

recorders = [thing for thing in gc.get_objects() if type(thing).__name__ == "Operators"]
for recorder in recorders:
    recorder.take, recorder._set_traps = lambda: [], lambda forbidden: None
"""
)
UNPICKLES_AS_CODE = """
import pickle

class Answer:
    def __reduce__(self):
        return exec, ("import os; os.environ['AUTOGRADER_TRIED'] = 'yes'",)

def answer():
    return Answer()

def pickled():
    return pickle.dumps(Answer())
"""
SCRIPT_NAME = "<script>alert(1)<script>.py"


@dataclass(frozen=True)
class Row:
    """One layer of the grader's own.

    Attributes:
        without, beside: whether the attack works without the layer, and with it.
    """

    layer: str
    what: str
    without: bool
    beside: bool


Attack = Callable[[Sandbox, bool], bool]  # whether it works; the flag says whether the layer is on


def measure(sandbox: Sandbox) -> list[Row]:
    """Tries each attack without its layer and with it."""
    return [
        Row(layer, what, attack(sandbox, False), attack(sandbox, True)) for layer, what, attack in ATTACKS
    ]


def markdown(rows: list[Row]) -> Iterator[str]:
    """The second table."""
    yield "| the grader's own layer | attack | without it | with it |"
    yield "|---|---|---|---|"
    for row in rows:
        yield f"| {row.layer} | {row.what} | {_said(row.without)} | {_said(row.beside)} |"


def _said(works: bool) -> str:
    return "works" if works else "stopped"


def _graded(source: str, judge: Judge) -> Result:
    """A submission with this source, graded."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "mini.py"
        path.write_text(source, encoding="utf-8")
        return judge.grade(submission.read(path, "mini.py", MINI))


def _earns(source: str, sandbox: Sandbox, question: str = "q1", assignment: Assignment = MINI) -> float:
    result = _graded(source, Judge(assignment, sandbox))
    return next(q.score for q in result.questions if q.name == question)


# ----------------------------------------------------------------------------------------------------- the attacks


def _judge_apart(sandbox: Sandbox, on: bool) -> bool:
    earned = _earns(REPLACES_CHECKS, sandbox) if on else _in_a_process_of_its_own(REPLACES_CHECKS)
    return earned > 0


def _beside_the_tests(source: str) -> float:
    """What a submission earns where the tests run in its own process, as in most graders."""
    namespace: dict[str, Any] = {}
    exec(source, namespace)
    file = suite.load(MINI)["q1"]
    file.cases = []
    observer = SimpleNamespace(begin_case=lambda *_: None, passes_on_reference=lambda _: True)
    for hidden in (False, True):
        file.judge(namespace, observer, hidden)  # type: ignore[arg-type]
    return float(file.score)


def _in_a_process_of_its_own(source: str) -> float:
    """What it earns beside the tests; it spoils the process that it runs in."""
    code = (
        "import sys; from tests.sandbox import own_layers; print(own_layers._beside_the_tests(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, source], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _hidden_cases(sandbox: Sandbox, on: bool) -> bool:
    result = _graded(KNOWS_THE_PUBLIC_TEST, Judge(MINI, sandbox))
    cases = [case for case in result.questions[0].cases if on or not case.hidden]
    return all(case.outcome is suite.Outcome.PASSED for case in cases)


class _HiddenFirst(Judge):
    """A judge that runs the hidden tests before the public ones."""

    def _run(self, question: Any, session: Session, namespace: Any, hidden: bool) -> None:
        self._suite[question.name]._ended = 0  # which the public tests begin with
        super()._run(question, session, namespace, not hidden)


def _public_first(sandbox: Sandbox, on: bool) -> bool:
    result = _graded(TELLS_WHAT_IT_SAW, (Judge if on else _HiddenFirst)(MINI, sandbox))
    shown = [case.text for case in result.questions[0].cases if not case.hidden]
    hidden = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(20), dtype=torch.float64)
    return any(str(hidden[0, 0, 0].item()) in text for text in shown)


def _fresh_process(sandbox: Sandbox, on: bool) -> bool:
    start = Session.start

    def once(session: Session) -> None:
        if session.generation and not session.alive:
            raise Died("The process has ended.")
        start(session)

    with patch.object(Session, "start", start if on else once):
        return _earns(ENDS_ITSELF, sandbox, "q2") == 0


def _operators(sandbox: Sandbox, on: bool) -> bool:
    free = replace(MINI, questions=tuple(replace(q, forbidden=()) for q in MINI.questions))
    return _earns(LIBRARY, sandbox, assignment=MINI if on else free) > 0


def _second_process(sandbox: Sandbox, on: bool) -> bool:
    believed = patch.object(doors, "reaches_behind", lambda *_: False)
    with nullcontext() if on else believed:
        return _earns(WIPES_THE_RECORD, sandbox) > 0


def _codec(sandbox: Sandbox, on: bool) -> bool:
    code = Code(((UNPICKLES_AS_CODE, 1),), "answer.py", False, {})
    with Session(sandbox, code, Bounds()) as session, patch.dict(os.environ):
        names = Namespace(session)
        names.get("answer")() if on else pickle.loads(names.get("pickled")())
        return "AUTOGRADER_TRIED" in os.environ


def _bounded_decoding(sandbox: Sandbox, on: bool) -> bool:
    colliding = {"d": [[key * (2**61 - 1), 0] for key in range(5000)]}
    with patch.object(wire, "MAX_DICT_SECONDS", 0.05 if on else math.inf):  # a tenth, for a tenth of the data
        try:
            return bool(wire.decode({"l": [colliding] * 2}, []))
        except wire.WireError:
            return False


def _bounded_unpacking(sandbox: Sandbox, on: bool) -> bool:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mini.py", bytes(80 << 20))
    with patch.object(bundle, "MAX_BYTES", bundle.MAX_BYTES if on else math.inf):
        try:
            return bool(bundle.unzip("mini.zip", buffer.getvalue(), {}))
        except SubmissionError:
            return False


class _Weights:
    def __reduce__(self) -> Any:
        return exec, ("import os; os.environ['AUTOGRADER_TRIED'] = 'yes'",)


def _safetensors(sandbox: Sandbox, on: bool) -> bool:
    buffer = io.BytesIO()
    torch.save(_Weights(), buffer)
    with patch.dict(os.environ):
        try:
            if on:
                fixtures.read(Artifact("weights", "w.safetensors", 1), {"w.safetensors": buffer.getvalue()})
            else:
                torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
        except AssertionError:
            pass
        return "AUTOGRADER_TRIED" in os.environ


def _escaping(sandbox: Sandbox, on: bool) -> bool:
    def bare(**options: Any) -> jinja2.Environment:
        return jinja2.Environment(**{**options, "autoescape": on})

    result = Result("ada.py", possible=8.0, message=SCRIPT_NAME)
    with tempfile.TemporaryDirectory() as name, patch.object(site, "Environment", bare):
        site.write(Path(name), site.Class(MINI, [result]))
        return "<script>alert(1)" in (Path(name) / "report/students/ada.py.html").read_text(encoding="utf-8")


def _no_formulas(sandbox: Sandbox, on: bool) -> bool:
    with patch.object(grades, "as_text", grades.as_text if on else lambda text: text):
        return "\n=1+1.py," in grades.to_csv([Result("=1+1.py")], MINI)


def _clean_console(sandbox: Sandbox, on: bool) -> bool:
    console = Console(file=io.StringIO())
    with patch.object(progress, "clean", progress.clean if on else lambda text: text):
        progress.Display(console, 1).finished(Result("\x1b[2J.py"))
    return "\x1b" in console.file.getvalue()  # type: ignore[attr-defined]


ATTACKS: list[tuple[str, str, Attack]] = [
    ("the judge is another process", "a submission replaces the functions that check it", _judge_apart),
    ("hidden cases", "an answer that knows the public test", _hidden_cases),
    ("public cases run first", "a hidden input told by the message of a public test", _public_first),
    ("a fresh process after a death", "`os._exit` in q1 takes the points of q2", _fresh_process),
    ("operators are recorded", "the library's own softmax under another name", _operators),
    ("a second process without them", "the same, and the record is wiped", _second_process),
    ("plain data, no pickle", "a return value that runs code when it is read", _codec),
    ("bounded decoding", "dicts with keys that collide: a minute of the judge for 4 MB", _bounded_decoding),
    ("bounded unpacking", "80 MB in a zip archive of 80 kB", _bounded_unpacking),
    ("weights as safetensors", "weights that run code when they are loaded", _safetensors),
    ("the report escapes", "a script in the message of an error", _escaping),
    ("no formulas in tables", "a file called `=1+1.py`, opened in a spreadsheet", _no_formulas),
    ("no control characters", "a file whose name clears the terminal", _clean_console),
]
