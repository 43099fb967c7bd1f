"""`autograder grade --explain`: finds the submission and its assignment, grades it once more, and says why."""

from __future__ import annotations

import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import torch

from autograder import roster, submission
from autograder.assignment import Assignment, AssignmentError, load, slugs
from autograder.explain import say
from autograder.explain.witness import Witness
from autograder.grading import QuestionResult
from autograder.identity import grader_version
from autograder.nearest import meant
from autograder.roster import RosterError
from autograder.roster.kept import assembled
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.host import Sandbox
from autograder.sandbox.launch import Parent
from autograder.store import Store, StoreError
from autograder.submission import Submission, SubmissionError
from autograder.suite import clean

EXPLAINED, USAGE = 0, 2


class Unclear(Exception):
    """What was asked for cannot be found; the message says what to give."""


def run(control: socket.socket, what: str, slug: str | None, folder: str | None, question: str | None) -> int:
    """What `autograder grade --explain` runs: `launch.become_judge` calls it.

    Args:
        control: the socket to the fork server that this process is a fork of.
        what: a path, or the name of a submission in `folder`.
        slug: the assignment; None: found out.
        folder: the output folder of an earlier `autograder grade`.
        question: which one; None: all that lost points.
    """
    torch.set_num_threads(1)
    try:
        assignment, found, before = (
            _stored(Path(folder), what, slug) if folder is not None else _at(Path(what), slug)
        )
        asked = {assignment.question(question).name} if question else None
        with Sandbox(Parent(control)) as sandbox:
            for line in _explained(Witness(assignment, sandbox), found, asked, before):
                click.echo(clean(line))
    except (Unclear, AssignmentError, SubmissionError, RosterError, StoreError, SandboxError) as error:
        click.echo(clean(str(error)), err=True)
        return USAGE
    return EXPLAINED


# ------------------------------------------------------------------------------------------------ finding it


def _stored(folder: Path, name: str, slug: str | None) -> tuple[Assignment, Submission, dict[str, float]]:
    """A submission as it was graded into an output folder, and its points there."""
    with Store(folder, None) as store:
        if slug not in (None, store.slug):
            raise Unclear(f"{folder} holds grades of {store.slug}, not of {slug}.")
        known = store.get(name) or store.get(Path(name).name)
        if known is None:
            names = [stored.name for stored in store.all()]
            table = folder / "grades.csv"
            raise Unclear(
                f"{folder} holds no submission {name!r}. {meant(name, names)}{table} has the names."
            )
        if not known.digest:
            (result,) = store.results([known.name])
            raise Unclear(f"{known.name} could not be read, so nothing of it ran: {result.message}")
        (result,) = store.results([known.name])
        points = {question.name: question.score for question in result.questions}
        return load(store.slug), submission.unpack(store.content(known.digest), known.name), points


def _at(path: Path, slug: str | None) -> tuple[Assignment, Submission, dict[str, float]]:
    """The one submission at a path."""
    if not path.exists():
        raise Unclear(
            f"There is no file or folder {path}. With -o OUTPUT, give a name as in OUTPUT/grades.csv."
        )
    assignment = load(slug or _slug_of(path))
    entries = roster.find([path], assignment.slug)
    if len(entries) != 1:
        names = ", ".join(entry.name for entry in entries[:5])
        raise Unclear(f"{path} holds {len(entries)} submissions ({names} ...): give the path of one.")
    with tempfile.TemporaryDirectory() as folder:
        lies = assembled(entries[0], Path(folder))
        return assignment, submission.read(lies, entries[0].name, assignment), {}


def _slug_of(path: Path) -> str:
    """The assignment that a submission answers, by its file's name, else by what it defines."""
    known = slugs()
    if path.stem in known:
        return path.stem
    defined = {slug: _defined(path, slug) for slug in known}
    best = [slug for slug in known if defined[slug] == max(defined.values()) > 0]
    if len(best) != 1:
        raise Unclear(
            f"Which assignment {path.name} answers is not clear: say it, "
            f"autograder grade SLUG --explain {path}. There are: {', '.join(known)}."
        )
    return best[0]


def _defined(path: Path, slug: str) -> int:
    """How many of the names that an assignment asks for a submission defines; 0 for an assignment in the making."""
    with suppress(SubmissionError, AssignmentError):
        assignment = load(slug)
        text = submission.read(path, path.name, assignment).text
        names = {name for question in assignment.questions for name in question.defines}
        return sum(
            bool(re.search(rf"^(?:(?:def|class)\s+{name}\b|{name}\s*=)", text, re.M)) for name in names
        )
    return 0


# --------------------------------------------------------------------------------------------------- saying why


def _explained(
    judge: Witness, found: Submission, asked: set[str] | None, before: dict[str, float]
) -> Iterator[str]:
    result = judge.grade(found, questions=asked, beside=False)
    yield f"{found.name}: {judge.assignment.title} ({judge.assignment.slug})"
    yield f"Graded by autograder {grader_version()}. For staff: this shows hidden tests."
    if result.message:
        yield result.message
    for trace in result.traces:
        yield f"In its text: {trace}"
    questions = [q for q in result.questions if asked or q.score < q.possible]
    if not questions:
        yield "Every question has its full points."
    for question in questions:
        yield ""
        yield from _question(judge, question, before)


def _question(judge: Witness, question: QuestionResult, before: dict[str, float]) -> Iterator[str]:
    yield from say.question(question)
    if question.name in before and abs(before[question.name] - question.score) > 1e-9:
        yield (
            f"  The output folder has {before[question.name]:g} points: it was graded with other tests. "
            "`autograder regrade` brings it up to date."
        )
    found = judge.findings[question.name]
    for case in question.cases:
        yield from say.case(case, judge.place(question.name, case.name), found.calls[case.name])
    if found.mistakes or found.tested:
        named = question.diagnosis.key if question.diagnosis is not None else ""
        yield from say.mistakes(found.mistakes, named, found.tested)
