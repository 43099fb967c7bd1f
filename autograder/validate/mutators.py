"""The small changes that a mutant is made of: for a node of a syntax tree, what may stand in its place.

Each mutator yields a few wrong readings of the same line, such as another operator, a neighbouring constant, a call
left out. What is the same by construction, such as the arguments of `min` exchanged, is not made.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Expression = Callable[[ast.expr], Iterator[ast.expr]]

_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.MatMult)  # a op b is not b op a
# The neighbour across the boundary first, then the opposite.
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE), ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_PAIRS = (
    "sum mean", "max min", "amax amin", "maximum minimum", "argmax argmin", "exp log", "sin cos", "floor ceil",
    "any all", "tril triu", "cat stack", "zeros ones", "zeros_like ones_like", "randn rand", "randn_like rand_like",
    "cumsum cumprod", "softmax log_softmax", "no_grad enable_grad", "std var", "float double", "float32 float64",
    "square abs", "logsumexp amax", "train eval", "append extend", "unsqueeze squeeze", "sort argsort",
)  # fmt: skip
_EXCHANGED = {a: b for pair in _PAIRS for a, b in (pair.split(), reversed(pair.split()))}
# Their first arguments may be exchanged; `common_shape` is a helper that the references' setup cells have.
_SYMMETRIC = {"min", "max", "transpose", "swapaxes", "maximum", "minimum", "broadcast_shapes", "common_shape"}
_MODULES = {
    "self",
    "torch",
    "math",
    "np",
    "numpy",
    "F",
    "nn",
    "plt",
    "random",
    "functools",
    "itertools",
    "time",
}
_PLAIN = {
    "int",
    "float",
    "len",
    "dict",
    "list",
    "set",
    "sorted",
    "tuple",
    "range",
    "str",
    "min",
    "max",
    "shape",
    "size",
}
TINY = 1e-3  # a float below it is taken for an epsilon, of which the order of magnitude matters


def _arithmetic(node: ast.expr) -> Iterator[ast.expr]:
    """Another operator; the operands exchanged where their order matters."""
    if isinstance(node, ast.BinOp):
        if other := _ARITHMETIC.get(type(node.op)):
            yield ast.BinOp(node.left, other(), node.right)
        if isinstance(node.op, _ORDERED):
            yield ast.BinOp(node.right, node.op, node.left)


def _signs(node: ast.expr) -> Iterator[ast.expr]:
    """A minus, a `not` or a `~` left out."""
    if isinstance(node, ast.UnaryOp):
        yield node.operand


def _constants(node: ast.expr) -> Iterator[ast.expr]:
    """The next numbers; for a float one that differs by a hundredth; True for False."""
    value = number(node)
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield from map(_literal, (value + 1, value - 1))
    elif isinstance(value, float) and abs(value) < TINY:
        yield from map(_literal, (value * 100, value / 100) if value else (1.0,))
    elif isinstance(value, float):
        yield _literal(value * 1.01)


def number(node: ast.expr) -> bool | int | float | None:
    """The value of a literal, with its sign; None where there is no number."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = number(node.operand)
        return None if value is None or isinstance(value, bool) else -value
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        return node.value
    return None


def _literal(value: int | float) -> ast.expr:
    if value < 0:
        return ast.UnaryOp(ast.USub(), _literal(-value))
    return ast.Constant(float(f"{value:.12g}") if isinstance(value, float) else value)


def _comparisons(node: ast.expr) -> Iterator[ast.expr]:
    """The boundary on the other side, and the opposite."""
    if isinstance(node, ast.Compare):
        for index, op in enumerate(node.ops):
            for other in _COMPARISONS[type(op)]:
                ops = [*node.ops[:index], other(), *node.ops[index + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)


def _conjunctions(node: ast.expr) -> Iterator[ast.expr]:
    """`or` for `and`, and each part left out."""
    if isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            yield ast.BoolOp(node.op, rest) if len(rest) > 1 else rest[0]


def _choices(node: ast.expr) -> Iterator[ast.expr]:
    """One branch of a conditional expression for good."""
    if isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def _calls(node: ast.expr) -> Iterator[ast.expr]:
    """Neighbouring arguments exchanged, a keyword left out, the call itself left out."""
    if not isinstance(node, ast.Call):
        return
    for index in range(len(node.args) - 1 if _name(node) not in _SYMMETRIC else 0):
        first, second = node.args[index : index + 2]
        args = [*node.args[:index], second, first, *node.args[index + 2 :]]
        yield ast.Call(node.func, args, node.keywords)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg and not is_beside_results(keyword):
            yield ast.Call(node.func, node.args, node.keywords[:index] + node.keywords[index + 1 :])
    if bare := _without_call(node):
        yield bare


def _name(node: ast.Call) -> str:
    """The last part of what is called: `transpose` of `x.T.transpose(0, 1)`."""
    return ast.unparse(node.func).split(".")[-1]


def is_beside_results(keyword: ast.keyword) -> bool:
    """Whether an argument cannot change what is graded: all of that runs on one device."""
    return keyword.arg == "device"


def _without_call(node: ast.Call) -> ast.expr | None:
    """`x.f(...)` becomes `x`, and `f(x, ...)`, `torch.f(x, ...)` or `self.f(x, ...)` becomes `x`."""
    if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
        return node.func.value
    first = node.args[0] if node.args else None
    return None if isinstance(first, ast.Starred | ast.GeneratorExp) else first


def _is_module(node: ast.expr) -> bool:
    root = node
    while isinstance(root, ast.Attribute):
        root = root.value
    return isinstance(root, ast.Name) and root.id in _MODULES


def _names(node: ast.expr) -> Iterator[ast.expr]:
    """Another function or dtype for one that is often taken for it; no transpose."""
    if isinstance(node, ast.Attribute):
        if node.attr in _EXCHANGED:
            yield ast.Attribute(node.value, _EXCHANGED[node.attr], node.ctx)
        if node.attr in ("T", "mT"):
            yield node.value
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _EXCHANGED:
        yield ast.Name(_EXCHANGED[node.id], node.ctx)


def _ranges(node: ast.expr) -> Iterator[ast.expr]:
    """One step more or less of `range`, and one element more or less of a slice."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        end = min(1, len(node.args) - 1)
        for bound in _beside(node.args[end]):
            yield ast.Call(node.func, [*node.args[:end], bound, *node.args[end + 1 :]], [])
    elif isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for index, part in enumerate(parts):
            for other in _slices(part):
                changed = [*parts[:index], other, *parts[index + 1 :]]
                inner = ast.Tuple(changed, ast.Load()) if isinstance(node.slice, ast.Tuple) else changed[0]
                yield ast.Subscript(node.value, inner, node.ctx)


def _slices(part: ast.expr) -> Iterator[ast.expr]:
    if not isinstance(part, ast.Slice) or not (part.lower or part.upper):
        return
    for lower in _beside(part.lower) if part.lower else [ast.Constant(1)]:
        yield ast.Slice(lower, part.upper, part.step)
    for upper in _beside(part.upper) if part.upper else [ast.UnaryOp(ast.USub(), ast.Constant(1))]:
        yield ast.Slice(part.lower, upper, part.step)


def _beside(bound: ast.expr) -> Iterator[ast.expr]:
    """Bounds next to one that is not a literal, whose neighbours `_constants` yields."""
    if number(bound) is None:
        yield ast.BinOp(bound, ast.Add(), ast.Constant(1))
        yield ast.BinOp(bound, ast.Sub(), ast.Constant(1))


def _pairs(node: ast.expr) -> Iterator[ast.expr]:
    """Two values in the other order."""
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        yield ast.Tuple(node.elts[::-1], node.ctx)


EXPRESSIONS: tuple[Expression, ...] = (
    _arithmetic, _signs, _constants, _comparisons, _conjunctions, _choices, _calls, _names, _ranges, _pairs,
)  # fmt: skip


def conditions(test: ast.expr, loop: bool) -> Iterator[ast.expr]:
    """A condition forced: never, and always, but for the loop that would then never end; else its opposite.

    Comparisons have their own opposites.
    """
    yield ast.Constant(False)
    if not loop:
        yield ast.Constant(True)
    if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield ast.UnaryOp(ast.Not(), test)


def detached(value: ast.expr) -> Iterator[ast.expr]:
    """The value cut off from what it was computed from, if it may be a tensor."""
    if isinstance(value, ast.Call):
        name = _name(value)
        if name in _PLAIN or name[0].isupper():
            return
    if isinstance(value, ast.Call | ast.BinOp | ast.UnaryOp | ast.Subscript | ast.IfExp | ast.Attribute):
        yield _method(value, "detach")


def recast(value: ast.expr) -> Iterator[ast.expr]:
    """The value in another dtype, or rounded to one with fewer digits and turned back."""
    dtype = ast.Attribute(value, "dtype", ast.Load())
    yield _method(value, "float")
    yield _method(value, "double")
    yield _method(_method(value, "float"), "to", dtype)
    yield _method(_method(value, "half"), "to", dtype)


def _method(value: ast.expr, name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Attribute(value, name, ast.Load()), list(args), [])


def other_step(op: ast.operator) -> ast.operator | None:
    """The operator of `+=` and its like exchanged."""
    other = _ARITHMETIC.get(type(op))
    return other() if other else None
