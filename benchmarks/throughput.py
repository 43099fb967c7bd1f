"""How much faster than `otter run`: CPU seconds and wall seconds per submission, both measured in one run.

    python benchmarks/throughput.py [--copies 40] [--otter 3] [--slug attention]

The same plain script is graded in COPIES copies by one `autograder grade` (its start-up included, one job) and a few
times by `otter run` with a zip that Otter generates from the same test files. CPU seconds count all child processes.
Also printed: one single submission from a cold start, beside `python -c "import torch"`.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run(options, Path(name))


def run(options: argparse.Namespace, folder: Path) -> None:
    """The measurements, in a scratch folder."""
    crowd = folder / "class"
    crowd.mkdir()
    for number in range(options.copies):
        shutil.copy(SUBMISSION, crowd / f"copy{number:03}.py")
    grade = [str(BIN / "autograder"), "grade", options.slug]
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
    cold = [measure([*grade, single, "-o", str(folder / "one")], ROOT)[0] for _ in range(options.cold)]
    torch = [measure([sys.executable, "-c", "import torch"], folder)[0] for _ in range(options.cold)]
    ratio = statistics.median(cold) / statistics.median(torch)
    print(
        f"one submission, cold: {statistics.median(cold):.2f} s; import torch: {statistics.median(torch):.2f} s; "
        f"ratio {ratio:.2f} (medians of {options.cold})"
    )
    print(f"machine: {os.cpu_count()} cores, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
