"""What a submission is, and the one error that reading it can raise."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["notebook", "script"]

# One bound for a file, an archive and what it unpacks to. A notebook with 50 MB of figures is seen every year.
# Decoding a text with one emoji in it takes 4 bytes a character, so 64 MB become 320 MB for a moment: with torch
# loaded, that still fits into Gradescope's smallest container, which has 768 MB.
MAX_BYTES = 64 * 2**20
MAX_MEGABYTES = MAX_BYTES // 2**20


class SubmissionError(Exception):
    """What was handed in cannot be graded.

    The message is for the student: what was expected, what was found, what to do.
    """


@dataclass(frozen=True)
class Cell:
    """One piece of code that runs as a whole.

    Attributes:
        source: The code, with `\\n` line ends.
        line: Its first line in a script; 1 in a notebook.
    """

    source: str
    line: int


@dataclass(frozen=True)
class Submission:
    """What a student handed in, read and bounded.

    Attributes:
        name: What the table of grades calls it.
        kind: What the main file is.
        main: The main file's path among `files`.
        cells: The main file's code, in order, without what is not graded (tag `otter_ignore`).
        files: All that belongs into the student's folder: POSIX relative path -> content. Outputs of the main
            notebook are dropped.
        digest: SHA-256 of what was handed in; it does not depend on the main file's name.
        notes: What the student should know about how it was read.
    """

    name: str
    kind: Kind
    main: str
    cells: tuple[Cell, ...]
    files: dict[str, bytes]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All code, for reading; not for running."""
        return "\n".join(cell.source for cell in self.cells)
