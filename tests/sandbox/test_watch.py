"""What the kernel bounds for one file only, or not at all, is bounded in sum; and what is honest is not disturbed."""

import threading
import time

import pytest

from autograder.sandbox import watch
from autograder.sandbox.errors import Overused

TOO_MUCH = """
import mmap, os, socket, threading, time
import torch
BLOCK = bytes(1 << 20)

def write(name, megabytes):
    with open(name, "wb") as file:
        for _ in range(megabytes):
            file.write(BLOCK)

def files():
    for number in range(100):
        write(f"{number}.bin", 4)
        time.sleep(0.01)

def files_far_down():
    for number in range(100):
        os.makedirs("a/b/c", exist_ok=True)
        write(f"a/b/c/{number}.bin", 4)
        time.sleep(0.01)

def many():
    while True:
        os.close(os.open(f"{time.monotonic_ns()}", os.O_CREAT | os.O_WRONLY))

def folders():
    while True:
        os.mkdir(f"{time.monotonic_ns()}")
        time.sleep(0.002)

def unseen():
    os.mkdir("d", 0o300)
    while True:
        time.sleep(0.01)

def too_deep():
    while True:
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
        time.sleep(0.002)

def threads():
    threading.stack_size(1 << 16)
    wait = threading.Event()
    while True:
        threading.Thread(target=wait.wait, daemon=True).start()
        time.sleep(0.0001)

def cores():
    def work():
        while True:
            torch.rand(200, 200) @ torch.rand(200, 200)
    for _ in range(3):
        threading.Thread(target=work, daemon=True).start()
    time.sleep(60)

def shared():
    kept = []
    while True:
        kept.append(mmap.mmap(-1, 8 << 20))
        kept[-1].write(bytes(8 << 20))
        time.sleep(0.005)

def drips():
    while True:
        write(f"{time.monotonic_ns()}.bin", 1)
        os.write(3, b"A")
        time.sleep(0.01)

def little(number):
    write(f"{number}.bin", 4)

def behind():
    threading.Thread(target=files, daemon=True).start()

def fine():
    time.sleep(0.002)
    return len(os.listdir())
"""
DEEDS = {
    "files": "its files take more than 32 MB",
    "files_far_down": "its files take more than 32 MB",
    "many": "it made more than 400 files",
    "folders": "it made more than 50 folders",
    "too_deep": "its folders lie too deep in one another",
    "threads": "it started more than 256 threads|can't start new thread",
    "shared": "it took more than 64 MB of memory",
}


@pytest.fixture
def small(start, monkeypatch):
    """A submission that may use little."""
    monkeypatch.setattr(watch, "MAX_FILES", 400)
    monkeypatch.setattr(watch, "MAX_FOLDERS", 50)
    return start(TOO_MUCH, disk=32 << 20, memory=64 << 20)


@pytest.mark.parametrize("deed", DEEDS)
def test_too_much_in_sum(deed: str, small):
    """It is ended before its time is up, the student reads why, and the next call finds an empty folder."""
    with pytest.raises(Exception, match=DEEDS[deed]):
        small.get(deed)()
    assert small.get("fine")() == 0


def test_more_than_one_core(small, monkeypatch):
    """Threads that take the cores of others are ended; each tick counts as a second, for here may be one core only."""
    small.session.start()
    monkeypatch.setattr(watch, "_TICKS", 1)
    with pytest.raises(Overused, match="more than one processor busy"):
        small.get("cores")()


def test_answers_that_drip_do_not_hide_it(small):
    """A child that keeps the judge reading is looked at all the same."""
    with pytest.raises(Exception, match=r"more than 32 MB|cannot be passed on"):
        small.get("drips")()


def test_a_folder_that_the_judge_cannot_list(tmp_path, monkeypatch):
    """An ordinary user's judge can't look into it either, so that files could hide there."""

    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(watch.os, "scandir", refuse)
    with pytest.raises(Overused, match="cannot be looked into"):
        list(watch._entries(tmp_path))


def test_many_short_calls(small):
    """What each of them adds is little; the sum is seen, and charged to the call after which it was."""
    write = small.get("little")
    with pytest.raises(Overused, match="more than 32 MB"):
        list(map(write, range(100)))


def test_files_written_between_calls(small):
    """A thread that writes on while the judge is busy is found out by the next calls."""
    small.get("behind")()
    ask = small.get("fine")
    with pytest.raises(Overused, match="more than 32 MB"):
        [ask() for _ in range(1000)]


def test_a_cell_that_takes_too_much(start):
    """The cell is left out next time, and says why; the others run."""
    names = start(TOO_MUCH, "files()", "x = 1", disk=32 << 20)
    assert names.get("x") == 1
    assert [error.kind for error in names.session.cell_errors] == ["Overused"]


def test_files_that_were_removed_do_not_count(start):
    """An honest program that cleans up behind itself may write more than the limit over time."""
    source = (
        f"{TOO_MUCH}\ndef clean():\n    for _ in range(20):\n        write('x', 4)\n        time.sleep(0.01)"
    )
    assert start(source, disk=32 << 20).get("clean")() is None


def test_files_that_come_and_go_while_it_looks(tmp_path):
    """What is removed between its listing and its measuring is passed over."""
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            folder = tmp_path / "d"
            folder.mkdir()
            (folder / "f").touch()
            (folder / "f").unlink()
            folder.rmdir()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        assert sum(size for size, _ in watch._entries(tmp_path)) < 1 << 20
    stop.set()
    thread.join()


def test_a_process_that_is_gone(tmp_path):
    """There is nothing to count, and no error."""
    watch.Watch(2**22 + 1, tmp_path, disk=1, memory=1).look()


def test_honest_threads_and_memory(start):
    """A pool of 16 threads, shared memory below the limit, and tensors up to it."""
    source = """
    import concurrent.futures, mmap, time, torch
    def f():
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda _: time.sleep(0.05), range(32)))
        block = mmap.mmap(-1, 100 << 20)
        block.write(bytes(100 << 20))
        return torch.ones(20 << 20).sum().item() + len(block)
    """
    names = start(source, memory=256 << 20)
    assert names.get("f")() == (20 << 20) + (100 << 20)
