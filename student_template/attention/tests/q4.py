"""q4: class SelfAttention(d_model, d_k, d_v), judged with weights that the test loads."""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "SelfAttention(d_model=6, d_k=4, d_v=3)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def load(model, weights, what):
    check_parameters(model, {name: tuple(weight.shape) for name, weight in weights.items()}, what=what)
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(model, name).copy_(weight)
    return model


def model_6_4_3(SelfAttention, dtype=torch.float64):
    weights = {"W_Q": normal(6, 4, seed=1), "W_K": normal(6, 4, seed=2), "W_V": normal(6, 3, seed=3)}
    return load(SelfAttention(6, 4, 3).to(dtype), weights, CALL)


@test_case(
    name="three parameters, and how they start",
    points=1,
    hidden=False,
    failure_message="Make W_Q, W_K and W_V with nn.Parameter in __init__, after super().__init__(): (d_model, "
    "d_k) for W_Q and W_K, (d_model, d_v) for W_V. Draw each from a normal distribution with standard "
    "deviation 1/sqrt(d_model).",
)
def test_parameters(SelfAttention):
    call, model = "SelfAttention(d_model=64, d_k=32, d_v=16)", SelfAttention(64, 32, 16)
    check_parameters(model, {"W_Q": (64, 32), "W_K": (64, 32), "W_V": (64, 16)}, what=call)
    for letter in "QKV":
        deviation = getattr(model, f"W_{letter}").std().item()
        # 1024 numbers or more: the measured deviation is off by 2 % (one sigma), far from a factor of 1.6
        assert 0.08 < deviation < 0.2, (
            f"The numbers in W_{letter} of {call} start with a standard deviation of"
            f" {deviation:.3g}, but 1/sqrt(64) = 0.125 was expected."
        )


@test_case(
    name="shape and dtype of the output",
    points=1,
    hidden=False,
    failure_message="forward(x) gives each of the L positions an output of length d_v: (..., L, d_v). Where all "
    "tokens of a sequence are equal, so are their values, and each output is that value, x W_V.",
)
def test_shape(SelfAttention):
    model, token = model_6_4_3(SelfAttention, torch.float32), normal(2, 1, 6, seed=0, dtype=torch.float32)
    expected = (token @ model.W_V).detach().expand(2, 5, 3)
    what = f"{CALL}(x) with x of shape (2, 5, 6), five equal tokens in each sequence,"
    check_close(model(token.expand(2, 5, 6).clone()), expected, tolerance=1e-5, what=what)


@test_case(
    name="two outputs worked out by hand",
    points=2,
    hidden=False,
    failure_message="Here q = x W_Q = (ln 3, 0), k = x W_K = (1, 0) and v = x W_V = (4, 8). The first query's "
    "scores are ln 3 and 0 (d_k = 1), its weights 3/4 and 1/4; the second query weighs both values alike.",
)
def test_hand(SelfAttention):
    weights = {"W_Q": [[math.log(3)], [0.0]], "W_K": [[1.0], [0.0]], "W_V": [[4.0], [8.0]]}
    weights = {name: torch.tensor(weight) for name, weight in weights.items()}
    model = load(SelfAttention(2, 1, 1).float(), weights, "SelfAttention(d_model=2, d_k=1, d_v=1)")
    expected = torch.tensor([[5.0], [6.0]])
    check_close(model(torch.eye(2)), expected, tolerance=1e-5, what="SelfAttention(2, 1, 1)(x)")


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
