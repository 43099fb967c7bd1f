"""q7: class Encoder, judged through its own blocks."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q7"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def blocks_of(encoder, n_layers, what):
    """The blocks, each of which can be called."""
    modules = getattr(encoder, "_modules", {})
    assert "blocks" in modules, (
        f"{what} has no blocks: it is not implemented yet, or self.blocks is not an nn.ModuleList."
    )
    blocks = list(modules["blocks"].children())
    assert len(blocks) == n_layers, (
        f"{what} has {len(blocks)} blocks with weights of their own, but {n_layers} were expected. A block that occurs"
        " twice in the list is one block."
    )
    return blocks


@test_case(
    name="as many blocks as asked for",
    points=1,
    hidden=False,
    failure_message="self.blocks holds n_layers TransformerBlocks, each made anew, in an nn.ModuleList. With "
    "norm_first there is a LayerNorm self.norm as well.",
)
def test_blocks(Encoder):
    for n_layers in (1, 3):
        what = f"Encoder(n_layers={n_layers}, d_model=4, n_heads=2, d_ff=5)"
        encoder = Encoder(n_layers, 4, 2, 5)
        blocks_of(encoder, n_layers, what)
        names = {name for name, _ in encoder.named_parameters()}
        assert {"norm.weight", "norm.bias"} <= names, (
            f"{what} has no norm with a weight and a bias after the last block."
        )


@test_case(
    name="what leaves an encoder is normalised",
    points=1,
    hidden=False,
    failure_message="At the start all norms have the weight 1 and the bias 0. Pre-norm and post-norm both "
    "end with a norm, so each vector has the mean 0 and the mean square 1.",
)
def test_normalised(Encoder):
    x = 5 + 3 * normal(2, 4, 8, seed=0, dtype=torch.float32)
    for norm_first in (True, False):
        what = f"Encoder(2, 8, 2, 16, norm_first={norm_first})(x)"
        found = check_shape(Encoder(2, 8, 2, 16, norm_first).float()(x), (2, 4, 8), what=what).detach()
        check_close(
            found.mean(-1), torch.zeros(2, 4), tolerance=1e-4, what=f"the mean of each vector of {what}"
        )
        square = found.square().mean(-1)
        check_close(
            square, torch.ones(2, 4), tolerance=1e-3, what=f"the mean square of each vector of {what}"
        )


# The comparisons that are used above.

from collections.abc import Callable, Sequence


def check_close(found: object, expected: torch.Tensor, *, tolerance: float = 1e-9, what: str) -> None:
    """Pass if `found` has the shape and dtype of `expected`, and each number is within `tolerance` (absolute) of it."""
    tensor = check_shape(found, expected.shape, what=what)
    check_dtype(tensor, expected.dtype, what=what)
    if not tensor.is_floating_point() and torch.equal(tensor, expected):
        return
    if tensor.is_floating_point() and (not tensor.numel() or (tensor - expected).abs().max() <= tolerance):
        return  # the usual case; NaN is not smaller than anything and goes on
    same = tensor == expected
    error = torch.where(same, 0.0, (tensor.double() - expected.double()).abs()).detach()
    wrong = ~(error <= tolerance)  # written so that NaN counts as wrong
    if not wrong.any():
        return
    index = wrong.nonzero()[0].tolist()
    place = f" at index {index}" if index else ""
    expected_here, found_here = expected[tuple(index)].item(), tensor[tuple(index)].item()
    verdict = (
        f"{what} is wrong in {int(wrong.sum())} of {wrong.numel()} numbers."
        f" The first one is{place}: expected {expected_here:.6g}, found {found_here:.6g}."
    )
    if not tensor.isfinite().all():
        raise AssertionError(f"{verdict} NaN or infinity appears where a finite number was expected.")
    raise AssertionError(
        f"{verdict} The largest error is {error.max().item():.2g}; {tolerance:g} is allowed."
    )


def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_shape(found: object, shape: Sequence[int], *, what: str) -> torch.Tensor:
    """Pass if `found` is a tensor of this shape; the tensor is returned."""
    check_returned(found, what=what)
    if not isinstance(found, torch.Tensor):
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a torch.Tensor was expected."
        )
    if tuple(found.shape) != tuple(shape):
        raise AssertionError(f"{what} has shape {tuple(found.shape)}, but shape {tuple(shape)} was expected.")
    return found


def check_dtype(found: torch.Tensor, dtype: torch.dtype, *, what: str) -> None:
    """Pass if the tensor has this dtype."""
    if found.dtype != dtype:
        raise AssertionError(f"{what} has dtype {found.dtype}, but {dtype} was expected.")
