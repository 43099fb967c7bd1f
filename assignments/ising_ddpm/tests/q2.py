"""q2: metropolis(spins, temperature, n_sweeps, generator=None)."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_dtype, check_raises, check_shape, check_unchanged
from autograder.checks.ising import correlation_function, energy_per_spin, kaufman, transfer_matrix
from autograder.checks.statistics import (
    Estimate,
    check_distribution,
    check_estimate,
    standard_errors_apart,
    z_limit,
)

OK_FORMAT = False
name = "q2"
all_or_nothing = False

TEMPERATURES = (1.5, 2.269185, 3.5)
CHAINS, SWEEPS = 600, 60  # from half up, half down, 20 sweeps reach equilibrium (CALIBRATION A2)
# All statistical tests of this file together fail a right sampler less than once in 10,000: energy and |m| at three
# temperatures, one distribution, four correlations, so 11 two-sided tests; benchmarks/false_fail.py counts.
FALSE_FAIL = 1e-4 / 11


def half_and_half(n, size=8, dtype=torch.float32):
    """Boards to start from: every second one all down."""
    spins = torch.ones(n, size, size, dtype=dtype)
    spins[::2] = -1
    return spins


def generator(seed):
    return torch.Generator().manual_seed(seed)


def equilibrium(metropolis, temperature, seed):
    """Boards after 60 sweeps, checked for shape and values."""
    found = metropolis(half_and_half(CHAINS), temperature, SWEEPS, generator(seed))
    check_spins(found, (CHAINS, 8, 8), "metropolis(spins, temperature, n_sweeps, generator)")
    return found


def check_spins(found, shape, what):
    """Pass if these are boards of +-1."""
    check_shape(found, shape, what=what)
    wrong = (found != 1) & (found != -1)
    assert not wrong.any(), f"{what} holds {found[wrong][0].item():.6g}; spins are +1 or -1."


def mean_energy(boards, temperature):
    """The mean energy with the standard error that exact equilibrium would have."""
    spread = transfer_matrix(8, temperature).energy_deviation
    return Estimate(float(energy_per_spin(boards).mean()), spread / math.sqrt(len(boards)))


@test_case(
    name="boards of +1 and -1, new ones",
    points=2,
    hidden=False,
    failure_message="The result is a new tensor of +1 and -1 with the shape and the dtype of the spins; the "
    "boards that came in stay as they were. Without sweeps nothing changes.",
)
def test_shape(metropolis):
    for dtype in (torch.float32, torch.int8):
        spins = half_and_half(3, 4, dtype)
        before = spins.clone()
        found = metropolis(spins, 4.0, 5, generator(0))
        check_spins(found, (3, 4, 4), "metropolis(spins, 4.0, 5)")
        assert found.dtype == dtype, f"The result has dtype {found.dtype}; the spins have {dtype}."
        check_unchanged(before, spins, what="spins in metropolis(spins, 4.0, 5)")
        # 240 proposals at T = 4, each accepted with probability 0.13 or more
        assert not torch.equal(found, before), "After 5 sweeps at T = 4 not a single spin has turned."
        check_close(
            metropolis(spins, 2.5, 0, generator(0)), before, what="metropolis(spins, 2.5, n_sweeps=0)"
        )


@test_case(
    name="one wrong spin at a very low temperature",
    points=2,
    hidden=False,
    failure_message="At T = 0.05 a spin that disagrees with all four neighbours turns over for sure, and its "
    "neighbours, which agree with three of theirs, stay. One sweep must visit every site, of both colours.",
)
def test_cold(metropolis):
    # exp(-dE / T) is e^-80 for the neighbours, and e^160 for the spin itself: still a number in Python
    for i, j in [(0, 0), (0, 1), (2, 3), (3, 3)]:
        spins = torch.ones(4, 4)
        spins[i, j] = -1
        what = f"metropolis(all up but site ({i}, {j}), T = 0.05, one sweep)"
        check_close(metropolis(spins, 0.05, 1, generator(1)), torch.ones(4, 4), what=what)


@test_case(
    name="the exact energy at three temperatures",
    points=2,
    hidden=True,
    failure_message="The mean energy of your boards is not that of the Ising model. Look at the change of "
    "the energy when one spin turns (each of its four bonds changes from -1 to +1 or back), at the acceptance "
    "probability, and at which spins are updated at the same time.",
)
def test_energy(metropolis):
    boards = {T: equilibrium(metropolis, T, seed) for seed, T in enumerate(TEMPERATURES)}
    name_the_mistake({T: energy_per_spin(board).mean().item() for T, board in boards.items()})
    for T, board in boards.items():
        what = f"the energy per spin at T = {T:g} after {SWEEPS} sweeps of {CHAINS} chains is"
        check_estimate(mean_energy(board, T), kaufman(8, T)[0], false_fail=FALSE_FAIL, what=what)


def name_the_mistake(energies):
    """Raise Mistake where energies at all three temperatures are those of a known wrong sampler.

    Most of these sample another temperature, or the antiferromagnet, exactly, so their energies are known too; 0.05 is
    four standard errors or more.
    """
    text = ", ".join(f"{e:.3f} at T = {T:g}" for T, e in energies.items())
    exact = ", ".join(f"{kaufman(8, T)[0]:.3f}" for T in energies)
    message = f"The energies per spin are {text}; exact: {exact}."

    def match(other):
        return all(abs(e - other(T)) < 0.05 for T, e in energies.items())

    if match(lambda T: kaufman(8, 2 * T)[0]):
        raise Mistake("half_the_energy_change", message)
    if match(lambda T: kaufman(8, 1 / T)[0]):
        raise Mistake("beta_for_temperature", message)
    if match(lambda T: -kaufman(8, T)[0]):
        raise Mistake("sign_of_the_energy_change", message)
    # all sites at once: its steady state, reached within 30 sweeps at these two temperatures
    if abs(energies[2.269185] - 1.648) < 0.05 and abs(energies[3.5] - 1.358) < 0.05:
        raise Mistake("all_sites_at_once", message)


@test_case(
    name="the distribution of the magnetisation",
    points=1,
    hidden=True,
    failure_message="The mean of |m|, or its distribution at the critical temperature, is not that of the "
    "Ising model.",
)
def test_magnetization(metropolis):
    for seed, T in enumerate(TEMPERATURES, 10):
        m = equilibrium(metropolis, T, seed).mean((1, 2)).abs().double()
        exact = transfer_matrix(8, T)
        spread = math.sqrt(exact.moment(2) - exact.moment(1) ** 2)
        found = Estimate(float(m.mean()), spread / math.sqrt(CHAINS))
        check_estimate(found, exact.moment(1), false_fail=FALSE_FAIL, what=f"the mean of |m| at T = {T:g} is")
        if seed == 11:
            values, probabilities = exact.abs_magnetization()
            check_distribution(
                m, values, probabilities, false_fail=FALSE_FAIL, what="|m| at the critical temperature"
            )


@test_case(
    name="correlations, and a board of another size",
    points=1,
    hidden=True,
    failure_message="On a board of 6 x 6, at a temperature between, the correlations must be those of the "
    "torus: the last column is a neighbour of the first.",
)
def test_correlation(metropolis):
    T = 2.6
    boards = metropolis(
        half_and_half(CHAINS, 6, torch.float64).reshape(2, 300, 6, 6), T, SWEEPS, generator(20)
    )
    check_spins(boards, (2, 300, 6, 6), "metropolis(spins of shape (2, 300, 6, 6), 2.6, 60)")
    found = correlation_function(boards.reshape(-1, 6, 6))
    exact = transfer_matrix(6, T)
    for r in (1, 2, 3):
        estimate = Estimate(float(found[:, r].mean()), float(found[:, r].std()) / math.sqrt(CHAINS))
        what = f"the correlation G({r}) of boards of 6 x 6 at T = {T:g} is"
        check_estimate(estimate, float(exact.correlation[r]), false_fail=FALSE_FAIL, what=what)


@test_case(
    name="chains are independent, and random numbers come from the generator",
    points=1,
    hidden=True,
    failure_message="Each site of each chain needs random numbers of its own, drawn with the generator that "
    "was given: the same state gives the same boards, another state others.",
)
def test_independence(metropolis):
    start = torch.ones(64, 8, 8)
    first, again = (metropolis(start, 3.5, 20, generator(30)) for _ in range(2))
    check_close(again, first, what="metropolis(...) with a generator in the same state, the second time,")
    check_unchanged(torch.ones(64, 8, 8), start, what="spins in metropolis(...)")
    for dtype in (torch.float64, torch.int64):
        found = metropolis(torch.ones(4, 4, dtype=dtype), 3.5, 1, generator(32))
        check_dtype(found, dtype, what=f"metropolis(spins in {dtype}, 3.5, 1)")
    other = metropolis(start, 3.5, 20, generator(31))
    assert not torch.equal(first, other), "Two generators in different states gave the same boards."
    distinct = len(first.flatten(1).unique(dim=0))
    if distinct == 1:
        raise Mistake(
            "shared_random_numbers",
            "64 chains that started alike are still alike after 20 sweeps at T = 3.5.",
        )
    # at T = 3.5 there are so many boards that no two of 500 were ever equal (CALIBRATION B4)
    assert distinct == 64, f"Only {distinct} of 64 boards at T = 3.5 differ from each other."
    # m has a standard deviation of 0.31 at T = 3.5; random numbers shared by the chains would leave it in their mean
    spread = math.sqrt(transfer_matrix(8, 3.5).moment(2) / 64)
    apart = standard_errors_apart(Estimate(float(first.mean()), spread), 0.0)
    assert apart < z_limit(FALSE_FAIL), (
        f"The chains are not independent: the mean of all spins is {float(first.mean()):.3f}, {apart:.1f} standard"
        " errors from 0."
    )


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for boards that are not square, have an odd L (two "
    "squares of one colour meet at the seam) or L below 4, for a temperature that is not above 0, and for a "
    "negative n_sweeps.",
)
def test_bad_arguments(metropolis):
    for shape in [(4,), (4, 6), (2, 5, 5), (2, 2)]:
        what = f"metropolis(spins of shape {shape}, 2.0, 1)"
        check_raises(ValueError, metropolis, torch.ones(shape), 2.0, 1, what=what)
    for temperature in (0.0, -1.0):
        what = f"metropolis(spins, temperature={temperature}, n_sweeps=1)"
        check_raises(ValueError, metropolis, torch.ones(4, 4), temperature, 1, what=what)
    check_raises(
        ValueError, metropolis, torch.ones(4, 4), 2.0, -1, what="metropolis(spins, 2.0, n_sweeps=-1)"
    )
