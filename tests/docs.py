"""What the documents say to type, taken out of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def section(document: str, heading: str) -> str:
    """The text below a heading, up to the next one of its kind.

    Args:
        document: its path from the project's root.
        heading: with its signs, such as "## Ten commands".
    """
    text = (ROOT / document).read_text(encoding="utf-8")
    assert f"\n{heading}\n" in text, f"{document} has no {heading!r}"
    below = text.split(f"\n{heading}\n", 1)[1]
    level = heading.split(" ")[0]
    return re.split(rf"^{level} ", below, maxsplit=1, flags=re.M)[0]


def blocks(text: str, language: str = "") -> list[str]:
    """The fenced blocks of this language, in their order."""
    return [
        body for kind, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S) if kind == language
    ]
