"""What a mutant is: one small change in a solution, nowhere else, and never twice the same."""

from __future__ import annotations

import pytest

from autograder.validate.mutants import callers, make

CELL = '''# %% tags=["q1"]
def f(x: Tensor, n: int) -> {returns}:
    """Says what it does."""
    # BEGIN SOLUTION
{body}
    # END SOLUTION
'''


def mutants(*lines, returns="int"):
    """Of a solution of these lines."""
    return make(CELL.format(body="\n".join(f"    {line}" for line in lines), returns=returns))


def changed(*lines, **options):
    """What becomes of the lines."""
    return [mutant.mutant for mutant in mutants(*lines, **options)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("y = a + b", ["y = a - b"]),
        ("y = a - b", ["y = a + b", "y = b - a"]),
        ("y = (a - b) / c", ["y = (a - b) * c", "y = c / (a - b)", "y = (a + b) / c", "y = (b - a) / c"]),
        ("y = a[-1]", ["y = a[1]", "y = a[0]", "y = a[-2]"]),
        ("y = a * 0.5", ["y = a / 0.5", "y = a * 0.505"]),
        ("y = a > 1e-10", ["y = a >= 1e-10", "y = a <= 1e-10", "y = a > 1e-08", "y = a > 1e-12"]),
        ("y = a < b", ["y = a <= b", "y = a >= b"]),
        ("y = a and not b", ["y = a or not b", "y = not b", "y = a", "y = a and b"]),
        ("y = a if b else c", ["y = a", "y = c"]),
        ("y = f(a, b)", ["y = f(b, a)", "y = a"]),
        ("y = max(a, b)", ["y = a", "y = min(a, b)"]),
        ("y = a.clone().T", ["y = a.clone()", "y = a.T"]),
        (
            "y = a.sum(dim=0, keepdim=True)",
            [
                "y = a.sum(keepdim=True)", "y = a.sum(dim=0)", "y = a", "y = a.mean(dim=0, keepdim=True)",
                "y = a.sum(dim=1, keepdim=True)", "y = a.sum(dim=-1, keepdim=True)", "y = a.sum(dim=0, keepdim=False)",
            ],
        ),
        ("y = a[b:]", ["y = a[b + 1:]", "y = a[b - 1:]", "y = a[b:-1]"]),
        ("y = a, b", ["y = (b, a)"]),
        ("y = torch.zeros(n, device=d)", ["y = n", "y = torch.ones(n, device=d)"]),
    ],
)  # fmt: skip
def test_expressions(line, expected):
    """Each kind of change, on one line; `detach` apart, which most of them get."""
    assert [mutant for mutant in changed(line, "return y") if ".detach()" not in mutant][
        : len(expected)
    ] == expected


def test_statements():
    """What can be left out is left out: checks, updates, but no first assignment, without which nothing runs."""
    body = [
        "require(n > 0, f'{n + 1} is wrong')",
        "total = g(n)",
        "total += n",
        "total = h(total)",
        "print(total)",
    ]
    dropped = [mutant.original for mutant in mutants(*body) if mutant.mutant == "pass"]
    assert dropped == [body[0], body[2], body[3], body[4]]


def test_messages_are_left_alone():
    """Neither the text of an error nor what only that reads is changed; of a check it is the condition."""
    body = [
        "found = shapes(x=x)",
        "require(n > 0, f'got {found} and {n + 1}')",
        "raise ValueError(f'{n - 1}')",
    ]
    lines = {mutant.original: mutant.mutant for mutant in mutants(*body)}
    assert set(lines) == set(body[1:])
    assert changed(body[2]) == ["pass"]


def test_conditions():
    """Forced both ways, but a loop that would never end."""
    assert changed("if f(n):", "    print()")[:3] == ["if False:", "if True:", "if not f(n):"]
    assert "while True:" not in changed("while f(n):", "    n += 1")


def test_results():
    """A tensor is cut off, cast and rounded; another result is not; each may be an argument instead."""
    expected = [
        "x.exp().detach()",
        "x.exp().float()",
        "x.exp().double()",
        "x.exp().float().to(x.exp().dtype)",
    ]
    found = changed("return x.exp()", returns="Tensor")
    assert found[:4] == [f"return {text}" for text in expected]
    assert "return x" in found
    assert changed("return n + 1")[:2] == ["return x", "return n - 1"]


def test_only_solutions():
    """What students are given, what is not graded, and another layout of the same mean nothing."""
    source = CELL.format(body="    return n - 1", returns="int")
    given = source.replace("BEGIN", "HERE").replace("END", "THERE")
    assert make(given) == []
    assert make("# %%\nlimit = 3\n" + source.replace('"q1"', '"otter_ignore"')) == []
    assert make("# %%\nlimit = 3  # SOLUTION\nother = 4\n")[0].name == "limit"


def test_a_mutant_is_the_source_but_for_its_line():
    """Applied, it runs; its diff shows the line; equal lines are told apart by their number."""
    source = CELL.format(body="    n = n + 1\n    n = n + 1\n    return n", returns="int")
    first, second = (m for m in make(source) if m.mutant == "n = n - 1")
    assert (first.occurrence, second.occurrence) == (1, 2)
    assert second.apply(source) == source.replace("    n = n + 1\n    return", "    n = n - 1\n    return")
    assert "-    n = n + 1\n+    n = n - 1" in second.diff(source)
    assert len({m.apply(source) for m in make(source)}) == len(make(source))


def test_lines_that_span_several():
    """They are named as one line, and stay Python."""
    found = mutants("y = g(", "    n + 1,", "    x,", ")", "return y")
    assert found[0].original == "y = g(n + 1, x)"
    assert "y = g(n - 1, x)" in [mutant.mutant for mutant in found]


def test_callers():
    """A helper is judged where it is used, through other helpers too, but not beyond what is graded."""
    source = "def a(): pass\ndef b(): a()\ndef c(): b()\ndef d(): c()\nclass E:\n    def f(self): a()\n"
    assert callers(source, "a", {"c", "d", "E"}) == {"c", "E"}


def test_what_stands_in_a_try_is_changed_as_well():
    """Its head alone is no statement, and there is nothing in it to change."""
    lines = ["try:", "    y = a + b", "except ValueError:", "    y = a", "return y"]
    assert "y = a - b" in changed(*lines)
