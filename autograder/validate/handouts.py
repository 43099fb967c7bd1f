"""The kit is current and holds no secret, and its checks work with plain Otter: right answers pass, the stub fails."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from autograder import kit, submission
from autograder.assignment import Assignment
from autograder.kit.secrets import leaks
from autograder.suite import JudgedTestFile
from autograder.validate.apart import apart
from autograder.validate.bench import Bench
from autograder.validate.digests import text_digest
from autograder.validate.model import Examination, Options, Verdict

SECONDS = 300.0  # for the public tests of one assignment; the slowest, which train a little, take 3 s
SHOWN = 3


class Kit(Examination):
    """What students are given."""

    name = "kit"

    def pieces(self, assignment: Assignment, options: Options) -> list[str]:
        """The files; the checks on the reference and on the stub."""
        return ["files", "reference", "stub"]

    def key(self, assignment: Assignment) -> str:
        """Its texts as well."""
        return text_digest(assignment)

    def examine(self, bench: Bench, assignment: Assignment, piece: str) -> dict[str, Any]:
        """Builds the kit again, or runs the public tests that it holds."""
        if piece == "files":
            return {"stale": kit.stale(assignment), "leaks": leaks(assignment, kit.build(assignment))}
        script = (
            assignment.reference if piece == "reference" else assignment.template / f"{assignment.slug}.py"
        )
        return {"results": apart(lambda: checked(assignment, script), SECONDS)}

    def conclude(self, assignment: Assignment, found: dict[str, Any], options: Options) -> Verdict:
        """Nothing stale, nothing secret, every public test passes on the reference and fails on the stub."""
        verdict = Verdict("current", data=found)
        for difference in found.get("files", {}).get("stale", []):
            verdict.error(f"{difference}. Run: autograder kit {assignment.slug}")
        for leak in found.get("files", {}).get("leaks", []):
            verdict.error(f"a secret is in the kit: {leak}")
        for piece, wanted in (("reference", True), ("stub", False)):
            for case, message in found.get(piece, {}).get("results", {}).items():
                if (message == "") is not wanted:
                    says = f"fails on the reference ({message})" if wanted else "passes on the untouched stub"
                    verdict.error(f"with plain Otter, the public test {case} {says}")
        return verdict


def checked(assignment: Assignment, script: Path) -> dict[str, str]:
    """Runs a script's graded cells and the kit's tests as a student does, without anything of ours.

    Returns:
        "question: case" -> why it failed, "" if it passed.
    """
    cells = submission.read(script, script.name, assignment).cells
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, content in assignment.data().items():
            Path(name).write_bytes(content)
        for name in [name for name in sys.modules if name.split(".")[0] == "autograder"]:
            sys.modules[name] = None  # type: ignore[assignment]  # whatever imports it now fails, as on a laptop
        names: dict[str, Any] = {"__name__": "homework"}
        for cell in cells:
            exec(compile("\n" * (cell.line - 1) + cell.source, script.name, "exec"), names)
        found = {}
        for question in assignment.questions:
            file = JudgedTestFile.from_file(str(assignment.template / "tests" / f"{question.name}.py"))
            file.run(names)
            for result in file.test_case_results:
                found[f"{question.name}: {result.test_case.name}"] = (
                    "" if result.passed else f"{result.message}"[:500] or "failed"
                )
        return found
