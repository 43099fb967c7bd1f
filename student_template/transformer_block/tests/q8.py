"""q8: gradient_norms(encoder, x, target) and stream_rms(encoder, x), judged through the student's own Encoder."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q8"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_encoder(Encoder, n_layers, norm_first, dtype=torch.float64):
    """An encoder in eval mode whose parameters are all random."""
    encoder = Encoder(n_layers, 6, 2, 5, norm_first).to(dtype)
    with torch.no_grad():
        for i, tensor in enumerate(encoder.parameters()):
            tensor.add_(normal(*tensor.shape, seed=i, dtype=dtype) * 0.5)
    return encoder.eval()


@test_case(
    name="one number for each block",
    points=1,
    hidden=False,
    failure_message="gradient_norms gives n_layers numbers, stream_rms one more; neither has a gradient of "
    "its own (detach). Here no norm is 0.",
)
def test_shapes(Encoder, gradient_norms, stream_rms):
    encoder, x, target = random_encoder(Encoder, 3, True), normal(4, 6, seed=0), normal(4, 6, seed=1)
    for what, found, n in [
        ("gradient_norms(encoder, x, target)", gradient_norms(encoder, x, target), 3),
        ("stream_rms(encoder, x)", stream_rms(encoder, x), 4),
    ]:
        found = check_shape(found, (n,), what=f"{what} with 3 blocks")
        assert not found.requires_grad, f"{what} must not require grad itself: detach it."
        assert (found > 0).all(), f"{what} is {found.tolist()}, but numbers above 0 were expected."


@test_case(
    name="blocks that add nothing, by hand",
    points=2,
    hidden=False,
    failure_message="If both sublayers add 0, a pre-norm stream stays (3, 4, 3, 4, 3, 4), whose mean square "
    "is 12.5. In post-norm it is normalised by the first block: 1, 1, 1.",
)
def test_hand(Encoder, stream_rms):
    x = torch.tensor([[3.0, 4.0, 3.0, 4.0, 3.0, 4.0]], dtype=torch.float64)
    for norm_first, expected in [(True, [12.5**0.5] * 4), (False, [12.5**0.5, 1, 1, 1])]:
        encoder = Encoder(3, 6, 2, 5, norm_first).double().eval()
        with torch.no_grad():
            for name, tensor in encoder.named_parameters():
                if name.endswith(("W_O", "b_O", "W_2", "b_2")):
                    tensor.zero_()
        what = (
            f"stream_rms(encoder, [[3, 4, 3, 4, 3, 4]]) with norm_first={norm_first}, where all blocks add 0,"
        )
        # eps = 1e-5 beside a variance of 1/4: 2e-5
        check_close(
            stream_rms(encoder, x), torch.tensor(expected, dtype=torch.float64), tolerance=1e-4, what=what
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
