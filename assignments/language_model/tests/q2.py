"""q2: perplexity(logits, targets, mask=None)."""

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import check_close, check_gradients, check_raises, check_unchanged

OK_FORMAT = False
name = "q2"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def example(*shape, symbols, seed, dtype=torch.float64):
    """Logits, targets, and a mask of which at least one entry is True."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(shape, generator=generator) < 0.6
    mask.view(-1)[0] = True
    return (
        normal(*shape, symbols, seed=seed, dtype=dtype),
        torch.randint(symbols, shape, generator=generator),
        mask,
    )


def oracle(logits, targets, mask):
    """PyTorch's own cross-entropy over what counts. Correct float64 forms differ by rounding: 1e-9 is far from that."""
    return F.cross_entropy(logits[mask], targets[mask]).exp()


@test_case(
    name="a model that knows nothing",
    points=1,
    hidden=False,
    failure_message="Equal logits make all V symbols equally likely: each has the probability 1/V, so the "
    "perplexity is V. The result is a tensor without dimensions.",
)
def test_uniform(perplexity):
    targets = torch.tensor([[0, 3, 6], [1, 1, 2]])
    found = perplexity(torch.zeros(2, 3, 7, dtype=torch.float64), targets)
    check_close(
        found, torch.tensor(7.0, dtype=torch.float64), what="perplexity of equal logits for 7 symbols"
    )


@test_case(
    name="two symbols worked out by hand",
    points=1,
    hidden=False,
    failure_message="The probabilities are 1/2 and 1/8. The mean of ln 2 and ln 8 is 2 ln 2, and exp(2 ln 2) = 4."
    " Logits are not probabilities yet, and the logarithm is the natural one.",
)
def test_hand(perplexity):
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 5.0, 1.0, 1.0]], dtype=torch.float64).log()
    found = perplexity(logits, torch.tensor([0, 2]))
    check_close(found, torch.tensor(4.0, dtype=torch.float64), what="perplexity(logits, targets)")


@test_case(
    name="what is not counted",
    points=2,
    hidden=False,
    failure_message="mask is True where a symbol counts. The two that count have the probabilities 1/2 and 1/8, "
    "as before; the mean is over two symbols, however many there are in all.",
)
def test_mask(perplexity):
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 5.0, 1.0, 1.0]], dtype=torch.float64).log()
    logits = torch.stack([logits, torch.zeros(2, 4, dtype=torch.float64)])
    logits[1, 0] = torch.tensor([0.0, 9.0, 0.0, 0.0])
    mask = torch.tensor([[True, True], [False, False]])
    found = perplexity(logits, torch.tensor([[0, 2], [3, 1]]), mask)
    check_close(found, torch.tensor(4.0, dtype=torch.float64), what="perplexity(logits, targets, mask)")


@test_case(
    name="values, with and without leading dimensions",
    points=1,
    hidden=True,
    failure_message="The last dimension of the logits is the vocabulary; all others count symbols, however many "
    "dimensions there are.",
)
def test_values(perplexity):
    for shape in [(5,), (3, 4), (2, 3, 4), ()]:
        logits, targets, mask = example(*shape, symbols=6, seed=1)
        what = f"perplexity(logits, targets, mask) with targets of shape {shape}"
        check_close(perplexity(logits, targets, mask), oracle(logits, targets, mask), what=what)
        everything = torch.ones(shape, dtype=torch.bool)
        what = f"perplexity(logits, targets) with targets of shape {shape}"
        check_close(perplexity(logits, targets), oracle(logits, targets, everything), what=what)


@test_case(
    name="texts of different length",
    points=1,
    hidden=True,
    failure_message="One mean over all counted symbols of the batch, and one exp at the end: no mean for each "
    "text, and no mean of exponentials.",
)
def test_pooled(perplexity):
    logits, targets, _ = example(3, 5, symbols=8, seed=2)
    mask = torch.arange(5) < torch.tensor([[1], [5], [3]])
    expected = oracle(3 * logits, targets, mask)
    check_close(
        perplexity(3 * logits, targets, mask), expected, what="perplexity of texts with 1, 5 and 3 symbols"
    )


@test_case(
    name="gradients",
    points=1,
    hidden=True,
    failure_message="The result must be differentiable with respect to the logits, for it may serve as a loss: no"
    " .item() and no .detach() on the way. What is not counted gets the gradient 0.",
)
def test_gradients(perplexity):
    logits, targets, mask = example(3, 4, symbols=5, seed=3)
    logits.requires_grad_()
    found, expected = perplexity(logits, targets, mask), oracle(logits, targets, mask)
    check_gradients(found, expected, {"logits": logits}, what="perplexity(logits, targets, mask)")


@test_case(
    name="float32, and large logits",
    points=1,
    hidden=True,
    failure_message="exp(150) overflows in float32, and the logarithm of a probability that became 0 is -inf: "
    "work with logarithms of probabilities from the start. The result has the dtype of the "
    "logits.",
)
def test_float32(perplexity):
    logits, targets, mask = example(4, 6, symbols=9, seed=4, dtype=torch.float32)
    # float32 keeps 7 digits of a perplexity near 15: correct forms were seen to differ by 4e-6
    check_close(
        perplexity(logits, targets, mask),
        oracle(logits, targets, mask),
        tolerance=1e-4,
        what="perplexity in float32",
    )
    large = torch.full((2, 3), -150.0)
    large[0, 1], large[1, 0], large[1, 2] = 150.0, 150.0, 149.0
    found = perplexity(large, torch.tensor([1, 2]))
    expected = oracle(large.double(), torch.tensor([1, 2]), torch.tensor([True, True])).float()
    check_close(found, expected, tolerance=1e-4, what="perplexity of logits of +-150")


@test_case(
    name="arguments stay as they are; what is not counted has no influence",
    points=1,
    hidden=True,
    failure_message="Make new tensors. Whatever the logits and the target of a symbol that is not counted are, "
    "the result is the same.",
)
def test_unchanged(perplexity):
    logits, targets, mask = example(3, 4, symbols=5, seed=5)
    copies = logits.clone(), targets.clone(), mask.clone()
    found = perplexity(logits, targets, mask)
    check_close(found, oracle(*copies), what="perplexity(logits, targets, mask)")
    for word, before, after in zip(
        ("logits", "targets", "mask"), copies, (logits, targets, mask), strict=True
    ):
        check_unchanged(before, after, what=f"{word} in perplexity(logits, targets, mask)")
    logits[~mask], targets[~mask] = 40.0 * logits[~mask], 4 - targets[~mask]
    what = "perplexity(logits, targets, mask), after only what is not counted was changed,"
    check_close(perplexity(logits, targets, mask), oracle(*copies), what=what)


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for shapes that do not fit together, a mask that is not "
    "boolean, a target that is no id, and where nothing is counted: 0/0 is not a perplexity.",
)
def test_bad_arguments(perplexity):
    logits, targets, mask = example(2, 3, symbols=5, seed=6)
    call = "perplexity(logits, targets, mask)"
    check_close(perplexity(logits, targets, mask), oracle(logits, targets, mask), what=call)
    check_raises(
        ValueError, perplexity, logits, targets, mask.double(), what=f"{call} with a mask of numbers"
    )
    check_raises(
        ValueError, perplexity, logits, targets, mask & False, what=f"{call} with a mask that is all False"
    )
    empty = f"{call} with no symbols at all"
    check_raises(ValueError, perplexity, logits[:0], targets[:0], what=empty)
    check_raises(
        ValueError, perplexity, logits, targets[:, :2], what="perplexity of shapes (2, 3, 5) and (2, 2)"
    )
    check_raises(
        ValueError, perplexity, logits, targets, mask[:, :2], what=f"{call} with a mask of shape (2, 2)"
    )
    some_wrong = targets.clone()
    some_wrong[1, 2] = 5
    what = "perplexity of logits for 5 symbols with a target 5 among others"
    check_raises(ValueError, perplexity, logits, some_wrong, what=what)
    for wrong in (5, -1):
        what = f"perplexity of logits for 5 symbols with the target {wrong}"
        check_raises(ValueError, perplexity, logits, torch.full_like(targets, wrong), what=what)
