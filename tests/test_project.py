"""The project's own declarations agree with each other."""

import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import autograder

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [
    requirement
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, lines)
    if requirement.name != PROJECT["name"]  # "autograder[gpt2]" stands for what that extra lists
]


def test_version_is_said_once():
    """The package and its metadata name the same version."""
    assert autograder.__version__ == PROJECT["version"]


@pytest.mark.parametrize("wanted", DECLARED, ids=lambda wanted: wanted.name)
def test_pins_lie_in_the_declared_ranges(wanted: Requirement):
    """constraints.txt pins every dependency, to a release that pyproject.toml admits."""
    if wanted.marker and not wanted.marker.evaluate({"python_version": "3.11"}):
        pytest.skip("not needed for the Python that the pins are for")
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    (pin,) = (pin for pin in pins if pin.name.lower() == wanted.name.lower())
    (exact,) = pin.specifier
    assert exact.operator == "=="
    assert wanted.specifier.contains(exact.version)
