"""All examinations, in the order of the table's columns."""

from __future__ import annotations

from autograder.validate.answers import Answers
from autograder.validate.cost import Cost
from autograder.validate.flakiness import Flakiness
from autograder.validate.handouts import Kit
from autograder.validate.honest import Honest
from autograder.validate.independence import Independence
from autograder.validate.misconceptions import Misconceptions
from autograder.validate.model import Examination
from autograder.validate.mutation import Mutation
from autograder.validate.promises import Promises

EXAMINATIONS: tuple[Examination, ...] = (
    Answers(),
    Kit(),
    Misconceptions(),
    Mutation(),
    Honest(),
    Independence(),
    Promises(),
    Flakiness(),
    Cost(),
)
