"""The files of a zip archive or a folder. Each bound is checked on what is there, not on what a header claims."""

import io
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from autograder.submission.model import MAX_BYTES, MAX_MEGABYTES, SubmissionError

MAX_FILES = (
    1000  # a solution with helper modules and data has a dozen; a virtual environment has twenty thousand
)
MAX_ENTRIES = 50_000  # of a zip archive's list, noise included: a ZipInfo takes half a kilobyte, so 25 MB
MAX_DEPTH = 16  # folders in folders
MAX_PART = 255  # bytes of one name, which is what file systems take

Limits = Mapping[str, int]

_CHUNK = 2**16
_CENTRAL_ENTRY = b"PK\x01\x02"
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    ValueError,
    OSError,
)
_PACK_AGAIN = "Pack your notebook or script and its helper files again, as a plain .zip, and upload that."


def is_noise(name: str) -> bool:
    """Whether a file or folder is one that systems and editors leave behind."""
    return name.startswith(".") or name in {"__MACOSX", "__pycache__", "Thumbs.db", "desktop.ini"}


def read_file(path: Path, limit: int | None = None) -> bytes:
    """The content of an ordinary file of bounded size.

    Args:
        path: Where it is.
        limit: A bound of its own, in bytes: one byte more is read, so that whoever wants the file sees that it is
            too large, and no more.

    Raises:
        SubmissionError: It is something else, or too large.
    """
    if not path.exists() and not path.is_symlink():
        raise SubmissionError(f"{path.name} is gone: it was there a moment ago. Hand it in again.")
    if path.is_symlink() or not path.is_file():
        raise SubmissionError(
            f"{path.name} is not an ordinary file but a link or a device. Upload the file itself."
        )
    with path.open("rb") as file:
        if limit is not None:
            return file.read(limit + 1)
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise SubmissionError(
            f"{path.name} is larger than {MAX_MEGABYTES} MB. Clear the notebook's outputs, leave out data that "
            "the assignment does not need, and upload it again."
        )
    return data


def unzip(name: str, data: bytes, limits: Limits) -> dict[str, bytes]:
    """The files in a zip archive, in memory.

    Args:
        name: What to call it.
        data: The archive.
        limits: Base names of files with a bound of their own, as in `read_file`.

    Raises:
        SubmissionError: It is broken, encrypted or too large, or holds links or paths that lead elsewhere.
    """
    if data.count(_CENTRAL_ENTRY) > MAX_ENTRIES:  # counted before zipfile builds an object for each
        raise _too_many(name)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _members(name, archive, limits)
    except _BROKEN_ZIP as error:
        raise SubmissionError(
            f"{name} is not a zip archive that can be read ({_reason(error)}). {_PACK_AGAIN}"
        ) from error


def collect(folder: Path, limits: Limits) -> dict[str, bytes]:
    """The files in a folder and the folders below it; links are refused, not followed.

    Args:
        folder: Where they are.
        limits: Base names of files with a bound of their own, as in `read_file`.

    Raises:
        SubmissionError: It is too large or holds something that is no ordinary file.
    """
    files: dict[str, bytes] = {}
    total = 0
    for path in _walk(folder, MAX_DEPTH):
        files[path.relative_to(folder).as_posix()] = data = read_file(path, limits.get(path.name))
        total += len(data)
        _check_amount(folder.name, len(files), total)
    return files


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    if depth == 0:
        raise SubmissionError(f"{folder.name} lies more than {MAX_DEPTH} folders deep. {_PACK_AGAIN}")
    with os.scandir(folder) as entries:
        kept = sorted((entry for entry in entries if not is_noise(entry.name)), key=lambda entry: entry.name)
    for entry in kept:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), depth - 1)
        else:
            yield Path(entry.path)


def _members(name: str, archive: zipfile.ZipFile, limits: Limits) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total = 0
    for info in archive.infolist():
        path = _safe_path(name, info)
        if info.filename.endswith(("/", "\\")) or any(is_noise(part) for part in path.parts):
            continue
        if str(path) in files:
            raise SubmissionError(f"{name} holds {_shown(str(path))} twice. {_PACK_AGAIN}")
        _check_member(name, info)
        files[str(path)] = data = _inflate(name, archive, info, MAX_BYTES - total, limits.get(path.name))
        total += len(data)
        _check_amount(name, len(files), total)
    _check_clashes(name, files)
    return files


def _safe_path(name: str, info: zipfile.ZipInfo) -> PurePosixPath:
    """The path of a member; the separators of Windows are taken for what they are."""
    raw = info.orig_filename.replace("\\", "/")
    path = PurePosixPath(unicodedata.normalize("NFC", raw))
    if raw.startswith("/") or ".." in path.parts or re.match(r"[A-Za-z]:", raw) or not path.parts:
        raise SubmissionError(
            f"{name} holds the path {_shown(raw)}, which leads out of its folder. {_PACK_AGAIN}"
        )
    if (
        not raw.isprintable()
        or len(path.parts) > MAX_DEPTH
        or any(len(p.encode()) > MAX_PART for p in path.parts)
    ):
        raise SubmissionError(f"{name} holds the path {_shown(raw)}, which is not a usual one. {_PACK_AGAIN}")
    return path


def _check_member(name: str, info: zipfile.ZipInfo) -> None:
    shown = _shown(info.filename)
    if info.flag_bits & 0x1:
        raise SubmissionError(
            f"{name} is protected with a password ({shown}). Pack it again without one, and upload that."
        )
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        raise SubmissionError(
            f"{name} holds {shown}, which is not an ordinary file but a link or a device. {_PACK_AGAIN}"
        )
    if info.compress_type not in (
        zipfile.ZIP_STORED,
        zipfile.ZIP_DEFLATED,
    ):  # zipfile inflates others without a bound
        raise SubmissionError(f"{name} is packed by an unusual method ({shown}). {_PACK_AGAIN}")


def _inflate(
    name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo, room: int, limit: int | None = None
) -> bytes:
    """Reads a member piece by piece and stops at the first byte too many, whatever its header says."""
    pieces = io.BytesIO()
    with archive.open(info) as member:
        if limit is not None and limit < room:
            return member.read(limit + 1)
        while piece := member.read(_CHUNK):
            if pieces.tell() + len(piece) > room:
                raise _too_large(name)
            pieces.write(piece)
    return pieces.getvalue()


def _check_amount(name: str, count: int, total: int) -> None:
    if count > MAX_FILES:
        raise _too_many(name)
    if total > MAX_BYTES:
        raise _too_large(name)


def _check_clashes(name: str, paths: Iterable[str]) -> None:
    """Refuses what one file system keeps apart and another does not: A.py and a.py, a file and a folder of one name."""
    seen: dict[str, str] = {}
    for path in paths:
        if (other := seen.setdefault(path.casefold(), path)) != path:
            raise SubmissionError(
                f"{name} holds {_shown(other)} and {_shown(path)}, which are one name on many systems. {_PACK_AGAIN}"
            )
    for path in seen:
        for parent in PurePosixPath(path).parents:
            if str(parent) in seen:
                raise SubmissionError(
                    f"{name} holds {_shown(seen[str(parent)])} both as a file and as a folder. {_PACK_AGAIN}"
                )


def _too_many(name: str) -> SubmissionError:
    return SubmissionError(
        f"{name} holds more than {MAX_FILES} files. Leave out virtual environments and data that "
        "the assignment does not need, and upload it again."
    )


def _too_large(name: str) -> SubmissionError:
    return SubmissionError(
        f"{name} is larger than {MAX_MEGABYTES} MB when unpacked. Clear the notebook's outputs, leave out data that "
        "the assignment does not need, and upload it again."
    )


def _shown(text: str) -> str:
    """A stranger's text, made safe to print and short."""
    return ascii(text) if len(text) <= 80 else ascii(text[:80]) + "..."


def _reason(error: BaseException) -> str:
    return _shown(str(error)).strip("'\"") or type(error).__name__
