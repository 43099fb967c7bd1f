"""Which assignments a change touches, as git tells: those are worth the full examination."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

from rich.console import Console

from autograder.assignment import slugs

AUTO = "auto"
MAIN = "origin/main"  # what a branch goes back to
_FOLDERS = ("assignments", "student_template", "tests/submissions")


def changed(root: Path, since: str, console: Console) -> set[str]:
    """The assignments whose files differ from what they were, those not committed yet included.

    A clone without the history that it takes, or no clone at all, is no error: that is said, and nothing has changed.

    Args:
        root: the project's folder.
        since: a commit, or what leads to one; what counts is where the present one left it. "auto": the main branch, or
            the last commit but one where this is the main branch itself.
        console: for what is said.
    """
    base = _base(root, since)
    paths = _git(root, "diff", "--name-only", base) if base else None
    if paths is None:
        console.print(
            f"What changed since {since} cannot be told here: everything is examined quickly.", markup=False
        )
        return set()
    return touched(paths.splitlines(), slugs(root))


def touched(paths: list[str], known: list[str]) -> set[str]:
    """Of these assignments, those that one of the files belongs to."""
    found = set()
    for path in map(PurePosixPath, paths):
        folders = [PurePosixPath(folder) for folder in _FOLDERS if path.is_relative_to(folder)]
        if folders:
            found.add(path.relative_to(folders[0]).parts[0])
        elif path.parts[0] == "reference":
            found.add(path.name.split(".")[0])
    return found & set(known)


def _base(root: Path, since: str) -> str | None:
    """The commit to compare with."""
    if since != AUTO:
        return _git(root, "merge-base", since, "HEAD")
    here, base = _git(root, "rev-parse", "HEAD"), _git(root, "merge-base", MAIN, "HEAD")
    return base if base and base != here else _git(root, "rev-parse", "--verify", "--quiet", "HEAD~1")


def _git(root: Path, *arguments: str) -> str | None:
    """What git says, or None if it cannot."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
