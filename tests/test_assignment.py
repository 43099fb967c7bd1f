"""`assignment.toml` is read into plain records, and every mistake of its author is named."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autograder import assignment
from autograder.assignment import AssignmentError, Limits, Written

SAMPLE = Path(__file__).parent / "data" / "sample"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the sample assignment, free to be broken."""
    return shutil.copytree(SAMPLE, tmp_path / "root")


def edit(root: Path, before: str, after: str) -> None:
    edit_file(root / "assignments" / "mini" / "assignment.toml", before, after)


def edit_file(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, "the test edits something that is no longer there"
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_sample_is_read_whole():
    """Each value of the file arrives in its field."""
    mini = assignment.load("mini", SAMPLE)
    assert (mini.slug, mini.title) == ("mini", "A softmax and a gate")
    assert mini.limits == Limits(2.0, 10.0, 30.0, 512, 16)
    assert [(q.name, q.points, q.defines, q.rests_on) for q in mini.questions] == [
        ("q1", 4.0, ("softmax",), ()),
        ("q2", 4.0, ("Gate", "gate_entropy"), ("q1",)),
    ]
    assert mini.question("q2").forbidden == ("torch.nn.modules.linear.Linear",)
    assert mini.written == (Written("w1", "Shifting the scores", 2.0),)
    assert mini.possible == 8.0


def test_a_list_of_operators_is_written_once(root: Path):
    """A name in `[operators]` stands for its patterns; what is no name there is a pattern itself."""
    edit(
        root,
        "[limits]",
        '[operators]\nlibrary = ["torch.nn.functional.softmax", "aten::_softmax*"]\n\n[limits]',
    )
    edit(root, 'forbidden = ["torch.nn.modules.linear.Linear"]', 'forbidden = ["library", "aten::mm"]')
    found = assignment.load("mini", root).question("q2").forbidden
    assert found == ("torch.nn.functional.softmax", "aten::_softmax*", "aten::mm")


def test_two_questions_may_judge_one_name(root: Path):
    """What is right and what is well done about the same class may be two questions."""
    edit(root, 'defines = ["softmax"]', 'defines = ["softmax", "Gate"]')
    first, second = assignment.load("mini", root).questions
    assert set(first.defines) & set(second.defines) == {"Gate"}


def test_data_files_lie_beside_the_reference(root: Path):
    """They are named in the file, and read from there."""
    assert assignment.load("mini", root).data() == {}
    (root / "reference" / "story.txt").write_bytes(b"Once")
    edit(root, 'title = "A softmax and a gate"', 'title = "A softmax"\nfiles = ["story.txt"]')
    assert assignment.load("mini", root).data() == {"story.txt": b"Once"}


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("story.txt", r"reference/story.txt is missing"),
        ("../story.txt", r"'../story.txt' must be the plain name of a data file"),
        ("helper.py", r"'helper.py' must be the plain name of a data file"),
    ],
)
def test_data_files_that_cannot_be(root: Path, name: str, complaint: str):
    """One that is not there, one from elsewhere, and one that could be taken for a solution."""
    edit(root, 'title = "A softmax and a gate"', f'title = "A softmax"\nfiles = ["{name}"]')
    with pytest.raises(AssignmentError, match=complaint):
        assignment.load("mini", root)


def test_paths_stand_beside_each_other():
    """The layout of the project is known in one place."""
    mini = assignment.load("mini", SAMPLE)
    inside = [mini.reference, mini.folder, mini.misconceptions, mini.rubric, mini.test_file("q1")]
    assert all(path.exists() for path in inside)
    assert mini.template == SAMPLE / "student_template" / "mini"


def test_the_project_s_own_assignments_load():
    """What is shipped is complete."""
    for slug in assignment.slugs():
        assert assignment.load(slug).slug == slug


def test_slugs_are_the_folders_with_a_file():
    assert assignment.slugs(SAMPLE) == ["mini"]


def test_root_is_found_upwards_from_the_current_folder(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root / "assignments" / "mini")
    assert assignment.find_root() == root


def test_root_is_the_package_s_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert (assignment.find_root() / "autograder" / "assignment.py").is_file()


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("title =", "titel =", "unknown key 'titel' in the file"),
        ("call_seconds = 2\n", "", "'call_seconds' is missing in limits."),
        ("call_seconds = 2\n", "call_seconds = 0\n", "limits.call_seconds must be a number above 0, not 0."),
        ("call_seconds = 2\n", "call_seconds = true\n", "must be a number above 0, not True."),
        ("call_seconds = 2\n", "call_seconds = inf\n", "must be a number above 0, not inf."),
        ("memory_mb = 512", "memory_mb = 0.5", "limits.memory_mb must be a whole number, not 0.5."),
        ("[limits]", "[[limits]]", "limits must be a table."),
        ('title = "Softmax"', 'title = " "', "questions[1].title must be a text that is not empty, not ' '."),
        ('defines = ["softmax"]', 'defines = "softmax"', "questions[1].defines must be a list of texts"),
        ('defines = ["softmax"]', "defines = []", "q1.defines names nothing."),
        ('defines = ["softmax"]', 'defines = ["soft max"]', "'soft max' is not a Python name."),
        ('["softmax"]', '["softmax", "softmax"]', "the name that q1 defines, 'softmax' is there twice."),
        ('name = "q2"', 'name = "q1"', "the question 'q1' is there twice."),
        ('name = "w1"', 'name = "q1"', "the question 'q1' is there twice."),
        ('rests_on = ["q1"]', 'rests_on = ["q3"]', "q2 rests on 'q3'; the other questions are q1."),
        ('rests_on = ["q1"]', 'rests_on = ["q2"]', "q2 rests on 'q2'; the other questions are q1."),
        ('name = "q2"', 'name = "q7"', "assignments/mini/tests/q7.py is missing."),
        ("[[questions]]", "[[question", "assignments/mini/assignment.toml: "),
        ('["q1: no numbers at all"]', "[]", "promise 'x is empty' of softmax: cases names no test."),
        ('["q1: no', '["q5: no', "a case is written \"q1: name of the case\", not 'q5: no numbers at all'."),
        ('["q1: no', '["no', "a case is written \"q1: name of the case\", not 'no numbers at all'."),
    ],
)
def test_a_mistake_is_named(root: Path, before: str, after: str, message: str):
    """The author of an assignment reads what is wrong and where."""
    edit(root, before, after)
    with pytest.raises(AssignmentError, match=re.escape(message)):
        assignment.load("mini", root)


@pytest.mark.parametrize(
    "path",
    [
        "reference/mini.py",
        "assignments/mini/misconceptions.py",
        "assignments/mini/rubric.md",
        "assignments/mini/tests/q2.py",
    ],
)
def test_a_missing_file_is_named(root: Path, path: str):
    (root / path).unlink()
    with pytest.raises(AssignmentError, match=re.escape(f"{path} is missing.")):
        assignment.load("mini", root)


def test_a_test_file_without_a_question_is_named(root: Path):
    """A question that was renamed must not leave its tests behind, unnoticed."""
    (root / "assignments/mini/tests/q3.py").write_text("")
    with pytest.raises(
        AssignmentError, match=re.escape("assignments/mini/tests/q3.py belongs to no question.")
    ):
        assignment.load("mini", root)


def test_an_unknown_assignment_names_the_known_ones():
    with pytest.raises(AssignmentError, match=re.escape("No assignment 'maxi'. There are: mini.")):
        assignment.load("maxi", SAMPLE)


@pytest.mark.parametrize("slug", ["../mini", "", "Mini", "a b", "/etc"])
def test_a_slug_is_never_a_path(slug: str):
    with pytest.raises(AssignmentError, match="is no assignment's name"):
        assignment.load(slug, SAMPLE)


def test_an_unknown_question_names_the_known_ones():
    with pytest.raises(AssignmentError, match=re.escape("mini has no question 'q9': it has q1, q2.")):
        assignment.load("mini", SAMPLE).question("q9")


def test_importing_is_cheap():
    """The sandbox's clean process imports the package: nothing of the judge may come along."""
    code = (
        "import sys, autograder, autograder.assignment, autograder.submission;"
        "print(*{'torch', 'numpy', 'nbformat', 'otter'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
