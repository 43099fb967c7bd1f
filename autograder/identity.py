"""What a result rests on, as digests: when one of them is another, the result is graded again, and else it is not.

Each question has a key of its own, so that mending one question's tests makes nobody's other questions run again.
Python files count by what they do: a comment, a docstring or another layout changes no key.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from autograder import __version__
from autograder.assignment import Assignment, Question

PACKAGE = Path(__file__).parent
# What stands around the judging and can change no verdict. A module that is not named here counts.
_AROUND = {
    "__main__.py", "batch.py", "cli.py", "cluster.py", "completion.py", "explain", "gradescope", "identity.py",
    "interrupt.py", "kit", "machine.py", "nearest.py", "new", "outpost.py", "plain.py", "pool.py", "progress.py",
    "publish.py", "report", "roster", "sections.py", "spreadsheet.py", "store.py", "summary.py", "validate",
    "worker.py",
}  # fmt: skip
# Parts of an assignment that a question's key has no use for: texts, its other questions, what stands beside grades.
_BESIDE_QUESTIONS = {
    "slug", "title", "summary", "root", "questions", "written", "leaderboard", "figures", "promises",
}  # fmt: skip


@dataclass(frozen=True)
class Identity:
    """What made a result.

    Attributes:
        grader: the program: its version, a digest of the modules that judge, and the releases that they compute with.
        questions: for each question a digest of its suite, of what the suite uses and of the grader.
        beside: a digest of what makes the figures and numbers that belong to no question; "" where there are none.
        whole: a digest of all that can be read in a results file.
    """

    grader: str
    questions: dict[str, str]
    beside: str
    whole: str


def identify(assignment: Assignment) -> Identity:
    """The identity of results to this assignment, as its files and the program are now."""
    grader = grader_version()
    common = [grader, _settings(assignment), _code(assignment.reference)]
    misconceptions = _parse(assignment.misconceptions)
    keys = {
        question.name: _digest([*common, *_suite(assignment, question, misconceptions)])
        for question in assignment.questions
    }
    beside = _beside(assignment, common)
    whole = _digest([*keys.values(), beside, repr(_plain_fields(assignment, {"root", "promises"}))])
    return Identity(grader, keys, beside, whole)


def grader_version() -> str:
    """The program that judges, such as "0.1.0 (1f0a9c3b77e2, torch 2.13.0, Python 3.11)"."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in _AROUND:
            digest.update(path.relative_to(PACKAGE).as_posix().encode() + b"\0" + path.read_bytes())
    torch = importlib.metadata.version("torch")
    python = ".".join(map(str, sys.version_info[:2]))
    return f"{__version__} ({digest.hexdigest()[:12]}, torch {torch}, Python {python})"


def _settings(assignment: Assignment) -> str:
    return repr(_plain_fields(assignment, _BESIDE_QUESTIONS))


def _plain_fields(assignment: Assignment, without: set[str]) -> list[tuple[str, object]]:
    names = [field.name for field in fields(assignment) if field.name not in without]
    return [(name, getattr(assignment, name)) for name in names]


def _suite(assignment: Assignment, question: Question, misconceptions: ast.Module) -> Iterator[str]:
    """What is this question's own: its lines in the TOML file, its tests and all that these reach."""
    tests = _parse(assignment.test_file(question.name))
    yield repr(question)
    yield ast.dump(tests)
    yield from (_code(path) for path in _imported(tests))
    yield from (ast.dump(node) for node in misconceptions.body if _concerns(node, question.name))
    shared = {artifact.name for artifact in assignment.artifacts}
    if assignment.fixtures.is_file():
        shared |= _defined(_parse(assignment.fixtures))
    if _parameters(tests) & shared:
        yield from _fixtures(assignment)


def _fixtures(assignment: Assignment) -> Iterator[str]:
    if assignment.fixtures.is_file():
        yield _code(assignment.fixtures)
    yield from (_content(assignment.reference_artifact(artifact)) for artifact in assignment.artifacts)


def _beside(assignment: Assignment, common: list[str]) -> str:
    if not assignment.leaderboard and not assignment.figures:
        return ""
    drawings = [_content(assignment.drawings)] if assignment.drawings.is_file() else []
    wanted = repr((assignment.leaderboard, assignment.figures))
    return _digest([*common, wanted, *drawings, *_fixtures(assignment)])


def _concerns(node: ast.stmt, question: str) -> bool:
    """Whether a part of `misconceptions.py` is this question's, or of use to all of them."""
    for decorator in getattr(node, "decorator_list", []):
        if isinstance(decorator, ast.Call) and decorator.args and isinstance(decorator.args[0], ast.Constant):
            return bool(decorator.args[0].value == question)
    return True


def _parameters(tree: ast.Module) -> set[str]:
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return {argument.arg for function in functions for argument in function.args.args}


def _defined(tree: ast.Module) -> set[str]:
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def _imported(tree: ast.Module) -> list[Path]:
    """The files of this package that a test file imports, directly and through one another."""
    found: dict[Path, None] = {}
    waiting = list(_files(tree))
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = None
            waiting += _files(_parse(path))
    return sorted(found)


def _files(tree: ast.Module) -> Iterator[Path]:
    """Where the modules are that a file asks for by name; a package stands for all that its own file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.split(".")[0] == PACKAGE.name:
                place = PACKAGE.joinpath(*name.split(".")[1:])
                yield from (
                    path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()
                )


def _code(path: Path) -> str:
    return _digest([path.name, ast.dump(_parse(path))])


def _parse(path: Path) -> ast.Module:
    """A Python file without its docstrings; positions and comments are not in it anyway."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]
    return tree


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _content(path: Path) -> str:
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:24]
