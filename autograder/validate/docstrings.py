"""What the docstrings of a reference promise and ask: errors, and shapes and dtypes of what goes in and comes out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.assignment import Assignment

_SECTION = re.compile(r"(\w[\w ]*):\s*$")
_ENTRY = re.compile(r"(?:[*\w]+(?:, [*\w]+)*)(?: \([^)]*\))?: ")
# A shape such as (..., n, d), (n,) or (), or a word for one; a dtype.
_SHAPE = re.compile(
    r"\([\w.*+/ -]*,[^()]*\)|\b0-d\b|\(\)|\bshapes?\b|\bdtype|\bfloat\d*\b|\bbool(ean)?s?\b|\blong\b|\bint(egers?)?\b"
)
_END_OF_SENTENCE = re.compile(r"(?<=[.;])\s+(?=[^a-z]|$)|(?<=;)\s+")


@dataclass(frozen=True)
class Statement:
    """One thing that a docstring says and a test can hold somebody to.

    Attributes:
        name: the function, class or Class.method.
        section: "Args", "Returns" or "Raises".
        text: a part of the docstring, with single blanks.
    """

    name: str
    section: str
    text: str


def docstrings(assignment: Assignment) -> dict[str, str]:
    """The docstrings of what the questions ask for, by name, and those of methods, as Class.method."""
    wanted = {name for question in assignment.questions for name in question.defines}
    tree = ast.parse(assignment.reference.read_text(encoding="utf-8"))
    found: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in wanted:
            found[node.name] = ast.get_docstring(node) or ""
            inner = node.body if isinstance(node, ast.ClassDef) else []
            methods = (part for part in inner if isinstance(part, ast.FunctionDef))
            found |= {f"{node.name}.{part.name}": ast.get_docstring(part) or "" for part in methods}
    return found


def statements(name: str, docstring: str) -> Iterator[Statement]:
    """What is to be held: every clause of `Raises:`, each sentence of `Args:` and `Returns:` on a shape or dtype."""
    for section, entries in _sections(docstring).items():
        for entry in entries:
            text = _ENTRY.sub("", entry, count=1) if section != "Returns" else entry
            for sentence in _sentences(text):
                if section == "Raises" or _SHAPE.search(sentence):
                    yield Statement(name, section, sentence)


def single_blanks(text: str) -> str:
    """The text with any run of blanks and line ends as one blank."""
    return " ".join(text.split())


def _sections(docstring: str) -> dict[str, list[str]]:
    """The entries of the three sections: what stands at the section's own indentation begins a new one."""
    found: dict[str, list[str]] = {}
    section, indent = "", None
    for line in docstring.split("\n"):
        depth = len(line) - len(line.lstrip())
        if depth == 0 and line:
            match = _SECTION.match(line)
            section, indent = (match[1] if match else ""), None
        elif line and section in ("Args", "Returns", "Raises"):
            indent = depth if indent is None else indent
            entries = found.setdefault(section, [])
            if entries and (depth > indent or section == "Returns"):
                entries[-1] += f" {line.strip()}"
            else:
                entries.append(line.strip())
    return found


def _sentences(text: str) -> list[str]:
    return [part.strip(" .;") for part in _END_OF_SENTENCE.split(single_blanks(text)) if part.strip(" .;")]
