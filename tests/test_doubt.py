"""Whose code is run again without what a question forbids, and what that is."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from autograder import doubt, submission
from autograder.assignment import Question, load
from autograder.doors import reaches_behind
from autograder.sandbox.host import Code
from autograder.submission import Cell

ATTENTION = load("attention")
REFERENCE = submission.read(ATTENTION.reference, "reference", ATTENTION)

DOORS = [
    "import gc", "import sys", "from os import path", "import torch.library", "import tricks", "from . import tricks",
    "from torch import _C", "from torch import library", "torch.sys.modules", "torch._C._dispatch_library",
    "f.__globals__", "self.__class__", "hook.__self__", "getattr(x, 'a')", "vars(x)", "eval('1')", "exec('a = 1')",
    "__import__('gc')", "torch.ops.aten.softmax", "torch.library.Library('aten', 'IMPL')", "torch.load('x')",
    "import timeit", "from torch.utils.cpp_extension import load_inline",
    "import typing\ntyping.get_type_hints(f)", "import numpy as np\nnp.testing.runstring('', {})",
    "%time x = 1", "def f(:", "raise E().with_traceback(None).__traceback__", "super().__getattribute__('x')",
]  # fmt: skip
PLAIN = [
    "import math\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F",
    "import numpy as np\nnp.random.default_rng(0)",
    "from collections import Counter",
    "from torch.utils.data import DataLoader\nnn.utils.clip_grad_norm_(model.parameters(), 1.0)",
    "class A(nn.Module):\n    def __init__(self):\n        super().__init__()\n        self._hidden = 1",
    "x.chunk(2, dim=-1); torch.trace(x); time.perf_counter()",
    "a.softmax(-1).T @ b.code",
]  # fmt: skip


def with_cell(source):
    """The reference and one more cell."""
    return replace(REFERENCE, cells=(*REFERENCE.cells, Cell(source, 1)))


@pytest.mark.parametrize("source", DOORS)
def test_a_door(source):
    """Whatever leads into the interpreter, or cannot be read."""
    assert reaches_behind(with_cell(source), ATTENTION)


@pytest.mark.parametrize("source", PLAIN)
def test_ordinary_code(source):
    """What a course's solutions are made of."""
    assert not reaches_behind(with_cell(source), ATTENTION)


@pytest.mark.parametrize(
    "slug", sorted(path.parent.name for path in Path("assignments").glob("*/assignment.toml"))
)
def test_no_solution_needs_a_door(slug):
    """The kit's own code may have one: that is not the student's."""
    assignment = load(slug)
    assert not reaches_behind(submission.read(assignment.reference, slug, assignment), assignment)


def test_each_statement_stands_alone():
    """With the lines that it has in the file; what shares a line stays together."""
    source = "import math; a = 1\n\n@decorated\ndef f():\n    return 1\n# said\nb = [\n    2,\n]\n"
    cells = doubt.by_statement(Code(((source, 10),), "answer.py", False, {})).cells
    assert [(ast.dump(ast.parse(text)), line) for text, line in cells] == [
        (ast.dump(ast.parse(text)), line)
        for text, line in [("import math; a = 1", 10), ("@decorated\ndef f(): return 1", 11), ("b = [2]", 15)]
    ]


def test_what_cannot_be_parsed_stays_whole():
    """A notebook's magics."""
    code = Code((("%matplotlib inline\na = 1", 1), ("", 1)), "answer.ipynb", True, {})
    assert doubt.by_statement(code).cells == (("%matplotlib inline\na = 1", 1),)


def test_what_is_taken_away():
    """Operators with their overloads; of a pattern, what its module defines."""
    forbidden = ("aten::_softmax", "torch.nn.modules.transformer.*", "torch.autograd.grad", "torch.no.such")
    removed = doubt.removal(Question("q1", "", 1.0, ("f",), forbidden))
    assert removed["operators"] == ["aten::_softmax", "aten::_softmax.out"]
    assert "torch.nn.modules.transformer.TransformerEncoder" in removed["names"]
    assert not [name for name in removed["names"] if name.endswith((".Tensor", ".such"))]
    assert removed["autograd"]
