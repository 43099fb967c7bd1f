"""What a piece of an examination has read, as a digest."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from pathlib import Path

from autograder.assignment import Assignment
from autograder.identity import PACKAGE, Identity, identify


def graded_digest(assignment: Assignment, *more: str) -> str:
    """For what is graded here: the suite, the reference, the misconceptions, the grader and the examinations.

    Texts and comments do not count, as in `identity`.

    Args:
        assignment: whose.
        more: what else was read, such as digests of files.
    """
    identity = _identity(assignment)
    data = [content_digest(assignment.reference.with_name(name)) for name in assignment.files]
    return _digest([*identity.questions.values(), identity.beside, *data, _examinations(), *more])


def text_digest(assignment: Assignment, *more: str) -> str:
    """For what reads texts: every byte of the assignment's own files and its kit, the grader and the examinations."""
    folders = (assignment.folder, assignment.template)
    beside = assignment.reference.parent.glob(f"{assignment.slug}.*")
    data = [assignment.reference.with_name(name) for name in assignment.files]
    files = [*beside, *data, *(path for folder in folders for path in folder.rglob("*"))]
    return _digest(
        [_identity(assignment).grader, _examinations(), *map(content_digest, sorted(set(files))), *more]
    )


def folder_digest(folder: Path) -> str:
    """Of all files in a folder; of nothing where there is none."""
    return _digest(map(content_digest, sorted(folder.rglob("*"))))


def content_digest(path: Path) -> str:
    """Of one file and its name; caches and folders count for nothing."""
    if not path.is_file() or "__pycache__" in path.parts:
        return ""
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


@functools.cache
def _identity(assignment: Assignment) -> Identity:
    """Once for all examinations of a run: it takes 0.1 s."""
    return identify(assignment)


@functools.cache
def _examinations() -> str:
    """This package, and what builds kits: the grader's version leaves them out."""
    files = [path for name in ("validate", "kit") for path in sorted((PACKAGE / name).rglob("*.py"))]
    return _digest(map(content_digest, files))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(part for part in parts if part).encode()).hexdigest()[:24]
