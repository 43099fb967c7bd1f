"""The exact Ising values: three methods against each other, against published numbers, and against a sampler."""

import math

import pytest
import torch

from autograder.checks import ising
from autograder.checks.statistics import Estimate, independent_mean, standard_errors_apart

TEMPERATURES = [0.7, 1.5, 2.0, 2.269185, ising.CRITICAL_TEMPERATURE, 2.6, 3.5, 8.0]

# Energy and specific heat per spin of L x L tori, from Kaufman's sum with 40 digits.
TABLE = {
    (8, 1.5): (-1.951115, 0.197296), (8, 2.0): (-1.745683, 0.714123), (8, 2.269185): (-1.491589, 1.145559),
    (8, 2.6): (-1.118971, 0.961440), (8, 3.0): (-0.841315, 0.483966), (8, 3.5): (-0.664905, 0.261984),
    (8, 4.0): (-0.558491, 0.174251), (12, 1.5): (-1.951117, 0.197275), (12, 2.269185): (-1.465961, 1.352950),
    (12, 4.0): (-0.557298, 0.171291), (16, 2.0): (-1.745531, 0.725509), (16, 2.269185): (-1.453065, 1.498704),
    (16, 3.5): (-0.660133, 0.247824),
}  # fmt: skip

# <|m|>, <m^2>, <m^4>/<m^2>^2 and G(1 .. 4) for L = 8, from a transfer matrix in momentum sectors.
MOMENTS = {
    1.5: (0.986498, 0.973815, 1.00242, (0.97556, 0.97342, 0.97321, 0.97319)),
    2.269185: (0.777331, 0.646912, 1.16086, (0.74579, 0.66479, 0.63431, 0.62605)),
    3.5: (0.251331, 0.094999, 2.54401, (0.33245, 0.12825, 0.06033, 0.04367)),
}


def difference(one, other):
    """The largest difference between two sets of exact values."""
    return max(
        abs(one.energy - other.energy),
        abs(one.specific_heat - other.specific_heat),
        float((one.probabilities - other.probabilities).abs().max()),
        float((one.correlation - other.correlation).abs().max()),
        float((one.magnetizations - other.magnetizations).abs().max()),
    )


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_enumeration_agrees_with_the_transfer_matrix(size, temperature):
    """Every number of both, for even and odd L."""
    one, other = ising.enumerate_all(size, temperature), ising.transfer_matrix(size, temperature)
    assert difference(one, other) < 1e-12


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_kaufman_agrees_with_enumeration(size, temperature):
    """The closed form against the sum over all configurations."""
    energy, specific_heat = ising.kaufman(size, temperature)
    every = ising.enumerate_all(size, temperature)
    assert energy == pytest.approx(every.energy, abs=1e-12)
    assert specific_heat == pytest.approx(every.specific_heat, abs=1e-12)


@pytest.mark.parametrize("temperature", [1.5, ising.CRITICAL_TEMPERATURE, 3.5])
@pytest.mark.parametrize("size", [5, 6, 7, 8])
def test_kaufman_agrees_with_the_transfer_matrix(size, temperature):
    """The energies of two methods that share nothing; and two ways to <m^2>, from P(m) and from correlations."""
    exact = ising.transfer_matrix(size, temperature)
    assert exact.energy == pytest.approx(ising.kaufman(size, temperature)[0], abs=1e-12)
    assert float(exact.probabilities.sum()) == pytest.approx(1, abs=1e-12)
    assert float(exact.probabilities @ exact.magnetizations) == pytest.approx(0, abs=1e-12)
    values, probabilities = exact.abs_magnetization()
    assert float(values @ probabilities) == pytest.approx(exact.moment(1), abs=1e-12)


@pytest.mark.parametrize(("size", "temperature"), TABLE)
def test_table_of_energies(size, temperature):
    """To all printed digits."""
    assert ising.kaufman(size, temperature) == pytest.approx(TABLE[size, temperature], abs=5.1e-7)


@pytest.mark.parametrize("temperature", MOMENTS)
def test_table_of_moments(temperature):
    """To all printed digits."""
    exact = ising.transfer_matrix(8, temperature)
    first, second, ratio, correlation = MOMENTS[temperature]
    assert exact.moment(1) == pytest.approx(first, abs=5.1e-7)
    assert exact.moment(2) == pytest.approx(second, abs=5.1e-7)
    assert exact.moment(4) / exact.moment(2) ** 2 == pytest.approx(ratio, abs=5.1e-6)
    assert exact.correlation[1:].tolist() == pytest.approx(correlation, abs=5.1e-6)
    assert exact.correlation[0] == pytest.approx(1, abs=1e-12)


def test_large_lattices_do_not_overflow():
    """Low and high temperatures at L = 64, and Onsager's infinite lattice at the critical temperature."""
    assert ising.kaufman(64, 0.05)[0] == pytest.approx(-2, abs=1e-12)
    assert ising.kaufman(64, 1000.0)[0] == pytest.approx(-2 * math.tanh(1e-3), abs=1e-8)
    energy, _ = ising.kaufman(256, ising.CRITICAL_TEMPERATURE)
    # Ferdinand and Fisher 1969: the correction to -sqrt 2 is -0.6228 / L, to leading order
    assert (energy + math.sqrt(2)) * 256 == pytest.approx(-0.6228, abs=1e-3)


def test_specific_heat_is_the_slope_of_the_energy():
    """C = de/dT, by a central difference of fourth order."""
    h, temperature = 1e-3, 2.3
    e = {k: ising.kaufman(12, temperature + k * h)[0] for k in (-2, -1, 1, 2)}
    slope = (8 * (e[1] - e[-1]) - (e[2] - e[-2])) / (12 * h)
    assert ising.kaufman(12, temperature)[1] == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("method", [ising.kaufman, ising.transfer_matrix, ising.enumerate_all])
def test_bad_arguments(method):
    """Sizes and temperatures without meaning are refused."""
    with pytest.raises(ValueError, match="size"):
        method(1, 2.0)
    with pytest.raises(ValueError, match="temperature"):
        method(4, 0.0)


def test_sizes_that_would_take_too_long():
    """Refused rather than begun."""
    with pytest.raises(ValueError, match="L <= 8"):
        ising.transfer_matrix(9, 2.0)
    with pytest.raises(ValueError, match="L <= 4"):
        ising.enumerate_all(5, 2.0)


@pytest.mark.parametrize("temperature", [1.5, 2.269185, 3.5])
def test_heat_bath_samples_the_exact_distribution(temperature):
    """Energy, its variance, |m| and G(r) of 4000 configurations; 5 standard errors, a fixed seed."""
    exact = ising.transfer_matrix(8, temperature)
    spins = ising.heat_bath(4000, 8, temperature, 60, torch.Generator().manual_seed(1))
    energies = ising.energy_per_spin(spins)
    energy = Estimate(float(energies.mean()), exact.energy_deviation / math.sqrt(4000))
    assert standard_errors_apart(energy, exact.energy) < 5
    assert float(energies.var()) == pytest.approx(exact.energy_deviation**2, rel=0.25)
    magnetization = independent_mean(spins.mean((1, 2)).abs())
    assert standard_errors_apart(magnetization, exact.moment(1)) < 5
    for r, found in enumerate(ising.correlation_function(spins).T[1:], 1):
        assert standard_errors_apart(independent_mean(found), float(exact.correlation[r])) < 5


def test_observables_of_stripes():
    """Rows in pairs, up and down, worked out by hand."""
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0]).repeat_interleave(4).reshape(4, 4)
    assert (
        ising.energy_per_spin(stripes) == -1.0
    )  # along a row every bond is satisfied, across it every second
    assert ising.correlation_function(stripes).tolist() == [1.0, 0.5, 0.0]
    assert ising.domain_sizes(stripes) == [8, 8]
    assert ising.domain_sizes(stripes.roll(1, 0)) == [8, 8]  # a domain may reach across the seam


def test_domains_of_special_configurations():
    """One domain, a checkerboard of single sites, and a single spin turned."""
    ones = torch.ones(4, 4)
    board = (torch.arange(4)[:, None] + torch.arange(4)) % 2 * 2.0 - 1
    turned = ones.clone()
    turned[0, 0] = -1
    assert ising.domain_sizes(ones) == [16]
    assert ising.domain_sizes(board) == [1] * 16
    assert ising.domain_sizes(turned) == [15, 1]
