"""q4: class Denoiser(nn.Module), forward(x_t, t, temperature) -> noise."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False

CALL = "Denoiser()(x_t, t, temperature)"


def inputs(n, seed, size=8):
    """Noisy boards, times and temperatures."""
    g = torch.Generator().manual_seed(seed)
    temperature = 1.5 + 2 * torch.rand(n, generator=g)
    return torch.randn(n, size, size, generator=g), torch.randint(50, (n,), generator=g), temperature


def built(Denoiser):
    """A network that has something to learn."""
    model = Denoiser()
    assert any(parameter.requires_grad for parameter in model.parameters()), (
        "Denoiser() has no parameters: it is not implemented yet, or its layers are not attributes of self."
    )
    return model


@test_case(
    name="shape and dtype of the guess",
    points=1,
    hidden=False,
    failure_message="forward takes boards (B, L, L), times (B,) and temperatures (B,), and gives one number "
    "for each site, (B, L, L). If your convolutions need a channel dimension, add it inside and take it away "
    "again.",
)
def test_shape(Denoiser):
    model = built(Denoiser)
    for n in (3, 1):
        x_t, t, temperature = inputs(n, seed=1)
        found = check_shape(model(x_t, t, temperature), (n, 8, 8), what=f"{CALL} with {n} boards of 8 x 8")
        check_dtype(found, x_t.dtype, what=CALL)


@test_case(
    name="parameters that can learn",
    points=1,
    hidden=False,
    failure_message="The gradient of the error must reach the parameters: no detach, no numpy, no "
    "torch.no_grad() in forward, and layers kept as attributes of self.",
)
def test_learns(Denoiser):
    model = built(Denoiser)
    parameters = [p for p in model.parameters() if p.requires_grad]
    x_t, t, temperature = inputs(4, seed=2)
    guess = check_shape(model(x_t, t, temperature), (4, 8, 8), what=CALL)
    assert guess.requires_grad, f"{CALL} carries no gradient: the path back to the parameters is cut."
    (guess - torch.ones(4, 8, 8)).square().mean().backward()
    reached = [p for p in parameters if p.grad is not None and p.grad.count_nonzero()]
    assert reached, "No parameter of Denoiser() gets a gradient."


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
