"""Finished pieces, one line of JSON each, in a file for each assignment: a run that was stopped goes on where it was.

A line is written in one go when its piece is done; one that a kill has cut off is passed over. Of several lines for one
piece the last counts, and only if what the piece reads is still the same.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from autograder.plain import from_json, to_json
from autograder.validate.model import Outcome, Piece

WORTH_REWRITING = 3  # times as many lines as pieces: the file is then mostly of the past


class Kept:
    """What is known about one assignment.

    Args:
        path: the file; it is made when the first piece is done.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[tuple[str, str], str] = {}
        self._keys: dict[tuple[str, str], str] = {}
        number = self._read()
        if number > WORTH_REWRITING * len(self._lines):
            self._rewrite()

    def get(self, piece: Piece) -> Outcome | None:
        """What came of the piece, if that is known and nothing that it reads has changed."""
        place = (piece.examination, piece.name)
        if self._keys.get(place) != piece.key:
            return None
        return from_json(Outcome, json.dumps(json.loads(self._lines[place])["outcome"]))

    def add(self, piece: Piece, outcome: Outcome) -> None:
        """Keeps what came of a piece."""
        entry = {"examination": piece.examination, "piece": piece.name, "key": piece.key, "outcome": outcome}
        line = to_json(entry)
        self._note(line)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")

    def _read(self) -> int:
        """Reads the file; the number of its lines."""
        if not self._path.exists():
            return 0
        lines = self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        for line in lines:
            try:
                self._note(line)
            except (ValueError, KeyError, TypeError):  # cut off by a kill
                continue
        return len(lines)

    def _note(self, line: str) -> None:
        entry = json.loads(line)
        place = (entry["examination"], entry["piece"])
        self._lines[place], self._keys[place] = line, entry["key"]

    def _rewrite(self) -> None:
        """Leaves only what counts; whoever is killed in the middle finds the old file."""
        new = self._path.with_suffix(f".{os.getpid()}.new")
        new.write_text("".join(f"{line}\n" for line in self._lines.values()), encoding="utf-8")
        new.replace(self._path)
