"""How often the statistical tests of ising_ddpm fail a right answer: counted, on the reference, with other seeds.

    python benchmarks/false_fail.py --runs 1000 q5 q6 q8
    python benchmarks/false_fail.py --runs 250 --first 0 q2      (in pieces: 0.6 s a run)

Every test file of a question states a rate for all of its statistical tests together. With a rate of 1 in 10,000, a
thousand runs can only say that it is not much larger. So every run is judged twice: with the limits as they are, and
with limits for a rate 500 times as large (5 %), where failures are seen and can be counted. Both are one-sided: fewer
failures than stated are welcome, for discrete distributions and shared limits make tests milder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from autograder import diagnosis, suite
from autograder.assignment import load
from autograder.checks.statistics import binomial_upper

ASSIGNMENT = load("ising_ddpm")
LARGER = 500
# The cases that draw random numbers and compare them with an expected distribution.
CASES = {
    "q2": [
        "energy at three",
        "distribution of the magnetisation",
        "correlations, and",
        "chains are independent",
    ],
    "q5": ["always answers 0", "all times are equally likely", "noise is standard normal"],
    "q6": ["mean and variance of an earlier step", "the noise: its mean"],
    "q7": ["energy and sign of the data"],
    "q8": ["the start, and the generator", "Gaussian data", "spins in a field"],
}


class Names:
    """The reference's names; a call that was made before with the same arguments and generator is not made again."""

    def __init__(self) -> None:
        self._names, self._known = diagnosis.load_reference(ASSIGNMENT), {}

    def get(self, name: str) -> object:
        """The reference's function; the slow one remembers."""
        return self._remembering if name == "metropolis" else self._names[name]

    def forget(self) -> None:
        """Begins a new run."""
        self._known.clear()

    def _remembering(self, spins, temperature, n_sweeps, generator):
        key = (tuple(spins.shape), temperature, n_sweeps, generator.initial_seed())
        if key not in self._known:
            self._known[key] = self._names["metropolis"](spins, temperature, n_sweeps, generator)
        return self._known[key]


def cases_of(question: str) -> list:
    """The statistical cases of a question."""
    file = suite.JudgedTestFile.from_file(str(ASSIGNMENT.test_file(question)))
    found = [case for case in file.test_cases if any(part in case.name for part in CASES[question])]
    assert len(found) == len(CASES[question])
    return found


def shifted(run: int) -> Callable[[int], torch.Generator]:
    """What the test files call `generator`, with other seeds in every run."""
    return lambda seed: torch.Generator().manual_seed(seed + 1000 * (run + 1))


def fails(case, names: Names, run: int, factor: int) -> bool:
    """Whether the case fails in a run, with limits for `factor` times its stated rate."""
    scope = case.body.test_func.__globals__
    before = scope["generator"], scope.get("FALSE_FAIL")
    scope["generator"] = shifted(run)
    if before[1]:
        scope["FALSE_FAIL"] = before[1] * factor
    try:
        suite.call(case, names)
    except AssertionError:
        return True
    finally:
        scope["generator"], scope["FALSE_FAIL"] = before
    return False


def count(question: str, first: int, runs: int) -> dict[int, dict[str, int]]:
    """Failures by factor and case; "any" counts runs in which some case failed."""
    names, cases = Names(), cases_of(question)
    found = {factor: {"any": 0, **{case.name: 0 for case in cases}} for factor in (1, LARGER)}
    for run in range(first, first + runs):
        names.forget()
        for factor, counts in found.items():
            failed = [case.name for case in cases if fails(case, names, run, factor)]
            for name in failed:
                counts[name] += 1
            counts["any"] += bool(failed)
        if (run - first) % 100 == 99:
            print(f"  {question}: {run - first + 1} runs", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", nargs="*", default=list(CASES))
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for question in arguments.questions:
        started = time.perf_counter()
        found = count(question, arguments.first, arguments.runs)
        print(
            f"{question}, {arguments.runs} runs from {arguments.first}, {time.perf_counter() - started:.0f} s"
        )
        for factor, stated in ((1, "0.01 %"), (LARGER, "5 %")):
            for name, failures in found[factor].items():
                upper = 100 * binomial_upper(failures, arguments.runs)
                print(f"  stated {stated} in all: {failures:4} failed, at most {upper:.2f} % (95 %)  {name}")


if __name__ == "__main__":
    main()
