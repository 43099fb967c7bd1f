"""Submissions that are no proper files: broken, enormous, misnamed, booby-trapped.

They are made here, for most are too large to keep. Each is the content of a file, or a mapping of them: a folder. Their
verdicts stand in tests/submissions/attention/malformed/verdicts.toml.
"""

from __future__ import annotations

import io
import json
import pickle
import stat
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.build_submissions import archive, notebook, right_cells, script

Content = bytes | Mapping[str, bytes]
MARK = "gallery-was-here"  # what an attack that worked would leave somewhere
_TRAP = f"import os\nopen('/tmp/{MARK}', 'w').close()\nraise SystemExit\n"


class _Bomb:
    """What runs a command wherever it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (_TRAP,)


def malformed() -> dict[str, Content]:
    """All of them, by name."""
    return {**_archives(), **_notebooks(), **_scripts(), **_booby_traps(), **_names()}


def make(folder: Path, name: str, content: Content) -> None:
    """Puts one into a class's folder."""
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
        return
    (folder / name).mkdir()
    for inner, data in content.items():
        (folder / name / inner).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / inner).write_bytes(data)


def _archives() -> dict[str, Content]:
    right = script(right_cells())
    return {
        "traversal.zip": archive({"attention.py": right, f"../../../../../../../tmp/{MARK}": "x"}),
        "absolute_path.zip": archive({"attention.py": right, f"/tmp/{MARK}": "x"}),
        "windows_path.zip": archive({"attention.py": right, f"C:\\..\\{MARK}": "x"}),
        "symbolic_link.zip": _with_link(right, "secrets.txt", "/etc/passwd"),
        "link_as_solution.zip": _with_link(None, "attention.py", "/proc/self/cwd/reference/attention.py"),
        "bomb.zip": _bomb(right),
        "many_members.zip": archive({"attention.py": right, **{f"{n}.txt": "" for n in range(1001)}}),
        "encrypted.zip": _encrypted(archive({"attention.py": right})),
        "duplicate_names.zip": _twice("attention.py", right, _TRAP),
        "names_that_differ_in_case.zip": archive({"attention.py": right, "Attention.PY": _TRAP}),
        "cut_off.zip": archive({"attention.py": right})[:-100],
        "not_an_archive.zip": b"PK" + bytes(1000),
    }


def _bomb(right: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("attention.py", right)
        for number in range(10):
            target.writestr(f"{number}.bin", bytes(60 << 20))
    return buffer.getvalue()


def _with_link(right: str | None, name: str, target: str) -> bytes:
    buffer = io.BytesIO(archive({} if right is None else {"attention.py": right}))
    with zipfile.ZipFile(buffer, "a") as target_file:
        link = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        target_file.writestr(link, target)
    return buffer.getvalue()


def _encrypted(packed: bytes) -> bytes:
    data = bytearray(packed)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    return bytes(data)


def _twice(name: str, first: str, second: str) -> bytes:
    other = "x" * len(name)
    return archive({name: first, other: second}).replace(other.encode(), name.encode())


def _notebooks() -> dict[str, Content]:
    cells = right_cells()
    whole = json.loads(notebook(cells))
    picture = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"image/png": "iVBORw0KGgo" * 5_000_000},
    }
    drawn = json.loads(notebook(cells))
    drawn["cells"][0]["outputs"] = [picture]
    old = [{"cell_type": "code", "language": "python", "input": cell, "outputs": []} for cell in cells]
    ancient = {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": old}]}
    return {
        "half_a_notebook.ipynb": notebook(cells)[:3000],
        "merge_conflict.ipynb": notebook(cells).replace(b'{"cells"', b'<<<<<<< HEAD\n{"cells"'),
        "no_list_of_cells.ipynb": b'{"cells": {"0": "import torch"}, "nbformat": 4}',
        "deeply_nested.ipynb": b"[" * 200_000 + b"]" * 200_000,
        "millions_of_values.ipynb": b'{"cells": [' + b"0," * 2_100_000 + b"0]}",
        "enormous.ipynb": notebook([*cells, "# " + "x" * (65 << 20)]),
        "outputs_of_50_megabytes.ipynb": json.dumps(drawn).encode(),
        "ancient.ipynb": json.dumps(ancient).encode(),
        "no_kernel.ipynb": json.dumps({"cells": whole["cells"], "nbformat": 4, "nbformat_minor": 5}).encode(),
    }


def _scripts() -> dict[str, Content]:
    right = script(right_cells())
    return {
        "utf16.py": right.encode("utf-16"),
        "latin1_undeclared.py": f"# L\u00f6sung von J\u00f6rg\n{right}".encode("latin-1"),
        "latin1_declared.py": f"# -*- coding: latin-1 -*-\n# L\u00f6sung\n{right}".encode("latin-1"),
        "strange_codec.py": f"# coding: punycode\n{right}".encode(),
        "byte_order_mark.py": b"\xef\xbb\xbf" + right.encode(),
        "nul_bytes.py": right.encode() + bytes(10),
        "nothing_but_comments.py": b"# %% [markdown]\n# see my mail\n",
    }


def _booby_traps() -> dict[str, Content]:
    cells = right_cells()
    right, trap = script(cells), _TRAP.encode()
    shadows = (
        "otter.py",
        "torch.py",
        "numpy.py",
        "autograder/__init__.py",
        "sitecustomize.py",
        "conftest.py",
    )
    loads = "import pickle\nimport torch\n{}"
    pickled = pickle.dumps(_Bomb())
    load_weights = "torch.load('weights.pt', weights_only=False)"
    return {
        "named_like_libraries.zip": archive({"attention.py": right, **dict.fromkeys(shadows, _TRAP)}),
        "otter_log": {"attention.py": right.encode(), ".OTTER_LOG": pickled, "submission.pkl": pickled},
        "pickle.zip": archive({
            "attention.py": right + loads.format("pickle.load(open('scores.pkl', 'rb'))"), "scores.pkl": pickled,
        }),
        "weights.zip": archive({"attention.py": right + loads.format(load_weights), "weights.pt": pickled}),
        "weights_with_a_huge_header.zip": archive({
            "attention.py": right, "weights.safetensors": struct.pack("<Q", 1 << 40) + b"{}",
        }),
        "bytecode.zip": archive({
            "attention.py": right, "__pycache__/attention.cpython-311.pyc": b"\x00" * 100, "tests/q1.py": _TRAP,
        }),
        "settings": {"attention.py": right.encode(), ".git/config": trap, "pyproject.toml": b"[", "Makefile": trap},
    }  # fmt: skip


def _names() -> dict[str, Content]:
    right = script(right_cells()).encode()
    return {
        "folder_named_like_a_file.py": {"attention.py": right},
        "holds_folders_named_like_files": {"attention.py/attention.ipynb/x.txt": b"x"},
        "empty_folder": {},
        "\x1b[2J\x1b]0;gallery\x07.py": right,
        '=HYPERLINK(1)\n,"x",<b>.py': right,
        "n" * 240 + ".py": right,
    }
