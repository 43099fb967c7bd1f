"""The figures of the feedback: what the student's network makes, beside Monte Carlo and the exact solution."""

import torch
from matplotlib import pyplot as plt

from autograder.checks import ising

SIZE = 8
MOMENTS = {  # exact mean of |m| for L = 8: ten transfer matrices would take 4 s, so here are the numbers
    1.25: 0.99602, 1.5: 0.98650, 1.75: 0.96394, 2.0: 0.91145, 2.1: 0.87363, 2.2: 0.82171, 2.269185: 0.77733,
    2.35: 0.71863, 2.45: 0.64131, 2.6: 0.53193, 2.8: 0.42002, 3.0: 0.34603, 3.25: 0.28796, 3.5: 0.25133, 4.0: 0.20870,
}  # fmt: skip
CURVE = (1.2, 1.4, 1.5, 1.6, 1.8, 1.9, 2.0, 2.1, 2.2, 2.269185, 2.35, 2.45, 2.6, 2.8, 3.0, 3.25, 3.5, 4.0)


def _board(ax, board, limit=1.0):
    ax.imshow(board, cmap="Greys", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])


def configurations(spins):
    """Six boards at each of three temperatures from the network (left) and from Monte Carlo (right), up spins dark."""
    figure, axes = plt.subplots(
        3, 13, figsize=(12, 3.3), width_ratios=[1] * 6 + [0.4] + [1] * 6, layout="constrained"
    )
    generator = torch.Generator().manual_seed(0)
    for row, (temperature, boards) in zip(axes, spins.items(), strict=True):
        simulated = ising.heat_bath(6, SIZE, temperature, 60, generator)
        for ax, board in zip([*row[:6], *row[7:]], [*boards[:6], *simulated], strict=True):
            _board(ax, board)
        row[6].set_axis_off()
        row[0].set_ylabel(f"T = {temperature:.4g}")
    axes[0, 2].set_title("your network", loc="left")
    axes[0, 9].set_title("Monte Carlo", loc="left")
    return figure


def against_temperature(spins, simulated_energies):
    """Energy per spin and mean |m| against temperature: exact curves, your Monte Carlo, and your network's boards."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    left.plot(CURVE, [ising.kaufman(SIZE, T)[0] for T in CURVE], color="0.5", label="exact")
    for T, (mean, error) in simulated_energies.items():
        left.errorbar(T, mean, 2 * error, fmt="C0x", label="your Monte Carlo" if T == 1.5 else None)
    right.plot(list(MOMENTS), list(MOMENTS.values()), color="0.5", label="exact")
    for T, boards in spins.items():
        label = "your network" if T == 1.5 else None
        left.plot(T, ising.energy_per_spin(boards).mean(), "C3o", mfc="none", label=label)
        right.plot(T, boards.float().mean((1, 2)).abs().mean(), "C3o", mfc="none", label=label)
    left.set(xlabel="temperature T", ylabel="energy per spin")
    right.set(xlabel="temperature T", ylabel="mean of |m|")
    left.legend()
    right.legend()
    return figure


def distributions(spins):
    """The distribution of |m| (above) and the correlations G(r) (below) of your network's boards, beside exact ones."""
    figure, axes = plt.subplots(2, 3, figsize=(11, 5.4), layout="constrained")
    for (above, below), (T, boards) in zip(axes.T, spins.items(), strict=True):
        exact = ising.transfer_matrix(SIZE, T)
        values, probabilities = exact.abs_magnetization()
        level = boards.sum((1, 2)).abs() // 2
        shares = torch.bincount(level, minlength=len(values)) / len(boards)
        above.bar(values, probabilities, width=0.03, color="0.8", label="exact")
        above.plot(values, shares, "C3.", label="your network")
        above.set(title=f"T = {T:.4g}", xlabel="|m|")
        below.plot(exact.correlation, "o-", color="0.6", label="exact")
        below.plot(ising.correlation_function(boards).mean(0), "C3x", ms=8, label="your network")
        below.set(xlabel="distance r", ylim=(0, 1.05))
    axes[0, 0].set_ylabel("share of the boards")
    axes[1, 0].set_ylabel("G(r)")
    axes[0, 0].legend()
    return figure


def denoising(snapshots):
    """One board of each temperature as your network takes the noise away, from pure noise (left) to t = 0 (right)."""
    times = (50, 40, 30, 25, 20, 15, 10, 5, 0)
    figure, axes = plt.subplots(3, len(times), figsize=(1.25 * len(times), 4.1), layout="constrained")
    for column, t in zip(axes.T, times, strict=True):
        for ax, board in zip(column, snapshots[t], strict=True):
            _board(ax, board, limit=1.5)
        column[0].set_title("noise" if t == 50 else f"t = {t}")
    for ax, temperature in zip(axes[:, 0], (1.5, 2.269185, 3.5), strict=True):
        ax.set_ylabel(f"T = {temperature:.4g}")
    return figure
