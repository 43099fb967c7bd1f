"""Reads what a student handed in, without running or trusting a byte of it.

model    what a submission is, and the one error that reading it can raise
cells    notebook or script -> code cells
bundle   zip archive or folder -> files, bounded
find     what the command line was given -> submissions
read     all of it together
archive  a read submission as bytes, to keep it or to send it
written  what a student wrote in words
"""

from autograder.submission.archive import fingerprint, pack, unpack
from autograder.submission.find import find
from autograder.submission.model import Cell, Submission, SubmissionError
from autograder.submission.read import read
from autograder.submission.written import answers

__all__ = [
    "Cell",
    "Submission",
    "SubmissionError",
    "answers",
    "find",
    "fingerprint",
    "pack",
    "read",
    "unpack",
]
