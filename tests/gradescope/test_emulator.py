"""The emulator runs the real zip as Gradescope would, and finds what would go wrong there.

As root it makes a clean root with /autograder; without, the same runs relocated: both must hold.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from autograder.assignment import load, slugs
from autograder.cli import main
from autograder.gradescope import emulator, jail, limits
from autograder.gradescope.build import build
from autograder.gradescope.emulator import Container, Trial, example_metadata, try_zip
from autograder.gradescope.settings import Settings
from autograder.gradescope.view import show
from tests import build_submissions

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "sample"
RIGHT = SAMPLE / "reference" / "mini.py"
NOON = datetime(2026, 11, 20, 12, tzinfo=timezone.utc)
pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the programs in the zip are for Linux"
)
needs_root = pytest.mark.skipif(bool(jail.missing()), reason=f"no clean root here: {jail.missing()}")


@pytest.fixture(scope="module")
def zips(tmp_path_factory):
    """The zip of an assignment, with settings."""
    folder = tmp_path_factory.mktemp("zips")

    def make(slug="mini", root=SAMPLE, **settings):
        path = folder / f"{len(list(folder.iterdir()))}.zip"
        path.write_bytes(build(load(slug, root), Settings(slug, **settings)))
        return path

    return make


@pytest.fixture
def fake(tmp_path):
    """A zip whose run_autograder is this shell script."""

    def make(script):
        path = tmp_path / "fake.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("setup.sh", "true\n")
            if script is not None:
                archive.writestr(
                    "run_autograder", f"#!/bin/bash\ncd ${{AUTOGRADER_ROOT:-/autograder}}\n{script}\n"
                )
        return path

    return make


@pytest.fixture(params=["clean root", "relocated"])
def both(request, monkeypatch):
    """With a clean root where there can be one, and without."""
    if request.param == "relocated":
        monkeypatch.setattr(jail, "missing", lambda: "a test says so")
    elif jail.missing():
        pytest.skip(jail.missing())


@pytest.fixture
def unlimited(monkeypatch):
    """As on a machine without control groups."""
    monkeypatch.setattr(emulator, "limiter", lambda *_: limits.Watch())


# ------------------------------------------------------------------------------------------------- planted faults

WRITES = "echo '{}' > results/results.json"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (None, "run_autograder is missing at the root of the zip"),
        ("true", "results/results.json was not written"),
        (WRITES.format('{"score": 1}') + "; exit 3", "ended with exit status 3"),
        (WRITES.format('{"score": "full"}'), "results.json, $.score"),
        (WRITES.format('{"tests": [{"score": 1, "visiblity": "hidden"}]}'), "'visiblity' was unexpected"),
        (WRITES.format('{"score": 1'), "is not JSON"),
        ("printf '\\xff' > results/results.json", "cannot be read"),
        ("mkdir results/results.json", "cannot be read"),
        (
            WRITES.format('{"score": 0, "extra_data": {"status": "error", "detail": "the cause"}}'),
            "the cause",
        ),
    ],
    ids=[
        "missing",
        "no results",
        "exit status",
        "type",
        "typing error",
        "cut off",
        "encoding",
        "folder",
        "error",
    ],
)
def test_planted_faults(fake, both, script, found):
    """Each is found and named."""
    (problem,) = try_zip(fake(script), RIGHT).problems
    assert found in problem


def test_no_fault(fake, both):
    """A right zip has none; where it ran is said."""
    trial = try_zip(fake(WRITES.format('{"score": 1}') + "; echo hello; pwd"), RIGHT)
    assert (trial.problems, trial.results) == ([], {"score": 1})
    assert trial.output.startswith("hello\n")
    if trial.where.startswith("clean root"):
        assert trial.output == "hello\n/autograder\n"
    else:
        assert trial.where.startswith("relocated to /")
        assert "as a test says so" in trial.where


PYTHON = "${AUTOGRADER_PYTHON:-/opt/autograder/bin/python}"
GREEDY = f'"{PYTHON}" -c "x = bytearray({200 << 20}); import time; time.sleep(3)"'
ENOUGH = WRITES.format('{"score": 1}')


def test_overrun_of_memory(fake, both):
    """What the kernel ended is found, also where the program itself went on."""
    trial = try_zip(fake(f"{ENOUGH}; {GREEDY}; true"), RIGHT, Container(1, memory_mb=100))
    assert [problem.split(":")[0] for problem in trial.problems] == ["memory"]


def test_overrun_of_memory_without_control_groups(fake, both, unlimited):
    """Looked at ten times a second."""
    trial = try_zip(fake(f"{ENOUGH}; {GREEDY}"), RIGHT, Container(1, memory_mb=100))
    (problem,) = trial.problems
    assert problem.startswith("memory: ")
    assert problem.endswith("more than the container's 100 MB.")


def test_second_version_of_control_groups(tmp_path, monkeypatch):
    """The files that the kernel's documentation names are written and read; a stand-in, for lack of such a machine."""
    monkeypatch.setattr(limits, "_GROUPS", tmp_path)
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    group = limits.CgroupV2(768, 0.5)
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    assert (folder / "memory.max").read_text() == str(768 << 20)
    assert (folder / "cpu.max").read_text() == "50000 100000"
    assert (tmp_path / "cgroup.subtree_control").read_text() == "+memory +cpu"
    (folder / "memory.stat").write_text(f"anon {200 << 20}\nfile 5\nshmem {10 << 20}\n")
    (folder / "cpu.stat").write_text("usage_usec 2500000\nuser_usec 1\n")
    (folder / "memory.events").write_text("low 0\noom_kill 1\n")
    group.look(1, usage := limits.Usage())
    assert usage == limits.Usage(210, 2.5, True)
    for file in folder.iterdir():
        file.unlink()
    group.close()
    assert not folder.exists()


@pytest.mark.parametrize("controllers", ["", "cpuset pids", None])
def test_without_control_groups(tmp_path, monkeypatch, controllers):
    """Where none may be made, it is looked instead, and said."""
    monkeypatch.setattr(limits, "_GROUPS", tmp_path)
    if controllers is not None:
        (tmp_path / "cgroup.controllers").write_text(controllers)
    found = limits.limiter(768, 0.5)
    assert isinstance(found, limits.Watch)
    assert "not enforced" in found.name


def test_memory_of_forks():
    """What may not be looked into is counted once where it is shared, and in full where it is not."""
    assert limits.held_together([]) == 0
    assert limits.held_together([(3.0, 9.0), (5.0, 9.0)]) == 8
    assert limits.held_together([(2.0, 4.0), (None, 243.0), (None, 260.0), (None, 250.0)]) == 2 + 243 + 17 + 7


def test_overrun_of_time(fake, both):
    """Ended as Gradescope would, with all that it started."""
    trial = try_zip(fake(f"{ENOUGH}; (setsid sleep 987 &) ; sleep 987"), RIGHT, Container(minutes=0.03))
    assert trial.problems == ["time: not done after 0.03 minutes. Gradescope would have given 0 points."]
    assert trial.seconds < 10  # 1.9 s measured
    if trial.where.startswith("clean root"):
        assert (
            "987"
            not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        )


def test_overrun_of_processor_time_without_control_groups(fake, both, unlimited):
    """A second of work does not fit into what a hundredth of a core gives in half a minute."""
    script = f"{ENOUGH}; (ulimit -t 1; while :; do :; done); true"
    (problem,) = try_zip(fake(script), RIGHT, Container(minutes=0.5, cpus=0.01)).problems
    assert problem == "time: 1 processor seconds, more than 0.01 of a core gives in 0.5 minutes."


@needs_root
def test_half_a_core(fake):
    """Where control groups can be made, no more than half a core is given."""
    if isinstance(kind := limits.limiter(768, 0.5), limits.Watch):
        pytest.skip("no control groups here")
    kind.close()
    trial = try_zip(fake(f"{ENOUGH}; timeout 2 sh -c 'while :; do :; done'; true"), RIGHT)
    assert 0.3 < trial.usage.cpu_seconds < 1.4  # 1.0 s expected; on a busy machine less


@needs_root
def test_nothing_else_of_the_machine_is_seen(fake, tmp_path):
    """No home folders, no other processes, no writing to the system."""
    script = f"{ENOUGH}; ls /; ls {ROOT} {tmp_path}; touch /usr/made /etc/made; ls /proc | grep -c '^[0-9]'"
    output = try_zip(fake(script), RIGHT).output
    roots = output.split("ls: cannot", 1)[0].split()
    assert set(roots) <= {
        *jail._SYSTEM,
        "autograder",
        "dev",
        "home",
        "opt",
        "proc",
        "root",
        "run",
        "sys",
        "tmp",
        "var",
    }
    assert output.count("No such file or directory") == 2
    assert output.count("Read-only file system") == 2
    assert int(output.split()[-1]) < 10
    assert list(Path("/usr").glob("made")) == []


def test_nothing_is_left_behind(fake, tmp_path, monkeypatch):
    """No folders, no mounts, no control groups."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    try_zip(fake(ENOUGH), RIGHT)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert list(Path("/sys/fs/cgroup").glob(f"*/autograder-{os.getpid()}-*")) == []


# ------------------------------------------------------------------------------------------------------ the real zip


@pytest.mark.slow
def test_command(monkeypatch):
    """`autograder gradescope SLUG --try PATH`: full marks; what a student may not see yet is named, not shown."""
    monkeypatch.chdir(SAMPLE)
    done = CliRunner().invoke(main, ["gradescope", "mini", "--try", str(RIGHT)])
    assert done.exit_code == 0, done.output
    assert "Total: - (a test is hidden)" in done.output
    assert "Total: 8 / 8" in done.output
    assert done.output.count("not shown: once grades are published") == 2
    assert "No problem found." in done.output


def test_view_of_problems():
    """What went wrong is said last, whatever signs are in it; without results there is no table."""
    console = Console(file=io.StringIO(), width=140)
    show(Trial(problems=["[red]odd\x1b[2J"], output="Traceback\n  the cause", where="somewhere"), console)
    assert console.file.getvalue().splitlines()[-4:] == [
        "Printed, at the end:", "Traceback", "  the cause", "PROBLEM: [red]odd?[2J",
    ]  # fmt: skip


def test_view_of_odd_results():
    """Whatever stands in results.json can be shown."""
    odd = {
        "tests": [{"name": "[b]x[/b]", "score": 1, "output": "\\_a\\_\n```\nb\x1b\n```\n" + "line\n" * 50}, 5]
    }
    console = Console(file=io.StringIO(), width=140)
    show(Trial(results=odd), console)
    shown = console.file.getvalue()
    assert "[b]x[/b] (1 / 0)" in shown
    assert "more lines" in shown
    assert "\x1b" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("slug", slugs(ROOT))
def test_the_reference_fits_into_the_smallest_container(zips, tmp_path, slug):
    """Full marks for each assignment in 768 MB, in far less than the processor time that half a core gives.

    The longest, which trains without weights in its tests, takes 19 of the 300 seconds. All but one get two cores
    here, for the tests' own time: half a core is what `test_half_a_core` and all other trials have.
    """
    assignment = load(slug, ROOT)
    shutil.copyfile(assignment.reference, tmp_path / f"{slug}.py")
    for artifact in assignment.artifacts:
        shutil.copyfile(assignment.reference_artifact(artifact), tmp_path / artifact.file)
    trial = try_zip(zips(slug, ROOT), tmp_path, Container(cpus=0.5 if slug == "attention" else 2))
    assert trial.problems == []
    assert trial.results["score"] == assignment.possible
    assert trial.usage.cpu_seconds < 100


@pytest.mark.slow
def test_equal_to_grade(zips, tmp_path):
    """Test by test, the same as `autograder grade` on the same submission, which has one wrong answer."""
    path = tmp_path / "work.zip"
    path.write_bytes(build_submissions.misconception("no_scale", "attention_weights"))
    command = [
        sys.executable,
        "-m",
        "autograder",
        "grade",
        "attention",
        str(path),
        "-o",
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    graded = json.loads((tmp_path / "out/results" / f"{path.name}.json").read_text())
    tried = try_zip(zips("attention", ROOT), path).results
    keys = ("name", "number", "score", "max_score", "status", "visibility")
    for ours, theirs in zip(tried["tests"], graded["tests"], strict=False):  # ours are followed by figures
        assert {key: ours[key] for key in keys} == {key: theirs[key] for key in keys}
    assert len(tried["tests"]) >= len(graded["tests"]) == 14
    for key in ("questions", "diagnoses", "policy", "status"):
        assert tried["extra_data"][key] == graded["extra_data"][key]
    assert tried["score"] == graded["score"] < 80
    assert tried["extra_data"]["diagnoses"] == {"q1": "no_scale"}


ATTACK = """
import glob, json, os

def attempt(what, action):
    try:
        print("OPEN:" if action() else "closed:", what)
    except Exception as error:
        print("closed:", what, type(error).__name__)

ROOT = os.environ.get("AUTOGRADER_ROOT", "/autograder")
for path in ("source", "source/reference", "submission", "results"):
    attempt(f"list {path}", lambda: os.listdir(f"{ROOT}/{path}"))
for path in ("source/reference/mini.py", "source/assignments/mini/tests/q1.py", "submission_metadata.json",
             "results/results.json", "submission/mini.py", "source/settings.json"):
    attempt(f"read {path}", lambda: open(f"{ROOT}/{path}").read())
def forge():
    with open(f"{ROOT}/results/results.json", "w") as file:
        return file.write(json.dumps({"score": 1000}))
attempt("write results.json", forge)
attempt("replace results.json", lambda: os.replace(__file__, f"{ROOT}/results/results.json") or True)
attempt("remove results", lambda: os.remove(f"{ROOT}/results/results.json") or True)
attempt("other boxes", lambda: [p for p in glob.glob("/tmp/autograder-*/*") if not os.getcwd().startswith(p)])
attempt("the parent", lambda: open(f"/proc/{os.getppid()}/environ").read())
"""


@pytest.mark.slow
def test_attacks(zips, tmp_path, both):
    """Suite, results and other students' data are out of reach; the score is what the answers deserve."""
    path = tmp_path / "mini.py"
    path.write_text(ATTACK + "\n" + RIGHT.read_text())
    earlier = {
        "submission_time": NOON.isoformat(),
        "score": "1.0",
        "results": {"output": "A SECRET OF SOMEBODY"},
    }
    metadata = {**example_metadata(NOON), "previous_submissions": [earlier]}
    trial = try_zip(zips(), path, metadata=metadata)
    assert trial.problems == []
    printed = trial.results["extra_data"]["printed"]
    assert printed.count("closed:") == 15
    assert "OPEN" not in printed
    assert trial.results["score"] == 8
    if trial.where.startswith("clean root"):
        assert "user" in trial.results["extra_data"]["layers"]
    assert "SECRET" not in json.dumps(trial.results)


@pytest.mark.slow
def test_a_greedy_submission_is_stopped_by_our_limit(zips, tmp_path):
    """A MemoryError at its own line; the container's kernel has nothing to do."""
    path = tmp_path / "mini.py"
    greedy = "\n_right = softmax\ndef softmax(x):\n    waste = bytearray(600 << 20)\n    return _right(x)\n"
    path.write_text(RIGHT.read_text() + greedy)
    trial = try_zip(zips(), path)
    assert trial.problems == []
    assert trial.results["extra_data"]["questions"]["q1"] < 4
    assert "MemoryError" in trial.results["tests"][0]["output"]


def disturbed(root, statement):
    """A zip of the sample whose first test of q2 does this in the judge before it tests anything."""
    shutil.copytree(SAMPLE, root)
    suite = root / "assignments/mini/tests/q2.py"
    text = suite.read_text()
    body = text.index(":\n", text.index("\ndef test_")) + 2
    suite.write_text(f"{text[:body]}    {statement}\n{text[body:]}")
    return build(load("mini", root), Settings("mini", minutes=MINUTES))


MINUTES = (
    36 / 60
)  # 20 s of it are the margin before Gradescope's end: 16 s for a start that takes 5 s at half a core


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("__import__('time').sleep(300)", "shortly before the end of the 0.6 minutes"),
        (
            "__import__('os').kill(__import__('os').getpid(), 9)",
            "was ended (exit status 137) before it was done",
        ),
    ],
    ids=["time", "memory"],
)
def test_partial_results(tmp_path, statement, reason):
    """A judge that hangs, or that the kernel ends: what was judged before stands, and our end comes first."""
    archive = tmp_path / "disturbed.zip"
    archive.write_bytes(disturbed(tmp_path / "root", statement))
    trial = try_zip(archive, RIGHT, Container(MINUTES))
    assert trial.seconds < MINUTES * 60
    (problem,) = trial.problems
    assert reason in problem
    by_name = {test["name"]: test for test in trial.results["tests"]}
    assert by_name["q1: Softmax (public tests)"]["status"] == "passed"
    assert "NOT JUDGED" in by_name["q2: A gate (public tests)"]["output"]
    assert (trial.results["score"], trial.results["output_format"]) == (2, "text")
    assert reason in trial.results["output"]


@pytest.mark.slow
def test_weights_leaderboard_and_figures(zips, tmp_path):
    """What is handed in beside the solution arrives; the schema's leaderboard and a picture come back."""
    reference = ROOT / "tests/data/trained/reference"
    shutil.copyfile(reference / "line.py", tmp_path / "line.py")
    shutil.copyfile(reference / "line.weights.safetensors", tmp_path / "weights.safetensors")
    trial = try_zip(zips("line", ROOT / "tests/data/trained"), tmp_path)
    assert trial.problems == []
    assert trial.results["score"] == 6
    (row,) = trial.results["leaderboard"]
    assert (row["name"], row["order"]) == ("loss", "asc")
    picture = trial.results["tests"][-1]
    assert (picture["name"], picture["output_format"]) == ("The line and the points", "html")
    assert '<img alt="' in picture["output"]
    assert 'src="data:image/png;base64,' in picture["output"]


@pytest.mark.slow
def test_a_late_submission(zips):
    """The policy in the zip, the times in the metadata."""
    from autograder.roster import LatePolicy

    metadata = example_metadata(NOON)
    metadata["assignment"]["due_date"] = (NOON - timedelta(hours=30)).isoformat()
    trial = try_zip(zips(late=LatePolicy(10)), RIGHT, metadata=metadata)
    assert trial.problems == []
    assert trial.results["score"] == pytest.approx(6.4)
    assert "2 days late: 1.6 points off" in trial.results["output"]


def test_a_submission_too_many(zips):
    """Not graded, said so, and the last score stays; the grader is not even started."""
    earlier = [
        {"submission_time": (NOON - timedelta(hours=h)).isoformat(), "score": f"{s}"}
        for h, s in ((3, 2), (1, 5))
    ]
    metadata = {**example_metadata(NOON), "previous_submissions": earlier}
    trial = try_zip(zips(daily_limit=2), RIGHT, metadata=metadata)
    assert trial.problems == []
    assert trial.results["score"] == 5
    assert "2 a day are" in trial.results["tests"][0]["output"]


def test_without_an_interpreter(zips, tmp_path, both, monkeypatch):
    """setup.sh did not run to its end: the student is told, and staff find out."""
    path = tmp_path / "broken.zip"
    with zipfile.ZipFile(zips()) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == "run_autograder":
                data = data.replace(
                    b'PYTHON="${AUTOGRADER_PYTHON:-/opt/autograder/bin/python}"', b"PYTHON=/no/python"
                )
            new.writestr(info, data)
    trial = try_zip(path, RIGHT)
    assert trial.problems == []
    assert "could not start" in trial.results["tests"][0]["output"]
    assert "Did setup.sh run to its end?" in trial.output
