"""Unusual right answers, kept in tests/submissions/SLUG/honest, earn everything.

A file `NAME.py` is one submission; what lies beside it as `NAME.safetensors` or `NAME.ARTIFACT.safetensors` is handed
in with it under the artifact's own name. Where there is none, what is made from artifacts is taken from the reference:
its weights fit no other network, and training each would take a minute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.validate.answers import losses, told
from autograder.validate.bench import Bench
from autograder.validate.digests import folder_digest, graded_digest
from autograder.validate.model import Examination, Options, Verdict
from autograder.validate.submissions import Files


class Honest(Examination):
    """Honest variants."""

    name = "honest"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """One a file; quickly: none, for they are many and slow."""
        return [] if options.quick else [path.stem for path in sorted(folder(assignment).glob("*.py"))]

    def key(self, assignment: Assignment) -> str:
        """The files themselves as well."""
        return graded_digest(assignment, folder_digest(folder(assignment)))

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Grades one."""
        files = variant(assignment, piece)
        return told(bench.grade(assignment, piece, files, trained=len(files) > 1 or not assignment.artifacts))

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """Each has all points."""
        verdict = Verdict(f"{sum(not losses(result) for result in found.values())} of {len(found)}")
        verdict.data = {name: losses(result) for name, result in found.items()}
        for name, lines in verdict.data.items():
            for line in lines:
                verdict.error(f"{name}: {line}")
        return verdict


def folder(assignment: Assignment) -> Path:
    """Where an assignment's honest variants are."""
    return assignment.root / "tests" / "submissions" / assignment.slug / "honest"


def variant(assignment: Assignment, name: str) -> Files:
    """One of them, with its artifacts."""
    source = folder(assignment) / f"{name}.py"
    files = {f"{assignment.slug}.py": source.read_bytes()}
    for artifact in assignment.artifacts:
        for path in (source.with_suffix(".safetensors"), source.with_suffix(f".{artifact.file}")):
            if path.exists():
                files[artifact.file] = path.read_bytes()
    return files
