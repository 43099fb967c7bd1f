"""Runs a zip on a submission as Gradescope would, and says what went wrong."""

from __future__ import annotations

import ast
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from autograder.gradescope import jail
from autograder.gradescope.limits import Limiter, Usage, descendants, limiter
from autograder.gradescope.schema import problems as schema_problems
from autograder.gradescope.settings import CPUS, MEMORY_MB, MINUTES

_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Container:
    """What Gradescope gives.

    Attributes:
        minutes: until it ends everything.
        memory_mb: until the kernel does.
        cpus: of one core.
    """

    minutes: float = MINUTES
    memory_mb: int = MEMORY_MB
    cpus: float = CPUS


@dataclass
class Trial:
    """What came of it.

    Attributes:
        results: the content of results.json; None if there is none that can be read.
        output: what was printed.
        problems: what would have gone wrong on Gradescope; empty if nothing.
        where: how like Gradescope it was.
    """

    results: dict[str, Any] | None = None
    output: str = ""
    seconds: float = 0.0
    usage: Usage = field(default_factory=Usage)
    problems: list[str] = field(default_factory=list)
    where: str = ""


def try_zip(
    archive: Path,
    handed_in: Path,
    container: Container | None = None,
    metadata: dict[str, Any] | None = None,
    setup: bool = False,
) -> Trial:
    """Runs a zip on a submission.

    Args:
        archive: the zip.
        handed_in: a file or a folder, which becomes /autograder/submission.
        container: Gradescope's limits.
        metadata: what stands in submission_metadata.json; by default a submission in time, the first.
        setup: run setup.sh too, which installs everything; else this interpreter and its packages stand in for it.
    """
    container = container or Container()
    with tempfile.TemporaryDirectory(prefix="gradescope-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        trial = Trial()
        if _lay_out(archive, handed_in, metadata or example_metadata(), folder, trial):
            if setup:
                _set_up(folder, trial)
            if not trial.problems:
                _run(folder, container, trial, setup)
                _check(folder / "autograder/results/results.json", trial)
        return trial


def example_metadata(now: datetime | None = None) -> dict[str, Any]:
    """What Gradescope says about a first submission a day before it is due."""
    now = now or datetime.now(timezone.utc)
    due = (now + timedelta(days=1)).isoformat()
    assignment = {
        "due_date": due, "group_size": None, "group_submission": False, "id": 25828, "course_id": 1234,
        "late_due_date": None, "release_date": (now - timedelta(days=7)).isoformat(), "title": "Try",
        "total_points": "60.0",
    }  # fmt: skip
    users = [{"email": "student@example.edu", "id": 1234, "name": "Student Example"}]
    return {
        "id": 123456, "created_at": now.isoformat(), "assignment": assignment, "submission_method": "upload",
        "users": users, "previous_submissions": [],
    }  # fmt: skip


def _lay_out(archive: Path, handed_in: Path, metadata: dict[str, Any], folder: Path, trial: Trial) -> bool:
    """Unpacks the zip and fills the folders, as Gradescope does; False if the zip lacks what it must hold."""
    place = folder / "autograder"
    for name in ("source", "submission", "results"):
        (place / name).mkdir(parents=True)
    _unpack(archive, place / "source")
    for name in ("setup.sh", "run_autograder"):
        if not (place / "source" / name).is_file():
            trial.problems.append(f"{name} is missing at the root of the zip: Gradescope could not run it.")
    if trial.problems:
        return False
    shutil.copy(place / "source/run_autograder", place / "run_autograder")
    (place / "run_autograder").chmod(0o755)
    if handed_in.is_dir():
        shutil.copytree(handed_in, place / "submission", dirs_exist_ok=True, symlinks=True)
    else:
        shutil.copy(handed_in, place / "submission")
    (place / "submission_metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return True


def _unpack(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            path = Path(opened.extract(info, target))
            if path.is_file() and (mode := stat.S_IMODE(info.external_attr >> 16)):
                path.chmod(mode)


def _set_up(folder: Path, trial: Trial) -> None:
    """Runs setup.sh in a clean root, with the network and this machine's pip configuration."""
    if why := jail.missing():
        trial.problems.append(f"setup.sh could not be tried: {why}.")
        return
    (folder / "opt").mkdir()
    environment, shared = _pip_configuration()
    words = [
        "env",
        *(f"{name}={value}" for name, value in environment.items()),
        "bash",
        "/autograder/source/setup.sh",
    ]
    with _empty_root(folder) as root:
        command = jail.command(root, folder / "autograder", words, folder / "opt", shared)
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
    trial.output += done.stdout
    if done.returncode:
        trial.problems.append(f"setup.sh failed (exit status {done.returncode}):\n{done.stdout[-1500:]}")


def _pip_configuration() -> tuple[dict[str, str], list[str]]:
    """Where pip takes packages from on this machine: as environment variables, and the folders among it."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    environment = {}
    for line in listed.stdout.splitlines():
        key, _, value = line.partition("=")
        environment[f"PIP_{key.rsplit('.', 1)[-1].replace('-', '_').upper()}"] = ast.literal_eval(value)
    words = " ".join(environment.values()).split()
    paths = [word for word in words if word.startswith("/")]
    paths += [
        str(Path(word[7:]).parent) for word in words if word.startswith("file:///")
    ]  # with the files it lists
    return environment, [path for path in dict.fromkeys(paths) if Path(path).is_dir()]


@contextmanager
def _empty_root(folder: Path) -> Iterator[Path]:
    root = folder / "root"
    root.mkdir()
    try:
        yield root
    finally:
        root.rmdir()  # the mounts are gone with their namespace


def _run(folder: Path, container: Container, trial: Trial, setup: bool) -> None:
    """Runs run_autograder under the container's limits."""
    limits = limiter(container.memory_mb, container.cpus)
    place = folder / "autograder"
    try:
        if why := jail.missing():
            trial.where = f"relocated to {place}, as {why}; {limits.name}"
            _supervise(_relocated(place, limits), container, limits, trial, folder)
        else:
            trial.where = f"clean root, /autograder as documented; {limits.name}"
            opt = folder / "opt" if setup else None
            with _empty_root(folder) as root:
                command = jail.command(root, place, ["/autograder/run_autograder"], opt)
                entry = limits.entry() + f"exec {shlex.join(command)}"
                _supervise(["sh", "-c", entry], container, limits, trial, folder)
    finally:
        limits.close()


def _relocated(place: Path, limits: Limiter) -> list[str]:
    words = [
        "env", "-i", *(f"{name}={value}" for name, value in jail.ENVIRONMENT.items()), f"AUTOGRADER_ROOT={place}",
        f"AUTOGRADER_PYTHON={sys.executable}", str(place / "run_autograder"),
    ]  # fmt: skip
    return ["sh", "-c", limits.entry() + f"cd {shlex.quote(str(place))} && exec {shlex.join(words)}"]


def _supervise(command: list[str], container: Container, limits: Limiter, trial: Trial, folder: Path) -> None:
    """Runs a command, looks at what it uses, and ends it when the container would."""
    started = time.monotonic()
    with (folder / "stdout").open("w+b") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            why = _wait(process, container, limits, trial.usage, started)
        finally:
            _end(process)
        trial.seconds = time.monotonic() - started
        output.seek(0)
        trial.output += output.read().decode(errors="replace")
    trial.problems += [why] if why else []
    if trial.usage.killed:
        trial.problems.append(
            f"memory: the kernel ended a process, for {container.memory_mb} MB were used up."
        )
    if process.returncode and not why:
        trial.problems.append(f"run_autograder ended with exit status {process.returncode}.")
    if not limits.enforces and trial.usage.cpu_seconds > container.cpus * container.minutes * 60:
        used = f"{trial.usage.cpu_seconds:.0f} processor seconds"
        trial.problems.append(
            f"time: {used}, more than {container.cpus:g} of a core gives in {container.minutes:g} minutes."
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process and what it started; in a clean root, all that is in there ends with it."""
    running = process.poll() is None  # else its number may be somebody else's by now
    for pid in reversed(list(descendants(process.pid)) if running else []):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _wait(
    process: subprocess.Popen[bytes], container: Container, limits: Limiter, usage: Usage, started: float
) -> str:
    """Waits for the end; why it was brought about, "" if it came by itself."""
    while process.poll() is None:
        limits.look(process.pid, usage)
        if time.monotonic() - started > container.minutes * 60:
            return (
                f"time: not done after {container.minutes:g} minutes. Gradescope would have given 0 points."
            )
        if not limits.enforces and usage.peak_mb > container.memory_mb:
            return f"memory: {usage.peak_mb:.0f} MB, more than the container's {container.memory_mb} MB."
        time.sleep(_LOOK_SECONDS)
    limits.look(process.pid, usage)
    return ""


def _check(path: Path, trial: Trial) -> None:
    """Reads results.json as Gradescope would."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        trial.problems.append("results/results.json was not written.")
        return
    except (OSError, UnicodeDecodeError) as error:
        trial.problems.append(f"results/results.json cannot be read: {error}.")
        return
    trial.problems += schema_problems(text)
    with suppress(ValueError, RecursionError):
        content = json.loads(text)
        trial.results = content if isinstance(content, dict) else None
    status = ((trial.results or {}).get("extra_data") or {}).get("status")
    if status in ("error", "running"):
        detail = (trial.results or {}).get("extra_data", {}).get("detail", "")
        trial.problems.append(f"The grader did not come to its end (status {status}). {detail}".strip())
