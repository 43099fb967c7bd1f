"""Ctrl-C, heard by whoever hands out work: what is done is kept."""

from __future__ import annotations

import os
import signal
from types import FrameType

from rich.console import Console


class Interrupt:
    """Ctrl-C, or a request to end: once, to stop in order; twice, to end at once.

    Attributes:
        asked: whether it came.
    """

    def __init__(self, console: Console) -> None:
        self.asked = False
        self._console = console

    def __enter__(self) -> Interrupt:
        self._before = {
            number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, _: FrameType | None) -> None:
        if self.asked:
            self._console.show_cursor()
            os._exit(128 + number)
        self.asked = True
