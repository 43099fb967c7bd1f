"""The output folder: `results/<submission>.json` as each submission is done, `grades.csv` over all of them.

Both are views of the store: they can be written again at any time.

Every file is written beside its place and moved there, so that whoever reads meanwhile, or after a crash, finds a
whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from autograder.assignment import Assignment
from autograder.grading import Result
from autograder.report import grades, gradescope
from autograder.report.manual import Written

MAX_NAME = 240  # bytes: file systems allow 255, and ".json" and the mark of a file being written come on top


class Output:
    """Writes results as they come.

    Args:
        folder: the output folder; made if it does not exist.
        assignment: what was asked.
    """

    def __init__(self, folder: Path, assignment: Assignment) -> None:
        self.folder, self._assignment = folder, assignment
        (folder / "results").mkdir(parents=True, exist_ok=True)

    @property
    def table(self) -> Path:
        """Where `grades.csv` stands."""
        return self.folder / "grades.csv"

    def add(self, result: Result) -> None:
        """Writes one submission's results."""
        content = json.dumps(gradescope.to_dict(result, self._assignment), indent=2, ensure_ascii=False)
        write_file(self._place(result.submission), content + "\n")

    def write_table(self, results: Iterable[Result], written: Mapping[str, Written] | None = None) -> None:
        """Writes the table of all submissions, with what a person gave where that is known."""
        write_file(self.table, grades.to_csv(results, self._assignment, written))

    def written_at(self, submission: str) -> float:
        """When a submission's results were written, in seconds since the epoch; 0 if they are not there."""
        try:
            return self._place(submission).stat().st_mtime
        except OSError:
            return 0.0

    def _place(self, submission: str) -> Path:
        return self.folder / "results" / f"{file_name(submission)}.json"


def file_name(submission: str) -> str:
    """The submission's own name; one that leaves no room for ".json" is cut, and a digest keeps it apart."""
    encoded = os.fsencode(submission)
    if len(encoded) <= MAX_NAME:
        return submission
    digest = hashlib.sha256(encoded).hexdigest()[:12]
    return f"{encoded[: MAX_NAME - 13].decode(errors='ignore')}-{digest}"


def write_file(path: Path, text: str) -> None:
    """Writes a file beside its place and moves it there."""
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_text(text, encoding="utf-8", errors="replace", newline="")
        os.replace(beside, path)
    except OSError:  # no half file stays behind where room is short
        beside.unlink(missing_ok=True)
        raise
