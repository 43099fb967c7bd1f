"""The look of `autograder --help`: commands under the heading of whoever uses them, and examples as they were typed."""

from __future__ import annotations

import click

from autograder.nearest import meant

SHORT = 66  # characters of a command's first sentence: with its name they fill a line of 80
_SECTIONS = {
    "For teaching assistants": ("grade", "regrade", "report", "export", "doctor"),
    "For instructors": ("list", "kit", "gradescope"),
    "For authors of assignments": ("new", "validate"),
}


class Sections(click.Group):
    """A group whose help lists its commands in sections, and whose errors name the command that was meant."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the sections; a command that is in none of them stands under "More"."""
        placed = {name for names in _SECTIONS.values() for name in names}
        rest = tuple(name for name in self.list_commands(context) if name not in placed)
        for title, names in {**_SECTIONS, "More": rest}.items():
            known = [(name, self.commands[name]) for name in names if name in self.commands]
            if known:
                with formatter.section(title):
                    formatter.write_dl([(name, command.get_short_help_str(SHORT)) for name, command in known])

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command; where there is none of that name, says which one may be meant."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            hint = meant(args[0], self.commands) or "`autograder --help` lists all. "
            context.fail(f"No such command '{args[0]}'. {hint.strip()}")
        return super().resolve_command(context, args)


def examples(*lines: str) -> str:
    """An epilog of commands, one a line, which click leaves as they are."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
