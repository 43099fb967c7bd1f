"""Which mistake explains a wrong answer.

A misconception is a wrong implementation of one name. The calls that a question's tests made are replayed against
each, in the judge: one that does what the student's code did in every call, while the reference does not, names the
mistake. Where none fits, generic clues say what the difference looks like.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from autograder import submission
from autograder.assignment import Assignment
from autograder.replay import Behaviour, blanked, observed, replay, same, same_behaviour, subject, tensors_in
from autograder.sandbox.calls import Record

T = TypeVar("T", bound=Callable[..., Any])


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
        replayed: whether it is looked for by replay.
    """

    key: str
    question: str
    replaces: str
    name: str
    hint: str
    implementation: Callable[..., Any]
    replayed: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """What explains a wrong answer: `key` for counting, `text` and `hint` for the student."""

    key: str
    text: str
    hint: str = ""


_collected: list[Misconception] = []


def misconception(
    question: str, *, replaces: str, name: str, hint: str, replayed: bool = True
) -> Callable[[T], T]:
    """Marks a function or class in `misconceptions.py` as a known wrong answer.

    Args:
        question: the question that it loses, such as "q1".
        replaces: the name of the student's that it stands in for.
        name: completes "Your attention_weights behaves exactly like".
        hint: for the student.
        replayed: False: a test names it by `Mistake`, and a replay would take long and tell nothing, as for a training.
    """

    def mark(implementation: T) -> T:
        _collected.append(
            Misconception(implementation.__name__, question, replaces, name, hint, implementation, replayed)
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
            calls = [self._compared(record) for record in records if subject(record) in self.reference]
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

    def replays(self, question: str) -> bool:
        """Whether there is a point in recording a question's calls."""
        own = [known.replayed for known in self.misconceptions if known.question == question]
        return any(own) or not own

    def named(self, key: str) -> Diagnosis | None:
        """The misconception that a test itself has recognised."""
        for known in self.misconceptions:
            if known.key == key:
                text = f"Your `{known.replaces}` behaves like {known.name}."
                return Diagnosis(key, text, known.hint)
        return None

    def _compared(self, record: Record) -> _Call:
        did, right = observed(record), replay(record, self.reference[subject(record)])
        return _Call(record, did, right, wrong=not same_behaviour(did, right))

    def _misconception(
        self,
        question: str,
        calls: list[_Call],
        explains: Callable[[Misconception, list[_Call]], bool],
        your: str,
    ) -> Diagnosis | None:
        for candidate in self.misconceptions:
            own = [call for call in calls if subject(call.record) == candidate.replaces]
            if candidate.question == question and candidate.replayed and explains(candidate, own):
                text = f"{your} `{candidate.replaces}` behaves exactly like {candidate.name}."
                return Diagnosis(candidate.key, text, candidate.hint)
        return None

    def _clue(self, calls: list[_Call]) -> Diagnosis | None:
        """What the first wrong answer looks like beside the right one."""
        for call in calls:
            found, wanted = tensors_in(call.did.result), tensors_in(call.right.result)
            if call.wrong and call.did.error is None and len(found) == len(wanted) == 1:
                return clue(f"`{subject(call.record)}`", found[0], wanted[0])
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
    return any(not same_behaviour(call.did, blanked(call.right, call.did)) for call in calls) and all(
        same_behaviour(call.did, blanked(replay(call.record, candidate.implementation), call.did))
        for call in calls
    )


def clue(what: str, found: torch.Tensor, wanted: torch.Tensor) -> Diagnosis | None:
    """What a wrong tensor looks like beside the right one: transposed, scaled, shifted, zeros, detached."""
    detached = wanted.requires_grad and not found.requires_grad
    found, wanted = found.detach(), wanted.detach()
    if found.shape != wanted.shape:
        if found.dim() >= 2 and found.mT.shape == wanted.shape and same(found.mT.contiguous(), wanted):
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
    if detached and same(found, wanted):
        return Diagnosis(
            "clue:detached", f"The values of {what} are right, but no gradient flows back through them."
        )
    return None


def _is_transposed(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return (
        found.dim() >= 2
        and found.shape == found.mT.shape
        and not same(found, wanted)
        and same(found.mT, wanted)
    )


def _is_shifted(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    if found.dim() < 1 or found.shape[0] < 3:
        return False
    return same(found[1:], wanted[:-1]) or same(found[:-1], wanted[1:])


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
