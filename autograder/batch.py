"""Many submissions, one after the other: progress while it runs, a table at the end, nothing lost on the way."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from autograder import submission
from autograder.assignment import Assignment, load
from autograder.grading import NOT_IMPLEMENTED, Judge, QuestionResult, Result, broken, unreadable
from autograder.report import Output
from autograder.sandbox.host import Sandbox
from autograder.sandbox.launch import Parent, Zygote
from autograder.submission import SubmissionError
from autograder.suite import clean

GRADED, SOME_FAILED, USAGE = 0, 1, 2
PLAIN_WIDTH = 110  # of the table where the output is no terminal


def main(control: socket.socket, slug: str, paths: list[str], folder: str) -> int:
    """What `autograder grade` runs in the judge's process: `launch.become_judge` calls it."""
    return grade_all(load(slug), [Path(path) for path in paths], Path(folder), Parent(control))


def grade_all(assignment: Assignment, paths: Iterable[Path], folder: Path, zygote: Zygote) -> int:
    """Grades what is found under `paths` and writes the output folder.

    Returns:
        0 if all were graded, 1 if some could not be (they are named), 2 if nothing was found.
    """
    torch.set_num_threads(1)  # the judge's own arithmetic is small; the other core belongs to the child
    console = Console(stderr=True, highlight=False)
    try:
        found = submission.find(paths, assignment.slug)
    except SubmissionError as error:
        console.print(str(error), markup=False)
        return USAGE
    output = Output(folder, assignment)
    results: list[Result] = []
    try:
        with Sandbox(zygote) as sandbox, _progress(console) as progress:
            judge = Judge(assignment, sandbox)
            task = progress.add_task("", total=len(found), name="")
            for name, path in found:
                progress.update(task, name=clean(name))
                results.append(_grade_one(judge, assignment, name, path))
                output.add(results[-1])
                progress.advance(task)
                if not console.is_terminal:
                    console.print(_line(results[-1], len(results), len(found)), markup=False)
    except KeyboardInterrupt:
        console.print(
            f"Stopped: {len(results)} of {len(found)} are graded; their results are kept.", markup=False
        )
    _summarise(assignment, results, output)
    undone = [name for name, _ in found[len(results) :]]
    return _report_failures(console, results, undone)


def _grade_one(judge: Judge, assignment: Assignment, name: str, path: Path) -> Result:
    try:
        return judge.grade(submission.read(path, name, assignment))
    except SubmissionError as error:
        return unreadable(name, assignment.possible, str(error))
    except Exception as error:  # whatever happens with one submission, the others are graded
        return broken(name, assignment.possible, error)


def _progress(console: Console) -> Progress:
    return Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[name]}", markup=False),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip


def _line(result: Result, number: int, total: int) -> str:
    return f"{number:4}/{total} {clean(result.submission)}: {result.score:g}/{result.possible:g} ({result.status})"


def _summarise(assignment: Assignment, results: list[Result], output: Output) -> None:
    """The table at the end, on standard output."""
    names = [question.name for question in assignment.questions]
    table = Table(
        "submission", "status", "score", *names, "diagnosis", title=assignment.title, title_justify="left"
    )
    for column in table.columns[2:-1]:
        column.justify = "right"
    for result in results:
        points = {question.name: f"{question.score:g}" for question in result.questions}
        table.add_row(
            clean(result.submission), result.status, f"{result.score:g}", *(points.get(name, "-") for name in names),
            _first_finding(result),
        )  # fmt: skip
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=PLAIN_WIDTH)
    console.print(table)
    console.print(f"Scores: {output.table}\nFeedback: {output.folder / 'results'}/", soft_wrap=True)


def _first_finding(result: Result) -> str:
    """What a TA would want to know first, and how much more there is."""
    if result.status == "failed":
        return "cannot be read"
    found = [f"{q.name}: {finding}" for q in result.questions if (finding := _finding(q))]
    return found[0] + (f" (+{len(found) - 1})" if len(found) > 1 else "") if found else ""


def _finding(question: QuestionResult) -> str:
    if question.policy:
        return "not allowed"
    if question.diagnosis is not None:
        return question.diagnosis.key
    causes = {case.cause: None for case in question.cases}
    for cause in ("timed_out", "died", "exited", "suite", "sandbox", "not_defined"):
        if cause in causes:
            return cause.replace("_", " ")
    return "not implemented" if question.note == NOT_IMPLEMENTED else ""


def _report_failures(console: Console, results: list[Result], undone: list[str]) -> int:
    failed = [result.submission for result in results if result.status != "graded"]
    if failed:
        console.print(f"Could not be graded: {', '.join(map(clean, failed))}", markup=False)
    if undone:
        console.print(f"Not graded: {', '.join(map(clean, undone))}", markup=False)
    return SOME_FAILED if failed or undone else GRADED
