"""q9: domain_sizes(spins), observables(samples), and the boards of the trained network."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_raises, ising
from autograder.checks.statistics import ks_distance

OK_FORMAT = False
name = "q9"
all_or_nothing = False

KEYS = ("energy", "abs_magnetization", "histogram", "correlation", "n_domains", "largest_domain")

# Limits for 500 boards of the network at T = 1.5, 2.269185 and 3.5 (CALIBRATION B2). The largest deviations of eight
# seeds of the reference training (benchmarks/ising_seeds.py) stand beside them; all come from the training, so the
# false-fail rate is that of the training: 0 of 8 here and 0 of 16 there.
ENERGY = 0.15  # 0.047
DISTANCE = 0.20  # 0.081
CORRELATION = 0.10  # 0.024
UP = 0.25  # 0.038
RMS = (0.9, 1.1)  # 0.995 to 1.001
LARGEST = 0.05  # 0.012
DOMAINS = 0.30  # 0.10
ENERGY_OF_100 = 0.30  # 0.036; one standard error at the critical temperature is 0.030

# Domains of a board with 64 sites and the share of the largest, of 200,000 Monte Carlo boards (CALIBRATION A).
REFERENCE_DOMAINS = {1.5: (1.355, 0.9932), 2.269185: (3.293, 0.8884), 3.5: (4.540, 0.6157)}


def stripes():
    """Columns ++-- and the same moved by one, -++-: the second domain of down spins reaches across the seam."""
    first = torch.tensor([1.0, 1.0, -1.0, -1.0]).expand(4, 4)
    return torch.stack([first, first.roll(1, 1)])


def random_samples(n, size, seed):
    """Real numbers around +-1."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, size, size, generator=g) + 0.2


def spins_of(samples):
    return torch.where(samples > 0, 1.0, -1.0)


def measured(observables, samples, what):
    """The student's dict, checked for its keys."""
    found = observables(samples)
    assert found is not None, f"{what} returned None: it is not implemented yet, or its return is missing."
    assert isinstance(found, dict), f"{what} returned {type(found).__name__}, but a dict was expected."
    missing = [key for key in KEYS if key not in found]
    assert not missing, f"{what} has no {missing[0]!r}; its keys are {sorted(map(str, found))}."
    return found


def check_number(found, expected, what):
    assert isinstance(found, int | float), f"{what} is of type {type(found).__name__}; a number was expected."
    assert abs(found - expected) < 1e-4, f"{what} is {found:.6g}, but {expected:.6g} was expected."


@test_case(
    name="domains worked out by hand",
    points=2,
    hidden=False,
    failure_message="Columns ++-- have two domains of 8 sites. Moved by one column, -++-, there are still "
    "two: the last column touches the first. A checkerboard has 16 domains of 1 site, for corners do not "
    "connect.",
)
def test_domains_by_hand(domain_sizes):
    board = 1.0 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2)
    for spins, expected, label in [
        (stripes()[0], [8, 8], "columns ++--"),
        (stripes()[1], [8, 8], "columns -++-"),
        (torch.ones(4, 4), [16], "all up"),
        (board, [1] * 16, "a checkerboard"),
    ]:
        found, what = domain_sizes(spins), f"domain_sizes({label})"
        assert found is not None, (
            f"{what} returned None: it is not implemented yet, or its return is missing."
        )
        assert list(found) == expected, f"{what} is {found}, but {expected} was expected."


@test_case(
    name="two boards measured by hand",
    points=2,
    hidden=False,
    failure_message="Columns ++-- of numbers near +-1, and all 0.3 (up). Energies -1 and -2, |m| 0 and 1, "
    "two domains and one: their means are -1.5, 0.5 and 1.5. |m| is 0 in one half of the boards and 1 in the "
    "other.",
)
def test_observables_by_hand(observables):
    samples = torch.stack([1.2 * stripes()[0], torch.full((4, 4), 0.3)])
    found = measured(observables, samples, "observables(samples)")
    for key, expected in [
        ("energy", -1.5),
        ("abs_magnetization", 0.5),
        ("n_domains", 1.5),
        ("largest_domain", 0.75),
    ]:
        check_number(found[key], expected, f"observables(samples)[{key!r}]")
    shares = torch.tensor([0.5, 0, 0, 0, 0, 0, 0, 0, 0.5])
    check_close(found["histogram"].float(), shares, tolerance=1e-5, what="observables(samples)['histogram']")
    expected = torch.tensor([1.0, 0.75, 0.5])
    check_close(
        found["correlation"].float(), expected, tolerance=1e-5, what="observables(samples)['correlation']"
    )


@test_case(
    name="domains of random boards",
    points=1,
    hidden=True,
    failure_message="Domains are joined by edges, never by corners, on the torus; largest first; the sizes "
    "add up to the number of sites.",
)
def test_domains(domain_sizes):
    for number, spins in enumerate(spins_of(random_samples(12, 6, seed=1) - 0.2)):
        board = spins.to(torch.int8) if number % 2 else spins
        found, expected = domain_sizes(board), ising.domain_sizes(spins)
        text = f"domain_sizes(a random board of 6 x 6) is {found}, but {expected} was expected."
        assert found is not None and list(found) == expected, text
    for shape in [(2, 4, 4), (4, 6), (5, 5)]:
        check_raises(
            ValueError, domain_sizes, torch.ones(shape), what=f"domain_sizes(spins of shape {shape})"
        )


@test_case(
    name="random boards measured",
    points=1,
    hidden=True,
    failure_message="First the signs (a number above 0 is up), then each observable of each board, then the "
    "mean over the boards: the mean of |m| is not |the mean of m|.",
)
def test_observables(observables):
    for samples in (random_samples(40, 6, seed=2), random_samples(1, 8, seed=3).double() * 5):
        what = f"observables(samples of shape {tuple(samples.shape)})"
        found, spins = measured(observables, samples, what), spins_of(samples)
        m, domains = spins.mean((1, 2)).abs(), [ising.domain_sizes(board) for board in spins]
        check_number(found["energy"], float(ising.energy_per_spin(spins).mean()), f"{what}['energy']")
        check_number(found["abs_magnetization"], float(m.mean()), f"{what}['abs_magnetization']")
        check_number(found["n_domains"], sum(map(len, domains)) / len(spins), f"{what}['n_domains']")
        share = sum(sizes[0] for sizes in domains) / spins.numel()
        check_number(found["largest_domain"], share, f"{what}['largest_domain']")
        half = spins[0].numel() // 2
        shares = torch.bincount((m * half).round().long(), minlength=half + 1) / len(spins)
        check_close(found["histogram"].float(), shares, tolerance=1e-5, what=f"{what}['histogram']")
        expected = ising.correlation_function(spins).mean(0).float()
        check_close(found["correlation"].float(), expected, tolerance=1e-5, what=f"{what}['correlation']")


@test_case(
    name="samples that are none",
    points=1,
    hidden=True,
    failure_message="A board whose numbers are 0 is down. Raise ValueError when samples is not (n, L, L) "
    "with n at least 1 and L even and at least 4.",
)
def test_bad_samples(observables):
    some = 1.2 * stripes().relu()  # in place of down spins 0
    found = measured(observables, some, "observables(zeros and ones)")
    check_number(found["energy"], -1.0, "observables(zeros and ones)['energy']")
    found = measured(observables, torch.zeros(2, 4, 4), "observables(zeros)")
    check_number(found["energy"], -2.0, "observables(zeros)['energy']")
    check_number(found["largest_domain"], 1.0, "observables(zeros)['largest_domain']")
    for shape in [(4, 4), (0, 4, 4), (2, 4, 6), (2, 5, 5)]:
        check_raises(
            ValueError, observables, torch.ones(shape), what=f"observables(samples of shape {shape})"
        )


@test_case(
    name="the energy of your network's boards",
    points=2,
    hidden=True,
    failure_message="The numbers that come out are not near +-1, or the mean energy of 500 boards from your "
    "network, by your sample, is not that of the Ising model at this temperature. Train longer (1500 steps or "
    "more), at all three temperatures, with betas = linear_schedule(50, 0.002, 0.4).",
)
def test_network_energy(generated, reverse_process):
    for T, boards in generated.items():
        check_raw(boards, T)
        check_energy(boards, T, ENERGY, "by your sample")
    for T, boards in reverse_process["boards"].items():
        check_energy(boards, T, ENERGY_OF_100, "by the grader's own reverse process, 100 boards")


def check_raw(boards, T):
    """Numbers near +-1, before any sign: their root mean square."""
    assert boards.isfinite().all(), f"The boards at T = {T:g} hold NaN or infinity."
    rms = float(boards.square().mean().sqrt())
    assert RMS[0] < rms < RMS[1], (
        f"The root mean square of the boards at T = {T:g} is {rms:.3f}; 1 was expected."
    )


def check_energy(boards, T, limit, how):
    found, exact = float(ising.energy_per_spin(spins_of(boards)).mean()), ising.kaufman(8, T)[0]
    assert abs(found - exact) <= limit, (
        f"The energy per spin of your network's boards at T = {T:g} ({how}) is {found:.4f}, exact {exact:.4f};"
        f" a difference of {limit} is allowed."
    )


@test_case(
    name="the distribution of |m| of your network's boards",
    points=1,
    hidden=True,
    failure_message="The magnetisation of your network's boards is not distributed as that of the Ising "
    "model.",
)
def test_network_magnetization(generated):
    for T, boards in generated.items():
        m = spins_of(boards).mean((1, 2)).abs()
        values, probabilities = ising.transfer_matrix(8, T).abs_magnetization()
        distance = ks_distance(m, values, probabilities)
        means = f"{float(m.mean()):.3f}, exact {float(values @ probabilities):.3f}"
        assert distance <= DISTANCE, (
            f"At T = {T:g} the distribution of |m| is at a Kolmogorov-Smirnov distance of {distance:.3f} from the exact"
            f" one; {DISTANCE} is allowed. The mean of |m| is {means}."
        )


@test_case(
    name="the correlations of your network's boards",
    points=1,
    hidden=True,
    failure_message="Spins of your network's boards agree more, or less, than those of the Ising model do.",
)
def test_network_correlation(generated):
    for T, boards in generated.items():
        found = ising.correlation_function(spins_of(boards)).mean(0)
        exact = ising.transfer_matrix(8, T).correlation
        r = int((found - exact).abs().argmax())
        assert float((found - exact).abs().max()) <= CORRELATION, (
            f"G({r}) of your network's boards at T = {T:g} is {float(found[r]):.3f}, exact {float(exact[r]):.3f};"
            f" a difference of {CORRELATION} is allowed."
        )


@test_case(
    name="the domains of your network's boards",
    points=1,
    hidden=True,
    failure_message="Regions of equal spins on your network's boards are too many or too few, too large or "
    "too small.",
)
def test_network_domains(generated):
    for T, boards in generated.items():
        domains = [ising.domain_sizes(board) for board in spins_of(boards)]
        count, largest = sum(map(len, domains)) / len(domains), sum(s[0] for s in domains) / len(domains) / 64
        expected_count, expected_largest = REFERENCE_DOMAINS[T]
        assert abs(count / expected_count - 1) <= DOMAINS, (
            f"A board of your network at T = {T:g} has {count:.2f} domains; Monte Carlo: {expected_count:.2f}."
        )
        assert abs(largest - expected_largest) <= LARGEST, (
            f"The largest domain covers {largest:.3f} of a board of your network at T = {T:g}; Monte Carlo:"
            f" {expected_largest:.3f}."
        )


@test_case(
    name="both signs of the magnetisation",
    points=1,
    hidden=True,
    failure_message="Up and down are equally likely. If your network makes one of them only, look at the "
    "data that it was trained on: chains at low temperature keep the sign that they started with.",
)
def test_network_signs(generated):
    order = float(spins_of(generated[1.5]).mean((1, 2)).abs().mean())
    assert order > 0.8, (
        f"The mean of |m| at T = 1.5 is {order:.2f} (exact 0.99): without order there is no sign."
    )
    shares = {}
    for T, boards in generated.items():
        m = spins_of(boards).mean((1, 2))
        shares[T] = float((m > 0).double().mean() + 0.5 * (m == 0).double().mean())
    told = ", ".join(f"{share:.2f} at T = {T:g}" for T, share in shares.items())
    message = f"The share of boards with m > 0 is {told}; one half was expected."
    if shares[1.5] in (0.0, 1.0) and abs(shares[2.269185] - 0.5) > 0.45:
        raise Mistake("one_sign", message)
    assert all(abs(share - 0.5) <= UP for share in shares.values()), message


@test_case(
    name="boards of its own, from the network",
    points=1,
    hidden=True,
    failure_message="At T = 3.5 there are so many boards that no two of 500 should be equal, and a network "
    "whose parameters are all zero cannot know of order: the boards must come from the network, not from the "
    "training data.",
)
def test_network_originality(generated, empty_headed):
    check_energy(generated[3.5], 3.5, ENERGY, "by your sample")  # noise is original, too
    spins = spins_of(generated[3.5])
    distinct = len(spins.flatten(1).unique(dim=0)) / len(spins)
    # 1.000 for exact boards and for all eight seeds; at T = 1.5 a quarter is usual, so nothing is said there
    assert distinct >= 0.95, f"Only {distinct:.0%} of 500 boards at T = 3.5 are different from each other."
    blind = float(ising.energy_per_spin(spins_of(empty_headed)).mean())
    assert blind > -1.0, (
        "With all parameters of the network set to 0, the boards at T = 1.5 still have an energy per spin of"
        f" {blind:.2f}."
    )
