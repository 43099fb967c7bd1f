"""Markdown with LaTeX formulas, as a student or the author of a rubric wrote it, to HTML that is safe in a page.

Formulas become MathML, which browsers draw by themselves. Raw HTML and pictures stay the text that they are written
in, links lead to http and https alone, and of a formula's elements only those of MathML are kept.
"""

from __future__ import annotations

from functools import cache
from html import escape
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin

MAX_FORMULA = 5000  # characters; a matrix of 10 by 10 has 600
MAX_CELLS = (
    5000  # of tables; short rows are filled up, so that 20 000 characters of bars were 65 000 cells: 10 s
)

_MATH = "{http://www.w3.org/1998/Math/MathML}"
_ELEMENTS = {
    "math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msub", "msup", "msubsup",
    "munder", "mover", "munderover", "mtable", "mtr", "mtd", "mpadded", "mphantom", "mstyle", "menclose", "mfenced",
}  # fmt: skip
_ATTRIBUTES = {
    "display", "mathvariant", "stretchy", "fence", "form", "separator", "accent", "linethickness", "columnalign",
    "rowspacing", "columnspacing", "minsize", "maxsize", "width", "displaystyle", "scriptlevel", "movablelimits",
}  # fmt: skip


def to_html(text: str) -> Markup:
    """The text as HTML."""
    rows = [line.count("|") + 1 for line in text.splitlines() if "|" in line]
    return Markup(_markdown(tables=len(rows) * max(rows, default=0) <= MAX_CELLS).render(text))


@cache
def _markdown(tables: bool) -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False}).disable("image")
    if tables:
        markdown.enable("table")
    markdown.validateLink = lambda url: urlsplit(url).scheme in ("http", "https")  # type: ignore[method-assign]
    return markdown.use(dollarmath_plugin, renderer=_formula, allow_labels=False, double_inline=True)


def _formula(latex: str, options: dict[str, Any]) -> str:
    display = "block" if options.get("display_mode") else "inline"
    try:
        if len(latex) > MAX_FORMULA:
            raise ValueError("too long")
        tree = ElementTree.fromstring(convert(latex, display=display))
        return ElementTree.tostring(_cleaned(tree), encoding="unicode")
    except Exception:  # no formula that this library knows: what was written is better than nothing
        return f"<code>{escape(latex)}</code>"


def _cleaned(element: ElementTree.Element) -> ElementTree.Element:
    """A copy with known elements and attributes only."""
    name = element.tag.removeprefix(_MATH)
    copy = ElementTree.Element(name if name in _ELEMENTS else "mrow")
    copy.text, copy.tail = element.text, element.tail
    for key in _ATTRIBUTES & set(element.keys()):
        copy.set(key, str(element.get(key)))
    copy.extend(_cleaned(part) for part in element)
    return copy
