"""Thousands of hostile frames: each gives plain data or a documented error, and a test that gets them ends in words.

`python -m benchmarks.fuzz` does the same a million times and watches memory.
"""

import random
import resource
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder.sandbox import remote, session, wire
from autograder.sandbox.errors import BadAnswer, StudentFailure
from autograder.sandbox.host import Bounds, Code
from autograder.sandbox.remote import Handles, Namespace, RemoteModule
from autograder.sandbox.session import Session
from autograder.sandbox.wire import WireError
from tests.fuzz import peer
from tests.fuzz.frames import ANSWERS, hostile, valid

SEEDS = st.integers(0, 2**64)
LAST = 2**64  # seeds beyond it are for tests that need some frame, not any
CODE = Code((("pass", 1),), "answer.py", False, {})


@settings(max_examples=3000, deadline=None, derandomize=True)
@given(SEEDS)
def test_any_frame_is_a_value_or_a_documented_error(seed: int):
    """The codec alone: no exception but `WireError` and `EOFError` comes out of a frame."""
    assert peer.decoded(hostile(random.Random(seed))) in ("value", "WireError", "EOFError")


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(SEEDS)
def test_any_answer_is_a_value_or_the_students_failure(seed: int):
    """All that stands behind the codec: names, calls, gradients and modules end as `StudentFailure`, if not well."""
    choose = random.Random(seed)
    peer.judged(peer.several(choose), choose)


def test_the_frames_reach_far():
    """Of each kind of end there are many: the two tests above would be worth nothing if all frames died at the door."""
    frames = [peer.decoded(hostile(random.Random(LAST + n))) for n in range(500)]
    assert frames.count("value") > 100
    assert frames.count("WireError") > 100
    ends = [peer.judged(peer.several(choose), choose) for choose in map(random.Random, range(500))]
    assert min(map(ends.count, ("value", "BadAnswer", "NotDefined", "Died", "StudentError"))) >= 10


@pytest.mark.parametrize(
    "answer", [ANSWERS[n] for n in (0, 1, 4, 5)], ids=["tensors", "changes", "dict", "dtype"]
)
def test_the_frames_start_from_real_answers(answer: dict[str, Any]):
    """What is mutated is well-formed: the judge takes it as it is."""
    assert peer.decoded(valid(answer)) == "value"


def test_without_its_guard_the_codec_fails_the_test(monkeypatch: pytest.MonkeyPatch):
    """With a decoder that lets errors through, the same frames raise others: the tests above can fail."""
    monkeypatch.setattr(peer, "decode", lambda tree, tensors: wire._Decoder(tensors, None).value(tree, 0))
    frames = [hostile(random.Random(LAST + n)) for n in range(2000)]
    with pytest.raises((TypeError, ValueError, LookupError, AttributeError, RuntimeError)):
        list(map(peer.decoded, frames))


# ------------------------------------------------------------------------- little that is sent must not become much


def handles(tensor: torch.Tensor) -> Handles:
    """What makes proxies of an answer that brought one tensor."""
    return Handles(SimpleNamespace(generation=1), [tensor], [True])  # type: ignore[arg-type]  # it is asked no more


def module(parameters: Any) -> dict[str, Any]:
    """The handle of a module."""
    return {"h": {"number": 0, "type": "Gate", "parameters": parameters}}


def test_one_tensor_is_not_many_parameters(monkeypatch: pytest.MonkeyPatch):
    """A large tensor named as 300 parameters would be copied 300 times: all copies count together."""
    monkeypatch.setattr(remote, "MAX_PAYLOAD", 4000)
    large = torch.zeros(500)
    with pytest.raises(WireError, match="too large"):
        handles(large)._parameters([["a", 0], ["b", 0], ["c", 0]])
    both = handles(large)
    both._parameters([["a", 0]])
    with pytest.raises(WireError, match="too large"):
        both._parameters([["a", 0], ["b", 0]])


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ([["a", 0]] * 1001, "too many"),
        ([["a" + ".b" * 20, 0]], "too deep"),
        ([["a", 1]], "malformed data"),
        ([["a"]], "malformed data"),
        ({"a": 0}, "malformed handle"),
    ],
    ids=["many", "deep", "of no tensor", "half", "a dict"],
)
def test_parameters_that_are_refused(parameters: Any, complaint: str):
    """The parameters of a module are checked one by one."""
    with pytest.raises(WireError, match=complaint):
        wire.decode(module(parameters), [], handles(torch.zeros(1)))


def test_modules_in_an_answer_count_together():
    """A thousand modules without parameters are as much work as one with a thousand."""
    with pytest.raises(WireError, match="too many"):
        wire.decode({"l": [module([])] * 1001}, [], handles(torch.zeros(1)))


def answered(*answers: dict[str, Any], ask: str = "f") -> tuple[Session, Any]:
    """The session and what a test gets for `ask(x)` when the child answers so."""
    data = peer._CELL_RAN + peer._DESCRIBED + b"".join(map(valid, answers))
    with Session(peer.Puppet(data), CODE, Bounds()) as made:  # type: ignore[arg-type]
        function = Namespace(made).get(ask)
        return made, [function(torch.ones(2, 2)) for _ in answers][-1]


def test_a_real_module_is_taken():
    """The bounds leave room for what students return."""
    _, found = answered(ANSWERS[2])
    assert isinstance(found, RemoteModule)
    assert [name for name, _ in found.named_parameters()] == ["W", "below.b"]


def test_names_of_operators_do_not_pile_up(monkeypatch: pytest.MonkeyPatch):
    """Made-up names of operators with every answer fill a bounded set."""
    monkeypatch.setattr(session, "MAX_OPERATORS", 100)
    answers = [{**ANSWERS[0], "operators": [f"{round}/{n}" for n in range(60)]} for round in range(4)]
    found, _ = answered(*answers)
    assert len(found.operators) == 100


@pytest.mark.parametrize("key", ["kind", "text", "trace"])
def test_an_error_that_is_no_text(key: str):
    """An error whose texts are lists as deep as the parser lets through is an error with empty texts."""
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    with pytest.raises(StudentFailure) as raised:
        answered({"ok": False, "kind": "ValueError", "text": "no", "trace": "", "bases": [], key: deep})
    assert not isinstance(raised.value, BadAnswer)
    assert "[" not in str(raised.value)


def test_reading_an_answer_counts_as_the_submissions_time(monkeypatch: pytest.MonkeyPatch):
    """What takes the judge long to take apart is charged to the one who sent it."""
    clock = [0.0]
    monkeypatch.setattr(session.time, "monotonic", lambda: clock[0])

    def slow(*_: Any) -> None:
        clock[0] += 5.0

    monkeypatch.setattr(remote, "decode", slow)
    found, _ = answered(ANSWERS[0])
    assert found.usage.seconds >= 5.0


def test_a_function_of_the_judges_has_bounded_memory():
    """Arguments made to blow up in a test's function, 0.1 MB to 4.3 GB here, are an error at the student's line."""
    serve = remote._callback(lambda x: x[:, None] * x)
    before = resource.getrlimit(resource.RLIMIT_DATA)
    reply, _ = serve({"u": [{"u": [{"t": 0}]}, {"d": []}]}, [torch.ones(1 << 15)])
    assert "memory" in reply["error"]
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    assert "result" in serve({"u": [{"u": [{"t": 0}]}, {"d": []}]}, [torch.ones(8)])[0]


def test_a_function_of_the_judges_gets_so_much_in_a_call(monkeypatch: pytest.MonkeyPatch):
    """A test may keep what its functions are given: all that one call gives them is bounded together."""
    callback = {"callback": 0, "arguments": {"u": [{"u": [{"t": 0}]}, {"d": []}]}}
    given_to: list[Any] = []
    data = peer._CELL_RAN + peer._DESCRIBED + valid(callback) * 5 + valid(ANSWERS[0])
    monkeypatch.setattr(session, "MAX_CALLED_BACK", 3 * 27)
    with Session(peer.Puppet(data), CODE, Bounds()) as made, pytest.raises(BadAnswer, match="more data"):  # type: ignore[arg-type]
        Namespace(made).get("f")(given_to.append)
    assert len(given_to) == 3
