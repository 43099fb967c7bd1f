"""How often a test says that it fails a right answer, and whether what was counted agrees with that."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from autograder.checks.statistics import binomial_upper

NAME = "FALSE_FAIL"  # a number at the top of a test file: how often one of its checks fails a right answer
CHECKS = (
    12  # of which one case makes as many at most; the file with the most, q2 of ising_ddpm, has 11 in all
)
UNLIKELY = 0.001  # of so many failures, if the rate were as stated: then it is not


def stated_rate(test: Callable[..., Any]) -> float:
    """The rate that a test function states by using the constant, itself or in what it calls; 0 if it states none."""
    scope = test.__globals__
    return min(1.0, CHECKS * float(scope[NAME])) if NAME in scope and NAME in _names(test, set()) else 0.0


def _names(function: Any, seen: set[str]) -> set[str]:
    """The global names that a function of a test file uses, and those that these use."""
    for name in _used(function.__code__):
        if name not in seen:
            seen.add(name)
            value = function.__globals__.get(name)
            if hasattr(value, "__code__") and value.__globals__ is function.__globals__:
                _names(value, seen)
    return seen


def _used(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _used(constant)


def too_many(failures: int, runs: int, rate: float) -> bool:
    """Whether a test with this rate would hardly ever fail so often."""
    return failures > 0 and _at_least(failures, runs, rate) < UNLIKELY


def _at_least(failures: int, runs: int, rate: float) -> float:
    """The probability of at least so many failures."""
    return sum(math.comb(runs, k) * rate**k * (1 - rate) ** (runs - k) for k in range(failures, runs + 1))


def describe(failures: int, runs: int, rate: float) -> str:
    """What was counted: "2 of 100 failed, at most 6.2 % (95 % confidence); stated: 0.12 % at most"."""
    bound = 100 * binomial_upper(failures, runs)
    stated = f"{100 * rate:.2g} % at most" if rate else "none"
    return f"{failures} of {runs} failed, at most {bound:.3g} % (95 % confidence); stated: {stated}"
