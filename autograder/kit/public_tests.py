"""A test file without its hidden cases and what only they use; the checks that it imports are copied into its end.

So a student's checks are plain Otter and need nothing of ours. Only our own files are parsed here.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from autograder.assignment import Assignment, AssignmentError
from autograder.checks import compare

_CHECKS = "autograder.checks"
_OTTER_READS = {"OK_FORMAT", "name", "all_or_nothing"}

_IMPORTS = ast.Import | ast.ImportFrom
_ASSIGNMENTS = ast.Assign | ast.AnnAssign
_BLOCKS = ast.FunctionDef | ast.ClassDef


@dataclass(frozen=True)
class _Statement:
    """One statement at the top level of a module, with the comment lines right above it."""

    node: ast.stmt
    source: str
    blank_lines: int
    binds: frozenset[str]
    uses: frozenset[str]


def public_tests(assignment: Assignment, question: str) -> str:
    """The source of a question's public test file.

    Raises:
        AssignmentError: The test file holds something at its top level that cannot be judged public or not.
    """
    path = assignment.test_file(question)
    module = [s for s in _statements(path) if not _is_hidden(s.node)]
    checks = [s for s in module if isinstance(s.node, ast.ImportFrom) and s.node.module == _CHECKS]
    own = _reached([s for s in module if s not in checks], _is_root)
    called = {name for s in own for name in s.uses} & {name for s in checks for name in s.binds}
    copied = _copied_checks(called, {name for s in own for name in s.binds}, path)
    return _joined(own) + (f"\n\n\n# The comparisons that are used above.\n\n{copied}\n" if called else "\n")


def _copied_checks(called: set[str], own: set[str], path: Path) -> str:
    """The source of these checks and of what they reach, less the imports that the test file has itself."""
    module = [s for s in _statements(Path(compare.__file__)) if not _is_docstring(s.node)]
    if foreign := sorted(called - {name for s in module for name in s.binds}):
        raise AssignmentError(
            f"{path.name} uses {foreign[0]!r} in a public test; students get those of compare.py only."
        )
    reached = _reached(module, lambda s: bool(s.binds & called))
    code = [s for s in reached if not isinstance(s.node, _IMPORTS)]
    if clash := sorted(own & {name for s in code for name in s.binds}):
        raise AssignmentError(f"{path.name} defines {clash[0]!r}, which is a name in autograder.checks too.")
    return _joined(s for s in reached if s in code or not s.binds <= own)


def _statements(path: Path) -> list[_Statement]:
    source = path.read_text(encoding="utf-8")
    lines = source.split("\n")
    found, end = [], 0
    for node in ast.parse(source).body:
        if not isinstance(node, _IMPORTS | _ASSIGNMENTS | _BLOCKS) and not _is_docstring(node):
            raise AssignmentError(
                f"{path.name}, line {node.lineno}: only imports, assignments, functions and classes may stand here."
            )
        start = _first_line(node, lines, end)
        blank_lines = len(list(takewhile(lambda line: not line.strip(), reversed(lines[end:start]))))
        end = node.end_lineno or node.lineno
        text = "\n".join(lines[start:end])
        found.append(_Statement(node, text, blank_lines, frozenset(_bound(node)), frozenset(_used(node))))
    return found


def _first_line(node: ast.stmt, lines: list[str], previous_end: int) -> int:
    """The index of the first line of a statement: its first decorator, or the comments that touch it from above."""
    decorators = getattr(node, "decorator_list", [])
    start = int(min([node.lineno, *(decorator.lineno for decorator in decorators)])) - 1
    while start > previous_end and lines[start - 1].startswith("#"):
        start -= 1
    return start


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, _IMPORTS):
        yield from ((alias.asname or alias.name.split(".")[0]) for alias in node.names)
    elif isinstance(node, _BLOCKS):
        yield node.name
    elif isinstance(node, _ASSIGNMENTS):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


def _used(node: ast.stmt) -> Iterator[str]:
    yield from (part.id for part in ast.walk(node) if isinstance(part, ast.Name))


def _reached(statements: list[_Statement], is_root: Callable[[_Statement], bool]) -> list[_Statement]:
    """The roots and all that they use, directly or not, in the order of the source."""
    kept = [s for s in statements if is_root(s)]
    names: set[str] = set()
    while new := {name for s in kept for name in s.uses} - names:
        names |= new
        kept = [s for s in statements if is_root(s) or s.binds & names]
    return kept


def _is_root(statement: _Statement) -> bool:
    """Whether a test file needs the statement in any case: its docstring, what Otter reads, and the test cases."""
    return (
        _is_docstring(statement.node)
        or bool(statement.binds & _OTTER_READS)
        or _case(statement.node) is not None
    )


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_hidden(node: ast.stmt) -> bool:
    """Whether this is a test case for the grader alone: all that does not say `hidden=False` is."""
    case = _case(node)
    if case is None:
        return False
    hidden = next((keyword.value for keyword in case.keywords if keyword.arg == "hidden"), None)
    return not (isinstance(hidden, ast.Constant) and hidden.value is False)


def _case(node: ast.stmt) -> ast.Call | None:
    """The call `test_case(...)` that decorates a function, if there is one."""
    calls = (part for part in getattr(node, "decorator_list", []) if isinstance(part, ast.Call))
    return next(
        (call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "test_case"), None
    )


def _joined(statements: Iterable[_Statement]) -> str:
    """The statements in a row, each with as many blank lines before it as it had."""
    return "".join("\n" * (s.blank_lines + 1) + s.source for s in statements).lstrip("\n")
