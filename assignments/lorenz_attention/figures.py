"""Drawn for the feedback, from forecasts of trajectories that the student has never seen."""

import torch
from matplotlib.figure import Figure

LYAPUNOV = 0.9056
TRUE, PREDICTED = {"color": "0.45", "label": "true"}, {"color": "tab:red", "label": "predicted"}


def _typical(report):
    """The index of a trajectory whose valid time is the median."""
    return int((report["times"] - report["median"]).abs().argmin())


def _compared(report):
    other = report["baselines"]
    return (
        f"median valid time {report['median']:.2f} Lyapunov times"
        f" (linear formula {other['linear']:.2f}, last sample again {other['last sample']:.2f})"
    )


def attractor(report_full):
    """Your forecast of a typical trajectory in three dimensions, beside the true one, for twice its valid time."""
    which = _typical(report_full)
    end = float(report_full["times"][which])
    n = min(len(report_full["truth"][which]), max(60, round(2 * end / LYAPUNOV / 0.02)))
    truth, prediction = report_full["truth"][which, :n], report_full["prediction"][which, :n].clamp(-60, 60)
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    for place, (title, path, style) in enumerate([("true", truth, TRUE), ("predicted", prediction, PREDICTED)]):
        ax = figure.add_subplot(1, 2, place + 1, projection="3d")
        ax.plot(*path.T, lw=0.9, color=style["color"])
        ax.scatter(*truth[0], s=15, color="black")
        ax.set(xlabel="$x$", ylabel="$y$", zlabel="$z$", title=title, xlim=(-20, 20), ylim=(-28, 28), zlim=(0, 50))
    figure.suptitle(f"the same start, twice the valid time of {end:.2f} Lyapunov times")
    return figure


def coordinates(report_full, report_observed):
    """Typical forecasts of your two networks over time, with the valid times marked and compared with simple formulas."""
    figure = Figure(figsize=(8.5, 7), layout="constrained")
    axes = figure.subplots(4, 1)
    for report, dt, panels in ((report_full, 0.02, axes[:3]), (report_observed, 0.04, axes[3:])):
        which = _typical(report)
        times = torch.arange(report["truth"].shape[1]) * dt * LYAPUNOV
        for c, ax in enumerate(panels):
            ax.plot(times, report["truth"][which, :, c], lw=1, **TRUE)
            ax.plot(times, report["prediction"][which, :, c].clamp(-60, 60), lw=1, ls="--", **PREDICTED)
            ax.axvline(report["times"][which], color="black", lw=1, label="valid until here")
            ax.set_ylabel(f"${'xyz'[c]}$")
        name = "full" if len(panels) == 3 else "observed: only x is seen"
        panels[0].set_title(f"{name}\n{_compared(report)}", fontsize=10)
        panels[-1].set_xlabel("Lyapunov times")
    axes[0].legend(loc="upper right", ncols=3, fontsize=8)
    return figure


def attention_over_the_window(maps_observed):
    """How your network spreads its attention over two windows of x, one inside a wing and one from wing to wing."""
    figure = Figure(figsize=(8.5, 4.4), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col")
    for column, (title, (window, weights)) in enumerate(
        zip(("inside a wing", "from wing to wing"), maps_observed, strict=True)
    ):
        above, below = axes[:, column]
        above.plot(window[:, 0], "o-", ms=4)
        above.set(title=title, ylabel="$x$")
        image = below.imshow(weights, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest")
        below.set(xlabel="sample of the window (15 is the newest)", ylabel="row of your map")
        below.yaxis.get_major_locator().set_params(integer=True)
        figure.colorbar(image, ax=below, label="weight")
    return figure


def divergence(separation, report_full, report_observed):
    """The mean distance of your near trajectories over time, and the errors of your forecasts, with the Lyapunov slope."""
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    ax = figure.add_subplot()
    starts = report_full["truth"][:50, 0].double()
    distance = separation(1e-8, starts, 1200, 0.02).log().mean(1).exp()
    times = torch.arange(1201) * 0.02
    ax.semilogy(times, distance, label="separation, from $10^{-8}$")
    ax.semilogy(times[:1000], 1e-8 * torch.exp(LYAPUNOV * times[:1000]), "k--", lw=1, label=f"slope {LYAPUNOV}")
    for name, report, dt in (("full", report_full, 0.02), ("observed", report_observed, 0.04)):
        error = (report["prediction"] - report["truth"]).norm(dim=-1).nan_to_num(1e6).clamp(1e-9, 1e6)
        ax.semilogy((torch.arange(error.shape[1]) + 1) * dt, error.log().mean(0).exp(), label=f"error of the forecast, {name}")
    ax.set(xlabel="time $t$", ylabel="distance (geometric mean)", ylim=(1e-9, 1e3))
    ax.legend(loc="lower right")
    return figure
