"""Writes a class of imaginary students, to try the grader on: `python -m tests.make_class FOLDER [NUMBER]`.

Everything that a TA meets: right answers in several styles, natural mistakes, half a solution, an untouched stub, a
crash, a loop without end, an attempt at cheating, a library call, a file of the wrong type. The same files every time.
With a NUMBER it writes a large class of as many, each file different from all others.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from autograder import submission
from tests import build_submissions as build

_INVERTED = ("s.masked_fill(~mask", "s.masked_fill(mask", ").masked_fill(~mask", ").masked_fill(mask")


def members() -> dict[str, bytes]:
    """Every student's file, by name."""
    right, styles, accidents, cheats = build.right_cells(), build.honest(), build.accidents(), build.cheats()
    return {
        "ada.ipynb": build.notebook(right),
        "bela.py": styles["einsum.py"],
        "chiara.zip": accidents["helpers_and_data.zip"],
        "dong-hyun.py": styles["loops.py"],
        "edda.ipynb": build.notebook(changed(right, " / math.sqrt(q.shape[-1])\n    if mask is", "\n    if mask is")),
        "farid.py": _script(changed(right, *_INVERTED)),
        "grace.py": _script(changed(right, "(grad_weights - row_sums)", "grad_weights")),
        "hugo.py": _script(changed(right, "heads.transpose(-3, -2).flatten(-2)", "heads.reshape(x.shape)")),
        "ines.ipynb": build.notebook(half_finished(right)),
        "jonas.py": _script(changed(right, "/ h / h / 2", "/ h / 2", "> 1e-10 * singular_values.max()", "> 1e-10")),
        "kofi.py": accidents["sys_exit_in_q3.py"],
        "lena.py": accidents["endless_loop_in_q3.py"],
        "mo.py": cheats["replace_comparisons.py"],
        "nadia.py": cheats["library_plain.py"],
        "oskar.ipynb": build.template("attention.ipynb"),
        "pia.docx": accidents["word.docx"],
    }  # fmt: skip


LOOPING = "lena.py"  # takes half a minute: two calls run into their limit of ten seconds
LOOPING_SHARE = 100  # of a large class, one in so many loops, more than in any class that a TA meets


def many(number: int) -> Iterator[tuple[str, bytes]]:
    """A large class: the small one over and over, each file with a remark of its own."""
    small = members()
    looping = small.pop(LOOPING)
    names = sorted(small)
    for place in range(number):
        name = LOOPING if place % LOOPING_SHARE == 5 else names[place % len(names)]
        content = looping if name == LOOPING else small[name]
        yield f"{place:04}-{name}", _remarked(name, content, f"student {place}")


def _remarked(name: str, content: bytes, remark: str) -> bytes:
    """The same solution in another file: a script with one comment more, a notebook with one cell more."""
    if name.endswith(".py"):
        return content + f"\n# {remark}\n".encode()
    if name.endswith(".ipynb"):
        notebook = json.loads(content)
        notebook["cells"].append({"cell_type": "markdown", "metadata": {}, "source": remark, "id": "remark"})
        return json.dumps(notebook).encode()
    return content


def changed(cells: list[str], *pairs: str) -> list[str]:
    """Right cells with one thing changed, or more: old text, new text, and so on."""
    text = "\0".join(cells)
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the reference"
        text = text.replace(old, new)
    return text.split("\0")


def half_finished(right: list[str]) -> list[str]:
    """Right up to q3; then the stub's own cells."""
    stub = submission.read(build.ASSIGNMENT.template / "attention.py", "", build.ASSIGNMENT).cells
    begun = next(number for number, cell in enumerate(right) if "class SelfAttention" in cell)
    left = next(number for number, cell in enumerate(stub) if "class SelfAttention" in cell.source)
    return [*right[:begun], *(cell.source for cell in stub[left:])]


def _script(cells: list[str]) -> bytes:
    return build.script(cells).encode()


def write(folder: Path, number: int | None = None) -> None:
    """Writes the class; files that are there already are written again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in members().items() if number is None else many(number):
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python -m tests.make_class FOLDER [NUMBER]")
    write(Path(sys.argv[1]), *map(int, sys.argv[2:]))
