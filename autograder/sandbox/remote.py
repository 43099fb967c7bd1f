"""The student's functions and classes as the tests see them: proxies that are differentiable like the real thing.

A call whose tensors require grad is a `torch.autograd.Function` whose backward runs in the child, to any order, so
`out.sum().backward()`, `torch.autograd.gradcheck` and a training loop of the judge's own work unchanged. An instance
of a student's `nn.Module` is an `nn.Module` here too: its parameters live in the judge and go over with every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from autograder.sandbox.calls import Call, ModuleState, Record, run
from autograder.sandbox.errors import BadAnswer, Died, NotDefined
from autograder.sandbox.linux import bounded_memory
from autograder.sandbox.session import Session
from autograder.sandbox.wire import MAX_PAYLOAD, Encoder, Special, Tree, WireError, decode

MAX_RECORDED = 16 << 20  # bytes of one result that are kept for diagnosis: twice the largest right one
# Of all modules in one answer, each of them counting as one more; the language model has 30. Their bytes are bounded by
# what a frame may hold: 4 kB of header could name one tensor of 8 MB as 300 parameters, 2.6 GB in the judge.
MAX_PARAMETERS = 1000
CALLBACK_MEMORY = 1 << 30  # bytes that a function of the judge's may take for arguments that a student chose
MAX_PATH = 20  # names on the way to a parameter, each a module here; the language model has 4


# -------------------------------------------------------------------------------------------------------- encoding


class Outgoing:
    """Encodes the arguments of one call, collecting the modules, generators and functions among them."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.encoder = Encoder(self._special)
        self.modules: dict[int, tuple[RemoteModule, Tree]] = {}
        self.owners: dict[int, torch.Generator] = {}

    def _special(self, value: Any) -> Tree | None:
        if isinstance(value, torch.Generator):
            index = self.encoder.tensor(value.get_state())
            self.owners[index] = value
            return {"g": index}
        if isinstance(value, RemoteModule):
            self.add_module(value)
            return {"h": value._target}
        if isinstance(value, (RemoteObject, RemoteFunction)):
            return {"h": value._target}
        if callable(value):
            self.session.callbacks.append(_callback(value))
            return {"c": len(self.session.callbacks) - 1}
        return None

    def add_module(self, module: RemoteModule) -> None:
        """Sends a module's parameters along; they are inputs of the call, and differentiable."""
        root = module._root
        if id(root) in self.modules:
            return
        indices = {name: self.encoder.tensor(p) for name, p in root.remote_parameters()}
        tree = {"target": root._target, "training": root.training, "parameters": indices}
        self.modules[id(root)] = (root, tree)


def _callback(
    function: Callable[..., Any],
) -> Callable[[Tree, list[torch.Tensor]], tuple[Tree, list[torch.Tensor]]]:
    """A function of the judge's, for the child to call: plain data in, plain data out, no gradient."""

    def serve(arguments: Tree, tensors: list[torch.Tensor]) -> tuple[Tree, list[torch.Tensor]]:
        try:
            with torch.no_grad(), bounded_memory(CALLBACK_MEMORY):
                args, kwargs = decode(arguments, [tensor.detach() for tensor in tensors])
                encoder = Encoder()
                return {"result": encoder.tree(function(*args, **kwargs))}, encoder.tensors
        except WireError:
            raise
        except (
            Exception
        ) as error:  # what the student passed does not suit the function: an error at the student's line
            return {"error": f"{type(error).__name__}: {error}"[:500]}, []

    return serve


def _called_back(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the judge's as the child has it: plain data in, plain data out, no gradient, a RuntimeError."""
    serve = _callback(function)

    def call(*args: Any, **kwargs: Any) -> Any:
        encoder = Encoder()
        tree = encoder.tree((args, kwargs))
        reply, tensors = serve(tree, [tensor.detach().clone() for tensor in encoder.tensors])
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return decode(reply["result"], tensors)

    return call


def invoke(
    session: Session, target: Tree, name: str, args: Any, kwargs: Any, module: RemoteModule | None = None
) -> Any:
    """Makes one call of the student's code.

    Args:
        session: the submission.
        target: what is called, as the child finds it.
        name: what a report calls it.
        args, kwargs: arguments: plain data, tensors, generators, functions of the judge's, other proxies.
        module: the module whose method is called, if any; its parameters are inputs too.
    """
    outgoing = Outgoing(session)
    arguments = outgoing.encoder.tree((args, kwargs))
    if module is not None:
        outgoing.add_module(module)
    inputs = outgoing.encoder.tensors
    record = _record(outgoing, name, args, kwargs, module) if session.recorder is not None else None
    modules = [tree for _, tree in outgoing.modules.values()]
    call = Call(session, target, arguments, modules, list(outgoing.owners), outgoing.owners, record)
    try:
        outputs = run(call, inputs)
        with session.charged():
            result = decode(call.result, outputs, Handles(session, outputs, call.differentiable, record))
            _write_back(call.lists, args, record)
    except WireError as error:
        raise BadAnswer(f"What `{name}` returned cannot be passed on: {error}.") from None
    except Exception as error:
        if record is not None:
            record.error = getattr(error, "kind", type(error).__name__)
        raise
    if record is not None and sum(tensor.nbytes for tensor in outputs) <= MAX_RECORDED:
        record.result, record.outputs = result, outputs
    elif record is not None:
        session.recorder[:] = [kept for kept in session.recorder if kept is not record]
    return result


def _write_back(lists: Tree, arguments: Any, record: Record | None) -> None:
    """What the student's code did to lists among the arguments is done here too."""
    if not isinstance(lists, list):
        raise WireError("malformed changes")
    for index, tree in (_change(entry, arguments) for entry in lists):
        new = decode(tree, [])
        if not isinstance(new, list):
            raise WireError("a list that became something else")
        if record is not None:
            record.lists[index] = new
        arguments[index][:] = new


def _change(entry: Any, arguments: Any) -> tuple[int, Tree]:
    """A position among the arguments where a list is, and what it holds now."""
    if not (isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int):
        raise WireError("a malformed change")
    if not (0 <= entry[0] < len(arguments) and type(arguments[entry[0]]) is list):
        raise WireError("a change of something that is no list")
    return entry[0], entry[1]


def _record(outgoing: Outgoing, name: str, args: Any, kwargs: Any, module: RemoteModule | None) -> Record:
    session = outgoing.session
    copies = {id(tensor): _copy(tensor) for tensor in outgoing.encoder.tensors}
    arguments, keywords = _copied((args, kwargs), copies)
    record = Record(
        name, arguments, keywords, torch.is_grad_enabled(), session._seed, torch.get_default_dtype()
    )
    record.tensors = list(copies.values())
    for root, tree in outgoing.modules.values():
        state = ModuleState(root, tree["parameters"], tree["training"])
        if module is not None and root is module._root:
            record.state, record.instance = state, root._construction
            record.path = tuple(module._target["path"][len(root._target["path"]) :])
        else:
            record.passed.append(state)
    session.recorder.append(record)
    return record


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().clone().requires_grad_(tensor.requires_grad)


def _copied(value: Any, copies: dict[int, torch.Tensor]) -> Any:
    """Arguments with the copies in place of their tensors; one that occurs twice stays one.

    A function of the judge's becomes what the student's code was given in its place.
    """
    if isinstance(value, torch.Tensor):
        return copies.get(id(value), value)
    if callable(value) and not isinstance(value, (RemoteModule, RemoteObject, RemoteFunction)):
        return _called_back(value)
    if isinstance(value, torch.Generator):
        return value.clone_state()
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(part, copies) for part in value)
    if isinstance(value, dict):
        return {key: _copied(part, copies) for key, part in value.items()}
    return value


# --------------------------------------------------------------------------------------------------------- proxies


class Handles:
    """Makes proxies for what the child could not send as data; everything in its trees is checked.

    Args:
        session: the submission.
        tensors: those of the answer.
        trainable: which of them a gradient is wanted for.
        record: of the call whose answer it is.
    """

    def __init__(
        self,
        session: Session,
        tensors: list[torch.Tensor],
        trainable: list[bool],
        record: Record | None = None,
    ) -> None:
        self._session, self._tensors, self._trainable, self._record = session, tensors, trainable, record
        self._parameters_left, self._bytes_left = MAX_PARAMETERS, MAX_PAYLOAD

    def __call__(self, tree: Tree) -> Any:
        """The proxy for a handle.

        Raises:
            WireError: it is no handle, or with it the answer's modules would be too large.
        """
        body = tree.get("h")
        if not isinstance(body, dict) or type(body.get("number")) is not int:
            raise WireError("a malformed handle")
        target = {"object": body["number"], "path": []}
        type_name = str(body.get("type"))[:80]
        if "parameters" not in body:
            return RemoteObject(self._session, target, type_name)
        parameters = self._parameters(body["parameters"])
        training = body.get("training") is True
        return RemoteModule(self._session, target, type_name, parameters, training, self._record)

    def _parameters(self, entries: Any) -> list[tuple[str, nn.Parameter]]:
        if not isinstance(entries, list):
            raise WireError("a malformed handle")
        self._parameters_left -= 1 + len(entries)
        if self._parameters_left < 0:
            raise WireError("too many parameters")
        return [self._parameter(str(name)[:200], index) for name, index in entries]

    def _parameter(self, name: str, index: int) -> tuple[str, nn.Parameter]:
        value = self._tensors[index]
        self._bytes_left -= value.nbytes
        if self._bytes_left < 0 or name.count(".") >= MAX_PATH:
            raise WireError("parameters that are too large, or too deep in a module")
        return name, nn.Parameter(value.detach().clone(), requires_grad=self._trainable[index])


class RemoteObject:
    """Something of the student's that is neither data nor a module: attributes and calls go to the child."""

    def __init__(self, session: Session, target: Tree, type_name: str) -> None:
        self._session, self._target, self._type_name = session, target, type_name
        self._generation = session.generation

    def __repr__(self) -> str:
        return f"<an object of type {self._type_name}>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        _same_child(self._session, self._generation)
        return _attribute(self._session, self._target, name, f"{self._type_name}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        _same_child(self._session, self._generation)
        return invoke(self._session, self._target, self._type_name, args, kwargs)


def _attribute(session: Session, target: Tree, attribute: str | int, name: str) -> Any:
    """An attribute as data, or as a proxy that remembers where it hangs."""
    below = {**target, "path": [*target["path"], attribute]}
    answer, tensors = session.request({"op": "attribute", "target": below})
    tree = answer.get("result")
    if isinstance(tree, dict) and "h" in tree:
        return RemoteObject(session, below, name)
    return _decoded(name, tree, tensors)


def _decoded(name: str, tree: Tree, tensors: list[torch.Tensor], special: Special | None = None) -> Any:
    try:
        return decode(tree, tensors, special)
    except WireError as error:
        raise BadAnswer(f"`{name}` cannot be passed on: {error}.") from None


def _same_child(session: Session, generation: int) -> None:
    if session.generation != generation or not session.alive:
        raise Died("The process that held this object has ended.")


class RemoteFunction:
    """A function or class of the student's, by name; a child that died is replaced when it is called."""

    def __init__(self, session: Session, name: str) -> None:
        self._session, self._target = session, {"name": name, "path": []}
        self.__name__ = name

    def __repr__(self) -> str:
        return f"<the submission's {self.__name__}>"

    @property
    def operators(self) -> frozenset[str]:
        """Names of what the student's code ran in this question so far, for tests of what must run.

        A question's first call is recorded whole; later ones add what the question forbids (see `operators`).
        """
        return frozenset(self._session.operators)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._session.start()
        return invoke(self._session, self._target, self.__name__, args, kwargs)


class Elsewhere:
    """Calls a student's function in another process, for tests of what must be the same in every run of Python.

    There the cells run anew, and texts and bytes hash differently, so that sets of them are in another order. It starts
    when a test first asks for it.

    Args:
        session: the submission.
    """

    def __init__(self, session: Session) -> None:
        self._first = session
        self._session: Session | None = None

    def __enter__(self) -> Elsewhere:
        return self

    def __exit__(self, *_: object) -> None:
        if self._session is not None:
            self._session.close()

    def __call__(self, function: RemoteFunction, *args: Any, **kwargs: Any) -> Any:
        """What `function(*args, **kwargs)` gives there, with the random numbers that the test began with."""
        if self._session is None:
            first = self._first
            self._session = Session(
                first.sandbox.other, first.code, first.bounds, first.watched, first.removed
            )
        self._session.seed(self._first._seed)
        return RemoteFunction(self._session, function.__name__)(*args, **kwargs)


class RemoteModule(nn.Module):
    """An instance of a student's `nn.Module`; submodules are reached by the same names.

    Args:
        session: the submission.
        target: where the child keeps it.
        type_name: its class.
        parameters: its parameters as they were initialised, under the names that the child knows.
        training: whether it is in training mode.
        construction: the record of the call that made it.
    """

    def __init__(
        self,
        session: Session,
        target: Tree,
        type_name: str,
        parameters: list[tuple[str, nn.Parameter]],
        training: bool,
        construction: Record | None,
    ) -> None:
        super().__init__()
        # Underscores, for a student may well call something `target`, `root` or `session`.
        self.__dict__.update(
            _session=session, _target=target, _type_name=type_name, _root=self, _remote=parameters
        )
        self.__dict__.update(_generation=session.generation, _construction=construction)
        for name, parameter in parameters:
            self._graft(name.split("."), parameter)
        self.train(training)

    def _graft(self, path: list[str], parameter: nn.Parameter) -> None:
        """Registers a parameter, making the modules on the way to it."""
        owner: nn.Module = self
        for depth, part in enumerate(path[:-1]):
            if part not in owner._modules:
                below = RemoteModule.__new__(RemoteModule)
                nn.Module.__init__(below)
                target = {**self._target, "path": [*self._target["path"], *path[: depth + 1]]}
                below.__dict__.update(self.__dict__ | {"_parameters": {}, "_modules": {}, "_target": target})
                below.__dict__.update(_type_name=f"{self._type_name}.{part}", _root=self)
                owner._modules[part] = below
            owner = owner._modules[part]  # type: ignore[assignment]
        owner._parameters[path[-1]] = parameter

    def remote_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that the child knows, under its names."""
        return iter(self._remote)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The student's `state_dict()`, buffers included."""
        return self._method("state_dict", *args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        """The student's `load_state_dict(...)`; the parameters here follow.

        Raises:
            RuntimeError: the names or shapes do not fit.
        """
        self._method("load_state_dict", dict(state_dict), *args, **kwargs)
        loaded = self._method("state_dict")
        with torch.no_grad():
            for name, parameter in self._remote:
                parameter.copy_(loaded[name])

    def _method(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the instance, with the parameters that it has here."""
        _same_child(self._session, self._generation)
        target = {**self._target, "path": [*self._target["path"], method]}
        with torch.no_grad():
            return invoke(self._session, target, method, args, kwargs, module=self)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The student's forward."""
        _same_child(self._session, self._generation)
        return invoke(self._session, self._target, self._type_name, args, kwargs, module=self)

    def __getitem__(self, index: int) -> Any:
        """A member of an `nn.ModuleList` or `nn.Sequential`."""
        if str(index) in self._modules:
            return self._modules[str(index)]
        _same_child(self._session, self._generation)
        return _attribute(self._session, self._target, index, f"{self._type_name}.{index}")

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
        _same_child(self._session, self._generation)
        return _attribute(self._session, self._target, name, f"{self._type_name}.{name}")

    def __repr__(self) -> str:
        return f"<a {self._type_name} of the submission>"


class Namespace(dict[str, Any]):
    """What Otter takes a test's arguments from: the names that the submission defines.

    Args:
        session: the submission.
        explain: given a name that is missing, says more about why.
        expected: names that will be asked for, looked up together to save messages.
        offered: names that the grader itself gives to tests.
    """

    def __init__(
        self,
        session: Session,
        explain: Callable[[str], str] = lambda name: "",
        expected: Iterable[str] = (),
        offered: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self._offered = offered or {}
        self._session, self._explain, self._expected = session, explain, set(expected)
        self._found: dict[str, str] = {}
        self._generation = 0

    def get(self, name: str, default: Any = None) -> Any:
        """The student's function or class as a proxy, another value as plain data.

        Raises:
            NotDefined: the submission has no such name.
        """
        if name in self._offered:
            return self._offered[name]
        kind = self._look_up(name)
        if kind == "function":
            return RemoteFunction(self._session, name)
        if kind == "value":
            answer, tensors = self._session.request({"op": "attribute", "target": {"name": name, "path": []}})
            flags = [tensor.requires_grad for tensor in tensors]
            return _decoded(name, answer.get("result"), tensors, Handles(self._session, tensors, flags))
        raise NotDefined(f"`{name}` is not defined in your submission. {self._explain(name)}".strip())

    def _look_up(self, name: str) -> str:
        """Whether the child that is there has a function, a value or nothing under this name."""
        self._session.start()
        if self._generation != self._session.generation:
            self._found, self._generation = {}, self._session.generation
        if name not in self._found:
            self._expected.add(name)
            answer, _ = self._session.request({"op": "describe", "names": sorted(self._expected)})
            found = answer.get("found")
            kinds = found.items() if isinstance(found, dict) else ()
            self._found = {key: kind for key, kind in kinds if isinstance(kind, str)}
        return self._found.get(name, "nothing")
