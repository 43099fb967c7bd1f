"""q8: gradient_norms(encoder, x, target) and stream_rms(encoder, x), judged through the student's own Encoder."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q8"
all_or_nothing = False
# Norms and root mean squares of order 1 in float64; ways to sum differ by 1e-15.


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def random_encoder(Encoder, n_layers, norm_first, dtype=torch.float64):
    """An encoder in eval mode whose parameters are all random."""
    encoder = Encoder(n_layers, 6, 2, 5, norm_first).to(dtype)
    with torch.no_grad():
        for i, tensor in enumerate(encoder.parameters()):
            tensor.add_(normal(*tensor.shape, seed=i, dtype=dtype) * 0.5)
    return encoder.eval()


def norms(encoder, x, target):
    """By autograd, through the student's encoder."""
    matrices = [tensor for name, tensor in encoder.named_parameters() if name.endswith("feed_forward.W_2")]
    out = check_shape(encoder(x), x.shape, what="encoder(x)")
    gradients = torch.autograd.grad((out - target).square().mean(), matrices)
    return torch.stack([gradient.square().sum().sqrt() for gradient in gradients])


@torch.no_grad()
def sizes(encoder, x):
    found = [x.square().mean().sqrt()]
    for block in encoder.blocks.children():
        x = check_shape(block(x), x.shape, what="a block of the encoder")
        found.append(x.square().mean().sqrt())
    return torch.stack(found)


@test_case(
    name="one number for each block",
    points=1,
    hidden=False,
    failure_message="gradient_norms gives n_layers numbers, stream_rms one more; neither has a gradient of "
    "its own (detach). Here no norm is 0.",
)
def test_shapes(Encoder, gradient_norms, stream_rms):
    encoder, x, target = random_encoder(Encoder, 3, True), normal(4, 6, seed=0), normal(4, 6, seed=1)
    for what, found, n in [
        ("gradient_norms(encoder, x, target)", gradient_norms(encoder, x, target), 3),
        ("stream_rms(encoder, x)", stream_rms(encoder, x), 4),
    ]:
        found = check_shape(found, (n,), what=f"{what} with 3 blocks")
        assert not found.requires_grad, f"{what} must not require grad itself: detach it."
        assert (found > 0).all(), f"{what} is {found.tolist()}, but numbers above 0 were expected."


@test_case(
    name="blocks that add nothing, by hand",
    points=2,
    hidden=False,
    failure_message="If both sublayers add 0, a pre-norm stream stays (3, 4, 3, 4, 3, 4), whose mean square "
    "is 12.5. In post-norm it is normalised by the first block: 1, 1, 1.",
)
def test_hand(Encoder, stream_rms):
    x = torch.tensor([[3.0, 4.0, 3.0, 4.0, 3.0, 4.0]], dtype=torch.float64)
    for norm_first, expected in [(True, [12.5**0.5] * 4), (False, [12.5**0.5, 1, 1, 1])]:
        encoder = Encoder(3, 6, 2, 5, norm_first).double().eval()
        with torch.no_grad():
            for name, tensor in encoder.named_parameters():
                if name.endswith(("W_O", "b_O", "W_2", "b_2")):
                    tensor.zero_()
        what = (
            f"stream_rms(encoder, [[3, 4, 3, 4, 3, 4]]) with norm_first={norm_first}, where all blocks add 0,"
        )
        # eps = 1e-5 beside a variance of 1/4: 2e-5
        check_close(
            stream_rms(encoder, x), torch.tensor(expected, dtype=torch.float64), tolerance=1e-4, what=what
        )


@test_case(
    name="gradient norms, pre-norm and post-norm",
    points=2,
    hidden=True,
    failure_message="The Frobenius norm (the root of the sum of all squares) of the gradient of the mean "
    "squared distance with respect to feed_forward.W_2, first block first. A second call gives the same: "
    "nothing may be left in .grad.",
)
def test_gradient_norms(Encoder, gradient_norms):
    for n_layers, norm_first, shape in [(3, True, (5, 6)), (2, False, (2, 3, 6)), (1, True, (4, 6))]:
        encoder = random_encoder(Encoder, n_layers, norm_first)
        x, target = normal(*shape, seed=2), normal(*shape, seed=3)
        expected = norms(encoder, x, target)
        what = f"gradient_norms(encoder, x, target), {n_layers} blocks, norm_first={norm_first}, x {shape},"
        check_close(gradient_norms(encoder, x, target), expected, what=what)
        again = check_shape(gradient_norms(encoder, x, target), (n_layers,), what=what)
        if (again - 2 * expected).abs().max() < 1e-9:
            raise Mistake("left_in_grad", f"{what} is twice as large when it is called again.")
        check_close(again, expected, what=f"{what} called again,")


@test_case(
    name="the size of the stream",
    points=1,
    hidden=True,
    failure_message="The root mean square of all numbers of x, and of what leaves each block, before any "
    "last norm. The result carries no gradient, also where x does.",
)
def test_stream(Encoder, stream_rms):
    for n_layers, norm_first, shape in [(3, True, (5, 6)), (2, False, (2, 3, 6)), (1, True, (4, 6))]:
        encoder = random_encoder(Encoder, n_layers, norm_first)
        x = normal(*shape, seed=4) * 2 + 1
        what = f"stream_rms(encoder, x), {n_layers} blocks, norm_first={norm_first}, x of shape {shape},"
        check_close(stream_rms(encoder, x), sizes(encoder, x), what=what)
        found = stream_rms(encoder, x.requires_grad_())
        assert not found.requires_grad, f"{what} requires grad where x does: detach it."


@test_case(
    name="float32; nothing is changed",
    points=1,
    hidden=True,
    failure_message="dtype follows the parameters. Looking at an encoder changes neither it nor x and "
    "target.",
)
def test_unchanged(Encoder, gradient_norms, stream_rms):
    encoder = random_encoder(Encoder, 2, True, torch.float32)
    x, target = (normal(4, 6, seed=seed, dtype=torch.float32) for seed in (5, 6))
    kept = {"x": (x, x.clone()), "target": (target, target.clone())}
    kept |= {name: (tensor, tensor.detach().clone()) for name, tensor in encoder.named_parameters()}
    what = "gradient_norms(encoder, x, target) in float32"
    check_close(gradient_norms(encoder, x, target), norms(encoder, x, target), tolerance=1e-4, what=what)
    check_close(
        stream_rms(encoder, x), sizes(encoder, x), tolerance=1e-4, what="stream_rms(encoder, x) in float32"
    )
    for label, (after, before) in kept.items():
        check_unchanged(before, after.detach(), what=label)


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a target of another shape than x (also one that "
    "would broadcast), and for an empty x in stream_rms.",
)
def test_bad_arguments(Encoder, gradient_norms, stream_rms):
    encoder, x = random_encoder(Encoder, 2, True), normal(4, 6, seed=7)
    check_shape(gradient_norms(encoder, x, x), (2,), what="gradient_norms(encoder, x, x)")
    for shape in [(6,), (1, 6), (4, 1)]:
        what = f"gradient_norms(encoder, x, target) with x of shape (4, 6), target of shape {shape}"
        check_raises(ValueError, gradient_norms, encoder, x, normal(*shape, seed=8), what=what)
    check_raises(ValueError, stream_rms, encoder, x[:0], what="stream_rms(encoder, x) with x of shape (0, 6)")
