"""q2: class MoE(d_model, d_ff, n_experts=4, top_k=None), judged through its own experts and W_g."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def experts_of(model, n_experts, what):
    """The experts, each of which can be called."""
    missing = f"{what} has no experts: it is not implemented yet, or self.experts is not an nn.ModuleList."
    modules = getattr(model, "_modules", {})
    assert "experts" in modules, missing
    experts = list(modules["experts"].children())
    assert len(experts) == n_experts, (
        f"{what} has {len(experts)} experts with weights of their own, but {n_experts} were expected. An expert"
        " that occurs twice in the list is one expert."
    )
    return experts


@test_case(
    name="experts and gate weights",
    points=2,
    hidden=False,
    failure_message="In __init__, after super().__init__(): self.experts = nn.ModuleList(...) of n_experts different "
    "networks, and self.W_g = nn.Parameter(...) of shape (d_model, n_experts).",
)
def test_parameters(MoE):
    what = "MoE(d_model=3, d_ff=5, n_experts=2)"
    model = MoE(3, 5, 2)
    check_parameters(model, {"W_g": (3, 2)}, what=what)
    experts_of(model, 2, what)
    check_parameters(MoE(3, 5), {"W_g": (3, 4)}, what="MoE(d_model=3, d_ff=5)")


@test_case(
    name="the shape of the output",
    points=2,
    hidden=False,
    failure_message="The output has the shape of x: one row of length d_model for each row.",
)
def test_shape(MoE):
    model = MoE(3, 5, 2).float()
    check_parameters(model, {"W_g": (3, 2)}, what="MoE(d_model=3, d_ff=5, n_experts=2)")
    x = normal(4, 3, seed=0, dtype=torch.float32)
    check_shape(model(x), (4, 3), what="MoE(d_model=3, d_ff=5, n_experts=2)(x) with x of shape (4, 3)")


@test_case(
    name="with W_g = 0, the mean of two experts",
    points=2,
    hidden=False,
    failure_message="With W_g = 0 all logits are 0, so both gate weights are 1/2 and the output is the mean of the "
    "two experts' outputs.",
)
def test_mean(MoE):
    what = "MoE(d_model=3, d_ff=5, n_experts=2)"
    model = MoE(3, 5, 2).double()
    check_parameters(model, {"W_g": (3, 2)}, what=what)
    experts_of(model, 2, what)
    with torch.no_grad():
        model.W_g.zero_()
    x = normal(4, 3, seed=1)
    expected = (model.experts[0](x) + model.experts[1](x)) / 2
    check_close(model(x), expected, what=f"{what}(x) with W_g = 0")


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
