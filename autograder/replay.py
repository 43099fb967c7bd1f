"""What an implementation does in a recorded call, and whether two of them do the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from autograder.sandbox.calls import ModuleState, Record
from autograder.sandbox.serve import plain_lists, vector_jacobian

# A misconception and a student with the same mistake differ by rounding: at most 4e-6 in float32 at these sizes
# (CALIBRATION E1), 5e-15 in float64. The mildest wrong attention is 3.5e-3 away from a right one.
SAME = {torch.float32: 1e-4, torch.float64: 1e-8}


@dataclass
class Behaviour:
    """What one call did, as far as a test can see it."""

    error: str | None
    result: Any
    changed: dict[int | str, Any]
    gradients: list[list[torch.Tensor | None]]
    detached: list[bool]


def subject(record: Record) -> str:
    """The student's name that a call is about: a module's class for a call of an instance."""
    return record.instance.name if record.instance is not None else record.name


def observed(record: Record) -> Behaviour:
    """What the student's code did in this call."""
    gradients = [found for _, found in record.gradients]
    detached = [not output.requires_grad for output in record.outputs]
    changed = _named(record.lists) | {i: tensor for i, tensor in record.changed.items()}
    return Behaviour(record.error, record.result, changed, gradients, detached)


def replay(record: Record, implementation: Callable[..., Any]) -> Behaviour:
    """What another implementation does in the same call.

    A module of the student's among the arguments is the student's own, in its process; a function of the judge's is
    called as the student's code called it. One that answers by what it was asked before may answer otherwise here.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(record.default_dtype)
    try:
        return _replay(record, implementation)
    finally:
        torch.set_default_dtype(before)


def _replay(record: Record, implementation: Callable[..., Any]) -> Behaviour:
    torch.manual_seed(record.seed)
    tensors = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in record.tensors]
    try:
        for state in record.passed:
            _restore(state, state.module, tensors)
        function = _part(record, implementation, tensors) if record.instance is not None else implementation
        args, kwargs = _substituted((record.arguments, record.keywords), record, tensors)
        lists = plain_lists(args)
        with torch.set_grad_enabled(record.grad_enabled):
            result = function(*args, **kwargs)
    except Exception as error:
        return Behaviour(type(error).__name__, None, {}, [], [])
    if isinstance(result, nn.Module):
        return Behaviour(None, result, {}, [], [])
    outputs = tensors_in(result)
    changed: dict[int | str, Any] = {
        i: t for i, t in enumerate(tensors) if not same(t.detach(), record.tensors[i].detach())
    }
    changed |= _named({i: args[i] for i, tree in plain_lists(args).items() if tree != lists.get(i)})
    gradients = [_gradient(outputs, tensors, cotangents) for cotangents, _ in record.gradients]
    return Behaviour(None, result, changed, gradients, [not output.requires_grad for output in outputs])


def _named(lists: dict[int, list[Any]]) -> dict[int | str, Any]:
    """Lists among the arguments that were changed, by keys that no tensor has."""
    return {f"argument {index}": value for index, value in lists.items()}


def _part(record: Record, implementation: Callable[..., Any], tensors: list[torch.Tensor]) -> nn.Module:
    """The part that was called, of a module built as the student's was and like it in everything."""
    assert record.instance is not None
    assert record.state is not None
    arguments, keywords = _substituted((record.instance.arguments, record.instance.keywords), record, tensors)
    module = implementation(*arguments, **keywords)
    if not isinstance(module, nn.Module):
        raise TypeError("not a module")
    _restore(record.state, module, tensors)
    return module.get_submodule(".".join(record.path))


def _restore(state: ModuleState, module: nn.Module, tensors: list[torch.Tensor]) -> None:
    """Gives a module the mode and the parameters that the call had, as leaves of the replay."""
    own = dict(module.named_parameters())
    if own.keys() != state.parameters.keys():
        raise TypeError("other parameters")
    for name, index in state.parameters.items():
        own[name].data, own[name].grad = tensors[index].detach(), None
        tensors[index] = own[name].requires_grad_(tensors[index].requires_grad)
    module.train(state.training)


def _substituted(value: Any, record: Record, tensors: list[torch.Tensor]) -> Any:
    """The recorded arguments with fresh tensors in them; one that occurs twice stays one."""
    fresh = {id(recorded): tensor for recorded, tensor in zip(record.tensors, tensors, strict=True)}

    def walk(item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            return fresh.get(id(item), item)
        if isinstance(item, torch.Generator):
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
    if not same(one.result, other.result) or one.changed.keys() != other.changed.keys():
        return False
    if len(one.detached) == len(other.detached) and one.detached != other.detached:
        return False
    if not all(same(one.changed[i], other.changed[i]) for i in one.changed):
        return False
    return all(
        same(a if a is not None else 0.0, b if b is not None else 0.0)
        for found, wanted in zip(one.gradients, other.gradients, strict=False)
        for a, b in zip(found, wanted, strict=False)
    )


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return _same_tensors(one.detach(), other.detach())
    if isinstance(one, torch.Tensor) or isinstance(other, torch.Tensor):
        tensor, plain = (one, other) if isinstance(one, torch.Tensor) else (other, one)
        return isinstance(plain, float) and plain == 0.0 and not tensor.count_nonzero()
    if isinstance(one, nn.Module) or isinstance(other, nn.Module):
        return True  # constructions; what they compute is compared call by call
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
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


def tensors_in(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


def blanked(behaviour: Behaviour, like: Behaviour) -> Behaviour:
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
