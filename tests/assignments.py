"""What the tests of every assignment have in common: how a submission is graded, and what must hold for each.

A file tests/test_SLUG.py names its assignment, takes `grade` from `grading`, subclasses `Standard`, and adds what is
particular to it:

    ASSIGNMENT = load("gelu", ROOT)
    grade = grading(ASSIGNMENT)

    class TestGelu(Standard):
        assignment = ASSIGNMENT
        figures = 3
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import jupytext
import nbformat
import pytest
import torch

from autograder import submission, suite
from autograder.assignment import Assignment
from autograder.diagnosis import Misconception, load_misconceptions
from autograder.grading import Judge, Result
from autograder.report import gradescope
from autograder.sandbox.host import Sandbox
from autograder.validate.misconceptions import concerned
from autograder.validate.submissions import mistaken, reference, right_cells, script, stub
from tests.build_submissions import archive

Files = Mapping[str, bytes | str]
ROOT = Path(__file__).parents[1]
NOT_YET = "This question is not implemented yet."


class Graded:
    """What became of a submission.

    Attributes:
        result: what the judge says.
        report: what Gradescope is told.
    """

    def __init__(self, result: Result, assignment: Assignment) -> None:
        self.result = result
        self.report = json.loads(json.dumps(gradescope.to_dict(result, assignment)))
        self._possible = {question.name: question.points for question in assignment.questions}

    @property
    def scores(self) -> dict[str, float]:
        """The points of each question that was judged."""
        return self.report["extra_data"]["questions"]

    @property
    def lost(self) -> dict[str, float]:
        """The scores of the questions that lost points."""
        return {name: score for name, score in self.scores.items() if score < self._possible[name]}

    @property
    def diagnoses(self) -> dict[str, str]:
        """Question -> key of the mistake that was named."""
        return self.report["extra_data"]["diagnoses"]

    def entries(self, question: str = "", visible: bool = False) -> list[str]:
        """What a student reads about a question, or all, entry by entry; `visible`: before grades are published."""
        return [
            entry["output"]
            for entry in self.report["tests"]
            if entry["name"].startswith(f"{question}:" if question else "")
            and (not visible or entry["visibility"] == "visible")
        ]

    def text(self, question: str = "") -> str:
        """The same in one piece."""
        return "\n".join(self.entries(question))

    @property
    def why(self) -> str:
        """What is said about the questions that lost points."""
        return "\n\n".join(f"{question}: {self.text(question)}" for question in self.lost)


@contextmanager
def one_thread() -> Iterator[None]:
    """As the command computes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def grader(judge: Judge, folder: Path) -> Callable[..., Graded]:
    """The function `grade(files, questions=None)`: a file as it is, several in a zip; nothing is graded twice.

    Figures and the leaderboard's numbers are made where all questions are asked.
    """
    known: dict[Any, Graded] = {}

    def grade(files: Files, questions: Collection[str] | None = None) -> Graded:
        asked = (*files.items(), questions and tuple(questions))
        if asked not in known:
            ((name, content),) = files.items() if len(files) == 1 else [("upload.zip", archive(files))]
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            read = submission.read(folder / name, name, judge.assignment)
            result = judge.grade(read, questions=questions, beside=questions is None)
            known[asked] = Graded(result, judge.assignment)
        return known[asked]

    return grade


def grading(assignment: Assignment) -> Any:
    """The fixture `grade` of a file: one judge for all its tests."""

    @pytest.fixture(scope="module", name="grade")
    def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Graded]]:
        with one_thread(), Sandbox() as sandbox:
            yield grader(Judge(assignment, sandbox), tmp_path_factory.mktemp(assignment.slug))

    return fixture


def right_but(assignment: Assignment, code: str) -> Files:
    """The right answers, then some names defined again."""
    files = reference(assignment, "py")
    return {**files, f"{assignment.slug}.py": script([*right_cells(assignment), code])}


def honest(assignment: Assignment) -> list[Path]:
    """Unusual right solutions, each a complete file."""
    return sorted((ROOT / "tests" / "submissions" / assignment.slug / "honest").glob("*.py"))


def executed(folder: Path, assignment: Assignment, source: str, seconds: int) -> list[dict[str, Any]]:
    """Runs a notebook from top to bottom, without an error: what its cells printed and drew.

    Args:
        folder: where; what the notebook reads must be there.
        assignment: whose notebook.
        source: its cells, as a script.
        seconds: how long it may take.
    """
    for name, content in assignment.data().items():
        (folder / name).write_bytes(content)
    nbformat.write(jupytext.reads(source, fmt="py:percent"), folder / "notebook.ipynb")
    command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb"]
    done = subprocess.run(
        [*command, "notebook.ipynb"], cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    cells = nbformat.read(folder / "done.ipynb", as_version=4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def parametrize(
    metafunc: pytest.Metafunc, name: str, values: Iterable[Any], label: Callable[[Any], str]
) -> None:
    """Runs a test that asks for this name with each of the values."""
    if name in metafunc.fixturenames:
        metafunc.parametrize(name, list(values), ids=label)


class Declared:
    """What holds for the files of every assignment, without a judge.

    Attributes:
        assignment: whose.
        figures: how many its notebook draws.
        notebook_seconds: how long the notebook may run; several times what it takes.
    """

    assignment: ClassVar[Assignment]
    figures: ClassVar[int]
    notebook_seconds: ClassVar[int] = 180

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """The parameters of the tests below, by their names."""
        parametrize(metafunc, "question", self.assignment.questions, lambda question: question.name)

    def test_points_and_cases(self, question):
        """The points add up, at least half are hidden, and each case has its own name and a hint."""
        cases = suite.load(self.assignment)[question.name].test_cases
        assert sum(case.points for case in cases) == question.points
        assert sum(case.points for case in cases if case.hidden) >= question.points / 2
        assert 2 <= sum(not case.hidden for case in cases) <= 3
        assert len({case.name for case in cases}) == len(cases)
        for case in cases:  # a network's hidden units are no secret
            assert case.failure_message
            assert not re.search(r"hidden(?! unit)", case.failure_message, re.I)

    def test_there_are_enough_of_them(self):
        """Honest styles, each with all names; misconceptions for each question."""
        questions, styles = self.assignment.questions, honest(self.assignment)
        names = [name for question in questions for name in question.defines]
        assert len(styles) >= 4
        for path in styles:
            text = path.read_text(encoding="utf-8")
            assert [n for n in names if not re.search(rf"^((def|class) {n}\(|{n} = )", text, re.M)] == [], (
                path
            )
        misconceptions = load_misconceptions(self.assignment)
        assert {known.question for known in misconceptions} == {question.name for question in questions}
        assert len({known.key for known in misconceptions}) == len(misconceptions) >= 8
        assert len({(known.replaces, known.name) for known in misconceptions}) == len(misconceptions)

    @pytest.mark.slow
    def test_notebook_runs_from_top_to_bottom(self, tmp_path):
        """The reference as a notebook, without an error, with all figures."""
        self.run_notebook(tmp_path)

    def run_notebook(self, folder: Path, source: str = "") -> list[dict[str, Any]]:
        """The same, or with another source; what its cells printed and drew."""
        source = source or self.assignment.reference.read_text(encoding="utf-8")
        outputs = executed(folder, self.assignment, source, self.notebook_seconds)
        assert sum("image/png" in output.get("data", {}) for output in outputs) == self.figures
        assert not any("appears once" in output.get("text", "") for output in outputs)
        return outputs


class Standard(Declared):
    """What the real grader must say about the submissions that every assignment has.

    Attributes:
        library: what is forbidden, by a name for it: the questions that lose points for it (the first earns nothing
            and says why), and the code.
        letters: misconception -> what a student reads about its question: at once, or (at once, later).
        seen_by_tests: misconceptions, or questions with all of theirs, that tests recognise where no replay can; None:
            here a test or a replay may, whichever is first.
        cpu_seconds: what the reference may take.
        peak_mb: the same.
    """

    library: ClassVar[Mapping[str, tuple[str, str]]] = MappingProxyType({})
    letters: ClassVar[Mapping[str, str | tuple[str, str]]] = MappingProxyType({})
    seen_by_tests: ClassVar[Collection[str] | None] = ()
    cpu_seconds: ClassVar[float] = 30  # the rule for every assignment
    peak_mb: ClassVar[float] = 700  # of the 1024 that most may use

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """The same."""
        super().pytest_generate_tests(metafunc)
        misconceptions = load_misconceptions(self.assignment)
        parametrize(metafunc, "kind", ("py", "ipynb"), str)
        parametrize(metafunc, "path", honest(self.assignment), lambda path: path.stem)
        parametrize(metafunc, "known", misconceptions, lambda known: f"{known.question}-{known.key}")
        parametrize(metafunc, "banned", self.library, str)
        parametrize(metafunc, "letter", self.letters, str)

    def honest_files(self, path: Path) -> Files:
        """An honest style as it is handed in."""
        return {path.name: path.read_bytes()}

    def wrong_files(self, known: Misconception) -> Files:
        """A misconception as it is handed in: the one wrong answer."""
        return mistaken(self.assignment, {known.replaces: known.key})

    def test_reference(self, grade, kind):
        """All points, as a script and as a notebook, within the bounds of time and memory, without a remark."""
        graded = grade(reference(self.assignment, kind))
        assert graded.lost == {}, graded.why
        assert graded.report["score"] == self.assignment.possible
        assert graded.diagnoses == {}
        assert (graded.result.message, graded.result.detail) == ("", "")
        drawn = [figure.name for figure in graded.result.figures]
        assert drawn == [figure.name for figure in self.assignment.figures]
        assert graded.result.usage.cpu_seconds < self.cpu_seconds
        assert graded.result.usage.peak_mb < self.peak_mb

    def test_honest_styles(self, grade, path):
        """However a right solution is written, it loses nothing."""
        graded = grade(self.honest_files(path))
        assert graded.lost == {}, graded.why
        assert graded.report["score"] == self.assignment.possible
        assert graded.diagnoses == {}
        assert len(graded.result.figures) == len(self.assignment.figures)

    def test_untouched_stub(self, grade, kind):
        """Nothing is earned, and each question says why in one sentence."""
        graded = grade(stub(self.assignment, kind))
        assert graded.report["extra_data"]["status"] == "graded"
        assert graded.report["score"] == 0
        assert graded.entries(visible=True) == [NOT_YET] * len(self.assignment.questions)
        assert graded.diagnoses == {}
        assert graded.result.message == ""
        assert graded.result.figures == []

    def test_misconception(self, grade, known):
        """It loses points in its question alone, of all that its name can reach; the feedback has its name and hint."""
        graded = grade(self.wrong_files(known), concerned(self.assignment, known))
        assert set(graded.lost) == {known.question}, graded.why
        assert graded.diagnoses == {known.question: known.key}
        self.check_named(graded.text(known.question), known)

    def check_named(self, told: str, known: Misconception) -> None:
        """The text of its question names a misconception, and has its hint."""
        ways = ["like", "exactly like"]
        if self.seen_by_tests is not None:
            seen = not known.replayed or {known.key, known.question} & {*self.seen_by_tests}
            ways = ways[:1] if seen else ways[1:]
        assert any(f"Your `{known.replaces}` behaves {way} {known.name}." in told for way in ways), told
        assert f"Hint: {known.hint}" in told

    def test_every_ban_is_tried(self):
        """Each question that forbids something has an answer here that does it; two texts are known to the letter."""
        tried = {questions.split()[0] for questions, _ in self.library.values()}
        assert {question.name for question in self.assignment.questions if question.forbidden} <= tried
        assert len(self.letters) >= 2

    def test_library_answers_earn_nothing(self, grade, banned):
        """The question that forbids it earns 0 and says so; what calls it loses as well, and nothing else does."""
        questions, code = self.library[banned]
        graded = grade(right_but(self.assignment, code))
        first, *others = questions.split()
        assert graded.scores[first] == 0, graded.text(first)
        assert set(graded.lost) == {first, *others}, graded.why
        assert "0 points: this question is to be written from scratch" in graded.entries(first)[0]

    def test_feedback_to_the_letter(self, grade, letter):
        """What a student reads about known mistakes: a change of a text is seen here first."""
        (known,) = [m for m in load_misconceptions(self.assignment) if m.key == letter]
        graded = grade(self.wrong_files(known), concerned(self.assignment, known))
        wanted = self.letters[letter]
        texts = [wanted] if isinstance(wanted, str) else list(wanted)
        assert graded.entries(known.question, visible=True) == texts[:1]
        assert isinstance(wanted, str) or graded.entries(known.question) == texts
