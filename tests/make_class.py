"""Writes a small class of imaginary students, to try the grader on: `python -m tests.make_class FOLDER`.

Everything that a TA meets: right answers in several styles, natural mistakes, half a solution, an untouched stub, a
crash, a loop without end, an attempt at cheating, a library call, a file of the wrong type. The same files every time.
"""

from __future__ import annotations

import sys
from pathlib import Path

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


def changed(cells: list[str], *pairs: str) -> list[str]:
    """Right cells with one thing changed, or more: old text, new text, and so on."""
    text = "\0".join(cells)
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the reference"
        text = text.replace(old, new)
    return text.split("\0")


def half_finished(right: list[str]) -> list[str]:
    """Right up to q3; then the stub's own cells."""
    stub = build.submission.read(build.ASSIGNMENT.template / "attention.py", "", build.ASSIGNMENT).cells
    begun = next(number for number, cell in enumerate(right) if "class SelfAttention" in cell)
    left = next(number for number, cell in enumerate(stub) if "class SelfAttention" in cell.source)
    return [*right[:begun], *(cell.source for cell in stub[left:])]


def _script(cells: list[str]) -> bytes:
    return build.script(cells).encode()


def write(folder: Path) -> None:
    """Writes the class; files that are there already are written again."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in members().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.make_class FOLDER")
    write(Path(sys.argv[1]))
