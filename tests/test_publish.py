"""From the store to the report and the gradebooks: names, deadlines and written scores come together."""

from __future__ import annotations

import csv
import io

import pytest
from click.testing import CliRunner

from autograder.cli import main
from tests.test_batch import Course

METADATA = """
submission_101:
  :submitters:
  - :name: Ada Lovelace
    :sid: '11'
    :email: ada@example.edu
  :created_at: 2026-11-20 10:00:00.000000000 Z
submission_102:
  :submitters:
  - :name: Charles Babbage
    :sid: '12'
    :email: charles@example.edu
  :created_at: 2026-11-21 11:00:00.000000000 Z
submission_103:
  :submitters:
  - :name: Ada Lovelace
    :sid: '11'
    :email: ada@example.edu
  :created_at: 2026-11-20 11:00:00.000000000 Z
"""
ROSTER = """SID,Name,Email,Section
11,Ada Lovelace,ada@example.edu,Monday
12,Charles Babbage,charles@example.edu,Friday
"""
LATE = "percent_per_day = 10\ndue = 2026-11-21T10:00:00Z\n"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A graded export of Gradescope's: Ada twice, Charles an hour late."""
    course = Course(tmp_path)
    monkeypatch.chdir(course.root)
    for number, text in (("101", "wrong"), ("102", "right"), ("103", "half")):
        folder = course.submissions / f"submission_{number}"
        folder.mkdir()
        (folder / "mini.py").write_text(text, encoding="utf-8")
    (course.submissions / "submission_metadata.yml").write_text(METADATA, encoding="utf-8")
    (tmp_path / "roster.csv").write_text(ROSTER, encoding="utf-8")
    (tmp_path / "late.toml").write_text(LATE, encoding="utf-8")
    assert course.grade() == 0
    return course


def run(*arguments):
    """A command's exit code and output."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_the_report_calls_students_by_name(course, tmp_path):
    """And says which submission is an earlier one; the template for written scores lies beside."""
    page = (course.output / "report" / "index.html").read_text(encoding="utf-8")
    assert "Charles Babbage (submission_102)" in page
    assert "Ada Lovelace (submission_101, an earlier one)" in page
    written = (course.output / "written.csv").read_text(encoding="utf-8")
    assert written == "submission,w1,comment\nsubmission_101,,\nsubmission_102,,\nsubmission_103,,\n"


def test_written_scores_count_everywhere(course, tmp_path):
    """In the table, in the report, in the exports; what cannot be is refused and nothing changes."""
    before = course.rows()
    table = course.output / "written.csv"
    table.write_text("submission,w1,comment\nsubmission_103,2,Fine\nsubmission_102,7,\n", encoding="utf-8")
    code, said = run("report", course.output)
    assert code == 2
    assert "line 3: w1 is '7', but must be a number from 0 to 2" in said
    assert course.rows() == before
    table.write_text("submission,w1,comment\nsubmission_103,2,Fine\n", encoding="utf-8")
    assert run("report", course.output)[0] == 0
    score = {name: float(points) for name, (_, points) in course.rows().items()}
    assert score["submission_103"] == float(before["submission_103"][1]) + 2
    page = (course.output / "report" / "students" / "submission_103.html").read_text(encoding="utf-8")
    assert "Fine" in page


def test_gradebook_files(course, tmp_path):
    """One row a student, the last submission counts, the late policy applies, commas are no trouble."""
    canvas, moodle = tmp_path / "canvas.csv", tmp_path / "moodle.csv"
    options = ("--roster", tmp_path / "roster.csv", "--late", tmp_path / "late.toml")
    code, said = run(
        "export", course.output, *options, "--canvas", canvas, "--moodle", moodle, "--column", "M (7)"
    )
    assert code == 0
    assert "Charles Babbage: 1 day late: 0.8 points off (10 % of the points possible)." in said
    rows = list(csv.reader(io.StringIO(canvas.read_text(encoding="utf-8"))))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "M (7)"]
    points = {row[0]: float(row[5]) for row in rows[2:]}
    score = {name: float(points) for name, (_, points) in course.rows().items()}
    assert points == {
        "Lovelace, Ada": score["submission_103"],
        "Babbage, Charles": pytest.approx(score["submission_102"] - 0.8),
    }
    assert "ada@example.edu" in moodle.read_text(encoding="utf-8")


def test_changes_are_shown_until_the_next_grading(course):
    """What a regrade changed stands in the report; a grading without changes takes it away."""
    course.change_test()
    course.points["right"] = 3
    course.regrade()
    page = (course.output / "report" / "index.html").read_text(encoding="utf-8")
    assert "Since the last grading" in page
    course.grade()
    assert "Since the last grading" not in (course.output / "report" / "index.html").read_text(
        encoding="utf-8"
    )


def test_files_side_by_side_are_one_submission(tmp_path, monkeypatch):
    """As Canvas lays them, under the names that the student gave them."""
    course = Course(tmp_path)
    monkeypatch.chdir(course.root)
    for name, text in (
        ("lovelaceada_4711_10101_mini.py", "right"),
        ("lovelaceada_4711_10102_helper.txt", "more"),
    ):
        (course.submissions / name).write_text(text, encoding="utf-8")
    assert course.grade() == 0
    assert len(course.rows()) == 1
    together = next((course.output / "assembled").iterdir())
    assert sorted(path.name for path in together.iterdir()) == ["helper.txt", "mini.py"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("report", "nowhere"), "holds no grades.sqlite"),
        (("export", "nowhere"), "Say what to write"),
        (("export", "nowhere", "--canvas", "x.csv"), "holds no grades.sqlite"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path, monkeypatch, arguments, message):
    """With exit code 2."""
    monkeypatch.chdir(tmp_path)
    code, said = run(*arguments)
    assert code == 2
    assert message in said
    assert not list(tmp_path.iterdir())
