"""Runs a function in a process of its own, a fork of this one: whatever it changes or imports is gone afterwards."""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any


class ApartError(Exception):
    """The process ended without an answer; the message says how."""


def apart(function: Callable[[], Any], seconds: float) -> Any:
    """What a function returns, as plain data that JSON can hold.

    Args:
        function: its standard output and error are thrown away.
        seconds: after which it is ended.

    Raises:
        ApartError: it raised, ended its process, or took too long.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(function, reading, writing)
    os.close(writing)
    try:
        data = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    if data is None:
        raise ApartError(f"it did not end within {seconds:g} s")
    if not data:
        raise ApartError(f"its process ended with status {os.waitstatus_to_exitcode(status)}")
    kind, value = json.loads(data)
    if kind == "error":
        raise ApartError(value)
    return value


def _read(descriptor: int, deadline: float) -> bytes | None:
    """All that is written until the other end is closed; None if that takes too long."""
    data = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            return None
        block = os.read(descriptor, 1 << 16)
        if not block:
            return data
        data += block


def _answer(function: Callable[[], Any], reading: int, writing: int) -> None:
    """The life of the forked process."""
    try:
        os.close(reading)
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (1, 2):
            os.dup2(silence, stream)
        try:
            answer = json.dumps(("value", function()))
        except BaseException as error:
            answer = json.dumps(("error", f"{type(error).__name__}: {error}"))
        with os.fdopen(writing, "wb") as target:
            target.write(answer.encode())
    finally:
        os._exit(0)
