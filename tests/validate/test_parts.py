"""The parts that examinations are made of."""

from __future__ import annotations

import inspect
import io
import os
import subprocess
import time

import pytest
import torch
from rich.console import Console

from autograder.assignment import load
from autograder.checks.statistics import z_limit
from autograder.seeds import other_numbers, varied
from autograder.validate.apart import ApartError, apart
from autograder.validate.changes import changed, touched
from autograder.validate.docstrings import docstrings, statements
from autograder.validate.rates import describe, stated_rate, too_many
from autograder.validate.reach import Reach, closure, resting

# ---------------------------------------------------------------------------------------------------------------- apart


def test_apart():
    """What is changed there is not changed here; what is returned comes back."""
    here = []
    assert apart(lambda: [here.append(1), os.getpid()][1], 10) != os.getpid()
    assert here == []


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: os._exit(3), "its process ended with status"),
        (lambda: time.sleep(30), "it did not end within 0.2 s"),
        (object, "TypeError: Object of type object is not JSON serializable"),
    ],
    ids=["raises", "exits", "hangs", "cannot be told"],
)
def test_what_goes_wrong_apart(function, says):
    with pytest.raises(ApartError, match=says):
        apart(function, 0.2 if "within" in says else 10)


# ---------------------------------------------------------------------------------------------------------------- rates


FALSE_FAIL = 0.01


def limit():
    return z_limit(FALSE_FAIL)


def states_it():
    assert [torch.zeros(1) < limit() for _ in range(2)]


def states_nothing():
    assert torch.zeros(1) < 1


def test_stated_rate():
    """Directly or through a helper of the same file; else there is none."""
    assert stated_rate(limit) == stated_rate(states_it) == 0.12  # of one check; a case makes twelve at most
    assert stated_rate(states_nothing) == 0.0


def test_counts_against_rates():
    """Exact: three failures of 100 happen to a rate of 1 % one time in twelve, eight hardly ever."""
    assert not too_many(0, 100, 0.0001)
    assert not too_many(3, 100, 0.01)
    assert too_many(8, 100, 0.01)
    assert too_many(2, 100, 0.0001)
    assert describe(0, 100, 0.01) == "0 of 100 failed, at most 2.95 % (95 % confidence); stated: 1 % at most"


# ---------------------------------------------------------------------------------------------------------------- seeds


def drawn():
    return torch.rand(3, generator=torch.Generator().manual_seed(5)).tolist()


def test_other_numbers():
    """Others in each run, the same in a run of the same number, and those of grading before and afterwards."""
    usual = drawn()
    with other_numbers(1):
        first = drawn()
        assert isinstance(torch.Generator(), torch.Generator)
    with other_numbers(2):
        second = drawn()
    with other_numbers(1):
        again = drawn()
    assert first == again
    assert drawn() == usual != first != second
    assert varied(7) == 7


# --------------------------------------------------------------------------------------------------------------- texts


DOCSTRING = """Shares of x, such as (1, 2).

    Args:
        x: scores, (..., n), floating
            point. Large ones are fine.
        how: "fast" or "slow".

    Returns:
        (..., n), dtype of x. They sum to 1; none is (much) below 0.

    Raises:
        ValueError: x is empty; n is 0, e.g. of shape (3, 0).
        TypeError: x is no tensor.
    """


def test_statements():
    """Every error, and every sentence on a shape or a dtype; a sentence ends before a capital or at a semicolon."""
    found = [(one.section, one.text) for one in statements("f", inspect.cleandoc(DOCSTRING))]
    assert found == [
        ("Args", "scores, (..., n), floating point"),
        ("Returns", "(..., n), dtype of x"),
        ("Raises", "x is empty"),
        ("Raises", "n is 0, e.g. of shape (3, 0)"),
        ("Raises", "x is no tensor"),
    ]


def test_docstrings(root):
    """Of what questions ask for, and of the methods of classes."""
    assert list(docstrings(load("mini", root))) == [
        "softmax",
        "Gate",
        "Gate.__init__",
        "Gate.forward",
        "gate_entropy",
    ]


# --------------------------------------------------------------------------------------------------------------- reach


def test_reach():
    """On an assignment with fixtures: parameters of tests, and what fixtures need."""
    ising = load("ising_ddpm")
    reach = Reach(ising)
    assert "sample" not in reach.direct["q9"]
    assert "sample" in reach.through["q9"]
    assert reach.making_artifacts() == {"Denoiser", "train"}
    assert "generated" in reach.resting_on_artifacts()
    assert "simulated_energies" not in reach.resting_on_artifacts()
    assert "q3" in closure(ising, "q7")
    assert "q9" in resting(ising, "q4")
    assert resting(ising, "q9") == set()


# ------------------------------------------------------------------------------------------------------------- changes


def test_touched():
    paths = [
        "assignments/gelu/tests/q1.py",
        "reference/moe.weights.safetensors",
        "reference/tiny.txt",
        "tests/submissions/bpe/honest/loops.py",
        "tests/test_nli.py",
        "README.md",
    ]
    assert touched(paths, ["bpe", "gelu", "moe", "nli"]) == {"bpe", "gelu", "moe"}


def test_changed(root):
    """On a branch, on the main branch, and where there is no history or no repository: then nothing, said in words."""

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.edu", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    def told(since="auto"):
        console = Console(file=io.StringIO(), width=200)
        return changed(root, since, console), console.file.getvalue()

    cannot = "What changed since auto cannot be told here: everything is examined quickly.\n"
    assert told() == (set(), cannot)
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert told() == (set(), cannot)
    (root / "reference" / "mini.py").write_text("x = 1\n", encoding="utf-8")
    assert told("HEAD") == ({"mini"}, "")
    git("commit", "-am", "second")
    assert told() == ({"mini"}, "")
    git("update-ref", "refs/remotes/origin/main", "HEAD~1")
    (root / "README.md").write_text("new\n", encoding="utf-8")
    git("add", ".")
    git("commit", "-m", "third")
    assert told() == ({"mini"}, "")
    assert told("HEAD~1") == (set(), "")
    assert told("nowhere")[0] == set()
