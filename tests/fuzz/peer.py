"""What the judge makes of bytes that a child sent: the codec alone, and all that stands behind it.

Nothing is started: a `Session` and its proxies are real, and the process at the other end is a socket with bytes in it.
"""

from __future__ import annotations

import random
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from autograder.sandbox.errors import BadAnswer, Died, NotDefined, StudentError, StudentFailure, TimedOut
from autograder.sandbox.host import Bounds, Code
from autograder.sandbox.remote import Namespace, RemoteFunction, RemoteModule
from autograder.sandbox.session import Session
from autograder.sandbox.wire import Channel, WireError, decode
from tests.fuzz.frames import hostile, valid

MAX_PIPED = 100_000  # bytes that a socket holds while nobody reads: its buffer has 212 992

_FAILURES = (TimedOut, Died, BadAnswer, NotDefined, StudentError)
_CELL_RAN = valid({"ok": True, "error": None, "operators": []})
_DESCRIBED = valid({"ok": True, "found": {"f": "function", "x": "value"}, "operators": []})


def connected(data: bytes) -> Channel:
    """A channel on which these bytes have arrived, and then the end."""
    ours, theirs = socket.socketpair()
    theirs.sendall(data[:MAX_PIPED])
    theirs.shutdown(socket.SHUT_WR)
    channel = Channel(ours)
    channel.peer = theirs  # type: ignore[attr-defined]  # kept open: what is written to it goes nowhere
    return channel


def hang_up(channel: Channel) -> None:
    """Closes both ends."""
    channel.close()
    channel.peer.close()  # type: ignore[attr-defined]


def decoded(data: bytes) -> str:
    """How the codec ends for this frame: "value", or the name of its documented error; anything else is raised."""
    channel = connected(data)
    try:
        message, tensors = channel.receive()
        decode(message.get("result"), tensors)
    except (WireError, EOFError) as error:
        return type(error).__name__
    finally:
        hang_up(channel)
    return "value"


@dataclass
class Puppet:
    """Stands for the sandbox: each of its children is a socket with bytes in it."""

    data: bytes

    def spawn(self, bounds: Bounds, code: Code, output: int) -> tuple[int, Path | None, Channel]:
        """A child that has said all that it will ever say."""
        self.channel = connected(self.data)
        return 1, None, self.channel

    def end(self, pid: int) -> dict[str, Any]:
        """It is gone."""
        self.channel.peer.close()  # type: ignore[attr-defined]
        return {"status": -9, "cpu": 0.0, "peak_kb": 0}


def judged(data: bytes, choose: random.Random) -> str:
    """How a test ends whose every answer comes from these bytes: "value", or the name of a `StudentFailure`.

    The first answers, that the cells ran and what the submission defines, are proper ones mostly.
    """
    proper = choose.choice((b"", _CELL_RAN, _CELL_RAN + _DESCRIBED, _CELL_RAN + _DESCRIBED))
    code = Code((("pass", 1),), "answer.py", False, {})
    with Session(Puppet(proper + data), code, Bounds(call_seconds=5.0)) as session:  # type: ignore[arg-type]
        session.recorder = [] if choose.random() < 0.3 else None
        try:
            _test(session, choose)
        except StudentFailure as failure:
            return next(kind.__name__ for kind in _FAILURES if isinstance(failure, kind))
    return "value"


def _test(session: Session, choose: random.Random) -> None:
    """What tests do with a submission: get names, call, differentiate, use modules, offer functions."""
    names = Namespace(session)
    found = names.get(choose.choice(("f", "f", "f", "x")))
    if not isinstance(found, RemoteFunction):
        return
    x = torch.ones(2, 2, requires_grad=choose.random() < 0.5)
    result = found(x, [1, 2, 3], lambda tensor: tensor * 2)
    if isinstance(result, RemoteModule):
        sum(parameter.numel() for parameter in result.parameters())
        result = result(x)
    outputs = result if isinstance(result, (list, tuple)) else [result]
    for tensor in outputs if x.requires_grad else ():
        if isinstance(tensor, torch.Tensor) and tensor.requires_grad and tensor.dtype.is_floating_point:
            _differentiate_twice(tensor, x)


def _differentiate_twice(tensor: torch.Tensor, x: torch.Tensor) -> None:
    (gradient,) = torch.autograd.grad(tensor.sum(), x, create_graph=True, allow_unused=True)
    if gradient is not None and gradient.requires_grad:
        torch.autograd.grad(gradient.sum(), x, allow_unused=True)


def several(choose: random.Random) -> bytes:
    """A few hostile frames one after the other."""
    return b"".join(hostile(choose) for _ in range(choose.randint(1, 4)))
