"""Which random numbers are drawn: the same in every grading, others only while a suite is examined."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_STEP = 1_000_003  # between two runs; the seeds that tests choose themselves lie below it
_run = 0


def varied(seed: int) -> int:
    """The seed itself; in the run n of an examination the seed that is n steps further."""
    return (seed + _STEP * _run) % 2**63


@contextmanager
def other_numbers(run: int) -> Iterator[None]:
    """Within, everything that is seeded draws other random numbers than in grading.

    Those are the seeds of cases and fixtures, and every `torch.Generator().manual_seed(...)` of test files, so that a
    case that passes thanks to the numbers it happened to draw is found out. Test files need no word for it.

    Args:
        run: 0 changes nothing.
    """
    global _run
    before, plain = _run, torch.Generator
    _run, torch.Generator = run, _Varied  # type: ignore[misc]  # test files look it up when they draw
    try:
        yield
    finally:
        _run, torch.Generator = before, plain  # type: ignore[misc]


class _Varied(torch.Generator):
    """A generator whose seeds are varied."""

    def manual_seed(self, seed: int) -> torch.Generator:
        """Begins the numbers of that seed, in this run."""
        return super().manual_seed(varied(seed))
