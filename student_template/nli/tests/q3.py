"""q3: two_sided_mask(n, window, stride), and class MoE(d_model, d_ff, n_experts=4, top_k=2)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def check_mask(found, expected, *, what):
    """Pass if this is the boolean mask."""
    check_dtype(check_shape(found, expected.shape, what=what), torch.bool, what=what)
    if not torch.equal(found, expected):
        i, j = (found != expected).nonzero()[0].tolist()
        raise AssertionError(
            f"{what} is wrong in {int((found != expected).sum())} entries. The first one is ({i}, {j}): expected"
            f" {bool(expected[i, j])}, found {bool(found[i, j])}."
        )


def experts_of(model, n_experts, what):
    """The experts, which are as many different modules."""
    modules = getattr(model, "_modules", {}).get("experts")
    assert modules is not None, (
        f"{what} has no experts: it is not implemented yet, or self.experts is not an nn.ModuleList."
    )
    experts = list(modules.children())
    text = f"{what} has {len(experts)} experts with weights of their own, but {n_experts} were expected."
    if n_experts > len(experts) == 1:
        raise AssertionError(f"{text} An expert that occurs twice in the list is one expert.")
    assert len(experts) == n_experts, text
    return experts


@test_case(
    name="the mask by hand",
    points=2,
    hidden=False,
    failure_message="n = 6, window 2, stride 3: |i - j| may be 0, 1 or 3. True = may attend.",
)
def test_hand(two_sided_mask):
    rows = ["110100", "111010", "011101", "101110", "010111", "001011"]
    expected = torch.tensor([[symbol == "1" for symbol in row] for row in rows])
    check_mask(two_sided_mask(6, 2, 3), expected, what="two_sided_mask(6, 2, 3)")


@test_case(
    name="experts and gate weights",
    points=2,
    hidden=False,
    failure_message="In __init__, after super().__init__(): self.experts = nn.ModuleList(...) of n_experts "
    "networks, and "
    "self.W_g = nn.Parameter(...) of shape (d_model, n_experts). The output has the shape of x.",
)
def test_parameters(MoE):
    what = "MoE(d_model=3, d_ff=5)"
    model = MoE(3, 5).float()
    check_parameters(model, {"W_g": (3, 4)}, what=what)
    experts_of(model, 4, what)
    check_shape(
        model(normal(6, 3, seed=0, dtype=torch.float32)), (6, 3), what=f"{what}(x) with x of shape (6, 3)"
    )


# The comparisons that are used above.

from collections.abc import Callable, Sequence


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
