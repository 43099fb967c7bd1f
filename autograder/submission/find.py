"""What `grade` was given -> the submissions in it. Only names are looked at; nothing is read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from autograder.nearest import meant
from autograder.submission.bundle import is_noise
from autograder.submission.model import SubmissionError

# Lists and logs that learning platforms and this grader itself put beside submissions. All else gets a row: a
# student whose file has the wrong type must not vanish.
_NOT_SUBMISSIONS = {".csv", ".log", ".sqlite"}


def find(paths: Iterable[Path], slug: str) -> list[tuple[str, Path]]:
    """The submissions at these paths, each with a name of its own.

    A file is one submission, and so is a folder with `<slug>.ipynb` or `<slug>.py` directly inside. Any other folder
    is a class: each file and each folder in it is a submission.

    Raises:
        SubmissionError: A path is not there, or nothing was found.
    """
    paths = list(paths)
    found = dict.fromkeys(path for given in paths for path in _expand(given, slug))
    if not found:
        listed = ", ".join(map(str, paths)) or "nothing"
        raise SubmissionError(f"No submissions (.ipynb, .py, .zip or folders) in {listed}.")
    return _named(list(found))


def _expand(given: Path, slug: str) -> Iterator[Path]:
    if not given.exists():
        raise SubmissionError(f"There is no file or folder {given}. {_beside(given)}".rstrip())
    path = given.resolve()
    if path.is_dir() and not any((path / f"{slug}{suffix}").is_file() for suffix in (".ipynb", ".py")):
        yield from sorted(entry for entry in path.iterdir() if _may_be_submission(entry))
    else:
        yield path


def _beside(path: Path) -> str:
    """What lies where the path should, and is named almost so."""
    folder = path.parent
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    return meant(path.name, filter(str.isprintable, names))  # a terminal obeys what is not printable


def _may_be_submission(path: Path) -> bool:
    return not is_noise(path.name) and path.suffix.lower() not in _NOT_SUBMISSIONS


def _named(paths: list[Path]) -> list[tuple[str, Path]]:
    """Names by file name; the parent's name goes before equal ones (case is no difference: results are files)."""
    own = [_printable(path.name) for path in paths]
    count = Counter(name.casefold() for name in own)
    names = [
        name if count[name.casefold()] == 1 else f"{_printable(path.parent.name)}-{name}"
        for name, path in zip(own, paths, strict=True)
    ]
    taken: set[str] = set()
    return [(_unique(name, taken), path) for name, path in zip(names, paths, strict=True)]


def _printable(name: str) -> str:
    """A name that cannot begin a line of its own, or give a terminal orders, wherever it is shown."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate.casefold() in taken:
        number += 1
        candidate = f"{name}-{number}"
    taken.add(candidate.casefold())
    return candidate
