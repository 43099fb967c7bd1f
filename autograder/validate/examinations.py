"""All examinations, in the order of the table's columns."""

from __future__ import annotations

from autograder.validate.answers import Answers
from autograder.validate.model import Examination

EXAMINATIONS: tuple[Examination, ...] = (Answers(),)
