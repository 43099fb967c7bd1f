"""What several tests of one submission share: files of tensors handed in beside it, and values computed once.

A fixture is a public function of an assignment's `fixtures.py`. Its parameters are names of the student's, artifacts
or other fixtures; it returns plain data, since the student's process may end between two tests.
"""

from __future__ import annotations

import graphlib
import inspect
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from autograder.assignment import Artifact, Assignment, AssignmentError
from autograder.seeds import varied

Recipes = dict[str, Callable[..., Any]]
Around = Callable[[int], AbstractContextManager[None]]

WORTH_TELLING = 1.0  # seconds: what took longer because a file was not handed in is told to the student


class Names(Protocol):
    """What gives a name of the student's."""

    def get(self, name: str) -> Any:
        """The function, class or value of that name."""


class Fixtures:
    """The names that tests ask for: fixtures, artifacts, and all others from the submission.

    Args:
        assignment: what was asked.
        recipes: the fixtures' functions.
        names: the submission's names.
        files: what was handed in, to look for artifacts in.
        around: given a seed, a context in which a fixture is computed.

    Attributes:
        notes: what the student should know, such as that a training was run here, and how long it took.
    """

    def __init__(
        self,
        assignment: Assignment,
        recipes: Recipes,
        names: Names,
        files: Mapping[str, bytes],
        around: Around = lambda seed: nullcontext(),
    ) -> None:
        self._recipes, self._names, self._files, self._around = recipes, names, files, around
        self._artifacts = {artifact.name: artifact for artifact in assignment.artifacts}
        self._known: dict[str, Any] = {}
        self._failed: dict[str, Exception] = {}
        self.notes: list[str] = []

    def get(self, name: str) -> Any:
        """The value of a name; what is computed for it is computed once, and so is an exception.

        Raises:
            AssertionError: an artifact is not what it should be; the message is for the student.
        """
        if name not in self._recipes and name not in self._artifacts:
            return self._names.get(name)
        if name in self._failed:
            raise self._failed[name]
        if name not in self._known:
            try:
                self._known[name] = self._made(name)
            except Exception as error:
                self._failed[name] = error
                raise
        return self._known[name]

    def give(self, values: Mapping[str, Any]) -> None:
        """Fixtures that need not be computed any more, by name."""
        self._known.update(values)

    def call(self, function: Callable[..., Any]) -> Any:
        """Calls a function with the values that its parameters name."""
        return function(**{name: self.get(name) for name in inspect.signature(function).parameters})

    def _made(self, name: str) -> Any:
        if name in self._artifacts:
            return read(self._artifacts[name], self._files)
        recipe = self._recipes[name]
        given = {key: self.get(key) for key in inspect.signature(recipe).parameters}
        started = time.perf_counter()
        seed = varied(zlib.crc32(f"fixture {name}".encode()))
        with self._around(seed), torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            made = recipe(**given)
        self._tell(given, time.perf_counter() - started)
        return made

    def _tell(self, given: Mapping[str, Any], seconds: float) -> None:
        for name, value in given.items():
            if name in self._artifacts and value is None and seconds > WORTH_TELLING:
                file = self._artifacts[name].file
                self.notes.append(
                    f"There is no {file} in your submission, so what it would hold was computed here, "
                    f"by your code: {seconds:.0f} s."
                )


def read(artifact: Artifact, files: Mapping[str, bytes]) -> dict[str, torch.Tensor] | None:
    """The tensors in a file that was handed in; None if it was not.

    The safetensors format holds a header in JSON and numbers: nothing in it can run.

    Raises:
        AssertionError: it is too large, or not such a file; the message is for the student.
    """
    found = [path for path in sorted(files) if PurePosixPath(path).name == artifact.file]
    if not found:
        return None
    data = files[min(found, key=lambda path: path.count("/"))]
    again = (
        f"Save it again with safetensors.torch.save_file, and hand in {artifact.file} beside your solution."
    )
    if len(data) > artifact.max_mb * 2**20:
        raise AssertionError(
            f"{artifact.file} is larger than {artifact.max_mb} MB, so it was not read: "
            f"it should hold the tensors that the assignment asks for, and nothing else. {again}"
        )
    try:
        return load_tensors(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError, OverflowError, MemoryError) as error:
        raise AssertionError(
            f"{artifact.file} cannot be read as a safetensors file: {_kind(data, error)}. {again}"
        ) from None


def _kind(data: bytes, error: Exception) -> str:
    """What is wrong with the file, in words."""
    if not data:
        return "it is empty"
    if data.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x80\x05")):
        return "it looks like one written by torch.save or pickle"
    declared = int.from_bytes(data[:8], "little")
    if 2 <= declared < 100 * 2**20 and len(data) < 8 + declared:
        return f"it ends after {len(data)} bytes, in the middle of its header"
    return f"{str(error).splitlines()[0][:200] if str(error) else type(error).__name__}"


def reference_files(assignment: Assignment) -> dict[str, bytes]:
    """The reference's own artifacts."""
    return {a.file: assignment.reference_artifact(a).read_bytes() for a in assignment.artifacts}


def load_recipes(assignment: Assignment) -> Recipes:
    """The fixtures of an assignment.

    Raises:
        AssignmentError: they need each other in a circle, or take the name of something else.
    """
    recipes = load_functions(assignment.fixtures)
    taken = {name for question in assignment.questions for name in question.defines}
    taken |= {artifact.name for artifact in assignment.artifacts}
    if clash := sorted(taken & set(recipes)):
        raise AssignmentError(
            f"the fixture {clash[0]!r} has the name of something else in {assignment.slug}."
        )
    for metric in assignment.leaderboard:
        if metric.value not in recipes:
            raise AssignmentError(f"leaderboard {metric.name!r}: there is no fixture {metric.value!r}.")
    graph = {name: set(inspect.signature(recipe).parameters) for name, recipe in recipes.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        raise AssignmentError(f"fixtures need each other in a circle: {', '.join(error.args[1])}.") from None
    return recipes


def load_functions(path: Path) -> Recipes:
    """The public functions that a file of ours defines; none where there is no file."""
    if not path.exists():
        return {}
    namespace: dict[str, Any] = {"__name__": path.stem, "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
    return {
        name: value
        for name, value in namespace.items()
        if inspect.isfunction(value) and value.__module__ == path.stem and not name.startswith("_")
    }
