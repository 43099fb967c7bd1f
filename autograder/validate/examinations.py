"""All examinations, in the order of the table's columns."""

from __future__ import annotations

from autograder.validate.answers import Answers
from autograder.validate.honest import Honest
from autograder.validate.independence import Independence
from autograder.validate.misconceptions import Misconceptions
from autograder.validate.model import Examination

EXAMINATIONS: tuple[Examination, ...] = (Answers(), Misconceptions(), Honest(), Independence())
