"""What students must not see, and whether it stands in a kit: the sources are cut by other means than the kit's own."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from autograder.assignment import Assignment

_MARKER = re.compile(r"BEGIN SOLUTION|END SOLUTION|# ?SOLUTION|hidden=True|autograder")


def secrets(assignment: Assignment) -> dict[str, str]:
    """Each line that students must not see -> what it is."""
    solutions, given = _split_reference(assignment)
    tests = [_split_tests(assignment.test_file(question.name)) for question in assignment.questions]
    shown = _squeezed(given)
    public = shown + _squeezed("\n".join(text for _, text in tests))
    sources = {  # a line that is shown elsewhere by its author's will is no secret
        "misconception": (assignment.misconceptions.read_text(encoding="utf-8"), public),
        "hidden test": ("\n".join(hidden for hidden, _ in tests), public),
        "solution": (solutions, shown),
    }
    return {
        line: what for what, (text, open_) in sources.items() for line in telling(text) if line not in open_
    }


def leaks(assignment: Assignment, files: dict[str, bytes]) -> list[str]:
    """What of the secrets stands in a kit: "what in where: line"; the grader's own name and markers are some, too."""
    shown = {path: data.decode("utf-8") for path, data in files.items() if path not in assignment.files}
    marks = [f"marker in {path}: {mark}" for path in shown for mark in set(_MARKER.findall(shown[path]))]
    shown |= {p: "\n".join(_texts(json.loads(text))) for p, text in shown.items() if p.endswith(".ipynb")}
    flat = {path: _squeezed(re.sub(r"(?m)^\s*#", "", text)) for path, text in shown.items()}
    hits = (
        (what, path, line)
        for line, what in secrets(assignment).items()
        for path in flat
        if line in flat[path]
    )
    return marks + [f"{what} in {path}: {line}" for what, path, line in hits]


def telling(text: str) -> Iterator[str]:
    """The lines that say something: 20 characters or more, with a word in them."""
    for line in text.split("\n"):
        line = _squeezed(line.strip().lstrip("#"))
        if len(line) >= 20 and re.search(r"[A-Za-z]{3}", line):
            yield line


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _split_reference(assignment: Assignment) -> tuple[str, str]:
    """The reference cut at its markers, line by line: (solutions, what students see)."""
    secret: list[str] = []
    given: list[str] = []
    inside = in_answer = False
    for line in assignment.reference.read_text(encoding="utf-8").split("\n"):
        if line.startswith("# %%"):
            in_answer = '"solution"' in line
        elif re.match(r"\s*# (BEGIN|END) SOLUTION", line):
            inside = "BEGIN" in line
        else:
            hidden = inside or in_answer or re.search(r"# ?SOLUTION", line)
            (secret if hidden else given).append(re.sub(r"# ?SOLUTION.*", "", line))
    return "\n".join(secret), "\n".join(given)


def _split_tests(path: Path) -> tuple[str, str]:
    """A test file cut by reading it as text: (hidden cases and helpers that no public one mentions, the rest)."""
    source = path.read_text(encoding="utf-8")
    blocks = [block for block in re.split(r"\n\n+(?=\S)", source) if block.strip()]
    hidden = [block for block in blocks if "@test_case" in block and "hidden=False" not in block]
    helpers = {block.split("(")[0].split()[1]: block for block in blocks if re.match(r"(def|class) ", block)}
    public = [block for block in blocks if block not in hidden and block not in helpers.values()]
    while used := [name for name in helpers if re.search(rf"\b{name}\b", "\n".join(public))]:
        public += [helpers.pop(name) for name in used]
    return "\n".join(hidden + list(helpers.values())), "\n".join(public)


def _texts(value: object) -> Iterator[str]:
    """Every text in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        yield "\n".join(item for item in value if isinstance(item, str))
        yield from (text for item in value for text in _texts(item))
    elif isinstance(value, dict):
        yield from (text for item in [*value, *value.values()] for text in _texts(item))
