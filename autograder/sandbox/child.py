"""The life of one child: it is confined, then runs a submission's cells and serves calls until it is ended.

Everything imported here was imported by the zygote before the fork; nothing in this process may be trusted.
"""

from __future__ import annotations

import codeop
import functools
import inspect
import os
import signal
import socket
import sys
import tempfile
import types
from contextlib import suppress
from typing import Any

from torch.utils.data import DataLoader

from autograder.sandbox import layers, linux, serve
from autograder.sandbox.wire import Channel

RPC = 3  # descriptor of the socket to the judge


def live(job: dict[str, Any], connection: int, output: int, zygote: int) -> None:
    """Runs in the forked child and does not return to the zygote.

    Args:
        job: `box`, `layers`, and the bounds of `layers.Confinement`.
        connection: descriptor of the socket to the judge.
        output: descriptor that takes what the submission prints.
        zygote: process id of the parent, to notice when it is gone already.
    """
    _detach(zygote)
    _arrange_descriptors(connection, output)
    _enter(job["box"])
    channel = Channel(socket.socket(fileno=RPC))
    confinement = layers.Confinement(
        job["box"], job["uid"], job["memory"], job["file_size"], job["cpu_seconds"]
    )
    layers.confine(job["layers"], confinement)
    _install_otter_stand_in()
    _load_data_in_one_process()
    _draw_without_a_screen()
    namespace = _main_module()
    runner = CellRunner(namespace)
    serve.seed_everything(0)
    channel.send({"ok": True})
    serve.Server(channel, namespace, runner.run).run()


def _detach(zygote: int) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform.startswith("linux"):
        linux.die_with_parent()
    if os.getppid() != zygote:
        os._exit(1)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # where memory runs out, the kernel ends this process and not the judge


def _arrange_descriptors(connection: int, output: int) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(connection, RPC)
    linux.close_from(RPC + 1)
    for number, name in (
        (1, "stdout"),
        (2, "stderr"),
    ):  # line by line: a child that is killed flushes nothing
        stream = open(number, "w", buffering=1, encoding="utf-8", errors="replace", closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _enter(box: str) -> None:
    os.chdir(box)
    kept = {
        name: os.environ[name] for name in ("OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE", "MPLBACKEND", "LANG")
    }
    os.environ.clear()
    os.environ.update(kept, HOME=box, TMPDIR=box, MPLCONFIGDIR=box, PATH="/usr/bin:/bin", PYTHONHASHSEED="0")
    tempfile.tempdir = None  # the zygote may have looked up its own
    sys.path.insert(0, box)
    sys.argv = ["submission"]


def _main_module() -> dict[str, Any]:
    """The namespace that the cells run in: that of `__main__`, as in a notebook."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    return module.__dict__


def _install_otter_stand_in() -> None:
    """`import otter` and `grader.check` in a submission do nothing here: the judge has the tests, and saves 0.7 s."""

    class Notebook:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: None

    otter = types.ModuleType("otter")
    otter.Notebook = Notebook  # type: ignore[attr-defined]
    sys.modules["otter"] = otter


def _load_data_in_one_process() -> None:
    """A DataLoader with workers loads by itself here, where no process can be started; the batches are the same."""
    original = DataLoader.__init__

    @functools.wraps(original)
    def init(*args: Any, **kwargs: Any) -> None:
        given = inspect.signature(original).bind(*args, **kwargs)
        for name in (
            "num_workers",
            "prefetch_factor",
            "persistent_workers",
            "timeout",
            "multiprocessing_context",
        ):
            given.arguments.pop(name, None)
        original(*given.args, **given.kwargs)

    DataLoader.__init__ = init  # type: ignore[method-assign]


def _draw_without_a_screen() -> None:
    """`matplotlib.use("TkAgg")` and the like change nothing here, instead of ending the cell."""
    matplotlib = sys.modules.get("matplotlib")  # imported before the fork where the submission mentions it
    if matplotlib is not None:
        matplotlib.use = lambda *args, **kwargs: None  # type: ignore[attr-defined]


class CellRunner:
    """Runs cells one after the other in one namespace, as a notebook does.

    Args:
        namespace: what the cells define and use.
    """

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._compile = (
            codeop.Compile()
        )  # remembers `from __future__ import annotations` for the cells that follow
        self._shell: Any = None

    def run(self, cell: dict[str, Any]) -> dict[str, Any]:
        """Runs one cell; its error, if any, is part of the answer and stops nothing.

        Args:
            cell: `source`, `filename` (what a traceback calls it), `line` (of its first line), `notebook`.
        """
        error = self._run_in_shell(cell) if cell["notebook"] else self._run_plain(cell)
        return {
            "error": serve.describe_error(error) | {"line": _line(error, cell)} if error is not None else None
        }

    def _run_plain(self, cell: dict[str, Any]) -> BaseException | None:
        source = "\n" * (cell["line"] - 1) + cell["source"]
        try:
            exec(self._compile(source, cell["filename"], "exec"), self._namespace)
        except BaseException as error:
            return error
        return None

    def _run_in_shell(self, cell: dict[str, Any]) -> BaseException | None:
        if self._shell is None:
            self._shell = _shell(self._namespace)
        self._shell.compile.get_code_name = lambda *_: cell["filename"]
        result = self._shell.run_cell(cell["source"], store_history=False)
        return result.error_before_exec or result.error_in_exec  # type: ignore[no-any-return]


def _shell(namespace: dict[str, Any]) -> Any:
    """An IPython shell without history, colours, a terminal or folders of its own: magics and display work."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        def init_ipython_dir(self, ipython_dir: object) -> None: ...

        def init_profile_dir(self, profile_dir: object) -> None: ...

        def enable_gui(self, gui: object = None) -> None: ...  # by `%matplotlib inline`

        def showtraceback(self, *args: object, **kwargs: object) -> None: ...  # the judge gets the error

        def showsyntaxerror(self, *args: object, **kwargs: object) -> None: ...

    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Plain"
    shell = Shell.instance(config=config, user_ns=namespace)
    _adapt(shell)
    return shell


def _adapt(shell: Any) -> None:
    """What works in every student's Jupyter must not end a cell here, where no window or other program can be had."""

    def leave() -> None:
        raise SystemExit  # of `exit` and `quit`

    def system(command: str) -> None:
        print(f"Not run while grading: !{command}")

    def getoutput(command: str, *args: Any, **kwargs: Any) -> list[str]:
        system(command)
        return []

    shell.ask_exit, shell.system, shell.getoutput = leave, system, getoutput
    for name in ("matplotlib", "config"):  # how figures appear on a screen
        shell.magics_manager.magics["line"][name] = lambda line: None


def _line(error: BaseException, cell: dict[str, Any]) -> int | None:
    if isinstance(error, SyntaxError):
        return error.lineno
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == cell["filename"]:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
