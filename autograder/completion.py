"""What the shell completes after a TAB: slugs and questions. click makes the scripts and completes the rest.

Standard library and click only: this runs at each TAB.
"""

from __future__ import annotations

import click

from autograder.assignment import AssignmentError, load, slugs


def complete_slug(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The assignments that begin so; none outside a project."""
    try:
        return [slug for slug in slugs() if slug.startswith(begun)]
    except AssignmentError:
        return []


def complete_question(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """The questions of the assignment that was named before; of all, where none was."""
    try:
        named = context.params.get("slug")
        questions = [q.name for slug in ([named] if named else slugs()) for q in load(slug).questions]
    except AssignmentError:
        return []
    return [name for name in dict.fromkeys(questions) if name.startswith(begun)]
