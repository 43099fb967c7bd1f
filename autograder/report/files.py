"""The output folder: `results/<submission>.json` as each submission is done, `grades.csv` over all of them.

Every file is written beside its place and moved there, so that whoever reads meanwhile, or after a crash, finds a
whole one.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from autograder.assignment import Assignment
from autograder.grading import Result
from autograder.report import grades, gradescope

MAX_NAME = 240  # bytes: file systems allow 255, and ".json" and the mark of a file being written come on top


class Output:
    """Writes results as they come.

    Args:
        folder: the output folder; made if it does not exist.
        assignment: what was asked.
    """

    def __init__(self, folder: Path, assignment: Assignment) -> None:
        self.folder, self._assignment = folder, assignment
        self._results: list[Result] = []
        (folder / "results").mkdir(parents=True, exist_ok=True)

    @property
    def table(self) -> Path:
        """Where `grades.csv` stands."""
        return self.folder / "grades.csv"

    def add(self, result: Result) -> None:
        """Writes one submission's results and the table so far."""
        self._results.append(result)
        content = json.dumps(gradescope.to_dict(result, self._assignment), indent=2, ensure_ascii=False)
        name = file_name(result.submission)
        write_file(self.folder / "results" / f"{name}.json", content + "\n")
        write_file(self.table, grades.to_csv(self._results, self._assignment))


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
    beside.write_text(text, encoding="utf-8", errors="replace", newline="")
    os.replace(beside, path)
