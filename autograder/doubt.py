"""A second process for code that is not taken at its word: one without what the question forbids.

What passes there has not needed it. A question that passes only where torch is complete earns nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from itertools import zip_longest
from typing import Any

from autograder.assignment import Question
from autograder.sandbox.host import Code
from autograder.sandbox.operators import find, matching


def removal(question: Question) -> dict[str, Any]:
    """What is taken away for a question, as `sandbox.removal.remove` takes it."""
    named = [pattern for pattern in question.forbidden if "::" not in pattern]
    names = [name for pattern in named for name in _named(pattern)]
    autograd = "torch.autograd.grad" in named
    return {"operators": matching(question.forbidden), "names": sorted(set(names)), "autograd": autograd}


def _named(pattern: str) -> Iterator[str]:
    """The functions and classes that a pattern stands for; of one with a star, those that its module defines."""
    path, _, last = pattern.rpartition(".")
    owner = find(path)
    if "*" not in last:
        yield from [pattern] * hasattr(owner, last)
        return
    for name, value in vars(owner).items() if owner is not None else ():
        if fnmatchcase(name, last) and getattr(value, "__module__", "") == path:
            yield f"{path}.{name}"


def by_statement(code: Code) -> Code:
    """The same code, each statement a cell of its own.

    A comparison with the library's answer ends there, and what follows it in its cell is defined all the same.
    """
    cells = [part for source, line in code.cells for part in _parts(source, line)]
    return replace(code, cells=tuple(cells))


def _parts(source: str, line: int) -> Iterator[tuple[str, int]]:
    try:
        statements = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield source, line
        return
    lines, begun = source.split("\n"), 0
    for statement, following in zip_longest(statements, statements[1:]):
        end = statement.end_lineno or 0
        shares_its_line = following is not None and _first_line(following) <= end
        if not shares_its_line:
            yield "\n".join(lines[begun:end]), line + begun
            begun = end


def _first_line(statement: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return decorators[0].lineno if decorators else statement.lineno
