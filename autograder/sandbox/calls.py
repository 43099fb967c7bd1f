"""One call of the student's code and its gradient: the messages behind a proxy.

A call whose tensors require grad becomes a `torch.autograd.Function` whose backward runs in the child; that backward is
itself such a function, so derivatives of any order work, and `torch.autograd.gradcheck` with them.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from autograder.sandbox.errors import BadAnswer, Died
from autograder.sandbox.session import Session
from autograder.sandbox.wire import Tree


@dataclass
class ModuleState:
    """A module of the student's in a call, as it was then.

    Attributes:
        module: the judge's proxy of it.
        parameters: where each of its parameters stands among the tensors of the call.
        training: whether it was in training mode.
    """

    module: nn.Module
    parameters: dict[str, int]
    training: bool


@dataclass
class Record:
    """One call as the judge saw it, for diagnosis: what went over and what came back.

    Attributes:
        name: the student's name that was called.
        arguments, keywords: as they were before the call, with `requires_grad` as it was.
        result: what came back; None where `error` is set.
        default_dtype: torch's, at that time.
        error: name of the exception's type that the student's code raised.
        changed: arguments (by position among the tensors) that the call modified, with their new values.
        lists: arguments (by position) that are lists and that the call modified, with what they hold now.
        gradients: pairs of output cotangents and input cotangents of each backward pass.
        instance: for a call of a module, the record of its construction.
        state: for a call of a module, what it was like.
        path: for a call of a part of a module, the names that lead to it.
        passed: the modules of the student's among the arguments.
    """

    name: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    grad_enabled: bool
    seed: int
    default_dtype: torch.dtype = torch.float32
    tensors: list[torch.Tensor] = field(default_factory=list)
    result: Any = None
    outputs: list[torch.Tensor] = field(default_factory=list)
    error: str | None = None
    changed: dict[int, torch.Tensor] = field(default_factory=dict)
    lists: dict[int, list[Any]] = field(default_factory=dict)
    gradients: list[tuple[list[torch.Tensor | None], list[torch.Tensor | None]]] = field(default_factory=list)
    instance: Record | None = None
    state: ModuleState | None = None
    path: tuple[str, ...] = ()
    passed: list[ModuleState] = field(default_factory=list)


class NodeHandle:
    """Lets the child forget a call's graph when the judge's graph is gone."""

    _next = 0

    def __init__(self, session: Session) -> None:
        NodeHandle._next += 1
        self.number = NodeHandle._next
        self.generation = session.generation
        weakref.finalize(self, session.dead_nodes.append, self.number)


@dataclass
class Call:
    """Everything about one call but its differentiable inputs."""

    session: Session
    target: Tree
    arguments: Tree
    modules: list[Tree]
    generators: list[int]
    owners: dict[int, torch.Generator]
    record: Record | None
    wants_grad: bool = False
    handle: NodeHandle | None = None
    result: Tree = None
    lists: Tree = None
    differentiable: list[bool] = field(default_factory=list)

    def run(self, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
        """Has the child make the call; the tensors of its result."""
        session = self.session
        self.handle = NodeHandle(session)
        message = {
            "op": "call", "node": self.handle.number, "target": self.target, "arguments": self.arguments,
            "modules": self.modules, "generators": self.generators, "grad": torch.is_grad_enabled() or self.wants_grad,
        }  # fmt: skip
        answer, tensors = session.request(message, inputs)
        self.result, self.lists = answer.get("result"), answer.get("lists", [])
        outputs = self._split(answer, inputs, tensors)
        self.differentiable = [tensor.requires_grad for tensor in outputs]
        return [tensor.detach() for tensor in outputs]

    def _split(
        self, answer: dict[str, Any], inputs: list[torch.Tensor], tensors: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Takes the answer's tensors apart: outputs, changed inputs, advanced generators."""
        count, changed = answer.get("outputs"), answer.get("changed")
        if type(count) is not int or not isinstance(changed, list) or count < 0:
            raise self._malformed()
        if len(tensors) != count + len(changed) + len(self.generators):
            raise self._malformed()
        for index, new in zip(changed, tensors[count:], strict=False):
            self._write_back(index, inputs, new)
        for index, state in zip(self.generators, tensors[count + len(changed) :], strict=True):
            if state.dtype is not torch.uint8 or state.shape != self.owners[index].get_state().shape:
                raise self._malformed()
            try:
                self.owners[index].set_state(state)
            except RuntimeError:  # not a state of the Mersenne twister
                raise self._malformed() from None
        return tensors[:count]

    def _write_back(self, index: Any, inputs: list[torch.Tensor], new: torch.Tensor) -> None:
        """A change that the student made to an argument is made here too."""
        if type(index) is not int or not 0 <= index < len(inputs):
            raise self._malformed()
        old = inputs[index]
        if old.shape != new.shape or old.dtype != new.dtype:
            raise BadAnswer("An argument was given another shape or dtype by the call.")
        with torch.no_grad():
            old.detach().copy_(new)
        if self.record is not None:
            self.record.changed[index] = new

    @staticmethod
    def _malformed() -> BadAnswer:
        return BadAnswer("What came back from your code is not a proper answer.")


class _Forward(torch.autograd.Function):
    """The call, as a node of the judge's graph."""

    @staticmethod
    def forward(ctx: Any, call: Call, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        outputs = call.run(list(inputs))
        ctx.call = call
        ctx.save_for_backward(*inputs)
        ctx.mark_non_differentiable(
            *[o for o, yes in zip(outputs, call.differentiable, strict=True) if not yes]
        )
        ctx.set_materialize_grads(False)
        return tuple(outputs) or (torch.empty(0),)

    @staticmethod
    def backward(ctx: Any, *cotangents: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        inputs = ctx.saved_tensors
        assert ctx.call.handle is not None
        found = _Backward.apply(  # type: ignore[no-untyped-call]
            ctx.call, ctx.call.handle, len(inputs), torch.is_grad_enabled(), *inputs, *cotangents
        )
        return (None, *found)


class _Backward(torch.autograd.Function):
    """A backward pass in the child; itself differentiable, so that second derivatives work."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, handle: NodeHandle, count: int, create: bool, *tensors: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        inputs, cotangents = tensors[:count], tensors[count:]
        new = NodeHandle(call.session)
        sent = [g for g in cotangents if g is not None]
        numbers = iter(range(len(sent)))
        message = {
            "op": "gradient", "node": handle.number, "new": new.number, "create_graph": create,
            "cotangents": [None if g is None else next(numbers) for g in cotangents],
        }  # fmt: skip
        if handle.generation != call.session.generation:
            raise Died("The process that made this call has ended.")
        answer, found = call.session.request(message, sent)
        gradients = _aligned(answer.get("present"), found, inputs)
        if call.record is not None:
            call.record.gradients.append((_copies(cotangents), _copies(gradients)))
        ctx.call, ctx.new, ctx.count = call, new, count
        ctx.given = [g is not None for g in cotangents]
        ctx.found = [g is not None for g in gradients]
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)
        return tuple(gradients)

    @staticmethod
    def backward(ctx: Any, *second: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
        tensors = ctx.saved_tensors
        inputs, cotangents = tensors[: ctx.count], tensors[ctx.count :]
        present = [g for g in cotangents if g is not None]
        incoming = [g for g, yes in zip(second, ctx.found, strict=True) if yes]
        found = _Backward.apply(  # type: ignore[no-untyped-call]
            ctx.call,
            ctx.new,
            len(inputs) + len(present),
            torch.is_grad_enabled(),
            *inputs,
            *present,
            *incoming,
        )
        rest = iter(found[len(inputs) :])
        return (
            None,
            None,
            None,
            None,
            *found[: len(inputs)],
            *(next(rest) if yes else None for yes in ctx.given),
        )


def _aligned(present: Any, found: list[torch.Tensor], inputs: tuple[torch.Tensor | None, ...]) -> list[Any]:
    """The gradients at the places of the inputs that they belong to, each checked for shape and dtype."""
    if not isinstance(present, list) or len(present) != len(inputs) or present.count(True) != len(found):
        raise BadAnswer("The gradients that came back do not fit the inputs.")
    rest = iter(found)
    gradients = [next(rest) if yes is True else None for yes in present]
    for tensor, gradient in zip(inputs, gradients, strict=True):
        if gradient is not None and (
            tensor is None or gradient.shape != tensor.shape or gradient.dtype != tensor.dtype
        ):
            raise BadAnswer("A gradient came back with another shape or dtype than its input.")
    return gradients


def _copies(tensors: Any) -> list[torch.Tensor | None]:
    return [None if tensor is None else tensor.detach().clone() for tensor in tensors]


def run(call: Call, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """Makes the call; its result's tensors, with a graph behind them where the inputs have one."""
    if not (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)):
        return call.run(inputs)
    call.wants_grad = True
    outputs = list(_Forward.apply(call, *inputs))  # type: ignore[no-untyped-call]
    return outputs if call.differentiable else []
