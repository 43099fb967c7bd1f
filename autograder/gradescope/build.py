"""The zip: byte for byte the same from the same source."""

from __future__ import annotations

import ast
import io
import json
import shlex
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.assignment import Assignment
from autograder.gradescope.requirements import requirements, torch_pin
from autograder.gradescope.settings import Settings

PACKAGE = Path(__file__).parents[1]
ENTRIES = ("autograder.gradescope.run", "autograder.gradescope.judge", "autograder.sandbox.zygote")
_FILES = Path(__file__).parent / "files"
_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that the format has
_PROGRAM, _FILE = 0o755, 0o644
_NOT_NEEDED = {"__pycache__", ".ipynb_checkpoints"}


def build(assignment: Assignment, settings: Settings, torch_index: str = "") -> bytes:
    """The zip for one assignment.

    Args:
        assignment: what is asked.
        settings: what the course chose.
        torch_index: where pip finds CPU builds of torch; "": pip's own configuration decides.
    """
    files = dict(contents(assignment, settings, torch_index))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3  # Unix, wherever it is built: the rights below count
            info.external_attr = (
                0o100000 | (_PROGRAM if name in ("setup.sh", "run_autograder") else _FILE)
            ) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, files[name], compresslevel=9)
    return buffer.getvalue()


def contents(
    assignment: Assignment, settings: Settings, torch_index: str = ""
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in the zip."""
    root = assignment.root
    plots = _draws(assignment)
    yield "setup.sh", _setup(root, plots, torch_index)
    yield "run_autograder", (_FILES / "run_autograder").read_bytes()
    yield "requirements.txt", requirements(_project(root), plots).encode()
    yield "settings.json", (json.dumps(settings.as_table(), indent=2, sort_keys=True) + "\n").encode()
    of_assignment = list(_of_assignment(assignment))
    imported = [name for path in of_assignment if path.suffix == ".py" for name in _imports(path)]
    for path in modules([*ENTRIES, *imported]).values():
        yield f"autograder/{path.relative_to(PACKAGE).as_posix()}", path.read_bytes()
    for path in of_assignment:
        yield path.relative_to(root).as_posix(), path.read_bytes()


def modules(entries: Iterable[str]) -> dict[str, Path]:
    """The package's modules that these import, wherever in them the import stands: name -> file."""
    found: dict[str, Path] = {}
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is None or name in found:
            continue
        found[name] = path
        parts = name.split(".")
        waiting += [".".join(parts[:end]) for end in range(1, len(parts))]
        waiting += _imports(path)
    return found


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(name: str) -> Path | None:
    """The file of a module of this package; None for one of another package, and for a name that is no module."""
    first, *parts = name.split(".")
    path = PACKAGE.joinpath(*parts)
    if first != PACKAGE.name:
        return None
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


def _of_assignment(assignment: Assignment) -> Iterator[Path]:
    """The suite, the solution with what lies beside it, and the stubs, by which untouched work is known."""
    beside = assignment.reference.parent
    yield from _all_in(assignment.folder)
    yield from beside.glob(f"{assignment.slug}.*")
    yield from (beside / name for name in assignment.files)
    for ending in (".py", ".ipynb"):
        if (stub := assignment.template / f"{assignment.slug}{ending}").is_file():
            yield stub


def _all_in(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not _NOT_NEEDED & set(path.parts):
            yield path


def _setup(root: Path, plots: bool, torch_index: str) -> bytes:
    text = (_FILES / "setup.sh").read_text(encoding="utf-8")
    proof = "import IPython, torch; torch.ones(1)" + ("; import matplotlib.pyplot" if plots else "")
    filled = {
        "@TORCH_INDEX@": shlex.quote(torch_index),
        "@TORCH@": torch_pin(_project(root)),
        "@PROOF@": proof,
    }
    for mark, value in filled.items():
        text = text.replace(mark, value)
    return text.encode()


def _project(root: Path) -> Path:
    """Where constraints.txt lies: beside the assignments, else beside the package."""
    return root if (root / "constraints.txt").is_file() else PACKAGE.parent


def _draws(assignment: Assignment) -> bool:
    """Whether the students' kit, or what the judge draws for them, needs matplotlib."""
    sources = [assignment.reference, *assignment.folder.rglob("*.py")]
    return any("matplotlib" in source.read_text(encoding="utf-8") for source in sources)
