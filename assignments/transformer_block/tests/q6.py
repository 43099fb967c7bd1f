"""q6: class TransformerBlock, judged against nn.TransformerEncoderLayer with the same weights."""

import torch
from otter.test_files import test_case
from torch import nn

from autograder.checks import (
    check_close,
    check_gradients,
    check_parameters,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q6"
all_or_nothing = False
D, HEADS, D_FF = 6, 3, 10
CALL = "TransformerBlock(d_model=6, n_heads=3, d_ff=10"


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def shapes_of(d, d_ff):
    """Names and shapes of all parameters."""
    norms = {f"norm_{i}.{part}": (d,) for i in (1, 2) for part in ("weight", "bias")}
    attention = {f"attention.W_{part}": (d, d) for part in "QKVO"} | {
        f"attention.b_{part}": (d,) for part in "QKVO"
    }
    network = {"W_1": (d, d_ff), "b_1": (d_ff,), "W_2": (d_ff, d), "b_2": (d,)}
    return norms | attention | {f"feed_forward.{part}": shape for part, shape in network.items()}


def parameter(block, name):
    return dict(block.named_parameters())[name]


def random_block(TransformerBlock, norm_first, *more, dtype=torch.float64, seed=0):
    """A block whose parameters are all random, in train mode; sizes of heads, length and batch all differ."""
    block = TransformerBlock(D, HEADS, D_FF, norm_first, *more).to(dtype)
    check_parameters(block, shapes_of(D, D_FF), what=f"{CALL}, norm_first={norm_first})")
    with torch.no_grad():
        for i, name in enumerate(shapes_of(D, D_FF)):
            tensor = parameter(block, name)
            tensor.copy_(normal(*tensor.shape, seed=100 * seed + i, dtype=dtype) * 0.7)
    return block.train()


def zeroed(block, *names):
    """The same block with some of its parameters 0."""
    with torch.no_grad():
        for name in names:
            parameter(block, name).zero_()
    return block


def oracle(block, x, norm_first, mask=None, activation="gelu"):
    """nn.TransformerEncoderLayer with the parameters of the block, differentiable with respect to them.

    It is in train mode without dropout, for in eval mode it may take a faster path of its own. Correct blocks differ
    from it by at most 2e-14 in float64 and 2e-6 in float32: hence 1e-9 and 1e-4.
    """
    layer = nn.TransformerEncoderLayer(
        D, HEADS, D_FF, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first, dtype=x.dtype
    )  # fmt: skip
    own = dict(block.named_parameters())
    theirs = {
        "self_attn.in_proj_weight": torch.cat([own[f"attention.W_{part}"].T for part in "QKV"]),
        "self_attn.in_proj_bias": torch.cat([own[f"attention.b_{part}"] for part in "QKV"]),
        "self_attn.out_proj.weight": own["attention.W_O"].T,
        "self_attn.out_proj.bias": own["attention.b_O"],
    }
    for i in "12":
        theirs |= {
            f"linear{i}.weight": own[f"feed_forward.W_{i}"].T,
            f"linear{i}.bias": own[f"feed_forward.b_{i}"],
        }
        theirs |= {f"norm{i}.{part}": own[f"norm_{i}.{part}"] for part in ("weight", "bias")}
    length = x.shape[-2]
    batch = x.reshape(-1, length, D)
    if mask is not None:
        mask = ~mask.expand(*x.shape[:-1], length).reshape(-1, length, length).repeat_interleave(HEADS, 0)
    return torch.func.functional_call(layer, theirs, (batch,), {"src_mask": mask}).reshape(x.shape)


@test_case(
    name="the parameters, by name",
    points=1,
    hidden=False,
    failure_message="self.norm_1 and self.norm_2 (LayerNorm), self.attention (MultiHeadAttention) and "
    "self.feed_forward (FeedForward), made in __init__ after super().__init__(). The weights of the norms "
    "start at 1, their biases at 0.",
)
def test_parameters(TransformerBlock):
    what, block = "TransformerBlock(d_model=4, n_heads=2, d_ff=5)", TransformerBlock(4, 2, 5).float()
    check_parameters(block, shapes_of(4, 5), what=what)
    for i in (1, 2):
        weight, bias = (
            parameter(block, f"norm_{i}.weight").detach(),
            parameter(block, f"norm_{i}.bias").detach(),
        )
        check_close(weight, torch.ones(4), what=f"norm_{i}.weight of {what} at the start")
        check_close(bias, torch.zeros(4), what=f"norm_{i}.bias of {what} at the start")


@test_case(
    name="sublayers that add nothing, by hand",
    points=2,
    hidden=False,
    failure_message="Where W_O, b_O, W_2 and b_2 are 0, both sublayers add 0. Pre-norm then gives x back, "
    "and post-norm the norm of x = (7, 2, 2, 2, 2), which is (2, -1/2, -1/2, -1/2, -1/2): its norm is "
    "itself.",
)
def test_nothing_added(TransformerBlock):
    x = torch.tensor([[7.0, 2.0, 2.0, 2.0, 2.0]], dtype=torch.float64)
    for norm_first, expected in [(True, x), (False, (x - 3) / 2)]:
        block = TransformerBlock(5, 1, 3, norm_first).double().train()
        what = f"TransformerBlock(5, 1, 3, norm_first={norm_first})"
        check_parameters(block, shapes_of(5, 3), what=what)
        zeroed(block, "attention.W_O", "attention.b_O", "feed_forward.W_2", "feed_forward.b_2")
        # eps = 1e-5 is in the norms: measured 1e-5 after two of them
        check_close(
            block(x).detach(), expected, tolerance=1e-4, what=f"{what}(x), both of whose sublayers add 0,"
        )


@test_case(
    name="equal to nn.TransformerEncoderLayer, pre-norm",
    points=2,
    hidden=True,
    failure_message="Pre-norm: h = x + attention(norm_1(x)), then h + feed_forward(norm_2(h)). Leading "
    "dimensions are a batch of sequences.",
)
def test_pre_norm(TransformerBlock):
    block = random_block(TransformerBlock, True)
    for shape in [(5, D), (2, 2, 4, D)]:
        x = normal(*shape, seed=20)
        what = f"{CALL}, norm_first=True)(x) with x of shape {shape}"
        check_close(block(x).detach(), oracle(block, x, True).detach(), what=what)


@test_case(
    name="equal to nn.TransformerEncoderLayer, post-norm",
    points=2,
    hidden=True,
    failure_message="Post-norm: h = norm_1(x + attention(x)), then norm_2(h + feed_forward(h)).",
)
def test_post_norm(TransformerBlock):
    block = random_block(TransformerBlock, False)
    for shape in [(2, 5, D), (1, D)]:
        x = normal(*shape, seed=21)
        what = f"{CALL}, norm_first=False)(x) with x of shape {shape}"
        check_close(block(x).detach(), oracle(block, x, False).detach(), what=what)


@test_case(
    name="masks",
    points=2,
    hidden=True,
    failure_message="The mask goes to the attention as it is, True = may attend, in both forms. A position "
    "that may attend to nothing gets b_O from the attention.",
)
def test_masks(TransformerBlock):
    for norm_first in (True, False):
        block, x = random_block(TransformerBlock, norm_first), normal(3, 4, D, seed=22)
        for shape in [(4, 4), (3, 4, 4)]:
            mask = normal(*shape, seed=23) > 0
            mask[..., 0] = True
            what = f"{CALL}, norm_first={norm_first})(x, mask) with a mask of shape {shape}"
            check_close(block(x, mask).detach(), oracle(block, x, norm_first, mask).detach(), what=what)
        alone = torch.zeros(4, 4, dtype=torch.bool)
        found = block(x, alone).detach()  # as if there were no values: W_V = 0 and b_V = 0
        expected = oracle(zeroed(block, "attention.W_V", "attention.b_V"), x, norm_first).detach()
        check_close(
            found, expected, what=f"{CALL}, norm_first={norm_first})(x, mask) with a mask that is all False"
        )


@test_case(
    name="gradients of x and of all sixteen parameters",
    points=1,
    hidden=True,
    failure_message="Every parameter takes part, and nothing on the way is detached. The two norms are "
    "different modules.",
)
def test_gradients(TransformerBlock):
    for norm_first in (True, False):
        block, x = (
            random_block(TransformerBlock, norm_first, seed=1),
            normal(2, 3, D, seed=24).requires_grad_(),
        )
        inputs = {"x": x} | {name: parameter(block, name) for name in shapes_of(D, D_FF)}
        what = f"{CALL}, norm_first={norm_first})(x)"
        check_gradients(block(x), oracle(block, x, norm_first), inputs, what=what)


@test_case(
    name="relu, and float32; nothing is changed",
    points=1,
    hidden=True,
    failure_message="activation is that of the feed-forward network. The result has the dtype of the "
    "parameters.",
)
def test_activation(TransformerBlock):
    for norm_first in (True, False):
        block, x = (
            random_block(TransformerBlock, norm_first, 0.0, "relu", dtype=torch.float32),
            normal(4, D, seed=25).float(),
        )
        before, what = x.clone(), f'{CALL}, norm_first={norm_first}, activation="relu")(x)'
        expected = oracle(block, x, norm_first, activation="relu").detach()
        check_close(block(x).detach(), expected, tolerance=1e-4, what=f"{what} in float32")
        check_unchanged(before, x, what=f"x in {what}")


@test_case(
    name="dropout: on what is added, in train mode alone",
    points=2,
    hidden=True,
    failure_message="Dropout acts on the output of each sublayer, before the addition. So with dropout=1 in "
    "train mode both sublayers add 0: pre-norm gives x back, and post-norm its norm. In eval mode, dropout "
    "changes nothing.",
)
def test_dropout(TransformerBlock):
    nothing = ("attention.W_O", "attention.b_O", "feed_forward.W_2", "feed_forward.b_2")
    for norm_first in (True, False):
        block, x = random_block(TransformerBlock, norm_first, 1.0), normal(2, 4, D, seed=26)
        what = f"{CALL}, norm_first={norm_first}, dropout=1)(x)"
        usual = oracle(block, x, norm_first).detach()
        check_close(block.eval()(x).detach(), usual, what=f"{what} in eval mode")
        found = block.train()(x).detach()
        expected = oracle(zeroed(block, *nothing), x, norm_first).detach()
        check_close(found, expected, what=f"{what} in train mode")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: in __init__ for sizes below 1, heads that do not "
    "divide d_model, a dropout outside of 0 to 1 and another activation; in forward for an x or a mask that "
    "does not fit.",
)
def test_bad_arguments(TransformerBlock):
    block, x = random_block(TransformerBlock, True), normal(4, D, seed=27)
    check_shape(block(x, torch.ones(4, 4, dtype=torch.bool)), (4, D), what=f"{CALL})(x, mask)")
    for bad in [(0, 1, 5), (4, 0, 5), (4, 2, 0), (4, 3, 5), (4, 2, 5, True, -0.1), (4, 2, 5, True, 1.1),
                (4, 2, 5, False, 0.0, "tanh")]:  # fmt: skip
        check_raises(ValueError, TransformerBlock, *bad, what=f"TransformerBlock{bad}")
    check_raises(ValueError, block, x[0], what=f"{CALL})(x) with x of shape (6,)")
    check_raises(ValueError, block, x[:, :5], what=f"{CALL})(x) with x of shape (4, 5)")
    for kind, mask in [("of float32", torch.ones(4, 4)), ("of shape (3, 4)", torch.ones(3, 4, dtype=torch.bool)),
                       ("of shape (2, 4, 4)", torch.ones(2, 4, 4, dtype=torch.bool))]:  # fmt: skip
        check_raises(
            ValueError, block, x, mask, what=f"{CALL})(x, mask) with x of shape (4, 6) and a mask {kind}"
        )
