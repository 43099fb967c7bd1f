"""How much arithmetic and memory a piece of code takes: for tests of what must not be computed.

Stands below everything: test authors get it from `autograder.checks`, the judge and the student's process share it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

_counting: list[Work] = []
_SPARSE = {torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}


class Work(TorchDispatchMode):
    """Counts what operators compute and make.

    Works on a student's functions and modules in a test whether they are here or proxies: the judge has the student's
    process count along, backward passes included.

        with Work() as work:
            model(x)
        assert work.flops <= 2 * rows * d_model * d_ff

    Attributes:
        flops: floating-point operations of matrix products and convolutions so far, by the formulas of `flop_counter`:
            a product of (n, m) and (m, k) is 2 n m k. Sums, activations and products with a single vector are none.
        largest: how many numbers the largest tensor holds that an operator returned. A view counts with all that it is
            a view of, a sparse tensor with what it stores.
        written: how many numbers all operators together have returned, views excepted. It counts what `flops` does not:
            sums, masks, indices, copies.
    """

    flops: int
    largest: int
    written: int

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.largest = self.written = 0

    def add(self, flops: int, largest: int, written: int) -> None:
        """Count what was done elsewhere or before."""
        self.flops, self.largest, self.written = (
            self.flops + flops,
            max(self.largest, largest),
            self.written + written,
        )

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # otherwise torch imports all of torch._dynamo at the first operator: 1.1 s

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                self.add(0, _held(tensor), 0 if func.is_view else _own(tensor))
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


def _own(tensor: Tensor) -> int:
    """How many numbers the tensor has; of a sparse one those that are stored."""
    return tensor._nnz() if tensor.layout in _SPARSE else tensor.numel()


def _held(tensor: Tensor) -> int:
    """How many numbers lie in the memory that the tensor looks at."""
    if tensor.layout is not torch.strided:
        return _own(tensor)
    return tensor.untyped_storage().nbytes() // tensor.itemsize
