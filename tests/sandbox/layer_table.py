"""Which layer stops which attack, measured by switching layers off one at a time: the first table of SECURITY.md.

    python -m tests.sandbox.layer_table            measures, and writes the tables into SECURITY.md
    python -m tests.sandbox.layer_table --check    measures, and ends with exit code 1 where they say something else

Each attack is tried against nothing, against each layer alone, and, for each environment that is promised anything,
against its layers and against these without one of them. It takes root on Linux with Landlock. The user of its own is
put on here even where submissions do without, because their lazy imports would fail: the attacks need none.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from autograder.sandbox.errors import StudentFailure
from autograder.sandbox.host import Bounds, Code, Sandbox
from autograder.sandbox.layers import LAYERS
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session
from tests.sandbox import own_layers
from tests.sandbox.aims import aims, lay_out
from tests.sandbox.test_layers import ATTACKS, TOOLS

SECURITY = Path(__file__).parents[2] / "SECURITY.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

# By the letter that SECURITY.md explains, the layers that each gets. Where all submissions are one user, they are root
# without powers here ("capabilities"), and so to one another what the processes of an ordinary user are.
ENVIRONMENTS = {
    "A": ("limits", "uninspectable", "user", "landlock", "seccomp"),
    "B": ("limits", "uninspectable", "user", "seccomp"),
    "C": ("limits", "uninspectable", "capabilities", "landlock", "seccomp"),
    "D": ("limits", "uninspectable", "capabilities", "seccomp", "read-only"),
    "E": ("limits", "capabilities"),
}

# What aims at another submission; the others are those of test_layers.py.
BETWEEN_SUBMISSIONS = [
    ("uninspectable", "another submission's memory", "open(f'/proc/{inspected}/mem', 'rb').close()"),
    ("uninspectable", "another submission's environment", "len(open(f'/proc/{inspected}/environ').read())"),
    ("uninspectable", "another submission's open files", "len(os.listdir(f'/proc/{inspected}/fd'))"),
    ("user", "whether another submission has a file", "os.stat(box + '/helper.py').st_size"),
    ("landlock", "another submission's files", "len(open(box + '/helper.py').read())"),
    ("landlock", "a change to another submission's files", "open(box + '/helper.py', 'a').close()"),
    ("seccomp", "a signal to another submission", "os.kill(sibling, 0)"),
    ("user", "the mode of a file of ours", "0 / chmodded(readable)"),
]  # fmt: skip
_MORE_TOOLS = """
def chmodded(path):
    os.chmod(path, 0o600)
    return os.stat(path).st_mode & 0o777 == 0o600
"""
# What leaves something behind in the process that tried it: the next attack gets a fresh one.
_LASTING = {what for layer, what, _ in ATTACKS if layer == "limits"} | {
    "becoming another user", "another root directory", "a program", "namespaces of its own", "tracing another",
    "living on after the fork server", "being signalled by a file", "io_uring",
}  # fmt: skip
_MODULES = ["ctypes", "fcntl", "mmap", "resource", "socket"]  # imported before the fork: see above
_PARAMETERS = ("readable", "private", "folder", "pid", "sibling", "inspected", "box")

Layers = tuple[str, ...]


@dataclass
class Row:
    """One attack.

    Attributes:
        alone: the layers that stop it without any other.
        needed: the layers without which it works in some environment although all others of that are on.
        open_in: the environments in which it works.
    """

    what: str
    works: bool = False
    alone: set[str] = field(default_factory=set)
    needed: set[str] = field(default_factory=set)
    open_in: set[str] = field(default_factory=set)


class Prepared(Code):
    """Code whose imports the fork server makes before it forks."""

    @property
    def modules(self) -> list[str]:
        """What the attacks import."""
        return _MODULES


def attacks() -> dict[str, str]:
    """The code of each attack by its name; one that two layers are tested with is there once."""
    codes = {code: what for _, what, code in reversed([*ATTACKS, *BETWEEN_SUBMISSIONS])}
    return {what: code for code, what in reversed(codes.items())}


def configurations() -> list[Layers]:
    """All sets of layers that are tried."""
    found: list[Layers] = [(), *((name,) for name in LAYERS)]
    for names in ENVIRONMENTS.values():
        found += [names, *(without(names, name) for name in names)]
    return list(dict.fromkeys(found))


def without(names: Layers, name: str) -> Layers:
    """These layers but one."""
    return tuple(other for other in names if other != name)


def measure(sandbox: Sandbox) -> list[Row]:
    """Tries every attack in every configuration."""
    with tempfile.TemporaryDirectory(prefix="layers-", dir="/tmp") as name, aims(Path(name)) as aim:
        working = {names: _working(sandbox, names, aim) for names in configurations()}
    return [_row(what, working) for what in attacks()]


def _row(what: str, working: dict[Layers, set[str]]) -> Row:
    row = Row(what, works=what in working[()])
    row.alone = {name for name in LAYERS if what not in working[name,]}
    row.open_in = {environment for environment, names in ENVIRONMENTS.items() if what in working[names]}
    for environment, names in ENVIRONMENTS.items():
        if environment not in row.open_in:
            row.needed |= {name for name in names if what in working[without(names, name)]}
    return row


def _working(sandbox: Sandbox, names: Layers, aim: dict[str, object]) -> set[str]:
    """The attacks that work on a child with these layers."""
    with _held_by(sandbox, names):
        code = Prepared(
            (("import os\npid = os.getpid()", 1),), "answer.py", False, {"helper.py": b"mine = 1"}
        )
        with Session(sandbox, code, Bounds(call_seconds=20)) as sibling:
            pid = Namespace(sibling).get("pid")
            # A child inherits it from the fork server: to switch it off, an ordinary process takes the child's place.
            inspected = pid if "uninspectable" in names else aim["pid"]
            others = {"sibling": pid, "inspected": inspected, "box": str(sibling._box)}
            return set(_tried(sandbox, {**aim, **others}))


@contextmanager
def _held_by(sandbox: Sandbox, names: Layers) -> Iterator[None]:
    """Has children held by these layers and no others."""
    before, sandbox.layers = sandbox.layers, list(names)
    try:
        yield
    finally:
        sandbox.layers = before


def _tried(sandbox: Sandbox, aim: dict[str, object]) -> Iterator[str]:
    codes = list(attacks().items())
    functions = [
        f"def attack{n}({', '.join(_PARAMETERS)}):\n    {code}\n    return 'done'"
        for n, (_, code) in enumerate(codes)
    ]
    code = Prepared((("\n".join([TOOLS, _MORE_TOOLS, *functions]), 1),), "answer.py", False, {})
    with Session(sandbox, code, Bounds(call_seconds=20)) as session:
        for number, (what, _) in enumerate(codes):
            lay_out(Path(str(aim["folder"])))
            if _works(session, number, aim):
                yield what
            if what in _LASTING:
                session.kill()


def _works(session: Session, number: int, aim: dict[str, object]) -> bool:
    try:
        return Namespace(session).get(f"attack{number}")(**aim) == "done"
    except StudentFailure as refused:
        return "exit code 0" in str(refused)  # a program took the child's place


# ------------------------------------------------------------------------------------------------------ the tables


def markdown(rows: list[Row], own: list[own_layers.Row]) -> str:
    """What stands between the markers."""
    lines = ["| attack | " + " | ".join([*LAYERS, *ENVIRONMENTS]) + " |"]
    lines += ["|---|" + ":-:|" * (len(LAYERS) + len(ENVIRONMENTS))]
    lines += ["| " + " | ".join([row.what, *_cells(row)]) + " |" for row in rows]
    closed = {name: sum(name not in row.open_in for row in rows) for name in ENVIRONMENTS}
    counts = ", ".join(f"{count} in {name}" for name, count in closed.items())
    return "\n".join([*lines, "", f"Stopped of these {len(rows)}: {counts}.", "", *own_layers.markdown(own)])


def _cells(row: Row) -> Iterator[str]:
    for name in LAYERS:
        yield "**●**" if name in row.needed else "○" if name in row.alone else " "
    for environment in ENVIRONMENTS:
        yield "open" if environment in row.open_in else "·"


def current() -> str:
    """What SECURITY.md says between its markers."""
    return SECURITY.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()


def missing() -> str:
    """Why this machine cannot measure the tables; "" where it can."""
    if not sys.platform.startswith("linux") or os.getuid() != 0:
        return "only root on Linux has all layers"
    with Sandbox() as sandbox:
        lacking = [f"{name}: {why}" for name, why in sandbox.reasons.items() if why and name != "user"]
    return "; ".join(lacking)


def main(arguments: list[str]) -> int:
    """The command line."""
    if why := missing():
        print(f"Not measured here: {why}")
        return 2
    with Sandbox() as sandbox:
        text = markdown(measure(sandbox), own_layers.measure(sandbox))
    if arguments == ["--check"]:
        print("current" if text == current() else text)
        return int(text != current())
    before, rest = SECURITY.read_text(encoding="utf-8").split(BEGIN)
    SECURITY.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
