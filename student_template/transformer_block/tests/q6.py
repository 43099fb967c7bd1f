"""q6: class TransformerBlock, judged against nn.TransformerEncoderLayer with the same weights."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def shapes_of(d, d_ff):
    """Names and shapes of all parameters."""
    norms = {f"norm_{i}.{part}": (d,) for i in (1, 2) for part in ("weight", "bias")}
    attention = {f"attention.W_{part}": (d, d) for part in "QKVO"} | {
        f"attention.b_{part}": (d,) for part in "QKVO"
    }
    network = {"W_1": (d, d_ff), "b_1": (d_ff,), "W_2": (d_ff, d), "b_2": (d,)}
    return norms | attention | {f"feed_forward.{part}": shape for part, shape in network.items()}


def parameter(block, name):
    return dict(block.named_parameters())[name]


def zeroed(block, *names):
    """The same block with some of its parameters 0."""
    with torch.no_grad():
        for name in names:
            parameter(block, name).zero_()
    return block


@test_case(
    name="the parameters, by name",
    points=1,
    hidden=False,
    failure_message="self.norm_1 and self.norm_2 (LayerNorm), self.attention (MultiHeadAttention) and "
    "self.feed_forward (FeedForward), made in __init__ after super().__init__(). The weights of the norms "
    "start at 1, their biases at 0.",
)
def test_parameters(TransformerBlock):
    what, block = "TransformerBlock(d_model=4, n_heads=2, d_ff=5)", TransformerBlock(4, 2, 5).float()
    check_parameters(block, shapes_of(4, 5), what=what)
    for i in (1, 2):
        weight, bias = (
            parameter(block, f"norm_{i}.weight").detach(),
            parameter(block, f"norm_{i}.bias").detach(),
        )
        check_close(weight, torch.ones(4), what=f"norm_{i}.weight of {what} at the start")
        check_close(bias, torch.zeros(4), what=f"norm_{i}.bias of {what} at the start")


@test_case(
    name="sublayers that add nothing, by hand",
    points=2,
    hidden=False,
    failure_message="Where W_O, b_O, W_2 and b_2 are 0, both sublayers add 0. Pre-norm then gives x back, "
    "and post-norm the norm of x = (7, 2, 2, 2, 2), which is (2, -1/2, -1/2, -1/2, -1/2): its norm is "
    "itself.",
)
def test_nothing_added(TransformerBlock):
    x = torch.tensor([[7.0, 2.0, 2.0, 2.0, 2.0]], dtype=torch.float64)
    for norm_first, expected in [(True, x), (False, (x - 3) / 2)]:
        block = TransformerBlock(5, 1, 3, norm_first).double().train()
        what = f"TransformerBlock(5, 1, 3, norm_first={norm_first})"
        check_parameters(block, shapes_of(5, 3), what=what)
        zeroed(block, "attention.W_O", "attention.b_O", "feed_forward.W_2", "feed_forward.b_2")
        # eps = 1e-5 is in the norms: measured 1e-5 after two of them
        check_close(
            block(x).detach(), expected, tolerance=1e-4, what=f"{what}(x), both of whose sublayers add 0,"
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


def check_parameters(model: torch.nn.Module, shapes: dict[str, tuple[int, ...]], *, what: str) -> None:
    """Pass if the module has parameters of these names and shapes."""
    try:
        parameters = dict(model.named_parameters())
    except AttributeError:  # nn.Module.__init__ never ran
        parameters = {}
    for name, shape in shapes.items():
        if name not in parameters:
            raise AssertionError(
                f"{what} has no parameter {name}: it is not implemented yet, or self.{name} is not an nn.Parameter."
            )
        check_shape(parameters[name], shape, what=f"{name} of {what}")
