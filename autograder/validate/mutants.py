"""Mutants of a reference: its source with one small change in one solution.

What is changed stands between the markers of Otter Assign, in a cell that is graded. The texts of messages are left
alone, and so is what only they read: no suite is to judge them.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from autograder.submission.cells import read_cells
from autograder.validate import mutators

_BEGIN, _END, _LINE = (
    re.compile(rf"# {words}\b") for words in ("BEGIN SOLUTION", "END SOLUTION", "SOLUTION")
)


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        name: the function, class or Class.method that is changed.
        line: where, in the reference.
        original: the line before, or the statement as `ast.unparse` writes it where it spans several.
        mutant: the same afterwards.
        occurrence: 2 for the second time that this line stands in `name`, and so on.
        span: the bytes of the source that are replaced, from and to.
        text: by what.
    """

    name: str
    line: int
    original: str
    mutant: str
    occurrence: int
    span: tuple[int, int]
    text: str

    @property
    def unit(self) -> str:
        """The function or class at the top level that is changed."""
        return self.name.split(".")[0]

    def apply(self, source: str) -> str:
        """The changed source."""
        data = source.encode()
        return (data[: self.span[0]] + self.text.encode() + data[self.span[1] :]).decode()

    def diff(self, source: str) -> str:
        """What is changed, as a diff with a line before and after."""
        before, after = source.splitlines(), self.apply(source).splitlines()
        lines = difflib.unified_diff(before, after, self.name, self.name, n=1, lineterm="")
        return "\n".join(lines)


def make(source: str) -> list[Mutant]:
    """All mutants of a source in percent format, in the order of its lines; none is there twice."""
    text = _Text(source)
    return [mutant for unit in ast.parse(source).body for mutant in _of_unit(unit, text)]


def callers(source: str, name: str, graded: set[str]) -> set[str]:
    """The graded names whose code mentions this one, directly or through helpers."""
    mentioned = {
        _name(unit): {node.id for node in ast.walk(unit) if isinstance(node, ast.Name)}
        for unit in ast.parse(source).body
        if isinstance(unit, ast.FunctionDef | ast.ClassDef)
    }
    helpers, found = {name}, set[str]()
    while more := {unit for unit, names in mentioned.items() if names & helpers} - helpers - found:
        found |= more & graded
        helpers |= more - graded
    return found


class _Text:
    """A source with what is asked of it: the places of nodes, and the lines of solutions that are graded."""

    def __init__(self, source: str) -> None:
        self.data = source.encode()
        self._starts = [0]
        for line in self.data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        graded = set[int]()
        for cell in read_cells("reference.py", self.data):
            graded.update(range(cell.line, cell.line + cell.source.count("\n") + 1))
        self.solution = graded.intersection(_solution_lines(source.split("\n")))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The bytes of an expression or a statement, from and to."""
        assert isinstance(node, ast.expr | ast.stmt | ast.arg | ast.keyword)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def head(self, statement: ast.stmt) -> tuple[int, int]:
        """The bytes of a statement up to its colon, if other statements stand in it, else all of it."""
        start, end = self.span(statement)
        if any(True for _ in _inner(statement)):
            ends = [self.span(node)[1] for node in _head_nodes(statement)]
            end = self.data.index(b":", max(ends, default=start)) + 1
        return start, end


def _solution_lines(lines: list[str]) -> Iterator[int]:
    inside = False
    for number, line in enumerate(lines, start=1):
        if _BEGIN.search(line):
            inside = True
        elif _END.search(line):
            inside = False
        elif inside or _LINE.search(line):
            yield number


def _inner(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements that stand directly in another."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from _inner(child)


def _head_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(statement):
        if not isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            nodes = ast.walk(child)
            yield from (node for node in nodes if isinstance(node, ast.expr | ast.arg | ast.keyword))


# ------------------------------------------------------------------------------------------------- one top-level name


@dataclass(frozen=True)
class _Place:
    """A statement, the name that it belongs to, and the function around it, if there is one."""

    statement: ast.stmt
    name: str
    function: ast.FunctionDef | None


def _of_unit(unit: ast.stmt, text: _Text) -> Iterator[Mutant]:
    places = list(_places(unit, _name(unit), None))
    used = {name for place in places for name in _used(place.statement)}
    lines = Counter[tuple[str, str]]()
    for place in places:
        if place.statement.lineno not in text.solution:
            continue
        original = _one_line(text.data[slice(*text.head(place.statement))])
        lines[place.name, original] += 1
        if place.function is None or not _only_for_messages(place.statement, used):
            yield from _of_place(place, text, original, lines[place.name, original])


def _name(unit: ast.stmt) -> str:
    """What a top-level statement defines."""
    if isinstance(unit, ast.FunctionDef | ast.ClassDef):
        return unit.name
    stored = (node.id for node in ast.walk(unit) if isinstance(node, ast.Name) and _is_stored(node))
    return next(stored, f"line {unit.lineno}")


def _places(statement: ast.stmt, name: str, function: ast.FunctionDef | None) -> Iterator[_Place]:
    yield _Place(statement, name, function)
    if isinstance(statement, ast.FunctionDef):
        function = function or statement
    for inner in _inner(statement):
        is_method = isinstance(statement, ast.ClassDef) and isinstance(inner, ast.FunctionDef)
        yield from _places(inner, f"{name}.{inner.name}" if is_method else name, function)  # type: ignore[attr-defined]


def _used(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement reads for something else than a message."""
    for root in _roots(statement):
        for node in _expressions(root):
            if isinstance(node, ast.Name) and not _is_stored(node):
                yield node.id


def _is_stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def _only_for_messages(statement: ast.stmt, used: set[str]) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return bool(targets) and all(isinstance(t, ast.Name) and t.id not in used for t in targets)


def _of_place(place: _Place, text: _Text, original: str, occurrence: int) -> Iterator[Mutant]:
    start, end = text.head(place.statement)
    seen = {_meaning(text.data[start:end])}
    for node, new in _changes(place):
        span = text.span(node)
        before, after = text.data[start : span[0]], text.data[span[1] : end]
        fitting = _fitting(before, new, after)
        if fitting is None or fitting[1] in seen:
            continue
        seen.add(fitting[1])
        mutant = _one_line(before + fitting[0].encode() + after)
        yield Mutant(place.name, node.lineno, original, mutant, occurrence, span, fitting[0])


def _one_line(code: bytes) -> str:
    """A statement, or its head, as it stands there if that is one line, else as `ast.unparse` writes it."""
    if b"\n" not in code:
        return code.decode()
    return ast.unparse(_parsed(code)).split("\n")[0]


def _parsed(code: bytes) -> ast.Module:
    text = code.decode().removeprefix("el")  # of an elif
    body = " pass\nfinally: pass" if text == "try:" else " pass" if text.endswith(":") else ""
    return ast.parse(text + body)


def _meaning(code: bytes) -> str:
    return ast.dump(_parsed(code))


def _fitting(before: bytes, new: str, after: bytes) -> tuple[str, str] | None:
    """The new text, in brackets only where it needs them, and what the line then means; None if it is no Python."""
    found = list[tuple[str, str]]()
    for text in (new, f"({new})"):
        try:
            found.append((text, _meaning(before + text.encode() + after)))
        except SyntaxError:
            continue
    bare_means_another = len(found) == 2 and found[0][1] != found[1][1]
    return found[1] if bare_means_another else next(iter(found), None)


# ------------------------------------------------------------------------------------------------- one statement


def _changes(place: _Place) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Nodes of a statement, each with what is put in its place."""
    statement = place.statement
    yield from ((statement, new) for new in _statements(place))
    if isinstance(statement, ast.If | ast.While):
        loop = isinstance(statement, ast.While)
        yield from ((statement.test, ast.unparse(new)) for new in mutators.conditions(statement.test, loop))
    yield from ((node, ast.unparse(new)) for node, new in _values(place))
    for root in _roots(statement):
        for node in _expressions(root):
            for mutator in mutators.EXPRESSIONS:
                new = (other for other in mutator(node) if not _is_left_over(other, node, statement))
                yield from ((node, ast.unparse(other)) for other in new)


def _is_left_over(new: ast.expr, node: ast.expr, statement: ast.stmt) -> bool:
    """Whether nothing but a value remains of a statement that is a call: as if that were dropped."""
    return isinstance(statement, ast.Expr) and node is statement.value and not isinstance(new, ast.Call)


def _statements(place: _Place) -> Iterator[str]:
    """What is put in the place of a whole statement."""
    statement = place.statement
    if _can_be_dropped(place):
        yield "pass"
    if isinstance(statement, ast.AugAssign) and (other := mutators.other_step(statement.op)):
        yield ast.unparse(ast.AugAssign(statement.target, other, statement.value))
    if isinstance(statement, ast.Continue):
        yield "break"
    if isinstance(statement, ast.Break):
        yield "continue"


def _can_be_dropped(place: _Place) -> bool:
    """Whether a program may go on without a statement: without a first assignment to a name it cannot."""
    statement = place.statement
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant)  # a docstring, or `...`
    if isinstance(statement, ast.Assign):
        return not any(isinstance(t, ast.Name | ast.Tuple) for t in statement.targets) or _is_bound_before(
            place
        )
    return isinstance(statement, ast.Raise | ast.Assert | ast.AugAssign)


def _is_bound_before(place: _Place) -> bool:
    if place.function is None:
        return False
    names = {node.arg for node in ast.walk(place.function.args) if isinstance(node, ast.arg)}
    for node in ast.walk(place.function):
        if isinstance(node, ast.Name) and _is_stored(node) and node.lineno < place.statement.lineno:
            names.add(node.id)
    stored = (node for node in ast.walk(place.statement) if isinstance(node, ast.Name) and _is_stored(node))
    return all(node.id in names for node in stored)


def _values(place: _Place) -> Iterator[tuple[ast.expr, ast.expr]]:
    """A result or an intermediate value cut off from its gradient; a result in another dtype, or an argument for it."""
    statement, function = place.statement, place.function
    value = getattr(statement, "value", None)
    if function is None or value is None:
        return
    differentiable = any(_is_tensor(a.annotation) or a.arg == "self" for a in function.args.args)
    if differentiable and isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        yield from ((value, new) for new in mutators.detached(value))
    if isinstance(statement, ast.Return):
        for part in (value.elts if isinstance(value, ast.Tuple) else [value]) * _is_tensor(function.returns):
            yield from ((part, new) for new in mutators.detached(part) if differentiable)
            yield from ((part, new) for new in mutators.recast(part))
        names = [argument.arg for argument in function.args.args if argument.arg != "self"]
        yield from ((value, ast.Name(name, ast.Load())) for name in names[:1])


def _is_tensor(annotation: ast.expr | None) -> bool:
    return annotation is not None and "Tensor" in ast.unparse(annotation)


def _roots(statement: ast.stmt) -> list[ast.expr]:
    """The expressions of a statement, without those of the statements in it, annotations and messages."""
    if isinstance(statement, ast.Raise | ast.ClassDef):
        return []
    if isinstance(statement, ast.FunctionDef):
        return [value for value in (*statement.args.defaults, *statement.args.kw_defaults) if value]
    if isinstance(statement, ast.With):
        return [item.context_expr for item in statement.items]
    if isinstance(statement, ast.AnnAssign):
        return [statement.value] if statement.value else []
    return [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr)]


def _expressions(node: ast.AST) -> Iterator[ast.expr]:
    """An expression and those in it, without texts; of the helper `require(condition, message)` the condition alone."""
    if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return
    if isinstance(node, ast.keyword) and mutators.is_beside_results(node):
        return
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require":
        yield from _expressions(node.args[0])
        return
    if isinstance(node, ast.expr):
        yield node
        if mutators.number(node) is not None:
            return
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child)
