"""The command line as it is really used: by root with a readable interpreter, by ordinary users, by developers."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.users import ORDINARY, public_interpreter, readable_by_others, shared_packages

REPOSITORY = Path(__file__).parents[2]
SAMPLE = REPOSITORY / "tests" / "data" / "sample"
OWN_PATH = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
RIGHT = """
import torch
from torch import nn

def softmax(x):
    if x.numel() == 0:
        raise ValueError("softmax needs at least one number")
    powers = torch.exp(x - x.amax(dim=-1, keepdim=True))
    return powers / powers.sum(dim=-1, keepdim=True)

class Gate(nn.Module):
    def __init__(self, d, n):
        super().__init__()
        self.W = nn.Parameter(torch.randn(d, n))

    def forward(self, x):
        return softmax(x @ self.W)

def gate_entropy(shares):
    return -(shares * shares.log()).sum(-1)
"""
KILLER = """
import os, signal

def softmax(x):
    for pid in (os.getppid(), -1, 0, os.getppid() + 1, os.getppid() + 2):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    return x
"""
SPY = '''
"""Gathers what a submission must not get, and hands it over in the message of an exception."""
import os, sys

TARGETS = {targets!r}

def reads(path):
    return os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(20)

def writes(path):
    open(path, "ab").close()

def parents():
    """The fork server and everything above and beside it, as far as /proc tells or numbers can be guessed."""
    known = {{int(name) for name in os.listdir("/proc") if name.isdigit()}} if tried(os.listdir, "/proc") else set()
    near = range(max(2, os.getppid() - 20), os.getppid() + 20)
    return sorted((known | set(near) | {{os.getppid()}}) - {{os.getpid()}})

def tried(action, *arguments):
    try:
        action(*arguments)
        return True
    except Exception:
        return False

def loot():
    found = [f"{{action.__name__}} {{path}}" for action, path in
             [(reads, path) for path in TARGETS["reads"]] + [(writes, path) for path in TARGETS["writes"]]
             if tried(action, path)]
    for pid in parents():
        for what in ("mem", "environ", "fd", "cwd"):
            if tried(reads, f"/proc/{{pid}}/{{what}}"):
                found.append(f"process: {{what}}")
        if tried(os.kill, pid, 0):
            found.append("process: signal")
    if tried(os.setpriority, os.PRIO_PROCESS, os.getppid(), os.getpriority(os.PRIO_PROCESS, 0)):
        found.append("process: priority")
    for module in ("reference.mini", "assignments.mini.misconceptions", "autograder.suite", "autograder.grading"):
        if tried(__import__, module):
            found.append(f"import {{module}}")
    return sorted(set(found))

def softmax(x):
    raise RuntimeError(f"LOOT{{loot()}} UID{{os.getuid()}} POWERS{{powers()}}")

def powers():
    lines = open("/proc/self/status").read().splitlines() if tried(open, "/proc/self/status") else []
    return [line.split()[1] for line in lines if line.startswith("CapEff")]

if __name__ == "__main__" and "loot" in sys.argv:
    print("LOOT", loot())
'''


@dataclass
class Place:
    """Where one kind of user grades: an interpreter, its packages, and who that user is."""

    folder: Path
    python: str
    packages: str
    uid: int | None = None

    def run(self, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the interpreter as that user, with a home and a temporary folder of its own."""
        home = self.folder / f"home-{self.uid}"
        home.mkdir(exist_ok=True)
        who = {}
        if self.uid is not None:
            os.chown(home, self.uid, self.uid)
            who = {"user": self.uid, "group": self.uid, "extra_groups": []}
        environment = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home),
            "PYTHONPATH": self.packages, "PYTHONDONTWRITEBYTECODE": "1", "TOKEN": "secret",
        }  # fmt: skip
        return subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=cwd or self.folder / "root",
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **who,  # type: ignore[call-overload]
        )

    def grade(self, *submissions: str) -> dict[str, dict]:
        """Grades files of the class with the real command; the results by name."""
        output = self.folder / f"home-{self.uid}" / "out"
        done = self.run(
            "-m",
            "autograder",
            "grade",
            "mini",
            *[self.folder / "class" / s for s in submissions],
            "-o",
            output,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        results = {
            name: json.loads((output / "results" / f"{name}.json").read_text()) for name in submissions
        }
        shutil.rmtree(output)
        return results

    def put(self, name: str, text: str, mode: int = 0o600) -> Path:
        """A submission in the class's folder, which is this user's own."""
        path = self.folder / "class" / name
        path.write_text(text)
        path.chmod(mode)
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)
        return path

    def spy(self) -> str:
        """The source of a submission that tries to get at what is lying around here."""
        other = self.put("other.py", RIGHT)
        root, home = self.folder / "root", self.folder / f"home-{self.uid}"
        home.mkdir(exist_ok=True)
        targets = {
            "reads": [
                other, root, root / "reference/mini.py", root / "assignments/mini/tests/q1.py", home, "/root",
                "/etc/shadow", "..", REPOSITORY / "autograder/suite.py",
            ],
            "writes": [other, root / "reference/mini.py", root / "new", home / "new", "../new", "/tmp/autograder-spy"],
        }  # fmt: skip
        return SPY.format(targets={key: [str(path) for path in paths] for key, paths in targets.items()})


@pytest.fixture(scope="module")
def public() -> Iterator[Path]:
    """A folder that all users reach, with the sample assignment and a class."""
    with tempfile.TemporaryDirectory(prefix="autograder-users-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(SAMPLE, folder / "root", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "class").mkdir()
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


@pytest.fixture(scope="module")
def packages(public: Path) -> str:
    """PYTHONPATH for a user who may not read ours: the packages, and a copy of the autograder."""
    shutil.copytree(
        REPOSITORY / "autograder", public / "lib" / "autograder", ignore=shutil.ignore_patterns("__pycache__")
    )
    installed = Path(sysconfig.get_paths()["purelib"])
    site = shared_packages(installed, public)
    if site is None:
        pytest.skip(f"{installed} can be neither read by others nor linked to {public}")
    return f"{site}:{public / 'lib'}"


@pytest.fixture
def place(request: pytest.FixtureRequest, public: Path) -> Place:
    """One of the three kinds of user."""
    if request.param == "developer":
        return Place(public, sys.executable, OWN_PATH)
    if os.getuid() != 0:
        pytest.skip("only root can become another user, or give each submission one of its own")
    python = public_interpreter()
    if python is None:
        pytest.skip(f"no Python 3.{sys.version_info[1]} here that other users may run")
    shared = request.getfixturevalue("packages")
    return Place(public, python, shared, ORDINARY if request.param == "ordinary" else None)


KINDS = pytest.mark.parametrize("place", ["developer", "root", "ordinary"], indirect=True)


def layers_for(place: Place, kind: str) -> set[str]:
    """The layers that this kind of user must get, on Linux with all of them."""
    common = {"limits", "uninspectable", "landlock", "seccomp"}
    if kind == "ordinary" or os.getuid() != 0:
        return common
    return common | (
        {"user"} if kind == "root" or readable_by_others(Path(sys.executable).resolve()) else {"capabilities"}
    )


@KINDS
def test_grading_and_its_layers(place: Place, request: pytest.FixtureRequest):
    """A right submission gets all points from each kind of user, and the result names the layers that held."""
    place.put("right.py", RIGHT)
    result = place.grade("right.py")["right.py"]
    assert (result["score"], result["max_score"]) == (8, 8)
    missing = layers_for(place, request.node.callspec.params["place"]) - set(result["extra_data"]["layers"])
    doctor = place.run("-m", "autograder", "doctor").stdout if missing else ""
    for layer in missing:  # a kernel without it says so
        assert re.search(rf"off +{layer} .*\n +missing: ", doctor), (
            f"{layer} is missing without a reason:\n{doctor}"
        )


@KINDS
def test_a_spy_gains_nothing(place: Place):
    """A submission that looks around finds no file, process or module of anybody's, and earns nothing by trying."""
    place.put("spy.py", place.spy())
    result = place.grade("spy.py", "other.py")
    told = json.dumps(result["spy.py"])
    assert "LOOT[]" in told, re.findall(r"LOOT\[.*?\]", told)[:1]
    assert result["spy.py"]["score"] == 0
    assert result["other.py"]["score"] == 8
    assert "UID0 POWERS['0000000000000000']" in told or "UID0" not in told
    assert not Path("/tmp/autograder-spy").exists()


@KINDS
def test_the_spy_is_a_spy(place: Place):
    """The same file, run without the sandbox, gets at nearly all of it: it can find what the test above rules out."""
    spy = place.put("spy.py", place.spy())
    found = place.run(spy, "loot").stdout
    Path("/tmp/autograder-spy").unlink(missing_ok=True)
    (place.folder / "root" / "new").unlink(missing_ok=True)
    expected = [f"reads {place.folder}/class/other.py", f"reads {place.folder}/root/reference/mini.py"]
    if place.uid is None and os.getuid() == 0:
        expected += ["reads /root", f"writes {place.folder}/root/new", "process: signal", "process: environ"]
    assert [loot for loot in expected if loot not in found] == []


@KINDS
def test_a_submission_cannot_end_the_judge(place: Place):
    """Killing everything within reach costs the killer its points and nobody else theirs."""
    place.put("killer.py", KILLER)
    place.put("right.py", RIGHT)
    results = place.grade("killer.py", "right.py")
    assert results["killer.py"]["score"] == 0
    assert results["right.py"]["score"] == 8


@pytest.mark.parametrize("place", ["root"], indirect=True)
def test_each_submission_has_a_user_of_its_own(place: Place):
    """Two submissions of one run are two users, neither of them root."""
    source = "import os\ndef softmax(x):\n    raise RuntimeError(f'UID{os.getuid()} {os.getgroups()}')\n"
    for name in ("one.py", "two.py"):
        place.put(name, source)
    told = [json.dumps(result) for result in place.grade("one.py", "two.py").values()]
    users = [re.findall(r"UID(\d+) \[\]", text)[0] for text in told]
    assert "0" not in users
    assert users[0] != users[1]


@KINDS
def test_nothing_is_left_behind(place: Place):
    """After grading there is no folder of a submission and no process."""
    place.put("right.py", RIGHT)
    place.grade("right.py")
    home = place.folder / f"home-{place.uid}"
    assert [path.name for path in home.iterdir() if path.name.startswith("autograder-")] == []
    assert processes_of(home) == []


def processes_of(home: Path) -> list[str]:
    """The processes that were started with this home, as far as /proc lets us see."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(home).encode() in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_text())
        except OSError:  # another user's, or gone
            pass
    return found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the judge by /proc")
@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGINT"])
def test_a_judge_that_is_ended_takes_all_with_it(signal_name: str, tmp_path: Path):
    """Killed in the middle, the command says so by its exit code and leaves no process; so it does after Ctrl-C."""
    shutil.copytree(SAMPLE, tmp_path / "root")
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(50)\n")
    command = [
        sys.executable,
        "-m",
        "autograder",
        "grade",
        "mini",
        tmp_path / "slow.py",
        "-o",
        tmp_path / "out",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": OWN_PATH,
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    process = subprocess.Popen(
        command, cwd=tmp_path / "root", env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(
        tmp_path.glob("autograder-*/1/slow.py")
    ):  # TMPDIR is where the folders of submissions are made
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert (
        os.getuid() != 0 or len(processes_of(tmp_path)) >= 4
    )  # the command, who keeps the store, a judge, its server
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    keeper = int(children.read_text().split()[0])
    os.kill(keeper if signal_name == "SIGKILL" else process.pid, getattr(signal, signal_name))
    assert process.wait(timeout=20) == (128 + signal.SIGKILL if signal_name == "SIGKILL" else 1)
    deadline = time.monotonic() + 20
    while processes_of(tmp_path) and time.monotonic() < deadline:  # each dies with the one that started it
        time.sleep(0.05)
    assert processes_of(tmp_path) == []
