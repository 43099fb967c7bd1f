"""The figures of one submission's feedback.

What a figure shows is gathered while the submission is graded, as plain data: the values of the fixtures and artifacts
that the function in `figures.py` asks for. It is drawn later, for those who look: drawing takes longer than grading.
"""

from __future__ import annotations

import base64
import inspect
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save

from autograder.assignment import Assignment, AssignmentError
from autograder.fixtures import Fixtures, Recipes, load_functions
from autograder.sandbox.wire import Encoder, decode

DPI = (
    80  # 640 x 480 pixels for matplotlib's own size: 20 to 60 kB, so that an entry of Gradescope's holds one
)
MAX_DATA = 1 << 20  # bytes behind one figure: a thousand configurations of 8 x 8 spins are a quarter of that


@dataclass
class Figure:
    """One figure of one submission, not drawn yet.

    Attributes:
        data: the values that it is drawn from, as text (see `_packed`).
    """

    name: str
    title: str
    data: str


@dataclass
class Drawing:
    """One figure, drawn.

    Attributes:
        alt: what it shows, for those who cannot see it.
        svg: the drawing.
        png: the same as pixels, in base64.
    """

    alt: str
    svg: str
    png: str


def load_drawings(assignment: Assignment) -> Recipes:
    """The functions that draw an assignment's figures.

    Raises:
        AssignmentError: one that `assignment.toml` lists is not there.
    """
    drawings = load_functions(assignment.drawings) if assignment.figures else {}
    for picture in assignment.figures:
        if picture.name not in drawings:
            raise AssignmentError(f"figure {picture.name!r}: there is no such function in figures.py.")
    return drawings


def gather(assignment: Assignment, drawings: Recipes, fixtures: Fixtures) -> Iterator[Figure | str]:
    """Each figure that a submission has the values for; for one that it has not, why not, for staff."""
    for picture in assignment.figures:
        try:
            names = inspect.signature(drawings[picture.name]).parameters
            data = _packed({name: fixtures.get(name) for name in names})
            yield Figure(picture.name, picture.title, data)
        except Exception as error:  # a figure is a courtesy: a grade does not depend on it
            yield f"figure {picture.name}: {type(error).__name__}: {error}"[:500]


class Artist:
    """Draws the figures of submissions to one assignment; one that looks like another is drawn once.

    Args:
        assignment: whose `figures.py` draws.
    """

    def __init__(self, assignment: Assignment) -> None:
        self._drawings = load_drawings(assignment)
        self._drawn: dict[tuple[str, str], Drawing] = {}

    def draw(self, figure: Figure) -> Drawing:
        """The figure as a drawing and as pixels.

        Raises:
            Exception: whatever the function in `figures.py` raises.
        """
        key = (figure.name, figure.data)
        if key not in self._drawn:
            self._drawn[key] = _drawing(self._drawings[figure.name], _unpacked(figure.data), figure.title)
        return self._drawn[key]


def _packed(values: dict[str, Any]) -> str:
    """Plain data as text: numbers as safetensors, what they belong to as JSON beside them."""
    encoder = Encoder()
    tree = json.dumps(encoder.tree(values)).encode()
    tensors = {str(i): tensor.detach().contiguous().clone() for i, tensor in enumerate(encoder.tensors)}
    data = save({"tree": torch.tensor(list(tree), dtype=torch.uint8), **tensors})
    if len(data) > MAX_DATA:
        raise ValueError(f"{len(data)} bytes are more than a figure may be drawn from ({MAX_DATA})")
    return base64.b64encode(data).decode()


def _unpacked(data: str) -> dict[str, Any]:
    tensors = load(base64.b64decode(data))
    tree = json.loads(bytes(tensors.pop("tree").tolist()))
    return decode(tree, [tensors[str(i)] for i in range(len(tensors))])  # type: ignore[no-any-return]


def _drawing(function: Any, values: dict[str, Any], title: str) -> Drawing:
    """A matplotlib figure as SVG and as PNG, the same bytes each time."""
    import matplotlib

    matplotlib.use("Agg")  # no screen, whatever MPLBACKEND says
    from matplotlib import pyplot

    drawing, pixels = io.StringIO(), io.BytesIO()
    drawn = function(**values)
    with matplotlib.rc_context({"svg.hashsalt": "autograder"}):
        drawn.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight")
    drawn.savefig(pixels, format="png", dpi=DPI, metadata={"Software": None}, bbox_inches="tight")
    pyplot.close(drawn)
    svg = re.sub(r"^.*?(?=<svg)", "", drawing.getvalue(), flags=re.S)
    alt = (inspect.getdoc(function) or title).splitlines()[0]
    return Drawing(alt, svg, base64.b64encode(pixels.getvalue()).decode())
