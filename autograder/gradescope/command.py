"""`autograder gradescope`: builds the zip, or builds it and tries it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autograder.assignment import Assignment
from autograder.gradescope.build import build
from autograder.gradescope.settings import VISIBILITIES, Settings
from autograder.roster.late import load_policy
from autograder.roster.model import RosterError

DONE, PROBLEMS, USAGE = 0, 1, 2
_NO_INDEX = (
    "setup.sh leaves it to pip's own configuration where torch comes from, and takes a CPU build only. If Gradescope's "
    "has none, give the address that PyTorch's page shows for CPU: --torch-index URL, or AUTOGRADER_TORCH_INDEX."
)


def run(
    assignment: Assignment,
    output: Path | None,
    tried: Path | None,
    setup: bool,
    chosen: Mapping[str, Any],
    say: Callable[[str], object],
) -> int:
    """What the command does; its exit code.

    Args:
        assignment: what the zip is for.
        output: where to write it.
        tried: the submission to try it on instead.
        setup: whether a trial runs setup.sh.
        chosen: the other options.
        say: prints a line.
    """
    try:
        settings = _settings(assignment.slug, chosen)
    except RosterError as error:
        say(str(error))
        return USAGE
    data = build(assignment, settings, chosen["torch_index"])
    if output is not None:
        output.write_bytes(data)
        say(f"{output}: {len(data) / 1e6:.2f} MB")
        if not chosen["torch_index"]:
            say(_NO_INDEX)
        return DONE
    assert tried is not None
    return _try(data, tried, settings, setup)


def _settings(slug: str, chosen: Mapping[str, Any]) -> Settings:
    """The options as settings.

    Raises:
        RosterError: one of them cannot be.
    """
    if chosen["hidden"] not in VISIBILITIES:
        raise RosterError(f"--hidden must be one of {', '.join(VISIBILITIES)}, not {chosen['hidden']!r}.")
    if not 1 <= chosen["minutes"] <= 40:
        raise RosterError("--minutes must be from 1 to 40, which is what Gradescope offers.")
    late = load_policy(chosen["late"]) if chosen["late"] else None
    return Settings(
        slug, chosen["minutes"], chosen["memory_mb"], chosen["hidden"], max(0, chosen["daily_limit"]), late
    )


def _try(data: bytes, tried: Path, settings: Settings, setup: bool) -> int:
    from rich.console import Console

    from autograder.gradescope.emulator import Container, try_zip
    from autograder.gradescope.view import show

    with tempfile.NamedTemporaryFile(suffix=".zip") as archive:
        archive.write(data)
        archive.flush()
        container = Container(settings.minutes, settings.memory_mb)
        trial = try_zip(Path(archive.name), tried, container, setup=setup)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=140)
    show(trial, console)
    return PROBLEMS if trial.problems else DONE
