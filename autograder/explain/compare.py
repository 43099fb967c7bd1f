"""Each call beside what the reference does in it, and beside what each known mistake does in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from autograder.diagnosis import Misconception
from autograder.replay import Behaviour, observed, replay, same_behaviour, subject
from autograder.sandbox.calls import Record


@dataclass(frozen=True)
class Compared:
    """One call: what the student's code did, and what the reference does when it is asked the same.

    Attributes:
        right: None where the reference cannot be asked, because it has no such name.
        same: whether both did the same, up to rounding.
    """

    record: Record
    did: Behaviour
    right: Behaviour | None
    same: bool


@dataclass(frozen=True)
class Considered:
    """A known mistake, and how many of the calls it explains.

    Attributes:
        calls: of the student's name that it stands in for, where the reference gives an answer.
        wrong: those of them in which the student's answer is not the reference's.
        reproduced: those in which it does what the student's code did.
        reproduced_wrong: those of the wrong ones.
    """

    known: Misconception
    calls: int
    wrong: int
    reproduced: int
    reproduced_wrong: int

    @property
    def explains(self) -> bool:
        """Whether it does what the student's code did in every call, and that is wrong somewhere."""
        return self.wrong > 0 and self.reproduced == self.calls


def compared(records: Iterable[Record], reference: Mapping[str, Any]) -> list[Compared]:
    """The calls, in their order, beside the reference."""
    return [_compared(record, reference.get(subject(record))) for record in records]


def _compared(record: Record, right: Any) -> Compared:
    did = observed(record)
    if right is None:
        return Compared(record, did, None, same=False)
    answer = replay(record, right)
    return Compared(record, did, answer, _same(did, answer))


def _same(one: Behaviour, other: Behaviour) -> bool:
    """As `same_behaviour`; what cannot be compared, such as an object in a process that has ended, is not the same."""
    try:
        return same_behaviour(one, other)
    except Exception:
        return False


def considered(calls: Iterable[Compared], known: Iterable[Misconception]) -> list[Considered]:
    """How each mistake fares, the one that explains most first; those that are not replayed are left out."""
    answered = [call for call in calls if call.right is not None and call.right.error is None]
    found = [_considered(answered, mistake) for mistake in known if mistake.replayed]
    return sorted(found, key=lambda c: (not c.explains, -c.reproduced_wrong, -c.reproduced))


def _considered(calls: list[Compared], mistake: Misconception) -> Considered:
    own = [call for call in calls if subject(call.record) == mistake.replaces]
    fits = [_same(call.did, replay(call.record, mistake.implementation)) for call in own]
    wrong = [fit for call, fit in zip(own, fits, strict=True) if not call.same]
    return Considered(mistake, len(own), len(wrong), sum(fits), sum(wrong))
