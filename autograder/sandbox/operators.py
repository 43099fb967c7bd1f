"""Which operators a call really ran: evidence for "from scratch", gathered in the student's process.

Three kinds of names: torch functions ("torch.nn.functional.softmax"), modules that were called
("torch.nn.modules.linear.Linear") and aten operators ("aten::_softmax"). All are recorded in the first call of each of
a question's names, and aten operators in its first backward pass; recording every call would double the time of
grading (measured: 70 ms more on 75 ms for a submission to `attention`). What a question forbids is watched in every
call and thread: modules by a hook, functions by wrappers that stand in their place before the student's first cell
runs, aten operators by kernels that raise in place of the real ones.

All of it lives where the student's code lives: evidence about honest students, never proof against a determined one.
"""

from __future__ import annotations

import fnmatch
import functools
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.attention.flex_attention  # 0.01 s; what is not imported before a submission cannot be watched
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


class ForbiddenOperator(RuntimeError):
    """Raised at the student's line by an operator that the question forbids."""


class _Dispatched(TorchDispatchMode):
    def __init__(self, seen: set[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen = seen

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return (
            False  # otherwise torch imports all of torch._dynamo at the first operator: 1.1 s for every child
        )

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._seen.add(func._schema.name)
        return func(*args, **(kwargs or {}))


class _Called(TorchFunctionMode):
    def __init__(self, seen: set[str]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self._seen.add(f"{getattr(func, '__module__', None) or 'torch'}.{getattr(func, '__name__', func)}")
        return func(*args, **(kwargs or {}))


class Operators:
    """Collects names while `recording`; `take` hands over those that are new."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._told: set[str] = set()
        self._sampled: set[str] | None = set()
        self._samples: dict[str, set[str]] = {}
        self._forbidden: list[str] = []
        self._traps: torch.library.Library | None = None

    def watch(self, names: list[str]) -> None:
        """From now on modules, and these functions, leave their name when they are called, from anywhere.

        Args:
            names: functions such as "torch.autograd.grad".
        """
        nn.modules.module.register_module_forward_pre_hook(self._module)
        for name in names:
            path, _, attribute = name.rpartition(".")
            owner = find(path)
            function = getattr(owner, attribute, None)
            if callable(function) and not isinstance(function, type):
                setattr(owner, attribute, self._telling(name, function))

    def _telling(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def tell(*args: Any, **kwargs: Any) -> Any:
            self._seen.add(name)
            return function(*args, **kwargs)

        return tell

    def begin(self, forbidden: list[str], question: str | None = "") -> None:
        """A question begins: forgets what was seen, and sets traps for the aten operators that it forbids.

        Args:
            forbidden: names of operators with their overload, such as "aten::scaled_dot_product_attention".
            question: what was sampled under this name before is not sampled again; None: nothing is sampled.
        """
        self._seen.clear()
        self._told.clear()
        self._sampled = (
            None if question is None else self._samples.setdefault(question, set()) if question else set()
        )
        if forbidden == self._forbidden:
            return
        self._forbidden = forbidden
        if self._traps is not None:
            self._traps._destroy()
        self._traps = self._set_traps(forbidden) if forbidden else None

    def _set_traps(self, forbidden: list[str]) -> torch.library.Library:
        traps = torch.library.Library("aten", "IMPL")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # replacing a kernel is what this is for
            for name in forbidden:
                for key in ("CPU", "AutogradCPU"):
                    traps.impl(name.removeprefix("aten::"), self._trap(name), key)
        return traps

    def _trap(self, name: str) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            self._seen.add(name.split(".")[0])
            raise ForbiddenOperator(
                f"{name.split('.')[0]} is not allowed in this question: write it from scratch."
            )

        return refuse

    @contextmanager
    def recording(self, target: str, functions: bool = True) -> Iterator[None]:
        """The first time that `target` is called, everything that this thread runs inside is recorded.

        Args:
            target: what is called.
            functions: whether torch functions count; not in a backward pass, which this package itself begins.
        """
        if self._sampled is None or target in self._sampled:
            yield
            return
        self._sampled.add(target)
        with _Called(self._seen) if functions else nullcontext(), _Dispatched(self._seen):
            yield

    def _module(self, module: nn.Module, _: Any) -> None:
        self._seen.add(f"{type(module).__module__}.{type(module).__qualname__}")

    def take(self) -> list[str]:
        """The names that were not handed over before."""
        new = sorted(self._seen - self._told)
        self._told.update(new)
        return new


def warm() -> None:
    """Runs common operators under recording once, so that what torch prepares for each is prepared for all children.

    Measured: 25 ms less in each child.
    """
    operators = Operators()
    x = torch.rand(2, 3, 4, requires_grad=True)
    mask = torch.ones(3, 3, dtype=torch.bool).tril()
    with operators.recording("forward"):
        scores = torch.matmul(x, x.transpose(-2, -1)) / 2.0
        weights = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        shifted = (scores - scores.amax(-1, keepdim=True).detach()).exp()
        shifted = torch.where(mask, shifted, torch.zeros(())) / shifted.sum(-1, keepdim=True)
        total = (
            (weights @ x).sum() + (shifted * weights).sum() + torch.einsum("bij,bjk->bik", weights, x).mean()
        )
        torch.cat([x[0], x[1]]).reshape(3, 8).unsqueeze(0).clone()
        torch.linalg.svd(x.detach().double())
    with operators.recording("backward"):
        torch.autograd.grad(total, x)
    operators.begin(["aten::scaled_dot_product_attention"])
    operators.begin([])


def find(path: str) -> Any:
    """The module or class of torch's at a dotted path; None where there is none."""
    first, *rest = path.split(".")
    found: Any = sys.modules.get(first)
    for part in rest:
        found = getattr(found, part, None)
    return found


def watchable(patterns: Iterable[str]) -> list[str]:
    """The patterns that name one function, such as "torch.autograd.grad"."""
    return sorted({pattern for pattern in patterns if "::" not in pattern and "*" not in pattern})


@functools.cache
def matching(patterns: tuple[str, ...]) -> list[str]:
    """The aten operators, with their overloads, that fnmatch patterns such as "aten::_softmax*" stand for."""
    wanted = [re.compile(fnmatch.translate(pattern)) for pattern in patterns if pattern.startswith("aten::")]
    names = torch._C._dispatch_get_all_op_names() if wanted else []
    return sorted(name for name in names if any(pattern.match(name.split(".")[0]) for pattern in wanted))
