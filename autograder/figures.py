"""The figures of one submission's feedback, drawn in the judge from plain data."""

from __future__ import annotations

import base64
import inspect
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autograder.assignment import Assignment, AssignmentError
from autograder.fixtures import Fixtures, Recipes, load_functions

DPI = (
    80  # 640 x 480 pixels for matplotlib's own size: 20 to 60 kB, so that an entry of Gradescope's holds one
)


@dataclass
class Figure:
    """One figure, as text so that it fits into JSON.

    Attributes:
        alt: what it shows, for those who cannot see it.
        svg: the picture as a drawing.
        png: the same as pixels, in base64.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: str


def load_drawings(assignment: Assignment) -> Recipes:
    """The functions that draw an assignment's figures.

    Raises:
        AssignmentError: one that `assignment.toml` lists is not there.
    """
    if not assignment.figures:
        return {}
    import matplotlib

    matplotlib.use("Agg")  # the judge has no screen, whatever MPLBACKEND says
    drawings = load_functions(assignment.drawings)
    for picture in assignment.figures:
        if picture.name not in drawings:
            raise AssignmentError(f"figure {picture.name!r}: there is no such function in figures.py.")
    return drawings


def draw(assignment: Assignment, drawings: Recipes, fixtures: Fixtures) -> Iterator[Figure | str]:
    """Each figure that can be drawn from what a submission does; for one that cannot, why not, for staff."""
    for picture in assignment.figures:
        function = drawings[picture.name]
        try:
            drawn = fixtures.call(function)
            alt = (inspect.getdoc(function) or picture.title).splitlines()[0]
            yield Figure(picture.name, picture.title, alt, *_rendered(drawn))
        except Exception as error:  # a figure is a courtesy: a grade does not depend on it
            yield f"figure {picture.name}: {type(error).__name__}: {error}"[:500]


def _rendered(drawn: Any) -> tuple[str, str]:
    """A matplotlib figure as SVG and as PNG, the same bytes each time."""
    import matplotlib
    from matplotlib import pyplot

    drawing, pixels = io.StringIO(), io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "autograder"}):
        drawn.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    drawn.savefig(pixels, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches="tight")
    pyplot.close(drawn)
    return re.sub(r"^.*?(?=<svg)", "", drawing.getvalue(), flags=re.S), base64.b64encode(
        pixels.getvalue()
    ).decode()
