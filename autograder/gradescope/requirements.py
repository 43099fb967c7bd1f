"""What grading needs, pinned, and nothing else.

Everything is installed without looking for dependencies, because Otter declares what its other parts need (pandas,
nbconvert, widgets, Sphinx by way of fica): 53 packages instead of 100, 1040 MB (720 of them torch) instead of 1210,
and the same set on every day. Tests check that the list is complete.
"""

from __future__ import annotations

import re
from pathlib import Path

TORCH = ("filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "sympy", "typing_extensions")
NUMERIC = ("numpy", "safetensors")
NOTEBOOKS = (
    "asttokens", "executing", "ipython", "ipython_pygments_lexers", "jedi", "matplotlib-inline", "parso", "pexpect",
    "prompt_toolkit", "psutil", "ptyprocess", "pure_eval", "pygments", "stack-data", "traitlets", "wcwidth",
)  # fmt: skip
PLOTS = (
    "contourpy", "cycler", "fonttools", "kiwisolver", "matplotlib", "packaging", "pillow", "pyparsing",
    "python-dateutil", "tzdata",
)  # fmt: skip
OTTER = (
    "attrs", "dill", "fastjsonschema", "fica", "jsonschema", "jsonschema-specifications", "jupyter_core", "nbformat",
    "otter-grader", "platformdirs", "python-frontmatter", "pyyaml", "referencing", "rpds-py", "wrapt",
)  # fmt: skip
WITHOUT_THEIR_DEPENDENCIES = {"otter-grader", "fica"}
NOT_NEEDED = {"setuptools"}  # by torch, to compile extensions


def pins(root: Path) -> dict[str, str]:
    """The releases that the project is tested with: normalised name -> version."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {normalised(name): version.strip() for name, version in pairs}


def requirements(root: Path, plots: bool) -> str:
    """The content of requirements.txt: all but torch, which comes from an index of its own.

    Args:
        root: where constraints.txt lies.
        plots: whether students draw.
    """
    known = pins(root)
    names = sorted(
        {normalised(name) for name in (*TORCH, *NUMERIC, *NOTEBOOKS, *OTTER, *(PLOTS if plots else ()))}
    )
    return "".join(f"{name}=={known[name]}\n" for name in names)


def torch_pin(root: Path) -> str:
    """The CPU build of torch and no other: `+cpu` makes pip fail where only the CUDA build is offered."""
    return f"torch=={pins(root)['torch']}+cpu"


def normalised(name: str) -> str:
    """A package's name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()
