"""Each layer closes what it says, honest code runs without any one of them, and `doctor` tells what is missing."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from autograder.sandbox import doctor, landlock, layers, linux
from autograder.sandbox.errors import StudentFailure
from autograder.sandbox.host import Sandbox
from autograder.sandbox.layers import LAYERS, active
from tests.sandbox.aims import aims

HONEST = """
import os, random, tempfile, threading
import numpy as np
import torch
from torch import nn

def train():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    x = torch.randn(64, 2)
    for _ in range(60):
        loss = (model(x) - x.prod(1, keepdim=True)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()

def numbers(x):
    return np.linalg.svd(x.numpy())[1].sum() + random.randrange(1)

def lazily():
    import colorsys, wave
    return colorsys.rgb_to_hls(1, 1, 1)

def threads():
    found = []
    workers = [threading.Thread(target=lambda: found.append(torch.ones(3).sum().item())) for _ in range(4)]
    [w.start() for w in workers]
    [w.join() for w in workers]
    return found

def files():
    torch.save(torch.ones(2), "w.pt")
    with tempfile.TemporaryFile() as file:
        file.write(b"x")
    os.makedirs("a/b"); os.rename("a", "c"); os.remove("w.pt")
    return sorted(os.listdir("."))

def square(x):
    return x * x
"""

OFFERED = [name for name in LAYERS if name != "read-only"]


@pytest.fixture
def held_by(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], Sandbox]:
    """The shared sandbox, whose children are held by these layers and no others from now on."""

    def hold(names: list[str]) -> Sandbox:
        monkeypatch.setattr(sandbox, "layers", names)
        return sandbox

    return hold


# ---------------------------------------------------------------------------------------------- honest code everywhere

MISSING = {
    "nothing": frozenset(),
    **{name: frozenset({name}) for name in OFFERED},
    "everything": frozenset(LAYERS),
}


@pytest.mark.parametrize("missing", MISSING.values(), ids=MISSING)
def test_honest_code_runs_without(missing: frozenset[str], sandbox: Sandbox, held_by, start):
    """Training, gradients, threads, lazy imports and files work whichever layer a platform lacks."""
    held_by(active(sandbox.reasons, missing))
    names = start(HONEST)
    assert names.get("train")() < 0.5
    assert names.get("numbers")(torch.eye(3)) == pytest.approx(3.0)
    assert names.get("lazily")()[1] == 1
    assert names.get("threads")() == [3.0] * 4
    x = torch.tensor([3.0], requires_grad=True)
    names.get("square")(x).sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 6.0
    if "read-only" in sandbox.layers:
        with pytest.raises(
            (PermissionError, RuntimeError), match=r"denied|cannot be opened|open file failed"
        ):
            names.get("files")()
    else:
        assert names.get("files")() == ["c"]


def test_notebooks_run_where_nothing_can_be_written(sandbox: Sandbox, held_by, start):
    """Where Landlock and a user of its own are missing nothing can be written; a notebook's shell does without."""
    held_by(active({**sandbox.reasons, "landlock": "older kernel", "user": "not root"}))
    assert "read-only" in sandbox.layers
    names = start(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nx = 1", "def f():\n    return x", notebook=True
    )
    assert names.get("f")() == 1
    assert names.session.cell_errors == []


# ----------------------------------------------------------------------------------------------- one layer, one attack


@pytest.fixture
def target(tmp_path: Path) -> Iterator[dict[str, object]]:
    """What attacks aim at: a readable file, one of another user, a folder, a process of this user without powers."""
    with aims(tmp_path) as aim:
        yield aim


# layer, what is tried, its code (it raises when it is refused)
ATTACKS = [
    ("limits", "two gigabytes", "len(mmap.mmap(-1, 2 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))"),
    ("limits", "shared memory", "len(mmap.mmap(-1, 4 << 30))"),
    ("limits", "a file of 100 MB", "os.truncate(os.open('x', os.O_CREAT | os.O_RDWR), 100 << 20)"),
    ("limits", "a thousand files", "[os.dup(0) for _ in range(1000)] and None"),
    ("user", "another user's file", "len(open(private).read())"),
    ("user", "a file that others cannot write", "open(readable, 'a').close()"),
    ("user", "a signal to the fork server", "os.kill(os.getppid(), 0)"),
    ("capabilities", "another user's file", "len(open(private).read())"),
    ("capabilities", "becoming another user", "os.setresuid(1, 1, 1)"),
    ("capabilities", "another root directory", "os.chroot(folder)"),
    ("landlock", "a readable file outside", "len(open(readable).read())"),
    ("landlock", "a listing of a folder outside", "len(os.listdir(folder))"),
    ("landlock", "a new file outside", "open(folder + '/new', 'w').close()"),
    ("landlock", "removing a file", "os.remove(readable)"),
    ("landlock", "a hard link into the box", "os.link(readable, 'mine')"),
    ("landlock", "a file by way of /proc/self/root", "len(open('/proc/self/root' + readable).read())"),
    ("landlock", "a file by a symbolic link", "(os.symlink(readable, 'here'), len(open('here').read()))[1]"),
    ("landlock", "the command line of another", "len(open(f'/proc/{pid}/cmdline').read())"),
    (
        "landlock",
        "System V style names in /dev/shm",
        "(open('/dev/shm/autograder-test', 'w').close(), os.remove('/dev/shm/autograder-test'))",
    ),
    ("seccomp", "a fork", "fork()"),
    ("seccomp", "a program", "os.execv('/bin/true', ['true'])"),
    ("seccomp", "a program by os.system", "0 / (os.system('true') == 0)"),
    ("seccomp", "a program by posix_spawn", "os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)[1]"),
    ("seccomp", "a TCP socket", "socket.socket().close()"),
    ("seccomp", "a UDP socket", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()"),
    ("seccomp", "a Unix socket", "socket.socket(socket.AF_UNIX).close()"),
    (
        "seccomp",
        "a datagram to a name in a folder",
        "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b'x', folder + '/log')",
    ),
    ("seccomp", "a netlink socket", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close()"),
    ("seccomp", "a signal to another", "os.kill(pid, 0)"),
    ("seccomp", "a signal to the fork server", "os.kill(os.getppid(), 0)"),
    ("seccomp", "a signal to all", "os.kill(-1, 0)"),
    ("seccomp", "a handle on another process", "os.close(os.pidfd_open(pid))"),
    ("seccomp", "a limit for another", "resource.prlimit(pid, resource.RLIMIT_NOFILE)"),
    ("seccomp", "the processors of another", "os.sched_setaffinity(pid, os.sched_getaffinity(0))"),
    (
        "seccomp",
        "the scheduling class of another",
        "os.sched_setscheduler(pid, os.SCHED_BATCH, os.sched_param(0))",
    ),
    ("seccomp", "the priority of another", "os.setpriority(os.PRIO_PROCESS, pid, 5)"),
    (
        "seccomp",
        "the priority of all of the user's",
        "os.setpriority(os.PRIO_USER, 0, os.getpriority(os.PRIO_USER, 0))",
    ),
    ("seccomp", "the I/O class of another", "call('ioprio_set', 1, pid, 0)"),
    ("seccomp", "tracing another", "call('ptrace', 0x4206, pid, 0, 0)"),
    ("seccomp", "reading another's memory", "call('process_vm_readv', pid, 0, 0, 0, 0, 0)"),
    ("seccomp", "a file in memory", "os.close(os.memfd_create('x'))"),
    (
        "seccomp",
        "disk without writing",
        "call('fallocate', os.open('x', os.O_CREAT | os.O_RDWR), 1, 0, 1 << 20)",
    ),
    ("seccomp", "io_uring", "call('io_uring_setup', 1, ctypes.create_string_buffer(120))"),
    ("seccomp", "namespaces of its own", "call('unshare', 0x10000000)"),
    ("seccomp", "shared memory by key", "libc.shmctl(call('shmget', 0, 100, 0o1600), 0, None)"),
    ("seccomp", "a message queue", "libc.msgctl(call('msgget', 0, 0o1600), 0, None)"),
    ("seccomp", "keys of the kernel", "call('keyctl', 0, -3, 1)"),
    ("seccomp", "being signalled by a file", "fcntl.fcntl(0, 8, os.getppid())"),
    ("seccomp", "living on after the fork server", "prctl(1, 0)"),
    ("read-only", "a new file outside", "open(folder + '/new', 'w').close()"),
    ("read-only", "a change to a file", "open(readable, 'a').close()"),
    ("read-only", "removing a file", "os.remove(readable)"),
    ("read-only", "renaming a file", "os.rename(readable, readable + '2')"),
    ("read-only", "a new folder", "os.mkdir(folder + '/new')"),
    ("read-only", "cutting a file", "os.truncate(readable, 0)"),
    ("read-only", "a file without a name", "os.open(folder, os.O_TMPFILE | os.O_RDWR)"),
    ("read-only", "a symbolic link", "os.symlink('x', folder + '/link')"),
]

TOOLS = f"""
import ctypes, fcntl, mmap, os, resource, socket, sys
sys.path.insert(0, {str(Path(layers.__file__).parents[2])!r})

libc = ctypes.CDLL(None)

def call(name, *arguments):
    from autograder.sandbox import linux, seccomp
    return linux.syscall(seccomp._number(name), *arguments)

def prctl(*arguments):
    from autograder.sandbox import linux
    linux.prctl(*arguments)

def fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
"""


def attacked(names: list[str], code: str, target: dict[str, object], held_by, start) -> bool:
    """Whether the attack works on a child that is held by these layers."""
    source = f"{TOOLS}\ndef attack({', '.join(target)}):\n    {code}\n    return 'done'"
    inside = held_by(names)
    try:
        return start(source, inside=inside).get("attack")(**target) == "done"
    except StudentFailure as refused:
        return "exit code 0" in str(refused)  # a program took the child's place


@pytest.mark.parametrize(
    ("layer", "code"), [attack[::2] for attack in ATTACKS], ids=[f"{layer}: {what}" for layer, what, _ in ATTACKS]
)  # fmt: skip
def test_each_layer_closes_what_it_says(layer: str, code: str, target, sandbox: Sandbox, held_by, start):
    """The attack works without layers, and neither against this one layer alone nor against all that there are."""
    if sandbox.reasons[layer]:
        pytest.skip(f"{layer} is not offered here: {sandbox.reasons[layer]}")
    everything = active(sandbox.reasons)
    assert not attacked([layer], code, target, held_by, start)
    if layer != "read-only":  # which the others replace
        assert not attacked(everything, code, target, held_by, start)
    assert attacked([], code, target, held_by, start), "an attack that never works shows nothing"


READ_MEMORY = "open(f'/proc/{pid}/mem', 'rb').close()"
READ_ENVIRONMENT = "len(open(f'/proc/{pid}/environ').read())"


@pytest.mark.parametrize("code", [READ_MEMORY, READ_ENVIRONMENT], ids=["memory", "environment"])
def test_other_processes_cannot_be_inspected(code: str, target, held_by, start):
    """A child of the same user reads an ordinary process, and neither the fork server nor another submission."""
    names = ["capabilities"] if os.getuid() == 0 else []
    assert attacked(names, code, target, held_by, start)
    other = start("import os\npid = os.getpid()", inside=held_by([*names, "uninspectable"])).get("pid")
    assert not attacked(names, code, {**target, "pid": other}, held_by, start)
    assert not attacked(names, code.replace("pid", "os.getppid()"), target, held_by, start)


def test_honest_file_operations_are_let_through(start):
    """What seccomp pretends (chmod, chown, utime) does not fail, so that shutil.copy and zipfile work."""
    source = """
    import os, shutil, zipfile
    def f():
        open("a", "w").write("x")
        os.chmod("a", 0o777); os.utime("a"); shutil.copy2("a", "b")
        with zipfile.ZipFile("c.zip", "w") as archive:
            archive.write("a")
        zipfile.ZipFile("c.zip").extractall("d")
        return sorted(os.listdir())
    """
    assert start(source).get("f")() == ["a", "b", "c.zip", "d"]


def test_no_descriptor_is_inherited(start):
    """A child holds its four descriptors and none of the judge's or the fork server's."""
    names = start("import os\ndef f():\n    return [n for n in range(200) if _open(n)]\n" + _IS_OPEN)
    assert names.get("f")() == [0, 1, 2, 3]


_IS_OPEN = """
def _open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
"""


def test_the_environment_is_made_for_the_child(start, monkeypatch: pytest.MonkeyPatch):
    """Tokens in the TA's environment are not in the child's, nor in what it can read of its own process."""
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    source = """
    import os
    def f():
        try:
            return sorted(os.environ), open('/proc/self/environ', 'rb').read()
        except OSError:
            return sorted(os.environ), b""
    """
    with Sandbox() as fresh:
        names = start(source, inside=fresh)
        found = names.get("f")()
        names.session.close()
    assert "HOME" in found[0]
    assert "GITHUB_TOKEN" not in found[0]
    assert b"secret" not in found[1]


def test_nothing_of_ours_is_in_the_childs_memory(start):
    """The fork server holds no suite, no reference, no test library: a child can read all of its own memory."""
    source = """
    import gc, sys, types
    def modules():
        return sorted(sys.modules)
    def texts():
        values = [v for o in gc.get_objects() if isinstance(o, dict) for v in list(o.values()) if isinstance(v, str)]
        return sorted({v for v in values if "def test_" in v or "BEGIN SOLUTION" in v})
    """
    names = start(source)
    loaded = names.get("modules")()
    assert not [name for name in loaded if name.startswith(("tests", "pytest", "otter.test", "reference"))]
    ours = {name for name in loaded if name.startswith("autograder")}
    assert ours <= {"autograder", "autograder.work", *(f"autograder.sandbox{rest}" for rest in _OF_THE_CHILD)}
    assert names.get("texts")() == []


_OF_THE_CHILD = (
    "",
    ".child",
    ".errors",
    ".landlock",
    ".launch",
    ".layers",
    ".linux",
    ".operators",
    ".remote",
    ".removal",
)
_OF_THE_CHILD += (".seccomp", ".serve", ".session", ".watch", ".wire", ".zygote")


# --------------------------------------------------------------------------------------------- what a platform offers


def test_which_layers_are_put_on():
    """The choice of layers: powers go with the user, and read-only stands in where files are not closed otherwise."""
    all_work = dict.fromkeys(LAYERS, "")
    assert active(all_work) == ["limits", "uninspectable", "user", "landlock", "seccomp"]
    assert active(all_work, frozenset({"user"})) == [
        "limits",
        "uninspectable",
        "capabilities",
        "landlock",
        "seccomp",
    ]
    no_files = frozenset({"user", "landlock"})
    assert active(all_work, no_files) == ["limits", "uninspectable", "capabilities", "seccomp", "read-only"]
    assert active(all_work, frozenset(LAYERS)) == []
    assert active({}) == []
    assert active({**all_work, "landlock": "older kernel"}) == ["limits", "uninspectable", "user", "seccomp"]


def test_a_platform_that_is_not_linux(monkeypatch: pytest.MonkeyPatch):
    """On macOS the probe finds what Linux alone has to be missing, says so, and nothing fails."""
    monkeypatch.setattr(sys, "platform", "darwin")
    reasons = layers.probe()
    assert set(reasons) == set(LAYERS)
    for name in ("uninspectable", "capabilities", "landlock", "seccomp", "read-only"):
        assert reasons[name], name
    assert set(active(reasons)) <= {"limits", "user"}


def test_a_kernel_without_landlock(monkeypatch: pytest.MonkeyPatch):
    """An older kernel is told by the reason, and files are closed in another way."""
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    reasons = layers.probe()
    assert reasons["landlock"] == "this kernel has no Landlock (Linux 5.13 brought it)"
    assert "landlock" not in active(reasons)
    assert "user" in active(reasons) or "read-only" in active(reasons) or reasons["seccomp"]


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_older_versions_of_landlock(version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The rules of each version are accepted, close files outside and leave the box open."""
    if version > landlock.abi():
        pytest.skip(f"this kernel offers version {landlock.abi()}")
    monkeypatch.setattr(landlock, "abi", lambda: version)
    (tmp_path / "box").mkdir()
    (tmp_path / "secret").write_text("x")

    def inside(path: Path, mode: str) -> Callable[[], None]:
        def go() -> None:
            landlock.restrict(["/usr"], [str(tmp_path / "box")])
            open(path, mode).close()

        return go

    assert "Permission denied" in layers._reason(inside(tmp_path / "secret", "r"))
    assert layers._reason(inside(tmp_path / "box" / "mine", "w")) == ""


def test_an_architecture_whose_calls_are_not_known(monkeypatch: pytest.MonkeyPatch):
    """seccomp by call numbers is left off where the numbers are not known, and that is said."""
    monkeypatch.setattr(linux, "MACHINE", "riscv64")
    reasons = layers.probe()
    assert "riscv64" in reasons["seccomp"]
    assert "riscv64" in reasons["read-only"]


def test_a_step_that_crashes_is_a_reason(monkeypatch: pytest.MonkeyPatch):
    """A probe that is killed, as container runtimes do it, counts as a layer that is missing."""
    assert layers._reason(lambda: os.kill(os.getpid(), 9)) == "ended with status 9"
    assert layers._reason(lambda: None) == ""


# -------------------------------------------------------------------------------------------------------- the doctor


def test_doctor_with_everything_on():
    """The doctor names each layer with its meaning, and finds every attack refused."""
    lines: list[str] = []
    healthy = doctor.examine(lines.append)
    text = "\n".join(lines)
    for name, meaning in LAYERS.items():
        assert f"{name:14} {meaning}" in text
    assert "missing: " in text or os.getuid() == 0
    assert re.search(r"^Environment [A-E] of SECURITY.md", text, re.M)
    assert "OPEN" not in text
    assert healthy
    assert text.count("closed ") >= 8


def test_doctor_with_everything_off():
    """Without layers the doctor finds the same attacks open, and says so by its result."""
    lines: list[str] = []
    assert not doctor.examine(lines.append, without=frozenset(LAYERS))
    text = "\n".join(lines)
    assert "  on " not in text
    for attack in ("read a file of ours", "change a file of ours", "start a program", "take two gigabytes"):
        assert f"  OPEN   {attack}" in text


def test_doctor_without_seccomp():
    """The doctor shows what one missing layer would add."""
    lines: list[str] = []
    doctor.examine(lines.append, without=frozenset({"seccomp"}))
    text = "\n".join(lines)
    assert "  off    seccomp" in text
    assert "  OPEN   start a process" in text
    assert "  closed take two gigabytes" in text


def test_a_layer_left_out_of_a_sandbox(start):
    """`Sandbox(without=...)` leaves off that layer alone."""
    with Sandbox(without=frozenset({"seccomp"})) as fresh:
        assert "seccomp" not in fresh.layers
        names = start(TOOLS, inside=fresh)
        assert names.get("fork")() is None
        names.session.close()
