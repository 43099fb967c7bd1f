"""Code cells of a notebook (formats 2 to 4) or a script in percent format; nothing is parsed as Python."""

import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Any

from autograder.submission.model import Cell, Kind, SubmissionError

IGNORE_TAG = "otter_ignore"

# What a notebook may hold outside its texts: at worst 200 bytes a value, 400 MB. Honest ones have under 100 000.
MAX_VALUES = 2_000_000
# Lists and objects inside of one another; honest ones have 8. Python's own limit depends on who is reading: a notebook
# of 985 could be read by one function and not by the next.
MAX_NESTING = 100

_HEADER = re.compile(r"# ?%%(.*)")
_ENCODINGS = {"utf-8", "utf-8-sig", "ascii", "us-ascii", "iso-8859-1", "iso-8859-15", "cp1252", "latin-1"}
_LOOKS_LIKE = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive or an Office document"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)


def kind_of(name: str) -> Kind | None:
    """Whether a file of this name is a notebook, a script or neither."""
    if name.lower().endswith(".ipynb"):
        return "notebook"
    return "script" if name.lower().endswith(".py") else None


def read_cells(name: str, data: bytes) -> tuple[Cell, ...]:
    """The code cells of a file.

    Raises:
        SubmissionError: It is not what its name says, or there is no code in it.
    """
    if not data.strip():
        raise SubmissionError(
            f"{name} is empty ({len(data)} bytes). Save your work, check that the file is not empty, "
            "and upload it again."
        )
    cells = _notebook_cells(name, data) if kind_of(name) == "notebook" else _script_cells(name, data)
    if not cells:
        raise SubmissionError(f"{name} holds no code. Upload the file that your solution is in.")
    return cells


def looks_like(data: bytes) -> str | None:
    """What a file is, by its first bytes, where that is not what was asked for."""
    start = data[:64].lstrip().lower()
    return next((kind for magic, kind in _LOOKS_LIKE if start.startswith(magic.lower())), None)


def without_outputs(name: str, data: bytes) -> bytes:
    """A notebook without what its cells printed and drew, which nobody reads."""
    notebook = _notebook(name, data)
    for cell in _raw_cells(name, notebook):
        if "outputs" in cell:
            cell["outputs"] = []
    return json.dumps(notebook).encode()


# ------------------------------------------------------------------------------------------------------ notebooks


def raw_cells(name: str, data: bytes) -> Iterator[dict[str, Any]]:
    """The cells of a notebook as they stand in the file, text among them.

    Raises:
        SubmissionError: It is no notebook.
    """
    return _raw_cells(name, _notebook(name, data))


def _notebook_cells(name: str, data: bytes) -> tuple[Cell, ...]:
    code = (cell for cell in raw_cells(name, data) if cell.get("cell_type") == "code")
    sources = [_source(name, cell) for cell in code if IGNORE_TAG not in _tags(cell)]
    return tuple(Cell(source, 1) for source in sources if source.strip())


def _notebook(name: str, data: bytes) -> dict[str, Any]:
    if found := looks_like(data):
        raise SubmissionError(
            f"{name} is not a notebook: it looks like {found}. "
            "Download the notebook itself (in Jupyter: File > Download) and upload that."
        )
    _check_values(name, data)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise SubmissionError(
            f"{name} is not a notebook that can be read: it is not valid JSON{place}. "
            "Open it in Jupyter, save it again, and upload the new file."
        ) from error
    if not isinstance(document, dict):
        raise _no_cells(name)
    _check_nesting(name, document)
    return document


def _check_values(name: str, data: bytes) -> None:
    """Bounds the memory that parsing takes: each value but the first follows a comma or a bracket."""
    if _separators(data) <= MAX_VALUES:
        return
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_texts = plain.split(b'"')[::2] if plain.count(b'"') <= 2 * MAX_VALUES else [data]
    if sum(map(_separators, outside_texts)) > MAX_VALUES:
        raise SubmissionError(
            f"{name} holds more than {MAX_VALUES} values, which is too many to read. "
            "Clear its outputs (in Jupyter: Kernel > Restart Kernel and Clear Outputs of All Cells), save it, "
            "and upload it again."
        )


def _check_nesting(name: str, document: dict[str, Any]) -> None:
    level: list[Any] = [document]
    for _ in range(MAX_NESTING):
        level = [part for value in level for part in _parts(value) if isinstance(part, (dict, list))]
        if not level:
            return
    raise SubmissionError(
        f"{name} is not a usual notebook: it holds lists more than {MAX_NESTING} levels deep. "
        "Open it in Jupyter, clear its outputs, save it again, and upload the new file."
    )


def _parts(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _separators(data: bytes) -> int:
    return data.count(b",") + data.count(b"[") + data.count(b"{")


def _raw_cells(name: str, notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The cells of a notebook in format 4 (`cells`) or 2 and 3 (`worksheets`)."""
    holders = notebook.get("worksheets", [notebook])
    for holder in holders if isinstance(holders, list) else [None]:
        cells = holder.get("cells") if isinstance(holder, dict) else None
        if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
            raise _no_cells(name)
        yield from cells


def _no_cells(name: str) -> SubmissionError:
    return SubmissionError(
        f"{name} is not a Jupyter notebook: it is JSON, but without a list of cells. "
        "Open your notebook in Jupyter, save it again, and upload the new file."
    )


def _tags(cell: dict[str, Any]) -> list[Any]:
    metadata = cell.get("metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    return tags if isinstance(tags, list) else []


def _source(name: str, cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input", ""))
    lines = source if isinstance(source, list) else [source]
    if not all(isinstance(line, str) for line in lines):
        raise SubmissionError(
            f"{name} has a code cell whose source is not text. "
            "Open it in Jupyter, save it again, and upload the new file."
        )
    text = (
        "".join(lines).encode("utf-8", "replace").decode()
    )  # half a character (a lone surrogate) becomes "?"
    return _unix_lines(text)


# -------------------------------------------------------------------------------------------------------- scripts


def _script_cells(name: str, data: bytes) -> tuple[Cell, ...]:
    text = _unix_lines(_decoded(name, data))
    if text.lstrip().startswith("{") and '"cells"' in text:
        raise SubmissionError(
            f"{name} is not a Python script: it is a notebook under a script's name. "
            f"Rename it to {name[: -len('.py')]}.ipynb and upload it again."
        )
    return tuple(cell for cell in _split(text) if cell.source.strip())


def _split(text: str) -> Iterator[Cell]:
    """Cuts at the lines that start with `# %%`; leaves out text cells and those that are not graded."""
    kept, start, lines = True, 1, list[str]()
    for number, line in enumerate(text.split("\n"), start=1):
        header = _HEADER.match(line)
        if not header:
            lines.append(line)
            continue
        if kept:
            yield Cell("\n".join(lines), start)
        kept, start, lines = _is_code(header[1]), number + 1, []
    if kept:
        yield Cell("\n".join(lines), start)


def _is_code(header: str) -> bool:
    return not re.search(r"\[(markdown|md|raw)\]", header) and IGNORE_TAG not in re.findall(r"\w+", header)


def _decoded(name: str, data: bytes) -> str:
    """A script's text, decoded as Python would: UTF-8 with or without its mark, or what line 1 or 2 declares."""
    if found := looks_like(data):
        raise SubmissionError(
            f"{name} is not a Python script: it looks like {found}. Upload the .py file itself."
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data:
        raise _not_utf8(name, "it holds bytes of another encoding, such as UTF-16")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if encoding not in _ENCODINGS:  # some codecs take quadratic time, and none of them is needed
            raise _not_utf8(name, f"it declares the encoding {encoding}")
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise _not_utf8(
            name, f"byte {error.object[error.start]:#04x} in line {_line(error)} is not"
        ) from error
    except (SyntaxError, LookupError) as error:
        raise _not_utf8(name, f"{error}") from error


def _line(error: UnicodeDecodeError) -> int:
    return error.object.count(b"\n", 0, error.start) + 1


def _not_utf8(name: str, found: str) -> SubmissionError:
    return SubmissionError(
        f"{name} is not UTF-8 text: {found}. Save it with the encoding UTF-8 and upload it again."
    )


def _unix_lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
