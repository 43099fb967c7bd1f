"""One fork server for all tests of this folder, and short ways to a submission in it."""

import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from autograder.sandbox.host import Bounds, Code, Sandbox
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session

Start = Callable[..., Namespace]
SHORT = {"call_seconds": 5.0, "cell_seconds": 10.0, "total_seconds": 60.0}


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """The sandbox with every layer that this machine offers."""
    with Sandbox() as made:
        yield made


@pytest.fixture
def start(sandbox: Sandbox) -> Iterator[Start]:
    """Makes a function that starts a submission, given the source of its cells, and returns its names."""
    with ExitStack() as stack:

        def begin(
            *cells: str,
            notebook: bool = False,
            files: dict[str, bytes] | None = None,
            inside: Sandbox = sandbox,
            watched: list[str] | None = None,
            **bounds: float,
        ) -> Namespace:
            sources = tuple((textwrap.dedent(cell), 1) for cell in cells)
            code = Code(sources, "answer.ipynb" if notebook else "answer.py", notebook, files or {})
            session = stack.enter_context(Session(inside, code, Bounds(**{**SHORT, **bounds}), watched or []))  # type: ignore[arg-type]
            names = Namespace(session, lambda name: "")
            names.session = session  # type: ignore[attr-defined]
            return names

        yield begin
