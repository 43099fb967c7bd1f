"""Which operators a call really ran: evidence for "from scratch", gathered in the student's process.

Three kinds of names: aten operators ("aten::_softmax"), torch functions ("torch.nn.functional.softmax") and the
modules that were called ("torch.nn.modules.linear.Linear"). Composite functions leave no operator of their own, and
modules no function, so all three are needed. It lives where the student's code lives: evidence about honest
students, never proof against a determined one (see also `guard`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class _Dispatched(TorchDispatchMode):
    def __init__(self, seen: set[str]) -> None:
        super().__init__()
        self._seen = seen

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch imports all of torch._dynamo at the first operator: 1.1 s for every child

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._seen.add(func._schema.name)
        return func(*args, **(kwargs or {}))


class _Called(TorchFunctionMode):
    def __init__(self, seen: set[str]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._seen.add(f"{getattr(func, '__module__', None) or 'torch'}.{getattr(func, '__name__', func)}")
        return func(*args, **(kwargs or {}))


class Operators:
    """Collects names while `recording`; `take` hands over those that are new."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._told: set[str] = set()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Everything that this thread runs inside is recorded."""
        hook = nn.modules.module.register_module_forward_pre_hook(self._module)
        try:
            with _Called(self._seen), _Dispatched(self._seen):
                yield
        finally:
            hook.remove()

    def _module(self, module: nn.Module, _: Any) -> None:
        self._seen.add(f"{type(module).__module__}.{type(module).__qualname__}")

    def take(self) -> list[str]:
        """The names that were not handed over before."""
        new = sorted(self._seen - self._told)
        self._told.update(new)
        return new

    def forget(self) -> None:
        """Starts over: the next question is judged by its own calls."""
        self._seen.clear()
        self._told.clear()
