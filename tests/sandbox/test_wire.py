"""Only plain data crosses, within bounds; whatever else arrives is a `WireError`, and never anything worse."""

import json
import math
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autograder.sandbox import wire
from autograder.sandbox.wire import HEAD, MAGIC, Channel, Encoder, Opaque, WireError, decode

Pair = tuple[Channel, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A channel, and the raw socket of a peer that may send anything."""
    ours, theirs = socket.socketpair()
    yield Channel(ours), theirs
    ours.close()
    theirs.close()


def frame(message: Any, metas: Any = (), payload: bytes = b"", header: bytes | None = None) -> bytes:
    """A frame as a stranger would make it, without any of our checks."""
    if header is None:
        header = json.dumps({"message": message, "tensors": metas}).encode()
    return HEAD.pack(MAGIC, len(header), len(payload)) + header + payload


def received(data: bytes, seconds: float = 2.0) -> tuple[dict[str, Any], list[torch.Tensor]]:
    """What a channel makes of these bytes, after which the peer hangs up."""
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    channel.within(seconds)
    writer = threading.Thread(target=_pour, args=(theirs, data))
    writer.start()
    try:
        return channel.receive()
    finally:
        ours.close()
        writer.join()


def _pour(peer: socket.socket, data: bytes) -> None:
    try:
        peer.sendall(data)
    except OSError:  # the channel gave up early, as it should
        pass
    peer.close()


def there_and_back(value: Any) -> Any:
    """The value as it arrives on the other side of a real socket."""
    encoder = Encoder()
    tree = encoder.tree(value)
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)
    thread = threading.Thread(target=sender.send, args=({"value": tree}, encoder.tensors))
    thread.start()
    message, tensors = receiver.receive()
    thread.join()
    for channel in (sender, receiver):
        channel.close()
    return decode(message["value"], tensors)


def same(found: Any, expected: Any) -> bool:
    """Equality of value and type; NaN equals NaN."""
    if type(found) is not type(expected):
        return False
    if isinstance(expected, float):
        return found == expected or (math.isnan(found) and math.isnan(expected))
    if isinstance(expected, complex):
        return same(found.real, expected.real) and same(found.imag, expected.imag)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, dict):
        return same(list(found.items()), list(expected.items()))
    return bool(found == expected)


# ------------------------------------------------------------------------------------------------- values that cross

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary()
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(
            st.one_of(st.text(), st.integers(), st.tuples(st.integers(), st.integers())), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(values)
@example([1, (2, {"a": None, (1, 2): [True, b"\x00\xff"]}), "\ud800 \0", 2**53, -(2**53), 2**4000, -0.0])
@example([float("nan"), float("inf"), float("-inf"), complex("nan"), complex(float("inf"), -0.0)])
def test_plain_data_comes_back_as_it_was(value: Any):
    """Every kind of plain data, nested, arrives with the same value and type."""
    assert same(there_and_back(value), value)


TENSORS = {
    **{
        f"{name} {dtype}".replace("torch.", ""): torch.tensor([0, 1, 1]).to(dtype)
        for name, dtype in wire.DTYPES.items()
    },
    "zero size": torch.empty(0, 3),
    "zero dimensions": torch.tensor(2.5),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "strided": torch.arange(10)[::3],
    "expanded": torch.ones(1, 2).expand(5, 2),
    "one element expanded": torch.tensor(2.5).expand(1),
    "one column expanded": torch.tensor([2.5]).expand(1, 1)[:, 0],
    "conjugated view": torch.tensor([1 + 2j, 3 - 4j]).conj(),
    "negated view": torch.tensor([1 + 2j, 3 - 4j]).conj().imag,
    "special values": torch.tensor([math.nan, math.inf, -math.inf, -0.0]),
}


@pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)
def test_tensors_come_back_as_they_were(tensor: torch.Tensor):
    """Every dtype and layout of memory arrives with the same values, shape and dtype."""
    found = there_and_back(tensor)
    assert found.dtype is tensor.dtype
    assert found.shape == tensor.shape
    assert torch.equal(found.nan_to_num(7.0), tensor.nan_to_num(7.0))


def test_requires_grad_crosses():
    """The flag that makes a call differentiable arrives, and only on tensors that can carry it."""
    given_, plain = torch.ones(2, requires_grad=True), torch.ones(2)
    found = there_and_back([given_, plain])
    assert [tensor.requires_grad for tensor in found] == [True, False]
    _, (sneaky,) = received(frame({}, [["i8", [1], True]], bytes(8)))
    assert not sneaky.requires_grad


def test_one_tensor_sent_twice_stays_one():
    """Two places that hold one tensor hold one tensor on the other side, so that a change is seen in both."""
    tensor = torch.zeros(3)
    first, (second, other) = there_and_back([tensor, (tensor, tensor.clone())])
    assert first is second
    assert first is not other


def test_arrays_scalars_dtypes_and_strangers():
    """numpy's arrays and scalars and torch's dtypes cross as what they are; anything else only as its type's name."""
    array, scalar, dtype, stranger = there_and_back(
        [np.arange(4.0).reshape(2, 2), np.float32(1.5), torch.int8, object()]
    )
    np.testing.assert_array_equal(array, [[0.0, 1.0], [2.0, 3.0]])
    assert scalar == 1.5
    assert dtype is torch.int8
    assert isinstance(stranger, Opaque)
    assert repr(stranger) == "<an object of type object>"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (torch.eye(2).to_sparse(), "layout"),
        (torch.ones(2).to(torch.float8_e5m2), "dtype"),
        (16**5000, "hexadecimal digits"),
    ],
    ids=["sparse", "small float", "huge int"],
)
def test_what_cannot_be_encoded_is_refused(value: Any, complaint: str):
    """The sender says why instead of sending something else."""
    with pytest.raises(WireError, match=complaint):
        Encoder().tree(value)


def test_what_contains_itself_is_refused():
    """A list inside itself is an error and not an endless loop."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(WireError, match="contains itself"):
        Encoder().tree(loop)


# ------------------------------------------------------------------------------------------------ what is refused

BAD_TREES = {
    "list": [1, 2],
    "empty dict": {},
    "two tags": {"l": [], "u": []},
    "unknown tag": {"exec": "1"},
    "list that is none": {"l": 3},
    "pairs that are none": {"d": [[1]]},
    "key that cannot be hashed": {"d": [[{"l": []}, 1]]},
    "float in words": {"f": "a lot"},
    "float of a list": {"f": [1]},
    "int in words": {"i": "many"},
    "complex of three": {"z": [1, 2, 3]},
    "complex of nothing": {"z": [{}, 1]},
    "bytes that are none": {"b": "xyz"},
    "tensor beyond the end": {"t": 1},
    "tensor before the start": {"t": -1},
    "tensor true": {"t": True},
    "tensor named": {"t": "0"},
    "handle without a receiver": {"h": {"number": 1}},
    "bfloat16 as an array": {"n": 0},
}


@pytest.mark.parametrize("tree", BAD_TREES.values(), ids=BAD_TREES)
def test_malformed_trees_are_refused(tree: Any):
    """A tree that our encoder would never make is a WireError and no other exception."""
    with pytest.raises(WireError):
        decode(tree, [torch.zeros(1, dtype=torch.bfloat16)])


def test_depth_is_bounded():
    """Deep nesting is refused in words, long before the interpreter's own limit."""
    tree: Any = None
    for _ in range(wire.MAX_DEPTH + 5):
        tree = {"l": [tree]}
    with pytest.raises(WireError, match="deep"):
        decode(tree, [])


@pytest.mark.parametrize("name", ["_dynamo", "_inductor", "ones", "no such thing", "nn"])
def test_a_dtype_is_a_dtype(name: str):
    """The name of a dtype can't be used to reach, or to import, anything else of torch."""
    import sys

    before = set(sys.modules)
    assert isinstance(decode({"y": name}, []), Opaque)
    assert set(sys.modules) == before


def test_keys_made_to_collide_do_not_hold_the_judge_up(monkeypatch: pytest.MonkeyPatch):
    """Ints with one hash make building a dict quadratic: it is cut off, and 4 MB of them don't cost minutes."""
    monkeypatch.setattr(wire, "MAX_DICT_SECONDS", 0.2)
    colliding = {"d": [[{"i": hex(i * (2**61 - 1))}, 0] for i in range(40_000)]}
    started = time.thread_time()
    with pytest.raises(WireError, match="too long"):
        decode(colliding, [])
    assert time.thread_time() - started < 1.5


def test_the_dicts_of_a_value_share_their_time(monkeypatch: pytest.MonkeyPatch):
    """Colliding keys spread over many dicts, each of them quick enough, are cut off as well."""
    clock = iter(range(10**6))
    monkeypatch.setattr(wire.time, "thread_time", lambda: next(clock))
    monkeypatch.setattr(wire, "MAX_DICT_SECONDS", 10)
    five = {"d": [[key, 0] for key in range(5)]}
    assert decode({"l": [five]}, []) == [dict.fromkeys(range(5), 0)]
    with pytest.raises(WireError, match="too long"):
        decode({"l": [five, five, five]}, [])


BAD_FRAMES: dict[str, tuple[bytes, str]] = {
    "other magic": (b"HTTP" + frame({})[4:], "not a frame"),
    "header too large": (HEAD.pack(MAGIC, wire.MAX_HEADER + 1, 0), "larger than allowed"),
    "payload too large": (HEAD.pack(MAGIC, 2, wire.MAX_PAYLOAD + 1), "larger than allowed"),
    "payload of exabytes": (HEAD.pack(MAGIC, 2, 2**64 - 1), "larger than allowed"),
    "not JSON": (frame(None, header=b"{"), "not JSON"),
    "not text": (frame(None, header=b"\xff\xfe\xfd"), "not JSON"),
    "int of a million digits": (frame(None, header=b"1" * 1_000_000), "not JSON"),
    "nested 100 000 deep": (frame(None, header=b"[" * 100_000), "not JSON"),
    "header a list": (frame(None, header=b"[]"), "without a message"),
    "message a list": (frame([]), "without a message"),
    "no list of tensors": (frame({}, metas=3), "list of tensors"),
    "too many tensors": (frame({}, metas=[0] * (wire.MAX_TENSORS + 1)), "list of tensors"),
    "meta too short": (frame({}, [["f4", [1]]], bytes(4)), "unknown kind"),
    "meta a dict": (frame({}, [{"f4": 1}], bytes(4)), "unknown kind"),
    "unknown dtype": (frame({}, [["q9", [1], False]], bytes(4)), "unknown kind"),
    "dtype a list": (frame({}, [[["f4"], [1], False]], bytes(4)), "unknown kind"),
    "negative size": (frame({}, [["f4", [-1], False]]), "impossible shape"),
    "size a float": (frame({}, [["f4", [1.0], False]], bytes(4)), "impossible shape"),
    "size true": (frame({}, [["f4", [True], False]], bytes(4)), "impossible shape"),
    "size null": (frame({}, [["f4", None, False]], bytes(4)), "impossible shape"),
    "size beyond 2**40": (frame({}, [["f4", [1 << 41, 0], False]]), "impossible shape"),
    "product beyond the bound": (frame({}, [["f8", [1 << 39, 1 << 39], False]]), "larger than allowed"),
    "zero times too much": (frame({}, [["f8", [0, 1 << 39, 1 << 39], False]]), "impossible shape"),
    "too many dimensions": (frame({}, [["f4", [1] * 17, False]], bytes(4)), "impossible shape"),
    "payload too short for its shape": (frame({}, [["f4", [2], False]], bytes(4)), "announced"),
    "payload too long for its shape": (frame({}, [["f4", [2], False]], bytes(12)), "announced"),
    "payload of nobody": (frame({}, [], bytes(12)), "announced"),
}


@pytest.mark.parametrize(("data", "complaint"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_malformed_frames_are_refused(data: bytes, complaint: str):
    """A frame that breaks a rule is refused by that rule, before anything of its size is allocated."""
    with pytest.raises(WireError, match=complaint):
        received(data)


@pytest.mark.parametrize(
    "cut", [0, 3, HEAD.size, HEAD.size + 5, -1], ids=["all", "head", "header", "tree", "payload"]
)
def test_a_peer_that_hangs_up_is_an_end(cut: int):
    """A frame that ends early is EOFError, wherever it ends."""
    data = frame({}, [["f4", [2], False]], bytes(8))
    with pytest.raises(EOFError):
        received(data[:cut])


def test_truth_bytes_are_normalised():
    """A bool of the byte 255 is undefined behaviour in torch, so it becomes a proper True."""
    _, (found,) = received(frame({}, [["b1", [4], False]], bytes([0, 1, 2, 255])))
    assert found.tolist() == [False, True, True, True]
    assert found.view(torch.uint8).tolist() == [0, 1, 1, 1]


def test_frames_that_arrive_together(pair: Pair):
    """Frames of all sizes that lie in the socket at once are taken apart, and earlier ones keep their values."""
    channel, peer = pair
    sizes = [1, 0, 70_000, 3, 300_000, 2]
    data = b"".join(
        frame({"n": n}, [["u1", [size], False]], bytes([n]) * size) for n, size in enumerate(sizes)
    )
    writer = threading.Thread(target=peer.sendall, args=(data,))
    writer.start()
    found = [channel.receive() for _ in sizes]
    writer.join()
    for n, (size, (message, (tensor,))) in enumerate(zip(sizes, found, strict=True)):
        assert message == {"n": n}
        assert tensor.tolist() == [n] * size


def test_a_slow_drip_is_cut_by_the_deadline(pair: Pair):
    """A peer that sends one byte now and then can't stretch its time: the deadline holds for the sum."""
    channel, peer = pair
    stop = threading.Event()

    def drip() -> None:
        for byte in frame({"text": "x" * 1000}):
            if stop.wait(0.02):
                return
            peer.send(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    channel.within(0.3)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        channel.receive()
    assert time.monotonic() - started < 1.0
    stop.set()
    thread.join()


def test_a_peer_that_does_not_read_is_cut_by_the_deadline(pair: Pair):
    """A full socket does not hold the judge up either."""
    channel, _ = pair
    channel.within(0.2)
    with pytest.raises(TimeoutError):
        channel.send({"text": "x" * (1 << 20)})


@pytest.mark.parametrize(
    ("message", "tensors"),
    [({"text": "x" * (wire.MAX_HEADER + 1)}, []), ({}, [torch.empty(1).expand(wire.MAX_PAYLOAD // 4 + 1)])],
    ids=["text", "tensor"],
)
def test_too_much_is_refused_before_it_is_sent(message: Any, tensors: list[torch.Tensor], pair: Pair):
    """A sender that exceeds the bounds says so, and the line stays usable."""
    channel, peer = pair
    with pytest.raises(WireError, match="more data than can be passed on"):
        channel.send(message, tensors)
    channel.send({"after": 1})
    assert b"after" in peer.recv(1000)


def test_smuggled_descriptors_are_dropped(pair: Pair):
    """A descriptor that a peer attaches to its bytes is not taken over into the judge's table of files."""
    import os

    channel, peer = pair
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    socket.send_fds(peer, [frame({"ok": True})], [0, 1, 2])
    assert channel.receive()[0] == {"ok": True}
    assert before == (set(os.listdir("/proc/self/fd")) if before else set())


# ------------------------------------------------------------------------------------------------------------ fuzz

GOOD = frame(
    {
        "ok": True,
        "result": {"u": [{"t": 0}, {"n": 1}, {"d": [["k", {"z": [1, {"f": "nan"}]}]]}, {"b": "00ff"}]},
    },
    [["f4", [2, 2], True], ["b1", [3], False]],
    struct.pack("<4f", 1, 2, 3, 4) + b"\0\1\2",
)


def mutated(data: bytes, choose: random.Random) -> bytes:
    """The frame with a few bytes changed, cut out, doubled or inserted."""
    changed = bytearray(data)
    for _ in range(choose.randint(1, 4)):
        place = choose.randrange(len(changed)) if changed else 0
        kind = choose.randrange(4)
        if kind == 0:
            changed[place : place + 1] = bytes([choose.randrange(256)])
        elif kind == 1:
            del changed[place : place + choose.randint(1, 8)]
        elif kind == 2:
            changed[place:place] = changed[place : place + choose.randint(1, 30)]
        else:
            changed[place:place] = choose.choice(
                [b"{", b"[", b'"', b"-1", b"1e999", b"null", b"\0", b"NaN", b"9" * 30]
            )
    return bytes(changed)


def repaired(data: bytes) -> bytes:
    """The same bytes with a head that fits them, so that what follows is looked at too."""
    body = data[HEAD.size :]
    end = min(len(body), GOOD_HEADER)
    return HEAD.pack(MAGIC, end, len(body) - end) + body


GOOD_HEADER = HEAD.unpack(GOOD[: HEAD.size])[1]


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32), st.booleans())
def test_mutated_frames_give_a_value_or_a_clean_error(seed: int, repair: bool):
    """Whatever arrives, the judge gets a value, WireError, EOFError or TimeoutError, and soon."""
    data = mutated(GOOD, random.Random(seed))
    started = time.monotonic()
    try:
        message, tensors = received(repaired(data) if repair else data, seconds=1.0)
        decode(message.get("result"), tensors)
    except (WireError, EOFError, TimeoutError):
        pass
    assert time.monotonic() - started < 2.0


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*"ludtnfizby?hcg", "number"]), inner, max_size=2),
    ),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(json_like)
def test_any_json_decodes_or_is_refused(tree: Any):
    """Trees that parse as JSON but mean nothing raise WireError and nothing else."""
    try:
        decode(tree, [torch.zeros(2)])
    except WireError:
        pass


def test_the_fuzz_can_fail(monkeypatch: pytest.MonkeyPatch):
    """Without the conversion of errors the same trees do raise something else: the test above looks at something."""
    unguarded: Callable[..., Any] = wire._Decoder([], None).value
    with pytest.raises((TypeError, ValueError, AttributeError)):
        unguarded({"l": 3}, 0)
