"""A class of five hundred, and `kill -9` at twenty random moments: nothing lost, nothing twice, nothing that grows.

    python -m benchmarks.endurance crowd [--number 500] [--jobs 2]
    python -m benchmarks.endurance kills [--number 40] [--kills 20] [--seed 6]

`crowd` grades a varied class (right, wrong, crashing, looping) and watches: the memory of the process that keeps the
store may differ by 10 % between the 50th and the last submission, and the time for submissions of the same kind must
not grow. `kills` grades another such class again and again, killing the whole process group each time, and compares
the store in the end with that of an undisturbed run. Both end with exit code 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.make_class import write
from tests.stores import comparable

ROOT = Path(__file__).resolve().parents[1]
FLAT = 0.10  # of the parent's memory, between the 50th submission and the last
GROWTH = (
    1.25  # of the CPU time of a submission between the first and the last quarter: noise of a shared machine
)


def start(crowd: Path, output: Path, jobs: int) -> subprocess.Popen[str]:
    """The command, in a process group of its own."""
    command = [sys.executable, "-m", "autograder", "grade", "attention", str(crowd), "-o", str(output)]
    return subprocess.Popen(
        [*command, "--jobs", str(jobs)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def parent_memory(pid: int) -> float:
    """MB that the process with the store holds for itself; it is the first child of the one that was started.

    The kernel shows that to root; to others, what it holds together with the processes that it was forked from.
    """
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    name, wanted = (
        ("smaps_rollup", ("Private_Clean", "Private_Dirty")) if os.getuid() == 0 else ("status", ("RssAnon",))
    )
    lines = Path(f"/proc/{child}/{name}").read_text().splitlines()
    sizes = dict(line.split(":", 1) for line in lines if ":" in line)
    return sum(int(sizes[key].split()[0]) for key in wanted) / 1024


def crowd(options: argparse.Namespace, folder: Path) -> bool:
    """Grades many; whether all are accounted for, memory is flat and nothing gets slower."""
    write(folder / "class", options.number)
    process, memory, started = start(folder / "class", folder / "out", options.jobs), {}, time.monotonic()
    assert process.stderr is not None
    for line in process.stderr:
        count = line.split("/")[0].strip()
        if count.isdigit() and int(count) % 50 == 0 and int(count) < options.number:
            memory[int(count)] = parent_memory(process.pid)
            print(f"{count}: {memory[int(count)]:.1f} MB, {time.monotonic() - started:.0f} s", flush=True)
    process.wait()
    wall = time.monotonic() - started
    with open(folder / "out" / "grades.csv", newline="", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    sizes = list(memory.values())
    change = max(sizes) / min(sizes) - 1
    quarters = _seconds_by_quarter(rows)
    statuses = {
        status: sum(row["status"] == status for row in rows) for status in ("graded", "failed", "error")
    }
    print(
        f"{len(rows)} rows, {statuses}; {wall:.0f} s, {60 * len(rows) / wall:.0f} a minute with {options.jobs} jobs"
    )
    print(f"memory of the parent: {min(sizes):.1f} to {max(sizes):.1f} MB, {100 * change:.1f} % apart")
    print(
        f"median seconds of right answers, by quarter of the class: {', '.join(f'{q:.3f}' for q in quarters)}"
    )
    complete = len(rows) == options.number == len(list((folder / "out" / "results").iterdir()))
    return complete and not statuses["error"] and change <= FLAT and quarters[-1] <= GROWTH * quarters[0]


def _seconds_by_quarter(rows: list[dict[str, str]]) -> list[float]:
    """Of those with full marks, which all do about the same work; the class is graded in the order of its names."""
    right = [float(row["seconds"]) for row in rows if row["score"] == row["possible"]]
    size = len(right) // 4
    return [statistics.median(right[place * size : (place + 1) * size]) for place in range(4)]


def kills(options: argparse.Namespace, folder: Path) -> bool:
    """Kills again and again; whether the store is the same in the end as that of a run that nobody disturbed."""
    write(folder / "class", options.number)
    process, started = start(folder / "class", folder / "whole", options.jobs), time.monotonic()
    assert process.stderr is not None
    process.stderr.readline()
    first = time.monotonic() - started
    process.communicate()
    wall = time.monotonic() - started
    print(f"undisturbed: {wall:.0f} s, the first result after {first:.1f} s", flush=True)
    moments = random.Random(options.seed)
    for number in range(options.kills):
        process = start(folder / "class", folder / "out", options.jobs)
        if number % 4:  # while it grades; every fourth one while it starts
            seconds, since = moments.uniform(0, (wall - first) / 6), "its first result"
            _wait_for_a_result(process)
        else:
            seconds, since = moments.uniform(0, first), "its start"
        try:
            process.wait(seconds)
            print(f"run {number + 1} was complete before its kill", flush=True)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            print(
                f"kill {number + 1}, {seconds:.1f} s after {since}: {_stored(folder / 'out')} stored",
                flush=True,
            )
    process = start(folder / "class", folder / "out", options.jobs)
    print(process.communicate()[1].splitlines()[0])
    same = comparable(folder / "out") == comparable(folder / "whole")
    print("the store is that of an undisturbed run" if same else "the stores DIFFER")
    return same


def _wait_for_a_result(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.split("/")[0].strip().isdigit():
            return


def _stored(output: Path) -> int:
    return len(comparable(output)["submissions"]) if (output / "grades.sqlite").exists() else 0


def main() -> None:
    """Runs one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["crowd", "kills"])
    parser.add_argument("--number", type=int)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args()
    options.number = options.number or {"crowd": 500, "kills": 40}[options.what]
    with tempfile.TemporaryDirectory() as name:
        well = {"crowd": crowd, "kills": kills}[options.what](options, Path(name))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
