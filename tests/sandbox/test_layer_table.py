"""The tables in SECURITY.md are what is measured, and what they show is what is promised."""

from __future__ import annotations

import re

import pytest

from autograder.sandbox import doctor
from autograder.sandbox.host import Sandbox
from autograder.sandbox.layers import LAYERS, active
from tests.sandbox import layer_table, own_layers
from tests.sandbox.layer_table import ENVIRONMENTS, Row


@pytest.fixture(scope="module")
def rows(sandbox: Sandbox) -> list[Row]:
    """Every attack, tried in every configuration."""
    if why := layer_table.missing():
        pytest.skip(f"not measured here: {why}")
    return layer_table.measure(sandbox)


@pytest.fixture(scope="module")
def own(sandbox: Sandbox) -> list[own_layers.Row]:
    """Every attack on the grader's own layers."""
    return own_layers.measure(sandbox)


def test_each_attack_is_one(rows: list[Row]):
    """Without layers all of them work: one that never works would show nothing."""
    assert [row.what for row in rows if not row.works] == []


def test_with_all_layers_nothing_works(rows: list[Row]):
    """Root on a Linux with Landlock: no attack works."""
    assert [row.what for row in rows if "A" in row.open_in] == []


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_matters(layer: str, rows: list[Row]):
    """Each layer is somewhere the one that counts: without it alone, an attack works that is stopped otherwise."""
    assert [row.what for row in rows if layer in row.needed]


def test_what_is_open_is_known(rows: list[Row]):
    """What an environment leaves open is what SECURITY.md says in words; new attacks must be thought about."""
    opened = {name: {row.what for row in rows if name in row.open_in} for name in "BCD"}
    readable = {
        "a readable file outside",
        "a listing of a folder outside",
        "a file by way of /proc/self/root",
        "the command line of another",
    }
    neighbours = {"another submission's files", "another submission's open files"}
    existence = {"whether another submission has a file"}
    assert opened["B"] == readable | {"a file by a symbolic link", "System V style names in /dev/shm"}
    assert opened["C"] == existence
    assert opened["D"] == readable | neighbours | existence


def test_the_environments_are_those_that_arise():
    """Each column has the layers that a machine which lacks the others really puts on, and the doctor names it so."""
    lacking = {
        "A": (), "B": ("landlock",), "C": ("user",), "D": ("user", "landlock"),
        "E": ("uninspectable", "user", "landlock", "seccomp", "read-only"),
    }  # fmt: skip
    for name, missing in lacking.items():
        names = active(dict.fromkeys(LAYERS, "") | dict.fromkeys(missing, "missing"))
        assert names == list(ENVIRONMENTS[name])
        assert doctor.environment(names) == name


def test_the_graders_own_layers(own: list[own_layers.Row]):
    """Each attack works on a grader that is built more simply, and does not on this one."""
    assert [row.what for row in own if not row.without] == []
    assert [row.what for row in own if row.beside] == []


def test_the_tables_are_current(rows: list[Row], own: list[own_layers.Row]):
    """SECURITY.md says what was just measured; `python -m tests.sandbox.layer_table` writes it anew."""
    assert layer_table.markdown(rows, own) == layer_table.current()


def test_every_layer_is_explained():
    """SECURITY.md has a line for each layer, with the words of the doctor."""
    text = " ".join(layer_table.SECURITY.read_text(encoding="utf-8").split())
    for name, meaning in LAYERS.items():
        assert re.search(rf"\*\*{name}\*\*: {re.escape(meaning)}", text), name
