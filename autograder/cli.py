"""The command line: thin, one function a command. Heavy imports stand inside the commands that need them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from autograder import __version__
from autograder.assignment import Assignment, AssignmentError, load, slugs

USAGE = 2  # exit code of wrong usage; 1: some could not be graded; 0: all were


F = TypeVar("F", bound=Callable[..., Any])


def _jobs(command: F) -> F:
    """The options that say where judges run."""
    jobs = click.option(
        "--jobs",
        type=click.IntRange(min=1),
        help="Submissions side by side  [default: what cores and memory allow]",
    )
    scheduler = click.option(
        "--scheduler", metavar="tcp://HOST:PORT", help="Send submissions to this Dask cluster."
    )
    report = click.option("--report/--no-report", default=True, help="Write OUTPUT/report at the end.")
    return jobs(scheduler(report(command)))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Grades deep-learning and physics assignments, judging from outside the student's process."""


@main.command("list")
def list_() -> None:
    """Show the assignments, their questions and points."""
    for slug in slugs():
        assignment = _load(slug)
        written = sum(question.points for question in assignment.written)
        click.echo(f"{slug}: {assignment.title} ({assignment.possible:g} points, {written:g} more by hand)")
        for question in assignment.questions:
            click.echo(
                f"  {question.name:4} {question.points:4g}  {question.title} ({', '.join(question.defines)})"
            )
        for text in assignment.written:
            click.echo(f"  {text.name:4} {text.points:4g}  {text.title} (written)")


@main.command()
@click.argument("slug", nargs=-1)
def kit(slug: tuple[str, ...]) -> None:
    """Regenerate student_template/ for SLUG..., or for all assignments."""
    from autograder.kit import write

    for name in slug or slugs():
        click.echo(f"{name}: {write(_load(name))}")


@main.command()
@click.argument("slug")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="Output folder."
)
@_jobs
def grade(
    slug: str, paths: tuple[Path, ...], output: Path, jobs: int | None, scheduler: str | None, report: bool
) -> None:
    """Grade submissions to SLUG: .py, .ipynb and .zip files, and folders of them.

    Writes OUTPUT/grades.sqlite, OUTPUT/results/<submission>.json and OUTPUT/grades.csv. What OUTPUT has already is kept
    and not run again, unless the submission, a question's tests or the grader changed. Exit code 1: some could not be
    graded.
    """
    _load(slug)  # a mistake in the arguments is told at once
    _run(
        "grade",
        {"slug": slug, "paths": [str(path) for path in paths], "folder": str(output), "report": report},
        jobs,
        scheduler,
    )


@main.command()
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@_jobs
def regrade(output: Path, jobs: int | None, scheduler: str | None, report: bool) -> None:
    """Grade again what a changed suite touches in OUTPUT, for everyone, and show whose score changed.

    Needs no files but OUTPUT: the submissions are in its store.
    """
    _run("regrade", {"folder": str(output), "report": report}, jobs, scheduler)


_ROSTER = click.option(
    "--roster",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The people of the class, CSV.",
)


@main.command()
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@_ROSTER
def report(output: Path, roster: Path | None) -> None:
    """Write OUTPUT/report and OUTPUT/grades.csv again, without grading: with names, and with written scores.

    Scores of written answers stand in OUTPUT/written.csv, which the first report makes, or in OUTPUT/written.toml.
    """
    from autograder import publish

    sys.exit(publish.report(output, roster, click.echo))


@main.command()
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@_ROSTER
@click.option("--late", type=click.Path(path_type=Path, exists=True), help="The late policy, a TOML file.")
@click.option("--canvas", type=click.Path(path_type=Path, dir_okay=False), help="Write a file for Canvas.")
@click.option("--moodle", type=click.Path(path_type=Path, dir_okay=False), help="Write a file for Moodle.")
@click.option(
    "--column", default="", help='Canvas: the column, such as "Attention (12345)"  [default: the title]'
)
def export(
    output: Path,
    roster: Path | None,
    late: Path | None,
    canvas: Path | None,
    moodle: Path | None,
    column: str,
) -> None:
    """Write the grades in OUTPUT as files that Canvas and Moodle import."""
    from autograder import publish

    if canvas is None and moodle is None:
        _stop("Say what to write: --canvas FILE, --moodle FILE or both.")
    sys.exit(publish.export(output, roster, late, canvas, moodle, column, click.echo))


def _run(what: str, arguments: dict[str, Any], jobs: int | None, scheduler: str | None) -> None:
    if scheduler is not None:
        try:
            cluster = importlib.import_module("autograder.cluster")
        except ImportError as error:
            _stop(f"--scheduler needs the extra for clusters, pip install 'autograder[cluster]': {error}.")
        sys.exit(getattr(cluster, what)(scheduler, **arguments))
    from autograder.sandbox.launch import become_judge

    become_judge(f"autograder.batch:{what}", {**arguments, "jobs": jobs})


@main.command()
@click.argument("slug")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="The zip to write.")
@click.option(
    "--try", "tried", type=click.Path(path_type=Path, exists=True), help="A submission to try the zip on."
)
@click.option("--setup", is_flag=True, help="With --try: run setup.sh too (downloads torch).")
@click.option(
    "--torch-index", envvar="AUTOGRADER_TORCH_INDEX", default="", help="Where pip finds CPU builds of torch."
)
@click.option("--minutes", default=10.0, show_default=True, help="The time limit set on Gradescope.")
@click.option("--memory-mb", default=768, show_default=True, help="The container's memory set on Gradescope.")
@click.option(
    "--hidden", default="after_published", show_default=True, help="Visibility of the hidden tests."
)
@click.option("--daily-limit", default=0, help="Submissions that are graded a day; 0: all.")
@click.option("--late", type=click.Path(path_type=Path, exists=True), help="The late policy, a TOML file.")
def gradescope(slug: str, output: Path | None, tried: Path | None, setup: bool, **chosen: Any) -> None:
    """Build the zip for Gradescope, or try it on a submission as Gradescope would.

    Exit code 1: the trial found a problem.
    """
    from autograder.gradescope.command import run

    if (output is None) == (tried is None):
        _stop("Give either -o ZIP, to build the zip, or --try PATH, to run it on a submission.")
    sys.exit(run(_load(slug), output, tried, setup, chosen, click.echo))


@main.command()
@click.argument("slug", nargs=-1)
@click.option("--seeds", type=click.IntRange(min=0), default=0, help="Run each suite under so many seeds.")
@click.option(
    "--json", "json_", type=click.Path(path_type=Path, dir_okay=False), help="Write everything here."
)
@click.option(
    "--only", multiple=True, metavar="NAME", help="This examination alone; may be said several times."
)
@click.option(
    "--quick", is_flag=True, help="A sample of each examination: what is worth its time on every change."
)
@click.option("--again", is_flag=True, help="Do everything again, whatever is known from before.")
@click.option("--jobs", type=click.IntRange(min=1), help="Judges side by side  [default: what fits]")
def validate(slug: tuple[str, ...], only: tuple[str, ...], json_: Path | None, **chosen: Any) -> None:
    """Examine the suites of SLUG..., or of all assignments, through the real grader.

    What is known from before is kept in build/validate and not done again, unless what it rests on has changed.
    Exit code 1: there is something to mend; it is listed below the table.
    """
    from autograder.sandbox.launch import become_judge

    for name in slug:
        _load(name)  # a mistake in the arguments is told at once
    arguments = {"slugs": list(slug) or slugs(), "only": list(only), "json": json_ and str(json_.absolute())}
    become_judge("autograder.validate.command:main", {**arguments, **chosen})


@main.command()
def doctor() -> None:
    """Show which layers of isolation work on this machine, and what the missing ones would add."""
    from autograder.sandbox.doctor import examine

    sys.exit(0 if examine(click.echo) else 1)


def _load(slug: str) -> Assignment:
    try:
        return load(slug)
    except AssignmentError as error:
        _stop(str(error))


def _stop(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(USAGE)
