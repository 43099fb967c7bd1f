"""Reads what a student handed in, without running or trusting a byte of it.

model    what a submission is, and the one error that reading it can raise
cells    notebook or script -> code cells
bundle   zip archive or folder -> files, bounded
find     what the command line was given -> submissions
read     all of it together
written  what a student wrote in words
"""

from autograder.submission.find import find
from autograder.submission.model import Cell, Submission, SubmissionError
from autograder.submission.read import read, read_files
from autograder.submission.written import answers

__all__ = ["Cell", "Submission", "SubmissionError", "answers", "find", "read", "read_files"]
