"""The child's side of every call: finds what is asked for, runs it, sends back plain data.

Runs inside the confined process, next to the student's code, so nothing in here is trusted by the judge, which checks
every answer again. Messages: `cell`, `describe`, `call`, `attribute`, `gradient`, `free`;
any may also carry a `seed` for the random numbers, at the start of a question the operators `forbidden` in it, at the
very start the functions that are to be `watched` or what is to be `removed`, and what a test has set for a while: the
`default_dtype`, or that work is to be counted.
"""

from __future__ import annotations

import os
import random
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.random
import torch
from torch import nn
from torch.autograd import grad  # the real one: students' calls of it may be watched

from autograder.sandbox.operators import Operators
from autograder.sandbox.removal import remove
from autograder.sandbox.wire import DTYPES, Channel, Encoder, Tree, WireError, decode
from autograder.work import Work


@dataclass
class Node:
    """What the backward pass of one call needs: its differentiable inputs and outputs."""

    inputs: list[torch.Tensor]
    outputs: list[torch.Tensor]


@dataclass
class Server:
    """Serves calls into `namespace` until the judge is gone."""

    channel: Channel
    namespace: dict[str, Any]
    run_cell: Callable[[dict[str, Any]], dict[str, Any]]
    operators: Operators = field(default_factory=Operators)
    nodes: dict[int, Node] = field(default_factory=dict)
    objects: dict[int, Any] = field(default_factory=dict)

    def run(self) -> None:
        """The loop: one message, one answer."""
        while True:
            try:
                message, tensors = self.channel.receive()
            except EOFError:
                return
            if message.get("op") == "free":  # no answer: the judge's garbage collector has no time for one
                for number in message["nodes"]:
                    self.nodes.pop(number, None)
                continue
            self._reply(message, tensors)

    def _reply(self, message: dict[str, Any], tensors: list[torch.Tensor]) -> None:
        try:
            with _default_dtype(message.get("default_dtype")):
                answer, out = (
                    self._counted(message, tensors) if "count" in message else self._handle(message, tensors)
                )
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a student's exit ends nothing
            answer, out = {"ok": False, **describe_error(error)}, []
        answer["operators"] = self.operators.take()
        try:
            self.channel.send(answer, out)
        except Exception as error:  # nothing was sent: a tensor without values (device meta), or too much
            self.channel.send(
                {"ok": False, "kind": "WireError", "text": str(error)[:500], "trace": "", "bases": []}
            )

    def _counted(
        self, message: dict[str, Any], tensors: list[torch.Tensor]
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        with Work() as work:
            answer, out = self._handle(message, tensors)
        return {**answer, "work": [work.flops, work.largest, work.written]}, out

    def _handle(
        self, message: dict[str, Any], tensors: list[torch.Tensor]
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        kind = message["op"]
        if "removed" in message:
            remove(**message["removed"])
        if "watched" in message:
            self.operators.watch(message["watched"])
        if "forbidden" in message:
            self.operators.begin(message["forbidden"], message["question"])
        if "seed" in message:
            seed_everything(message["seed"])
        if kind == "call":
            return self._call(message, tensors)
        if kind == "gradient":
            return self._gradient(message, tensors)
        if kind == "cell":
            return {"ok": True, **self.run_cell(message)}, []
        if kind == "describe":
            return {"ok": True, "found": {name: self._describe(name) for name in message["names"]}}, []
        if kind == "attribute":
            encoder = self._encoder()
            tree = encoder.tree(self._find(message["target"]))
            return {"ok": True, "result": tree}, encoder.tensors
        raise WireError(f"unknown message {kind!r}")

    # ------------------------------------------------------------------------------------------ names and objects

    def _describe(self, name: str) -> str:
        if name not in self.namespace:
            return "nothing"
        return "function" if callable(self.namespace[name]) else "value"

    def _find(self, target: dict[str, Any]) -> Any:
        """The object that `{"name": ..}` or `{"object": ..}` with a path of attributes stands for."""
        value = self.namespace[target["name"]] if "name" in target else self.objects[target["object"]]
        for step in target["path"]:
            value = value[step] if isinstance(step, int) else getattr(value, step)
        return value

    def _encoder(self) -> Encoder:
        encoder = Encoder(lambda value: self._register(value, itself))
        itself = weakref.proxy(
            encoder
        )  # a cycle would keep the tensors of every result until Python collects cycles
        return encoder

    def _register(self, value: Any, encoder: Encoder) -> Tree:
        """A handle for what is not data: it stays here, and the judge gets its number (and a module's parameters)."""
        number = len(self.objects)
        self.objects[number] = value
        handle: dict[str, Any] = {"number": number, "type": type(value).__name__}
        if isinstance(value, nn.Module):
            handle["parameters"] = [[name, encoder.tensor(p)] for name, p in value.named_parameters()]
            handle["training"] = value.training
        return {"h": handle}

    def _resolve(self, tree: Tree) -> Any:
        """What the judge's special tags stand for in here."""
        ((tag, body),) = tree.items()
        if tag == "h":
            return self._find(body)
        if tag == "c":
            return lambda *args, **kwargs: self._call_back(body, args, kwargs)
        raise WireError(f"unknown tag {tag!r}")

    def _call_back(self, number: int, args: Any, kwargs: Any) -> Any:
        """Calls a function that lives in the judge."""
        encoder = Encoder()
        tree = encoder.tree((args, kwargs))
        self.channel.send({"callback": number, "arguments": tree}, [t.detach() for t in encoder.tensors])
        message, tensors = self.channel.receive()
        if "error" in message:
            raise RuntimeError(message["error"])
        return decode(message["result"], tensors)

    # ---------------------------------------------------------------------------------------------------- calling

    def _call(
        self, message: dict[str, Any], tensors: list[torch.Tensor]
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        inputs = list(tensors)
        generators: dict[int, torch.Generator] = {}
        for index in message["generators"]:
            generators[index] = torch.Generator()
            generators[index].set_state(tensors[index])
        for module in message["modules"]:
            self._load(module, inputs)
        special = lambda tree: generators[tree["g"]] if "g" in tree else self._resolve(tree)  # noqa: E731
        args, kwargs = decode(message["arguments"], inputs, special)
        versions = [tensor._version for tensor in inputs]
        function = self._find(message["target"])
        label = type(function).__name__ if isinstance(function, (nn.Module, type)) else str(message["target"])
        lists = plain_lists(args)
        with torch.set_grad_enabled(message["grad"]), self.operators.recording(label):
            result = function(*args, **kwargs)
        encoder = self._encoder()
        answer: dict[str, Any] = {"ok": True, "result": encoder.tree(result), "outputs": len(encoder.tensors)}
        if any(output.requires_grad for output in encoder.tensors):
            self.nodes[message["node"]] = Node(inputs, list(encoder.tensors))
        out = [_plain(tensor) for tensor in encoder.tensors]
        changed = [i for i, tensor in enumerate(inputs) if tensor._version != versions[i]]
        changed += [i for i in _trained(inputs, tensors) if i not in changed]
        answer["changed"] = changed
        answer["advanced"] = list(generators)
        answer["lists"] = [[i, tree] for i, tree in plain_lists(args).items() if tree != lists.get(i)]
        out += [inputs[i].detach() for i in changed] + [
            generator.get_state() for generator in generators.values()
        ]
        return answer, out

    def _load(self, module: dict[str, Any], inputs: list[torch.Tensor]) -> None:
        """Gives a module of the student the parameters that it has in the judge, and makes them inputs of the call."""
        target = self._find(module["target"])
        if target.training != module["training"]:
            target.train(module["training"])
        parameters = dict(target.named_parameters())
        for name, index in module["parameters"].items():
            own, sent = parameters[name], inputs[index]
            if own.dtype != sent.dtype:
                target.to(sent.dtype)
            own.requires_grad_(sent.requires_grad)
            if not _equal(own, sent):
                with torch.no_grad():
                    own.copy_(sent)
            inputs[index] = own

    def _gradient(
        self, message: dict[str, Any], tensors: list[torch.Tensor]
    ) -> tuple[dict[str, Any], list[torch.Tensor]]:
        """Cotangents of a call's outputs to cotangents of its inputs; itself a node when it is to be differentiated."""
        node, create = self.nodes[message["node"]], message["create_graph"]
        given = [None if i is None else tensors[i].detach() for i in message["cotangents"]]
        if create:
            given = [None if g is None else g.requires_grad_() for g in given]
        pairs = [
            (o, g) for o, g in zip(node.outputs, given, strict=True) if o.requires_grad and g is not None
        ]
        wanted = [i for i, tensor in enumerate(node.inputs) if tensor.requires_grad]
        found: list[torch.Tensor | None] = [None] * len(node.inputs)
        if pairs and wanted:
            with torch.enable_grad(), self.operators.recording("gradient", functions=False):
                gradients = vector_jacobian(pairs, [node.inputs[i] for i in wanted], create)
            for i, gradient in zip(wanted, gradients, strict=True):
                found[i] = gradient
        present = [gradient for gradient in found if gradient is not None]
        if create:
            self.nodes[message["new"]] = Node(node.inputs + [g for g in given if g is not None], present)
        answer = {"ok": True, "present": [gradient is not None for gradient in found]}
        return answer, [_plain(gradient) for gradient in present]


@contextmanager
def _default_dtype(name: str | None) -> Iterator[None]:
    """Has new tensors made in this dtype, for one message; None: as the submission left it."""
    before = torch.get_default_dtype()
    if name is not None:
        torch.set_default_dtype(DTYPES[name])
    try:
        yield
    finally:
        if name is not None:
            torch.set_default_dtype(before)


def vector_jacobian(
    pairs: list[tuple[torch.Tensor, torch.Tensor]], inputs: list[torch.Tensor], create_graph: bool = False
) -> tuple[torch.Tensor | None, ...]:
    """The gradients that the cotangents of some outputs give to `inputs`.

    By way of the scalar product, for `torch.autograd.grad` with explicit cotangents imports sympy, 0.35 s, at its
    first call.
    """
    products = [(o * g.conj()).real.sum() if o.is_complex() else (o * g).sum() for o, g in pairs]
    return grad(
        torch.stack([product.double() for product in products]).sum() if len(products) > 1 else products[0],
        inputs,
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )


def _trained(inputs: list[torch.Tensor], sent: list[torch.Tensor]) -> list[int]:
    """Which parameters of a module that was given have other values now than were sent.

    By value: fused optimizers and assignments to `.data` leave a tensor's version as it is.
    """
    pairs = enumerate(zip(inputs, sent, strict=True))
    return [i for i, (own, value) in pairs if own is not value and not _equal(own, value)]


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether all values are the same, NaN in the same places included: a test may spoil a parameter."""
    if torch.equal(one, other) or one.shape != other.shape or not one.is_floating_point():
        return torch.equal(one, other)
    places = one.isnan()
    return torch.equal(places, other.isnan()) and torch.equal(one[~places], other[~places])


def plain_lists(arguments: tuple[Any, ...]) -> dict[int, Tree]:
    """What those arguments hold that are lists of plain data, by position: asked before a call and after it."""
    found = {}
    for position, value in enumerate(arguments):
        if type(value) is list:
            encoder = Encoder()
            tree = encoder.tree(value)
            if not encoder.tensors:  # a tensor's own changes are told anyway
                found[position] = tree
    return found


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """The values alone, with the flag that tells the judge whether a graph stands behind them."""
    differentiable = tensor.dtype.is_floating_point or tensor.dtype.is_complex
    return tensor.detach().requires_grad_(tensor.requires_grad and differentiable)


def seed_everything(seed: int) -> None:
    """The same random numbers for torch, numpy and random, whatever ran before."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed also queues work for every GPU: 0.9 ms
    np.random.seed(seed % 2**32)
    random.seed(seed)


def describe_error(error: BaseException) -> dict[str, Any]:
    """An exception as plain data; a hostile __str__ is not in the way."""
    try:
        text = str(error)
    except Exception:
        text = "(its message could not be read)"
    try:
        trace = "".join(traceback.format_list(_own_frames(error)))
    except Exception:
        trace = ""
    bases = [base.__name__ for base in type(error).__mro__[1:-1]][:10]
    return {"kind": type(error).__name__[:100], "text": text[:4000], "trace": trace[-4000:], "bases": bases}


def _own_frames(error: BaseException) -> list[traceback.FrameSummary]:
    """The frames in the submission's own files, named without the folder that they lie in here."""
    box = os.environ.get("HOME", "") + "/"
    frames = []
    for frame, line in traceback.walk_tb(
        error.__traceback__
    ):  # no source of torch's is read: 10 ms a submission
        filename = frame.f_code.co_filename.removeprefix(box)
        if "/" not in filename or filename != frame.f_code.co_filename:
            frames.append(traceback.FrameSummary(filename, line, frame.f_code.co_name))
    return frames
