"""The reference, graded again under other seeds and another hash seed: its verdict changes only as often as is stated.

A run varies what `other_numbers` varies, and what the reference itself draws from seeds that it is given: a student's
code may draw in another order, so what a training from seed 0 comes to must not hang on that seed.
"""

from __future__ import annotations

from typing import Any

from autograder import fixtures, suite
from autograder.assignment import Assignment
from autograder.sandbox.launch import launch
from autograder.seeds import other_numbers, varied
from autograder.suite import Outcome
from autograder.validate.bench import Bench
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.rates import describe, stated_rate, too_many
from autograder.validate.submissions import reference, script

CHUNK = 5  # seeds to a piece: each piece starts an interpreter with a hash seed of its own, 2 s
# Run before the reference's cells: the same numbers as in the judge's process for the same seed, which are others.
_PREFIX = """
import torch

class _Varied(torch.Generator):
    def manual_seed(self, seed):
        return super().manual_seed((seed + {step}) % 2**63)

_manual_seed = torch.manual_seed
torch.Generator = _Varied
torch.manual_seed = lambda seed: _manual_seed((seed + {step}) % 2**63)
"""


class Flakiness(Examination):
    """Other random numbers."""

    name = "flakiness"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """Some seeds each; none without `--seeds`."""
        firsts = range(1, options.seeds + 1, CHUNK)
        return [f"{first}-{min(first + CHUNK - 1, options.seeds)}" for first in firsts]

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Grades the reference under each seed: the cases that did not pass, and how often; all cases, with rates."""
        first, last = map(int, piece.split("-"))
        failed: dict[str, list[str]] = {}
        with Bench(launch(hash_seed=str(first))) as own:
            for run in range(first, last + 1):
                with other_numbers(run):
                    for case, text in failures(own, assignment, f"seed {run}"):
                        failed.setdefault(case, []).append(f"seed {run}: {text}")
        return {"runs": last - first + 1, "failed": failed, "rates": rates(assignment)}

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """An error where a test without a rate failed, or one with a rate failed much more often."""
        verdict = Verdict()
        runs = sum(piece["runs"] for piece in found.values())
        for case, rate in next(iter(found.values()))["rates"].items() if found else ():
            texts = [text for piece in found.values() for text in piece["failed"].get(case, [])]
            if texts or rate:
                verdict.data[case] = {"runs": runs, "failures": len(texts), "stated": rate, "texts": texts}
            if texts and (not rate or too_many(len(texts), runs, rate)):
                verdict.error(f"{case}: {describe(len(texts), runs, rate)}. First, {texts[0]}")
            elif texts:
                verdict.note(f"{case}: {describe(len(texts), runs, rate)}")
        stochastic = sum(bool(case["stated"]) for case in verdict.data.values())
        verdict.summary = f"{runs} seeds, {stochastic} with a rate"
        return verdict


def failures(bench: Bench, assignment: Assignment, name: str) -> list[tuple[str, str]]:
    """The cases that the reference does not pass: ("question: case", why)."""
    files = reference(assignment, "py")
    main = f"{assignment.slug}.py"
    files[main] = script([_PREFIX.format(step=varied(0))]) + files[main]
    result = bench.grade(assignment, name, files)
    return [
        (f"{question.name}: {case.name}", case.detail or case.text)
        for question in result.questions
        for case in question.cases
        if case.outcome is not Outcome.PASSED
    ]


def rates(assignment: Assignment) -> dict[str, float]:
    """The rate that each case states, 0 for none, by "question: case"."""
    files = suite.load(assignment, {"elsewhere", *fixtures.load_recipes(assignment)})
    return {
        f"{question}: {case.name}": stated_rate(case.body.test_func)
        for question, file in files.items()
        for case in file.test_cases
    }
