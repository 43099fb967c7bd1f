"""What isolation this machine gives: the layers, and a few attacks tried for real."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from tempfile import NamedTemporaryFile

from autograder.sandbox.errors import StudentFailure
from autograder.sandbox.host import Bounds, Code, Sandbox
from autograder.sandbox.layers import LAYERS
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session

_ATTACKS = """
import mmap, os, socket, subprocess

def read_a_file_of_ours(path):
    return len(open(path).read())

def change_a_file_of_ours(path):
    open(path, "a").write("x")

def start_a_program(path):
    return subprocess.run(["true"]).returncode

def start_a_process(path):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

def open_a_connection(path):
    socket.create_connection(("127.0.0.1", 9), timeout=1)

def signal_the_parent(path):
    os.kill(os.getppid(), 0)

def trace_the_parent(path):
    open(f"/proc/{os.getppid()}/mem", "rb").close()

def take_two_gigabytes(path):
    return len(mmap.mmap(-1, 2 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
"""
_TRIED = [
    line.split("(")[0].removeprefix("def ") for line in _ATTACKS.splitlines() if line.startswith("def ")
]


def examine(say: Callable[[str], None], without: frozenset[str] = frozenset()) -> bool:
    """Prints what holds here.

    Args:
        say: prints a line.
        without: layers to leave off, to see what they add.

    Returns:
        Whether every attack was refused.
    """
    say(f"{platform.system()} {platform.release()}, {platform.machine()}, uid {os.getuid()}")
    with Sandbox(without=without) as sandbox:
        for name, meaning in LAYERS.items():
            say(f"  {_state(name, sandbox, without):6} {name:14} {meaning}{_why(name, sandbox)}")
        say(f"Environment {environment(sandbox.layers)} of SECURITY.md, which says what is promised in it.")
        say("Tried in the sandbox:")
        outcomes = _attack(sandbox)
    for attack, refusal in outcomes.items():
        how = f": {refusal}" if refusal else ""
        say(f"  {'closed' if refusal else 'OPEN':6} {attack.replace('_', ' ')}{how}")
    return all(outcomes.values())


def environment(names: list[str]) -> str:
    """The letter of SECURITY.md for a machine that puts on these layers."""
    if "seccomp" not in names:
        return "E"
    if "user" in names:
        return "A" if "landlock" in names else "B"
    return "C" if "landlock" in names else "D"


def _state(name: str, sandbox: Sandbox, without: frozenset[str]) -> str:
    if name in sandbox.layers:
        return "on"
    return "off" if sandbox.reasons[name] or name in without else "spare"


def _why(name: str, sandbox: Sandbox) -> str:
    reason = sandbox.reasons[name]
    return f"\n         missing: {reason}" if reason else ""


def _attack(sandbox: Sandbox) -> dict[str, str]:
    """Each attack with how it was refused; "" for one that worked."""
    code = Code(((_ATTACKS, 1),), "attacks.py", False, {})
    outcomes = {}
    with (
        NamedTemporaryFile(prefix="secret-") as ours,
        Session(sandbox, code, Bounds(call_seconds=20)) as session,
    ):
        names = Namespace(session)
        for attack in _TRIED:
            try:
                names.get(attack)(ours.name)
                outcomes[attack] = ""
            except StudentFailure as refusal:
                outcomes[attack] = str(refusal).splitlines()[0][:100]
    return outcomes
