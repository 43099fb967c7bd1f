"""q4: gate_gradient(gate_logits, expert_outputs, grad_output), judged against autograd."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "gate_gradient(gate_logits, expert_outputs, grad_output)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def by_autograd(z, outputs, grad_output):
    """What is expected. Correct float64 forms agree to 1e-14, and leaving out the off-diagonal part of the softmax
    Jacobian is wrong by more than 0.1; hence a tolerance of 1e-9, and 1e-5 in float32."""
    z = z.clone().requires_grad_()
    y = (z.softmax(-1)[..., None] * outputs).sum(-2)
    return torch.autograd.grad((y * grad_output).sum(), z)[0]


@test_case(
    name="one number for each logit",
    points=1,
    hidden=False,
    failure_message="The gradient has the shape of gate_logits.",
)
def test_shape(gate_gradient):
    found = gate_gradient(normal(5, 3, seed=0), normal(5, 3, 4, seed=1), normal(5, 4, seed=2))
    check_shape(found, (5, 3), what=CALL)


@test_case(
    name="two experts worked out by hand",
    points=3,
    hidden=False,
    failure_message="Both weights are 1/2 and y = (2, 1). For expert 0, G . (E_0 - y) = 2 - 1 = 1, times 1/2.",
)
def test_hand(gate_gradient):
    outputs = torch.tensor([[4.0, 0.0], [0.0, 2.0]]).double()
    found = gate_gradient(torch.zeros(2).double(), outputs, torch.ones(2).double())
    check_close(found, torch.tensor([0.5, -0.5]).double(), what=CALL)


@test_case(
    name="equal to autograd, with and without leading dimensions",
    points=3,
    hidden=True,
    failure_message="Every logit changes every weight: the Jacobian of the softmax is not diagonal.",
)
def test_values(gate_gradient):
    for lead, n, d in [((), 3, 4), ((5,), 4, 2), ((2, 3), 3, 3)]:
        z, outputs, grad = normal(*lead, n, seed=3), normal(*lead, n, d, seed=4), normal(*lead, d, seed=5)
        what = f"{CALL} with gate_logits of shape {tuple(z.shape)}"
        check_close(gate_gradient(z, outputs, grad), by_autograd(z, outputs, grad), what=what)


@test_case(
    name="sums and symmetries",
    points=2,
    hidden=True,
    failure_message="The gradients of a row sum to 0. If all experts give the same output, the gate does not matter "
    "and its gradient is 0.",
)
def test_proof(gate_gradient):
    z, outputs, grad = normal(5, 4, seed=6), 10 * normal(5, 4, 3, seed=7), normal(5, 3, seed=8)
    found = check_shape(gate_gradient(z, outputs, grad), (5, 4), what=CALL)
    check_close(found.sum(-1), torch.zeros(5).double(), what=f"the sum over experts of {CALL}")
    shifted = gate_gradient(z + 5.0, outputs, grad)
    check_close(shifted, by_autograd(z, outputs, grad), what=f"{CALL} with 5 added to all logits")
    same = outputs[:, :1].expand(5, 4, 3).clone()
    what = f"{CALL} with equal experts"
    check_close(gate_gradient(z, same, grad), torch.zeros(5, 4).double(), what=what)


@test_case(
    name="float32 and large logits",
    points=1,
    hidden=True,
    failure_message="The result has the dtype of the logits and is finite at logits of +-150.",
)
def test_float32(gate_gradient):
    z, outputs, grad = (
        t.float() for t in (normal(5, 3, seed=9), normal(5, 3, 4, seed=10), normal(5, 4, seed=11))
    )
    expected = by_autograd(z, outputs, grad)
    check_close(gate_gradient(z, outputs, grad), expected, tolerance=1e-5, what=f"{CALL} in float32")
    large = torch.tensor([[150.0, 149.0, -150.0]])
    expected = by_autograd(large, outputs[:1], grad[:1])
    # a logit of 150 is rounded by 1e-5
    found = gate_gradient(large, outputs[:1], grad[:1])
    check_close(found, expected, tolerance=1e-4, what=f"{CALL} with logits of +-150")


@test_case(
    name="arguments left alone, rows by themselves, sizes of 1 and 0",
    points=1,
    hidden=True,
    failure_message="Return a new tensor; rows are independent; one expert alone always has the weight 1.",
)
def test_sizes(gate_gradient):
    z, outputs, grad = normal(5, 3, seed=12), normal(5, 3, 4, seed=13), normal(5, 4, seed=14)
    copies = z.clone(), outputs.clone(), grad.clone()
    whole = check_shape(gate_gradient(z, outputs, grad), (5, 3), what=CALL)
    names = ("gate_logits", "expert_outputs", "grad_output")
    for label, before, after in zip(names, copies, (z, outputs, grad), strict=True):
        check_unchanged(before, after, what=f"{label} in {CALL}")
    check_close(gate_gradient(z[2], outputs[2], grad[2]), whole[2], what=f"{CALL} of one row alone")
    check_shape(gate_gradient(z[:0], outputs[:0], grad[:0]), (0, 3), what=f"{CALL} with no rows")
    one = gate_gradient(z[:, :1], outputs[:, :1], grad)
    check_close(one, torch.zeros(5, 1).double(), what=f"{CALL} with one expert")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: each logit needs one output, and grad_output is shaped like y.",
)
def test_bad_arguments(gate_gradient):
    z, outputs, grad = normal(5, 3, seed=15), normal(5, 3, 4, seed=16), normal(5, 4, seed=17)
    check_shape(gate_gradient(z, outputs, grad), (5, 3), what=f"{CALL} with arguments that fit")
    check_raises(
        ValueError, gate_gradient, z[:, :2], outputs, grad, what=f"{CALL} with 2 logits and 3 outputs"
    )
    check_raises(
        ValueError, gate_gradient, z, outputs, grad[:, :3], what=f"{CALL} with a grad_output too short"
    )
    check_raises(
        ValueError, gate_gradient, z, outputs, grad[:1], what=f"{CALL} with 5 rows and a (1, 4) grad_output"
    )
    check_raises(
        ValueError,
        gate_gradient,
        z[0, 0],
        outputs[0, 0],
        grad[0],
        what=f"{CALL} with a single number as logits",
    )
