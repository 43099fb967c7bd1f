"""What crosses between judge and child: plain data and tensors in bounded frames, and nothing that can run.

    frame = magic (4) | length of the header (4) | length of the payload (8) | header: JSON | payload: raw tensors

The header is `{"message": tree, "tensors": [[dtype, shape, requires_grad], ...]}`; a tensor in the tree is
`{"t": index}`. There is no pickle in here, and every size is checked before it is believed: whatever arrives gives a
value, `WireError`, `EOFError` or `TimeoutError`, and nothing else (tests/sandbox/test_wire.py mutates frames).
"""

from __future__ import annotations

import functools
import json
import math
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from autograder.sandbox.watch import EVERY_SECONDS, Watch

MAGIC = b"AGR1"
HEAD = struct.Struct("<4sIQ")
MAX_HEADER = 4 << 20  # bytes of JSON: a list of 10 000 pairs from BPE takes 0.2 MB
MAX_PAYLOAD = 256 << 20  # bytes of tensors in one frame; the largest that an assignment moves is 8 MB
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 16
MAX_DEPTH = 40
READ_AHEAD = 1 << 16
MAX_DIGITS = 4000  # hexadecimal digits of a large int
# To build the dicts of one value: keys chosen to collide make that quadratic, minutes for 4 MB of them, and still 6 s
# if they are spread over 17 dicts. 100 000 honest ones: 0.1 s.
MAX_DICT_SECONDS = 0.5

DTYPES: dict[str, torch.dtype] = {
    "f8": torch.float64, "f4": torch.float32, "f2": torch.float16, "bf": torch.bfloat16,
    "i8": torch.int64, "i4": torch.int32, "i2": torch.int16, "i1": torch.int8, "u1": torch.uint8,
    "b1": torch.bool, "c8": torch.complex64, "cc": torch.complex128,
}  # fmt: skip
_IN_NUMPY = {torch.float64, torch.float32, torch.int64, torch.int32, torch.bool, torch.uint8}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

Tree = Any  # JSON
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
Special = Callable[[Any], Any]


class WireError(Exception):
    """A frame or a value that breaks the rules."""


class Opaque:
    """Stands for an object that is not data; only the name of its type crossed."""

    def __init__(self, type_name: object) -> None:
        self.type_name = str(type_name)[:80]

    def __repr__(self) -> str:
        return f"<an object of type {self.type_name}>"


# --------------------------------------------------------------------------------------------- values and trees


class Encoder:
    """Turns values into JSON trees, collecting the tensors in them.

    Args:
        special: asked first for every value that is not plain; returns a one-key dict for the tree, or None.

    Attributes:
        tensors: the tensors in order; one that occurs twice is sent once and stays one object on the other side.
    """

    def __init__(self, special: Special | None = None) -> None:
        self.tensors: list[torch.Tensor] = []
        self._index: dict[int, int] = {}
        self._special = special

    def tensor(self, value: torch.Tensor) -> int:
        """The index under which this tensor is sent."""
        if value.layout is not torch.strided or value.dtype not in NAMES:
            raise WireError(
                f"a tensor with layout {value.layout} and dtype {value.dtype} cannot be passed on"
            )
        if id(value) not in self._index:
            self._index[id(value)] = len(self.tensors)
            self.tensors.append(value)
        return self._index[id(value)]

    def tree(self, value: Any, depth: int = 0) -> Tree:
        """The JSON tree of `value`."""
        if depth > MAX_DEPTH:
            raise WireError(f"nested more than {MAX_DEPTH} levels deep (or it contains itself)")
        if value is None or isinstance(value, (bool, str)):
            return value if value is None or isinstance(value, bool) else str(value)
        if isinstance(value, torch.Tensor):
            return {"t": self.tensor(value)}
        if isinstance(value, (int, float, complex)):
            return _number(value)
        return self._container(value, depth)

    def _container(self, value: Any, depth: int) -> Tree:
        if isinstance(value, (list, tuple)):
            return {"l" if isinstance(value, list) else "u": [self.tree(item, depth + 1) for item in value]}
        if isinstance(value, dict):
            return {"d": [[self.tree(k, depth + 1), self.tree(v, depth + 1)] for k, v in value.items()]}
        if isinstance(value, (bytes, bytearray)):
            return {"b": bytes(value).hex()}
        return self._other(value, depth)

    def _other(self, value: Any, depth: int) -> Tree:
        if isinstance(value, torch.dtype):
            return {"y": str(value).removeprefix("torch.")}
        if isinstance(value, np.generic):
            return self.tree(value.item(), depth)
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
            return {"n": self.tensor(torch.from_numpy(np.array(value)))}
        special = self._special(value) if self._special else None
        return special if special is not None else {"?": type(value).__name__}


def _number(value: complex) -> Tree:
    if isinstance(value, complex):
        return {"z": [_number(value.real), _number(value.imag)]}
    if isinstance(value, int):
        return int(value) if abs(value) < 2**53 else {"i": _hex(value)}
    return float(value) if math.isfinite(value) else {"f": repr(float(value))}


def _hex(value: int) -> str:
    digits = hex(value)
    if len(digits) > MAX_DIGITS:
        raise WireError(f"an integer of more than {MAX_DIGITS} hexadecimal digits")
    return digits


def decode(tree: Tree, tensors: list[torch.Tensor], special: Special | None = None) -> Any:
    """The value of a tree.

    Args:
        tree: what `Encoder.tree` made, or anything at all: it comes from a stranger.
        tensors: the frame's tensors.
        special: asked for one-key dicts that are not plain data; raises `WireError` for those it does not know.

    Raises:
        WireError: the tree breaks the rules.
    """
    try:
        return _Decoder(tensors, special).value(tree, 0)
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, OverflowError) as error:
        raise WireError(f"malformed data ({type(error).__name__})") from None


class _Decoder:
    """Decodes one tree; built anew for each, so that its dicts share one allowance of time."""

    def __init__(self, tensors: list[torch.Tensor], special: Special | None) -> None:
        self._tensors, self._special = tensors, special
        self._deadline = (
            time.thread_time() + MAX_DICT_SECONDS
        )  # of the processor: a busy machine is no offence

    def value(self, tree: Tree, depth: int) -> Any:
        """The value of a tree that stands so deep in the whole."""
        if depth > MAX_DEPTH:
            raise WireError(f"nested more than {MAX_DEPTH} levels deep")
        if tree is None or isinstance(tree, (bool, int, float, str)):
            return tree
        if not isinstance(tree, dict) or len(tree) != 1:
            raise WireError("malformed data")
        ((tag, body),) = tree.items()
        if tag in ("l", "u"):
            items = [self.value(item, depth + 1) for item in body]
            return items if tag == "l" else tuple(items)
        if tag == "d":
            return self._dict(body, depth)
        if tag in ("t", "n"):
            tensor = self._tensors[_index(body, len(self._tensors))]
            return tensor if tag == "t" else tensor.detach().numpy()
        return _decode_leaf(tag, body, self._special)

    def _dict(self, body: Any, depth: int) -> dict[Any, Any]:
        result = {}
        for key, value in body:
            result[self.value(key, depth + 1)] = self.value(value, depth + 1)
            if time.thread_time() > self._deadline:
                raise WireError("a dict that takes too long to build")
        return result


def _decode_leaf(tag: str, body: Any, special: Special | None) -> Any:
    if tag == "f":
        return float(body)
    if tag == "i":
        return int(str(body)[: MAX_DIGITS + 1], 16)
    if tag == "z":
        return complex(*(part if isinstance(part, (int, float)) else float(part["f"]) for part in body))
    if tag == "b":
        return bytes.fromhex(body)
    if tag == "y":
        dtype = vars(torch).get(str(body))  # getattr would import what torch imports lazily
        return dtype if isinstance(dtype, torch.dtype) else Opaque("dtype")
    if tag == "?":
        return Opaque(body)
    if special is None:
        raise WireError(f"unknown tag {tag[:20]!r}")
    return special({tag: body})


def _index(value: Any, length: int) -> int:
    if type(value) is not int or not 0 <= value < length:
        raise WireError("an index that points nowhere")
    return value


# ------------------------------------------------------------------------------------------------------- frames


class Channel:
    """Frames over a connected stream socket, within a deadline.

    Args:
        connection: the socket; read with `recv_into`, which drops the descriptors that a peer smuggles in.

    Attributes:
        watch: looks after the peer while it is waited for; what it raises ends the waiting.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self.watch: Watch | None = None
        self._began, self._deadline, self._next_look = 0.0, math.inf, math.inf
        self._buffer = bytearray(READ_AHEAD)
        self._ahead = memoryview(b"")

    def within(self, seconds: float | None) -> None:
        """Sets how long everything from now on may take together (None: without limit)."""
        now = self._began = time.monotonic()
        self._deadline = math.inf if seconds is None else now + seconds
        self._next_look = math.inf if self.watch is None else now + EVERY_SECONDS

    def look_back(self) -> None:
        """Has the watch look at what the peer did since `within`."""
        if self.watch is not None:
            self.watch.after(time.monotonic() - self._began)

    def _patiently(self, act: Callable[[], int]) -> int:
        """What `act` does with the socket, within the deadline."""
        while True:
            self._arm()
            with suppress(TimeoutError):  # time for a look
                return act()

    def _arm(self) -> None:
        until = min(self._deadline, self._next_look)
        if until == math.inf:
            self._socket.settimeout(None)
            return
        now = time.monotonic()
        if now >= self._deadline:
            raise TimeoutError
        if now >= self._next_look and self.watch is not None:
            self._next_look = until = now + EVERY_SECONDS
            self.watch.look()
        # A peer that drips one byte at a time gains nothing: the sum is bounded.
        self._socket.settimeout(max(min(until, self._deadline) - now, 0.001))

    def send(self, message: Tree, tensors: list[torch.Tensor] | None = None) -> None:
        """Sends one frame.

        Raises:
            WireError: the message exceeds the bounds; nothing was sent.
            TimeoutError, OSError: the peer does not read, or is gone.
        """
        tensors = tensors or []
        metas = [[NAMES[t.dtype], list(t.shape), t.requires_grad] for t in tensors]
        header = _to_json({"message": message, "tensors": metas}).encode()
        payload = [_raw(tensor) for tensor in tensors]
        size = sum(len(block) for block in payload)
        if len(header) > MAX_HEADER or size > MAX_PAYLOAD or len(tensors) > MAX_TENSORS:
            raise WireError(f"more data than can be passed on ({(len(header) + size) / 1e6:.0f} MB)")
        self._send_all([HEAD.pack(MAGIC, len(header), size) + header, *payload])

    def _send_all(self, blocks: list[bytes | memoryview]) -> None:
        views = [memoryview(block) for block in blocks if len(block)]
        while views:
            sent = self._patiently(lambda: self._socket.sendmsg(views[:64]))
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if sent:
                views[0] = views[0][sent:]

    def receive(self) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Reads one frame: its message (a dict) and its tensors, with requires_grad as it was sent.

        Raises:
            WireError: the frame breaks the rules.
            EOFError: the peer is gone.
            TimeoutError: the deadline passed.
        """
        magic, header_size, payload_size = HEAD.unpack(self._read(HEAD.size))
        if magic != MAGIC or header_size > MAX_HEADER or payload_size > MAX_PAYLOAD:
            raise WireError("not a frame, or larger than allowed")
        message, metas = _parse(self._read(header_size))
        plan = [_meta(meta) for meta in metas]
        if sum(size for *_, size in plan) != payload_size:
            raise WireError("the tensors do not have the size that was announced")
        return message, [self._tensor(*entry) for entry in plan]

    def _read(self, size: int) -> bytearray:
        buffer = bytearray(size)
        self._fill(memoryview(buffer))
        return buffer

    def _fill(self, view: memoryview) -> None:
        """Takes what was read ahead, then what comes: mostly one system call for a whole frame."""
        while len(view):
            if not self._ahead:
                if len(view) >= READ_AHEAD:
                    count = self._patiently(functools.partial(self._socket.recv_into, view))
                    if not count:
                        raise EOFError
                    view = view[count:]
                    continue
                count = self._patiently(functools.partial(self._socket.recv_into, self._buffer))
                if not count:
                    raise EOFError
                self._ahead = memoryview(self._buffer)[:count]
            count = min(len(view), len(self._ahead))
            view[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            view = view[count:]

    def _tensor(self, dtype: torch.dtype, shape: list[int], requires_grad: bool, size: int) -> torch.Tensor:
        try:
            if size:
                tensor = torch.frombuffer(self._read(size), dtype=dtype).reshape(shape)
            else:
                tensor = torch.empty(shape, dtype=dtype)
        except RuntimeError:
            raise WireError("a tensor of an impossible shape") from None
        if dtype is torch.bool and size:
            tensor = tensor.view(torch.uint8).ne(0)  # a bool byte of 2..255 is undefined behaviour in torch
        return (
            tensor.requires_grad_()
            if requires_grad and (dtype.is_floating_point or dtype.is_complex)
            else tensor
        )

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def _raw(tensor: torch.Tensor) -> memoryview:
    """The values' bytes, without a copy where they lie in order already."""
    if not tensor.numel():
        return memoryview(b"")
    tensor = tensor.detach()
    if (
        tensor.dtype in _IN_NUMPY
        and tensor.device.type == "cpu"
        and tensor.is_contiguous()
        and not tensor.is_neg()
    ):
        return tensor.numpy().data.cast("B")
    tensor = tensor.cpu().resolve_conj().resolve_neg().contiguous()
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _parse(header: bytearray) -> tuple[dict[str, Any], list[Any]]:
    try:
        tree = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a header that is not JSON ({type(error).__name__})") from None
    if not isinstance(tree, dict) or not isinstance(tree.get("message"), dict):
        raise WireError("a header without a message")
    metas = tree.get("tensors")
    if not isinstance(metas, list) or len(metas) > MAX_TENSORS:
        raise WireError("a header without a proper list of tensors")
    return tree["message"], metas


def _meta(meta: Any) -> tuple[torch.dtype, list[int], bool, int]:
    if not (isinstance(meta, list) and len(meta) == 3 and isinstance(meta[0], str) and meta[0] in DTYPES):
        raise WireError("a tensor of an unknown kind")
    name, shape, requires_grad = meta
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise WireError("a tensor of an impossible shape")
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        raise WireError("a tensor of an impossible shape")
    size = math.prod(shape) * DTYPES[name].itemsize
    if size > MAX_PAYLOAD:
        raise WireError("a tensor larger than allowed")
    return DTYPES[name], shape, requires_grad is True, size
