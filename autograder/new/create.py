"""Writes the files of a new assignment: complete, so that whatever is changed can be tried at once."""

from __future__ import annotations

from pathlib import Path

from autograder import kit
from autograder.assignment import SLUG, AssignmentError, load

_FILES = Path(__file__).parent / "files"
# Where each file goes, from the project's root.
_PLACES = {
    "reference.py.txt": "reference/{slug}.py",
    "assignment.toml": "assignments/{slug}/assignment.toml",
    "q1.py.txt": "assignments/{slug}/tests/q1.py",
    "misconceptions.py.txt": "assignments/{slug}/misconceptions.py",
    "einsum.py.txt": "tests/submissions/{slug}/honest/einsum.py",
    "functional.py.txt": "tests/submissions/{slug}/honest/functional.py",
}


def create(slug: str, title: str, root: Path) -> list[Path]:
    """Writes an assignment of one question, and its kit.

    Args:
        slug: its name, as in commands and files.
        title: for people; may be changed later.
        root: the project's folder, with assignments/ and reference/ in it.

    Returns:
        The files that an author edits, in the order in which they are read best.

    Raises:
        AssignmentError: the name cannot be one, or something of that name is there.
    """
    if not SLUG.fullmatch(slug):
        raise AssignmentError(
            f"{slug!r} cannot be an assignment's name: lower-case letters, digits and _ only."
        )
    written = {root / place.format(slug=slug): _FILES / name for name, place in _PLACES.items()}
    if there := [path for path in written if path.exists()]:
        raise AssignmentError(
            f"{there[0].relative_to(root)} is there already: choose another name, or edit that."
        )
    for path, source in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        text = source.read_text(encoding="utf-8").replace("SLUG", slug).replace("TITLE", _quoted(title))
        path.write_text(text, encoding="utf-8")
    kit.write(load(slug, root))
    return list(written)


def _quoted(title: str) -> str:
    """A title that fits into a line of TOML and of markdown."""
    return " ".join(title.replace("\\", " ").replace('"', "'").split())
