"""q4: class Denoiser(nn.Module), forward(x_t, t, temperature) -> noise."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_dtype, check_shape, check_slopes, check_unchanged

OK_FORMAT = False
name = "q4"
all_or_nothing = False

CALL = "Denoiser()(x_t, t, temperature)"


def inputs(n, seed, size=8):
    """Noisy boards, times and temperatures."""
    g = torch.Generator().manual_seed(seed)
    temperature = 1.5 + 2 * torch.rand(n, generator=g)
    return torch.randn(n, size, size, generator=g), torch.randint(50, (n,), generator=g), temperature


def built(Denoiser):
    """A network that has something to learn."""
    model = Denoiser()
    assert any(parameter.requires_grad for parameter in model.parameters()), (
        "Denoiser() has no parameters: it is not implemented yet, or its layers are not attributes of self."
    )
    return model


def shaken(Denoiser, seed=0):
    """A network in eval mode, its parameters moved a little: layers that start at zero say nothing yet."""
    model, g = Denoiser(), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=g))
    return model.eval()


def largest(difference):
    return float(difference.detach().abs().max())


@test_case(
    name="shape and dtype of the guess",
    points=1,
    hidden=False,
    failure_message="forward takes boards (B, L, L), times (B,) and temperatures (B,), and gives one number "
    "for each site, (B, L, L). If your convolutions need a channel dimension, add it inside and take it away "
    "again.",
)
def test_shape(Denoiser):
    model = built(Denoiser)
    for n in (3, 1):
        x_t, t, temperature = inputs(n, seed=1)
        found = check_shape(model(x_t, t, temperature), (n, 8, 8), what=f"{CALL} with {n} boards of 8 x 8")
        check_dtype(found, x_t.dtype, what=CALL)


@test_case(
    name="parameters that can learn",
    points=1,
    hidden=False,
    failure_message="The gradient of the error must reach the parameters: no detach, no numpy, no "
    "torch.no_grad() in forward, and layers kept as attributes of self.",
)
def test_learns(Denoiser):
    model = built(Denoiser)
    parameters = [p for p in model.parameters() if p.requires_grad]
    x_t, t, temperature = inputs(4, seed=2)
    guess = check_shape(model(x_t, t, temperature), (4, 8, 8), what=CALL)
    assert guess.requires_grad, f"{CALL} carries no gradient: the path back to the parameters is cut."
    (guess - torch.ones(4, 8, 8)).square().mean().backward()
    reached = [p for p in parameters if p.grad is not None and p.grad.count_nonzero()]
    assert reached, "No parameter of Denoiser() gets a gradient."


@test_case(
    name="gradients of all weights",
    points=1,
    hidden=True,
    failure_message="Nothing on the way from the weights to the guess may be detached.",
)
def test_slopes(Denoiser):
    model, (x_t, t, temperature) = shaken(Denoiser, seed=3), inputs(4, seed=6)

    def loss():
        return (check_shape(model(x_t, t, temperature), (4, 8, 8), what=CALL) - 1).square().mean()

    start = loss()
    assert start.requires_grad, f"{CALL} carries no gradient: the path back to the parameters is cut."
    start.backward()
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2 and parameter.requires_grad:
            # Right models of five kinds were off by 0.013 of a typical slope at most, the worst parameter of a model
            # with something detached by 0.5 and more.
            check_slopes(parameter, loss, what=name, way="to the guess")


@test_case(
    name="the guess depends on the board, the time and the temperature",
    points=1,
    hidden=True,
    failure_message="The same noisy board means different things at different times and temperatures: the "
    "network must use all three of its inputs.",
)
def test_depends(Denoiser):
    model = shaken(Denoiser)
    x_t, t, temperature = inputs(6, seed=3)
    base = check_shape(model(x_t, t, temperature), (6, 8, 8), what=CALL)
    assert base.isfinite().all(), f"{CALL} holds NaN or infinity."
    cool, late = torch.full((6,), 1.5), torch.full((6,), 49)
    by_time = largest(model(x_t, late, cool) - model(x_t, torch.zeros(6).long(), cool))
    if by_time == 0:
        raise Mistake("ignores_time", "The guess is the same at t = 0 and at t = 49.")
    by_heat = largest(model(x_t, late, torch.full((6,), 3.5)) - model(x_t, late, cool))
    if by_heat == 0:
        raise Mistake("ignores_temperature", "The guess is the same at T = 1.5 and at T = 3.5.")
    assert largest(model(-x_t, t, temperature) - base) > 0, "The guess is the same for x_t and for -x_t."


@test_case(
    name="each board for itself, the same every time",
    points=1,
    hidden=True,
    failure_message="In eval mode the network is deterministic, and its answer for one board must not depend "
    "on the other boards of the batch (batch normalisation and sums over the batch do that). Its dtype is that of "
    "the parameters: make constants with dtype=x_t.dtype.",
)
def test_batch(Denoiser):
    model = shaken(Denoiser, seed=1)
    x_t, t, temperature = inputs(5, seed=4)
    before = x_t.clone()
    whole = check_shape(model(x_t, t, temperature), (5, 8, 8), what=CALL)
    scale = 1e-4 * (1 + largest(whole))  # float32; other batches take other routes through the library
    check_unchanged(before, x_t, what="x_t in forward")
    check_close(model(x_t, t, temperature), whole, tolerance=scale, what=f"{CALL} the second time")
    others = torch.cat([x_t[:1], -3 * x_t[1:]])
    if largest(model(others, t, temperature)[:1] - whole[:1]) > scale:
        raise Mistake(
            "mixes_the_batch", "The guess for the first board changes when the other boards of the batch do."
        )
    alone = model(x_t[2:3], t[2:3], temperature[2:3])
    check_close(
        alone, whole[2:3].detach(), tolerance=scale, what=f"{CALL} for one board of the batch, alone,"
    )
    what = f"{CALL} after Denoiser().double()"
    exact = check_shape(model.double()(x_t.double(), t, temperature.double()), (5, 8, 8), what=what)
    check_dtype(exact, torch.float64, what=what)


@test_case(
    name="parameters can be saved and loaded",
    points=1,
    hidden=True,
    failure_message="Denoiser() without arguments must build the same architecture every time, so that a "
    "state_dict of one instance fits another, and everything that the answer depends on must be in it.",
)
def test_state(Denoiser):
    first, second = shaken(Denoiser, seed=2), Denoiser().eval()
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    x_t, t, temperature = inputs(3, seed=5)
    expected = check_shape(first(x_t, t, temperature), (3, 8, 8), what=CALL).detach()
    found = second(x_t, t, temperature)
    check_close(
        found, expected, tolerance=1e-5 * (1 + largest(expected)), what=f"{CALL} after load_state_dict"
    )
