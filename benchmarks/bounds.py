"""What a child can do between two looks of the judge's, and to a neighbour: the figures beside `sandbox/watch.py`.

    python -m benchmarks.bounds

On an idle machine; for half a minute nothing else on it gets anywhere.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from autograder.sandbox.watch import CORES_SLACK, EVERY_SECONDS, MAX_THREADS, SHORT_SECONDS, Watch

# Each works for so many seconds in an empty folder and prints how far it came.
WRITES = """
import sys, time
block, end, size = bytes(1 << 20), time.perf_counter() + float(sys.argv[1]), 0
with open("x", "wb", buffering=0) as file:
    while time.perf_counter() < end:
        size += file.write(block)
print(size >> 20)
"""
MAKES_FILES = """
import os, sys, time
end, made = time.perf_counter() + float(sys.argv[1]), 0
while time.perf_counter() < end:
    os.close(os.open(str(made), os.O_CREAT | os.O_WRONLY))
    made += 1
print(made)
"""
STARTS_THREADS = """
import os, sys, threading, time
end, started, done = time.perf_counter() + float(sys.argv[1]), 0, threading.Event()
while time.perf_counter() < end:
    threading.Thread(target=done.wait, daemon=True).start()
    started += 1
print(started, flush=True)
os._exit(0)
"""
# Hashing lets other threads run: all are busy at once.
KEEPS_BUSY = """
import hashlib, sys, threading
block = bytes(1 << 24)
for _ in range(int(sys.argv[1])):
    threading.Thread(target=lambda: [hashlib.sha256(block) for _ in iter(int, 1)], daemon=True).start()
print(flush=True)
threading.Event().wait()
"""
# It has started before the others do; what counts is its own work.
WORKS = """
import time
input()
started, end = time.perf_counter(), time.process_time() + 0.05
while time.process_time() < end:
    pass
print(time.perf_counter() - started)
"""


def reached(program: str, seconds: float) -> int:
    """What a program says it has done in so many seconds."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, str(seconds)]
        return int(subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout)


def look_seconds(looks: int = 1000) -> float:
    """What one look at a child with a few files takes."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b", "c"):
            Path(folder, name).touch()
        watch = Watch(os.getpid(), Path(folder), 1 << 30, 1 << 30)
        started = time.perf_counter()
        for _ in range(looks):
            watch._look_at_files()
            watch._look_at_process()
        return (time.perf_counter() - started) / looks


def neighbour_seconds(threads: int) -> float:
    """What 0.05 s of work takes beside so many busy threads of one process."""
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([sys.executable, "-c", WORKS], **pipes) as neighbour,
        subprocess.Popen([sys.executable, "-c", KEEPS_BUSY, str(threads)], **pipes) as busy,
    ):
        assert busy.stdout is not None
        busy.stdout.readline()
        told, _ = neighbour.communicate("\n")
        busy.kill()
        return float(told)


def main() -> None:
    """Prints all of it."""
    print(f"a look: {look_seconds() * 1e3:.3f} ms")
    for seconds in (EVERY_SECONDS, SHORT_SECONDS):
        print(f"written in {seconds:g} s: {max(reached(WRITES, seconds) for _ in range(5))} MB")
    print(f"files made in {EVERY_SECONDS:g} s: {max(reached(MAKES_FILES, EVERY_SECONDS) for _ in range(5))}")
    print(
        f"threads started in {EVERY_SECONDS:g} s: {max(reached(STARTS_THREADS, EVERY_SECONDS) for _ in range(5))}"
    )
    waited = neighbour_seconds(MAX_THREADS)
    print(f"0.05 s of work beside {MAX_THREADS} busy threads: {waited:.2f} s")
    print(f"(they may use {CORES_SLACK:g} s of processor time beyond one core before they are stopped)")


if __name__ == "__main__":
    main()
