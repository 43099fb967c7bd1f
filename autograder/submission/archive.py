"""A read submission as bytes and back, to keep it or to send it; and what tells whether its files are the same."""

import hashlib
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from autograder.submission.bundle import is_noise
from autograder.submission.cells import read_cells
from autograder.submission.model import Submission

_BLOCK = 1 << 20


def pack(submission: Submission) -> bytes:
    """The submission as it was read: its files, which of them is graded, and the notes; not its name."""
    header = {
        "kind": submission.kind, "main": submission.main, "digest": submission.digest, "notes": submission.notes,
        "files": [[name, len(content)] for name, content in submission.files.items()],
    }  # fmt: skip
    return zlib.compress(b"\n".join([json.dumps(header).encode(), b"".join(submission.files.values())]))


def unpack(packed: bytes, name: str) -> Submission:
    """What `pack` packed, under this name."""
    text, _, rest = zlib.decompress(packed).partition(b"\n")
    header = json.loads(text)
    files, start = {}, 0
    for path, size in header["files"]:
        files[path] = rest[start : start + size]
        start += size
    main = header["main"]
    return Submission(
        name,
        header["kind"],
        main,
        read_cells(main, files[main]),
        files,
        header["digest"],
        tuple(header["notes"]),
    )


def fingerprint(path: Path) -> str:
    """A digest of a file or folder as it lies there: nothing is unpacked, and memory for one block is enough.

    Raises:
        OSError: it cannot be read.
    """
    path.lstat()
    digest = hashlib.sha256()
    for file in _walk(path):
        digest.update(os.fsencode(file.relative_to(path.parent)) + b"\0")
        if file.is_file():
            _add(digest, file)
    return digest.hexdigest()


def _walk(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            if not is_noise(entry.name):
                yield from _walk(entry)


def _add(digest: "hashlib._Hash", file: Path) -> None:
    digest.update(file.stat().st_size.to_bytes(8, "big"))
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
