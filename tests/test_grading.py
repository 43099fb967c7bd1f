"""What is said about a submission beside its cases: what to mend first, and what stopped its cells."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import submission
from autograder.assignment import load
from autograder.grading import Judge
from autograder.sandbox.host import Sandbox
from tests.build_submissions import archive

SAMPLE = load("mini", Path(__file__).parent / "data" / "sample")
RIGHT = SAMPLE.reference.read_text(encoding="utf-8")
WRONG_Q1 = RIGHT.replace("return powers / powers.sum(dim=-1, keepdim=True)", "return powers + x.mean()")
FIRST = "If your solution calls that of q1, mend q1 first, then look here again."


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Grades a script's text."""
    path = tmp_path_factory.mktemp("one") / "mini.py"
    with Sandbox() as sandbox:
        judge = Judge(SAMPLE, sandbox)

        def grade(text):
            path.write_text(text, encoding="utf-8")
            return judge.grade(submission.read(path, path.name, SAMPLE))

        yield grade


def test_what_to_mend_first(graded):
    """q2 calls the wrong softmax of q1 and has no explanation of its own."""
    result = graded(WRONG_Q1)
    assert [question.score for question in result.questions] == [1, 2]
    assert [question.note for question in result.questions] == ["", FIRST]


def test_two_questions_about_the_same_name(tmp_path):
    """q2 says that it is about the same code, where q1 defines the gate as well."""
    first, second = SAMPLE.questions
    shared = replace(SAMPLE, questions=(replace(first, defines=("softmax", "Gate")), second))
    path = tmp_path / "mini.py"
    path.write_text(WRONG_Q1, encoding="utf-8")
    with Sandbox() as sandbox:
        result = Judge(shared, sandbox).grade(submission.read(path, path.name, shared))
    note = "This judges the same code as q1: mend q1 first, then look here again."
    assert [question.note for question in result.questions] == ["", note]


def test_hidden_failures_are_not_told_in_public(graded):
    """q1 fails in a hidden case alone, q2 in a public one: its visible text does not tell of q1."""
    hidden = RIGHT.replace("if x.numel() == 0:", "if False:")
    result = graded(
        hidden.replace("nn.Parameter(torch.randn(d, n) * 0.1)", "nn.Parameter(torch.randn(n, d))")
    )
    assert [question.fails_in_public for question in result.questions] == [False, True]
    assert [question.note for question in result.questions] == ["", ""]


def test_a_missing_name_rests_on_nothing(graded):
    """What is not there calls nothing."""
    result = graded(WRONG_Q1 + "\ndel Gate, gate_entropy\n")
    assert result.questions[1].score == 0
    assert result.questions[1].note == ""


def test_a_right_question_has_no_note(graded):
    """Nothing failed, nothing is to be mended."""
    assert [question.note for question in graded(RIGHT).questions] == ["", ""]


def test_the_graders_fault_is_no_cause(graded, monkeypatch):
    """Where q1 could not be judged, q2 is not told to mend it, and the submission is marked for staff."""
    monkeypatch.setattr(Judge, "passes_on_reference", lambda self, body: False)
    result = graded(WRONG_Q1)
    assert result.status == "error"
    assert [question.undecided for question in result.questions] == [True, True]
    assert [question.note for question in result.questions] == ["", ""]


def test_syntax_error_has_one_place(graded):
    """The line is said once."""
    lines = graded("def softmax(x)\n    return x\n").message.splitlines()
    assert lines[-1] == "- mini.py, line 1: SyntaxError: expected ':'"


def test_many_errors_are_counted(graded):
    """The first five are told, the rest are counted."""
    lines = graded("# %%\n1 / 0\n" * 8).message.splitlines()
    assert (
        lines[0] == "Some of your code stopped with an error; what follows it in the same cell was not run:"
    )
    assert lines[1] == "- mini.py, line 2: ZeroDivisionError: division by zero"
    assert lines[-1] == "- and 3 more"


def test_data_files_lie_beside_a_submission(tmp_path):
    """A script by itself finds what the kit shipped with it; one that brings its own finds that."""
    root = shutil.copytree(SAMPLE.root, tmp_path / "root")
    (root / "reference" / "story.txt").write_text("Once")
    path = root / "assignments" / "mini" / "assignment.toml"
    path.write_text('files = ["story.txt"]\n' + path.read_text())
    found = load("mini", root)
    printing = (RIGHT + "\n# %%\nprint('It says', open('story.txt').read())\n").encode()
    with Sandbox() as sandbox:
        judge = Judge(found, sandbox)
        for name, content in (
            ("mini.py", printing),
            ("own.zip", archive({"mini.py": printing, "story.txt": "Twice"})),
        ):
            (tmp_path / name).write_bytes(content)
            result = judge.grade(submission.read(tmp_path / name, name, found))
            assert f"It says {'Once' if name == 'mini.py' else 'Twice'}" in result.usage.output


def test_nothing_is_shared_between_submissions(graded):
    """What one submission does to torch, and leaves in a module, the next does not see."""
    graded("import torch\ntorch.exp = None\ntorch.mine = 1\n" + RIGHT)
    result = graded("import torch\nassert not hasattr(torch, 'mine')\n" + RIGHT)
    assert result.score == 8
    assert result.message == ""


GOSSIP = """
seen = []

def softmax(x):
    seen.append(tuple(x.shape))
    raise ValueError(f"seen so far: {seen}")

def gate_entropy(*arguments):
    raise ValueError(f"seen so far: {seen}")
"""


def test_public_texts_know_of_no_hidden_input(graded):
    """A submission that remembers what it was given tells of public cases alone where students can read it."""
    result = graded(GOSSIP)
    public = [case.text for question in result.questions for case in question.cases if not case.hidden]
    hidden = [case.text for question in result.questions for case in question.cases if case.hidden]
    longest_public = max(text.count("),") for text in public if "seen so far" in text)
    assert longest_public < max(text.count("),") for text in hidden if "seen so far" in text)
    first = next(text for text in hidden if "seen so far" in text)
    assert longest_public < first.count("),"), "a hidden case ran before the last public one"
