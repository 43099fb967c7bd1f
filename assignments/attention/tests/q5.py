"""q5: class MultiHeadAttention(d_model, n_heads), judged against nn.MultiheadAttention with the same weights."""

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
name = "q5"
all_or_nothing = False
NAMES = ("W_Q", "W_K", "W_V", "W_O")
CALL = "MultiHeadAttention(d_model=6, n_heads=3)"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def load(model, weights, what):
    check_parameters(model, {name: tuple(weight.shape) for name, weight in weights.items()}, what=what)
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(model, name).copy_(weight)
    return model


def model_6_3(MultiHeadAttention, dtype=torch.float64):
    weights = {name: normal(6, 6, seed=seed) for seed, name in enumerate(NAMES)}
    return load(MultiHeadAttention(6, 3).to(dtype), weights, CALL)


def oracle(model, n_heads, x, mask=None):
    """nn.MultiheadAttention without biases: it wants (L, B, d_model), weights transposed and True where forbidden.

    The number of heads, the length of a head, L and the batch all differ, but for one batch as large as the number of
    heads: there, a mask that is handed to the wrong axis raises no error. The tolerance in float64 is that of q4.
    """
    length, d_model = x.shape[-2:]
    batch = x.reshape(-1, length, d_model).transpose(0, 1)
    if mask is not None:
        mask = ~mask.expand(*x.shape[:-1], length).reshape(-1, length, length).repeat_interleave(n_heads, 0)
    q, k, v, out = (getattr(model, name).T for name in NAMES)
    options = {"use_separate_proj_weight": True, "q_proj_weight": q, "k_proj_weight": k, "v_proj_weight": v}
    result, _ = F.multi_head_attention_forward(
        batch, batch, batch, d_model, n_heads, None, None, None, None, False, 0.0, out, None,
        need_weights=False, attn_mask=mask, **options,
    )  # fmt: skip
    return result.transpose(0, 1).reshape(x.shape)


@test_case(
    name="four parameters, and how they start",
    points=1,
    hidden=False,
    failure_message="Make W_Q, W_K, W_V and W_O with nn.Parameter in __init__, after super().__init__(), each "
    "(d_model, d_model). Draw each from a normal distribution with standard deviation 1/sqrt(d_model).",
)
def test_parameters(MultiHeadAttention):
    call, model = "MultiHeadAttention(d_model=64, n_heads=2)", MultiHeadAttention(64, 2)
    check_parameters(model, dict.fromkeys(NAMES, (64, 64)), what=call)
    for name in NAMES:
        deviation = getattr(model, name).std().item()
        # 4096 numbers: the measured deviation is off by 1 % (one sigma), far from a factor of 1.6
        assert 0.08 < deviation < 0.2, (
            f"The numbers in {name} of {call} start with a standard deviation of"
            f" {deviation:.3g}, but 1/sqrt(64) = 0.125 was expected."
        )


@test_case(
    name="shape and dtype of the output",
    points=1,
    hidden=False,
    failure_message="forward(x) has the shape of x, (..., L, d_model): the heads' outputs side by side, then "
    "W_O. Where all tokens of a sequence are equal, so are their values, and each output is x W_V W_O.",
)
def test_shape(MultiHeadAttention):
    model, token = model_6_3(MultiHeadAttention, torch.float32), normal(2, 1, 6, seed=10, dtype=torch.float32)
    expected = (token @ model.W_V @ model.W_O).detach().expand(2, 5, 6)
    what = f"{CALL}(x) with x of shape (2, 5, 6), five equal tokens in each sequence,"
    # numbers up to 15 after four products: correct forms were seen to differ by 4e-6
    check_close(model(token.expand(2, 5, 6).clone()), expected, tolerance=5e-5, what=what)


@test_case(
    name="two heads worked out by hand",
    points=2,
    hidden=False,
    failure_message="Here W_Q = 0, so all weights are 1/2 and each head gives the mean of its columns of x "
    "W_V = x: (1, 2) from the first head and (3, 4) from the second. W_O then swaps the two halves and "
    "doubles them.",
)
def test_hand(MultiHeadAttention):
    zero, eye = torch.zeros(2, 2), torch.eye(2)
    swap = torch.cat([torch.cat([zero, 2 * eye], 1), torch.cat([2 * eye, zero], 1)])
    weights = {"W_Q": torch.zeros(4, 4), "W_K": torch.eye(4), "W_V": torch.eye(4), "W_O": swap}
    model = load(MultiHeadAttention(4, 2).float(), weights, "MultiHeadAttention(d_model=4, n_heads=2)")
    x = torch.tensor([[2.0, 0.0, 3.0, 8.0], [0.0, 4.0, 3.0, 0.0]])
    expected = torch.tensor([6.0, 8.0, 2.0, 4.0]).expand(2, 4)
    check_close(model(x), expected, tolerance=1e-5, what="MultiHeadAttention(4, 2)(x)")


@test_case(
    name="equal to nn.MultiheadAttention, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Head i has the i-th block of d_model / n_heads consecutive columns of x W_Q, x W_K and x "
    "W_V; the scale belongs to the length of a head.",
)
def test_values(MultiHeadAttention):
    model = model_6_3(MultiHeadAttention)
    for shape in [(5, 6), (2, 2, 5, 6)]:
        x = normal(*shape, seed=11)
        expected = oracle(model, 3, x)
        check_close(model(x), expected, what=f"{CALL}(x) with x of shape {shape}")


@test_case(
    name="masks",
    points=2,
    hidden=True,
    failure_message="A mask (L, L) serves the whole batch, a mask (B, L, L) has one for each element of it, "
    "and (B, 1, L) broadcasts as usual; all heads share it.",
)
def test_masks(MultiHeadAttention):
    model = model_6_3(MultiHeadAttention)
    for shape in [(5, 5), (3, 5, 5), (3, 1, 5)]:
        x, mask = normal(3, 5, 6, seed=12), normal(*shape, seed=13) > 0
        mask[-1, 0] = False
        expected = oracle(model, 3, x, mask)
        check_close(model(x, mask), expected, what=f"{CALL}(x, mask) with a mask of shape {shape}")


@test_case(
    name="gradients of every parameter and of x",
    points=2,
    hidden=True,
    failure_message="Training needs a gradient in W_Q, W_K, W_V and W_O, and earlier layers need one in x.",
)
def test_gradients(MultiHeadAttention):
    model, x = model_6_3(MultiHeadAttention), normal(2, 4, 6, seed=14).requires_grad_()
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    inputs = {"x": x} | {name: getattr(model, name) for name in NAMES}
    expected = oracle(model, 3, x, mask)
    check_gradients(model(x, mask), expected, inputs, what=f"{CALL}(x, mask)")


@test_case(
    name="float32, large scores, batches, one head; x left alone",
    points=1,
    hidden=True,
    failure_message="The output has the dtype of x and is finite at scores of 150; elements of a batch are "
    "independent; one head and heads of length 1 are legal.",
)
def test_float32_and_sizes(MultiHeadAttention):
    model, x = model_6_3(MultiHeadAttention, torch.float32), normal(2, 5, 6, seed=15, dtype=torch.float32)
    before, large = x.clone(), 6 * x
    expected, expected_of_large = oracle(model, 3, x), oracle(model, 3, large)
    whole = model(x)
    check_unchanged(before, x, what=f"x in {CALL}(x)")
    # numbers up to 30 after four products: correct forms were seen to differ by 4e-6
    check_close(whole, expected, tolerance=5e-5, what=f"{CALL}(x) in float32")
    check_close(
        model(x[1]),
        whole[1],
        tolerance=5e-5,
        what=f"{CALL}(x) of element 1 of a batch, alone and in the batch,",
    )
    # absolute, for numbers up to 200: a score of 150 is itself rounded by 1e-5
    check_close(model(large), expected_of_large, tolerance=2e-2, what=f"{CALL}(x) with large scores")
    for heads in (1, 6):
        model, call = MultiHeadAttention(6, heads).float(), f"MultiHeadAttention(d_model=6, n_heads={heads})"
        check_parameters(model, dict.fromkeys(NAMES, (6, 6)), what=call)
        expected = oracle(model, heads, x)
        check_close(model(x), expected, tolerance=1e-5, what=f"{call}(x)")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: in __init__ when d_model is not a multiple of n_heads "
    "or a size is below 1, in forward for an x or a mask that does not fit.",
)
def test_bad_arguments(MultiHeadAttention):
    check_raises(ValueError, MultiHeadAttention, 6, 4, what="MultiHeadAttention(d_model=6, n_heads=4)")
    check_raises(ValueError, MultiHeadAttention, 6, 0, what="MultiHeadAttention(d_model=6, n_heads=0)")
    model, x = MultiHeadAttention(6, 3).float(), torch.ones(5, 6)
    check_shape(model(x), (5, 6), what=f"{CALL}(x) with arguments that fit")
    check_raises(ValueError, model, torch.ones(5, 4), what=f"{CALL}(x) with x of shape (5, 4)")
    check_raises(ValueError, model, torch.ones(6), what=f"{CALL}(x) with x of shape (6,)")
    check_raises(ValueError, model, x, torch.ones(5, 5), what=f"{CALL}(x, mask) with a mask of numbers")
    bad = torch.ones(5, 4, dtype=torch.bool)
    check_raises(ValueError, model, x, bad, what=f"{CALL}(x, mask) with 5 positions and a (5, 4) mask")
