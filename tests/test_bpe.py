"""Byte pair encoding: reference, stub, honest styles, misconceptions and library answers through the real grader."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from otter.test_files import ExceptionTestFile

from autograder import submission
from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.session import Sandbox
from autograder.validate.misconceptions import concerned
from autograder.validate.submissions import mistaken, right_cells
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("bpe", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "bpe" / "honest").glob("*.py"))
CELLS = right_cells(ASSIGNMENT)

LIBRARY = """
def embedding_pca(embeddings, n_components=2):
    require(embeddings.ndim == 2 and 1 <= n_components <= min(embeddings.shape), "out of range")
    U, S, _ = torch.pca_lowrank(embeddings, q=min(embeddings.shape), niter=8)
    return (U * S)[:, :n_components]
"""


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""
    folder = tmp_path_factory.mktemp("bpe")
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)

        def graded(name, content, questions=None):
            path = folder / name
            path.write_bytes(content)
            result = judge.grade(submission.read(path, name, ASSIGNMENT), questions=questions)
            return json.loads(json.dumps(gradescope.to_dict(result, ASSIGNMENT)))

        yield graded


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(result, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:"))


def wrong(key, replaces):
    """An archive whose one wrong answer is that misconception; all other names are right, also for each other."""
    return archive(mistaken(ASSIGNMENT, {replaces: key}))


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_points_and_cases(question):
    """The points add up, at least half are hidden, and each case has its own name and a hint."""
    cases = ExceptionTestFile.from_file(str(ASSIGNMENT.test_file(question.name))).test_cases
    assert sum(case.points for case in cases) == question.points
    assert sum(case.points for case in cases if case.hidden) >= question.points / 2
    assert 2 <= sum(not case.hidden for case in cases) <= 3
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.failure_message and "hidden" not in case.failure_message.lower() for case in cases)


def test_there_are_enough_of_them():
    """Honest styles and misconceptions, for every question."""
    assert len(HONEST) >= 4
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


@pytest.mark.parametrize("name", ["bpe.py", "bpe.ipynb"])
def test_reference(grade, name):
    """All points, as a script and as a notebook."""
    content = ASSIGNMENT.reference.read_bytes() if name.endswith(".py") else notebook(CELLS)
    result = grade(name, content)
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible
    assert result["execution_time"] < 30  # the rule; 3 s here, most of it the start of the second process


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]


@pytest.mark.parametrize("name", ["bpe.py", "bpe.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    public = [entry for entry in result["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception(grade, misconception):
    """It loses points in its question alone, of those that ask for its name; the feedback has its name and hint."""
    name = f"{misconception.question}-{misconception.key}.zip"
    asked = concerned(ASSIGNMENT, misconception)
    result = grade(name, wrong(misconception.key, misconception.replaces), asked)
    told = text(result, misconception.question)
    assert set(lost(result)) == {misconception.question}, told
    assert result["extra_data"]["diagnoses"] == {misconception.question: misconception.key}
    like = "like" if f"behaves like {misconception.name}" in told else "exactly like"
    assert f"Your `{misconception.replaces}` behaves {like} {misconception.name}." in told
    assert f"Hint: {misconception.hint}" in told


def test_library_answer(grade):
    """torch.pca_lowrank earns nothing in q5, and costs nothing elsewhere."""
    result = grade("library.py", (script(CELLS) + "# %%\n" + LIBRARY).encode())
    assert lost(result) == {"q5": 0}
    assert "your code ran torch.pca_lowrank" in text(result, "q5")


FEEDBACK = {
    "merged_twice": """\
Your `merge` behaves exactly like a merge in which one id takes part in two pairs.
Hint: Once two ids have become one, they are used up: where must you go on?

passed: the pairs of banana bandana (2 of 2)
passed: an becomes one token (2 of 2)
FAILED: pairs that overlap (0 of 2)
    merge([7, 7, 7], (7, 7), 256) is [256, 256], but [256, 7] was expected.
    Hint: In a, a, a the pair (a, a) is counted twice, for every place counts. But merging it gives X, a: go on behind both, for an id that was merged is used up.\
""",
    "counted_once": """\
Your `train_bpe` behaves like a training that counts once and never again.
Hint: After a merge its neighbours have other counts, and there are new pairs. Count again in the row that is left.

passed: banana bandana: one merge, and none (2 of 2)
FAILED: two merges worked out by hand (0 of 3)
    train_bpe("banana bandana banana band", 258) is [(97, 110), (110, 97)], but [(97, 110), (98, 256)] was expected.
    Hint: 'an' stands in 7 places, more than any other pair. Once it is X, that is 256, the row is bXXa bXdXa bXXa bXd: (b, X) stands in 4 places, (X, a) in 3. Count again after each merge.
passed: the same twice (2 of 2)\
""",
}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    result = grade(f"letter-{key}.zip", wrong(key, known.replaces))
    visible = [
        e for e in result["tests"] if e["visibility"] == "visible" and e["name"].startswith(known.question)
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook, with all figures."""
    import jupytext

    for name, content in ASSIGNMENT.data().items():
        (tmp_path / name).write_bytes(content)
    book = jupytext.read(ASSIGNMENT.reference, fmt="py:percent")
    nbformat.write(book, tmp_path / "bpe.ipynb")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "bpe.ipynb",
        "--output",
        "out.ipynb",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
