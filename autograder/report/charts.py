"""The class page's charts: matplotlib SVG that takes the page's own text colour, each with a text alternative."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from autograder.report.statistics import Finding, QuestionStatistics

INK = "#010203"  # stands for the page's text colour, so that a chart reads in dark mode too
ACCENT, SOFT = "#2f6fb2", "#8fb5d9"
MAX_BARS = 15


def distribution(scores: Sequence[float], possible: float) -> tuple[str, str]:
    """A histogram of scores: SVG and what it shows."""
    figure, axes = _axes(6.4, 2.6)
    bins = min(20, max(5, int(possible)))
    axes.hist(scores, bins=bins, range=(0, possible), color=ACCENT, rwidth=0.92)
    axes.set(xlabel="score", ylabel="submissions", xlim=(0, possible))
    axes.yaxis.get_major_locator().set_params(integer=True)
    middle = sorted(scores)[len(scores) // 2]
    alt = f"Histogram of {len(scores)} scores out of {possible:g}; half of them reach {middle:g} or more."
    return _svg(figure, "distribution"), alt


def questions(of: Sequence[QuestionStatistics]) -> tuple[str, str]:
    """Share of points by question: SVG and what it shows."""
    figure, axes = _axes(6.4, 0.34 * len(of) + 0.7)
    names = [question.name for question in of]
    axes.barh(names, [question.mean for question in of], color=SOFT, label="mean share of the points")
    axes.barh(
        names, [question.right for question in of], height=0.4, color=ACCENT, label="share with all points"
    )
    axes.set(xlim=(0, 1))
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.invert_yaxis()
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    hardest = min(of, key=lambda question: question.mean)
    alt = (
        f"Bars for {len(of)} questions; {hardest.name} is the hardest, with {hardest.mean:.0%} of its points."
    )
    return _svg(figure, "questions"), alt


def misconceptions(found: Sequence[Finding]) -> tuple[str, str]:
    """The most frequent mistakes: SVG and what it shows."""
    shown = found[:MAX_BARS]
    figure, axes = _axes(6.4, 0.3 * len(shown) + 0.6)
    names = [f"{finding.question}: {finding.key.replace('_', ' ')}" for finding in shown]
    bars = axes.barh(names, [len(finding.who) for finding in shown], color=ACCENT)
    axes.bar_label(bars, padding=3, fontsize=8, color=INK)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="submissions")
    axes.invert_yaxis()
    return _svg(figure, "mistakes"), f"The {len(shown)} most frequent mistakes; the first is {names[0]}."


def _axes(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(colors=INK, labelsize=8)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.patch.set_visible(False)
    figure.patch.set_visible(False)
    return figure, axes


def _svg(figure: Any, name: str) -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(
        {"svg.hashsalt": name, "svg.fonttype": "none"}
    ):  # text stays text, in the page's font
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.S).replace(INK, "currentColor")
    svg = re.sub(
        r' id="(?!m|p)[^"]*"', "", svg, count=0
    )  # `figure_1` and the like would be there once a chart
    return re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1
    )
