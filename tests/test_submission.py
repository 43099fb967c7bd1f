"""Whatever a student hands in becomes a `Submission` or a `SubmissionError` that helps; nothing in it is run."""

import io
import json
import os
import shutil
import stat
import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autograder import assignment
from autograder.submission import Cell, Submission, SubmissionError, bundle, cells, find, model, read

SAMPLE = Path(__file__).parent / "data" / "sample"
CODE = "def softmax(x):\n    return x\n"


@pytest.fixture(scope="module")
def mini(tmp_path_factory: pytest.TempPathFactory) -> assignment.Assignment:
    """The sample assignment with a kit, so that an untouched stub can be recognised."""
    root = shutil.copytree(SAMPLE, tmp_path_factory.mktemp("root") / "sample")
    loaded = assignment.load("mini", root)
    loaded.template.mkdir(parents=True)
    (loaded.template / "mini.py").write_text("# %%\ndef softmax(x):\n    ...\n")
    (loaded.template / "mini.ipynb").write_bytes(notebook("def softmax(x):\n    ..."))
    return loaded


def notebook(*sources: str, **more: object) -> bytes:
    """A notebook in format 4 with these code cells."""
    made = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for source in sources
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5, **more}).encode()


def zipped(files: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def put(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def read_bytes(tmp_path: Path, name: str, data: bytes | str, mini: assignment.Assignment) -> Submission:
    return read(put(tmp_path, {name: data}) / name, name, mini)


def refusal(tmp_path: Path, name: str, data: bytes | str, mini: assignment.Assignment) -> str:
    with pytest.raises(SubmissionError) as caught:
        read_bytes(tmp_path, name, data, mini)
    return str(caught.value)


# ------------------------------------------------------------------------------------------------ what is accepted


def test_script_without_cells_is_one_cell(tmp_path, mini):
    found = read_bytes(tmp_path, "alice.py", CODE, mini)
    assert (found.name, found.kind, found.main, found.notes) == ("alice.py", "script", "alice.py", ())
    assert found.cells == (Cell("def softmax(x):\n    return x\n", 1),)
    assert found.files == {"alice.py": CODE.encode()}


def test_script_is_cut_at_cell_headers_and_keeps_line_numbers(tmp_path, mini):
    """Text cells and cells tagged otter_ignore are left out; what stands before the first header is a cell."""
    text = (
        "#!/usr/bin/env python\nimport math\n# %%\na = 1\n\n# %% [markdown]\n# text\n# %% a title\nb = 2\n"
        '# %% tags=["q1", "otter_ignore"]\nc = 3\n#%%\nd = 4\n# %%\n\n'
    )
    found = read_bytes(tmp_path, "mini.py", text, mini)
    assert [(cell.line, cell.source.strip()) for cell in found.cells] == [
        (1, "#!/usr/bin/env python\nimport math"),
        (4, "a = 1"),
        (9, "b = 2"),
        (13, "d = 4"),
    ]


def test_notebook_gives_its_code_cells_without_the_ignored_ones(tmp_path, mini):
    document = json.loads(notebook("a = 1", "hidden = 1", "b = 2", "  \n"))
    document["cells"][1]["metadata"]["tags"] = ["otter_ignore"]
    document["cells"].insert(0, {"cell_type": "markdown", "metadata": {}, "source": "# Title"})
    document["cells"][1]["source"] = ["a = 1\n", "aa = 1"]
    found = read_bytes(tmp_path, "mini.ipynb", json.dumps(document), mini)
    assert found.kind == "notebook"
    assert found.cells == (Cell("a = 1\naa = 1", 1), Cell("b = 2", 1))
    assert found.text == "a = 1\naa = 1\nb = 2"


@pytest.mark.parametrize("version", [2, 3])
def test_ancient_notebooks(tmp_path, mini, version):
    """Formats 2 and 3 kept cells in worksheets and code in `input`."""
    sheet = {"cells": [{"cell_type": "code", "language": "python", "input": ["a = 1"], "outputs": [{}]}]}
    document = {"metadata": {"name": ""}, "nbformat": version, "nbformat_minor": 0, "worksheets": [sheet]}
    found = read_bytes(tmp_path, "old.ipynb", json.dumps(document), mini)
    assert found.cells == (Cell("a = 1", 1),)
    assert json.loads(found.files["old.ipynb"])["worksheets"][0]["cells"][0]["outputs"] == []


def test_outputs_of_50_megabytes_are_dropped(tmp_path, mini):
    """A notebook full of pictures is graded, and its pictures go no further."""
    document = json.loads(notebook("a = 1"))
    picture = {
        "output_type": "display_data",
        "metadata": {},
        "data": {"image/png": "iVBORw0KGgo" * 5_000_000},
    }
    document["cells"][0]["outputs"] = [picture]
    data = json.dumps(document).encode()
    assert len(data) > 50 * 2**20
    found = read_bytes(tmp_path, "mini.ipynb", data, mini)
    assert found.cells == (Cell("a = 1", 1),)
    assert len(found.files["mini.ipynb"]) < 1000


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfx = '\xc3\xa9'", "x = 'é'"),
        ("x = 'é'".encode(), "x = 'é'"),
        ("# -*- coding: latin-1 -*-\nx = 'é'".encode("latin-1"), "# -*- coding: latin-1 -*-\nx = 'é'"),
        ("#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\nx = '€'".encode("cp1252"), None),
        (b"a = 1\r\nb = 2\rc = 3", "a = 1\nb = 2\nc = 3"),
    ],
    ids=["bom", "utf-8", "latin-1", "cp1252 in line 2", "line ends"],
)
def test_encodings_that_python_reads(tmp_path, mini, data, text):
    found = read_bytes(tmp_path, "mini.py", data, mini).text
    assert found == text if text else found.endswith("x = '€'")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_json_s_encodings(tmp_path, mini, encoding):
    """JSON may be any Unicode encoding, and its parser can tell which."""
    data = notebook("x = 'é'").decode().encode(encoding)
    assert read_bytes(tmp_path, "mini.ipynb", data, mini).text == "x = 'é'"


def test_half_a_character_in_a_notebook_does_no_harm(tmp_path, mini):
    r"""JSON can spell "\ud800", which no encoding can write."""
    found = read_bytes(tmp_path, "mini.ipynb", notebook("x = '\ud800'"), mini)
    assert found.text == "x = '?'"
    found.text.encode()


def test_zip_with_helpers_is_unwrapped(tmp_path, mini):
    """The folder that wraps everything goes, what systems leave behind goes, helpers and data stay."""
    data = zipped(
        {
            "work/mini.py": CODE,
            "work/helpers/tools.py": "t = 1",
            "work/data.csv": "1,2",
            "__MACOSX/work/._mini.py": b"\0",
            "work/.ipynb_checkpoints/mini.ipynb": b"{",
            "work/__pycache__/mini.cpython-311.pyc": b"\0",
            "work/.DS_Store": b"\0",
        }
    )
    found = read_bytes(tmp_path, "alice.zip", data, mini)
    assert (found.main, sorted(found.files)) == ("mini.py", ["data.csv", "helpers/tools.py", "mini.py"])


def test_folder_is_read_like_a_zip(tmp_path, mini):
    files: dict[str, bytes | str] = {
        "mini.py": CODE,
        "sub/tools.py": "t = 1",
        ".git/config": "",
        "__pycache__/x.pyc": b"\0",
    }
    folder = put(tmp_path / "alice", files)
    in_folder = read(folder, "alice", mini)
    assert sorted(in_folder.files) == ["mini.py", "sub/tools.py"]
    assert (
        in_folder.digest
        == read_bytes(tmp_path, "a.zip", zipped({"mini.py": CODE, "sub/tools.py": "t = 1"}), mini).digest
    )


@pytest.mark.parametrize(
    ("files", "main"),
    [
        ({"mini.py": CODE, "other.ipynb": "{}"}, "mini.py"),
        ({"deep/mini.py": "x = 1", "mini.py": CODE}, "mini.py"),
        ({"Homework (3).ipynb": notebook("a = 1"), "tools.py": "t = 1"}, "Homework (3).ipynb"),
        ({"solution.py": CODE, "readme.txt": "hello"}, "solution.py"),
        ({"./mini.py": CODE}, "mini.py"),
        ({"windows\\mini.py": CODE}, "mini.py"),
        ({"mini.py": CODE, "mini.ipynb": notebook("def softmax(x):\n    ...")}, "mini.py"),
        (
            {"mini.py": "# %%\r\ndef softmax(x):  \r\n    ...\r\n", "mini.ipynb": notebook("a = 1")},
            "mini.ipynb",
        ),
        ({"mini.py": CODE, "mini.ipynb": notebook("a = 1")}, "mini.ipynb"),
    ],
    ids=[
        "own name first",
        "shallowest",
        "only notebook",
        "only script",
        "dot",
        "backslash",
        "untouched notebook",
        "untouched script",
        "both touched",
    ],
)
def test_choice_of_the_main_file(tmp_path, mini, files, main):
    assert read_bytes(tmp_path, "a.zip", zipped(files), mini).main == main


@pytest.mark.parametrize(
    ("script", "book", "note"),
    [
        (CODE, "def softmax(x):\n    ...", "mini.py was graded; mini.ipynb is as it was handed out."),
        ("def softmax(x):\n    ...", "a = 1", "mini.ipynb was graded; mini.py is as it was handed out."),
        (CODE, "a = 1", "mini.ipynb was graded; mini.py was not read: hand in one of the two."),
    ],
)
def test_note_when_both_kinds_are_there(tmp_path, mini, script, book, note):
    found = read_bytes(tmp_path, "a.zip", zipped({"mini.py": script, "mini.ipynb": notebook(book)}), mini)
    assert found.notes == (note,)


def test_no_note_when_nothing_was_touched(tmp_path, mini):
    untouched = {"mini.py": "def softmax(x):\n    ...", "mini.ipynb": notebook("def softmax(x):\n    ...")}
    assert read_bytes(tmp_path, "a.zip", zipped(untouched), mini).notes == ()


def test_digest_is_of_the_content(tmp_path, mini):
    """The same work under another name is the same; one changed byte, anywhere, is not."""
    digests = [
        read_bytes(tmp_path, "a.py", CODE, mini).digest,
        read_bytes(tmp_path, "b.py", CODE, mini).digest,
        read_bytes(tmp_path, "c.py", CODE + " ", mini).digest,
        read_bytes(tmp_path, "d.zip", zipped({"mini.py": CODE, "data": "1"}), mini).digest,
        read_bytes(tmp_path, "e.zip", zipped({"mini.py": CODE, "data": "2"}), mini).digest,
        read_bytes(tmp_path, "f.zip", zipped({"mini.py": CODE, "data1": ""}), mini).digest,
    ]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 5


# ------------------------------------------------------------------------------ the common mistakes, to the letter


def test_message_wrong_type(tmp_path, mini):
    assert refusal(tmp_path, "report.pdf", b"%PDF-1.7 ...", mini) == (
        "Expected a notebook (.ipynb), a script (.py) or a zip archive (.zip) of them, but report.pdf is a PDF "
        "document. Upload mini.ipynb or mini.py."
    )


def test_message_renamed_by_the_browser(tmp_path, mini):
    assert refusal(tmp_path, "mini.ipynb.txt", notebook("a = 1"), mini) == (
        "Expected a notebook (.ipynb), a script (.py) or a zip archive (.zip) of them, but mini.ipynb.txt is a file of "
        "another type. Upload mini.ipynb or mini.py."
    )


@pytest.mark.parametrize(("data", "size"), [(b"", 0), (b" \n\n", 3)])
def test_message_empty_file(tmp_path, mini, data, size):
    assert refusal(tmp_path, "mini.ipynb", data, mini) == (
        f"mini.ipynb is empty ({size} bytes). Save your work, check that the file is not empty, and upload it again."
    )


def test_message_empty_zip_file(tmp_path, mini):
    assert refusal(tmp_path, "a.zip", b"", mini) == (
        "a.zip is empty (0 bytes). Pack your files again and upload the new archive."
    )


def test_message_two_notebooks(tmp_path, mini):
    assert refusal(
        tmp_path, "a.zip", zipped({"one.ipynb": notebook("a"), "two.ipynb": notebook("b")}), mini
    ) == (
        "a.zip holds 2 files that may be your solution: one.ipynb, two.ipynb. "
        "Keep one of them, or name it mini.ipynb or mini.py, and upload it again."
    )


def test_message_no_notebook(tmp_path, mini):
    assert refusal(tmp_path, "a.zip", zipped({"mini.pdf": "%PDF", "notes.txt": ""}), mini) == (
        "Expected mini.ipynb or mini.py in a.zip, but found mini.pdf, notes.txt. "
        "Add your notebook or script and upload it again."
    )


def test_message_empty_folder(tmp_path, mini):
    (tmp_path / "alice").mkdir()
    with pytest.raises(SubmissionError) as caught:
        read(tmp_path / "alice", "alice", mini)
    assert str(caught.value) == (
        "Expected mini.ipynb or mini.py in alice, but found no files. Add your notebook or script and upload it again."
    )


def test_message_not_a_zip(tmp_path, mini):
    assert refusal(tmp_path, "a.zip", b"hello", mini) == (
        "a.zip is not a zip archive that can be read (File is not a zip file). "
        "Pack your notebook or script and its helper files again, as a plain .zip, and upload that."
    )


def test_message_too_large(tmp_path, mini):
    with (tmp_path / "mini.ipynb").open("wb") as file:
        file.truncate(model.MAX_BYTES + 1)
    with pytest.raises(SubmissionError) as caught:
        read(tmp_path / "mini.ipynb", "mini.ipynb", mini)
    assert str(caught.value) == (
        "mini.ipynb is larger than 64 MB. Clear the notebook's outputs, leave out data that the assignment does not "
        "need, and upload it again."
    )


def test_message_invalid_json(tmp_path, mini):
    assert refusal(tmp_path, "mini.ipynb", '{\n"cells": [\n<<<<<<< HEAD\n', mini) == (
        "mini.ipynb is not a notebook that can be read: it is not valid JSON (line 3). "
        "Open it in Jupyter, save it again, and upload the new file."
    )


def test_message_web_page(tmp_path, mini):
    assert refusal(tmp_path, "mini.ipynb", "\n<!DOCTYPE html><html>", mini) == (
        "mini.ipynb is not a notebook: it looks like a web page. "
        "Download the notebook itself (in Jupyter: File > Download) and upload that."
    )


def test_message_notebook_named_py(tmp_path, mini):
    assert refusal(tmp_path, "mini.py", notebook("a = 1"), mini) == (
        "mini.py is not a Python script: it is a notebook under a script's name. "
        "Rename it to mini.ipynb and upload it again."
    )


def test_message_no_code(tmp_path, mini):
    assert refusal(tmp_path, "mini.ipynb", notebook(), mini) == (
        "mini.ipynb holds no code. Upload the file that your solution is in."
    )


# ------------------------------------------------------------------------------------------ what else is not right


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("x = 1".encode("utf-16"), "it holds bytes of another encoding, such as UTF-16"),
        ("x = 1".encode("utf-16-le"), "it holds bytes of another encoding, such as UTF-16"),
        ("x = 1\ny = 2\nz = 'é'".encode("latin-1"), "byte 0xe9 in line 3 is not"),
        (b"# coding: punycode\nx = 1", "it declares the encoding punycode"),
        (b"# coding: no-such-thing\nx = 1", "unknown encoding: no-such-thing"),
        (b"\xef\xbb\xbf# coding: latin-1\nx = 1", "encoding problem: utf-8"),
    ],
)
def test_encodings_that_are_refused(tmp_path, mini, data, found):
    message = refusal(tmp_path, "mini.py", data, mini)
    assert (
        message == f"mini.py is not UTF-8 text: {found}. Save it with the encoding UTF-8 and upload it again."
    )


@pytest.mark.parametrize(
    "document",
    [
        [],
        "text",
        3,
        {},
        {"cells": None},
        {"cells": [1]},
        {"worksheets": 3},
        {"worksheets": [3]},
        {"worksheets": [{}]},
        {"cells": {"a": 1}},
    ],
    ids=str,
)
def test_json_that_is_no_notebook(tmp_path, mini, document):
    assert "is not a Jupyter notebook: it is JSON, but without a list of cells." in refusal(
        tmp_path, "mini.ipynb", json.dumps(document), mini
    )


@pytest.mark.parametrize("source", [3, None, ["a", 1], {"a": 1}], ids=str)
def test_a_source_that_is_not_text(tmp_path, mini, source):
    document = {"cells": [{"cell_type": "code", "source": source}]}
    assert "has a code cell whose source is not text" in refusal(
        tmp_path, "a.ipynb", json.dumps(document), mini
    )


@pytest.mark.parametrize(
    "metadata", [None, 3, [], {"tags": 3}, {"tags": [{}]}, {"tags": "otter_ignore"}], ids=str
)
def test_odd_metadata_is_no_obstacle(tmp_path, mini, metadata):
    document = {"cells": [{"cell_type": "code", "source": "a = 1", "metadata": metadata}]}
    assert read_bytes(tmp_path, "a.ipynb", json.dumps(document), mini).text == "a = 1"


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"cells":' * 100_000, b'{"cells": [' + b"9" * 5000 + b"]}", b"\xff{}", b'{"a": \x00}'],
    ids=["deep lists", "deep dicts", "a huge number", "not utf-8", "null byte"],
)
def test_json_that_tires_the_parser(tmp_path, mini, data):
    assert "mini.ipynb is not a" in refusal(tmp_path, "mini.ipynb", data, mini)


@pytest.mark.parametrize("piece", [b"[],", b"{},", b'"a":"b",', b'"",'], ids=str)
def test_many_small_values_do_not_fill_the_memory(piece):
    """64 MB of empty lists would take gigabytes as Python objects: they are counted before they are made."""
    data = b'{"cells": [' + piece * (cells.MAX_VALUES + 1) + b"]}"
    tracemalloc.start()
    with pytest.raises(
        SubmissionError, match=r"more than 2000000 values, which is too many to read\. Clear its outputs"
    ):
        cells.read_cells("mini.ipynb", data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(data)


def test_commas_in_texts_are_no_values(tmp_path, mini):
    """A long printed table is not an attack."""
    document = json.loads(notebook("a = 1"))
    document["cells"][0]["outputs"] = [{"output_type": "stream", "text": '1.0, "quoted\\", [2],\n' * 700_000}]
    data = json.dumps(document)
    assert data.count(",") > cells.MAX_VALUES / 2
    assert data.count(",") + data.count("[") > cells.MAX_VALUES
    assert read_bytes(tmp_path, "mini.ipynb", data, mini).text == "a = 1"


# ---------------------------------------------------------------------------------------------- hostile archives


@pytest.mark.parametrize(
    "path",
    [
        "../mini.py",
        "a/../../mini.py",
        "/etc/mini.py",
        "\\mini.py",
        "..\\mini.py",
        "C:\\mini.py",
        "C:mini.py",
        "//host/a.py",
    ],
)
def test_paths_that_lead_out(tmp_path, mini, path):
    message = refusal(tmp_path, "a.zip", zipped({"mini.py": CODE, path: CODE}), mini)
    assert "which leads out of its folder. Pack your notebook or script" in message


@pytest.mark.parametrize(
    "path", ["a\nb.py", "a\x1b[2Jb.py", "x" * 300, "/".join("abcdefghijklmnopq") + "/m.py"]
)
def test_unusual_paths(tmp_path, mini, path):
    """Escape codes for terminals, names that no file system takes, and towers of folders; the message prints safely."""
    message = refusal(tmp_path, "a.zip", zipped({"mini.py": CODE, path: CODE}), mini)
    assert "which is not a usual one." in message
    assert message.isprintable()


def test_null_byte_in_a_path(tmp_path, mini):
    """What comes after it would be invisible: zipfile cuts the name there."""
    data = zipped({"mini.py": CODE, "toolsX.py": CODE}).replace(b"toolsX.py", b"tools\0.py")
    assert "which is not a usual one." in refusal(tmp_path, "a.zip", data, mini)


def special(mode: int, name: str = "mini.py") -> bytes:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, mode << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip(tmp_path, mini, kind):
    message = refusal(tmp_path, "a.zip", special(kind | 0o777), mini)
    assert "holds 'mini.py', which is not an ordinary file but a link or a device." in message


def test_links_in_a_folder_are_not_followed(tmp_path, mini):
    (tmp_path / "secret.py").write_text("solution = 1")
    folder = put(tmp_path / "alice", {"mini.py": CODE})
    (folder / "tools.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(SubmissionError, match=r"tools.py is not an ordinary file but a link or a device"):
        read(folder, "alice", mini)


def test_linked_folders_are_not_followed(tmp_path, mini):
    put(tmp_path / "secrets", {"solution.py": CODE})
    folder = put(tmp_path / "alice", {"mini.py": CODE})
    (folder / "sub").symlink_to(tmp_path / "secrets", target_is_directory=True)
    with pytest.raises(SubmissionError, match="sub is not an ordinary file"):
        read(folder, "alice", mini)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes exist on POSIX systems only")
def test_a_pipe_does_not_hang_the_reader(tmp_path, mini):
    folder = put(tmp_path / "alice", {"mini.py": CODE})
    os.mkfifo(folder / "tools.py")
    with pytest.raises(SubmissionError, match="link or a device"):
        read(folder, "alice", mini)


def test_encrypted(tmp_path, mini):
    data = bytearray(zipped({"mini.py": CODE}))
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    assert refusal(tmp_path, "a.zip", bytes(data), mini) == (
        "a.zip is protected with a password ('mini.py'). Pack it again without one, and upload that."
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_inflate_without_a_bound(tmp_path, mini, method):
    assert "packed by an unusual method" in refusal(
        tmp_path, "a.zip", zipped({"mini.py": CODE}, method), mini
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")  # the writer's warning: here it is meant
def test_duplicate_names(tmp_path, mini):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("mini.py", CODE)
        archive.writestr("mini.py", "x = 1")
    assert "a.zip holds 'mini.py' twice." in refusal(tmp_path, "a.zip", buffer.getvalue(), mini)


@pytest.mark.parametrize(
    ("first", "second"),
    [("mini.py", "Mini.PY"), ("stra\u00dfe.py", "STRASSE.py"), ("d/tools.py", "D/TOOLS.py")],
)
def test_names_that_differ_in_case_only(tmp_path, mini, first, second):
    message = refusal(tmp_path, "a.zip", zipped({"mini.ipynb": "", first: CODE, second: CODE}), mini)
    assert "which are one name on many systems." in message


def test_names_that_differ_in_composition_only(tmp_path, mini):
    message = refusal(tmp_path, "a.zip", zipped({"\u00e9.py": CODE, "e\u0301.py": CODE}), mini)
    assert "twice" in message


@pytest.mark.parametrize("inner", ["mini.py/x.txt", "MINI.py/x/y.txt"])
def test_a_file_that_is_a_folder_too(tmp_path, mini, inner):
    message = refusal(tmp_path, "a.zip", zipped({"mini.py": CODE, inner: "x"}), mini)
    assert "holds 'mini.py' both as a file and as a folder." in message


def test_a_folder_named_like_a_file(tmp_path, mini):
    put(tmp_path / "alice", {"mini.py/tools.txt": "x"})
    with pytest.raises(
        SubmissionError, match=r"Expected mini.ipynb or mini.py in alice, but found mini.py/tools.txt"
    ):
        read(tmp_path / "alice", "alice", mini)


def test_a_folder_called_notebook(tmp_path, mini):
    put(tmp_path, {"mini.ipynb/mini.py": CODE})
    assert read(tmp_path / "mini.ipynb", "mini.ipynb", mini).kind == "script"


def test_a_bomb_is_stopped_while_it_inflates(tmp_path, mini):
    """1 GB of zeros in 1 MB: the reader stops at 64 MB and holds no more than twice that."""
    block, packer = b"\0" * 2**20, zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(block) for _ in range(1024)) + packer.flush()
    data = raw_zip([("zeros.bin", packed, 2**30)])
    tracemalloc.start()
    message = refusal(tmp_path, "a.zip", data, mini)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert message == (
        "a.zip is larger than 64 MB when unpacked. Clear the notebook's outputs, leave out data that the assignment "
        "does not need, and upload it again."
    )
    assert peak < 2.5 * model.MAX_BYTES


@pytest.mark.parametrize("claim", [0, 10, 2**31], ids=["nothing", "less", "more"])
def test_a_header_that_lies_about_the_size(tmp_path, mini, claim):
    """The header's claim is never what bounds the work."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(CODE.encode() * 100) + packer.flush()
    message = refusal(tmp_path, "a.zip", raw_zip([("mini.py", packed, claim)], checksum=1), mini)
    assert "a.zip" in message


def test_overlapping_members_are_counted_each_time(tmp_path, mini):
    """Many entries that point at one compressed block: small on disk, and refused once their sum is too large."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(b"\0" * 2**20) + packer.flush()
    data = raw_zip([("kernel.bin", packed, 2**20)], entries=100, checksum=zlib.crc32(b"\0" * 2**20))
    assert len(data) < 20_000
    assert "a.zip" in refusal(tmp_path, "a.zip", data, mini)


def raw_zip(members: list[tuple[str, bytes, int]], entries: int = 1, checksum: int = 0) -> bytes:
    """A zip archive written by hand: its headers say what they are told to, `entries` of them for each block."""
    body, directory, count = b"", b"", 0
    for name, packed, size in members:
        fields = struct.pack("<HHHHHIII", 20, 0, 8, 0, 0, checksum, len(packed), size)
        offset = len(body)
        body += b"PK\x03\x04" + fields + struct.pack("<HH", len(name), 0) + name.encode() + packed
        for number in range(entries):
            shown = name if entries == 1 else f"{number:02d}{name[2:]}"
            tail = struct.pack("<HHHHHII", len(shown), 0, 0, 0, 0, 0, offset)
            directory += b"PK\x01\x02" + struct.pack("<H", 20) + fields + tail + shown.encode()
            count += 1
    end = struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def test_a_zip_in_a_zip_is_data(tmp_path, mini):
    """Nothing inside is unpacked a second time, so nested bombs stay folded."""
    inner = zipped({"mini.py": CODE})
    found = read_bytes(tmp_path, "a.zip", zipped({"mini.py": CODE, "inner.zip": inner}), mini)
    assert found.files["inner.zip"] == inner
    assert "but found inner.zip" in refusal(tmp_path, "b.zip", zipped({"inner.zip": inner}), mini)


def test_too_many_files(tmp_path, mini):
    data = zipped({f"site/{number}.py": "" for number in range(bundle.MAX_FILES + 1)})
    assert refusal(tmp_path, "a.zip", data, mini) == (
        "a.zip holds more than 1000 files. Leave out virtual environments and data that the assignment does not need, "
        "and upload it again."
    )


def test_too_many_entries_are_counted_before_they_are_read(tmp_path, mini):
    data = b"PK\x01\x02" * (bundle.MAX_ENTRIES + 1)
    assert "a.zip holds more than 1000 files." in refusal(tmp_path, "a.zip", data, mini)


def test_too_many_files_in_a_folder(tmp_path, mini, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_FILES", 3)
    folder = put(tmp_path / "alice", {f"{number}.py": "" for number in range(4)})
    with pytest.raises(SubmissionError, match="alice holds more than 3 files"):
        read(folder, "alice", mini)


def test_too_much_in_a_folder(tmp_path, mini, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_BYTES", 100)
    folder = put(tmp_path / "alice", {"a.py": "#" * 60, "b.py": "#" * 60})
    with pytest.raises(SubmissionError, match="alice is larger than 64 MB when unpacked"):
        read(folder, "alice", mini)


def test_a_folder_without_end(tmp_path, mini):
    put(tmp_path / "alice", {"/".join("a" * 20) + "/mini.py": CODE})
    with pytest.raises(SubmissionError, match="lies more than 16 folders deep"):
        read(tmp_path / "alice", "alice", mini)


def test_a_file_that_may_not_be_read(tmp_path, mini, monkeypatch):
    """A system's error becomes a sentence."""
    path = put(tmp_path, {"mini.py": CODE}) / "mini.py"

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SubmissionError, match=r"^mini.py cannot be read: Permission denied\.$"):
        read(path, "mini.py", mini)


# -------------------------------------------------------------------------------------------------------- a class


def test_a_class_is_sorted_and_complete(tmp_path):
    """Files of a wrong type get their row too; what platforms and systems leave behind does not."""
    put(
        tmp_path,
        {
            "carol.zip": b"",
            "alice.ipynb": b"",
            "bob/mini.py": b"",
            "dave.docx": b"",
            "grades.csv": b"",
            ".DS_Store": b"",
            "__MACOSX/x": b"",
            "__pycache__/x": b"",
        },
    )
    found = find([tmp_path], "mini")
    assert found == [(name, tmp_path / name) for name in ("alice.ipynb", "bob", "carol.zip", "dave.docx")]


def test_a_folder_with_the_assignment_s_file_is_one_submission(tmp_path):
    put(tmp_path / "alice", {"mini.py": CODE, "tools.py": CODE})
    assert find([tmp_path / "alice"], "mini") == [("alice", tmp_path / "alice")]


def test_equal_names_get_their_parent_s(tmp_path):
    put(tmp_path, {"g1/mini.py": "", "g2/MINI.py": "", "g2/other.py": "", "h/g1/mini.py": ""})
    given = [tmp_path / name for name in ("g1/mini.py", "g2/MINI.py", "g2/other.py", "h/g1/mini.py")]
    assert [name for name, _ in find(given, "mini")] == [
        "g1-mini.py",
        "g2-MINI.py",
        "other.py",
        "g1-mini.py-2",
    ]


def test_the_same_path_twice_is_one_submission(tmp_path):
    put(tmp_path, {"a.py": "", "b.py": ""})
    assert [name for name, _ in find([tmp_path / "a.py", tmp_path, tmp_path / "." / "a.py"], "mini")] == [
        "a.py",
        "b.py",
    ]


def test_a_link_in_a_class_is_not_followed(tmp_path, mini):
    """A student's archive may hold a link to the solution; the TA's own link on the command line is fine."""
    put(tmp_path, {"secret.py": CODE})
    (tmp_path / "class").mkdir()
    link = tmp_path / "class" / "eve.py"
    link.symlink_to(tmp_path / "secret.py")
    ((name, path),) = find([tmp_path / "class"], "mini")
    with pytest.raises(SubmissionError, match=r"eve.py is not an ordinary file"):
        read(path, name, mini)
    ((name, path),) = find([link], "mini")
    assert read(path, name, mini).kind == "script"


def test_nothing_there(tmp_path):
    with pytest.raises(SubmissionError, match=r"^There is no file or folder .*missing\.$"):
        find([tmp_path / "missing"], "mini")


def test_nothing_found(tmp_path):
    with pytest.raises(SubmissionError, match=r"^No submissions \(.ipynb, .py, .zip or folders\) in "):
        find([tmp_path], "mini")


# ----------------------------------------------------------------------------------------------------------- fuzz

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["cells", "source", "metadata", "tags"]) | st.text(), inner)
    ),
)


def survives(folder: Path, name: str, data: bytes, mini: assignment.Assignment) -> None:
    """Reading gives a `Submission` whose texts can be passed on, or a `SubmissionError` that can be printed."""
    found, message = None, ""
    try:
        found = read_bytes(folder, name, data, mini)
    except SubmissionError as error:
        message = str(error)
    message.encode()
    if found is None:
        assert message.strip()
        return
    assert found.cells
    found.text.encode()
    assert all(".." not in path.split("/") and not path.startswith("/") for path in found.files)


@FUZZ
@given(data=st.binary(max_size=400), name=st.sampled_from(["a.py", "a.ipynb", "a.zip", "a.txt"]))
@example(data=b"# coding:\xff\n", name="a.py")
def test_random_bytes(tmp_path, mini, data, name):
    survives(tmp_path, name, data, mini)


@FUZZ
@given(document=JSON)
@example(document={"cells": [{"cell_type": "code", "source": ["\ud800"]}]})
def test_random_json(tmp_path, mini, document):
    survives(tmp_path, "a.ipynb", json.dumps(document).encode(), mini)


@FUZZ
@given(
    position=st.integers(0, 10_000),
    replacement=st.binary(min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 400),
)
def test_damaged_archives(tmp_path, mini, position, replacement, cut):
    data = bytearray(zipped({"work/mini.py": CODE, "work/data.bin": b"\0" * 500, "\u00e9.py": CODE}))
    at = position % len(data)
    data[at : at + len(replacement)] = replacement
    survives(tmp_path, "a.zip", bytes(data[:cut]), mini)


@FUZZ
@given(names=st.lists(st.text(min_size=1, max_size=20), max_size=4, unique=True))
def test_random_names_in_an_archive(tmp_path, mini, names):
    try:
        data = zipped({"mini.py": CODE} | dict.fromkeys(names, CODE))
    except (ValueError, IndexError):  # the writer itself refuses
        return
    survives(tmp_path, "a.zip", data, mini)


def test_a_file_that_went_meanwhile_is_said_to_be_gone(tmp_path):
    """Not to be a link: it was found, and somebody has removed it since."""
    with pytest.raises(SubmissionError, match=r"mini\.py is gone"):
        bundle.read_file(tmp_path / "mini.py")
