"""The static site: a page for each student, one for the class, one for the written answers; opens from disk."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from autograder.assignment import Assignment
from autograder.figures import Artist, Drawing
from autograder.grading import NOT_IMPLEMENTED, Result
from autograder.report import charts, grades
from autograder.report import statistics as of
from autograder.report.files import file_name, write_file
from autograder.report.manual import Written
from autograder.report.prose import to_html

MAX_CASES = 10  # tests on the class page: those that split it most
MAX_GALLERY = 60  # different figures on the class page

Change = tuple[str, float | None, float]  # submission, score before (None: it is new), score now


@dataclass
class Class:
    """All that a report tells about.

    Attributes:
        labels: what to call a submission, such as its author's name; by default its own name.
        written: what a person gave.
        changes: what differs from the last grading.
    """

    assignment: Assignment
    results: Sequence[Result]
    labels: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, Written] = field(default_factory=dict)
    changes: Sequence[Change] = ()

    def total(self, result: Result) -> float:
        """A submission's points, written answers included."""
        return result.score + self.written_of(result).total

    def written_of(self, result: Result) -> Written:
        """What a person gave a submission."""
        return self.written.get(result.submission, Written())

    def label(self, submission: str) -> str:
        """What to call a submission."""
        return self.labels.get(submission, submission)


def write(folder: Path, group: Class) -> Path:
    """Writes `report/` in an output folder, in place of one that is there; returns its first page."""
    report, beside = folder / "report", folder / ".report.new"
    shutil.rmtree(beside, ignore_errors=True)
    for part in ("students", "figures"):
        (beside / part).mkdir(parents=True)
    _Site(beside, group).write()
    shutil.rmtree(report, ignore_errors=True)
    beside.replace(report)
    return report / "index.html"


def page(submission: str) -> str:
    """The link from the class page to a student's."""
    return f"students/{quote(file_name(submission))}.html"


class _Site:
    def __init__(self, folder: Path, group: Class) -> None:
        self._folder, self._class, self._artist = folder, group, Artist(group.assignment)
        self._pages = Environment(
            loader=PackageLoader("autograder.report"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._pages.globals.update(
            style=_own_file("style.css"), script=_own_file("table.js"), assignment=group.assignment, page=page,
            label=group.label, number=lambda value: f"{value:g}", chart=_chart, as_data=_as_data,
            not_implemented=NOT_IMPLEMENTED,
            marks={"passed": "passed", "failed": "FAILED", "could_not_tell": "NOT JUDGED"},
        )  # fmt: skip
        self._gallery: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        group = self._class
        for result in group.results:
            self._student(result)
        if group.assignment.written:
            self._written()
        self._overview()
        write_file(self._folder / "grades.csv", grades.to_csv(group.results, group.assignment, group.written))
        write_file(
            self._folder / "grades.json", json.dumps(list(_records(group)), indent=1, ensure_ascii=False)
        )

    def _render(self, path: str, template: str, **values: Any) -> None:
        write_file(self._folder / path, self._pages.get_template(template).render(**values))

    def _student(self, result: Result) -> None:
        written = self._class.written_of(result)
        awaited = [w.name for w in self._class.assignment.written if w.name not in written.scores]
        drawings = list(self._drawings(result))
        for title, drawing in drawings:
            self._exhibit(title, drawing, result.submission)
        self._render(
            f"students/{file_name(result.submission)}.html", "student.html", result=result, drawings=drawings,
            who=self._class.label(result.submission), total=self._class.total(result), awaited=awaited,
            possible=_possible(self._class.assignment), written=written,
        )  # fmt: skip

    def _drawings(self, result: Result) -> Iterator[tuple[str, Drawing]]:
        for figure in result.figures:
            with suppress(Exception):  # a figure is a courtesy
                yield figure.title, self._artist.draw(figure)

    def _exhibit(self, title: str, drawing: Drawing, submission: str) -> None:
        """Puts a figure into the gallery, once for all who made the same."""
        key = hashlib.sha256(drawing.svg.encode()).hexdigest()[:16]
        if key not in self._gallery:
            file = f"figures/{key}.svg"
            write_file(self._folder / file, drawing.svg)
            self._gallery[key] = {"file": file, "alt": drawing.alt, "title": title, "who": []}
        self._gallery[key]["who"].append(submission)

    def _overview(self) -> None:
        group = self._class
        results = group.results
        questions, mistakes = of.of_questions(group.assignment, results), of.misconceptions(results)
        totals = [group.total(result) for result in results]
        possible = _possible(group.assignment)
        statuses = [result.status for result in results]
        self._render(
            "index.html", "class.html", results=results, rows=list(_rows(group)), possible=possible,
            counts={status: statuses.count(status) for status in ("graded", "failed", "error")},
            mean=statistics.fmean(totals) if totals else 0.0,
            undecided=[result for result in results if result.status == "error"],
            unread=[result for result in results if result.status == "failed"],
            questions=questions, cases=[case for case in of.of_cases(results) if case.split > 0][:MAX_CASES],
            mistakes=mistakes, policies=of.policies(results), endings=of.endings(results),
            traces=of.traces(results), changes=group.changes,
            gallery=sorted(self._gallery.values(), key=lambda item: -len(item["who"]))[:MAX_GALLERY],
            charts={
                "distribution": charts.distribution(totals, possible) if totals else None,
                "questions": charts.questions(questions) if questions else None,
                "mistakes": charts.misconceptions(mistakes) if mistakes else None,
            },
        )  # fmt: skip

    def _written(self) -> None:
        group = self._class
        entries = [
            (result.submission, {"answers": result.written, "scores": group.written_of(result).scores})
            for result in group.results
        ]
        rubric = to_html(group.assignment.rubric.read_text(encoding="utf-8"))
        self._render("written.html", "written.html", entries=entries, rubric=rubric, prose=to_html)


def _own_file(name: str) -> Markup:
    return Markup((Path(__file__).parent / "templates" / name).read_text(encoding="utf-8"))


def _possible(assignment: Assignment) -> float:
    return assignment.possible + sum(question.points for question in assignment.written)


def _rows(group: Class) -> Iterator[dict[str, Any]]:
    for result in sorted(group.results, key=lambda result: group.label(result.submission).casefold()):
        points = {question.name: question.score for question in result.questions}
        found = [f"{q.name}: {q.diagnosis.key.replace('_', ' ')}" for q in result.questions if q.diagnosis]
        written = group.written_of(result)
        yield {
            "name": result.submission, "status": result.status, "score": group.total(result),
            "points": [points.get(question.name) for question in group.assignment.questions],
            "written": written.total if written.scores else None, "mistakes": ", ".join(found),
        }  # fmt: skip


def _records(group: Class) -> Iterable[dict[str, Any]]:
    """The rows for machines."""
    for row in _rows(group):
        names = [question.name for question in group.assignment.questions]
        points = dict(zip(names, row.pop("points"), strict=True))
        yield {"submission": row.pop("name"), **row, "questions": points}


def _chart(drawn: tuple[str, str] | None) -> Markup:
    if drawn is None:
        return Markup("")
    svg, alt = drawn
    return Markup('<div class="chart" role="img" aria-label="{}">{}</div>').format(escape(alt), Markup(svg))


def _as_data(drawing: Drawing) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.svg.encode()).decode()
