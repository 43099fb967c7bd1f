"""Exact values of the two-dimensional Ising model on an L x L torus, for tests of samplers and of generated spins.

J = k_B = 1 and no field: a configuration with spins s of +-1 has the energy E = -sum over bonds of s s', each of the
2 L^2 bonds counted once. Three independent methods, which the project's tests hold against each other to 1e-12:

- `kaufman`: energy and specific heat for any even or odd L, from the partition function in closed form;
- `transfer_matrix`: everything else up to L = 8, from powers of a 2^L x 2^L matrix;
- `enumerate_all`: everything for L up to 4, by summing over all 2^(L^2) configurations.
"""

import functools
import math
from dataclasses import dataclass

import torch

CRITICAL_TEMPERATURE = 2.0 / math.log1p(math.sqrt(2.0))  # Onsager 1944: 2.269185...
MAX_TRANSFER_SIZE = 8  # 0.3 s on one core; L = 10 would take two hundred times as long


@dataclass(frozen=True)
class ExactIsing:
    """Exact equilibrium averages on an L x L torus at one temperature.

    Attributes:
        size: L.
        temperature: T, in units of J / k_B.
        energy: the mean energy per spin, from -2 to 2.
        specific_heat: per spin, the variance of the energy per spin times L^2 / T^2.
        magnetizations: the possible values of the signed mean spin m, ascending, (L^2 + 1,), float64.
        probabilities: of each of them, (L^2 + 1,), float64.
        correlation: G(r) = <s_0 s_r> along an axis for r = 0 .. L // 2, not connected, float64.
    """

    size: int
    temperature: float
    energy: float
    specific_heat: float
    magnetizations: torch.Tensor
    probabilities: torch.Tensor
    correlation: torch.Tensor

    def moment(self, power: int) -> float:
        """The mean of |m|^power."""
        return float((self.magnetizations.abs() ** power * self.probabilities).sum())

    @property
    def energy_deviation(self) -> float:
        """The standard deviation of the energy per spin of a single configuration."""
        return self.temperature * math.sqrt(self.specific_heat) / self.size

    def abs_magnetization(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The possible values of |m|, ascending, and the probability of each."""
        values, place = self.magnetizations.abs().unique(return_inverse=True)
        return values, torch.zeros_like(values).index_add_(0, place, self.probabilities)


# ------------------------------------------------------------------------------------------------------ closed form


@functools.cache
def kaufman(size: int, temperature: float) -> tuple[float, float]:
    """The mean energy per spin and the specific heat per spin on the L x L torus.

    Each of the four products of the partition function is kept as its logarithm with two derivatives in K = 1 / T,
    so that nothing overflows; the factor that vanishes at the critical temperature is kept apart.

    Source: Kaufman 1949, Phys. Rev. 76, 1232; in this form Ferdinand and Fisher 1969, Phys. Rev. 185, 832.

    Args:
        size: L, at least 2.
        temperature: above 0.

    Raises:
        ValueError: size is below 2 or temperature is not above 0.
    """
    _require_torus(size, temperature)
    coupling = 1.0 / temperature
    odd = [_gamma(2 * r + 1, size, coupling) for r in range(size)]
    even = [_gamma(2 * r, size, coupling) for r in range(1, size)]
    gamma_0 = _gamma_0(coupling)
    terms = [_term(odd, None, size / 2, +1), _term(odd, None, size / 2, -1)]
    terms += [_term(even, gamma_0, size / 2, +1), _term(even, gamma_0, size / 2, -1)]
    first, second = _derivatives_of_log_sum(terms)
    sites = size * size
    first += sites / math.tanh(2 * coupling)  # of the factor (2 sinh 2K)^(N / 2)
    second -= 2 * sites / math.sinh(2 * coupling) ** 2
    return -first / sites, coupling**2 * second / sites


_Jet = tuple[float, float, float]  # a function of K and its first two derivatives


def _gamma(index: int, size: int, coupling: float) -> _Jet:
    """gamma_l of Kaufman for l > 0: cosh gamma_l = cosh 2K coth 2K - cos(pi l / L)."""
    sinh, cosh = math.sinh(2 * coupling), math.cosh(2 * coupling)
    excess = (sinh - 1) ** 2 / sinh + 2 * math.sin(math.pi * index / (2 * size)) ** 2  # cosh gamma_l - 1
    root = math.sqrt(excess * (excess + 2))  # sinh gamma_l
    slope = 2 * cosh * (1 - 1 / sinh**2)
    curvature = 4 * sinh - 4 / sinh + 8 * cosh**2 / sinh**3
    first = slope / root
    return math.log1p(excess + root), first, (curvature - (1 + excess) * first**2) / root


def _gamma_0(coupling: float) -> _Jet:
    """gamma_0 = 2K + ln tanh K, which changes its sign at the critical temperature."""
    sinh, cosh = math.sinh(2 * coupling), math.cosh(2 * coupling)
    return 2 * coupling + math.log(math.tanh(coupling)), 2 + 2 / sinh, -4 * cosh / sinh**2


def _term(gammas: list[_Jet], gamma_0: _Jet | None, half: float, sign: int) -> tuple[_Jet, _Jet]:
    """The product of 2 cosh (sign +1) or 2 sinh (sign -1) of half * gamma.

    Returns:
        (log, value): the product is exp(log) * value, both with their derivatives. `value` is 1, or the factor of
        gamma_0, which may vanish or be negative.
    """
    logs = [_log_factor(gamma, half, sign) for gamma in gammas]
    log = (sum(jet[0] for jet in logs), sum(jet[1] for jet in logs), sum(jet[2] for jet in logs))
    if gamma_0 is None:
        return log, (1.0, 0.0, 0.0)
    x, first, second = (half * part for part in gamma_0)
    same, other = math.exp(x - abs(x)), math.exp(-x - abs(x))
    even, odd = same + sign * other, same - sign * other
    return (log[0] + abs(x), log[1], log[2]), (even, first * odd, second * odd + first**2 * even)


def _log_factor(gamma: _Jet, half: float, sign: int) -> _Jet:
    """ln(e^x + sign e^-x) at x = half * gamma > 0."""
    x, first, second = (half * part for part in gamma)
    small = sign * math.exp(-2 * x)
    ratio = (1 - small) / (1 + small)
    return x + math.log1p(small), first * ratio, second * ratio + 4 * small / (1 + small) ** 2 * first**2


def _derivatives_of_log_sum(terms: list[tuple[_Jet, _Jet]]) -> tuple[float, float]:
    """The first two derivatives of ln(sum of exp(log) * value)."""
    largest = max(log[0] for log, _ in terms)
    sums = [0.0, 0.0, 0.0]
    for (log, log_1, log_2), (value, value_1, value_2) in terms:
        weight = math.exp(log - largest)
        sums[0] += weight * value
        sums[1] += weight * (value_1 + log_1 * value)
        sums[2] += weight * (value_2 + 2 * log_1 * value_1 + (log_2 + log_1**2) * value)
    first = sums[1] / sums[0]
    return first, sums[2] / sums[0] - first**2


# -------------------------------------------------------------------------------------------------- transfer matrix


@functools.cache
def transfer_matrix(size: int, temperature: float) -> ExactIsing:
    """All averages of `ExactIsing` for 2 <= L <= 8, the whole distribution of the magnetization included.

    A row of L spins is one of 2^L states; the partition function is the trace of the L-th power of the matrix V
    between neighbouring rows. An imaginary field i theta / beta turns it into the Fourier transform of P(M), which
    is inverted exactly, for M takes N + 1 values. Correlations are taken along a row.

    Source: Kramers and Wannier 1941, Phys. Rev. 60, 252.

    Args:
        size: L, from 2 to 8.
        temperature: above 0.

    Raises:
        ValueError: size is not in that range or temperature is not above 0.
    """
    _require_torus(size, temperature)
    if size > MAX_TRANSFER_SIZE:
        raise ValueError(f"the transfer matrix is built for L <= {MAX_TRANSFER_SIZE}, got {size}")
    rows = _all_spins(size)
    matrix = _row_matrix(rows, 1.0 / temperature)
    power = torch.linalg.matrix_power(matrix, size).diagonal()
    weights = power / power.sum()
    correlation = torch.stack([(rows * rows.roll(r, 1)).mean(1) @ weights for r in range(size // 2 + 1)])
    values, probabilities = _distribution(matrix, rows.sum(1))
    energy = float(-2 * correlation[1])
    _, specific_heat = kaufman(size, temperature)
    return ExactIsing(size, temperature, energy, specific_heat, values, probabilities, correlation)


def _all_spins(count: int) -> torch.Tensor:
    """All configurations of so many spins, (2^count, count), float64."""
    states = torch.arange(2**count)[:, None] >> torch.arange(count)
    return (2 * (states & 1) - 1).double()


def _row_matrix(rows: torch.Tensor, coupling: float) -> torch.Tensor:
    """V between neighbouring rows, symmetric, scaled so that its largest element is 1."""
    within = (rows * rows.roll(1, 1)).sum(1) - rows.shape[1]
    between = rows @ rows.T - rows.shape[1]
    return torch.exp(coupling * (between + (within[:, None] + within) / 2))


def _distribution(matrix: torch.Tensor, row_sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The possible magnetizations per spin and the probability of each."""
    size = matrix.shape[0].bit_length() - 1
    sites = size * size
    angles = torch.arange(sites + 1, dtype=torch.float64) * math.pi / (sites + 1)
    transform = torch.zeros(sites + 1, dtype=torch.float64)
    for number in range(sites // 2 + 1):
        phases = torch.exp(0.5j * angles[number] * row_sums)
        half = torch.linalg.matrix_power(matrix * phases[:, None] * phases, size // 2)
        rest = half if size % 2 == 0 else half @ (matrix * phases[:, None] * phases)
        value = float((half * rest.T).sum().real)
        transform[number] = value
        if number:  # theta and pi - theta differ by the sign (-1)^N: M and N have the same parity
            transform[sites + 1 - number] = value * (-1) ** sites
    totals = torch.arange(-sites, sites + 1, 2, dtype=torch.float64)
    probabilities = (torch.outer(totals, angles).cos() @ transform).clamp(min=0.0)
    return totals / sites, probabilities / probabilities.sum()


# ------------------------------------------------------------------------------------------------------ enumeration


@functools.cache
def enumerate_all(size: int, temperature: float) -> ExactIsing:
    """All averages of `ExactIsing` for L = 2, 3 or 4, by summing over every configuration.

    Args:
        size: L, from 2 to 4: 65,536 configurations.
        temperature: above 0.

    Raises:
        ValueError: size is not in that range or temperature is not above 0.
    """
    _require_torus(size, temperature)
    if size > 4:
        raise ValueError(f"enumeration is for L <= 4, got {size}")
    spins = _all_spins(size * size).reshape(-1, size, size)
    energies = -(spins * (spins.roll(1, 1) + spins.roll(1, 2))).sum((1, 2))
    weights = torch.softmax(-energies / temperature, dim=0)
    mean = weights @ energies
    variance = float(weights @ (energies - mean) ** 2)
    totals = torch.arange(-size * size, size * size + 1, 2, dtype=torch.float64)
    place = (spins.sum((1, 2)).long() + size * size) // 2
    probabilities = torch.zeros_like(totals).index_add_(0, place, weights)
    correlation = torch.stack(
        [weights @ (spins * spins.roll(r, 1)).mean((1, 2)) for r in range(size // 2 + 1)]
    )
    sites = size * size
    specific_heat = variance / temperature**2 / sites
    return ExactIsing(
        size, temperature, float(mean) / sites, specific_heat, totals / sites, probabilities, correlation
    )


def _require_torus(size: int, temperature: float) -> None:
    if size < 2:
        raise ValueError(f"size must be at least 2, got {size}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")


# ------------------------------------------------------------------------------------------- samples and observables


def energy_per_spin(spins: torch.Tensor) -> torch.Tensor:
    """-(1 / N) sum over bonds of s s', each bond once, for spins (..., L, L); the result is float64, (...)."""
    s = spins.double()
    return -(s * (s.roll(1, -1) + s.roll(1, -2))).mean((-2, -1))


def correlation_function(spins: torch.Tensor) -> torch.Tensor:
    """G(r) of each configuration for r = 0 .. L // 2, averaged over sites and both axes: (..., L // 2 + 1), float64."""
    s = spins.double()
    rolled = [s * (s.roll(r, -1) + s.roll(r, -2)) / 2 for r in range(s.shape[-1] // 2 + 1)]
    return torch.stack([product.mean((-2, -1)) for product in rolled], dim=-1)


def heat_bath(
    n: int, size: int, temperature: float, n_sweeps: int, generator: torch.Generator
) -> torch.Tensor:
    """Independent configurations: n chains of checkerboard heat-bath sweeps, every second one from all spins down.

    From that start, 20 sweeps bring L = 8 to equilibrium at every temperature tried (CALIBRATION A2); 100 are plenty.

    Source: Creutz 1980, Phys. Rev. D 21, 2308.

    Args:
        n: how many configurations.
        size: L, even.
        temperature: above 0.
        n_sweeps: updates of every spin.
        generator: where the random numbers come from.

    Returns:
        Spins of +-1, (n, size, size), float32.
    """
    sites = torch.arange(size)
    black = (sites[:, None] + sites) % 2 == 0
    spins = torch.ones(n, size, size)
    spins[1::2] = -1
    for _ in range(n_sweeps):
        for colour in (black, ~black):
            field = spins.roll(1, 1) + spins.roll(-1, 1) + spins.roll(1, 2) + spins.roll(-1, 2)
            up = torch.rand(spins.shape, generator=generator) < torch.sigmoid(2 * field / temperature)
            spins = torch.where(colour, 2.0 * up - 1, spins)
    return spins


def domain_sizes(spins: torch.Tensor) -> list[int]:
    """The sizes of the domains of one configuration (L, L), largest first.

    A domain is a set of equal spins joined by nearest-neighbour bonds, on the torus. (These are not the clusters of
    Fortuin and Kasteleyn, which cut some of the bonds.)
    """
    size = spins.shape[-1]
    values = (spins > 0).flatten().tolist()
    unseen, sizes = set(range(size * size)), []
    while unseen:
        front = [unseen.pop()]
        count = 0
        while front:
            count += 1
            site = front.pop()
            near = [n for n in _neighbours(site, size) if n in unseen and values[n] == values[site]]
            unseen.difference_update(near)
            front.extend(near)
        sizes.append(count)
    return sorted(sizes, reverse=True)


def _neighbours(site: int, size: int) -> set[int]:
    row, column = divmod(site, size)
    rows = {(row + step) % size * size + column for step in (-1, 1)}
    return rows | {row * size + (column + step) % size for step in (-1, 1)}
