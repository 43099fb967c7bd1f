"""How much arithmetic a piece of code does: for tests of what must not be computed.

Stands below everything: test authors get it from `autograder.checks`, the judge and the student's process share it.
"""

from __future__ import annotations

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_counting: list[Work] = []


class Work(TorchDispatchMode):
    """Counts the floating-point operations of matrix products and convolutions, by the formulas of `flop_counter`.

    Works on a student's functions and modules in a test whether they are here or proxies: the judge has the student's
    process count along, backward passes included. Sums, activations and products with a single vector do not count.

        with Work() as work:
            model(x)
        assert work.flops <= 2 * rows * d_model * d_ff

    Attributes:
        flops: counted so far; a product of (n, m) and (m, k) is 2 n m k.
    """

    flops: int

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch imports all of torch._dynamo at the first operator: 1.1 s

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result

    def __enter__(self) -> Work:
        _counting.append(self)
        return super().__enter__()  # type: ignore[no-any-return, no-untyped-call]

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        _counting.remove(self)


def counting() -> tuple[Work, ...]:
    """Those that count at the moment."""
    return tuple(_counting)
