"""The student's kit: the reference and the test files, less what is secret.

public_tests   a test file without its hidden cases and what only they use
handout        the reference without its solutions, as a notebook and as a script
texts          the words around them
secrets        what students must not see, and whether it stands in a kit
build          all files of a kit; writing them, and finding out whether those on disk are stale
"""

from autograder.kit.build import build, stale, write
from autograder.kit.handout import stub_source
from autograder.kit.public_tests import public_tests

__all__ = ["build", "public_tests", "stale", "stub_source", "write"]
