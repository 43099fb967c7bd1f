"""Drawn for the feedback, from forecasts of trajectories that the student has never seen."""

import torch
from matplotlib.figure import Figure

LYAPUNOV = 0.9056
TRUE, PREDICTED = {"color": "0.45", "label": "true"}, {"color": "tab:red", "label": "predicted"}


def _compared(typical):
    other = typical["baselines"]
    return (
        f"median valid time over 200 trajectories: {typical['median']:.2f} Lyapunov times"
        f" (linear formula {other['linear']:.2f}, last sample again {other['last sample']:.2f})"
    )


def attractor(typical_full):
    """Your forecast of a typical trajectory in three dimensions, beside the true one, to beyond its valid time."""
    truth, prediction = typical_full["truth"], typical_full["prediction"].clamp(-60, 60)
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    for place, (path, style) in enumerate([(truth, TRUE), (prediction, PREDICTED)]):
        ax = figure.add_subplot(1, 2, place + 1, projection="3d")
        ax.plot(*path.T, lw=0.9, color=style["color"])
        ax.scatter(*truth[0], s=15, color="black")
        ax.set(xlabel="$x$", ylabel="$y$", zlabel="$z$", title=style["label"])
        ax.set(xlim=(-20, 20), ylim=(-28, 28), zlim=(0, 50))
    figure.suptitle(
        f"from the same start (black); the forecast holds for {typical_full['end']:.2f} Lyapunov times"
    )
    return figure


def coordinates(typical_full, typical_observed):
    """Typical forecasts of your two networks over time; the valid times are marked, simple formulas beside them."""
    figure = Figure(figsize=(8.5, 7), layout="constrained")
    axes = figure.subplots(4, 1)
    for typical, panels, name in (
        (typical_full, axes[:3], "full"),
        (typical_observed, axes[3:], "observed: only x is seen"),
    ):
        times = torch.arange(len(typical["truth"])) * typical["dt"] * LYAPUNOV
        for c, ax in enumerate(panels):
            ax.plot(times, typical["truth"][:, c], lw=1, **TRUE)
            ax.plot(times, typical["prediction"][:, c].clamp(-60, 60), lw=1, ls="--", **PREDICTED)
            ax.axvline(typical["end"], color="black", lw=1, label="valid until here")
            ax.set_ylabel(f"${'xyz'[c]}$")
        panels[0].set_title(f"{name}\n{_compared(typical)}", fontsize=9)
        panels[-1].set_xlabel("Lyapunov times")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=9)
    return figure


def attention_over_the_window(maps_observed):
    """How your network spreads its attention over two windows of x, one inside a wing and one from wing to wing."""
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col")
    titles = ("inside a wing", "from wing to wing")
    for (above, below), title, (window, weights) in zip(axes.T, titles, maps_observed, strict=True):
        above.plot(window[:, 0], "o-", ms=4)
        above.set(title=title, ylabel="$x$")
        image = below.imshow(weights.numpy(), cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
        below.set(xlabel="sample of the window (15 is the newest)", ylabel="row of your map")
        below.yaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(image, ax=below, label="weight")
    return figure


def divergence(near_trajectories, forecast_errors):
    """How your near trajectories part over time, and your forecasts from the truth, with the Lyapunov slope."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    ax = figure.add_subplot()
    times = 0.1 * torch.arange(len(near_trajectories))
    line = 1e-8 * torch.exp(LYAPUNOV * times)
    ax.semilogy(times, near_trajectories, label="two near solutions (your separation)")
    ax.semilogy(times[line < 10], line[line < 10], "k--", lw=1, label=f"$10^{{-8}}\\, e^{{{LYAPUNOV} t}}$")
    for name, (dt, error) in forecast_errors.items():
        ax.semilogy(dt * (1 + torch.arange(len(error))), error, label=f"your forecasts and the truth, {name}")
    ax.set(xlabel="time $t$", ylabel="distance (geometric mean)", ylim=(1e-9, 1e3))
    ax.legend(loc="lower right")
    return figure
