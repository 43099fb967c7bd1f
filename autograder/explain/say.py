"""What was found as text, which no name, text or number of a student's can turn into anything but text."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent
from typing import Any

import torch
from torch import nn

from autograder.explain.compare import Compared, Considered
from autograder.grading import QuestionResult
from autograder.replay import subject, tensors_in
from autograder.sandbox.calls import Record
from autograder.suite import CaseResult, Outcome

SMALL = 12  # numbers that are written out; what is larger is summed up
MAX_CALLS = 4  # of one case, the ones unlike the reference's first: enough to see it, and still a screen
MAX_MISTAKES = 12
MAX_TEXT = 100
_MARKS = {Outcome.PASSED: "passed", Outcome.FAILED: "FAILED", Outcome.COULD_NOT_TELL: "COULD NOT TELL"}


def question(result: QuestionResult) -> Iterator[str]:
    """What became of the question as a whole."""
    yield f"{result.name} {result.title}: {result.score:g} of {result.possible:g} points"
    if result.policy:
        yield indent(result.policy, "  ")
    if result.note:
        yield indent(result.note, "  ")
    if result.diagnosis is not None:
        yield f"  Named: {result.diagnosis.key}. {result.diagnosis.text}"


def case(result: CaseResult, place: str, calls: list[Compared]) -> Iterator[str]:
    """One case: what the student reads, where the test stands, and its calls beside the reference's."""
    kind = "hidden" if result.hidden else "public"
    earned = result.points if result.outcome is Outcome.PASSED else 0
    head = f"{_MARKS[result.outcome]}: {result.name} ({kind}, {earned:g} of {result.points:g} points"
    yield f"{head}, {result.seconds:.2f} s, {_count(len(calls), 'call')})"
    if result.outcome is Outcome.PASSED:
        return
    yield f"    The test: {place}."
    yield "    The student reads:"
    yield indent(result.text, "        ")
    if result.outcome is Outcome.FAILED:
        yield "    The reference passes this test in this process."
    yield from _calls(calls)


def _calls(calls: list[Compared]) -> Iterator[str]:
    unlike = [call for call in calls if not call.same]
    if calls:
        yield f"    {_count(len(calls), 'call')}, {len(unlike)} unlike the reference's:"
    first = (unlike or calls)[:MAX_CALLS]
    for call in first:
        yield indent("\n".join(_call(call)), "      ")
    if len(calls) > len(first):
        yield f"      and {len(calls) - len(first)} more"


def _call(call: Compared) -> Iterator[str]:
    yield _title(call.record)
    yield f"  found     {_behaviour(call.did.error, call.did.result)}"
    if call.right is None:
        yield "  expected  (the reference has no such name)"
        return
    yield f"  expected  {_behaviour(call.right.error, call.right.result)}"
    yield from _differences(call)


def _title(record: Record) -> str:
    name = subject(record) + "".join(f".{part}" for part in record.path)
    built = f"({_arguments(record.instance)})" if record.instance is not None else ""
    return f"{name}{built}({_arguments(record)})"


def _arguments(record: Record) -> str:
    given = [shown(value) for value in record.arguments]
    return ", ".join([*given, *(f"{name}={shown(value)}" for name, value in record.keywords.items())])


def _behaviour(error: str | None, result: Any) -> str:
    return f"raises {error}" if error else shown(result)


def _differences(call: Compared) -> Iterator[str]:
    assert call.right is not None
    if call.same or call.did.error or call.right.error:
        return
    for found, wanted in zip(tensors_in(call.did.result), tensors_in(call.right.result), strict=False):
        if found.shape == wanted.shape and found.dtype == wanted.dtype and found.numel():
            difference = (found.detach().double() - wanted.detach().double()).abs().max()
            yield f"  the largest difference is {float(difference):.3g}"
    if call.did.changed.keys() != call.right.changed.keys():
        yield "  an argument was modified in place"
    if len(call.did.detached) == len(call.right.detached) and call.did.detached != call.right.detached:
        yield "  no gradient flows back through the result, or one where there should be none"
    yield from _gradients(call.did.gradients, call.right.gradients)


def _gradients(found: list[Any], wanted: list[Any]) -> Iterator[str]:
    for ours, theirs in zip(found, wanted, strict=False):
        for position, (one, other) in enumerate(zip(ours, theirs, strict=False)):
            if one is None or other is None or one.shape != other.shape:
                continue
            difference = (
                float((one.detach().double() - other.detach().double()).abs().max()) if one.numel() else 0.0
            )
            yield f"  gradient for tensor {position + 1} of the call: the largest difference is {difference:.3g}"


def mistakes(found: list[Considered], named: str, tested: list[str]) -> Iterator[str]:
    """Which known mistakes were considered, and how each compared.

    Args:
        found: those that were replayed.
        named: the key that the feedback names, or "".
        tested: keys of those that only a test can name.
    """
    yield "Known mistakes that were considered, by replaying the calls that the reference answers:"
    width = max((len(one.known.key) for one in found[:MAX_MISTAKES]), default=0)
    for one in found[:MAX_MISTAKES]:
        mark = "  <- named" if one.known.key == named else "  <- explains all" if one.explains else ""
        yield (
            f"    {one.known.key:{width}}  does the same in {one.reproduced} of {_count(one.calls, 'call')}"
            f" to {one.known.replaces}, {one.reproduced_wrong} of the {one.wrong} wrong ones{mark}"
        )
    if len(found) > MAX_MISTAKES:
        yield f"    and {len(found) - MAX_MISTAKES} more, which explain no more than these"
    if tested:
        yield f"    not replayed, for a test names them: {', '.join(tested)}"
    if not any(one.explains for one in found):
        yield "    None does the same in all calls" + (
            ", NaN and errors included: what is named does so apart from these."
            if any(one.known.key == named for one in found)
            else "."
        )


def shown(value: Any) -> str:
    """A value in a line: small tensors in full, large ones by shape, dtype and range.

    >>> shown(torch.tensor([0.25, 0.75]))
    'float32 (2,) [0.25, 0.75]'
    """
    if isinstance(value, torch.Tensor):
        return _tensor(value.detach())
    if isinstance(value, (list, tuple)):
        inside = ", ".join(shown(item) for item in value[:SMALL]) + (", ..." if len(value) > SMALL else "")
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, dict):
        inside = ", ".join(f"{shown(key)}: {shown(item)}" for key, item in list(value.items())[:SMALL])
        return f"{{{inside}}}"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        text = repr(value)
        return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."
    return "a module" if isinstance(value, nn.Module) else f"an object of type {type(value).__name__}"


def _tensor(tensor: torch.Tensor) -> str:
    head = f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
    if tensor.numel() <= SMALL:
        return f"{head} {_rounded(tensor.tolist())}"
    if tensor.is_complex():
        return head
    if tensor.is_floating_point():
        bad = int(tensor.numel() - tensor.isfinite().sum())
        finite = tensor[tensor.isfinite()].double()
        spread = f" from {float(finite.min()):.4g} to {float(finite.max()):.4g}" if finite.numel() else ""
        return head + spread + (f", {bad} of them NaN or infinite" if bad else "")
    return f"{head} from {tensor.min().item()} to {tensor.max().item()}"


def _rounded(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_rounded, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
