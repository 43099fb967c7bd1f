"""q5: ddpm_loss(model, x0, temperature, betas, generator=None)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False

CALL = "ddpm_loss(model, x0, temperature, betas, generator)"


def generator(seed):
    return torch.Generator().manual_seed(seed)


def noise_in(x_t, x0, t, betas):
    """The noise that takes x0 to x_t."""
    alpha_bar = torch.cumprod(1 - betas, 0)[t][:, None, None]
    return (x_t - alpha_bar.sqrt() * x0) / (1 - alpha_bar).sqrt()


@test_case(
    name="a network that always answers 0",
    points=2,
    hidden=False,
    failure_message="The noise has mean 0 and variance 1, so a network that always says 0 is wrong by 1 in "
    "the mean square, up to the scatter of a few thousand random numbers. The loss is one number, a 0-d tensor.",
)
def test_zero(ddpm_loss):
    betas = torch.linspace(0.01, 0.3, 10)
    model = lambda x_t, t, temperature: torch.zeros_like(x_t)  # noqa: E731
    loss = ddpm_loss(model, torch.ones(2000, 4, 4), torch.full((2000,), 2.0), betas, generator(0))
    check_shape(loss, (), what=CALL)
    # 32,000 squares of normal numbers: one standard error is 0.008
    assert abs(float(loss) - 1) < 0.04, f"The loss is {float(loss):.4f}, but 1 was expected, up to 0.04."


@test_case(
    name="a network that knows the noise",
    points=2,
    hidden=False,
    failure_message="All boards are up, so the noise can be read off: (x_t - sqrt(alpha_bar)) / sqrt(1 - "
    "alpha_bar). A network that answers this has the loss 0; one that answers 0.5 more has 0.25. x_t must come "
    "from q_sample, with the same noise that the loss compares with.",
)
def test_known(ddpm_loss):
    betas, x0 = torch.tensor([0.1, 0.3, 0.5], dtype=torch.float64), torch.ones(50, 4, 4, dtype=torch.float64)
    for extra in (0.0, 0.5):
        model = lambda x_t, t, temperature: noise_in(x_t, x0, t, betas) + extra  # noqa: B023, E731
        loss = ddpm_loss(model, x0, torch.full((50,), 2.0, dtype=torch.float64), betas, generator(1))
        expected = torch.tensor(extra**2, dtype=torch.float64)
        check_close(loss, expected, what=f"the loss of a network that answers the noise + {extra}")


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
