"""Gradescope's export: a folder for each submission, and `submission_metadata.yml` with the people and times.

The file is a Ruby program's: keys are symbols (`:submitters:`), times may carry Ruby tags. It is read with PyYAML's
BaseLoader, which makes texts, lists and mappings of anything, whatever its tags say: nothing is constructed, merged
or computed from it. The names of folders come from the file system alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autograder.roster.model import Entry, Person, RosterError
from autograder.roster.times import parse_time
from autograder.submission.bundle import is_noise

METADATA = "submission_metadata.yml"
MAX_BYTES = 32 * 2**20  # 500 submissions with all their earlier results take about 10 MB
MAX_PEOPLE = 50  # behind one submission
MAX_TEXT = 300  # of a name or an address
_NOTHING = {"", "~", "null", "Null", "NULL"}


def export_root(folder: Path) -> Path | None:
    """The folder with the metadata: this one, or one directly inside, which is how the archive unpacks."""
    if not folder.is_dir():
        return None
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and not is_noise(path.name))
    return next((root for root in (folder, *inside) if (root / METADATA).is_file()), None)


def entries(root: Path) -> Iterator[Entry]:
    """Each submission folder (or file) of an export.

    Raises:
        RosterError: the metadata cannot be read.
    """
    records = load(root / METADATA)
    for path in sorted(root.iterdir()):
        if path.name != METADATA and not is_noise(path.name) and path.suffix.lower() != ".csv":
            yield _entry(path, records.get(path.name))


def load(path: Path) -> dict[str, Any]:
    """The metadata as texts, lists and mappings: folder name -> record.

    Raises:
        RosterError: it is too large, not UTF-8, not YAML or not a mapping.
    """
    import yaml  # here: 30 ms that only an export costs

    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise RosterError(
            f"{path} is larger than {MAX_BYTES >> 20} MB, which is more than an export of a class has."
        )
    try:
        document = yaml.load(data.decode("utf-8-sig"), getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except UnicodeDecodeError as error:
        raise RosterError(f"{path} is not UTF-8 (byte {error.start}). Unpack the export again.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise RosterError(
            f"{path}{line}: this is not the metadata of an export ({_short(error)})."
        ) from error
    if not isinstance(document, dict):
        raise RosterError(
            f"{path}: expected a list of submissions by folder, found {type(document).__name__}."
        )
    return document


def _entry(path: Path, record: Any) -> Entry:
    if not isinstance(record, dict):
        note = f"{path.name} is not in {METADATA}: nobody knows whose it is."
        return Entry(path.name, path, platform="gradescope", notes=(note,))
    submitters = record.get(":submitters")
    people = tuple(_people(submitters[:MAX_PEOPLE] if isinstance(submitters, list) else []))
    notes = () if people else (f"{METADATA} names nobody for {path.name}.",)
    created = record.get(":created_at")
    if isinstance(created, dict):  # a time of Rails' own: a mapping with a Ruby tag
        created = created.get("utc", created.get("time"))
    time = parse_time(created) if isinstance(created, str) else None
    return Entry(path.name, path, people, time, platform="gradescope", notes=notes)


def _people(submitters: list[Any]) -> Iterator[Person]:
    for record in submitters:
        if isinstance(record, dict):
            name, sid, email = (_text(record.get(key)) for key in (":name", ":sid", ":email"))
            if name or sid or email:
                yield Person(name=name, id=sid, email=email)


def _text(value: Any) -> str:
    """A short text on one line; "" for anything else."""
    if not isinstance(value, str) or value in _NOTHING:
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in value[:MAX_TEXT]).split())


def _short(error: BaseException) -> str:
    return str(getattr(error, "problem", None) or type(error).__name__)[:100]
