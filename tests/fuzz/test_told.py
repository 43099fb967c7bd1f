"""What a student wrote is text wherever it is told: pages, tables, results files, the terminal."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from autograder import progress, summary
from autograder.assignment import load
from autograder.diagnosis import Diagnosis
from autograder.grading import QuestionResult, Result
from autograder.report import charts, grades, site
from autograder.report.gradescope import to_dict
from autograder.report.manual import Written
from autograder.report.prose import to_html
from autograder.sandbox.session import Usage
from autograder.suite import CaseResult, Outcome, clean

MINI = load("mini", Path(__file__).parents[1] / "data" / "sample")
TOKENS = [
    "<script>", "</script>", "<img src=x onerror=alert(1)>",
    '"', "'", ">", "<", "&lt;", "&#60;", "<!--", "-->", "]]>", "</pre>",
    "</title>", "</style>", "<svg/onload=alert(1)>", "javascript:alert(1)", "[a](javascript:alert(1))",
    "![a](http://x/)", "<http://x>",
    "[a](data:text/html,x)", "[a](http://x \"onload=\")", "{{7*7}}", "{% raw %}", "$x<y$", "$$\\text{<b>}$$",
    "`<b>`", "\\", "\n", "\r",
    "\t", "\0", "\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\u202e", "\u2028", "\ufeff", "\ud800", "=1+1", "@x", "a",
    " ", "#", "|", "%3C",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(TOKENS), max_size=8).map("".join)
# What a terminal acts on.
SCREEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def result(name: str, text: str) -> Result:
    """A result in which every text that a student has a hand in is this one, as the suite passes it on."""
    cases = [
        CaseResult("hand", False, 2, Outcome.PASSED),
        CaseResult("stack", True, 1, Outcome.FAILED, clean(text), "Hint.", clean(text), "raised"),
        CaseResult("empty", True, 1, Outcome.COULD_NOT_TELL, clean(text), "", clean(text), "sandbox"),
    ]
    found = Diagnosis("first_dimension", "Your `softmax` is another one.", "Look.")
    questions = [
        QuestionResult("q1", "Softmax", 2, 4, cases, diagnosis=found),
        QuestionResult("q2", "Gate", 0, 4, cases[:2], text, text),
    ]
    return Result(
        name, "error", questions, 8.0, text, text, Usage(output=text), 1.0, ["limits"], {"loss": 0.5}, [],
        {"w1": text}, [text]
    )  # fmt: skip


def file_named(text: str) -> str:
    """The text as a file may be called."""
    return f"{text.replace('/', '_').replace(chr(0), '_').encode('utf-8', 'replace').decode()}.py"


class Structure(HTMLParser):
    """What a browser makes of a page: its elements with their attributes' names, and what they link to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.links: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Takes down one element."""
        self.elements.append((tag, *(name for name, _ in attributes)))
        self.links += [
            value or "" for name, value in attributes if name in ("href", "src", "action", "formaction")
        ]


def pages(folder: Path, name: str, text: str) -> Iterator[tuple[str, Structure]]:
    """The pages of a class with one ordinary and one such submission."""
    results, given = [result(name, text), result("ada.py", "fine")], Written({"w1": 1.0}, text)
    group = site.Class(MINI, results, {name: text}, {name: given, "ada.py": given}, [(name, None, 2.0)])
    with patch.multiple(charts, distribution=_chart, questions=_chart, misconceptions=_chart):
        site.write(folder, group)
    for path in sorted((folder / "report").rglob("*.html")):
        kind = path.name if path.parent.name == "report" else "student"
        yield kind, Structure(path.read_text(encoding="utf-8"))


def _chart(*_: object) -> tuple[str, str]:
    """Stands for a chart, which is made of numbers and takes matplotlib a while."""
    return "<svg></svg>", "a chart"


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, ...]]]:
    """The elements of each page where all texts are one harmless word."""
    return {kind: made.elements for kind, made in pages(tmp_path_factory.mktemp("ordinary"), "bo.py", "x")}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(text=TEXTS)
@example(text="<script>alert(1)</script>")
@example(text="\" autofocus onfocus=alert(1) x=\"' ' onfocus=alert(1)")
def test_no_text_becomes_a_page(text: str, ordinary, tmp_path_factory: pytest.TempPathFactory):
    """Whatever students write, pages have the elements and attributes that they have anyway, and no other links."""
    text = text or "x"
    for kind, made in pages(tmp_path_factory.getbasetemp() / "told", file_named(text), text):
        if kind != "written.html":  # whose text is Markdown, see below
            assert made.elements == ordinary[kind]
        assert [link for link in made.links if not safe(link)] == []


def safe(link: str) -> bool:
    """Whether a link leads to a page of the report, to an address on the web, or holds a picture."""
    return bool(re.match(r"https?://|#|data:image/svg\+xml;base64,|(\.\./)?[\w%.~-]+(/[\w%.~-]+)?$", link))


PROSE = {"p", "em", "strong", "code", "pre", "ul", "ol", "li", "a", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "br",
    "blockquote",
         "table", "thead", "tbody", "tr", "th", "td", "eq", "eqn", "section", "div", "span", "math"}  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(TEXTS)
def test_no_written_answer_becomes_a_page(text: str):
    """Markdown and formulas make the elements of prose and nothing that runs or is fetched."""
    made = Structure(to_html(text))
    for tag, *attributes in made.elements:
        assert tag in PROSE or tag.startswith("m"), tag
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "src", "action")
        ]
    assert [link for link in made.links if not re.match(r"https?://", link)] == []


def test_tables_without_end_are_left_as_text():
    """A table that would be filled up to tens of thousands of cells stays the signs that it is made of."""
    wide = "|" + "a|" * 300 + "\n|" + "-|" * 300 + "\n" + "|\n" * 300
    assert "<table>" not in to_html(wide)
    assert "<table>" in to_html("|a|b|\n|-|-|\n|1|2|\n")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TEXTS)
@example('=HYPERLINK("http://x")')
def test_no_text_runs_in_a_spreadsheet(text: str):
    """A row of the table stays one row, and no cell begins as a formula does."""
    table = grades.to_csv([result(file_named(text), text)], MINI)
    rows = list(csv.reader(io.StringIO(table, newline="")))
    cells = [cell for row in rows for cell in row]
    assert len(rows) == 2
    assert len(rows[0]) == len(rows[1])
    assert [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))] == []
    assert not SCREEN.search(table.replace("\r\n", "\n"))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TEXTS)
def test_no_text_reaches_the_terminal_as_more_than_text(text: str):
    """The lines while a class is graded and the table at the end hold nothing that a terminal acts on."""
    one = result(file_named(text), text)
    console = Console(file=io.StringIO(), highlight=False, markup=False, width=110)
    with patch.object(summary, "_console", lambda: console):
        summary.print_points(MINI, [one, replace(one, status="failed")])
        summary.print_changes(MINI, [summary.Change(one.submission, 1, 2, {"q1": (1, 2)})], 1)
    display = progress.Display(console, 1)
    display.began(one.submission)
    state = display.state()
    display.finished(one)
    assert not SCREEN.search(state + console.file.getvalue())  # type: ignore[attr-defined]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(TEXTS)
def test_any_text_can_be_told_to_gradescope(text: str):
    """The results file is JSON that others can read, and what is shown in it is shown as text."""
    table = to_dict(result(file_named(text), text), MINI)
    assert {test["output_format"] for test in table["tests"]} == {"text"}
    written = json.dumps(table, ensure_ascii=False).encode("utf-8", "replace")
    assert json.loads(written)["max_score"] == 8
