"""Many submissions: whatever happens with one, the others are graded and each has a row; nothing is done twice."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from autograder import batch, submission
from autograder.assignment import load
from autograder.grading import QuestionResult, Result, broken, conclude, unreadable
from autograder.pool import Began, Finished, PoolError, Waiting
from autograder.submission import SubmissionError
from autograder.suite import CaseResult, Outcome
from autograder.worker import Reply

DATA = Path(__file__).parent / "data" / "sample"
POINTS = {"right": 4, "half": 2, "wrong": 0}


class Course:
    """A class, an output folder and a runner that grades by what a file says; it notes what it was asked for."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(DATA, folder / "course")
        self.root, self.submissions, self.output = folder / "course", folder / "class", folder / "out"
        self.submissions.mkdir()
        self.asked = {}
        self.points = dict(POINTS)

    @property
    def assignment(self):
        """As its files are now."""
        return load("mini", self.root)

    def hand_in(self, **texts):
        """Writes scripts by name."""
        for name, text in texts.items():
            (self.submissions / f"{name}.py").write_text(text, encoding="utf-8")

    def grade(self):
        """The exit code of `grade`."""
        self.asked = {}
        return batch.grade_all(self.assignment, [self.submissions], self.output, self.runners)

    def regrade(self):
        """The exit code of `regrade`."""
        self.asked = {}
        return batch.regrade_all(self.output, self.runners)

    def rows(self):
        """grades.csv: status and score by submission."""
        with open(self.output / "grades.csv", newline="", encoding="utf-8") as table:
            return {row["submission"]: (row["status"], row["score"]) for row in csv.DictReader(table)}

    def shown(self, name):
        """The results file of a submission."""
        return json.loads((self.output / "results" / f"{name}.json").read_text(encoding="utf-8"))

    def change_test(self, question="q1"):
        """Changes what a question's tests do."""
        test = self.root / "assignments" / "mini" / "tests" / f"{question}.py"
        test.write_text(test.read_text(encoding="utf-8") + "\n\nMORE = True\n", encoding="utf-8")

    def runners(self, assignment, tasks):
        """The runner, as the batch wants to have it."""
        return contextlib.nullcontext(self.run)

    def run(self, work):
        """Grades one after the other."""
        for task, packed in work:
            self.asked[task.name] = task.questions
            yield Began(task)
            yield Waiting()
            yield Finished(task, self.reply(task, packed))

    def reply(self, task, packed):
        """Points as the text says; "fault" is a fault of the grader's, "stop" is Ctrl-C."""
        possible, path = self.assignment.possible, Path(task.path)
        try:
            mark = "" if packed else submission.fingerprint(path)
            if packed:
                found = submission.unpack(packed, task.name)
            else:
                found = submission.read(path, task.name, self.assignment)
        except (SubmissionError, OSError) as error:
            return Reply(unreadable(task.name, possible, str(error)))
        word = found.text.strip()
        if word == "fault":
            return Reply(
                broken(task.name, possible, MemoryError()), mark, found.digest, submission.pack(found)
            )
        if word == "stop":
            self.interrupt.asked = True
        names = task.questions if task.questions is not None else ["q1", "q2"]
        result = Result(task.name, questions=[self.question(name, word) for name in names], possible=possible)
        kept = b"" if packed else submission.pack(found)
        return Reply(conclude(self.assignment, result), mark, found.digest, kept)

    def question(self, name, word):
        """Graded."""
        points = self.points.get(word, 4)
        outcome = Outcome.COULD_NOT_TELL if word == "unsure" else Outcome.PASSED if points else Outcome.FAILED
        return QuestionResult(name, name, points, 4, [CaseResult("case", False, 4, outcome)])


@pytest.fixture
def course(tmp_path, monkeypatch):
    """An empty class."""
    made = Course(tmp_path)

    class Kept(batch.Interrupt):
        def __enter__(self):
            made.interrupt = self
            return super().__enter__()

    monkeypatch.setattr(batch, "Interrupt", Kept)
    monkeypatch.chdir(made.root)  # where `regrade` looks for the assignment
    return made


def test_all_well(course, capsys):
    """Exit code 0, rows by name, and where everything is."""
    course.hand_in(bob="half", ada="right")
    assert course.grade() == 0
    assert list(course.rows().items()) == [("ada.py", ("graded", "8")), ("bob.py", ("graded", "4"))]
    captured = capsys.readouterr()
    assert "Could not be graded" not in captured.err
    assert f"Scores: {course.output / 'grades.csv'}" in captured.out


def test_one_goes_wrong(course, capsys):
    """A fault of the grader's is a row with status error; the submissions after it are graded."""
    course.hand_in(ada="right", bob="fault", zoe="right")
    assert course.grade() == 1
    assert [status for status, _ in course.rows().values()] == ["graded", "error", "graded"]
    assert "Could not be graded: bob.py" in capsys.readouterr().err
    assert "not your fault" in course.shown("bob.py")["tests"][0]["output"]


def test_resume(course, capsys):
    """What is there and unchanged is not run again, and is shown all the same."""
    course.hand_in(ada="right", bob="half")
    course.grade()
    course.hand_in(bob="wrong", carl="right")
    capsys.readouterr()
    assert course.grade() == 0
    assert course.asked == {"bob.py": None, "carl.py": None}
    assert course.rows() == {"ada.py": ("graded", "8"), "bob.py": ("graded", "0"), "carl.py": ("graded", "8")}
    captured = capsys.readouterr()
    assert "1 of 3 were graded before and have not changed." in captured.err
    assert captured.out.count("graded") == 3


def test_nothing_to_do(course):
    """Not even a judge is started."""
    course.hand_in(ada="right")
    course.grade()
    course.runners = None
    assert course.grade() == 0


@pytest.mark.parametrize("word", ["fault", "unsure"])
def test_what_could_not_be_told_is_tried_again(course, word):
    """The next time it may go well."""
    course.hand_in(ada="right", bob=word)
    assert course.grade() == 1
    assert course.grade() == 1
    assert course.asked == {"bob.py": None}


def test_a_changed_suite_in_grade(course):
    """Only the question whose tests changed is run again, for everyone."""
    course.hand_in(ada="right", bob="half")
    course.grade()
    course.change_test("q2")
    course.points["half"] = 3
    course.grade()
    assert course.asked == {"ada.py": ["q2"], "bob.py": ["q2"]}
    assert course.rows()["bob.py"] == ("graded", "5")


def test_regrade(course, capsys):
    """The changed question for everyone, from the store alone; then whose score changed by how much."""
    course.hand_in(ada="right", bob="half", eve="wrong")
    course.grade()
    for path in course.submissions.iterdir():
        path.write_text("wrong", encoding="utf-8")  # what lies there by now is not what was graded
    course.change_test("q1")
    course.points |= {"half": 4, "right": 3}
    capsys.readouterr()
    assert course.regrade() == 0
    assert course.asked == {"ada.py": ["q1"], "bob.py": ["q1"], "eve.py": ["q1"]}
    assert {name: score for name, (_, score) in course.rows().items()} == {
        "ada.py": "7",
        "bob.py": "6",
        "eve.py": "0",
    }
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert rows == [["bob.py", "4", "6", "+2", "q1: 2 to 4"], ["ada.py", "8", "7", "-1", "q1: 4 to 3"]]
    assert "The points of 2 of 3 submissions changed." in lines


def test_regrade_without_a_change(course, capsys):
    """Nothing is run."""
    course.hand_in(ada="right")
    course.grade()
    assert course.regrade() == 0
    assert course.asked == {}
    assert "The points of 0 of 1 submissions changed." in capsys.readouterr().out


def test_regrade_leaves_what_cannot_be_read(course):
    """There is nothing that tests could run on; it is named, as before."""
    course.hand_in(ada="right", bob="")
    assert course.grade() == 1
    course.change_test()
    assert course.regrade() == 1
    assert course.asked == {"ada.py": ["q1"]}


def test_regrade_of_what_was_never_read(course, capsys):
    """A submission that the grader failed to read is looked for where it was; if that is gone, it is said."""
    course.hand_in(ada="right")
    course.reply = lambda task, packed: Reply(broken(task.name, 8, MemoryError()))
    assert course.grade() == 1
    (course.submissions / "ada.py").unlink()
    assert course.regrade() == 1
    assert "ada.py was never read, and " in capsys.readouterr().err


def test_regrade_of_nothing(course, capsys):
    """Wrong usage, in words."""
    assert batch.regrade_all(course.output, course.runners) == 2
    assert "holds no grades.sqlite" in capsys.readouterr().err


def test_interrupted(course, capsys):
    """What was graded is kept, what was not is named, and the next run does the rest."""
    course.hand_in(ada="right", bob="stop", eve="right", zoe="right")
    assert course.grade() == 1
    error = capsys.readouterr().err
    assert "Stopped: 2 of 4 are graded; their results are kept." in error
    assert "Not graded: eve.py, zoe.py" in error
    assert list(course.rows()) == ["ada.py", "bob.py"]
    assert course.grade() == 0
    assert list(course.asked) == ["eve.py", "zoe.py"]


def test_views_that_are_missing_or_old_are_written_again(course):
    """As after a kill between the store and the file."""
    course.hand_in(ada="right", bob="half")
    course.grade()
    (course.output / "results" / "ada.py.json").unlink()
    (course.output / "grades.csv").unlink()
    course.grade()
    assert course.asked == {}
    assert course.shown("ada.py")["score"] == 8
    assert list(course.rows()) == ["ada.py", "bob.py"]


def test_words_that_changed_reach_the_files(course):
    """A question graded by hand was renamed: no test is run, and every results file says the new name."""
    course.hand_in(ada="right")
    course.grade()
    toml = course.root / "assignments" / "mini" / "assignment.toml"
    text = toml.read_text(encoding="utf-8").replace("Shifting the scores", "Moving the scores")
    toml.write_text(text, encoding="utf-8")
    course.grade()
    assert course.asked == {}
    assert "Moving the scores" in course.shown("ada.py")["output"]


def test_results_files_are_written_once(course, monkeypatch):
    """A first run has nothing old to write again."""
    written = []
    add = batch.Output.add
    monkeypatch.setattr(batch.Output, "add", lambda self, result: written.append(result) or add(self, result))
    course.hand_in(ada="right", bob="half")
    course.grade()
    assert [result.submission for result in written] == ["ada.py", "bob.py"]


def test_no_judges(course, capsys):
    """The reason, exit code 2, and what is there is kept."""
    course.hand_in(ada="right")
    course.grade()
    course.hand_in(bob="right")

    def fail(work):
        raise PoolError("q1.py gives 3 points")
        yield

    course.run = fail
    assert course.grade() == 2
    assert "q1.py gives 3 points" in capsys.readouterr().err
    assert list(course.rows()) == ["ada.py"]


def test_no_room_for_the_views(course, capsys, monkeypatch):
    """A disk that is full while a results file is written: words, exit code 1, and the next run repairs the file."""
    course.hand_in(ada="right", bob="right")
    written = batch.Output.add

    def full(self, result):
        if result.submission == "bob.py":
            raise OSError(28, "No space left on device")
        written(self, result)

    monkeypatch.setattr(batch.Output, "add", full)
    assert course.grade() == 1
    assert "No room is left in" in capsys.readouterr().err
    monkeypatch.setattr(batch.Output, "add", written)
    assert course.grade() == 0
    assert course.asked == {}
    assert course.shown("bob.py")["score"] == 8


@pytest.mark.parametrize(
    ("folder", "message"), [("none", "There is no file or folder"), (".", "No submissions")]
)
def test_nothing_found(course, capsys, folder, message):
    """Wrong usage; no output folder is made."""
    given = course.submissions / folder
    assert batch.grade_all(course.assignment, [given], course.output, course.runners) == 2
    assert message in capsys.readouterr().err
    assert not course.output.exists()


def test_judges_that_were_killed_leave_nothing(course, tmp_path, monkeypatch):
    """The folder of a judge that had to be ended on the way goes when the batch does, not at the next start."""
    left = tmp_path / "autograder-killed"

    class Pool:
        def __init__(self, *_):
            pass

        def __enter__(self):
            (left / "1").mkdir(parents=True)
            (left / ".owner").touch()
            os.utime(left / ".owner", (0, 0))

        def __exit__(self, *_):
            assert left.exists()

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(batch, "Judges", lambda control: None)
    monkeypatch.setattr(batch, "Pool", Pool)
    with batch.local(None, 1)(course.assignment, 1):
        pass
    assert not left.exists()
