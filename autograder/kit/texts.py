"""The words around an assignment in the student's kit."""

import json
import re
from importlib import metadata

from autograder.assignment import Assignment, Question, Written

# What a student installs, in the ranges of pyproject.toml. Jupyter and `otter check` run code with ipykernel, whose
# release 7 warns at each check of a connection without encryption, and 6.29 of missed breakpoints: nothing that a
# beginner could act on. 6.31 says neither.
_PACKAGES = {
    "otter-grader": "otter",
    "ipykernel": "ipykernel",
    "torch": "torch",
    "numpy": "numpy",
    "matplotlib": "matplotlib",
    "safetensors": "safetensors",  # where weights are handed in
}
_OWN = {"ipykernel": ">=6.31,<7", "torch": ">=2.4,<3"}  # the grader needs torch 2.5, a kit does not
# What kits were installed, checked and their notebooks executed with, on Linux; add a line only after doing so.
TESTED = (
    "Python 3.10: torch 2.4.0, numpy 1.26.4, matplotlib 3.8.0",
    "Python 3.11: torch 2.13.0, numpy 1.26.4 and 2.4.6, matplotlib 3.8.0 and 3.11.2",
    "Python 3.12: torch 2.13.0, numpy 2.5.5, matplotlib 3.11.2",
    "Python 3.13: torch 2.13.0, numpy 2.5.5, matplotlib 3.11.2",
)
_JUPYTER = "jupyterlab>=4,<5  # to open the notebook; not needed for the script, or in an editor that opens notebooks"

ANSWER = "*Your answer here.*"

OTTER = """\
# Makes grader.check("q1") and the like available. Run this cell first, and again after a restart.
import otter

grader = otter.Notebook()"""

_INSTALL = """\
# Installs what is missing where you cannot do so yourself, such as on Colab, and says which files are.
import importlib.util
import pathlib
import subprocess
import sys

packages = {packages}
missing = [package for name, package in packages.items() if importlib.util.find_spec(name) is None]
if missing:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=True)

absent = []
for path in map(pathlib.Path, {files}):
    if not path.exists() and pathlib.Path(path.name).exists():  # uploaded without its folder
        path.parent.mkdir(exist_ok=True)
        pathlib.Path(path.name).rename(path)
    if not path.exists():
        absent.append(path.as_posix())
if absent:
    raise FileNotFoundError(
        f"{{pathlib.Path.cwd()}} does not hold {{', '.join(absent)}}. "
        "Upload what is missing from the assignment's folder, then run this cell again. "
        "Files need no folder: this cell makes it."
    )"""

SUBMIT = """\
## Before you hand in

1. Restart the kernel and run all cells from top to bottom: that is the order in which they are graded.
2. Read what each `grader.check(...)` says. An error in one question does not cost you another: hand in what you have.
3. Save, and upload {upload}

Rename no function, class or parameter: the grader calls them by name."""

_README = """\
# {title}

{summary}

## Start

You need Python 3.10 to 3.13. In this folder:

    python -m venv .venv
    source .venv/bin/activate           # Windows: .venv\\Scripts\\activate
    pip install -r requirements.txt

Work in **one** of two files, whichever you like better; they ask the same:

- `{slug}.ipynb`, the notebook: `jupyter lab {slug}.ipynb`, or open it in VS Code with its Jupyter extension
- `{slug}.py`, the same as a script: any editor, and `python {slug}.py` runs it

On Colab and the like: upload {hosted} and the files in `tests`, then run the notebook's first two code cells.

## Check

In the notebook, run `grader.check("{first}")` after a question. For the script:

    otter check {slug}.py           # all questions
    otter check {slug}.py -q {first}     # one question

A test that fails says what it expected, what it found, and a hint.

## Hand in

Upload {upload}

## What the score means

| question | points |
| --- | --- |
{rows}

You see some of the tests that grade you. The others give at least half of the points, and check what the docstrings
promise: other shapes and dtypes, gradients, large numbers, bad arguments.{by_hand} Your code runs on one processor
core, without a network, with {call:g} seconds for one call and {total:g} for everything.

## When you are stuck

- *returned None*: the `...` is still there, or a `return` is missing.
- *is not defined*, or a result that cannot be: restart the kernel and run all cells.
- Try the smallest example that you can do by hand, and print the shape of every intermediate result.
- On Windows, if `otter check` stops with a `UnicodeDecodeError`: run `set PYTHONUTF8=1` first.
"""


def install_cell(assignment: Assignment) -> str:
    """The cell that installs what is missing."""
    ranges = _ranges(assignment)
    packages = "".join(f'    "{_PACKAGES[name]}": "{name}{bounds}",\n' for name, bounds in ranges.items())
    files = [*(f"tests/{question.name}.py" for question in assignment.questions), *assignment.files]
    return _INSTALL.format(packages=f"{{\n{packages}}}", files=json.dumps(files))


def requirements(assignment: Assignment) -> str:
    """The kit's requirements.txt."""
    tested = "".join(f"#   {line}\n" for line in TESTED)
    packages = "".join(f"{name}{bounds}\n" for name, bounds in _ranges(assignment).items())
    return f"# Run on Linux with otter-grader 7.0.0, ipykernel 6.31.0 and\n{tested}{packages}{_JUPYTER}\n"


def readme(assignment: Assignment) -> str:
    """The kit's README.md: one screen."""
    rows: list[Question | Written] = [*assignment.questions, *assignment.written]
    written = ", ".join(question.name for question in assignment.written)
    return _README.format(
        slug=assignment.slug,
        title=assignment.title,
        summary=assignment.summary,
        first=assignment.questions[0].name,
        upload=_upload(assignment),
        rows="\n".join(f"| {row.name} {row.title} | {row.points:g} |" for row in rows),
        by_hand=f" A person grades {written}." if written else "",
        hosted=", ".join(f"`{name}`" for name in [f"{assignment.slug}.ipynb", *assignment.files]),
        call=assignment.limits.call_seconds,
        total=assignment.limits.total_seconds,
    )


def submit(assignment: Assignment) -> str:
    """The notebook's last cell."""
    upload = _upload(assignment).replace(f" or `{assignment.slug}.py`, not both", "")
    return SUBMIT.format(upload=upload)


def _upload(assignment: Assignment) -> str:
    """What is handed in, and how."""
    slug = assignment.slug
    if not assignment.artifacts:
        more = "If your code needs files of your own, upload a `.zip` of all of them."
        return f"`{slug}.ipynb` or `{slug}.py`, not both. {more}"
    files = " and ".join(f"`{artifact.file}`" for artifact in assignment.artifacts)
    bounds = ", ".join(f"{artifact.max_mb} MB" for artifact in assignment.artifacts)
    return (
        f"a `.zip` of `{slug}.ipynb` or `{slug}.py`, not both, and {files} (at most {bounds}), "
        "which your training has written."
    )


def _ranges(assignment: Assignment) -> dict[str, str]:
    declared = [re.match(r"([\w-]+)\s*(.*)", line) for line in metadata.requires("autograder") or []]
    bounds = {
        match[1].lower(): ",".join(sorted(match[2].split(","), reverse=True)) for match in declared if match
    }
    bounds |= _OWN
    return {name: bounds[name] for name in _PACKAGES if name != "safetensors" or assignment.artifacts}
