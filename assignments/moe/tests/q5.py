"""q5: load_balancing_loss(gate_probabilities, assignments)."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q5"
all_or_nothing = False
CALL = "load_balancing_loss(gate_probabilities, assignments)"


def probabilities(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype).softmax(-1)


def oracle(p, assignments):
    """n * sum f P with f from comparisons. Sums of fewer than 50 numbers of order 1: float64 forms agree to 1e-15,
    float32 forms to 1e-6, hence 1e-9 and 1e-5. Without the factor n the loss is off by 0.5 and more."""
    n = p.shape[-1]
    f = torch.stack([(assignments == e).to(p.dtype).mean() for e in range(n)])
    return n * (f * p.reshape(-1, n).mean(0)).sum()


@test_case(
    name="even use costs 1",
    points=2,
    hidden=False,
    failure_message="With f = P = 1/n for all n experts, n * sum of f * P is n * n * 1/n * 1/n = 1. The result is one "
    "number, a 0-d tensor.",
)
def test_even(load_balancing_loss):
    p, assignments = torch.full((8, 4), 0.25).double(), torch.arange(8) % 4
    check_close(load_balancing_loss(p, assignments), torch.tensor(1.0).double(), what=CALL)


@test_case(
    name="four tokens worked out by hand",
    points=2,
    hidden=False,
    failure_message="f = (3/4, 1/4) and P = (0.65, 0.35), so the loss is 2 * (0.4875 + 0.0875) = 1.15.",
)
def test_hand(load_balancing_loss):
    p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]], dtype=torch.float64)
    found = load_balancing_loss(p, torch.tensor([0, 0, 0, 1]))
    check_close(found, torch.tensor(1.15, dtype=torch.float64), what=CALL)


@test_case(
    name="values: idle experts, other assignments, leading dimensions",
    points=2,
    hidden=True,
    failure_message="f counts assignments as they are given, also where they are not the largest probability. An "
    "expert without tokens has f = 0. All leading dimensions are tokens of one batch.",
)
def test_values(load_balancing_loss):
    for shape, picks in [((5, 4), [0, 2, 2, 1, 2]), ((2, 3, 5), [[0, 1, 1], [3, 3, 0]]), ((6, 3), [2] * 6)]:
        p, assignments = probabilities(*shape, seed=0), torch.tensor(picks)
        found = load_balancing_loss(p, assignments)
        check_close(found, oracle(p, assignments), what=f"{CALL} with probabilities of shape {shape}")
    certain = torch.eye(3, dtype=torch.float64)[torch.tensor([1, 1, 1])]
    found = load_balancing_loss(certain, torch.tensor([1, 1, 1]))
    check_close(found, torch.tensor(3.0).double(), what=f"{CALL} where one of 3 experts takes everything")


@test_case(
    name="gradient",
    points=2,
    hidden=True,
    failure_message="f is a constant, and the gradient flows through P: nothing there may be detached.",
)
def test_gradient(load_balancing_loss):
    p, assignments = probabilities(6, 4, seed=1).requires_grad_(), torch.tensor([0, 2, 2, 1, 2, 0])
    inputs = {"gate_probabilities": p}
    check_gradients(load_balancing_loss(p, assignments), oracle(p, assignments), inputs, what=CALL)


@test_case(
    name="float32, one token, one expert; arguments left alone",
    points=1,
    hidden=True,
    failure_message="The result has the dtype of the probabilities; nothing is changed in place.",
)
def test_float32_and_sizes(load_balancing_loss):
    p, assignments = probabilities(6, 4, seed=2, dtype=torch.float32), torch.tensor([0, 2, 2, 1, 2, 0])
    before = p.clone(), assignments.clone()
    found = load_balancing_loss(p, assignments)
    check_unchanged(before[0], p, what=f"gate_probabilities in {CALL}")
    check_unchanged(before[1].double(), assignments.double(), what=f"assignments in {CALL}")
    check_close(found, oracle(p, assignments), tolerance=1e-5, what=f"{CALL} in float32")
    one = load_balancing_loss(p[:1], assignments[:1])
    check_close(one, 4 * p[0, 0], tolerance=1e-5, what=f"{CALL} with one token")
    one = load_balancing_loss(p[0], assignments[0])
    check_close(one, 4 * p[0, 0], tolerance=1e-5, what=f"{CALL} with one token and no leading dimension")
    single = load_balancing_loss(torch.ones(3, 1), torch.zeros(3, dtype=torch.long))
    check_close(single, torch.tensor(1.0), tolerance=1e-5, what=f"{CALL} with one expert")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: one int64 index a token, from 0 to n_experts - 1, and at least "
    "one token.",
)
def test_bad_arguments(load_balancing_loss):
    p, good, loss = probabilities(3, 2, seed=3), torch.tensor([0, 1, 0]), load_balancing_loss
    check_shape(loss(p, good), (), what=f"{CALL} with arguments that fit")
    check_raises(ValueError, loss, p, good.double(), what=f"{CALL} with assignments of type float64")
    check_raises(ValueError, loss, p, good[:2], what=f"{CALL} with 3 tokens and 2 assignments")
    check_raises(ValueError, loss, p, torch.tensor([0, 2, 0]), what=f"{CALL} with 2 experts and the index 2")
    check_raises(ValueError, loss, p, torch.tensor([0, -1, 0]), what=f"{CALL} with the index -1")
    check_raises(ValueError, loss, p[:0], good[:0], what=f"{CALL} with no token")
