"""Draws docs/architecture.svg from the imports in autograder/: `python docs/architecture.py`.

A box is a group of modules, named and placed below; an arrow from one to another says that some module of the first
imports one of the second (or, in `cli`, has it started by name). Arrows that follow from others are left out. A module
without a group, or an import that goes up, is an error: then the picture would not be true.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from textwrap import wrap

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "autograder"
PICTURE = Path(__file__).with_suffix(".svg")

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 208, 76, 26, 54, 20
FILLS = {"staff": "#eef2f7", "judge": "#e3f1e5", "child": "#f9e0dd", "data": "#fdf4d8"}
LEGEND = {
    "staff": "the command's own process: keeps the store, writes what people read",
    "judge": "the judge: trusted, holds tests and expected values",
    "child": "starts and limits the processes that run student code",
    "data": "reads files; runs nothing",
}


@dataclass(frozen=True)
class Group:
    """A box.

    Attributes:
        title: its name.
        does: one line: what flows in and out.
        runs: a key of `FILLS`.
        column, row: where it stands.
        modules: of autograder/, without endings.
    """

    title: str
    does: str
    runs: str
    column: float
    row: int
    modules: tuple[str, ...]


GROUPS = (
    Group(
        "cli",
        "what was typed -> one function",
        "staff",
        1.5,
        0,
        ("__main__", "cli", "completion", "sections"),
    ),
    Group("new", "a name -> a skeleton", "staff", 0, 1, ("new",)),
    Group("validate", "suites -> what to mend in them", "staff", 3.55, 1, ("validate",)),
    Group("kit", "reference -> student_template/", "staff", 0, 2, ("kit",)),
    Group(
        "batch",
        "a class -> tasks for judges",
        "staff",
        2,
        2,
        ("batch", "cluster", "interrupt", "machine", "outpost", "pool", "progress", "summary"),
    ),
    Group("gradescope", "assignment -> zip, results.json", "staff", 3, 2, ("gradescope",)),
    Group("explain", "one submission -> why", "judge", 1, 3, ("explain",)),
    Group("report", "store -> pages, tables", "staff", 2, 3, ("publish", "report")),
    Group("roster", "exports -> people -> gradebooks", "data", 1, 4, ("roster", "spreadsheet")),
    Group("store", "results -> grades.sqlite", "staff", 2, 4, ("identity", "store")),
    Group("worker", "a task -> a reply, plain data", "judge", 2, 5, ("plain", "worker")),
    Group("grading", "a submission -> its Result", "judge", 2, 6, ("doors", "doubt", "grading", "traces")),
    Group(
        "suite", "test files, proxies -> outcomes", "judge", 2, 7, ("figures", "fixtures", "seeds", "suite")
    ),
    Group("diagnosis", "recorded calls -> the mistake", "judge", 3, 7, ("diagnosis", "replay")),
    Group("checks", "found, expected -> a sentence", "judge", 0, 8, ("checks",)),
    Group("submission", ".py, .ipynb, .zip -> cells", "data", 1, 8, ("submission",)),
    Group("assignment", "assignment.toml -> questions", "data", 1.3, 9, ("assignment", "nearest")),
    Group("sandbox", "calls -> a child process -> data", "child", 2, 9, ("sandbox", "work")),
)
BY_TITLE = {group.title: group for group in GROUPS}
STARTS = re.compile(r"autograder\.(\w+)[\w.]*(?::\w+)?")  # "autograder.batch:grade", as `cli` starts it
ASIDE = "validate"  # rests on nearly all, to examine it: its ways make no other arrow superfluous
Edges = dict[str, set[str]]


def modules() -> list[str]:
    """What lies directly in autograder/: modules and packages."""
    files = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    return sorted(files | {path.parent.name for path in PACKAGE.glob("*/__init__.py")} | _bare_packages())


def _bare_packages() -> set[str]:
    return {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}


def imported(module: str) -> set[str]:
    """The other modules of autograder/ that one imports, anywhere in its files."""
    path = PACKAGE / module
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    trees = [ast.parse(file.read_bytes()) for file in files]
    started = _started(trees[0]) if module == "cli" else set()
    return ({name for tree in trees for name in _names(tree)} | started) - {module}


def _started(tree: ast.Module) -> set[str]:
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    return {match[1] for text in texts if (match := STARTS.fullmatch(text))}


def _names(tree: ast.Module) -> Iterator[str]:
    known = set(modules())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        parts = [name.split(".") for name in found]
        yield from (
            part[1] for part in parts if part[0] == PACKAGE.name and len(part) > 1 and part[1] in known
        )


def edges() -> Edges:
    """Which group imports which.

    Raises:
        ValueError: a module is in no group, or in one but not there; or an import goes up.
    """
    home = {module: group.title for group in GROUPS for module in group.modules}
    if differing := sorted(set(home) ^ set(modules())):
        raise ValueError(f"docs/architecture.py: put {', '.join(differing)} into a group, or out of one")
    found: Edges = {group.title: set() for group in GROUPS}
    for module, title in home.items():
        found[title] |= {home[other] for other in imported(module)} - {title}
    for title, below in found.items():
        if up := sorted(other for other in below if BY_TITLE[other].row <= BY_TITLE[title].row):
            raise ValueError(f"{title} imports {up[0]}, which stands above it or beside it: imports go down")
    return found


def reduced(found: Mapping[str, set[str]]) -> Edges:
    """Without the arrows that a longer way says already."""
    return {
        title: {
            other for other in below if not any(other in _reach(found, way) for way in below - {other, ASIDE})
        }
        for title, below in found.items()
    }


def _reach(found: Mapping[str, set[str]], title: str) -> set[str]:
    return found[title].union(*(_reach(found, other) for other in found[title]))


def draw() -> str:
    """The picture as SVG: equal imports give equal bytes."""
    arrows = reduced(edges())
    width = MARGIN * 2 + (max(group.column for group in GROUPS) + 1) * (WIDTH + GAP_X) - GAP_X
    tall = MARGIN * 2 + (max(group.row for group in GROUPS) + 1) * (HEIGHT + GAP_Y) + 22 * len(LEGEND)
    size = f'viewBox="0 0 {width:g} {tall}" width="{width:g}" height="{tall}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" role="img">',
        "<title>The modules of autograder, and which imports which: all arrows go down</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>',
        f'<rect width="{width:g}" height="{tall}" fill="#fff"/>',
        *(_arrow(BY_TITLE[title], BY_TITLE[other]) for title in arrows for other in sorted(arrows[title])),
        *(_box(group) for group in GROUPS),
        *_legend(tall),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _place(group: Group) -> tuple[float, float]:
    """The left upper corner."""
    return MARGIN + group.column * (WIDTH + GAP_X), MARGIN + group.row * (HEIGHT + GAP_Y)


def _arrow(upper: Group, lower: Group) -> str:
    (x0, y0), (x1, y1) = _place(upper), _place(lower)
    x0, y0, x1 = x0 + WIDTH / 2, y0 + HEIGHT, x1 + WIDTH / 2
    bend = (y1 - y0) / 2
    curve = f"M{x0:g} {y0:g}C{x0:g} {y0 + bend:g} {x1:g} {y1 - bend:g} {x1:g} {y1 - 2:g}"
    return f'<path d="{curve}" fill="none" stroke="#667" stroke-width="1.3" marker-end="url(#head)"/>'


def _box(group: Group) -> str:
    x, y = _place(group)
    names = [name for name in group.modules if name != group.title]
    lines = [(18, 15, "bold", group.title), (38, 11.5, "normal", group.does)]
    small = wrap("with " + ", ".join(names), 44) if names else []
    lines += [(54 + 13 * number, 9.5, "normal", text) for number, text in enumerate(small)]
    texts = "".join(
        f'<text x="{x + 9:g}" y="{y + down:g}" font-size="{size}" font-weight="{weight}">{escape(text)}</text>'
        for down, size, weight, text in lines
    )
    fill = FILLS[group.runs]
    return f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="#556"/>{texts}'


def _legend(tall: float) -> Iterator[str]:
    for number, (kind, text) in enumerate(LEGEND.items()):
        y = tall - MARGIN - 22 * (len(LEGEND) - number) + 14
        yield (
            f'<rect x="{MARGIN}" y="{y:g}" width="22" height="14" fill="{FILLS[kind]}" stroke="#556"/>'
            f'<text x="{MARGIN + 32}" y="{y + 11:g}" font-size="12">{escape(text)}</text>'
        )


if __name__ == "__main__":
    try:
        PICTURE.write_text(draw(), encoding="utf-8")
    except ValueError as error:
        sys.exit(str(error))
    print(PICTURE.relative_to(ROOT))
