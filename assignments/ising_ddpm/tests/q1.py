"""q1: energy(spins), magnetization(spins), correlation(spins)."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_unchanged
from autograder.checks.ising import enumerate_all

OK_FORMAT = False
name = "q1"
all_or_nothing = False


def one_turned():
    """A 4 x 4 board, all up but one spin."""
    spins = torch.ones(4, 4, dtype=torch.float64)
    spins[1, 2] = -1
    return spins


def random_spins(*shape, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randint(2, shape, generator=generator) - 1).to(dtype)


def oracle_energy(spins):
    """The bonds one by one, by their indices: nothing that rolls."""
    size, total = spins.shape[-1], 0.0
    for i in range(size):
        for j in range(size):
            near = spins[..., (i + 1) % size, j] + spins[..., i, (j + 1) % size]
            total = total - spins[..., i, j] * near
    return total / size**2


def oracle_correlation(spins):
    """The pairs one by one."""
    size, rows = spins.shape[-1], []
    for r in range(size // 2 + 1):
        total = 0.0
        for i in range(size):
            for j in range(size):
                pair = spins[..., (i + r) % size, j] + spins[..., i, (j + r) % size]
                total = total + spins[..., i, j] * pair
        rows.append(total / (2 * size**2))
    return torch.stack(rows, dim=-1)


@test_case(
    name="energy and magnetisation of a board worked out by hand",
    points=2,
    hidden=False,
    failure_message="One spin of 16 is turned. 28 of the 32 bonds are satisfied and 4 are broken, so the "
    "energy per site is -(28 - 4) / 16 = -1.5, and the mean spin is (15 - 1) / 16 = 0.875.",
)
def test_hand(energy, magnetization):
    spins = one_turned()
    check_close(energy(spins), torch.tensor(-1.5, dtype=torch.float64), what="energy(one spin of 16 turned)")
    check_close(
        magnetization(spins),
        torch.tensor(0.875, dtype=torch.float64),
        what="magnetization(one spin of 16 turned)",
    )


@test_case(
    name="correlations of a board worked out by hand",
    points=2,
    hidden=False,
    failure_message="Columns in pairs, ++-- four times. Down a column all agree; along a row every second "
    "neighbour does, and none two sites away does. The mean of both axes: G(0) = 1, G(1) = 1/2, G(2) = 0.",
)
def test_hand_correlation(correlation):
    stripes = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64).expand(4, 4).clone()
    expected = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    check_close(correlation(stripes), expected, what="correlation(columns ++--)")


@test_case(
    name="energies of random boards, stacked in any way",
    points=1,
    hidden=True,
    failure_message="Each bond counts once, and the board has no edge: the last column touches the first, "
    "the last row the first row. The sum is divided by the number of sites.",
)
def test_energy(energy):
    for shape in [(4, 4), (3, 6, 6), (2, 3, 8, 8)]:
        spins = random_spins(*shape, seed=1)
        before = spins.clone()
        check_close(energy(spins), oracle_energy(spins), what=f"energy(spins) with spins of shape {shape}")
        check_unchanged(before, spins, what="spins in energy(spins)")
    board = 1.0 - 2.0 * ((torch.arange(4)[:, None] + torch.arange(4)) % 2)
    both = torch.stack([torch.ones(4, 4), board])
    check_close(
        energy(both), torch.tensor([-2.0, 2.0]), tolerance=1e-6, what="energy(all up, and a checkerboard)"
    )


@test_case(
    name="magnetisation has a sign",
    points=1,
    hidden=True,
    failure_message="The mean of the spins of each board, with its sign: no absolute value, and no mean over "
    "several boards.",
)
def test_magnetization(magnetization):
    for shape in [(4, 4), (3, 6, 6), (2, 3, 8, 8)]:
        spins = -random_spins(*shape, seed=2)
        expected = spins.sum((-2, -1)) / shape[-1] ** 2
        check_close(magnetization(spins), expected, what=f"magnetization(spins) with spins of shape {shape}")
    check_close(magnetization(-torch.ones(2, 4, 4)), -torch.ones(2), what="magnetization(all down)")


@test_case(
    name="correlations of random boards, stacked in any way",
    points=1,
    hidden=True,
    failure_message="For each r from 0 to L // 2: the mean of s_i s_j over all sites and both axes, around "
    "the torus. Nothing is subtracted.",
)
def test_correlation(correlation):
    for shape in [(4, 4), (3, 6, 6), (2, 3, 8, 8)]:
        spins = random_spins(*shape, seed=3)
        spins[..., 0, :] = 1  # the axes differ
        check_close(
            correlation(spins),
            oracle_correlation(spins),
            what=f"correlation(spins) with spins of shape {shape}",
        )


@test_case(
    name="every board of 16 spins, weighted as in equilibrium",
    points=1,
    hidden=True,
    failure_message="The mean of your energy over all 65,536 boards of 4 x 4 spins, each with its "
    "probability exp(-E / T) / Z, must be the exact energy of the Ising model.",
)
def test_all_boards(energy, magnetization):
    temperature, states = 2.269185, torch.arange(2**16)
    spins = (2 * ((states[:, None] >> torch.arange(16)) & 1) - 1).to(torch.int8).reshape(-1, 4, 4)
    e, m = energy(spins).double(), magnetization(spins).double()
    weights = torch.softmax(-16 * e / temperature, 0)
    exact = enumerate_all(4, temperature)
    check_close(
        weights @ e, torch.tensor(exact.energy).double(), tolerance=1e-6, what="the mean of energy(spins)"
    )
    expected = torch.tensor(exact.moment(2)).double()
    check_close(weights @ m**2, expected, tolerance=1e-6, what="the mean of magnetization(spins) ** 2")


@test_case(
    name="integers, float32 and float64",
    points=1,
    hidden=True,
    failure_message="Spins may be integers, such as int8: convert them to floating point before you take a "
    "mean. Results have the dtype of the spins where that is floating point, and torch's default dtype "
    "otherwise.",
)
def test_dtypes(energy, magnetization, correlation):
    for dtype, expected in [
        (torch.int8, torch.float32),
        (torch.int64, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ]:
        spins, exact = random_spins(2, 8, 8, seed=4, dtype=dtype), random_spins(2, 8, 8, seed=4)
        what = f"(spins) with spins of {dtype}"
        check_close(energy(spins), oracle_energy(exact).to(expected), tolerance=1e-5, what="energy" + what)
        check_close(
            magnetization(spins),
            exact.mean((-2, -1)).to(expected),
            tolerance=1e-5,
            what="magnetization" + what,
        )
        right = oracle_correlation(exact).to(expected)
        check_close(correlation(spins), right, tolerance=1e-5, what="correlation" + what)


@test_case(
    name="boards that are none",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message when the last two dimensions are missing or differ, or "
    "when L is odd or below 4.",
)
def test_bad_arguments(energy, magnetization, correlation):
    measures = {"energy": energy, "magnetization": magnetization, "correlation": correlation}
    for label, measure in measures.items():
        for shape in [(4,), (4, 6), (3, 5, 5), (2, 2)]:
            check_raises(ValueError, measure, torch.ones(shape), what=f"{label}(spins of shape {shape})")
