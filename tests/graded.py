"""What `autograder grade` wrote about a folder of submissions, and what must hold for each whatever it was."""

from __future__ import annotations

import ast
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from autograder.assignment import Assignment
from autograder.report.files import file_name

CHANGING = ("execution_time", "usage")  # what may differ between two runs: times, and memory


class Class:
    """The results of one run.

    Args:
        output: what was given to `-o`.
        assignment: what was graded.
    """

    def __init__(
        self, output: Path, assignment: Assignment, exit_code: int, stdout: str, stderr: str
    ) -> None:
        self.output, self.exit_code, self.stdout, self.stderr = output, exit_code, stdout, stderr
        self.points = {question.name: question.points for question in assignment.questions}
        with open(output / "grades.csv", newline="", encoding="utf-8") as table:
            self.rows = {row["submission"].removeprefix("'"): row for row in csv.DictReader(table)}
        self.results = {
            path.name.removesuffix(".json"): json.loads(path.read_text(encoding="utf-8"))
            for path in (output / "results").iterdir()
        }

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The results file of a submission, by the name of its file."""
        shown = "".join(letter if letter.isprintable() else "?" for letter in name)
        return self.results[file_name(shown)]

    def status(self, name: str) -> str:
        """graded, failed or error."""
        return str(self[name]["extra_data"]["status"])

    def lost(self, name: str) -> dict[str, float]:
        """The scores of the questions that lost points."""
        scores = self[name]["extra_data"]["questions"]
        return {question: score for question, score in scores.items() if score < self.points[question]}

    def text(self, name: str, question: str = "") -> str:
        """All that a student reads about a submission, or about one question of it."""
        result = self[name]
        entries = [
            e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:" if question else "")
        ]
        return "\n".join(entries if question else [result["output"], *entries])


def lasting(result: dict[str, Any]) -> dict[str, Any]:
    """A results file without what may differ between two runs."""
    extra = {key: value for key, value in result["extra_data"].items() if key not in CHANGING}
    return {**{key: value for key, value in result.items() if key not in CHANGING}, "extra_data": extra}


def hidden_cases(assignment: Assignment) -> dict[str, tuple[set[str], list[dict[str, Any]]]]:
    """For each question the names of its public cases, and name and message of each hidden one."""
    found = {}
    for question in assignment.questions:
        tree = ast.parse(assignment.test_file(question.name).read_text(encoding="utf-8"))
        calls = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "test_case"
        ]
        cases = [{k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg} for call in calls]
        public = {case["name"] for case in cases if not case["hidden"]}
        found[question.name] = public, [case for case in cases if case["hidden"]]
    return found


def assert_hidden_cases_stay_hidden(result: dict[str, Any], assignment: Assignment) -> None:
    """What is visible before grades are published has nothing in it about hidden cases."""
    cases = hidden_cases(assignment)
    for entry in result["tests"]:
        question = entry["name"].split(":")[0]
        if entry["visibility"] != "visible" or question not in cases:
            continue
        public, hidden = cases[question]
        for case in hidden:
            assert case["name"] in public or f": {case['name']} (" not in entry["output"]
            assert case["failure_message"] not in entry["output"]


def assert_gradescopes(result: dict[str, Any], paths: bool = True) -> None:
    """Numbers add up, texts are texts, and every entry has the fields of the schema.

    Args:
        result: a results file.
        paths: whether to look for paths and addresses in the texts as well.
    """
    assert 0 <= result["score"] <= result["max_score"]
    assert sum(entry["score"] for entry in result["tests"]) == pytest.approx(result["score"], abs=1e-3)
    assert sum(entry["max_score"] for entry in result["tests"]) == pytest.approx(result["max_score"])
    for entry in result["tests"]:
        assert entry["visibility"] in ("visible", "after_published")
        assert entry["status"] in ("passed", "failed")
        assert isinstance(entry["output"], str)
        if paths:
            assert not re.search(r"(?<![\w.])/\w+/\w|0x[0-9a-f]{6}", entry["output"])
