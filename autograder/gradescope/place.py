"""The folders on Gradescope, and who may read them: root alone, for the student's code runs as somebody else."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_ROOT = "/autograder"


@dataclass(frozen=True)
class Place:
    """Where things are.

    Args:
        root: `/autograder`, or where an emulator has put it.
    """

    root: Path

    @property
    def source(self) -> Path:
        """The zip's contents."""
        return self.root / "source"

    @property
    def submission(self) -> Path:
        """What the student handed in."""
        return self.root / "submission"

    @property
    def metadata(self) -> Path:
        """What Gradescope says about it; holds earlier results, hidden tests' among them."""
        return self.root / "submission_metadata.json"

    @property
    def results(self) -> Path:
        """What Gradescope reads."""
        return self.root / "results" / "results.json"

    def protect(self) -> list[str]:
        """Takes everybody else's rights off all of it; what could not be protected."""
        failed = []
        for path in (self.source, self.submission, self.results.parent, self.metadata):
            try:
                if path.exists():
                    path.chmod(0o700 if path.is_dir() else 0o600)
            except OSError as error:
                failed.append(f"{path}: {error.strerror}")
        return failed

    def write(self, content: dict[str, Any]) -> None:
        """Writes results.json: beside its place first, so that at every moment there is a whole one."""
        self.results.parent.mkdir(parents=True, exist_ok=True)
        beside = self.results.with_name(".results.json.new")
        beside.write_text(
            json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8", errors="replace"
        )
        os.replace(beside, self.results)


def here() -> Place:
    """The place of this run."""
    return Place(Path(os.environ.get("AUTOGRADER_ROOT", DEFAULT_ROOT)))
