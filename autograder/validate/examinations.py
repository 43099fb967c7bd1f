"""All examinations, in the order of the table's columns."""

from __future__ import annotations

from autograder.validate.answers import Answers
from autograder.validate.model import Examination
from autograder.validate.mutation import Mutation

EXAMINATIONS: tuple[Examination, ...] = (Answers(), Mutation())
