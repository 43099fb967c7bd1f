"""Whether code could reach what the grader keeps in its process: then what it says it ran is checked in another.

The record of library functions stands in the student's process, and Python hides nothing from who looks for it: frames,
the garbage collector, closures, `sys.modules`. Ordinary course code has none of these doors in its text. What has one,
or cannot be read as Python, is no cheat for that; it is only not taken at its word (see `autograder.doubt`).
"""

from __future__ import annotations

import ast
import functools
import sys

from autograder.assignment import Assignment
from autograder.submission import Submission

# Modules that let nobody look into the interpreter and run no text as code.
_PLAIN = frozenset(
    "abc array bisect cmath collections copy csv dataclasses decimal enum fractions functools heapq itertools json "
    "math numbers numpy random re safetensors secrets statistics time transformers typing unicodedata warnings "
    "__future__".split()
)
_PLAIN_TORCH = frozenset("distributions fft functional init linalg nn optim special utils".split())
_SAME_NAME = _PLAIN.union("chunk code profile queue select signal string token trace types".split())
# Names under which a module has one of Python's that do; parts of torch's and numpy's that change operators, run text
# or look up what a text names.
_DOORS = (sys.stdlib_module_names - _SAME_NAME) | frozenset(
    "compile compiler cpp_extension ctypeslib export f2py fx get_type_hints jit library load ops overrides "
    "package save serialization switch_backend testing".split()
)
_CALLS = frozenset(
    "__builtins__ __import__ breakpoint compile delattr eval exec getattr globals locals open setattr vars".split()
)
_OWN = frozenset(("self", "cls", "super"))


def reaches_behind(submission: Submission, assignment: Assignment) -> bool:
    """Whether some of the code that is not the kit's has such a door."""
    try:
        statements = (s for cell in submission.cells for s in _statements(cell.source))
        suspects = [statement for statement in statements if any(map(_is_door, ast.walk(statement)))]
        return any(ast.dump(statement) not in _given(assignment) for statement in suspects)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True


@functools.cache
def _given(assignment: Assignment) -> frozenset[str]:
    """The kit's own statements."""
    stub = assignment.template / f"{assignment.slug}.py"
    statements = _statements(stub.read_text(encoding="utf-8")) if stub.exists() else []
    return frozenset(map(ast.dump, statements))


def _statements(source: str) -> list[ast.stmt]:
    return ast.parse(source).body


def _is_door(node: ast.AST) -> bool:
    if isinstance(node, ast.Import):
        return not all(_is_plain(alias.name) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return not _is_plain(node.module or "") or any(_is_hidden(alias.name) for alias in node.names)
    if isinstance(node, ast.Attribute):
        return _is_hidden(node.attr) and not _is_its_own(node)
    return isinstance(node, ast.Name) and node.id in _CALLS


def _is_plain(module: str) -> bool:
    first, *rest = module.split(".")
    listed = first in _PLAIN or (first == "torch" and (not rest or rest[0] in _PLAIN_TORCH))
    return listed and not any(map(_is_hidden, rest))


def _is_hidden(name: str) -> bool:
    return name in _DOORS or (name.startswith("_") and name != "__init__")


def _is_its_own(node: ast.Attribute) -> bool:
    """Of `self._x`; `self.__class__` leads further."""
    return isinstance(node.value, ast.Name) and node.value.id in _OWN and not node.attr.startswith("__")
