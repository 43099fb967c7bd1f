"""The whole product on the attention assignment: everything in tests/submissions, graded by the real command.

One run of `autograder grade` grades all of it; the tests read what it wrote. A second, in-process judge grades some
of it again, to see that the same submission gets the same results.
"""

from __future__ import annotations

import ast
import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

from autograder import submission
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.host import Sandbox
from tests import build_submissions as build

ASSIGNMENT = build.ASSIGNMENT
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
HONEST, CHEATS, ACCIDENTS = build.honest(), build.cheats(), build.accidents()
STUBS = {"stub.py": build.template("attention.py"), "stub.ipynb": build.template("attention.ipynb")}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
WRONG = {f"{m.question}-{m.key}.zip": m for m in MISCONCEPTIONS}
VERDICTS = tomllib.loads((build.FOLDER / "accidents" / "verdicts.toml").read_text(encoding="utf-8"))
pytestmark = pytest.mark.slow
CHANGING = ("execution_time", "usage")  # what may differ between two runs: times, and memory


class Class:
    """What the command wrote about a folder of submissions."""

    def __init__(self, output: Path, exit_code: int, stdout: str, stderr: str) -> None:
        self.output, self.exit_code, self.stdout, self.stderr = output, exit_code, stdout, stderr
        self.results = {
            path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
            for path in (output / "results").iterdir()
        }
        with open(output / "grades.csv", newline="", encoding="utf-8") as table:
            self.rows = {row["submission"]: row for row in csv.DictReader(table)}

    def lost(self, name):
        """The scores of the questions that lost points."""
        scores = self.results[name]["extra_data"]["questions"]
        return {question: score for question, score in scores.items() if score < POINTS[question]}

    def text(self, name, question=""):
        """All that a student reads about a submission, or about one question of it."""
        result = self.results[name]
        entries = [
            e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:" if question else "")
        ]
        return "\n".join(entries if question else [result["output"], *entries])


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Everything, graded by one run of the command."""
    folder = tmp_path_factory.mktemp("class")
    wrong = {name: build.misconception(m.key, m.replaces) for name, m in WRONG.items()}
    for name, content in {**HONEST, **CHEATS, **ACCIDENTS, **STUBS, **wrong}.items():
        assert not (folder / name).exists(), f"two submissions are called {name}"
        (folder / name).write_bytes(content)
    output = folder.with_name("graded")
    command = [sys.executable, "-m", "autograder", "grade", "attention", str(folder), "-o", str(output)]
    done = subprocess.run(command, cwd=ASSIGNMENT.root, capture_output=True, text=True, timeout=600)
    assert (output / "grades.csv").exists(), done.stderr
    return Class(output, done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def judge():
    """A judge in this process."""
    with Sandbox() as sandbox:
        yield Judge(ASSIGNMENT, sandbox)


# --------------------------------------------------------------------------------------------------- right answers


@pytest.mark.parametrize("name", HONEST)
def test_right_answers_earn_everything(graded, name):
    """The reference as a script, a notebook and in an archive, and every honest style."""
    assert graded.results[name]["extra_data"]["status"] == "graded"
    assert graded.lost(name) == {}, graded.text(name)
    assert graded.results[name]["score"] == ASSIGNMENT.possible
    assert all(entry["status"] == "passed" for entry in graded.results[name]["tests"])
    assert graded.results[name]["extra_data"]["diagnoses"] == {}


@pytest.mark.parametrize("name", STUBS)
def test_untouched_stub(graded, name):
    """Nothing is earned, and each question says why in one sentence."""
    assert graded.results[name]["score"] == 0
    public = [entry for entry in graded.results[name]["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)
    assert graded.results[name]["extra_data"]["diagnoses"] == {}
    assert "stopped with an error" not in graded.results[name]["output"]


# --------------------------------------------------------------------------------------------------- misconceptions


def test_confusions(graded):
    """Every misconception is taken for itself; the table of those that are not."""
    confused = {}
    for name, misconception in WRONG.items():
        found = graded.results[name]["extra_data"]["diagnoses"].get(misconception.question)
        if found != misconception.key:
            confused[misconception.key] = found
    assert not confused, "\n".join(f"{key:40} is taken for {found}" for key, found in confused.items())


@pytest.mark.parametrize("name", WRONG)
def test_misconception(graded, name):
    """It loses points in its question, keeps all others, and the feedback has its name and its hint."""
    misconception = WRONG[name]
    assert set(graded.lost(name)) == {misconception.question}, graded.text(name)
    text = graded.text(name, misconception.question)
    assert f"Your `{misconception.replaces}` behaves exactly like {misconception.name}." in text
    assert f"Hint: {misconception.hint}" in text
    assert graded.rows[name]["diagnoses"] == f"{misconception.question}:{misconception.key}"


# ------------------------------------------------------------------------------------------------ cheats, accidents


def declared(name):
    """The verdict in the docstring of a cheat: (scores of the questions that lose points, phrase of the feedback)."""
    text = ast.get_docstring(ast.parse((build.FOLDER / "cheats" / name).read_text(encoding="utf-8")))
    verdict = re.search(r"^verdict: (.*)$", text, re.M)[1]
    says = re.search(r"^says: (.*)$", text, re.M)
    if verdict == "0":
        return dict.fromkeys(POINTS, 0), says[1] if says else ""
    return {key: float(value) for key, value in re.findall(r"(q\d)=(\d+)", verdict)}, says[1] if says else ""


@pytest.mark.parametrize("name", CHEATS)
def test_cheat(graded, name):
    """No attack gains a point, and none is taken for the grader's own fault."""
    scores, says = declared(name)
    assert graded.results[name]["extra_data"]["status"] == "graded"
    assert graded.lost(name) == scores, graded.text(name)
    assert says in graded.text(name)


def test_reading_from_the_disk_would_pay():
    """Outside of the sandbox, the cheat that reads the reference from disk finds it."""
    code = build.complete((build.FOLDER / "cheats" / "read_from_disk.py").read_text(encoding="utf-8"))
    probe = "import torch; print('sum', attention_weights(torch.ones(1, 2), torch.ones(3, 2)).sum().item())"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{probe}"],
        cwd=ASSIGNMENT.root,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.strip().endswith("sum 1.0"), done.stderr


def test_every_accident_has_a_verdict():
    """The table and the files are about the same submissions."""
    assert sorted(VERDICTS) == sorted(ACCIDENTS)


@pytest.mark.parametrize("name", ACCIDENTS)
def test_accident(graded, name):
    """It costs what the table says, and the student is told what happened."""
    verdict = VERDICTS[name]
    assert graded.results[name]["extra_data"]["status"] == verdict.get("status", "graded"), graded.text(name)
    assert graded.lost(name) == verdict.get("loses", {}), graded.text(name)
    if verdict.get("quiet"):
        assert "stopped with an error" not in graded.text(name)
    for phrase in verdict.get("says", []):
        assert phrase in graded.text(name), graded.text(name)


# ------------------------------------------------------------------------------------------------------- the output


def test_exit_code_and_summary(graded):
    """Some could not be read: exit code 1, and they are named."""
    unreadable = [name for name, verdict in VERDICTS.items() if verdict.get("status") == "failed"]
    assert graded.exit_code == 1
    assert f"Could not be graded: {', '.join(sorted(unreadable))}" in graded.stderr.replace("\n", " ")
    assert "Traceback" not in graded.stderr


def test_table(graded):
    """One row a submission, with the columns that DESIGN.md names, and the same numbers as in the results."""
    header = (graded.output / "grades.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "submission,status,score,possible,seconds,q1,q2,q3,q4,q5,q6,q7,diagnoses"
    assert graded.rows.keys() == graded.results.keys()
    for name, row in graded.rows.items():
        result = graded.results[name]
        assert float(row["score"]) == result["score"]
        assert float(row["possible"]) == result["max_score"] == ASSIGNMENT.possible
        assert row["status"] == result["extra_data"]["status"]
        assert {q: float(row[q]) for q in POINTS} == {
            **dict.fromkeys(POINTS, 0),
            **result["extra_data"]["questions"],
        }


def test_hidden_cases_stay_hidden(graded):
    """What is visible before grades are published has nothing in it about hidden cases."""
    suite = {}
    for question in ASSIGNMENT.questions:
        tree = ast.parse(ASSIGNMENT.test_file(question.name).read_text(encoding="utf-8"))
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "test_case"
        ]
        for call in calls:
            values = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
            suite.setdefault((question.name, values["hidden"]), []).append(values)
    for name, result in graded.results.items():
        for entry in result["tests"]:
            question = entry["name"].split(":")[0]
            if entry["visibility"] != "visible" or question not in POINTS:
                continue
            public = {case["name"] for case in suite[question, False]}
            for case in suite[question, True]:
                assert case["name"] in public or f": {case['name']} (" not in entry["output"], name
                assert case["failure_message"] not in entry["output"], name


def test_results_are_gradescopes(graded):
    """Numbers add up, texts are texts, and every entry has the fields of the schema."""
    for name, result in graded.results.items():
        assert 0 <= result["score"] <= result["max_score"]
        assert sum(entry["score"] for entry in result["tests"]) == pytest.approx(result["score"], abs=1e-3), (
            name
        )
        assert sum(entry["max_score"] for entry in result["tests"]) == pytest.approx(result["max_score"])
        for entry in result["tests"]:
            assert entry["visibility"] in ("visible", "after_published")
            assert entry["status"] in ("passed", "failed")
            assert isinstance(entry["output"], str)
            if name != "library_compiled.py":  # TorchScript's own message lists every file on its way
                assert not re.search(r"(?<![\w.])/\w+/\w|0x[0-9a-f]{6}", entry["output"]), name


SOME = [
    "reference.ipynb",
    "reference.zip",
    "einsum.py",
    "stub.ipynb",
    "sys_exit_in_q3.py",
    "segfault_in_q3.py",
    "absolute_paths_in_q3.py",
    "exits_in_the_middle.ipynb",
    "helpers_and_data.zip",
    "lying_objects.py",
    "library_multihead.py",
    *list(WRONG)[::14],
]


@pytest.mark.parametrize("name", SOME)
def test_same_results_again(graded, judge, tmp_path, name):
    """Another judge, in another process and another order, writes the same but for times and memory."""
    known = {**HONEST, **STUBS, **CHEATS, **ACCIDENTS}
    path = tmp_path / name
    wrong = WRONG.get(name)
    path.write_bytes(build.misconception(wrong.key, wrong.replaces) if wrong else known[name])
    again = judge.grade(submission.read(path, name, ASSIGNMENT))
    assert _lasting(gradescope.to_dict(again, ASSIGNMENT)) == _lasting(graded.results[name])


def _lasting(result):
    result = json.loads(json.dumps(result))
    extra = {key: value for key, value in result["extra_data"].items() if key not in CHANGING}
    return {**{key: value for key, value in result.items() if key not in CHANGING}, "extra_data": extra}
