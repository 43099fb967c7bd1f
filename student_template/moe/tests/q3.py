"""q3: class MoE once more: with top_k, an expert computes the rows that are routed to it and no others.

Nothing here compares values with those of a right mixture, which is q2's matter. An expert is spoiled (its parameters
become NaN), and the rows that use it must show it and all others must not, forwards and backwards: outputs that are
computed and then multiplied by 0 or left out do. Work that leaves no trace in numbers is counted.
"""

import math

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q3"
all_or_nothing = False


def mixture(MoE, d_model, d_ff, n_experts, top_k):
    """A mixture in float64 with that many experts, and what messages call it."""
    what = f"MoE({d_model}, {d_ff}, n_experts={n_experts}, top_k={top_k})"
    model = MoE(d_model, d_ff, n_experts, top_k).double()
    check_parameters(model, {"W_g": (d_model, n_experts)}, what=what)
    experts = getattr(model, "_modules", {}).get("experts")
    found = len(list(experts.children())) if experts is not None else 0
    assert found == n_experts, (
        f"{what} has {found} different experts in self.experts, but {n_experts} were expected."
    )
    return model, what


def set_gate(model, W_g):
    """Give the gate these weights."""
    with torch.no_grad():
        model.W_g.copy_(W_g)


def spoil(model, e):
    """Fill the parameters of an expert with NaN."""
    with torch.no_grad():
        for parameter in model.experts[e].parameters():
            parameter.fill_(math.nan)


@test_case(
    name="an expert that nobody chose",
    points=2,
    hidden=False,
    failure_message="With top_k = 2 no row here uses expert 2, which is spoiled: its parameters are NaN. It "
    "must not be asked, for 0 times NaN is NaN.",
)
def test_nobody(MoE):
    model, what = mixture(MoE, 2, 4, 3, 2)
    set_gate(model, torch.tensor([[1.0, 0.0, -5.0], [0.0, 1.0, -5.0]]).double())
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0], [3.0, 3.0]]).double()
    before = check_shape(model(x), (3, 2), what=f"{what}(x)")
    spoil(model, 2)
    check_close(model(x), before.detach(), what=f"{what}(x), once expert 2 is spoiled,")


@test_case(
    name="a row and an expert that it does not use",
    points=2,
    hidden=False,
    failure_message="Row 0 uses experts 0 and 1, row 1 uses experts 1 and 2, which is spoiled (its parameters are "
    "NaN). Only row 1 may notice: call an expert with the rows that have a weight for it.",
)
def test_one_row(MoE):
    model, what = mixture(MoE, 2, 4, 3, 2)
    set_gate(model, torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]).double())
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    before = check_shape(model(x), (2, 2), what=f"{what}(x)")
    spoil(model, 2)
    after = model(x)
    check_close(after[0], before[0].detach(), what=f"row 0 of {what}(x), once expert 2 is spoiled,")
    assert after[1].isnan().all(), (
        f"Row 1 of {what}(x) uses expert 2, but does not notice that it is spoiled."
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
