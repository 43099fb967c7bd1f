"""What a student wrote, in words, for the questions that a person grades."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from autograder.submission.cells import raw_cells
from autograder.submission.model import Submission

PLACEHOLDER = "*Your answer here.*"
MAX_ANSWER = 20_000  # characters; a proof of three pages has 9 000

_QUESTION = re.compile(r"#+\s*([qw]\d+)\b")
_SCRIPT_CELL = re.compile(r"^# ?%%(.*)$", re.M)


def answers(submission: Submission, names: Iterable[str]) -> dict[str, str]:
    """The answers that were given, by question; one that was left as it was handed out is not among them.

    An answer is what stands in text cells between the heading of its question and that of the next one.
    """
    texts = _notebook_texts(submission) if submission.kind == "notebook" else _script_texts(submission)
    found: dict[str, list[str]] = {name: [] for name in names}
    current = None
    for text in texts:
        if heading := _QUESTION.match(text):
            current = heading[1]
        elif current in found:
            found[current].append(text.replace(PLACEHOLDER, "").strip())
    joined = {name: "\n\n".join(filter(None, parts))[:MAX_ANSWER] for name, parts in found.items()}
    return {name: text for name, text in joined.items() if text}


def _notebook_texts(submission: Submission) -> Iterator[str]:
    for cell in raw_cells(
        submission.main, submission.files[submission.main]
    ):  # read before, so it is a notebook
        if cell.get("cell_type") in ("markdown", "heading"):
            source = cell.get("source", "")
            yield ("".join(map(str, source)) if isinstance(source, list) else str(source)).strip()


def _script_texts(submission: Submission) -> Iterator[str]:
    source = submission.files[submission.main].decode("utf-8", "replace").replace("\r\n", "\n")
    parts = _SCRIPT_CELL.split(source)
    for header, body in zip(parts[1::2], parts[2::2], strict=True):
        if "[markdown]" in header:
            yield re.sub(r"^# ?", "", body, flags=re.M).strip()
