"""What the authors of test files import: comparisons whose messages a beginner can act on, and a count of work."""

from autograder.checks.compare import (
    check_close,
    check_dtype,
    check_equal,
    check_gradients,
    check_int,
    check_parameters,
    check_raises,
    check_shape,
    check_tuple,
    check_unchanged,
)
from autograder.checks.mistake import Mistake
from autograder.checks.slopes import check_slopes
from autograder.work import Work

__all__ = [
    "Mistake",
    "Work",
    "check_close",
    "check_dtype",
    "check_equal",
    "check_gradients",
    "check_int",
    "check_parameters",
    "check_raises",
    "check_shape",
    "check_slopes",
    "check_tuple",
    "check_unchanged",
]
