"""A million hostile frames: plain data or a documented error, every time, in bounded memory.

    python -m benchmarks.fuzz [--frames 1000000] [--seed 9]
    python -m benchmarks.fuzz --only NUMBER [--seed 9]      one batch again, with its traceback

Each batch goes one of two ways: to the codec by itself, or to all that stands behind it in the judge (names, calls, two
derivatives, modules), where several frames answer one test. A batch is made from the seed and its number alone.
Exit code 1: something else was raised, a batch took too long, or the process grew.
"""

from __future__ import annotations

import argparse
import collections
import random
import resource
import sys
import time
from dataclasses import dataclass, field

from tests.fuzz import peer
from tests.fuzz.frames import hostile

CODEC_SHARE = 0.7  # of the batches; they hold one frame, the others two or three
MAX_SECONDS = 5.0  # for one batch: the slowest of a million took 1.7 s on a machine shared by nine
MAX_MEGABYTES = 400  # with torch it begins at 230 and came to 296 after a million
PROGRESS = 50_000  # frames between two lines


@dataclass
class Tally:
    """What came of the batches."""

    frames: int = 0
    ends: collections.Counter[str] = field(default_factory=collections.Counter)
    wrong: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)


def run_batch(seed: int, number: int) -> tuple[int, str]:
    """How many frames it held, and how it ended."""
    choose = random.Random(f"{seed}/{number}")
    if choose.random() < CODEC_SHARE:
        return 1, "codec: " + peer.decoded(hostile(choose))
    count = choose.randint(1, 4)
    data = b"".join(hostile(choose) for _ in range(count))
    return count, "judge: " + peer.judged(data, choose)


def run(seed: int, frames: int) -> Tally:
    """Runs batches until so many frames were seen."""
    tally, number, started, told = Tally(), 0, time.monotonic(), 0
    while tally.frames < frames:
        _add(tally, seed, number)
        number += 1
        if tally.frames - told >= PROGRESS:
            told = tally.frames
            rate = tally.frames / (time.monotonic() - started)
            wrong = len(tally.wrong)
            print(f"{tally.frames:9,} frames, {rate:,.0f}/s, {megabytes():.0f} MB, {wrong} wrong", flush=True)
    return tally


def _add(tally: Tally, seed: int, number: int) -> None:
    before = time.monotonic()
    try:
        count, end = run_batch(seed, number)
    except Exception as error:  # exactly what must not happen
        count, end = 1, f"WRONG: {type(error).__name__}"
        tally.wrong.append(f"batch {number}: {type(error).__name__}: {error}")
    tally.frames += count
    tally.ends[end] += 1
    tally.slowest = max(tally.slowest, (time.monotonic() - before, number))


def megabytes() -> float:
    """The most memory that this process ever held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--only", type=int, metavar="NUMBER")
    options = parser.parse_args()
    if options.only is not None:
        print(run_batch(options.seed, options.only))
        return 0
    print(f"seed {options.seed}", flush=True)
    started = time.monotonic()
    tally = run(options.seed, options.frames)
    seconds, slowest = time.monotonic() - started, tally.slowest
    print(
        f"{tally.frames:,} frames in {seconds:.0f} s: {tally.frames / seconds:,.0f}/s; memory {megabytes():.0f} MB"
    )
    print(f"slowest batch: {slowest[0]:.2f} s (number {slowest[1]})")
    for end, count in sorted(tally.ends.items()):
        print(f"  {end:24} {count:9,}")
    print("\n".join(tally.wrong[:20]))
    return int(bool(tally.wrong) or slowest[0] > MAX_SECONDS or megabytes() > MAX_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
