"""q5: embedding_pca(embeddings, n_components=2) -> (n, n_components), the sign of each column free."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_dtype, check_raises, check_shape, check_unchanged

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


def oracle(embeddings, n_components):
    """What is expected, up to signs: the centred rows along the eigenvectors of their covariance, largest first.

    Four right ways (U S, C V, eigenvectors of C^T C or of C C^T) differ from it by 2e-14 in float64 and by 7e-6 in
    float32 (measured with these clouds); the mildest wrong one of misconceptions.py by 2.8.
    """
    centred = embeddings.double() - embeddings.double().mean(0)
    axes = torch.linalg.eigh(centred.T @ centred).eigenvectors.flip(-1)
    return (centred @ axes)[:, :n_components].to(embeddings.dtype)


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


@test_case(
    name="values for every number of components",
    points=3,
    hidden=True,
    failure_message="The columns are the centred rows along the axes of largest variance, that of the largest "
    "first, neither whitened nor divided by anything.",
)
def test_values(embedding_pca):
    for n, d, seed in ((12, 4, 1), (4, 6, 2), (40, 3, 3)):
        embeddings = cloud(n, d, seed=seed)
        for n_components in {1, 2, 3, min(n - 1, d)}:
            what = f"embedding_pca({n} rows of {d} numbers, {n_components})"
            expected = oracle(embeddings, n_components)
            check_coordinates(embedding_pca(embeddings.clone(), n_components), expected, what=what)


@test_case(
    name="float32; one row, one column; embeddings left alone",
    points=1,
    hidden=True,
    failure_message="The dtype is that of the embeddings. A single row is its own mean, so its coordinates are 0. "
    "The argument must not be changed.",
)
def test_sizes(embedding_pca):
    embeddings = cloud(10, 4, seed=4, dtype=torch.float32)
    before = embeddings.clone()
    found = embedding_pca(embeddings, 3)
    check_unchanged(before, embeddings, what=f"embeddings in {CALL}")
    check_coordinates(found, oracle(embeddings, 3), tolerance=1e-4, what=f"{CALL} in float32")
    check_coordinates(
        embedding_pca(cloud(1, 3, seed=5), 1), torch.zeros(1, 1).double(), what=f"{CALL} of one row"
    )
    column = torch.tensor([[1.0], [4.0], [7.0]]).double()
    check_coordinates(embedding_pca(column, 1), column - 4.0, what=f"{CALL} of one column")
    equal = torch.full((5, 3), 2.5).double()
    check_coordinates(embedding_pca(equal), torch.zeros(5, 2).double(), what=f"{CALL} of equal rows")


@test_case(
    name="arguments that do not fit",
    points=2,
    hidden=True,
    failure_message="Raise ValueError with a message unless embeddings has two dimensions and n_components is "
    "between 1 and the smaller of its sizes.",
)
def test_bad_arguments(embedding_pca):
    embeddings = cloud(5, 3, seed=6)
    check_shape(embedding_pca(embeddings, 3), (5, 3), what="embedding_pca(5 rows of 3 numbers, 3)")
    for n_components in (0, -1, 4):
        what = f"embedding_pca(5 rows of 3 numbers, {n_components})"
        check_raises(ValueError, embedding_pca, embeddings, n_components, what=what)
    check_raises(ValueError, embedding_pca, embeddings[:2], 3, what="embedding_pca(2 rows of 3 numbers, 3)")
    check_raises(ValueError, embedding_pca, embeddings[0], 1, what="embedding_pca of a single dimension")
    check_raises(
        ValueError, embedding_pca, embeddings.reshape(5, 3, 1), 1, what="embedding_pca of three dimensions"
    )
