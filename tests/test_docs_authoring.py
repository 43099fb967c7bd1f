"""docs/authoring.md: the assignment in the text is built as it says, passes, and grades a submission."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs import ROOT

GUIDE = (ROOT / "docs" / "authoring.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.M | re.S)
HEADS = {
    "append": r"# append to (\S+)\n",
    "write": r"# write (\S+)\n",
    "insert": r'# insert before "(.+)" in (\S+)\n',
}


def do(folder: Path, kind: str, block: str) -> list[str]:
    """What a reader does with a block: types its commands, or changes a file; what the commands said."""
    if not kind:
        return [typed(folder, line) for line in block.splitlines()]
    for action, pattern in HEADS.items():
        if head := re.match(pattern, block):
            change(folder, action, head.groups(), block[head.end() :])
            return []
    raise AssertionError(f"nobody knows where this belongs: {block.splitlines()[0]}")


def change(folder: Path, action: str, where: tuple[str, ...], text: str) -> None:
    path = folder / where[-1]
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if action == "insert":
        assert before.count(where[0]) == 1
        path.write_text(before.replace(where[0], text + where[0]), encoding="utf-8")
    else:
        assert (action == "append") == bool(before)
        path.write_text(before + text, encoding="utf-8")


def typed(folder: Path, command: str) -> str:
    """A command in the project's folder; it must succeed."""
    assert command.startswith("autograder ")
    done = subprocess.run(
        [sys.executable, "-m", *shlex.split(command)],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project without assignments in which all was done; the folder, and what each command said."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("assignments", "reference"):
        (folder / name).mkdir()
    return folder, [said for kind, block in STEPS for said in do(folder, kind, block)]


def test_it_passes_validate(built):
    """The skeleton as it comes, and the two questions of the text: `validate` has nothing to mend."""
    _, (_, skeleton, _, finished, *_) = built
    assert "10, 0" in skeleton
    assert "18, 0" in finished
    assert "10 of 10 named" in finished


def test_the_submission_is_graded_as_the_text_says(built):
    """13 of 18 points, the mistake's name, and the same from --explain."""
    folder, said = built
    result = json.loads((folder / "build" / "layer_norm" / "results" / "submission.py.json").read_text())
    assert result["score"] == 13
    sentence = "Your `LayerNorm` behaves exactly like a layer norm that adds the bias before it multiplies."
    assert sentence in json.dumps(result, ensure_ascii=False)
    assert sentence in re.sub(r"\s+", " ", GUIDE.replace("*", ""))
    assert "BiasFirst" in said[-1]
    assert "<- named" in said[-1]


def test_what_is_there_is_not_overwritten(built):
    """A second `new` of the same name is refused, and so is a name that Python would not take."""
    folder, _ = built
    before = (folder / "reference" / "layer_norm.py").read_text(encoding="utf-8")
    for slug, why in (("layer_norm", "is there already"), ("Layer-Norm", "lower-case letters")):
        command = [sys.executable, "-m", "autograder", "new", slug]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert why in done.stderr
    assert (folder / "reference" / "layer_norm.py").read_text(encoding="utf-8") == before
