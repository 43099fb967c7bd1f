"""q1: layer_norm(x, weight=None, bias=None, eps=1e-5) and class LayerNorm(d_model, eps=1e-5)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="One number in, one number out: the result has the shape and the dtype of x. Each "
    "vector along the last dimension then has the mean 0.",
)
def test_shape(layer_norm):
    x, what = normal(3, 2, 5, seed=0, dtype=torch.float32), "layer_norm(x) with x of shape (3, 2, 5)"
    found = check_shape(layer_norm(x), (3, 2, 5), what=what)
    check_close(found.mean(-1), torch.zeros(3, 2), tolerance=1e-5, what=f"the mean of each vector of {what}")


@test_case(
    name="a vector worked out by hand",
    points=2,
    hidden=False,
    failure_message="The mean is 3, and the mean of the squares of (4, -1, -1, -1, -1) is 20 / 5 = 4. With "
    "eps = 0 divide by sqrt(4) = 2, with eps = 5 by sqrt(4 + 5) = 3. Then comes the weight, and last the "
    "bias.",
)
def test_hand(layer_norm):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    normalised = torch.tensor([2.0, -0.5, -0.5, -0.5, -0.5], dtype=torch.float64)
    check_close(layer_norm(x, eps=0.0), normalised, what="layer_norm([7, 2, 2, 2, 2], eps=0)")
    check_close(layer_norm(x, eps=5.0), normalised * 2 / 3, what="layer_norm([7, 2, 2, 2, 2], eps=5)")
    weight, bias = torch.arange(1.0, 6.0, dtype=torch.float64), torch.full((5,), 10.0, dtype=torch.float64)
    what = "layer_norm([7, 2, 2, 2, 2], weight=[1, 2, 3, 4, 5], bias=[10, 10, 10, 10, 10], eps=0)"
    check_close(layer_norm(x, weight, bias, 0.0), normalised * weight + bias, what=what)


@test_case(
    name="the module, and how its parameters start",
    points=1,
    hidden=False,
    failure_message="In __init__, after super().__init__(): weight and bias are nn.Parameters of shape "
    "(d_model,), and start at 1 and 0.",
)
def test_parameters(LayerNorm):
    model = LayerNorm(4)
    check_parameters(model, {"weight": (4,), "bias": (4,)}, what="LayerNorm(4)")
    model = model.float()
    check_close(model.weight.detach(), torch.ones(4), what="weight of LayerNorm(4) at the start")
    check_close(model.bias.detach(), torch.zeros(4), what="bias of LayerNorm(4) at the start")


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
