"""How much faster than `otter run`, and how it scales: submissions, jobs, workers.

    python benchmarks/throughput.py [--copies 40] [--otter 3] [--slug attention]
    python benchmarks/throughput.py --scale [--numbers 10 100 500]

The first: the same plain script is graded in COPIES copies by one `autograder grade` (its start-up included, one job)
and a few times by `otter run` with a zip that Otter generates from the same test files. CPU seconds count all child
processes. Also printed: one single submission from a cold start, beside `python -c "import torch"`.

The second: submissions a minute against their number, with one job and with two, and two Dask workers (extra `cluster`)
against two jobs. Run it on an idle machine: with two cores busy elsewhere, two jobs gain nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
SUBMISSION = ROOT / "tests" / "submissions" / "attention" / "honest" / "scaled_queries.py"


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of a command with everything that it starts."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def otter_zip(slug: str, folder: Path) -> Path:
    """Otter's own autograder zip with the assignment's test files."""
    shutil.copytree(
        ROOT / "assignments" / slug / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [str(BIN / "otter"), "generate", "-t", "tests", "-o", "otter.zip", "--no-environment"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "otter.zip"


def main() -> None:
    """Runs both and prints the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=40)
    parser.add_argument("--otter", type=int, default=3)
    parser.add_argument("--cold", type=int, default=5)
    parser.add_argument("--slug", default="attention")
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--numbers", type=int, nargs="+", default=[10, 100, 500])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (scale if options.scale else run)(options, Path(name))
    print(f"machine: {os.cpu_count()} cores, Python {sys.version.split()[0]}")


def run(options: argparse.Namespace, folder: Path) -> None:
    """The measurements, in a scratch folder."""
    crowd = copies(options.copies, folder)
    grade = [str(BIN / "autograder"), "grade", "--no-report", options.slug, "--jobs", "1"]
    ours = [measure([*grade, str(crowd), "-o", str(folder / "out")], ROOT)]
    single = shutil.copy(SUBMISSION, folder / "attention.py")
    theirs = []
    archive = otter_zip(options.slug, folder)
    for _ in range(options.otter):
        theirs.append(measure([str(BIN / "otter"), "run", "-a", str(archive), "--no-logo", single], folder))
        print(f"otter run: {theirs[-1][0]:.2f} s wall, {theirs[-1][1]:.2f} s CPU", flush=True)
    wall, cpu = (ours[0][i] / options.copies for i in (0, 1))
    print(
        f"autograder grade: {wall:.3f} s wall, {cpu:.3f} s CPU a submission ({options.copies} copies, one job)"
    )
    otter_wall, otter_cpu = (statistics.median(pair[i] for pair in theirs) for i in (0, 1))
    print(f"ratio: {otter_cpu / cpu:.1f} times less CPU, {otter_wall / wall:.1f} times less wall time")
    outputs = [
        str(folder / f"one{number}") for number in range(options.cold)
    ]  # a new one each: it would resume
    cold = [measure([*grade, single, "-o", output], ROOT)[0] for output in outputs]
    torch = [measure([sys.executable, "-c", "import torch"], folder)[0] for _ in range(options.cold)]
    ratio = statistics.median(cold) / statistics.median(torch)
    print(
        f"one submission, cold: {statistics.median(cold):.2f} s; import torch: {statistics.median(torch):.2f} s; "
        f"ratio {ratio:.2f} (medians of {options.cold})"
    )


def copies(number: int, folder: Path) -> Path:
    """A class of as many copies of one right solution."""
    crowd = folder / f"class{number}"
    crowd.mkdir()
    for place in range(number):
        shutil.copy(SUBMISSION, crowd / f"copy{place:03}.py")
    return crowd


def scale(options: argparse.Namespace, folder: Path) -> None:
    """One job and two for each number of submissions; then two Dask workers for the largest."""
    for number in options.numbers:
        crowd = copies(number, folder)
        walls = {
            jobs: timed(options, crowd, folder / f"out{number}-{jobs}", "--jobs", str(jobs))
            for jobs in (1, 2)
        }
        print(f"{number} submissions, two jobs against one: {walls[1] / walls[2]:.2f} times", flush=True)
    with dask(folder) as address:
        timed(options, copies(2, folder), folder / "warm", "--scheduler", address)
        wall = timed(options, crowd, folder / "dask", "--scheduler", address)
    print(f"{number} submissions, two Dask workers against two jobs: {wall / walls[2]:.2f} times the time")


def timed(options: argparse.Namespace, crowd: Path, output: Path, *how: str) -> float:
    """Wall seconds of one class, printed as submissions a minute."""
    command = [
        str(BIN / "autograder"),
        "grade",
        "--no-report",
        options.slug,
        str(crowd),
        "-o",
        str(output),
        *how,
    ]
    wall, cpu = measure(command, ROOT)
    number = len(list(crowd.iterdir()))
    print(
        f"{number} submissions, {' '.join(how)}: {60 * number / wall:.0f} a minute ({wall:.1f} s, {cpu:.1f} s CPU here)"
    )
    return wall


@contextlib.contextmanager
def dask(folder: Path) -> Iterator[str]:
    """A scheduler and two workers on this machine; the scheduler's address."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": ROOT}
    command = [str(BIN / "dask"), "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with contextlib.ExitStack() as stack:
        started = [subprocess.Popen([*command, "--scheduler-file", str(file)], **quiet)]
        stack.callback(lambda: [process.terminate() or process.wait() for process in reversed(started)])
        while not file.exists():
            time.sleep(0.1)
        address = str(json.loads(file.read_text(encoding="utf-8"))["address"])
        command = [
            str(BIN / "dask"),
            "worker",
            address,
            "--nworkers",
            "2",
            "--nthreads",
            "1",
            "--no-dashboard",
        ]
        started.append(subprocess.Popen([*command, "--local-directory", str(folder)], **quiet))
        yield address


if __name__ == "__main__":
    main()
