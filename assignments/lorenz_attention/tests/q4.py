"""q4: attention(q, k, v, mask=None), against PyTorch's own, and how an AttentionForecaster behaves."""

import math

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import (
    check_close,
    check_dtype,
    check_gradients,
    check_raises,
    check_shape,
    check_slopes,
    check_tuple,
    check_unchanged,
)

OK_FORMAT = False
name = "q4"
all_or_nothing = False
CALL = "attention(q, k, v)"
MODEL = "AttentionForecaster(d=2, length=6)"
NAMES = ("output", "weights")


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def qkv(*lead, seed, dtype=torch.float64):
    """Queries, keys and values whose sizes all differ: L_q 3, L_k 5, d_k 6, d_v 2."""
    return tuple(
        normal(*lead, *size, seed=seed + i, dtype=dtype) for i, size in enumerate([(3, 6), (5, 6), (5, 2)])
    )


def oracle(q, k, v, mask=None):
    """Output and weights; correct forms differ by at most 4.7e-15 in float64 and 1e-6 in float32 at these sizes."""
    identity = torch.eye(k.shape[-2], dtype=k.dtype).expand(*k.shape[:-1], k.shape[-2])
    return tuple(F.scaled_dot_product_attention(q, k, values, attn_mask=mask) for values in (v, identity))


def check_pair(found, expected, *, tolerance=1e-9, what):
    for label, part, right in zip(NAMES, check_tuple(found, NAMES, what=what), expected, strict=True):
        check_close(part, right, tolerance=tolerance, what=f"the {label} of {what}")


def forecaster(AttentionForecaster, d=2, length=6):
    """A forecaster in eval mode; its parameters are moved by random numbers, since some start as zeros."""
    model = AttentionForecaster(d, length).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


@test_case(
    name="attention worked out by hand",
    points=2,
    hidden=False,
    failure_message="The dot products are 2 ln 3 and 0; over sqrt(4) = 2 they are ln 3 and 0; the "
    "weights are 3/4 and 1/4, "
    "the output 3/4 * 4 + 1/4 * 8 = 5. Return both: (output, weights).",
)
def test_hand(attention):
    q, k, v = torch.tensor([[2 * math.log(3), 0.0, 0.0, 0.0]]), torch.eye(4)[:2], torch.tensor([[4.0], [8.0]])
    expected = (torch.tensor([[5.0]]), torch.tensor([[0.75, 0.25]]))
    check_pair(attention(q, k, v), expected, tolerance=1e-5, what=CALL)


@test_case(
    name="one forecast for each window",
    points=2,
    hidden=False,
    failure_message="forward takes windows (B, length, d) and returns the next sample of each, (B, "
    "d). It must work for a "
    "batch of 1 as well.",
)
def test_forecaster_shape(AttentionForecaster):
    for d, length in [(3, 8), (1, 16)]:
        call, model = f"AttentionForecaster({d}, {length})", AttentionForecaster(d, length)
        for batch in (5, 1):
            found = model(normal(batch, length, d, seed=0, dtype=torch.float32))
            check_shape(found, (batch, d), what=f"{call}(windows) with windows of shape {(batch, length, d)}")


@test_case(
    name="values, with and without leading dimensions",
    points=2,
    hidden=True,
    failure_message="Divide by sqrt(d_k), the length of a key. The softmax runs over the keys, the "
    "last dimension of the "
    "scores; elements of a batch have nothing to do with each other.",
)
def test_values(attention):
    for lead in [(), (4,), (2, 3)]:
        inputs = qkv(*lead, seed=1)
        check_pair(attention(*inputs), oracle(*inputs), what=f"{CALL} with leading dimensions {lead}")


@test_case(
    name="masks",
    points=1,
    hidden=True,
    failure_message="mask[i, j] = True: query i may attend to key j. Forbidden keys get no weight, "
    "the others share all of it.",
)
def test_masks(attention):
    inputs = qkv(2, seed=2)
    for mask in (torch.ones(3, 5, dtype=torch.bool).tril(2), normal(2, 3, 5, seed=3) > 0):
        mask[..., 0] = True
        what = f"attention(q, k, v, mask) with a mask of shape {tuple(mask.shape)}"
        check_pair(attention(*inputs, mask), oracle(*inputs, mask), what=what)


@test_case(
    name="gradients, float32, large scores",
    points=2,
    hidden=True,
    failure_message="The output must be differentiable with respect to q, k and v, have the dtype of "
    "q, and be finite for "
    "scores of 150 (torch.softmax is).",
)
def test_gradients_and_precision(attention):
    leaves = [part.requires_grad_() for part in qkv(2, seed=4)]
    expected = oracle(*leaves)[0]
    output = check_tuple(attention(*leaves), NAMES, what=CALL)[0]
    check_gradients(output, expected, dict(zip("qkv", leaves, strict=True)), what=f"the output of {CALL}")
    mask = torch.ones(3, 5, dtype=torch.bool).tril(2)
    expected = oracle(*leaves, mask)[0]
    output = check_tuple(attention(*leaves, mask), NAMES, what="attention(q, k, v, mask)")[0]
    what = "the output of attention(q, k, v, mask)"
    check_gradients(output, expected, dict(zip("qkv", leaves, strict=True)), what=what)
    inputs = qkv(2, seed=5, dtype=torch.float32)
    check_pair(attention(*inputs), oracle(*inputs), tolerance=1e-5, what=f"{CALL} in float32")
    large = tuple(12 * part for part in inputs)
    # absolute, for outputs up to 30: a score of 150 is itself rounded by 1e-5
    check_pair(attention(*large), oracle(*large), tolerance=5e-3, what=f"{CALL} with large scores")


@test_case(
    name="each window by itself",
    points=1,
    hidden=True,
    failure_message="A forecast must not depend on which other windows are in the batch, nor change "
    "them. Look for a softmax, "
    "mean or norm over dimension 0.",
)
def test_windows_are_independent(AttentionForecaster):
    model, windows = forecaster(AttentionForecaster), normal(4, 6, 2, seed=6, dtype=torch.float32)
    before = windows.clone()
    together = check_shape(model(windows), (4, 2), what=f"{MODEL}(windows)")
    check_dtype(together, windows.dtype, what=f"{MODEL}(windows)")
    check_unchanged(before, windows, what=f"windows in {MODEL}(windows)")
    # float32: products of another shape may add in another order
    for part in (slice(1, 2), slice(2, 4)):
        what = f"{MODEL} of windows {part.start} to {part.stop - 1} of a batch, by themselves,"
        check_close(model(windows[part]), together[part].detach(), tolerance=1e-4, what=what)


@test_case(
    name="gradients of all weights",
    points=1,
    hidden=True,
    failure_message="Nothing on the way from the weights to the forecast may be detached.",
)
def test_slopes(AttentionForecaster):
    model, windows = forecaster(AttentionForecaster), normal(4, 6, 2, seed=10, dtype=torch.float32)
    targets = normal(4, 2, seed=11, dtype=torch.float32)

    def loss():
        return (check_shape(model(windows), (4, 2), what=f"{MODEL}(windows)") - targets).square().mean()

    start = loss()
    assert start.requires_grad, (
        f"The forecasts of {MODEL} carry no gradient: the path back to the weights is cut."
    )
    start.backward()
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and parameter.requires_grad:
            # Right models of five kinds were off by 0.013 of a typical slope at most, the worst parameter of a model
            # with something detached by 0.41 and more.
            check_slopes(parameter, loss, what=name, way="to the forecast")


@test_case(
    name="the whole window, in its order",
    points=3,
    hidden=True,
    failure_message="Every sample of the window must have a say in the forecast, and the same samples in another order "
    "must give another one: without positions, attention sees a bag of samples.",
)
def test_whole_window(AttentionForecaster):
    model, window = forecaster(AttentionForecaster), normal(1, 6, 2, seed=8, dtype=torch.float32)
    # the forecast itself, then: with sample j moved; with earlier samples in another order
    batch = window.repeat(8, 1, 1)
    for j in range(6):
        batch[1 + j, j] += 1.5
    batch[7, :5] = window[0, [3, 0, 4, 1, 2]]
    found = check_shape(model(batch), (8, 2), what=f"{MODEL}(windows)").detach()
    change = (found - found[0]).abs().amax(-1)
    # rounding is below 1e-5; over 20 draws of its parameters the reference's smallest change is 2e-3
    still = [j for j in range(6) if not change[1 + j] > 1e-4]
    assert not still, (
        f"Sample {still[0]} of the window (of samples 0 to 5, 5 is the newest) has no influence on "
        f"the forecast of {MODEL}:"
        " it does not attend to the whole window."
    )
    assert change[7] > 1e-4, (
        f"With samples 0 to 4 of the window in another order, the forecast of {MODEL} stays the same: it does not know"
        " the order. Add something to each sample's vector that depends on its position."
    )


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: keys of another width, keys without values, a "
    "mask of numbers; sizes "
    "below 1; windows that are not (B, length, d).",
)
def test_bad_arguments(attention, AttentionForecaster):
    q, k, v = qkv(seed=9)
    check_raises(
        ValueError, attention, q[:, :4], k, v, what="attention with queries of width 4 and keys of width 6"
    )
    check_raises(ValueError, attention, q, k, v[:4], what="attention with 5 keys and 4 values")
    check_raises(ValueError, attention, q, k, v, torch.ones(3, 5), what="attention with a mask of numbers")
    check_raises(ValueError, AttentionForecaster, 0, 6, what="AttentionForecaster(d=0, length=6)")
    check_raises(ValueError, AttentionForecaster, 2, 0, what="AttentionForecaster(d=2, length=0)")
    model = AttentionForecaster(2, 6)
    check_shape(model(torch.zeros(2, 6, 2)), (2, 2), what=f"{MODEL}(windows)")
    found = AttentionForecaster(2, 1)(torch.zeros(3, 1, 2))
    check_shape(found, (3, 2), what="AttentionForecaster(2, 1)(windows) with windows of shape (3, 1, 2)")
    for shape in [(2, 5, 2), (2, 6, 3), (6, 2)]:
        check_raises(ValueError, model, torch.zeros(shape), what=f"{MODEL} with windows of shape {shape}")
