"""q5: encoding_spectrum(encoding) -> (eigenvalues, numerical_rank)."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_int, check_raises, check_shape, check_tuple, check_unchanged

OK_FORMAT = False
name = "q5"
all_or_nothing = False
PARTS = ("eigenvalues", "numerical_rank")


def with_eigenvalues(values, n, d, dtype=torch.float64):
    """An encoding (n, d) whose Gram matrix has these eigenvalues and else zeros, with nothing diagonal about it.

    Values asked for are not close to the threshold of 1e-10 of the largest: 1e-9 counts, and 1e-12 does not. The noise
    of float64 is near 1e-16; a product taken in float32 has 1e-7, which would count.
    """
    generator = torch.Generator().manual_seed(n)
    left, right = (
        torch.linalg.qr(torch.randn(m, len(values), generator=generator, dtype=torch.float64))[0]
        for m in (n, d)
    )
    return (left * torch.tensor(values, dtype=torch.float64).sqrt() @ right.T).to(dtype)


def check_spectrum(found, eigenvalues, rank, *, what):
    """Tolerance: eigenvalues are exact to 1e-15 of the largest, so 1e-9 of the largest leaves room."""
    values, found_rank = check_tuple(found, PARTS, what=what)
    largest = max(float(eigenvalues.abs().max()), 1e-12) if len(eigenvalues) else 1.0
    check_close(values, eigenvalues, tolerance=1e-9 * largest, what=f"eigenvalues, the first part of {what},")
    check_int(found_rank, rank, what=f"numerical_rank, the second part of {what},")


@test_case(
    name="a spectrum worked out by hand",
    points=2,
    hidden=False,
    failure_message="The Gram matrix is diagonal here, with 1, 4 and 0: three eigenvalues in ascending order, two "
    "of them not 0.",
)
def test_hand(encoding_spectrum):
    encoding = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64)
    check_spectrum(encoding_spectrum(encoding), expected, 2, what="encoding_spectrum(encoding)")


@test_case(
    name="as many eigenvalues as positions",
    points=2,
    hidden=False,
    failure_message="encoding @ encoding.T is n by n, with n the number of rows; all its eigenvalues together make "
    "up the sum of all squared numbers.",
)
def test_sum(encoding_spectrum):
    encoding = torch.tensor([[3.0, 0.0, 4.0], [0.0, 5.0, 0.0]], dtype=torch.float64)
    values, rank = check_tuple(encoding_spectrum(encoding), PARTS, what="encoding_spectrum(encoding)")
    check_shape(values, (2,), what="eigenvalues, the first part of encoding_spectrum(encoding),")
    total = torch.tensor(50.0, dtype=torch.float64)
    check_close(values.sum(), total, what="the sum of the eigenvalues of encoding_spectrum(encoding)")
    check_int(rank, 2, what="numerical_rank, the second part of encoding_spectrum(encoding),")


@test_case(
    name="known spectra",
    points=2,
    hidden=True,
    failure_message="Eigenvalues in ascending order, zeros included. The rank counts those above 1e-10 times the "
    "largest: a share of the largest, not an absolute number.",
)
def test_known(encoding_spectrum):
    for values, n, d, rank in [
        ((1.0, 0.3, 1e-6), 5, 4, 3),
        ((1.0, 0.5, 1e-9), 6, 5, 3),
        ((2.0, 1.0, 1e-14), 4, 6, 2),
        ((3e-13, 2e-13, 1e-13), 3, 3, 3),
        ((1e9, 1e-3), 4, 2, 1),
    ]:
        expected = torch.zeros(n, dtype=torch.float64)
        expected[n - len(values) :] = torch.tensor(values[::-1], dtype=torch.float64)
        what = f"encoding_spectrum(encoding) with eigenvalues {values}"
        check_spectrum(encoding_spectrum(with_eigenvalues(values, n, d)), expected, rank, what=what)


@test_case(
    name="float32, and the encoding left alone",
    points=1,
    hidden=True,
    failure_message="Everything is computed in float64, from the product on, whatever the dtype of the encoding.",
)
def test_float32(encoding_spectrum):
    encoding = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    before = encoding.clone()
    expected = torch.linalg.eigvalsh(encoding.double() @ encoding.double().T)
    what = "encoding_spectrum(encoding) in float32"
    check_spectrum(encoding_spectrum(encoding), expected, 2, what=what)
    check_unchanged(before, encoding, what=f"encoding in {what}")


@test_case(
    name="zeros, no position, and what is not a matrix",
    points=1,
    hidden=True,
    failure_message="All zeros have rank 0, and so has an encoding without a row. Raise ValueError with a message "
    "unless the encoding has two dimensions.",
)
def test_edges(encoding_spectrum):
    zeros = torch.zeros(3, dtype=torch.float64)
    found = encoding_spectrum(torch.zeros(3, 4, dtype=torch.float64))
    check_spectrum(found, zeros, 0, what="encoding_spectrum(zeros of shape (3, 4))")
    found = encoding_spectrum(torch.zeros(0, 4, dtype=torch.float64))
    check_spectrum(found, zeros[:0], 0, what="encoding_spectrum(an encoding of shape (0, 4))")
    for shape in [(4,), (2, 3, 4)]:
        what = f"encoding_spectrum(encoding) with an encoding of shape {shape}"
        check_raises(ValueError, encoding_spectrum, torch.zeros(shape), what=what)
