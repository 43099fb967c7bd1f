"""What several tests of one submission share: the trained network, and boards that come out of it.

Everything here is plain data. The data of the judge come from its own heat bath, whose equilibrium is held against
the exact solution in the project's tests.
"""

import torch

from autograder.checks import ising

SIZE, TEMPERATURES = 8, (1.5, 2.269185, 3.5)
BETAS = torch.linspace(0.002, 0.4, 50)
STEPS = 1500  # CALIBRATION B5: 600 steps pass as well, with half the margin
BOARDS = 500  # of `generated`, at each temperature: the limits in q9 were measured with it
SWEEPS = 60  # from half up, half down, equilibrium at L = 8 is reached within 20 (CALIBRATION A2)


def _boards(n, seed):
    """Boards in equilibrium, n at each temperature, and their temperatures."""
    generator = torch.Generator().manual_seed(seed)
    boards = [ising.heat_bath(n, SIZE, temperature, SWEEPS, generator) for temperature in TEMPERATURES]
    return torch.cat(boards), torch.tensor(TEMPERATURES).repeat_interleave(n)


def _network(Denoiser, state):
    """The student's network with these parameters, in eval mode."""
    model = Denoiser()
    try:
        model.load_state_dict(state)
    except (RuntimeError, KeyError) as error:
        first = " ".join(str(error).split())[:200]
        raise AssertionError(
            "weights.safetensors does not fit Denoiser(): it was written by another version of the class, perhaps."
            f" Run the training cell again and hand in the new file. ({first})"
        ) from None
    return model.eval()


def trained(Denoiser, train, weights):
    """The parameters of the trained network: those handed in, or, without a file, those of a training run here."""
    if weights is not None:
        return weights
    model = Denoiser()
    spins, temperature = _boards(2000, seed=1)
    train(model, spins, temperature, BETAS, STEPS, 0)
    return {name: value.clone() for name, value in model.state_dict().items()}


def generated(Denoiser, sample, trained):
    """Boards of the trained network by the student's own `sample`, as they come out: temperature -> (500, 8, 8)."""
    model = _network(Denoiser, trained)
    found = {}
    for number, temperature in enumerate(TEMPERATURES):
        generator = torch.Generator().manual_seed(100 + number)
        boards = sample(model, BOARDS, SIZE, temperature, BETAS, generator)
        if not isinstance(boards, torch.Tensor) or boards.shape != (BOARDS, SIZE, SIZE):
            shape = tuple(boards.shape) if isinstance(boards, torch.Tensor) else type(boards).__name__
            raise AssertionError(
                f"sample(model, {BOARDS}, {SIZE}, ...) gave {shape}, expected ({BOARDS}, {SIZE}, {SIZE})."
            )
        found[temperature] = boards.detach().float()
    return found


def spins(generated):
    """The signs of `generated`, small enough to be kept for the figures: temperature -> (500, 8, 8), int8."""
    return {
        temperature: torch.where(boards > 0, 1, -1).to(torch.int8)
        for temperature, boards in generated.items()
    }


def reverse_process(Denoiser, trained):
    """100 boards at each temperature by the judge's own reverse process, all in one batch.

    Returns:
        {"boards": temperature -> (100, 8, 8), "snapshots": t -> one board of each temperature, (3, 8, 8)}; the noise at
        the start has the key 50.
    """
    model, n = _network(Denoiser, trained), 100
    generator = torch.Generator().manual_seed(200)
    temperature = torch.tensor(TEMPERATURES).repeat_interleave(n)
    x = torch.randn(len(temperature), SIZE, SIZE, generator=generator)
    snapshots = {len(BETAS): x[::n]}
    alpha_bar = torch.cumprod(1 - BETAS, 0)
    for t in reversed(range(len(BETAS))):
        with torch.no_grad():
            guess = model(x, torch.full((len(x),), t), temperature)
        x = (x - BETAS[t] / (1 - alpha_bar[t]).sqrt() * guess) / (1 - BETAS[t]).sqrt()
        if t:
            variance = BETAS[t] * (1 - alpha_bar[t - 1]) / (1 - alpha_bar[t])
            x = x + variance.sqrt() * torch.randn(x.shape, generator=generator)
        snapshots[t] = x[::n]
    return {"boards": dict(zip(TEMPERATURES, x.split(n), strict=True)), "snapshots": snapshots}


def snapshots(reverse_process):
    """One board of each temperature on its way out of noise: t -> (3, 8, 8)."""
    return reverse_process["snapshots"]


def held_out_losses(Denoiser, trained):
    """The mean squared error of the guessed noise on new boards of the judge's: temperature -> float."""
    model = _network(Denoiser, trained)
    x0, temperature = _boards(400, seed=2)
    generator = torch.Generator().manual_seed(3)
    t = torch.randint(len(BETAS), (len(x0),), generator=generator)
    noise = torch.randn(x0.shape, generator=generator)
    alpha_bar = torch.cumprod(1 - BETAS, 0)[t][:, None, None]
    with torch.no_grad():
        guess = model(alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise, t, temperature)
    losses = (guess - noise).square().mean((1, 2)).split(400)
    return {key: float(loss.mean()) for key, loss in zip(TEMPERATURES, losses, strict=True)}


def empty_headed(Denoiser, sample):
    """Boards by the student's `sample` from a network whose parameters are all zero, at T = 1.5: (60, 8, 8)."""
    model = Denoiser()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model.eval()
    return sample(model, 60, SIZE, 1.5, BETAS, torch.Generator().manual_seed(300)).detach().float()


def simulated_energies(metropolis):
    """The mean energy per spin of 300 chains of the student's Monte Carlo: temperature -> (mean, standard error)."""
    start, found = torch.ones(300, SIZE, SIZE), {}
    start[::2] = -1
    for number, temperature in enumerate((1.5, 1.8, 2.1, 2.269185, 2.45, 2.7, 3.0, 3.5)):
        boards = metropolis(start, temperature, SWEEPS, torch.Generator().manual_seed(400 + number))
        energies = ising.energy_per_spin(boards)
        found[temperature] = float(energies.mean()), float(energies.std()) / 300**0.5
    return found
