"""The documents for builders: the picture is the one that the imports make, links lead somewhere, paths are there."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.docs import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


@pytest.fixture(scope="module")
def architecture():
    """The script that draws the picture."""
    spec = importlib.util.spec_from_file_location("architecture", ROOT / "docs" / "architecture.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_picture_is_true(architecture):
    """Whoever adds a module or an import draws it again."""
    assert architecture.draw() == architecture.PICTURE.read_text(encoding="utf-8"), (
        "Run: python docs/architecture.py"
    )


def test_an_import_that_goes_up_is_seen(architecture, monkeypatch):
    """The check can fail: by an import upwards, and by a module without a place."""
    found = architecture.imported
    monkeypatch.setattr(
        architecture, "imported", lambda name: found(name) | ({"cli"} if name == "wire" else set())
    )
    monkeypatch.setattr(architecture, "modules", lambda: ["wire"])
    with pytest.raises(ValueError, match="wire"):
        architecture.edges()
    monkeypatch.undo()
    monkeypatch.setattr(architecture, "imported", lambda name: {"cli"} if name == "assignment" else set())
    with pytest.raises(ValueError, match="assignment imports cli, which stands above it"):
        architecture.edges()


def test_every_group_is_in_the_reading_order(architecture):
    """architecture.md says when to read each module."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    order = text.split("## In which order to read")[1].split("\n## ")[0]
    known = set(re.findall(r"`([a-z]\w*)/?`", order))
    assert {group.title for group in architecture.GROUPS} - known == {"cli"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path):
    """Files that a document links to exist."""
    text = document.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "document", ["docs/architecture.md", "docs/grading.md", "docs/authoring.md", "CONTRIBUTING.md"]
)
def test_paths_are_there(document: str):
    """What looks like a path of this project is one."""
    text = (ROOT / document).read_text(encoding="utf-8")
    tops = "reference|assignments|student_template|autograder|docs|tests|benchmarks"
    found = set(re.findall(rf"`((?:{tops})/[\w./-]*)`", text))
    made = {path for path in found if "layer_norm" in path or "SLUG" in path}  # by the reader
    assert sorted(path for path in found - made if not (ROOT / path).exists()) == []


def test_every_module_says_what_it_is():
    """Each begins with a sentence that ends."""
    import ast

    for path in sorted((ROOT / "autograder").rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_bytes())) or ""
        first = text.split("\n\n")[0]
        assert first.endswith((".", ":")), f"{path.relative_to(ROOT)}: {first[-40:]!r}"
