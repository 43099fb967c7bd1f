"""q7: class Encoder, judged through its own blocks."""

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import (
    Mistake,
    check_close,
    check_gradients,
    check_raises,
    check_shape,
    check_unchanged,
)

OK_FORMAT = False
name = "q7"
all_or_nothing = False
CALL = "Encoder(n_layers=2, d_model=6, n_heads=2, d_ff=5"
# The encoder and its own blocks, called one by one, compute the same numbers: what differs is rounding, below 1e-14.


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def blocks_of(encoder, n_layers, what):
    """The blocks, each of which can be called."""
    modules = getattr(encoder, "_modules", {})
    assert "blocks" in modules, (
        f"{what} has no blocks: it is not implemented yet, or self.blocks is not an nn.ModuleList."
    )
    blocks = list(modules["blocks"].children())
    assert len(blocks) == n_layers, (
        f"{what} has {len(blocks)} blocks with weights of their own, but {n_layers} were expected. A block that occurs"
        " twice in the list is one block."
    )
    return blocks


def random_encoder(Encoder, norm_first, *more, dtype=torch.float64, seed=0):
    """Two blocks and a norm with random parameters, in train mode."""
    encoder = Encoder(2, 6, 2, 5, norm_first, *more).to(dtype)
    blocks_of(encoder, 2, f"{CALL}, norm_first={norm_first})")
    with torch.no_grad():
        for i, tensor in enumerate(encoder.parameters()):
            tensor.add_(normal(*tensor.shape, seed=100 * seed + i, dtype=dtype) * 0.5)
    return encoder.train()


def last_norm(encoder, what):
    """The last norm's own two parameters, by PyTorch's function."""
    names = {name for name, _ in encoder.named_parameters()}
    assert {"norm.weight", "norm.bias"} <= names, (
        f"{what} has no norm: pre-norm needs self.norm after the last block."
    )
    return lambda x: F.layer_norm(x, (6,), encoder.norm.weight, encoder.norm.bias)


def composed(encoder, x, norm_first, what, *mask):
    """The blocks one after the other, then the last norm."""
    for block in blocks_of(encoder, 2, what):
        x = block(x, *mask)
    return last_norm(encoder, what)(x) if norm_first else x


@torch.no_grad()
def without_attention(block, x, norm_first, dropout):
    """What a block gives in train mode whose attention adds 0, with relu and dropout 0, or with dropout 1."""
    own = dict(block.named_parameters())
    for name in ("attention.W_O", "attention.b_O"):
        own[name].zero_()
    after_1 = F.layer_norm(x, (6,), own["norm_1.weight"], own["norm_1.bias"])
    after_2 = F.layer_norm(x if norm_first else after_1, (6,), own["norm_2.weight"], own["norm_2.bias"])
    hidden = torch.relu(after_2 @ own["feed_forward.W_1"] + own["feed_forward.b_1"])
    update = (hidden @ own["feed_forward.W_2"] + own["feed_forward.b_2"]) * (1 - dropout)
    return x + update if norm_first else after_2


@test_case(
    name="as many blocks as asked for",
    points=1,
    hidden=False,
    failure_message="self.blocks holds n_layers TransformerBlocks, each made anew, in an nn.ModuleList. With "
    "norm_first there is a LayerNorm self.norm as well.",
)
def test_blocks(Encoder):
    for n_layers in (1, 3):
        what = f"Encoder(n_layers={n_layers}, d_model=4, n_heads=2, d_ff=5)"
        encoder = Encoder(n_layers, 4, 2, 5)
        blocks_of(encoder, n_layers, what)
        names = {name for name, _ in encoder.named_parameters()}
        assert {"norm.weight", "norm.bias"} <= names, (
            f"{what} has no norm with a weight and a bias after the last block."
        )


@test_case(
    name="what leaves an encoder is normalised",
    points=1,
    hidden=False,
    failure_message="At the start all norms have the weight 1 and the bias 0. Pre-norm and post-norm both "
    "end with a norm, so each vector has the mean 0 and the mean square 1.",
)
def test_normalised(Encoder):
    x = 5 + 3 * normal(2, 4, 8, seed=0, dtype=torch.float32)
    for norm_first in (True, False):
        what = f"Encoder(2, 8, 2, 16, norm_first={norm_first})(x)"
        found = check_shape(Encoder(2, 8, 2, 16, norm_first).float()(x), (2, 4, 8), what=what).detach()
        check_close(
            found.mean(-1), torch.zeros(2, 4), tolerance=1e-4, what=f"the mean of each vector of {what}"
        )
        square = found.square().mean(-1)
        check_close(
            square, torch.ones(2, 4), tolerance=1e-3, what=f"the mean square of each vector of {what}"
        )


@test_case(
    name="every block has weights of its own",
    points=1,
    hidden=True,
    failure_message="Make a new TransformerBlock for each place in the list, and keep the list in an "
    "nn.ModuleList.",
)
def test_different(Encoder):
    encoder, what = Encoder(2, 6, 2, 5), f"{CALL})"
    modules = getattr(encoder, "_modules", {})
    if "blocks" in modules and len(list(modules["blocks"].children())) == 1:
        raise Mistake("SharedBlocks", f"{what} has one block with weights of its own, but 2 were expected.")
    first, *others = [block.attention.W_Q for block in blocks_of(encoder, 2, what)]
    if any(torch.equal(first, other) for other in others):
        raise Mistake("SharedBlocks", f"In {what}, two blocks begin with the same numbers.")


@test_case(
    name="the blocks one after the other, then the norm",
    points=1,
    hidden=True,
    failure_message="Each block gets what the one before gave, first block first; after the last one, "
    "pre-norm has a norm and post-norm none.",
)
def test_values(Encoder):
    for norm_first, shape in [(True, (4, 6)), (False, (2, 3, 6))]:
        encoder, x = random_encoder(Encoder, norm_first), normal(*shape, seed=1)
        before, what = x.clone(), f"{CALL}, norm_first={norm_first})(x)"
        expected, found = composed(encoder, x, norm_first, what).detach(), encoder(x)
        found = check_shape(found, shape, what=what).detach()
        if not norm_first and "norm.weight" in dict(encoder.named_parameters()):
            once_more = last_norm(encoder, what)(expected).detach()
            if (found - once_more).abs().max() < 1e-9:
                raise Mistake("NormInPostNormToo", f"{what} is normalised once more after the last block.")
        check_close(found, expected, what=what)
        check_unchanged(before, x, what=f"x in {what}")


@test_case(
    name="every block gets the mask",
    points=1,
    hidden=True,
    failure_message="The same mask goes to every block, not to the first alone.",
)
def test_masks(Encoder):
    x, mask = normal(4, 6, seed=2), torch.ones(4, 4, dtype=torch.bool).tril()
    for norm_first in (True, False):
        encoder, what = random_encoder(Encoder, norm_first), f"{CALL}, norm_first={norm_first})(x, mask)"
        found, expected = encoder(x, mask), composed(encoder, x, norm_first, what, mask).detach()
        found = check_shape(found, (4, 6), what=what).detach()
        check_close(found, expected, what=what)
        changed = encoder(torch.cat([x[:-1], x[-1:] + 1]), mask).detach()
        check_close(changed[:-1], found[:-1], what=f"earlier rows of {what}, the last row of x changed,")


@test_case(
    name="norm_first, dropout and activation reach the blocks",
    points=1,
    hidden=True,
    failure_message="Each block is TransformerBlock(d_model, n_heads, d_ff, norm_first, dropout, "
    "activation), with all six arguments.",
)
def test_arguments(Encoder):
    x = normal(4, 6, seed=3)
    for options in [(True, 1.0, "gelu"), (False, 1.0, "gelu"), (True, 0.0, "relu")]:
        encoder, what = (
            random_encoder(Encoder, *options),
            f"a block of Encoder(2, 6, 2, 5, {str(options)[1:]}",
        )
        for block in blocks_of(encoder, 2, "the encoder"):
            expected = without_attention(block, x, *options[:2])
            check_close(block(x).detach(), expected, what=f"{what} with W_O = 0 and b_O = 0, in train mode,")


@test_case(
    name="gradients of x and of every block",
    points=1,
    hidden=True,
    failure_message="Training needs a gradient in every parameter of every block, and of the last norm.",
)
def test_gradients(Encoder):
    for norm_first in (True, False):
        encoder, x = random_encoder(Encoder, norm_first, seed=1), normal(3, 6, seed=4).requires_grad_()
        inputs, what = {"x": x} | dict(encoder.named_parameters()), f"{CALL}, norm_first={norm_first})(x)"
        check_gradients(encoder(x), composed(encoder, x, norm_first, what), inputs, what=what)


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for n_layers below 1 and for what a block refuses.",
)
def test_bad_arguments(Encoder):
    encoder = random_encoder(Encoder, True)
    check_shape(encoder(normal(4, 6, seed=5)), (4, 6), what=f"{CALL})(x)")
    for bad in [
        (0, 4, 2, 5),
        (2, 4, 3, 5),
        (2, 4, 2, 0),
        (2, 4, 2, 5, True, 2.0),
        (2, 4, 2, 5, True, 0.0, "tanh"),
    ]:
        check_raises(ValueError, Encoder, *bad, what=f"Encoder{bad}")
    check_raises(ValueError, encoder, normal(4, 5, seed=6), what=f"{CALL})(x) with x of shape (4, 5)")
