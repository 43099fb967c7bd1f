"""Several processes that examine, each a judge with a fork server of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch

from autograder.assignment import Assignment
from autograder.plain import from_json, to_json
from autograder.pool import Workers
from autograder.sandbox.errors import SandboxError
from autograder.sandbox.judges import Judges
from autograder.sandbox.launch import Parent
from autograder.validate.bench import Bench
from autograder.validate.model import Examination, Outcome, Piece
from autograder.worker import Ready

PATIENCE = 900.0  # seconds for one piece; the longest, a training without weights, takes 40 s on a busy core


class Crew(Workers[Piece, Outcome]):
    """Does pieces with up to `jobs` judges side by side.

    Args:
        judges: starts them.
        assignments: those that are examined, by slug.
        examinations: all that there are, by name.
        jobs: how many, at most.
    """

    def __init__(
        self,
        judges: Judges,
        assignments: Mapping[str, Assignment],
        examinations: Mapping[str, Examination],
        jobs: int,
    ) -> None:
        super().__init__(judges, jobs, PATIENCE)
        self._assignments, self._examinations = assignments, examinations

    def _serve(self, connection: Any, zygote: Parent) -> None:
        torch.set_num_threads(1)
        try:
            with Bench(zygote) as bench:
                connection.send_bytes(to_json(Ready()).encode())
                while True:
                    piece = from_json(Piece, connection.recv_bytes().decode())
                    connection.send_bytes(to_json(self._done(bench, piece)).encode())
        except SandboxError as error:
            connection.send_bytes(to_json(Ready(str(error))).encode())

    def _done(self, bench: Bench, piece: Piece) -> Outcome:
        """What comes of one piece; whatever goes wrong in it, the others are done."""
        assignment, examination = self._assignments[piece.slug], self._examinations[piece.examination]
        started = time.perf_counter()
        try:
            outcome = Outcome(examination.examine(bench, assignment, piece.name))
        except Exception as error:
            if not bench.answers():  # whoever asked tries again with another judge
                raise
            outcome = Outcome(problem=f"{type(error).__name__}: {error}")
        outcome.seconds = time.perf_counter() - started
        return outcome

    def _ask(self, connection: Any, task: Piece, packed: bytes) -> None:
        connection.send_bytes(to_json(task).encode())

    def _receive(self, connection: Any) -> Outcome:
        return from_json(Outcome, connection.recv_bytes().decode())

    def _given_up(self, task: Piece, why: str) -> Outcome:
        return Outcome(problem=why)
