"""Parts of torch taken away from a process for good, before the first line of a submission runs in it.

The record that `operators` keeps can be wiped by code that knows how. What is not there cannot be used: kernels of
aten operators are replaced by others, and the handle that could give them back is lost; functions of torch's own get
another body, whoever holds them; without autograd no operator leaves a trace to differentiate. Only a second process
is treated so, since a question may allow what another one forbids (see `autograder.doubt`).
"""

from __future__ import annotations

import ctypes
import inspect
import types
import warnings
from typing import Any

import torch

from autograder.sandbox.operators import find

# An operator can be asked for by each of these: `decompose` takes the third, `torch.vmap` the last two.
_KEYS = ("CPU", "AutogradCPU", "CompositeImplicitAutograd", "FuncTorchVmapMode", "FuncTorchBatched")


def remove(operators: list[str], names: list[str], autograd: bool) -> None:
    """Takes all of these away; nothing in this process can bring them back.

    Args:
        operators: of aten, with their overloads, such as "aten::_softmax".
        names: functions and classes of torch's, such as "torch.nn.modules.linear.Linear".
        autograd: whether nothing can be differentiated any more; 20 ms.
    """
    for name in names:
        path, _, attribute = name.rpartition(".")
        _remove_name(find(path), attribute)
    kernels = torch._C._dispatch_library("IMPL", "aten", "", __file__, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # replacing a kernel is what this is for
        if autograd:
            _do_not_record(kernels)
        for operator in operators:
            for key in _KEYS:
                kernels.impl(operator.removeprefix("aten::"), key, _refuse)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kernels))  # it lives on, and no name leads to it


def _do_not_record(kernels: Any) -> None:
    """Each operator skips its autograd kernel, which is the one that remembers what to differentiate."""
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("aten::") and torch._C._dispatch_has_kernel_for_dispatch_key(name, "Autograd"):
            kernels.impl(name.removeprefix("aten::"), "AutogradCPU", torch.library.fallthrough_kernel)


def _remove_name(owner: Any, attribute: str) -> None:
    found = inspect.getattr_static(owner, attribute, None)
    if isinstance(found, type):
        for method in ("__init__", "forward"):
            _remove_name(found, method)
    elif isinstance(found, types.FunctionType) and not found.__code__.co_freevars:
        found.__code__ = _refuse.__code__  # whoever has imported it by another name holds the same function
    elif callable(found):
        setattr(owner, attribute, _substitute(found))


def _substitute(function: Any) -> types.FunctionType:
    """What torch asks such a function for, among others for what a decorator was put on, must be there."""
    substitute = types.FunctionType(_refuse.__code__, {})
    if hasattr(function, "__wrapped__"):
        substitute.__wrapped__ = _refuse  # type: ignore[attr-defined]
    return substitute


def _refuse(*_: Any, **__: Any) -> Any:
    raise RuntimeError("This is not allowed in this question: write it from scratch.")
