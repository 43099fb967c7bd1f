"""q5: class MultiHeadAttention(d_model, n_heads), judged against nn.MultiheadAttention with the same weights."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
NAMES = ("W_Q", "W_K", "W_V", "W_O")
CALL = "MultiHeadAttention(d_model=6, n_heads=3)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def load(model, weights, what):
    check_parameters(model, {name: tuple(weight.shape) for name, weight in weights.items()}, what=what)
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(model, name).copy_(weight)
    return model


def model_6_3(MultiHeadAttention, dtype=torch.float64):
    weights = {name: normal(6, 6, seed=seed) for seed, name in enumerate(NAMES)}
    return load(MultiHeadAttention(6, 3).to(dtype), weights, CALL)


@test_case(
    name="four parameters, and how they start",
    points=1,
    hidden=False,
    failure_message="Make W_Q, W_K, W_V and W_O with nn.Parameter in __init__, after super().__init__(), each "
    "(d_model, d_model). Draw each from a normal distribution with standard deviation 1/sqrt(d_model).",
)
def test_parameters(MultiHeadAttention):
    call, model = "MultiHeadAttention(d_model=64, n_heads=2)", MultiHeadAttention(64, 2)
    check_parameters(model, dict.fromkeys(NAMES, (64, 64)), what=call)
    for name in NAMES:
        deviation = getattr(model, name).std().item()
        # 4096 numbers: the measured deviation is off by 1 % (one sigma), far from a factor of 1.6
        assert 0.08 < deviation < 0.2, (
            f"The numbers in {name} of {call} start with a standard deviation of"
            f" {deviation:.3g}, but 1/sqrt(64) = 0.125 was expected."
        )


@test_case(
    name="shape and dtype of the output",
    points=1,
    hidden=False,
    failure_message="forward(x) has the shape of x, (..., L, d_model): the heads' outputs side by side, then "
    "W_O. Where all tokens of a sequence are equal, so are their values, and each output is x W_V W_O.",
)
def test_shape(MultiHeadAttention):
    model, token = model_6_3(MultiHeadAttention, torch.float32), normal(2, 1, 6, seed=10, dtype=torch.float32)
    expected = (token @ model.W_V @ model.W_O).detach().expand(2, 5, 6)
    what = f"{CALL}(x) with x of shape (2, 5, 6), five equal tokens in each sequence,"
    # numbers up to 15 after four products: correct forms were seen to differ by 4e-6
    check_close(model(token.expand(2, 5, 6).clone()), expected, tolerance=5e-5, what=what)


@test_case(
    name="two heads worked out by hand",
    points=2,
    hidden=False,
    failure_message="Here W_Q = 0, so all weights are 1/2 and each head gives the mean of its columns of x "
    "W_V = x: (1, 2) from the first head and (3, 4) from the second. W_O then swaps the two halves and "
    "doubles them.",
)
def test_hand(MultiHeadAttention):
    zero, eye = torch.zeros(2, 2), torch.eye(2)
    swap = torch.cat([torch.cat([zero, 2 * eye], 1), torch.cat([2 * eye, zero], 1)])
    weights = {"W_Q": torch.zeros(4, 4), "W_K": torch.eye(4), "W_V": torch.eye(4), "W_O": swap}
    model = load(MultiHeadAttention(4, 2).float(), weights, "MultiHeadAttention(d_model=4, n_heads=2)")
    x = torch.tensor([[2.0, 0.0, 3.0, 8.0], [0.0, 4.0, 3.0, 0.0]])
    expected = torch.tensor([6.0, 8.0, 2.0, 4.0]).expand(2, 4)
    check_close(model(x), expected, tolerance=1e-5, what="MultiHeadAttention(4, 2)(x)")


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
