"""q2: center(x), to_sphere(x) and layer_norm_jacobian(x): LayerNorm as a projection and a scaling."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q2"
all_or_nothing = False
# Correct forms differ by rounding only, below 1e-14 in float64 and 1e-6 in float32.


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@test_case(
    name="the two steps by hand",
    points=2,
    hidden=False,
    failure_message="(7, 2, 2, 2, 2) has the mean 3, so what is orthogonal to (1, 1, 1, 1, 1) is (4, -1, "
    "-1, -1, -1). Its length is sqrt(20), and half of it has the length sqrt(5), for d = 5.",
)
def test_hand(center, to_sphere):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    centred = torch.tensor([4.0, -1.0, -1.0, -1.0, -1.0], dtype=torch.float64)
    check_close(center(x), centred, what="center([7, 2, 2, 2, 2])")
    check_close(to_sphere(centred), centred / 2, what="to_sphere([4, -1, -1, -1, -1])")


@test_case(
    name="the Jacobian by hand",
    points=2,
    hidden=False,
    failure_message="With c = (4, -1, -1, -1, -1): 1/2 (I - 1 1^T / 5 - c c^T / 20). The first row is 0, "
    "and the second is (0, 3, -1, -1, -1) / 8.",
)
def test_jacobian_by_hand(layer_norm_jacobian):
    x = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0], dtype=torch.float64)
    expected = torch.zeros(5, 5, dtype=torch.float64)
    expected[1:, 1:] = torch.eye(4, dtype=torch.float64) / 2 - 1 / 8
    check_close(layer_norm_jacobian(x), expected, what="layer_norm_jacobian([7, 2, 2, 2, 2])")


@test_case(
    name="center is the orthogonal projection",
    points=1,
    hidden=True,
    failure_message="The result is orthogonal to (1, ..., 1), and so is nothing of what was taken away: x - "
    "center(x) is a multiple of (1, ..., 1), vector by vector.",
)
def test_projection(center):
    for shape in [(6,), (4, 6), (2, 3, 6), (3, 3)]:
        x, what = normal(*shape, seed=0) + 1, f"center(x) with x of shape {shape}"
        d = shape[-1]
        projection = torch.eye(d, dtype=x.dtype) - torch.ones(d, d, dtype=x.dtype) / d
        check_close(center(x), x @ projection, what=what)
    again = center(center(x))
    check_close(again, center(x), what="center(center(x)), which is center(x),")


@test_case(
    name="to_sphere keeps the direction and sets the length",
    points=1,
    hidden=True,
    failure_message="Every vector by itself gets the length sqrt(d), with its direction kept. It is not "
    "centred here, and a vector of zeros stays zero, never NaN.",
)
def test_sphere(to_sphere):
    for shape in [(6,), (4, 6), (2, 3, 6)]:
        x, what = normal(*shape, seed=1) * 3 + 1, f"to_sphere(x) with x of shape {shape}"
        expected = math.sqrt(6) * x / x.square().sum(-1, keepdim=True).sqrt()
        check_close(to_sphere(x), expected, what=what)
    x = torch.tensor([[0.0, 0.0, 0.0], [0.0, 5.0, 0.0]], dtype=torch.float64)
    expected = torch.tensor([[0.0, 0.0, 0.0], [0.0, math.sqrt(3), 0.0]], dtype=torch.float64)
    check_close(to_sphere(x), expected, what="to_sphere([[0, 0, 0], [0, 5, 0]])")


@test_case(
    name="one after the other they are LayerNorm",
    points=1,
    hidden=True,
    failure_message="With eps = 0 and without weight and bias, LayerNorm is to_sphere(center(x)): the proof "
    "that it is a projection and a scaling, executed.",
)
def test_composition(center, to_sphere):
    x = normal(5, 8, seed=2) * 2 - 3
    what = "to_sphere(center(x))"
    check_close(to_sphere(center(x)), F.layer_norm(x, (8,), eps=0.0), what=what)
    stretched = to_sphere(center(3 * x + 7))
    check_close(
        stretched, F.layer_norm(x, (8,), eps=0.0), what="to_sphere(center(3 x + 7)), which is the same,"
    )


@test_case(
    name="the Jacobian equals autograd's",
    points=1,
    hidden=True,
    failure_message="sqrt(d) / |c| times (P - u u^T): the centring P, the term along u, and the factor all "
    "belong to it. One matrix (d, d) for each vector.",
)
def test_jacobian(layer_norm_jacobian):
    for shape in [(6,), (4, 6), (2, 3, 2)]:
        x, d = normal(*shape, seed=3) * 2 + 1, shape[-1]
        leaf = x.clone().requires_grad_()
        y = F.layer_norm(leaf, (d,), eps=0.0)
        rows = [torch.autograd.grad(y[..., i].sum(), leaf, retain_graph=True)[0] for i in range(d)]
        what = f"layer_norm_jacobian(x) with x of shape {shape}"
        check_close(layer_norm_jacobian(x), torch.stack(rows, -2), what=what)


@test_case(
    name="the Jacobian kills what LayerNorm forgets, and nothing else",
    points=1,
    hidden=True,
    failure_message="J 1 = 0 and J c = 0, for neither a shift nor a stretch of x changes the result; all "
    "other directions are scaled by sqrt(d) / |c|.",
)
def test_null_space(layer_norm_jacobian):
    x = normal(7, seed=4)
    centred = x - x.mean()
    scale = math.sqrt(7) / centred.square().sum().sqrt()
    found = check_shape(layer_norm_jacobian(x), (7, 7), what="layer_norm_jacobian(x)")
    zero = torch.zeros(7, dtype=x.dtype)
    check_close(found @ torch.ones(7, dtype=x.dtype), zero, what="layer_norm_jacobian(x) @ (1, ..., 1)")
    check_close(found @ centred, zero, what="layer_norm_jacobian(x) @ c")
    singular = torch.linalg.svdvals(found)
    expected = torch.cat([scale.expand(5), zero[:2]])
    check_close(singular, expected, what="the singular values of layer_norm_jacobian(x) with d = 7")


@test_case(
    name="float32 and d = 1; arguments that do not fit; nothing is changed",
    points=1,
    hidden=True,
    failure_message="dtype follows x. Raise ValueError with a message for an x without a last dimension of "
    "at least 1, and in layer_norm_jacobian also for a constant vector: there is no derivative.",
)
def test_bad_arguments(center, to_sphere, layer_norm_jacobian):
    x = normal(3, 4, seed=5, dtype=torch.float32)
    before, centred = x.clone(), x - x.mean(-1, keepdim=True)
    on_sphere = 2 * x / x.square().sum(-1, keepdim=True).sqrt()
    check_close(center(x), centred, tolerance=1e-5, what="center(x) in float32")
    check_close(to_sphere(x), on_sphere, tolerance=1e-5, what="to_sphere(x) in float32")
    found = check_shape(layer_norm_jacobian(x), (3, 4, 4), what="layer_norm_jacobian(x)")
    check_close(
        found.sum(-1), torch.zeros(3, 4), tolerance=1e-4, what="rows of layer_norm_jacobian(x) in float32"
    )
    check_unchanged(before, x, what="x")
    check_close(center(x[:, :1]), torch.zeros(3, 1), tolerance=1e-6, what="center(x) with d = 1")
    check_close(to_sphere(x[:, :1]), x[:, :1].sign(), tolerance=1e-5, what="to_sphere(x) with d = 1")
    for label, function in [
        ("center", center),
        ("to_sphere", to_sphere),
        ("layer_norm_jacobian", layer_norm_jacobian),
    ]:
        for empty in (torch.tensor(1.0), torch.empty(2, 0)):
            check_raises(ValueError, function, empty, what=f"{label}(x) with x of shape {tuple(empty.shape)}")
    constant = torch.stack([torch.arange(4.0), torch.full((4,), 3.0)])
    check_raises(
        ValueError, layer_norm_jacobian, constant, what="layer_norm_jacobian([[0, 1, 2, 3], [3, 3, 3, 3]])"
    )
