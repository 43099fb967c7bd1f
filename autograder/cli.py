"""The command line: thin, one function a command. Heavy imports stand inside the commands that need them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from autograder import __version__
from autograder.assignment import Assignment, AssignmentError, find_root, load, slugs
from autograder.completion import complete_question, complete_slug
from autograder.sections import Sections, examples

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


@click.group(
    cls=Sections,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "autograder list                                       # what there is",
        "autograder grade attention submissions/ -o out        # grade a folder or an export",
        "autograder grade --explain ada.ipynb --question q3    # why ada lost points",
        "autograder COMMAND --help                             # more, with examples",
    )
    + '\n\nTAB completes commands, slugs and options after: eval "$(_AUTOGRADER_COMPLETE=bash_source autograder)"'
    " (zsh_source, fish_source). Guides: docs/grading.md, docs/authoring.md.",
)
@click.version_option(__version__)
def main() -> None:
    """Grades deep-learning and physics assignments, judging from outside the student's process."""


_SLUG = click.argument("slug", shell_complete=complete_slug)


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


@main.command(epilog=examples("autograder kit attention", "autograder kit          # all of them"))
@click.argument("slug", nargs=-1, shell_complete=complete_slug)
def kit(slug: tuple[str, ...]) -> None:
    """Write the students' kits, student_template/SLUG/.

    They are made from reference/SLUG.py and assignments/SLUG/. Without SLUG: all of them.
    """
    from autograder.kit import write

    for name in slug or slugs():
        click.echo(f"{name}: {write(_load(name))}")


@main.command(
    epilog=examples(
        "autograder grade attention submissions/ -o out",
        "autograder grade attention ada.ipynb bob.zip -o out --jobs 2",
        "autograder grade --explain ada.ipynb --question q3",
        "autograder grade --explain ada.ipynb --question q3 -o out   # as it was graded into out",
    ),
)
@click.argument("slug", required=False, metavar="SLUG", shell_complete=complete_slug)
@click.argument("paths", nargs=-1, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="Output folder.")
@click.option(
    "--explain",
    metavar="SUBMISSION",
    type=click.Path(),
    help="Grade this one alone and show, for staff, each failed test with its calls, what was expected and found, "
    "and which known mistakes were considered.",
)
@click.option(
    "--question",
    metavar="NAME",
    shell_complete=complete_question,
    help="With --explain: this question alone  [default: all that lost points]",
)
@_jobs
def grade(
    slug: str | None,
    paths: tuple[Path, ...],
    output: Path | None,
    explain: str | None,
    question: str | None,
    jobs: int | None,
    scheduler: str | None,
    report: bool,
) -> None:
    """Grade submissions, or explain what one of them earned.

    PATH is a .py, .ipynb or .zip file, a folder of them, or what Gradescope, Canvas or Moodle export.

    Writes OUTPUT/grades.sqlite, OUTPUT/results/<submission>.json and OUTPUT/grades.csv. What OUTPUT has already is kept
    and not run again, unless the submission, a question's tests or the grader changed. Exit code 0: all were graded;
    1: some could not be, and are named; 2: wrong usage.
    """
    if explain is not None:
        _explain(slug, paths, output, explain, question)
    if question is not None:
        raise click.UsageError(
            "--question goes with --explain SUBMISSION; all questions are graded otherwise."
        )
    if slug is None or not paths:
        missing = "SLUG" if slug is None else "PATH..."
        raise click.UsageError(f"Missing argument '{missing}': autograder grade SLUG PATH... -o OUTPUT.")
    if output is None:
        raise click.UsageError("Missing option '-o': the folder for grades and feedback, such as -o out.")
    _load(slug)  # a mistake in the arguments is told at once
    _run(
        "grade",
        {"slug": slug, "paths": [str(path) for path in paths], "folder": str(output), "report": report},
        jobs,
        scheduler,
    )


def _explain(
    slug: str | None, paths: tuple[Path, ...], output: Path | None, what: str, question: str | None
) -> NoReturn:
    if paths:
        raise click.UsageError("--explain takes one submission: autograder grade --explain SUBMISSION.")
    if slug is not None:
        assignment = _load(slug)
        if question is not None:
            _check_question(assignment, question)
    from autograder.sandbox.launch import become_judge

    folder = str(output) if output is not None else None
    become_judge(
        "autograder.explain.command:run",
        {"what": what, "slug": slug, "folder": folder, "question": question},
    )


def _check_question(assignment: Assignment, question: str) -> None:
    try:
        assignment.question(question)
    except AssignmentError as error:
        _stop(str(error))


@main.command(epilog=examples("autograder regrade out"))
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@_jobs
def regrade(output: Path, jobs: int | None, scheduler: str | None, report: bool) -> None:
    """Grade again what a change of the tests touches.

    It does so for everyone in OUTPUT and shows whose score changed. Needs no files but OUTPUT: the submissions are in
    its store.
    """
    _run("regrade", {"folder": str(output), "report": report}, jobs, scheduler)


_ROSTER = click.option(
    "--roster",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The people of the class, CSV.",
)


@main.command(epilog=examples("autograder report out --roster class.csv"))
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@_ROSTER
def report(output: Path, roster: Path | None) -> None:
    """Write the report and the table again, without grading.

    They come with names from the roster, and with the scores of written answers from OUTPUT/written.csv, which the
    first report makes, or from OUTPUT/written.toml.
    """
    from autograder import publish

    sys.exit(publish.report(output, roster, click.echo))


@main.command(
    epilog=examples(
        "autograder export out --roster class.csv --canvas canvas.csv",
        "autograder export out --roster class.csv --late late.toml --moodle moodle.csv",
    )
)
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
    """Write the grades as files that Canvas and Moodle import."""
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


@main.command(
    epilog=examples(
        "autograder gradescope attention -o attention.zip",
        "autograder gradescope attention --try ada.ipynb     # what a student would see there",
    )
)
@_SLUG
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
    """Build the zip for Gradescope, or try it on a submission.

    Exit code 1: the trial found a problem.
    """
    from autograder.gradescope.command import run

    if (output is None) == (tried is None):
        _stop("Give either -o ZIP, to build the zip, or --try PATH, to run it on a submission.")
    sys.exit(run(_load(slug), output, tried, setup, chosen, click.echo))


@main.command(epilog=examples('autograder new layer_norm --title "Layer normalization"'))
@click.argument("slug")
@click.option("--title", default="", help="For people  [default: SLUG in words]")
def new(slug: str, title: str) -> None:
    """Write a small assignment that works, to start from.

    It has one question, public and hidden tests, known mistakes, other right answers and a kit. docs/authoring.md goes
    on from there.
    """
    from autograder.new import create

    try:
        root = find_root()
        written = create(slug, title or slug.replace("_", " ").capitalize(), root)
    except AssignmentError as error:
        _stop(str(error))
    for path in written:
        click.echo(path.relative_to(root))
    click.echo(f"student_template/{slug}/   (generated: autograder kit {slug})")
    click.echo(f"Try it: autograder validate {slug}. How to go on: docs/authoring.md")


@main.command(
    epilog=examples(
        "autograder validate layer_norm",
        "autograder validate --quick       # a sample of everything",
    )
)
@click.argument("slug", nargs=-1, shell_complete=complete_slug)
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
@click.option(
    "--since",
    metavar="COMMIT",
    help="With --quick: in full what changed since COMMIT was left, or since the last change (auto).",
)
@click.option("--again", is_flag=True, help="Do everything again, whatever is known from before.")
@click.option("--jobs", type=click.IntRange(min=1), help="Judges side by side  [default: what fits]")
def validate(slug: tuple[str, ...], only: tuple[str, ...], json_: Path | None, **chosen: Any) -> None:
    """Examine the tests themselves, through the real grader.

    Those of SLUG..., or of all assignments. What is known from before is kept in build/validate and not done again,
    unless what it rests on has changed. Exit code 1: there is something to mend; it is listed below the table.
    """
    from autograder.sandbox.launch import become_judge

    for name in slug:
        _load(name)  # a mistake in the arguments is told at once
    arguments = {"slugs": list(slug) or slugs(), "only": list(only), "json": json_ and str(json_.absolute())}
    become_judge("autograder.validate.command:main", {**arguments, **chosen})


@main.command()
def doctor() -> None:
    """Show how well this machine isolates submissions.

    Each layer is tried; for a missing one it says what that would add. Exit code 1: the layers that must work do not.
    """
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
