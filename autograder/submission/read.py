"""One path -> one `Submission`: which file is the solution, and what goes with it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from autograder.assignment import Assignment
from autograder.submission.bundle import collect, read_file, unzip
from autograder.submission.cells import kind_of, looks_like, read_cells, without_outputs
from autograder.submission.model import Submission, SubmissionError


def read(path: Path, name: str, assignment: Assignment) -> Submission:
    """Reads a notebook, a script, a zip archive or a folder.

    Args:
        path: Where it is.
        name: What the table of grades calls it.
        assignment: Its slug names the file that is looked for among several.

    Raises:
        SubmissionError: It cannot be graded; the message is for the student.
    """
    try:
        return _read(path, name, assignment)
    except OSError as error:
        raise SubmissionError(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _read(path: Path, name: str, assignment: Assignment) -> Submission:
    limits = {artifact.file: artifact.max_mb * 2**20 for artifact in assignment.artifacts}
    if path.is_dir() and not path.is_symlink():
        return _from_bundle(collect(path, limits), name, path.name, assignment)
    data = read_file(path)
    if path.suffix.lower() == ".zip":
        return _from_bundle(
            unzip(path.name, _not_empty(path.name, data), limits), name, path.name, assignment
        )
    if kind_of(path.name):
        return _submission(name, path.name, {path.name: data})
    found = looks_like(data) or "a file of another type"
    raise SubmissionError(
        "Expected a notebook (.ipynb), a script (.py) or a zip archive (.zip) of them, "
        f"but {path.name} is {found}. Upload {assignment.slug}.ipynb or {assignment.slug}.py."
    )


def _not_empty(name: str, data: bytes) -> bytes:
    if not data:
        raise SubmissionError(f"{name} is empty (0 bytes). Pack your files again and upload the new archive.")
    return data


def _from_bundle(files: dict[str, bytes], name: str, shown: str, assignment: Assignment) -> Submission:
    main, notes = _main(files, shown, assignment)
    folder = PurePosixPath(main).parent
    beside = {
        PurePosixPath(path).relative_to(folder).as_posix(): data
        for path, data in files.items()
        if PurePosixPath(path).is_relative_to(folder)
    }
    return _submission(name, PurePosixPath(main).name, beside, notes)


def _submission(name: str, main: str, files: dict[str, bytes], notes: tuple[str, ...] = ()) -> Submission:
    kind = kind_of(main)
    assert kind is not None  # callers choose main among notebooks and scripts
    digest = _digest(kind, main, files)
    cells = read_cells(main, files[main])
    if kind == "notebook":
        files = files | {main: without_outputs(main, files[main])}
    return Submission(name, kind, main, cells, files, digest, notes)


def _digest(kind: str, main: str, files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256(kind.encode())
    for path, data in sorted(files.items(), key=lambda item: (item[0] != main, item[0])):
        label = b"" if path == main else path.encode("utf-8", "surrogateescape")
        for part in (label, data):
            digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _main(files: Mapping[str, bytes], shown: str, assignment: Assignment) -> tuple[str, tuple[str, ...]]:
    """The file to grade, and notes: the assignment's own names first, else the only notebook, else the only script."""
    named = _shallowest(
        path
        for path in files
        if PurePosixPath(path).name in (f"{assignment.slug}.ipynb", f"{assignment.slug}.py")
    )
    notebooks, scripts = ([p for p in named if kind_of(p) == kind] for kind in ("notebook", "script"))
    if len(notebooks) == len(scripts) == 1:
        return _touched(notebooks[0], scripts[0], files, assignment)
    if not named:
        named = _of_kind(files, "notebook") or _of_kind(files, "script")
    if len(named) == 1:
        return named[0], ()
    raise _no_choice(named, files, shown, assignment.slug)


def _shallowest(paths: Iterable[str]) -> list[str]:
    by_depth = sorted(paths, key=lambda path: (path.count("/"), path))
    return [path for path in by_depth if path.count("/") == by_depth[0].count("/")]


def _of_kind(files: Mapping[str, bytes], kind: str) -> list[str]:
    return sorted(path for path in files if kind_of(path) == kind)


def _touched(
    notebook: str, script: str, files: Mapping[str, bytes], assignment: Assignment
) -> tuple[str, tuple[str, ...]]:
    """Of the notebook and the script, the one that the student worked in."""
    untouched = {path for path in (notebook, script) if _is_stub(path, files[path], assignment.template)}
    graded, other = (script, notebook) if untouched == {notebook} else (notebook, script)
    if len(untouched) == 2:
        return graded, ()
    why = "is as it was handed out" if other in untouched else "was not read: hand in one of the two"
    names = PurePosixPath(graded).name, PurePosixPath(other).name
    return graded, (f"{names[0]} was graded; {names[1]} {why}.",)


def _is_stub(path: str, data: bytes, template: Path) -> bool:
    stub = template / PurePosixPath(path).name
    try:
        return stub.is_file() and _code(path, data) == _code(path, stub.read_bytes())
    except SubmissionError:
        return False


def _code(path: str, data: bytes) -> list[str]:
    lines = (line.rstrip() for cell in read_cells(path, data) for line in cell.source.split("\n"))
    return [line for line in lines if line]


def _no_choice(choices: list[str], files: Mapping[str, bytes], shown: str, slug: str) -> SubmissionError:
    if choices:
        listed = _listed(choices)
        return SubmissionError(
            f"{shown} holds {len(choices)} files that may be your solution: {listed}. "
            f"Keep one of them, or name it {slug}.ipynb or {slug}.py, and upload it again."
        )
    found = _listed(sorted(files)) or "no files"
    return SubmissionError(
        f"Expected {slug}.ipynb or {slug}.py in {shown}, but found {found}. "
        "Add your notebook or script and upload it again."
    )


def _listed(paths: list[str]) -> str:
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return ", ".join(ascii(path)[1:-1] for path in paths[:5]) + more
