"""Weights that are handed in, values that are computed once, the leaderboard and the figures."""

from __future__ import annotations

import base64
import pickle
import xml.etree.ElementTree as ElementTree
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file

from autograder import fixtures, submission
from autograder.assignment import Artifact, AssignmentError, load
from autograder.figures import Artist
from autograder.grading import Judge
from autograder.sandbox.host import Sandbox
from tests.test_assignment import edit_file

ROOT = Path(__file__).parent / "data" / "trained"
LINE = load("line", ROOT)
RIGHT = LINE.reference.read_text(encoding="utf-8")
WEIGHTS = LINE.reference_artifact(LINE.artifacts[0]).read_bytes()


@pytest.fixture(scope="module")
def judge():
    with Sandbox() as sandbox:
        yield Judge(LINE, sandbox)


@pytest.fixture
def graded(judge, tmp_path):
    """Grades a folder with a script and, if given, weights."""

    def grade(weights: bytes | None = None, text: str = RIGHT):
        (tmp_path / "line.py").write_text(text, encoding="utf-8")
        if weights is not None:
            (tmp_path / "weights.safetensors").write_bytes(weights)
        return judge.grade(submission.read(tmp_path, "line", LINE))

    return grade


def outcomes(result):
    return [(case.name, case.outcome.value) for case in result.questions[0].cases]


def test_weights_that_were_handed_in(graded):
    """They are used as they are: nothing is trained, and the student's instance has them, buffers included."""
    result = graded(WEIGHTS, RIGHT.replace("model.seen += 1", "raise RuntimeError"))
    assert result.score == 6
    assert result.message == ""
    assert result.leaderboard == {"loss": 0.0}


def test_without_weights_the_training_runs_here(graded, monkeypatch):
    """Once for all tests, longer than a call may take, and the student is told."""
    monkeypatch.setattr(fixtures, "WORTH_TELLING", 0.0)
    slow = RIGHT.replace("model.seen += 1", "model.seen += 1; __import__('time').sleep(0.012)")
    result = graded(text=slow)
    assert result.score == 6
    told = "There is no weights.safetensors in your submission, so what it would hold was computed here, by your code:"
    assert result.message.startswith(told)
    assert result.leaderboard["loss"] < 1e-6


def test_a_training_that_fails_fails_each_of_its_tests(graded):
    """With the student's own error, and nothing else."""
    result = graded(text=RIGHT.replace("model.seen += 1", "raise ValueError('no')"))
    assert outcomes(result) == [
        ("shape", "passed"), ("fits the points", "failed"), ("counts what it has seen", "failed"),
    ]  # fmt: skip
    assert all("ValueError: no" in case.text for case in result.questions[0].cases[1:])
    assert result.leaderboard == {}
    assert result.figures == []
    assert "figure fit" in result.detail


def test_a_mistake_that_a_test_recognises_is_named(graded):
    """Where no call can be replayed."""
    result = graded(text=RIGHT.replace("lr=0.3", "lr=0.001, maximize=True"))
    found = result.questions[0].diagnosis
    assert (found.key, found.text) == ("uphill", "Your `train` behaves like a training that goes uphill.")
    assert found.hint == "Look at the sign of the step."


def test_figures_are_drawings_with_a_text(graded):
    """SVG and PNG, with a text alternative, drawn from the data that the result keeps."""
    (figure,) = graded(WEIGHTS).figures
    assert (figure.name, figure.title) == ("fit", "The line and the points")
    drawing = Artist(LINE).draw(figure)
    assert drawing.alt == "Twenty-one points on a line and the line that was learned."
    assert ElementTree.fromstring(drawing.svg).tag.endswith("svg")
    assert base64.b64decode(drawing.png).startswith(b"\x89PNG")
    assert Artist(LINE).draw(figure) == drawing


class Boom:
    def __reduce__(self):
        return (print, ("this must not run",))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "it is empty"),
        (WEIGHTS[:20], "it ends after 20 bytes, in the middle of its header"),
        (WEIGHTS[:-1], "cannot be read as a safetensors file"),
        (pickle.dumps(Boom(), 4), "it looks like one written by torch.save or pickle"),
        (b"\xff" * 64, "cannot be read as a safetensors file"),
        ((2**40).to_bytes(8, "little") + b"{}", "cannot be read as a safetensors file"),
        (b"\x00" * (1 << 20) + b"\x00", "larger than 1 MB"),
        ((8).to_bytes(8, "little") + b"[1,2,3] ", "cannot be read as a safetensors file"),
    ],
    ids=["empty", "short", "truncated", "pickle", "noise", "lying header", "large", "no object"],
)
def test_weights_that_are_none(graded, capfd, data, why):
    """A clear text, no crash, nothing run, and no other test lost."""
    result = graded(data)
    assert outcomes(result)[0] == ("shape", "passed")
    assert result.score == 1
    assert why in result.questions[0].cases[1].text
    assert "hand in weights.safetensors beside your solution" in result.questions[0].cases[1].text
    assert "must not run" not in capfd.readouterr().out + result.usage.output


def test_weights_of_another_model(graded):
    """Names and shapes that do not fit are told by PyTorch's own words."""
    result = graded(save({"a": torch.zeros(3), "c": torch.zeros(())}))
    assert "size mismatch for a" in result.questions[0].cases[1].text


def test_two_gigabytes_are_not_read(judge, tmp_path):
    """Not more than the bound and a byte, in a folder and in a zip archive."""
    (tmp_path / "line.py").write_text(RIGHT, encoding="utf-8")
    with (tmp_path / "weights.safetensors").open("wb") as file:
        file.truncate(2 << 30)
    read = submission.read(tmp_path, "line", LINE)
    assert len(read.files["weights.safetensors"]) == 2**20 + 1
    with zipfile.ZipFile(tmp_path.parent / "line.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/line.py", RIGHT)
        archive.writestr("a/weights.safetensors", bytes(90 << 20))
    read = submission.read(tmp_path.parent / "line.zip", "line.zip", LINE)
    assert len(read.files["weights.safetensors"]) == 2**20 + 1
    assert judge.grade(read).score == 1


def test_a_file_beside_a_folder_is_found_by_its_name():
    """The nearest one counts; another name does not."""
    artifact = Artifact("weights", "weights.safetensors", 1)
    near, far = save({"x": torch.ones(1)}), save({"x": torch.zeros(1)})
    found = fixtures.read(
        artifact, {"b/weights.safetensors": far, "weights.safetensors": near, "line.py": b""}
    )
    assert found["x"] == 1
    assert fixtures.read(artifact, {"my weights.safetensors": near}) is None


@pytest.fixture
def root(tmp_path):
    import shutil

    return shutil.copytree(ROOT, tmp_path / "root")


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("fixtures.py", "def points():", "def points(loss):", "in a circle"),
        ("fixtures.py", "def points():", "def train():", "the name of something else"),
        ("fixtures.py", "def loss(", "def cost(", "there is no fixture 'loss'"),
        ("figures.py", "def fit(", "def picture(", "there is no such function"),
        ("assignment.toml", 'order = "asc"', 'order = "up"', "order is 'asc' or 'desc'"),
        ("assignment.toml", '"weights.safetensors"', '"../weights.pt"', "a file such as weights.safetensors"),
        ("tests/q1.py", "def test_shape(Line):", "def test_shape(Line, loss):", "which students do not have"),
        (
            "tests/q1.py",
            "def test_shape(Line):",
            "def test_shape(Line, weights):",
            "which students do not have",
        ),
    ],
)
def test_what_an_author_can_get_wrong(root, file, before, after, message):
    """Is told when the assignment is loaded."""
    edit_file(root / "assignments" / "line" / file, before, after)
    with pytest.raises(AssignmentError, match=message), Sandbox() as sandbox:
        Judge(load("line", root), sandbox)


def test_the_reference_of_weights_is_needed(root):
    """Otherwise nobody knows whether the tests are right."""
    (root / "reference" / "line.weights.safetensors").unlink()
    with pytest.raises(AssignmentError, match=r"reference/line\.weights\.safetensors is missing"):
        load("line", root)


def test_a_student_can_train_twice_with_the_same_result(graded):
    """The seed of a fixture does not depend on the test that asks for it first."""
    text = RIGHT.replace("torch.zeros(()))", "torch.randn(()))", 1).replace("range(steps)", "range(3)")
    losses = {graded(text=text).leaderboard["loss"] for _ in range(2)}
    assert len(losses) == 1


def test_save_file_is_what_students_use(graded, tmp_path):
    """A state_dict goes in as it is."""
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.tensor(2.0), "b": torch.tensor(1.0), "seen": torch.tensor(200)}, path)
    assert graded().score == 6
