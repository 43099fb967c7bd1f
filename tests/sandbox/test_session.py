"""Whatever a submission does to its process costs the call it happened in, is said in words, and leaves nothing."""

import os
import time
from pathlib import Path

import pytest
import torch

from autograder.sandbox.errors import Died, NotDefined, StudentError, StudentFailure, TimedOut
from autograder.sandbox.session import CellError

BAD_DEEDS = """
import ctypes, os, signal, sys, threading, time

def fine():
    return 1

def leave():
    os._exit(7)

def crash():
    ctypes.string_at(0)

def abort():
    os.abort()

def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)

def terminate_self():
    os.kill(os.getpid(), signal.SIGTERM)

def stop_self():
    os.kill(os.getpid(), signal.SIGSTOP)

def loop():
    while True:
        pass

def loop_that_cannot_be_interrupted():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

def sleep():
    time.sleep(1000)

def close_the_line():
    os.close(3)

def talk_on_the_line():
    os.write(3, b"HTTP/1.1 200 OK\\r\\n\\r\\n")
    time.sleep(1)

def talk_like_us():
    from autograder.sandbox.wire import HEAD, MAGIC
    os.write(3, HEAD.pack(MAGIC, 4 << 20, 1 << 60))

def stall_the_line():
    os.write(3, b"AGR1")
    time.sleep(1000)

def fork():
    return os.fork()

def thread_that_ends_everything():
    threading.Timer(0.05, lambda: os._exit(5)).start()
    time.sleep(1)
"""


@pytest.mark.parametrize(
    ("deed", "error", "text"),
    [
        ("leave", Died, "exit code 7"),
        ("crash", Died, r"crashed \(segmentation fault\)"),
        ("abort", Died, r"crashed \(abort\)"),
        ("kill_self", Died, "was ended"),
        ("terminate_self", Died, "signal 15"),
        ("stop_self", TimedOut, "one call may take 0.5 s"),
        ("loop", TimedOut, "one call may take 0.5 s"),
        ("loop_that_cannot_be_interrupted", TimedOut, "never ends"),
        ("sleep", TimedOut, "never ends"),
        ("close_the_line", Died, "ended"),
        ("talk_on_the_line", StudentFailure, "cannot be passed on"),
        ("talk_like_us", StudentFailure, "cannot be passed on"),
        ("stall_the_line", TimedOut, "one call may take"),
        ("thread_that_ends_everything", Died, "exit code 5"),
    ],
)
def test_a_bad_deed_costs_its_own_call(deed: str, error: type[Exception], text: str, start):
    """The call says what happened; the next one finds a fresh process with everything defined."""
    names = start(BAD_DEEDS, call_seconds=0.5)
    with pytest.raises(error, match=text):
        names.get(deed)()
    assert names.get("fine")() == 1
    assert names.session.usage.starts == 2


def test_processes_cannot_be_started(start):
    """fork is refused with an error at the student's line, and the submission goes on."""
    names = start(BAD_DEEDS)
    with pytest.raises(OSError, match="not permitted"):
        names.get("fork")()
    assert names.session.usage.starts == 1


MEMORY = {
    "bytes": "bytearray(1 << 30)",
    "list": "[0] * (1 << 28)",
    "numpy": "numpy.ones(1 << 27)",
    "torch": "torch.ones(1 << 28)",
    "shared": "mmap.mmap(-1, 3 << 30)",
    "in memory file": "os.write(os.memfd_create('m'), bytes(200 << 20)) == 200 << 20 or 1 / 0",
}


@pytest.mark.parametrize("expression", MEMORY.values(), ids=MEMORY)
def test_memory_is_bounded(expression: str, start):
    """Taking too much is an ordinary Python error at the student's line, and charged to the student."""
    source = f"import mmap, os, numpy, torch\ndef take():\n    return {expression} and 1\ndef fine():\n    return 1"
    names = start(source, memory=256 << 20, file_size=64 << 20)
    with pytest.raises(StudentError):
        names.get("take")()
    assert names.get("fine")() == 1


def test_memory_that_is_kept_costs_no_other_question(start):
    """Code that hoards until there is none left finds a fresh process at its next call."""
    source = """
        kept = []
        def hoard():
            while True:
                kept.append(bytearray(1 << 20))
        def need():
            return len(bytearray(150 << 20)) + len(kept)
        """
    names = start(source, memory=256 << 20)
    with pytest.raises(MemoryError):
        names.get("hoard")()
    assert names.get("need")() == 150 << 20
    assert names.session.usage.starts == 2


def test_large_results_do_not_pile_up(start):
    """What a call returned is forgotten once it is sent: many large results fit into the memory of a few."""
    names = start(
        "import torch\ndef large():\n    return torch.ones(60 << 20, dtype=torch.uint8)", memory=256 << 20
    )
    for _ in range(8):
        assert names.get("large")().numel() == 60 << 20


def test_recursion_is_an_exception(start):
    """Endless recursion is Python's own RecursionError."""
    with pytest.raises(RecursionError):
        start("def f(n):\n    return f(n + 1)").get("f")(0)


def test_input_is_at_its_end(start):
    """There is nobody to type: input() raises EOFError, at once, and the process lives on."""
    names = start("def ask():\n    return input('your name? ')")
    with pytest.raises(EOFError):
        names.get("ask")()
    assert names.session.alive


# ------------------------------------------------------------------------------------------------------- the cells


def test_a_cell_that_fails_stops_nothing(start):
    """Cells after one with an error are run, and the error is kept with its line."""
    names = start("a = 1", "b = a +\n", "c = 2\nd = 1 / 0\ne = 3", "f = c")
    assert names.get("f") == 2
    with pytest.raises(NotDefined):
        names.get("e")
    found = [(error.cell, error.line, error.kind) for error in names.session.cell_errors]
    assert found == [(1, 1, "SyntaxError"), (2, 2, "ZeroDivisionError")]


@pytest.mark.parametrize(
    "leave", ["import sys; sys.exit(1)", "exit()", "raise KeyboardInterrupt", "raise SystemExit"]
)
def test_leaving_a_cell_ends_that_cell_only(leave: str, start):
    """sys.exit in a cell is an error of that cell; the process and the next cells go on."""
    names = start(leave, "x = 5")
    assert names.get("x") == 5
    assert names.session.usage.starts == 1
    assert names.session.cell_errors[0].kind in ("SystemExit", "KeyboardInterrupt", "NameError")


def test_cells_that_end_the_process_are_left_out_next_time(start):
    """A cell that kills or hangs the process is reported and skipped; the others define their names."""
    names = start("a = 1", "import os; os._exit(3)", "b = 2", "while True: pass", "c = 3", cell_seconds=0.5)
    assert [names.get(name) for name in "abc"] == [1, 2, 3]
    died, hung = names.session.cell_errors
    assert (died.cell, died.kind) == (1, "Died")
    assert "exit code 3" in died.text
    assert (hung.cell, hung.kind) == (3, "TimedOut")
    assert "one cell may take 0.5 s" in hung.text


def test_many_cells_that_end_the_process(start):
    """After three such cells the rest is not run at all, so that a hundred of them can't take a hundred starts."""
    names = start("a = 1", *["import os; os._exit(3)"] * 6, "b = 2")
    assert names.get("a") == 1
    with pytest.raises(NotDefined):
        names.get("b")
    assert [error.kind for error in names.session.cell_errors] == ["Died"] * 3 + ["NotRun"] * 4
    assert isinstance(names.session.cell_errors[0], CellError)


def test_annotations_stay_postponed(start):
    """`from __future__ import annotations` in the first cell holds for the cells that follow, as in a notebook."""
    names = start("from __future__ import annotations", "def f(x: NoSuchName) -> NeitherThis:\n    return x")
    assert names.get("f")(4) == 4


def test_notebooks_with_magics_and_display(start):
    """What a notebook may contain beside Python: magics, shell lines, display, expressions, top-level await."""
    names = start(
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 2",
        "%%time\nx = 1",
        "!ls\n!pip install torch",
        "from IPython.display import display, Markdown\ndisplay(Markdown('# hi'))\nx",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.show(); plt.savefig('figure.png')",
        "import otter\ngrader = otter.Notebook('answer.ipynb')\ngrader.check('q1')",
        "get_ipython().run_line_magic('time', 'y = 2')",
        "import asyncio\nawait asyncio.sleep(0)\nz = 3",
        "%no_such_magic",
        "def f():\n    return x + y + z",
        notebook=True,
    )
    assert names.get("f")() == 6
    assert [error.cell for error in names.session.cell_errors if error.cell not in (2, 7)] in ([], [8])


LOADERS = [
    "num_workers=2",
    "num_workers=2, prefetch_factor=4, persistent_workers=True",
    "shuffle=True, num_workers=1",
]


@pytest.mark.parametrize("options", LOADERS)
def test_data_loaders_with_workers(options: str, start):
    """A DataLoader that asks for processes gets none and gives the same batches."""
    names = start(
        f"""
        import torch
        from torch.utils.data import DataLoader, TensorDataset
        def batches():
            loader = DataLoader(TensorDataset(torch.arange(6)), 2, {options})
            return [batch.tolist() for (batch,) in loader]
        """
    )
    assert sorted(number for batch in names.get("batches")() for number in batch) == [0, 1, 2, 3, 4, 5]


def test_main_is_main(start):
    """A script's `if __name__ == "__main__"` part runs, and pickle and dataclasses find their module."""
    source = """
    import dataclasses, sys
    @dataclasses.dataclass
    class Point:
        x: float = 1.0
    ran = __name__ == "__main__"
    found = sys.modules[Point.__module__].Point is Point
    """
    names = start(source)
    assert names.get("ran") is True
    assert names.get("found") is True


def test_files_beside_the_submission(start):
    """Helper modules and data of a zip can be imported and read, and new files written."""
    files = {
        "helper.py": b"def double(x):\n    return 2 * x\n",
        "data/table.csv": b"1,2,3\n",
        "pkg/__init__.py": b"k = 9",
    }
    source = """
    import os, tempfile, torch
    from helper import double
    from pkg import k
    numbers = [double(int(n)) for n in open("data/table.csv").read().split(",")]
    torch.save(torch.ones(2), "weights.pt")
    loaded = torch.load("weights.pt").sum()
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("x")
    home = os.path.expanduser("~") == os.getcwd()
    """
    names = start(source, files=files)
    assert names.get("numbers") == [2, 4, 6]
    assert names.get("k") == 9
    assert names.get("loaded").item() == 2
    assert names.get("home") is True
    assert names.session.cell_errors == []


def test_files_that_shadow_the_library(start):
    """A submission's own torch.py or otter.py is no way to disturb the child's server."""
    files = {
        "torch.py": b"raise RuntimeError('mine')",
        "json.py": b"1/0",
        "autograder.py": b"1/0",
        "struct.py": b"1/0",
    }
    names = start("import torch\ndef f(x):\n    return x + torch.ones(1)", files=files)
    assert names.get("f")(torch.zeros(1)).item() == 1.0


# ------------------------------------------------------------------------------------------------ limits and output


def test_total_time_is_bounded(start):
    """Many slow calls can't take longer together than the submission as a whole may."""
    names = start("import time\ndef nap():\n    time.sleep(0.2)", total_seconds=0.7, call_seconds=5)
    started = time.monotonic()
    with pytest.raises(TimedOut, match=r"the time for one submission \(0.7 s\) was used up"):
        _ = [names.get("nap")() for _ in range(20)]
    with pytest.raises(TimedOut, match="is used up"):
        names.get("nap")()
    assert time.monotonic() - started < 5


def test_output_is_capped_and_a_flood_ends(start):
    """What is printed is kept up to a bound, beginning and end; a flood is an error and fills no disk."""
    names = start(
        """
        import os
        print("first")
        def shout():
            for _ in range(3000):
                os.write(1, b"x" * 1000)
        def fine():
            print("last")
        """,
        output=1000,
        file_size=1 << 20,
    )
    with pytest.raises(OSError, match="too large"):
        names.get("shout")()
    with pytest.raises(OSError, match="too large"):
        names.get("fine")()
    size = os.fstat(names.session._output.fileno()).st_size
    names.session.close()
    assert size <= 1 << 20
    assert len(names.session.usage.output) < 1200
    assert names.session.usage.output.startswith("first")
    assert "bytes left out" in names.session.usage.output


def test_output_of_a_process_that_died_is_kept(start):
    """What was printed before a crash, and by the process that followed, is there to read."""
    names = start("import os\nprint('cell')\ndef end():\n    print('bye')\n    os._exit(1)")
    with pytest.raises(Died):
        names.get("end")()
    names.get("end")
    names.session.close()
    assert names.session.usage.output.split() == ["cell", "bye", "cell"]


def test_output_is_not_read_back(start):
    """What a process printed is out of reach for the one that follows: nothing crosses from hidden tests to cells."""
    source = """
        import os
        found = os.pread(1, 1000, 0)
        def tell(secret):
            print(secret)
            os._exit(0)
        """
    names = start(source)
    with pytest.raises(Died):
        names.get("tell")("a hidden input")
    assert names.get("found") == b""
    names.session.close()
    assert names.session.usage.output == "a hidden input\n"


def test_strange_output_is_text(start):
    """Bytes that are no text end up as text all the same."""
    names = start("import os\nos.write(1, b'\\xff\\xfe ok')")
    names.session.start()
    names.session.close()
    assert names.session.usage.output.endswith(" ok")


def test_same_seed_same_numbers(start):
    """A seed gives the same numbers whatever ran before, in a fresh process too, for all three generators."""
    names = start(
        """
        import os, random
        import numpy as np
        import torch
        def draw():
            return torch.rand(()).item(), np.random.rand(), random.random()
        def end():
            os._exit(0)
        """
    )
    session = names.session
    session.seed(11)
    first = names.get("draw")()
    assert names.get("draw")() != first
    session.seed(11)
    assert names.get("draw")() == first
    with pytest.raises(Died):
        names.get("end")()
    assert names.get("draw")() == first
    session.seed(12)
    assert names.get("draw")() != first


def test_two_children_are_alike(start):
    """Sets of strings, and numbers drawn in a cell, come out the same in every child."""
    source = (
        "import random, torch\nx = (list({'a', 'b', 'c', 'd', 'e'}), torch.rand(2).tolist(), random.random())"
    )
    assert start(source).get("x") == start(source).get("x")


def test_usage_is_counted(start):
    """Time, processor time and memory of all children are reported."""
    names = start("import os, torch\ndef work():\n    torch.ones(20_000_000).sum()\n    os._exit(0)")
    for _ in range(2):
        with pytest.raises(Died):
            names.get("work")()
    names.session.close()
    usage = names.session.usage
    assert usage.starts == 2
    assert usage.seconds > 0
    assert usage.cpu_seconds > 0
    assert usage.peak_mb > 80


# ------------------------------------------------------------------------------------------------- nothing is left

MESSES = {
    "files": "open('x', 'w').write('x'); os.makedirs('a/b/c')",
    "a folder of mode 0": "os.mkdir('locked'); os.mkdir('locked/in', 0); os.mkdir('none', 0)",
    "a folder 1500 deep": "[(os.mkdir('d'), os.chdir('d')) for _ in range(1500)]",
    "links": "os.symlink('/etc', 'etc'); os.symlink('/', 'root'); os.symlink('loop', 'loop')",
    "a name that is no text": "open(b'\\xff\\xfe', 'w')",
    "a pipe": "os.mkfifo('pipe')",
}


@pytest.mark.parametrize("mess", MESSES.values(), ids=MESSES)
def test_the_folder_is_removed(mess: str, start):
    """Whatever a submission leaves in its folder goes with it, and a link out of it is not followed."""
    names = start(f"import os\nhere = os.getcwd()\ndef mess():\n    {mess}\n    os._exit(0)")
    box = Path(names.get("here"))
    assert box.is_dir()
    with pytest.raises(Died, match="exit code 0"):
        names.get("mess")()
    assert not box.exists()
    assert Path("/etc/passwd").exists()


def test_close_ends_the_process(start):
    """After close there is no process, and no folder."""
    names = start("import os\npid, here = os.getpid(), os.getcwd()")
    pid, box = names.get("pid"), Path(names.get("here"))
    os.kill(pid, 0)
    names.session.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not box.exists()


def test_folders_are_private_to_each_submission(start, sandbox):
    """Two submissions side by side have folders of their own, of which others see nothing."""
    first, second = (start("import os\nhere = os.getcwd()") for _ in range(2))
    boxes = [Path(names.get("here")) for names in (first, second)]
    assert boxes[0] != boxes[1]
    assert all(box.stat().st_mode & 0o077 == 0 for box in boxes)
    assert boxes[0].parent.stat().st_mode & 0o066 == 0
