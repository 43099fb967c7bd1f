"""q1: lorenz_rhs(state, sigma=10, rho=28, beta=8/3), against the equations written out again."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q1"
all_or_nothing = False
CALL = "lorenz_rhs(state)"


def states(*shape, seed, dtype=torch.float64):
    return 10 * torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(state, sigma=10.0, rho=28.0, beta=8 / 3):
    """The equations; correct float64 forms differ by rounding, at most 1e-12 at these sizes, so 1e-9 is allowed."""
    x, y, z = state[..., 0], state[..., 1], state[..., 2]
    return torch.stack([sigma * (y - x), x * (rho - z) - y, x * y - beta * z], -1)


@test_case(
    name="the example by hand",
    points=2,
    hidden=False,
    failure_message="At (1, 2, 3): dx/dt = 10 (2 - 1), dy/dt = 1 (28 - 3) - 2, dz/dt = 1 * 2 - 8/3 * 3.",
)
def test_hand(lorenz_rhs):
    expected = torch.tensor([10.0, 23.0, -6.0], dtype=torch.float64)
    check_close(lorenz_rhs(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)), expected, what=CALL)


@test_case(
    name="many systems side by side",
    points=1,
    hidden=False,
    failure_message="x, y and z are in the last dimension: state[..., 0], state[..., 1], state[..., 2]. Put the three "
    "derivatives back together with torch.stack(..., dim=-1).",
)
def test_shape(lorenz_rhs):
    state = torch.ones(4, 2, 3)
    found = check_shape(lorenz_rhs(state), (4, 2, 3), what=f"{CALL} with a state of shape (4, 2, 3)")
    assert found.dtype == torch.float32, f"{CALL} has dtype {found.dtype}, but torch.float32 was expected."


@test_case(
    name="values and other parameters",
    points=2,
    hidden=True,
    failure_message="Compare each of the three lines with the equations: signs, and which parameter stands where.",
)
def test_values(lorenz_rhs):
    state = states(5, 4, seed=1)
    check_close(lorenz_rhs(state), oracle(state), what=CALL)
    what = "lorenz_rhs(state, sigma=3.0, rho=5.0, beta=0.5)"
    check_close(lorenz_rhs(state, sigma=3.0, rho=5.0, beta=0.5), oracle(state, 3.0, 5.0, 0.5), what=what)
    check_close(
        lorenz_rhs(state, 3.0, 5.0, 0.5), oracle(state, 3.0, 5.0, 0.5), what="lorenz_rhs(state, 3, 5, 0.5)"
    )
    empty = states(0, seed=1)
    check_shape(lorenz_rhs(empty), (0, 3), what=f"{CALL} with a state of shape (0, 3)")


@test_case(
    name="points of rest, and how volumes shrink",
    points=2,
    hidden=True,
    failure_message="Nothing moves at the origin and in the eyes of the two wings, and the trace of the Jacobian is "
    "-(sigma + 1 + beta) everywhere.",
)
def test_structure(lorenz_rhs):
    eye = (8 / 3 * 27) ** 0.5
    rest = torch.tensor([[0.0, 0.0, 0.0], [eye, eye, 27.0], [-eye, -eye, 27.0]], dtype=torch.float64)
    check_close(lorenz_rhs(rest), torch.zeros_like(rest), what=f"{CALL} where nothing moves")
    state = states(2, seed=2).requires_grad_()
    expected = oracle(state)
    check_gradients(lorenz_rhs(state), expected, {"state": state}, what=CALL)


@test_case(
    name="float32; the state is left alone; wrong shapes",
    points=1,
    hidden=True,
    failure_message="Return a new tensor of the dtype of the state; a state whose last dimension is not 3 raises "
    "ValueError.",
)
def test_care(lorenz_rhs):
    state = states(6, seed=3, dtype=torch.float32)
    before = state.clone()
    # products of up to 700, rounded to 7 digits
    check_close(lorenz_rhs(state), oracle(state), tolerance=1e-3, what=f"{CALL} in float32")
    check_unchanged(before, state, what=f"state in {CALL}")
    check_raises(ValueError, lorenz_rhs, torch.ones(3, 2), what=f"{CALL} with a state of shape (3, 2)")
