"""What a course chooses when it builds the zip; it travels as `settings.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from autograder.roster.late import LatePolicy

VISIBILITIES = ("hidden", "after_due_date", "after_published", "visible")
MINUTES = 10  # Gradescope's default, up to 40 in the assignment's settings
MEMORY_MB = 768  # of its smallest container
CPUS = 0.5


@dataclass(frozen=True)
class Settings:
    """What a course chose.

    Attributes:
        slug: the assignment's.
        minutes: the time limit set on Gradescope; ours end before it.
        memory_mb: the container's memory, where it can't be read there.
        hidden_visibility: when students see the results of hidden tests.
        daily_limit: submissions that are graded a day; 0: all.
        late: the late policy; None: Gradescope's own, or none.
    """

    slug: str
    minutes: float = MINUTES
    memory_mb: int = MEMORY_MB
    hidden_visibility: str = "after_published"
    daily_limit: int = 0
    late: LatePolicy | None = None

    def as_table(self) -> dict[str, Any]:
        """For JSON."""
        table = asdict(self)
        if self.late and self.late.due:
            table["late"]["due"] = self.late.due.isoformat()
        return table


def read_settings(path: Path) -> Settings:
    """Back from the file."""
    table: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    settings = Settings(**table)
    if table["late"] is None:
        return settings
    late = LatePolicy(**table["late"])
    if isinstance(late.due, str):
        late = replace(late, due=datetime.fromisoformat(late.due))
    return replace(settings, late=late)
