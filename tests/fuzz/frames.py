"""Frames as a hostile child may send them: real answers that are changed where a decoder looks, and plain noise.

Everything comes from a `random.Random`, so that a seed is enough to see a frame again. The tests take a few thousand,
`benchmarks/fuzz.py` a million.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from typing import Any

from autograder.sandbox.wire import DTYPES, HEAD, MAGIC, MAX_DEPTH, MAX_HEADER, MAX_PAYLOAD
from tests.fuzz import mutate

Tree = Any

# The tensors of a real answer: what `metas` says of them, and their bytes.
METAS: list[Any] = [["f4", [2, 2], True], ["b1", [3], False], ["f8", [], True]]
PAYLOAD = struct.pack("<4f", 1, 2, 3, 4) + b"\0\1\2" + struct.pack("<d", 0.5)

_MODULE = {"number": 0, "type": "Gate", "parameters": [["W", 0], ["below.b", 2]], "training": True}
_ERROR = {"ok": False, "kind": "ValueError", "text": "no", "trace": "line 1", "bases": ["Exception"]}
_COUNTS = {"changed": [], "advanced": [], "lists": [], "operators": ["mm", "add"], "flops": 12}

# One of each kind of answer that the child's side sends.
ANSWERS: list[dict[str, Any]] = [
    {"ok": True, "result": {"u": [{"t": 0}, {"n": 1}, {"t": 2}]}, "outputs": 3, **_COUNTS},
    {"ok": True, "result": {"t": 0}, "outputs": 1, **_COUNTS, "changed": [0, 1]},
    {"ok": True, "result": {"h": _MODULE}, "outputs": 3, **_COUNTS},
    {"ok": True, "result": {"l": [{"h": {"number": 1, "type": "Tokenizer"}}, "x", None, 1.5]}, "outputs": 3,
    **_COUNTS},
    {"ok": True, "result": {"d": [["k", {"z": [1, {"f": "nan"}]}], [{"i": "0x20000000000000"}, {"b": "00ff"}]]},
     "outputs": 3, **_COUNTS, "lists": [[1, {"l": [3, 2, 1]}]]},
    {"ok": True, "result": {"y": "float32"}, "outputs": 3, **_COUNTS},
    {"ok": True, "present": [True, True], "operators": []},
    {"ok": True, "found": {"f": "function", "x": "value"}, "operators": []},
    {"ok": True, "error": None, "operators": []},
    {"ok": True, "error": {**_ERROR, "line": 3}, "operators": []},
    {"callback": 0, "arguments": {"u": [{"u": [{"t": 0}]}, {"d": []}]}},
    {**_ERROR, "operators": None},
]  # fmt: skip

_ODD: list[Tree] = [
    None, True, False, 0, -1, 1, 3, 2**31, 2**53, -(2**63), 10**400, 0.5, -0.0, 1e308, "", "x", "f", "\ud800",
    "\0\x1b[2J",
    "a.b.c", "." * 60, "function", "value", "nan", "0x", "x" * 3000, [], {}, [[]], [None], [0], [0, 0], [[0, 0]],
    {"t": 0}, {"t": -1}, {"t": 10**6}, {"n": 2}, {"n": 0}, {"l": 3}, {"l": [{"t": 0}] * 20}, {"u": []}, {"d": [[1]]},
    {"d": [[{"l": []}, 1]]}, {"d": [[1, 1], [1, 2]]}, {"f": "inf"}, {"f": []}, {"f": "9" * 2000},
    {"i": "0x" + "f" * 5000},
    {"z": [1]}, {"z": [{"f": "nan"}, {"f": "x"}]}, {"b": "0"}, {"b": 1}, {"y": "_dynamo"}, {"?": {"?": []}},
    {"g": 0}, {"c": 0},
    {"h": {}}, {"h": {"number": True}}, {"h": {"number": 1, "parameters": [["a", 0], ["a.b", 0], ["a", 2]]}},
    {"h": {"number": 1, "parameters": [[["l"], 0]]}}, {"h": {"number": 1, "parameters": [["x", 1]]}},
    {"h": {"number": 1, "type": [1], "parameters": [["x", -1], ["", 0]], "training": "yes"}},
    {"h": {"number": 1, "parameters": {"a": 0}}}, {"h": {"number": 1, "parameters": [["W", 0]] * 30}},
    {"u": [{"u": []}, {"d": [["x", 1]]}]},
]  # fmt: skip
_WORDS = ("ok", "result", "outputs", "changed", "lists", "operators", "flops", "present", "found", "error",
    "callback",
          "arguments", "kind", "text", "trace", "bases", "line", "number", "parameters", "type",
          *"tnludfizby?hgc")  # fmt: skip
_SHAPES: list[Any] = [
    [], [0], [4], [1, 4], [2, 2], [3], [2, 0, 3], [-1], [True], [1.0], None, "4", [2**40], [2**39, 2**39], [0,
    2**39, 2**39],
    [1] * 16, [1] * 17, [[2]], [2**26], {},
]  # fmt: skip
_SNIPPETS = (b"{", b"[",
    b'"', b"}", b"]", b",", b"-1", b"1e999", b"null", b"\0", b"NaN", b"Infinity", b"9" * 30, b"\xff",
             b"\xef\xbb\xbf", b"\\ud800", b'"t":', MAGIC)  # fmt: skip


def frame(header: bytes, payload: bytes) -> bytes:
    """A frame as a stranger makes it, without any of our checks."""
    return HEAD.pack(MAGIC, len(header), len(payload)) + header + payload


def valid(answer: dict[str, Any], metas: list[Any] = METAS, payload: bytes = PAYLOAD) -> bytes:
    """A frame that holds this answer."""
    return frame(json.dumps({"message": answer, "tensors": metas}).encode(), payload)


def hostile(choose: random.Random) -> bytes:
    """One frame, of a kind that is drawn."""
    make: Callable[[random.Random], bytes] = choose.choices(
        [kind for kind, _ in _KINDS], [w for _, w in _KINDS]
    )[0]
    return make(choose)


def _changed_tree(choose: random.Random) -> bytes:
    """A real answer in which a few places of the tree hold something else; the frame around it is right."""
    answer = json.loads(json.dumps(choose.choice(ANSWERS)))
    for _ in range(choose.randint(1, 3)):
        answer = mutate.tree(answer, choose, _odd, _WORDS)
    return valid(answer if choose.random() < 0.97 else choose.choice(_ODD))


def _odd(tree: Tree, choose: random.Random) -> Tree:
    """Something else in place of the tree, or the tree inside of more containers than are allowed, or nearly so."""
    if choose.random() > 0.3:
        return choose.choice(_ODD)
    for _ in range(choose.choice((1, 2, MAX_DEPTH - 2, MAX_DEPTH, MAX_DEPTH + 1, 100))):
        tree = {choose.choice("lu"): [tree]}
    return tree


def _changed_tensors(choose: random.Random) -> bytes:
    """Announced tensors that are not those that follow."""
    metas, payload = json.loads(json.dumps(METAS)), PAYLOAD
    for _ in range(choose.randint(1, 2)):
        place = choose.randrange(len(metas))
        part = choose.randrange(5)
        if part == 0:
            metas[place][0] = choose.choice([*DTYPES, "q9", "", None, 4, []])
        elif part == 1:
            metas[place][1] = choose.choice(_SHAPES)
        elif part == 2:
            metas[place][2] = choose.choice(_ODD)
        elif part == 3:
            metas[place] = choose.choice(_ODD)
        else:
            metas = [metas[place]] * choose.choice((0, 1, 2, 500))
        if not all(isinstance(meta, list) and len(meta) == 3 for meta in metas) or not metas:
            break
    size = choose.choice((len(payload), len(payload), 0, 1, 4, 16, 500))
    return valid(choose.choice(ANSWERS), metas, payload[:size].ljust(size, b"\xff"))


def _any_tensors(choose: random.Random) -> bytes:
    """Tensors of every kind and a few shapes with random bytes in them, which fit."""
    metas, payload = [], b""
    for _ in range(3):
        name, shape = choose.choice(list(DTYPES)), choose.choice([[], [0], [3], [2, 2], [1, 0, 2]])
        count = 1
        for n in shape:
            count *= n
        metas.append([name, shape, choose.random() < 0.5])
        payload += choose.randbytes(count * DTYPES[name].itemsize)
    return valid(choose.choice(ANSWERS), metas, payload)


def _changed_bytes(choose: random.Random) -> bytes:
    """Bytes of a real frame replaced, cut out, doubled or inserted, and mostly a head that fits them again."""
    good = valid(choose.choice(ANSWERS))
    end = HEAD.unpack(good[: HEAD.size])[1]
    data = mutate.data(good, choose, _SNIPPETS)
    if choose.random() < 0.3:
        return data
    body = data[HEAD.size :]
    return frame(body[:end], body[end:])


def _other_head(choose: random.Random) -> bytes:
    """Sizes in the head that are not those of what follows."""
    good = valid(choose.choice(ANSWERS))
    _, header, payload = HEAD.unpack(good[: HEAD.size])
    odd = (0, 1, 15, MAX_HEADER, MAX_HEADER + 1, 2**31, 2**32 - 1)
    head = HEAD.pack(
        choose.choice((MAGIC, MAGIC, b"HTTP", b"\0\0\0\0")),
        choose.choice((header, header + 1, header - 1, *odd)),
        choose.choice((payload, payload + 1, 0, MAX_PAYLOAD, MAX_PAYLOAD + 1, 2**63, 2**64 - 1)),
    )
    return head + good[HEAD.size :]


def _odd_json(choose: random.Random) -> bytes:
    """A header that is JSON in an unusual way, or nearly."""
    inner = choose.choice((
        b"1" * 5000, b"1." + b"7" * 2000, b"1e" + b"9" * 400, b"[" * 2000, b'{"a":' * 500, b"[" * 30 + b"]" * 30,
        b'"' + b"\\u0000" * 200 + b'"', b'"\\ud83d"', b"NaN", b"-Infinity", b'{"t":0,"t":1}', b"\xc3\x28", b"/* */0",
    ))  # fmt: skip
    whole = choose.choice((
        inner, b'{"message":%b,"tensors":[]}' % inner, b'{"message":{"ok":true,"result":%b},"tensors":[]}' % inner,
        b'{"message":{"ok":true,"outputs":0,"changed":[],"lists":%b,"result":null},"tensors":[]}' % inner,
        b'{"message":{"ok":%b},"tensors":[]}' % inner, b'{"tensors":%b,"message":{}}' % inner,
    ))  # fmt: skip
    text = choose.choice(
        (whole, whole, whole, b"\xef\xbb\xbf" + whole, whole.decode("latin-1").encode("utf-16"))
    )
    return frame(text, choose.choice((b"", PAYLOAD)))


def _noise(choose: random.Random) -> bytes:
    """Bytes that mean nothing, behind a right head or none."""
    data = choose.randbytes(choose.choice((0, 1, 15, 16, 17, 100, 1000)))
    return data if choose.random() < 0.5 else frame(data, b"")


_KINDS: list[tuple[Callable[[random.Random], bytes], int]] = [
    (_changed_tree, 40), (_changed_tensors, 15), (_any_tensors, 10), (_changed_bytes, 20), (_other_head, 5),
    (_odd_json, 5),
    (_noise, 5),
]  # fmt: skip
