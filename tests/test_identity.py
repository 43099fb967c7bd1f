"""Which results are graded again after which change: those that it can touch, and no others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from autograder import identity
from autograder.assignment import load
from autograder.identity import identify

DATA = Path(__file__).parent / "data"
TEST, MISCONCEPTIONS, TOML = "tests/q1.py", "misconceptions.py", "assignment.toml"


@pytest.fixture(params=["sample"])
def course(request, tmp_path):
    """A copy of a course whose files may be changed: gives what another identity has in another place."""
    root = tmp_path / "course"
    shutil.copytree(DATA / request.param, root)
    return Course(root)


class Course:
    """A course and what its identity was at first."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.slug = next((root / "assignments").iterdir()).name
        self.before = identify(load(self.slug, root))

    def changed(self, path: str, old: str, new: str) -> set[str]:
        """The parts whose digests are others, once `old` is `new` in a file of the assignment."""
        file = (
            self.root / path if path.startswith("reference") else self.root / "assignments" / self.slug / path
        )
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        return self.now()

    def now(self) -> set[str]:
        """The parts whose digests are others now."""
        now = identify(load(self.slug, self.root))
        parts = {name for name in now.questions if now.questions[name] != self.before.questions.get(name)}
        parts |= {"beside"} if now.beside != self.before.beside else set()
        return parts | ({"whole"} if now.whole != self.before.whole else set())


def test_the_same_twice(course):
    """Nothing in it depends on the time, the place or the run."""
    assert course.now() == set()


@pytest.mark.parametrize(
    ("path", "old", "new", "parts"),
    [
        (TEST, "[0.25, 0.75]", "[0.2, 0.8]", {"q1", "whole"}),
        (TEST, "import torch", "# a remark\nimport torch  # and one more", set()),
        (TEST, '"""', '"""Other words. ', set()),
        (TOML, 'title = "Softmax"', 'title = "The softmax"', {"q1", "whole"}),
        (TOML, "call_seconds = ", "call_seconds = 1", {"q1", "q2", "whole"}),
        (TOML, 'title = "A softmax and a gate"', 'title = "Two things"', {"whole"}),
        ("reference/mini.py", "import torch", "import torch, math", {"q1", "q2", "whole"}),
        ("reference/mini.py", "# %% [markdown]", "# %% [markdown]\n# Other prose.", set()),
        ("rubric.md", "#", "##", set()),
    ],
    ids=["test", "comment", "docstring", "question", "limit", "title", "reference", "prose", "rubric"],
)
def test_what_a_change_touches(course, path, old, new, parts):
    """A question's own file touches that question, what all share touches all, words touch nothing."""
    assert course.changed(path, old, new) == parts


def test_misconceptions(course):
    """A known mistake is its own question's; what stands between them is everybody's."""
    file = course.root / "assignments" / course.slug / MISCONCEPTIONS
    text = file.read_text(encoding="utf-8")
    extra = '\n\n@misconception("q2", replaces="Gate", name="n", hint="h")\ndef another(x):\n    return x\n'
    file.write_text(text + extra, encoding="utf-8")
    assert course.now() == {"q2", "whole"}
    file.write_text(text + "\n\nSCALE = 2\n", encoding="utf-8")
    assert course.now() == {"q1", "q2", "whole"}


def test_checks(course, monkeypatch, tmp_path):
    """What test files import from this package counts, with what that imports in turn."""
    package = tmp_path / "autograder"
    shutil.copytree(identity.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "PACKAGE", package)
    monkeypatch.setattr(identity, "grader_version", lambda: course.before.grader)
    assert course.now() == set()
    with (package / "checks" / "compare.py").open("a", encoding="utf-8") as file:
        file.write("\n\nLOOSE = True\n")
    assert course.now() == {"q1", "q2", "whole"}


@pytest.mark.parametrize(
    ("file", "counts"), [("grading.py", True), ("sandbox/serve.py", True), ("report/grades.py", False)]
)
def test_the_grader(monkeypatch, tmp_path, file, counts):
    """A change of what judges is another grader; one of what only writes is not."""
    package = tmp_path / "autograder"
    shutil.copytree(identity.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "PACKAGE", package)
    before = identity.grader_version()
    with (package / file).open("a", encoding="utf-8") as source:
        source.write("\n\nMORE = True\n")
    assert (identity.grader_version() != before) is counts


def test_modules_around_the_judging_exist():
    """A module that was renamed counts as judging until its new name stands in the list."""
    missing = [name for name in identity._AROUND if not (identity.PACKAGE / name).exists()]
    assert not missing


@pytest.mark.parametrize("course", ["trained"], indirect=True)
@pytest.mark.parametrize(
    ("path", "old", "new", "parts"),
    [
        ("fixtures.py", "import torch", "import torch, math", {"q1", "beside", "whole"}),
        ("figures.py", "import", "import math\nimport", {"beside", "whole"}),
        (TOML, 'order = "asc"', 'order = "desc"', {"beside", "whole"}),
    ],
    ids=["fixtures", "figures", "leaderboard"],
)
def test_fixtures_and_figures(course, path, old, new, parts):
    """Questions that ask for a fixture rest on it; figures and the leaderboard are no question's."""
    assert course.changed(path, old, new) == parts
