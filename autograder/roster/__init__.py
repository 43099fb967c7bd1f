"""Whose submission is whose, when it was due, and what goes into the gradebook.

model       a person, a submission with the people behind it, the one error
times       times as platforms and people write them
gradescope  Gradescope's export
canvas      Canvas's download names
moodle      Moodle's folders
find        what the command line was given -> submissions with their people
people      the roster: a CSV file
identify    submissions and roster put together; which of several counts
late        the late policy: one TOML file
gradebook   files that Canvas and Moodle import
kept        all of it as text, beside the grades
"""

from autograder.roster.find import find
from autograder.roster.gradebook import Grade, canvas_csv, grades, moodle_csv
from autograder.roster.identify import identify
from autograder.roster.late import LatePolicy, load_policy
from autograder.roster.model import Entry, Person, RosterError
from autograder.roster.people import Roster, load_roster

__all__ = [
    "Entry",
    "Grade",
    "LatePolicy",
    "Person",
    "Roster",
    "RosterError",
    "canvas_csv",
    "find",
    "grades",
    "identify",
    "load_policy",
    "load_roster",
    "moodle_csv",
]
