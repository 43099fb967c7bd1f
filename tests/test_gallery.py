"""Hostile and broken submissions: nothing gained, nothing lost, nothing left behind, and a message that helps.

All of tests/submissions/attention/<fault>/ is graded by the real command in one batch, together with honest ones: once
as root and once as an ordinary user. A verdict in that folder's verdicts.toml says for each

    covers   which of the faults below it stands for
    status   "graded", unless it says "failed": it cannot be read
    loses    the scores of the questions that lose points ("all": each is 0); the others keep theirs
    says     phrases of the feedback: what an honest student who did this by accident is told
    quiet    no cell stopped with an error
    flagged  what staff is told that the code reaches for

The batch runs on a copy of the assignment with shorter limits, for a loop without end costs its limit twice.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomllib

from tests import build_malformed, users
from tests import build_submissions as build
from tests.build_malformed import MARK
from tests.graded import Class, assert_gradescopes, assert_hidden_cases_stay_hidden, lasting

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what confines attacks is Linux's"),
]
ASSIGNMENT = build.ASSIGNMENT
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
HONEST = build.honest()
GROUPS = {group: build.group(group) for group in ("cheats", "exhaustion", "escape", "accidents")}
GROUPS["malformed"] = build_malformed.malformed()
GALLERY = {name: content for group in GROUPS.values() for name, content in group.items()}
VERDICTS: dict[str, dict[str, Any]] = {
    group: tomllib.loads((build.FOLDER / group / "verdicts.toml").read_text(encoding="utf-8"))
    for group in GROUPS
}
VERDICT = {name: verdict for verdicts in VERDICTS.values() for name, verdict in verdicts.items()}

# The faults that must be covered, group by group.
FAULTS = {
    "cheats": """
        patching torch | patching numpy | patching builtins | patching Otter | patching unittest | import hooks
        tensors that lie about equality | floats that lie about equality | strings that lie about equality
        frames | gc | closures | ctypes memory search | reading tests | reading references | reading other submissions
        reading /proc | reading the environment | inherited descriptors | forging results | overwriting results
        answering out of turn | answering with garbage | detecting public tests | the library's answer in disguise
    """,
    "exhaustion": """
        loops at import | loops inside calls | swallowing every exception | memory fast | memory slow | shared mappings
        disk | descriptors | processes | threads | output floods | huge return values | deep return values
        cyclic return values | slow drips on the socket
    """,
    "escape": """
        network | sockets | signals to others | ptrace | setsid daemons | chmod | symlinks | .pyc poisoning
        cache poisoning | terminal injection
    """,
    "malformed": """
        zip traversal | zip symlinks | zip bombs | encrypted | duplicate names | invalid notebook | ancient notebook
        enormous notebook | outputs of 50 MB | wrong encodings | empty files | directories named like files | otter.py
        torch.py | .OTTER_LOG | malicious pickles | malicious weights
    """,
    "accidents": """
        exit | segfault | recursion | deleted names | changed default dtype | closed stdout | changed directory
        warnings on stderr | plots left open | input() | leftover !pip install | cells out of order
        a kernel-less notebook
    """,
}

LIMITS = {"call_seconds": 6, "cell_seconds": 6, "total_seconds": 60, "memory_mb": 640}
BATCH_SECONDS = 900  # where ten others were at work on the same two cores it took 280 s
PEAK_MB = (
    LIMITS["memory_mb"] + 1024 + 400
)  # of any process; 1024 is what shared memory may take before it is seen
_MEASURED = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024))
sys.exit(code)
"""
NAMES_PATHS = {"library_compiled.py", "pickle.zip", "weights.zip"}  # in messages that are not the grader's
KEY = str(0x6A11)  # of the shared memory and queues that attacks ask for
LOOT = re.compile(r"LOOT\[[^\]]+\]")


def faults(group: str) -> set[str]:
    """The faults of one group."""
    return {fault.strip() for line in FAULTS[group].splitlines() for fault in line.split("|")} - {""}


# ---------------------------------------------------------------------------------------------- the verdicts themselves


@pytest.mark.parametrize("group", GROUPS)
def test_every_submission_has_a_verdict(group):
    """The table and the submissions are about the same."""
    assert sorted(VERDICTS[group]) == sorted(GROUPS[group])


def test_names_are_unique():
    """No submission hides another one, nor an honest one."""
    names = [name.casefold() for group in (*GROUPS.values(), HONEST) for name in group]
    assert len(set(names)) == len(names)


def test_every_fault_is_covered():
    """Each fault is declared by a submission, and nothing is declared that is none."""
    covered = {fault for verdict in VERDICT.values() for fault in verdict.get("covers", [])}
    assert covered == {fault for group in FAULTS for fault in faults(group)}


def test_whoever_loses_is_told_why():
    """Each verdict with a price names a phrase of the feedback."""
    assert [
        name for name, v in VERDICT.items() if ("loses" in v or "status" in v) and not v.get("says")
    ] == []


# ------------------------------------------------------------------------------------------------------------ the batch


class Place:
    """Where one kind of user grades.

    Args:
        folder: that this user may reach, with a copy of the assignment and the class in it.
        python: the interpreter.
        path: for its modules.
        uid: who; None: as we are.
    """

    def __init__(self, folder: Path, python: str, path: str, uid: int | None) -> None:
        self.folder, self._python, self._path, self._uid = folder, python, path, uid
        self.home, self.temporary = folder / "home", folder / "home" / "tmp"
        self.peak_mb = 0

    def give(self) -> None:
        """Makes the assignment, the class and a home the user's own; not the packages, which may be links to ours."""
        self.temporary.mkdir(parents=True)
        if self._uid is not None:
            for name in ("root", "class", "home"):
                for path in (self.folder / name, *(self.folder / name).rglob("*")):
                    os.chown(path, self._uid, self._uid, follow_symlinks=False)

    def grade(self, *paths: Path) -> Class:
        """Runs the real command."""
        output = Path(tempfile.mkdtemp(dir=self.home)) / "out"
        peak = output.with_name("peak")
        command = [
            self._python,
            "-c",
            _MEASURED,
            peak,
            self._python,
            "-m",
            "autograder",
            "grade",
            "attention",
        ]
        who: dict[str, Any] = {}
        if self._uid is not None:
            who = {"user": self._uid, "group": self._uid, "extra_groups": []}
            os.chown(output.parent, self._uid, self._uid)
        environment = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(self.home), "TMPDIR": str(self.temporary),
            "PYTHONPATH": self._path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "TOKEN": "secret",
        }  # fmt: skip
        done = subprocess.run(
            [*map(str, command), *map(str, paths), "-o", str(output), "--jobs", "2"], cwd=self.folder / "root",
            env=environment, capture_output=True, text=True, timeout=BATCH_SECONDS, check=False, **who,
        )  # fmt: skip
        self.peak_mb = max(self.peak_mb, int(peak.read_text()))
        assert (output / "grades.csv").exists(), done.stderr
        return Class(output, ASSIGNMENT, done.returncode, done.stdout, done.stderr)


class Traces:
    """What is to be found on the machine beside what the command was asked for.

    Where others work at the same time, what attacks make is known by its name or number.
    """

    def __init__(self, home: Path) -> None:
        self.temporary = {path.name for path in (home / "tmp").iterdir()}
        self.kernel = {kind: _lines(f"/proc/sysvipc/{kind}", KEY) for kind in ("shm", "sem", "msg")}
        self.sockets = _lines("/proc/net/unix", MARK)
        self.marked = [
            str(path) for top in ("/tmp", "/dev/shm", "/var/tmp") for path in Path(top).glob(f"*{MARK}*")
        ]
        self.processes = _processes_of(home)
        self.repository = _git_status()


def _lines(path: str, word: str) -> list[str]:
    """The lines of a list of the kernel's that this word is in."""
    try:
        return [line for line in Path(path).read_text().splitlines() if word in line]
    except OSError:
        return []


def _processes_of(home: Path) -> list[str]:
    """The processes that were started with this home, as far as /proc lets us see."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:  # another user's, or gone
            pass
    return found


def _git_status() -> str:
    command = ["git", "-C", str(ASSIGNMENT.root), "status", "--porcelain"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module", params=["root", "ordinary"])
def place(request) -> Iterator[Place]:
    """The two kinds of user; root has an interpreter, if there is one, with which it gives each submission a user."""
    if os.getuid() != 0 and request.param == "root":
        pytest.skip("only root is root")
    with tempfile.TemporaryDirectory(prefix="gallery-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _copy_assignment(folder / "root")
        _write_class(folder / "class")
        found = _interpreter(folder)
        if found is None and request.param == "ordinary":
            pytest.skip("no interpreter here that an ordinary user may run")
        python, path = found or (sys.executable, str(ASSIGNMENT.root))
        other = users.ORDINARY if request.param == "ordinary" and os.getuid() == 0 else None
        made = Place(folder, python, path, other)
        made.give()
        yield made


def _interpreter(folder: Path) -> tuple[str, str] | None:
    """One that the user may run, and the path on which it finds the packages and a copy of the autograder."""
    if os.getuid() != 0:
        return sys.executable, str(ASSIGNMENT.root)
    python = users.public_interpreter()
    site = users.shared_packages(Path(sysconfig.get_paths()["purelib"]), folder) if python else None
    if python is None or site is None:
        return None
    shutil.copytree(
        ASSIGNMENT.root / "autograder",
        folder / "lib" / "autograder",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return python, f"{site}:{folder / 'lib'}"


def _copy_assignment(root: Path) -> None:
    for part in ("assignments", "student_template"):
        shutil.copytree(ASSIGNMENT.root / part / "attention", root / part / "attention")
    (root / "reference").mkdir()
    shutil.copy(ASSIGNMENT.reference, root / "reference")
    settings = root / "assignments" / "attention" / "assignment.toml"
    text = settings.read_text(encoding="utf-8")
    for name, value in LIMITS.items():
        text, count = re.subn(rf"^{name} = \d+", f"{name} = {value}", text, flags=re.M)
        assert count == 1, name
    settings.write_text(text, encoding="utf-8")


def _write_class(folder: Path) -> None:
    folder.mkdir()
    for name, content in {**HONEST, **GALLERY}.items():
        build_malformed.make(folder, name, content)
    (folder / "link_to_another.py").symlink_to(folder / "einsum.py")
    os.mkfifo(folder / "a_pipe.py")


@pytest.fixture(scope="module")
def before(place: Place) -> Traces:
    """What there was before anything ran."""
    return Traces(place.home)


@pytest.fixture(scope="module")
def graded(place: Place, before: Traces) -> Class:
    """The gallery and the honest ones, graded by one run of the command."""
    return place.grade(place.folder / "class")


# ----------------------------------------------------------------------------------------------------- what they gained


@pytest.mark.parametrize("name", GALLERY)
def test_verdict(graded: Class, name: str):
    """It costs what the verdict says and no more, it is nobody's fault but its own, and the student is told."""
    verdict = VERDICT[name]
    text = graded.text(name)
    loses = verdict.get("loses", {})
    assert graded.status(name) == verdict.get("status", "graded"), text
    assert graded.lost(name) == (dict.fromkeys(POINTS, 0) if loses == "all" else loses), text
    assert not LOOT.search(text), LOOT.findall(text)
    if "flagged" in verdict:
        assert verdict["flagged"] in (graded.output / "report" / "index.html").read_text(encoding="utf-8")
    if verdict.get("quiet"):
        assert "stopped with an error" not in text
    for phrase in verdict.get("says", []):
        assert phrase in text, text


def test_what_is_no_file_is_refused(graded: Class):
    """A link in the class's folder is not followed, and a pipe is not waited for."""
    for name in ("link_to_another.py", "a_pipe.py"):
        assert graded.status(name) == "failed"
        assert "is not an ordinary file but a link or a device" in graded.text(name)


def test_neighbours_keep_their_results(graded: Class, place: Place):
    """The honest ones in the batch have, to the letter, the results that they have among themselves."""
    alone = place.grade(*[place.folder / "class" / name for name in HONEST])
    assert alone.exit_code == 0, alone.stderr
    for name in HONEST:
        assert lasting(graded[name]) == lasting(alone[name]), name
        assert graded[name]["score"] == ASSIGNMENT.possible


# ---------------------------------------------------------------------------------------------------- what they left


def test_nothing_is_left_behind(graded: Class, before: Traces, place: Place):
    """No process, file, folder, shared memory, queue or socket of anybody's, and the repository is as it was."""
    after = Traces(place.home)
    assert vars(after) == vars(before)
    assert [path.name for path in place.home.rglob("*") if MARK in path.name] == []


def test_time_and_memory_are_bounded(graded: Class, place: Place):
    """Of the whole batch, and of each submission."""
    assert place.peak_mb < PEAK_MB
    for name, result in graded.results.items():
        usage = result["extra_data"].get("usage", {})
        assert usage.get("seconds", 0) < 1.5 * LIMITS["total_seconds"], name


# ---------------------------------------------------------------------------------------------------- what is written


def test_those_that_cannot_be_read_are_named(graded: Class):
    """Exit code 1, and each is named once, in printable characters."""
    unreadable = [name for name, verdict in VERDICT.items() if verdict.get("status") == "failed"]
    named = re.search(r"Could not be graded: (.*)", re.sub(r"\s+", " ", graded.stderr).strip())
    assert graded.exit_code == 1
    assert named is not None
    assert sorted(named[1].split(", ")) == sorted([*unreadable, "link_to_another.py", "a_pipe.py"])
    assert "Traceback" not in graded.stderr


def test_terminals_and_pages_obey_nobody(graded: Class):
    """What is printed has no control characters, and pages and tables hold no markup or formula of a student's."""
    assert not re.search(
        r"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e]", graded.stdout + graded.stderr
    )
    assert not re.search(r"\x1b(?!\[[0-9;?]*[A-Za-z])", graded.stdout + graded.stderr)
    for page in graded.output.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "<script>document" not in text, page
        assert "<img src=x" not in text, page
    assert not re.search(r"(?m)(^|,)\"?[=@+]", (graded.output / "grades.csv").read_text(encoding="utf-8"))


def test_results_are_whole(graded: Class):
    """Every results file has Gradescope's schema, adds up, and tells nothing about hidden cases."""
    for name, result in graded.results.items():
        assert_hidden_cases_stay_hidden(result, ASSIGNMENT)
        try:
            read = result["extra_data"]["status"] == "graded" and name not in NAMES_PATHS
            assert_gradescopes(result, paths=read)
        except AssertionError as error:
            raise AssertionError(name) from error


# ------------------------------------------------------------------------------------------ that attacks are attacks


def test_reading_from_the_disk_would_pay():
    """Outside of the sandbox, the cheat that reads the reference from disk finds it."""
    code = build.complete((build.FOLDER / "cheats" / "read_from_disk.py").read_text(encoding="utf-8"))
    probe = "import torch; print('sum', attention_weights(torch.ones(1, 2), torch.ones(3, 2)).sum().item())"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{probe}"],
        cwd=ASSIGNMENT.root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip().endswith("sum 1.0"), done.stderr
