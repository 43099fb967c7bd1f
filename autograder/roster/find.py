"""What the command line was given -> submissions with the people behind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from autograder import submission
from autograder.roster import canvas, gradescope, moodle
from autograder.roster.model import Entry


def find(paths: Iterable[Path], slug: str) -> list[Entry]:
    """The submissions at these paths: exports of Gradescope, downloads of Canvas and Moodle, and plain files.

    Args:
        paths: files and folders, as `submission.find` takes them.
        slug: the assignment's.

    Returns:
        Each submission under a name of its own; files that a platform laid side by side are put together.

    Raises:
        SubmissionError: A path is not there, or nothing was found.
        RosterError: An export's metadata cannot be read.
    """
    given = list(dict.fromkeys(paths))
    roots = {path: gradescope.export_root(path) for path in given}
    found = [
        entry for root in dict.fromkeys(filter(None, roots.values())) for entry in gradescope.entries(root)
    ]
    rest = [path for path in given if roots[path] is None]
    if rest or not found:
        found += _recognised(submission.find(rest, slug))
    return list(_named(found))


def _recognised(named: Iterable[tuple[str, Path]]) -> Iterator[Entry]:
    plain: list[Entry] = []
    of_canvas: list[canvas.Upload] = []
    of_moodle: list[moodle.Upload] = []
    for name, path in named:
        if (folder := moodle.parse(path)) is not None:
            of_moodle.append(folder)
        elif (upload := canvas.parse(path)) is not None:
            of_canvas.append(upload)
        else:
            plain.append(Entry(name, path))
    yield from plain
    yield from canvas.entries(of_canvas)
    yield from moodle.entries(of_moodle)


def _named(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Each under a name that no other has; case is no difference, for results are files."""
    taken: set[str] = set()
    for entry in entries:
        name, number = entry.name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{entry.name}-{number}"
        taken.add(name.casefold())
        yield replace(entry, name=name)
