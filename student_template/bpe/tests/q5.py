"""q5: embedding_pca(embeddings, n_components=2) -> (n, n_components), the sign of each column free."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q5"
all_or_nothing = False
CALL = "embedding_pca(embeddings)"
HAND = [[3.0, 1.0], [-3.0, 1.0], [0.0, 3.0], [0.0, -1.0]]


def cloud(n, d, *, seed, dtype=torch.float64):
    """Points whose spread is 8, 4, 2, 1, ... along the axes of a random frame, around a centre far from 0."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(d, d, generator=generator, dtype=torch.float64))[0]
    spread = 8.0 * 0.5 ** torch.arange(d, dtype=torch.float64)
    points = torch.randn(n, d, generator=generator, dtype=torch.float64) * spread
    return (points @ frame + 5.0).to(dtype)


def signed_like(found, expected):
    """The columns of `found`, each with the sign that brings it nearer to `expected`."""
    flipped = (found - expected).norm(dim=0) > (found + expected).norm(dim=0)
    return torch.where(flipped, -found, found)


def check_coordinates(found, expected, *, tolerance=1e-8, what):
    """check_close, where the sign of each column is free."""
    found = check_shape(found, expected.shape, what=what)
    check_dtype(found, expected.dtype, what=what)
    check_close(
        signed_like(found.detach(), expected), expected, tolerance=tolerance, what=f"{what}, up to signs,"
    )


@test_case(
    name="shape, dtype and columns that are centred",
    points=2,
    hidden=False,
    failure_message="One row for each embedding, n_components columns. Subtract the mean row first: then each "
    "column has the mean 0.",
)
def test_shape(embedding_pca):
    found = check_shape(embedding_pca(cloud(7, 5, seed=0)), (7, 2), what=CALL)
    check_dtype(found, torch.float64, what=CALL)
    check_close(
        found.mean(0), torch.zeros(2).double(), tolerance=1e-8, what=f"the mean of the columns of {CALL}"
    )


@test_case(
    name="four points by hand",
    points=2,
    hidden=False,
    failure_message="Centred, the points are (3, 0), (-3, 0), (0, 2), (0, -2): their own principal axes, the longer "
    "one first. U alone is not enough: the singular values belong to it.",
)
def test_hand(embedding_pca):
    expected = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    # one subtraction and a 2 x 2 decomposition in float32
    check_coordinates(
        embedding_pca(torch.tensor(HAND)), expected, tolerance=1e-5, what="embedding_pca(the four points)"
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
