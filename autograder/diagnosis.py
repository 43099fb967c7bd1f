"""Which mistake explains a wrong answer.

A misconception is a wrong implementation of one name. The calls that a question's tests made are replayed against
each, in the judge: one that does what the student's code did in every call, while the reference does not, names the
mistake. Where none fits, generic clues say what the difference looks like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import nn

from autograder import submission
from autograder.assignment import Assignment
from autograder.sandbox.calls import Record
from autograder.sandbox.serve import vector_jacobian

T = TypeVar("T", bound=Callable[..., Any])
# A misconception and a student with the same mistake differ by rounding: at most 4e-6 in float32 at these sizes
# (CALIBRATION E1), 5e-15 in float64. The mildest wrong attention is 3.5e-3 away from a right one.
SAME = {torch.float32: 1e-4, torch.float64: 1e-8}


@dataclass(frozen=True)
class Misconception:
    """A known wrong answer.

    Attributes:
        key: the name of its function or class, for reports.
        question: the question that it loses.
        replaces: the student's name that it stands in for.
        name: completes "Your ... behaves exactly like".
        hint: helps without giving the solution away.
        implementation: the wrong function or class.
    """

    key: str
    question: str
    replaces: str
    name: str
    hint: str
    implementation: Callable[..., Any]


@dataclass(frozen=True)
class Diagnosis:
    """What explains a wrong answer: `key` for counting, `text` and `hint` for the student."""

    key: str
    text: str
    hint: str = ""


_collected: list[Misconception] = []


def misconception(question: str, *, replaces: str, name: str, hint: str) -> Callable[[T], T]:
    """Marks a function or class in `misconceptions.py` as a known wrong answer.

    Args:
        question: the question that it loses, such as "q1".
        replaces: the name of the student's that it stands in for.
        name: completes "Your attention_weights behaves exactly like".
        hint: for the student.
    """

    def mark(implementation: T) -> T:
        _collected.append(
            Misconception(implementation.__name__, question, replaces, name, hint, implementation)
        )
        return implementation

    return mark


def load_misconceptions(assignment: Assignment) -> list[Misconception]:
    """All misconceptions of an assignment, in the order of the file."""
    _collected.clear()
    path = assignment.misconceptions
    if path.exists():
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), {"__name__": "misconceptions"})
    found = list(_collected)
    _collected.clear()
    return found


def load_reference(assignment: Assignment) -> dict[str, Any]:
    """The names that the reference defines; its figures and demonstrations are not run."""
    reference = submission.read(assignment.reference, assignment.reference.name, assignment)
    namespace: dict[str, Any] = {"__name__": "reference"}
    for cell in reference.cells:
        source = "\n" * (cell.line - 1) + cell.source
        exec(compile(source, str(assignment.reference), "exec"), namespace)
    return namespace


# --------------------------------------------------------------------------------------------------------- replay


@dataclass
class Behaviour:
    """What one call did, as far as a test can see it."""

    error: str | None
    result: Any
    changed: dict[int, torch.Tensor]
    gradients: list[list[torch.Tensor | None]]
    detached: list[bool]


def observed(record: Record) -> Behaviour:
    """What the student's code did in this call."""
    gradients = [found for _, found in record.gradients]
    detached = [not output.requires_grad for output in record.outputs]
    return Behaviour(record.error, record.result, record.changed, gradients, detached)


def replay(record: Record, implementation: Callable[..., Any]) -> Behaviour:
    """What another implementation does in the same call."""
    torch.manual_seed(record.seed)
    tensors = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in record.tensors]
    try:
        function = (
            _instance(record, implementation, tensors) if record.instance is not None else implementation
        )
        args, kwargs = _substituted((record.arguments, record.keywords), record, tensors)
        with torch.set_grad_enabled(record.grad_enabled):
            result = function(*args, **kwargs)
    except Exception as error:
        return Behaviour(type(error).__name__, None, {}, [], [])
    if isinstance(result, nn.Module):
        return Behaviour(None, result, {}, [], [])
    outputs = _tensors(result)
    changed = {i: t for i, t in enumerate(tensors) if not _same(t.detach(), record.tensors[i].detach())}
    gradients = [_gradient(outputs, tensors, cotangents) for cotangents, _ in record.gradients]
    return Behaviour(None, result, changed, gradients, [not output.requires_grad for output in outputs])


def _instance(record: Record, implementation: Callable[..., Any], tensors: list[torch.Tensor]) -> nn.Module:
    """A module of that class, built as the student's was and given the same parameters, as leaves of this call."""
    assert record.instance is not None
    module = implementation(*record.instance.arguments, **record.instance.keywords)
    if not isinstance(module, nn.Module):
        raise TypeError("not a module")
    own = dict(module.named_parameters())
    if own.keys() != record.parameters.keys():
        raise TypeError("other parameters")
    first = len(tensors) - len(own)  # a module's parameters are the last inputs of its calls
    for number, (name, value) in enumerate(record.parameters.items()):
        with torch.no_grad():
            own[name].data = value.detach().clone()
        tensors[first + number] = own[name]
    return module


def _substituted(value: Any, record: Record, tensors: list[torch.Tensor]) -> Any:
    """The recorded arguments with fresh tensors in them, in the order in which they were sent."""
    seen: dict[int, torch.Tensor] = {}

    def walk(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return seen.setdefault(id(item), tensors[len(seen)] if len(seen) < len(tensors) else item)
        if isinstance(item, torch.Generator):
            seen[id(item)] = item.get_state()
            return item.clone_state()
        if isinstance(item, (list, tuple)):
            return type(item)(walk(part) for part in item)
        if isinstance(item, dict):
            return {key: walk(part) for key, part in item.items()}
        return item

    return walk(value)


def _gradient(
    outputs: list[torch.Tensor], inputs: list[torch.Tensor], cotangents: list[torch.Tensor | None]
) -> list[torch.Tensor | None]:
    pairs = [(o, g) for o, g in zip(outputs, cotangents, strict=False) if o.requires_grad and g is not None]
    wanted = [i for i, tensor in enumerate(inputs) if tensor.requires_grad]
    found: list[torch.Tensor | None] = [None] * len(inputs)
    if pairs and wanted:
        try:
            gradients = vector_jacobian(pairs, [inputs[i] for i in wanted])
        except RuntimeError:
            return found
        for i, gradient in zip(wanted, gradients, strict=True):
            found[i] = gradient
    return found


def same_behaviour(one: Behaviour, other: Behaviour) -> bool:
    """Whether two implementations did the same in one call, up to rounding."""
    if one.error or other.error:
        return one.error == other.error
    if not _same(one.result, other.result) or one.changed.keys() != other.changed.keys():
        return False
    if len(one.detached) == len(other.detached) and one.detached != other.detached:
        return False
    if not all(_same(one.changed[i], other.changed[i]) for i in one.changed):
        return False
    return all(
        _same(a if a is not None else 0.0, b if b is not None else 0.0)
        for found, wanted in zip(one.gradients, other.gradients, strict=False)
        for a, b in zip(found, wanted, strict=False)
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _same_tensors(one.detach(), other.detach())
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        tensor, plain = (one, other) if isinstance(one, torch.Tensor) else (other, one)
        return isinstance(plain, float) and plain == 0.0 and not tensor.count_nonzero()
    if isinstance(one, nn.Module) or isinstance(other, nn.Module):
        return True  # constructions; what they compute is compared call by call
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, float) and isinstance(other, (int, float)):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (
            math.isnan(one) and math.isnan(other)
        )
    return type(one) is type(other) and bool(one == other)


def _same_tensors(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    tolerance = SAME.get(one.dtype, 0.0)
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    return []


# ------------------------------------------------------------------------------------------------------ diagnosing


@dataclass
class Diagnostician:
    """Explains wrong answers to one assignment's questions.

    Args:
        reference: the names that the reference defines.
        misconceptions: the known wrong answers.
    """

    reference: dict[str, Any]
    misconceptions: list[Misconception]

    def explain(self, question: str, records: list[Record]) -> Diagnosis | None:
        """The mistake behind a question's calls, or a clue, or None.

        Args:
            question: the question's name.
            records: all calls that its tests made.
        """
        try:
            calls = [self._compared(record) for record in records if _subject(record) in self.reference]
            calls = [
                c for c in calls if c.right.error is None
            ]  # how bad arguments are refused is another matter
            return (
                self._misconception(question, calls, _explains, "Your")
                or self._misconception(question, calls, _explains_the_rest, "Apart from NaN and errors, your")
                or self._clue(calls)
            )
        except Exception:  # a diagnosis is a courtesy: none is better than a grade lost
            return None

    def _compared(self, record: Record) -> _Call:
        did, right = observed(record), replay(record, self.reference[_subject(record)])
        return _Call(record, did, right, wrong=not same_behaviour(did, right))

    def _misconception(
        self,
        question: str,
        calls: list[_Call],
        explains: Callable[[Misconception, list[_Call]], bool],
        your: str,
    ) -> Diagnosis | None:
        for candidate in self.misconceptions:
            own = [call for call in calls if _subject(call.record) == candidate.replaces]
            if candidate.question == question and explains(candidate, own):
                text = f"{your} `{candidate.replaces}` behaves exactly like {candidate.name}."
                return Diagnosis(candidate.key, text, candidate.hint)
        return None

    def _clue(self, calls: list[_Call]) -> Diagnosis | None:
        """What the first wrong answer looks like beside the right one."""
        for call in calls:
            found, wanted = _tensors(call.did.result), _tensors(call.right.result)
            if call.wrong and call.did.error is None and len(found) == len(wanted) == 1:
                return clue(f"`{_subject(call.record)}`", found[0], wanted[0])
        return None


@dataclass
class _Call:
    """One recorded call beside what the reference does in it."""

    record: Record
    did: Behaviour
    right: Behaviour
    wrong: bool


def _explains(candidate: Misconception, calls: list[_Call]) -> bool:
    """Whether it does what the student's code did, call by call, and that is wrong somewhere."""
    return any(call.wrong for call in calls) and all(
        same_behaviour(call.did, replay(call.record, candidate.implementation)) for call in calls
    )


def _explains_the_rest(candidate: Misconception, calls: list[_Call]) -> bool:
    """The same, setting aside what comes on top of the mistake: calls that raised, and numbers that are NaN."""
    calls = [call for call in calls if call.did.error is None]
    return any(not same_behaviour(call.did, _blanked(call.right, call.did)) for call in calls) and all(
        same_behaviour(call.did, _blanked(replay(call.record, candidate.implementation), call.did))
        for call in calls
    )


def _blanked(behaviour: Behaviour, like: Behaviour) -> Behaviour:
    """What was done, with NaN wherever `like` has NaN."""
    gradients = [
        [_blank(g, other) for g, other in zip(found, others, strict=False)]
        for found, others in zip(behaviour.gradients, like.gradients, strict=False)
    ]
    return replace(behaviour, result=_blank(behaviour.result, like.result), gradients=gradients)


def _blank(value: Any, like: Any) -> Any:
    if isinstance(value, torch.Tensor) and isinstance(like, torch.Tensor):
        if value.shape == like.shape and value.is_floating_point() and like.is_floating_point():
            return torch.where(like.detach().isnan(), torch.nan, value.detach())
    elif isinstance(value, (list, tuple)) and isinstance(like, (list, tuple)) and len(value) == len(like):
        return type(value)(_blank(a, b) for a, b in zip(value, like, strict=True))
    return value


def _subject(record: Record) -> str:
    """The student's name that a call is about: a module's class for a call of an instance."""
    return record.instance.name if record.instance is not None else record.name


def clue(what: str, found: torch.Tensor, wanted: torch.Tensor) -> Diagnosis | None:
    """What a wrong tensor looks like beside the right one: transposed, scaled, shifted, zeros, detached."""
    detached = wanted.requires_grad and not found.requires_grad
    found, wanted = found.detach(), wanted.detach()
    if found.shape != wanted.shape:
        if found.dim() >= 2 and found.mT.shape == wanted.shape and _same(found.mT.contiguous(), wanted):
            return Diagnosis("clue:transposed", f"The result of {what} is right but transposed.")
        return None
    if not (found.is_floating_point() and wanted.is_floating_point()) or not found.numel():
        return None
    if found.isnan().any() and not wanted.isnan().any():
        return Diagnosis(
            "clue:nan",
            f"The result of {what} contains NaN: look for 0/0, inf - inf or a row without any key.",
        )
    if not found.count_nonzero():
        return Diagnosis("clue:zeros", f"The result of {what} is zero everywhere.")
    for key, text, matches in _COMPARISONS:
        if matches(found, wanted):
            return Diagnosis(f"clue:{key}", f"The result of {what} is right but {text}.")
    factor = _factor(found, wanted)
    if factor is not None:
        return Diagnosis(
            "clue:factor", f"The result of {what} is {factor:.4g} times what it should be, everywhere."
        )
    if detached and _same(found, wanted):
        return Diagnosis(
            "clue:detached", f"The values of {what} are right, but no gradient flows back through them."
        )
    return None


def _is_transposed(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return (
        found.dim() >= 2
        and found.shape == found.mT.shape
        and not _same(found, wanted)
        and _same(found.mT, wanted)
    )


def _is_shifted(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    if found.dim() < 1 or found.shape[0] < 3:
        return False
    return _same(found[1:], wanted[:-1]) or _same(found[:-1], wanted[1:])


_COMPARISONS: list[tuple[str, str, Callable[[torch.Tensor, torch.Tensor], bool]]] = [
    ("transposed", "transposed", _is_transposed),
    ("shifted", "shifted by one position", _is_shifted),
]


def _factor(found: torch.Tensor, wanted: torch.Tensor) -> float | None:
    """The constant by which `found` differs from `wanted`, if it is one and not 1."""
    found, wanted = found.double(), wanted.double()
    total = (wanted * wanted).sum()
    if not total > 0:
        return None
    factor = float((found * wanted).sum() / total)
    if not math.isfinite(factor) or abs(factor - 1) < 1e-6 or abs(factor) < 1e-12:
        return None
    close = torch.allclose(found, factor * wanted, rtol=1e-5, atol=1e-8 * float(found.abs().max()))
    return factor if close else None
