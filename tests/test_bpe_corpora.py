"""The texts of the bpe notebook: the story is there; tiny Shakespeare comes over the network only when asked for."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from autograder.assignment import load

ASSIGNMENT = load("bpe")
PLAY = b"First Citizen:\nBefore we proceed any further, hear me speak.\n" * 3000


@pytest.fixture(scope="module")
def notebook():
    """The reference with its demonstrations, as an imported module: nothing is shown."""
    spec = importlib.util.spec_from_file_location("bpe_notebook", ASSIGNMENT.reference)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Answers(BaseHTTPRequestHandler):
    """Answers by path: /good, /truncated, /wrong, /long, /404, /500; counts the requests."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        """One answer."""
        self.asked.append(self.path)
        name = self.path.removeprefix("/")
        if name.isdigit():
            return self.send_error(int(name))
        body = {"wrong": PLAY.replace(b"hear", b"fear"), "long": PLAY + b"!" * 10_000_000}.get(name, PLAY)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body[: len(body) // 2] if name == "truncated" else body)
        except OSError:  # the reader had enough
            pass

    def log_message(self, *_):
        """Silence."""


@pytest.fixture(scope="module")
def server():
    """The address of a server on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture
def shakespeare(notebook, server, tmp_path):
    """Loads from a path of the server into a fresh folder; the function, and the file that it keeps."""
    Answers.asked.clear()
    path, expected = tmp_path / "play.txt", hashlib.sha256(PLAY).hexdigest()

    def loaded(name, base=server):
        return notebook.tiny_shakespeare(path, f"{base}/{name}", len(PLAY), expected)

    return loaded, path


def test_success_is_kept_and_shown(shakespeare, capsys):
    """The text, a file with its bytes, and how far it has come on the way."""
    loaded, path = shakespeare
    assert loaded("good") == PLAY.decode()
    assert path.read_bytes() == PLAY
    shown = capsys.readouterr().err
    assert "100% of 183,000 bytes" in shown
    assert shown.count("\r") > 1
    assert [file.name for file in path.parent.iterdir()] == ["play.txt"]


def test_what_is_kept_is_used_again(shakespeare):
    """The second time nobody is asked."""
    loaded, _ = shakespeare
    assert loaded("good") == loaded("500")
    assert Answers.asked == ["/good"]


@pytest.mark.parametrize("code", [404, 500])
def test_refusal(shakespeare, code):
    """The address, the reason, and that the story is enough to go on."""
    loaded, path = shakespeare
    with pytest.raises(
        OSError, match=rf"/{code} could not be downloaded \(HTTP Error {code}.*Go on with the story"
    ):
        loaded(str(code))
    assert not path.exists()


def test_nobody_answers(shakespeare):
    """A port at which nobody listens."""
    loaded, path = shakespeare
    with pytest.raises(OSError, match=r"could not be downloaded \(.*refused.*Go on with the story"):
        loaded("good", base="http://127.0.0.1:1")
    assert not path.exists()


def test_truncation(shakespeare):
    """An answer that ends too early is not kept."""
    loaded, path = shakespeare
    with pytest.raises(ValueError, match=r"ends after 91,500 of 183,000 bytes: try again"):
        loaded("truncated")
    assert not path.exists()


@pytest.mark.parametrize("name", ["wrong", "long"])
def test_wrong_bytes(shakespeare, name):
    """Another text of the same length, and one that goes on and is not read to its end: neither is kept."""
    loaded, path = shakespeare
    with pytest.raises(
        ValueError, match=r"is not the text that it should be: SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}"
    ):
        loaded(name)
    assert not path.exists()


def test_a_file_that_has_changed(shakespeare):
    """What lies there is checked as well, and the message says what to do."""
    loaded, path = shakespeare
    path.write_bytes(PLAY[:-1] + b"?")
    with pytest.raises(ValueError, match=r"play.txt \(delete it to download it again\) is not the text"):
        loaded("good")
    assert Answers.asked == []


def test_nothing_is_downloaded_unless_asked(notebook):
    """The notebook as it is handed out does not ask."""
    assert notebook.DOWNLOAD is False
    stub = (ASSIGNMENT.template / "bpe.py").read_text(encoding="utf-8")
    assert "\nDOWNLOAD = False\n" in stub
    assert notebook.SHAKESPEARE_URL.startswith("https://")


def test_the_story(notebook):
    """A few tens of kilobytes, with letters of one to four bytes, the same in the kit."""
    story = notebook.lighthouse()
    assert 20_000 < len(story.encode()) < 50_000
    assert {len(letter.encode()) for letter in story} == {1, 2, 3, 4}
    assert (ASSIGNMENT.template / "lighthouse.txt").read_text(encoding="utf-8") == story
