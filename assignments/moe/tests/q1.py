"""q1: gate(x, W_g, top_k=None) -> (..., n_experts)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q1"
all_or_nothing = False
CALL = "gate(x, W_g)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def oracle(x, W_g, top_k):
    """What is expected: the softmax over the kept logits alone. It differs from renormalised probabilities by 1.7e-16
    (measured); not renormalising is off by more than 0.1. Hence 1e-9 in float64, and 1e-5 in float32."""
    logits = x @ W_g
    kept = logits.topk(top_k, -1).indices
    masked = torch.full_like(logits, -math.inf).scatter(-1, kept, logits.gather(-1, kept))
    return masked.softmax(-1)


@test_case(
    name="shape, dtype and rows that sum to 1",
    points=2,
    hidden=False,
    failure_message="The logits are x @ W_g, and each row of them (the last dimension) gets its own softmax.",
)
def test_shape(gate):
    x, W_g = normal(5, 3, seed=0, dtype=torch.float32), normal(3, 4, seed=1, dtype=torch.float32)
    weights = check_shape(gate(x, W_g), (5, 4), what=CALL)
    check_close(weights.sum(-1), torch.ones(5), tolerance=1e-5, what=f"the sum of each row of {CALL}")


@test_case(
    name="three experts worked out by hand",
    points=2,
    hidden=False,
    failure_message="The logits are ln 6, ln 3 and 0, so the exponentials are 6, 3 and 1: divide them by 10.",
)
def test_hand(gate):
    x, W_g = torch.tensor([1.0, 2.0]).double(), torch.zeros(2, 3).double()
    W_g[0] = torch.tensor([math.log(6), math.log(3), 0.0])
    check_close(gate(x, W_g), torch.tensor([0.6, 0.3, 0.1]).double(), tolerance=1e-6, what=CALL)


@test_case(
    name="two of three experts kept",
    points=2,
    hidden=False,
    failure_message="Of 0.6, 0.3 and 0.1 the first two are kept. Divide them by their sum, 0.9; the third is 0.",
)
def test_hand_top_k(gate):
    x, W_g = torch.tensor([1.0, 2.0]).double(), torch.zeros(2, 3).double()
    W_g[0] = torch.tensor([math.log(6), math.log(3), 0.0])
    expected = torch.tensor([2 / 3, 1 / 3, 0.0]).double()
    check_close(gate(x, W_g, 2), expected, tolerance=1e-6, what="gate(x, W_g, top_k=2)")


@test_case(
    name="values for every top_k, with leading dimensions",
    points=2,
    hidden=True,
    failure_message="Leading dimensions are a stack of rows. top_k = n_experts changes nothing.",
)
def test_values(gate):
    W_g = normal(3, 5, seed=2)
    for lead in [(), (4,), (2, 3)]:
        x = normal(*lead, 3, seed=3)
        check_close(gate(x, W_g), (x @ W_g).softmax(-1), what=f"{CALL} with x of shape {tuple(x.shape)}")
        for top_k in (1, 2, 5):
            what = f"gate(x, W_g, top_k={top_k}) with x of shape {tuple(x.shape)}"
            check_close(gate(x, W_g, top_k), oracle(x, W_g, top_k), what=what)


@test_case(
    name="equal probabilities",
    points=2,
    hidden=True,
    failure_message="Exactly top_k experts keep a weight, also where several are equal: choose by index, "
    "not by comparing values with the k-th largest.",
)
def test_ties(gate):
    x, W_g = torch.ones(4, 2).double(), torch.zeros(2, 5).double()
    W_g[:, 4] = -1.0
    for top_k in (1, 2, 3):
        what = f"gate(x, W_g, top_k={top_k}) with equal logits"
        weights = check_shape(gate(x, W_g, top_k), (4, 5), what=what)
        ordered = weights.sort(-1, descending=True).values
        expected = (torch.arange(5) < top_k).double().expand(4, 5) / top_k
        check_close(ordered, expected, what=f"{what}, sorted,")
        assert not weights[:, 4].any(), f"{what} keeps an expert whose logit is smaller than the others."


@test_case(
    name="gradients",
    points=2,
    hidden=True,
    failure_message="The weights are differentiable with respect to x and W_g. With top_k = 1 the gradient is "
    "exactly 0; otherwise nothing on the way may be detached.",
)
def test_gradients(gate):
    x, W_g = normal(4, 3, seed=4).requires_grad_(), normal(3, 5, seed=5).requires_grad_()
    inputs = {"x": x, "W_g": W_g}
    check_gradients(gate(x, W_g), (x @ W_g).softmax(-1), inputs, what=CALL)
    check_gradients(gate(x, W_g, 2), oracle(x, W_g, 2), inputs, what="gate(x, W_g, top_k=2)")


@test_case(
    name="float32, large logits, no rows, one expert; arguments left alone",
    points=1,
    hidden=True,
    failure_message="Logits of 150 overflow in exp unless the largest is subtracted first (torch.softmax does). "
    "Rows are independent, there may be none, and a single expert gets the weight 1.",
)
def test_float32_and_sizes(gate):
    x, W_g = normal(4, 3, seed=6, dtype=torch.float32), normal(3, 5, seed=7, dtype=torch.float32)
    before = x.clone(), W_g.clone()
    found = gate(x, W_g, 2)
    check_unchanged(before[0], x, what=f"x in {CALL}")
    check_unchanged(before[1], W_g, what=f"W_g in {CALL}")
    check_close(found, oracle(x, W_g, 2), tolerance=1e-5, what=f"{CALL} in float32")
    check_close(gate(x[1], W_g, 2), found[1], tolerance=1e-5, what=f"{CALL} of one row alone")
    large = torch.tensor([[150.0, 149.0, -150.0]])
    for top_k in (None, 2):
        found = gate(large, torch.eye(3), top_k)
        # logits of 150 are rounded by 1e-5 in float32, which moves a weight by less than that
        check_close(
            found, large.softmax(-1), tolerance=1e-4, what=f"gate(x, W_g, {top_k}) with logits of +-150"
        )
    check_shape(gate(x[:0], W_g), (0, 5), what=f"{CALL} with no rows")
    check_close(gate(x, W_g[:, :1]), torch.ones(4, 1), tolerance=1e-6, what=f"{CALL} with one expert")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when top_k is not between 1 and n_experts or shapes do not fit.",
)
def test_bad_arguments(gate):
    x, W_g = normal(4, 3, seed=8), normal(3, 5, seed=9)
    check_shape(gate(x, W_g), (4, 5), what=f"{CALL} with arguments that fit")
    for top_k in (0, 6, -1):
        check_raises(ValueError, gate, x, W_g, top_k, what=f"gate(x, W_g, top_k={top_k}) with 5 experts")
    check_raises(ValueError, gate, x, W_g[:2], what=f"{CALL} with x (4, 3) and W_g (2, 5)")
    check_raises(ValueError, gate, x, W_g[0], what=f"{CALL} with x (4, 3) and W_g (5,)")
    check_raises(ValueError, gate, x, W_g[:, 0], what=f"{CALL} with x (4, 3) and W_g (3,)")
    check_raises(ValueError, gate, x, W_g.expand(3, 3, 5), what=f"{CALL} with x (4, 3) and W_g (3, 3, 5)")
    check_raises(ValueError, gate, x, W_g[:, :0], what=f"{CALL} with x (4, 3) and W_g (3, 0)")
    check_raises(ValueError, gate, x[0, 0], W_g[:1], what=f"{CALL} with an x without dimensions")
