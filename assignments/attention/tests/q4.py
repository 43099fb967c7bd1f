"""q4: class SelfAttention(d_model, d_k, d_v), judged with weights that the test loads."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import (
    check_close,
    check_gradients,
    check_parameters,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "SelfAttention(d_model=6, d_k=4, d_v=3)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def load(model, weights, what):
    check_parameters(model, {name: tuple(weight.shape) for name, weight in weights.items()}, what=what)
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(model, name).copy_(weight)
    return model


def model_6_4_3(SelfAttention, dtype=torch.float64):
    weights = {"W_Q": normal(6, 4, seed=1), "W_K": normal(6, 4, seed=2), "W_V": normal(6, 3, seed=3)}
    return load(SelfAttention(6, 4, 3).to(dtype), weights, CALL)


def oracle(model, x, mask=None):
    """What is expected of a module with these weights.

    The sizes d_model, d_k, d_v and L all differ, for with d_model = d_k a scale by sqrt(d_model) is invisible. Correct
    float64 forms differ by at most 4.7e-15, correct float32 forms by at most 1e-6 at these sizes; hence tolerances of
    1e-9 and 1e-5.
    """
    return F.scaled_dot_product_attention(x @ model.W_Q, x @ model.W_K, x @ model.W_V, attn_mask=mask)


@test_case(
    name="three parameters, and how they start",
    points=1,
    hidden=False,
    failure_message="Make W_Q, W_K and W_V with nn.Parameter in __init__, after super().__init__(): (d_model, "
    "d_k) for W_Q and W_K, (d_model, d_v) for W_V. Draw each from a normal distribution with standard "
    "deviation 1/sqrt(d_model).",
)
def test_parameters(SelfAttention):
    call, model = "SelfAttention(d_model=64, d_k=32, d_v=16)", SelfAttention(64, 32, 16)
    check_parameters(model, {"W_Q": (64, 32), "W_K": (64, 32), "W_V": (64, 16)}, what=call)
    for letter in "QKV":
        deviation = getattr(model, f"W_{letter}").std().item()
        # 1024 numbers or more: the measured deviation is off by 2 % (one sigma), far from a factor of 1.6
        assert 0.08 < deviation < 0.2, (
            f"The numbers in W_{letter} of {call} start with a standard deviation of"
            f" {deviation:.3g}, but 1/sqrt(64) = 0.125 was expected."
        )


@test_case(
    name="shape and dtype of the output",
    points=1,
    hidden=False,
    failure_message="forward(x) gives each of the L positions an output of length d_v: (..., L, d_v). Where all "
    "tokens of a sequence are equal, so are their values, and each output is that value, x W_V.",
)
def test_shape(SelfAttention):
    model, token = model_6_4_3(SelfAttention, torch.float32), normal(2, 1, 6, seed=0, dtype=torch.float32)
    expected = (token @ model.W_V).detach().expand(2, 5, 3)
    what = f"{CALL}(x) with x of shape (2, 5, 6), five equal tokens in each sequence,"
    check_close(model(token.expand(2, 5, 6).clone()), expected, tolerance=1e-5, what=what)


@test_case(
    name="two outputs worked out by hand",
    points=2,
    hidden=False,
    failure_message="Here q = x W_Q = (ln 3, 0), k = x W_K = (1, 0) and v = x W_V = (4, 8). The first query's "
    "scores are ln 3 and 0 (d_k = 1), its weights 3/4 and 1/4; the second query weighs both values alike.",
)
def test_hand(SelfAttention):
    weights = {"W_Q": [[math.log(3)], [0.0]], "W_K": [[1.0], [0.0]], "W_V": [[4.0], [8.0]]}
    weights = {name: torch.tensor(weight) for name, weight in weights.items()}
    model = load(SelfAttention(2, 1, 1).float(), weights, "SelfAttention(d_model=2, d_k=1, d_v=1)")
    expected = torch.tensor([[5.0], [6.0]])
    check_close(model(torch.eye(2)), expected, tolerance=1e-5, what="SelfAttention(2, 1, 1)(x)")


@test_case(
    name="values, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Project x with W_Q, W_K and W_V, then attend. The scale belongs to the length of a key, "
    "not of x.",
)
def test_values(SelfAttention):
    model = model_6_4_3(SelfAttention)
    for shape in [(5, 6), (2, 3, 5, 6)]:
        x = normal(*shape, seed=4)
        expected = oracle(model, x)
        check_close(model(x), expected, what=f"{CALL}(x) with x of shape {shape}")


@test_case(
    name="masks",
    points=2,
    hidden=True,
    failure_message="The mask says which position (row) may attend to which (column); (L, L) serves every "
    "element of the batch.",
)
def test_masks(SelfAttention):
    model, x = model_6_4_3(SelfAttention), normal(2, 5, 6, seed=5)
    for shape in [(5, 5), (2, 5, 5)]:
        mask = normal(*shape, seed=6) > 0
        mask[..., 2, :] = False
        expected = oracle(model, x, mask)
        check_close(model(x, mask), expected, what=f"{CALL}(x, mask) with a mask of shape {shape}")


@test_case(
    name="gradients of every parameter and of x",
    points=2,
    hidden=True,
    failure_message="Training needs a gradient in W_Q, W_K and W_V, and earlier layers need one in x.",
)
def test_gradients(SelfAttention):
    model, x = model_6_4_3(SelfAttention), normal(2, 5, 6, seed=7).requires_grad_()
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    inputs = {"x": x, "W_Q": model.W_Q, "W_K": model.W_K, "W_V": model.W_V}
    expected = oracle(model, x, mask)
    check_gradients(model(x, mask), expected, inputs, what=f"{CALL}(x, mask)")


@test_case(
    name="float32, large scores, batches; x left alone",
    points=1,
    hidden=True,
    failure_message="The output has the dtype of x and is finite at scores of 150; elements of a batch are "
    "independent.",
)
def test_float32_and_batch(SelfAttention):
    model, x = model_6_4_3(SelfAttention, torch.float32), normal(2, 5, 6, seed=8, dtype=torch.float32)
    before, large = x.clone(), 6 * x
    expected, expected_of_large = oracle(model, x), oracle(model, large)
    whole = model(x)
    check_unchanged(before, x, what=f"x in {CALL}(x)")
    check_close(whole, expected, tolerance=1e-5, what=f"{CALL}(x) in float32")
    check_close(
        model(x[1]),
        whole[1],
        tolerance=1e-5,
        what=f"{CALL}(x) of element 1 of a batch, alone and in the batch,",
    )
    # absolute, for numbers up to 60: a score of 150 is itself rounded by 1e-5
    check_close(model(large), expected_of_large, tolerance=5e-3, what=f"{CALL}(x) with large scores")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: in __init__ for a size below 1, in forward for an x or "
    "a mask that does not fit.",
)
def test_bad_arguments(SelfAttention):
    check_raises(ValueError, SelfAttention, 6, 0, 3, what="SelfAttention(d_model=6, d_k=0, d_v=3)")
    model, x = SelfAttention(6, 4, 3).float(), torch.ones(5, 6)
    check_shape(model(x), (5, 3), what=f"{CALL}(x) with arguments that fit")
    check_raises(ValueError, model, torch.ones(5, 4), what=f"{CALL}(x) with x of shape (5, 4)")
    check_raises(ValueError, model, torch.ones(6), what=f"{CALL}(x) with x of shape (6,)")
    check_raises(ValueError, model, x, torch.ones(5, 5), what=f"{CALL}(x, mask) with a mask of numbers")
    bad = torch.ones(5, 4, dtype=torch.bool)
    check_raises(ValueError, model, x, bad, what=f"{CALL}(x, mask) with 5 positions and a (5, 4) mask")
