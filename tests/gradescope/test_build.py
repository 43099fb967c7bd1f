"""The zip: the same bytes from the same source, all that is needed and nothing else."""

from __future__ import annotations

import ast
import importlib.metadata
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from autograder.assignment import load, slugs
from autograder.cli import main
from autograder.gradescope import requirements
from autograder.gradescope.build import ENTRIES, build, modules
from autograder.gradescope.settings import Settings, read_settings
from autograder.roster import LatePolicy

ROOT = Path(__file__).parents[2]
ATTENTION = load("attention", ROOT)


def opened(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def test_same_bytes(tmp_path):
    """Built twice, also from a copy of the source with other times and rights."""
    copied = tmp_path / "copy"
    for name in ("assignments", "reference", "student_template"):
        shutil.copytree(ROOT / name, copied / name, copy_function=shutil.copyfile)
    shutil.copyfile(ROOT / "constraints.txt", copied / "constraints.txt")
    (copied / "assignments/attention/__pycache__").mkdir(exist_ok=True)
    (copied / "assignments/attention/__pycache__/x.pyc").write_bytes(b"x")
    settings = Settings("attention")
    assert (
        build(ATTENTION, settings) == build(load("attention", copied), settings) == build(ATTENTION, settings)
    )


def test_what_is_in_it():
    """Both programs can be run, the suite and the solution are there, other assignments and commands are not."""
    archive = opened(build(ATTENTION, Settings("attention")))
    names = archive.namelist()
    assert names == sorted(names)
    for program in ("setup.sh", "run_autograder"):
        assert archive.getinfo(program).external_attr >> 16 == 0o100755
        assert archive.read(program).startswith(b"#!/usr/bin/env bash\n")
    assert {
        "assignments/attention/tests/q1.py",
        "reference/attention.py",
        "autograder/checks/compare.py",
    } <= set(names)
    assert not [name for name in names if re.search(r"gelu|batch|cli\.py|kit/|emulator|__pycache__", name)]
    assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in archive.infolist())


def test_the_package_in_it_is_enough(tmp_path):
    """What runs on Gradescope can be imported from the zip alone."""
    opened(build(ATTENTION, Settings("attention"))).extractall(tmp_path)
    code = f"import {', '.join(ENTRIES)}; print({ENTRIES[0]}.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.startswith(str(tmp_path))


def test_what_the_package_imports_is_installed():
    """Each library that a module in the zip imports is in the list, under whatever name it is published."""
    listed = {line.split("==")[0] for line in requirements.requirements(ROOT, plots=True).splitlines()} | {
        "torch"
    }
    published = importlib.metadata.packages_distributions()
    for path in [*modules([*ENTRIES, "autograder.checks"]).values(), *suites()]:
        for top in sorted(_imported(path) - sys.stdlib_module_names - {"autograder", "tomli"}):
            distributions = {requirements.normalised(found) for found in published[top]}
            assert distributions & listed, f"{path} imports {top}"


def suites():
    """What the judge runs of all assignments: tests, fixtures, figures, misconceptions, solutions."""
    for slug in slugs(ROOT):
        yield from (ROOT / "assignments" / slug).rglob("*.py")
        yield ROOT / "reference" / f"{slug}.py"


def _imported(path):
    tree = ast.parse(path.read_bytes())
    nodes = (
        tree.body if path.parent.name == "reference" else list(ast.walk(tree))
    )  # inside: a student's choice
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.split(".")[0] for name in names}


def test_the_entry_point_is_light():
    """It stays beside the judge: no torch, nothing but the standard library."""
    for name, path in modules(["autograder.gradescope.run"]).items():
        tops = {alias.name for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Import)
                for alias in node.names if node.col_offset == 0}  # fmt: skip
        assert not tops & {"torch", "numpy", "otter", "yaml", "rich", "click"}, name


def test_requirements_are_complete():
    """Each package's own dependencies are in the list, apart from those that are left out on purpose."""
    lines = requirements.requirements(ROOT, plots=True).splitlines()
    listed = {requirements.normalised(line.split("==")[0]) for line in lines}
    for name in sorted(listed | {"torch"}):
        for wanted in map(Requirement, importlib.metadata.requires(name) or []):
            if wanted.name in requirements.NOT_NEEDED or not _applies(wanted):
                continue
            if name not in requirements.WITHOUT_THEIR_DEPENDENCIES:
                assert requirements.normalised(wanted.name) in listed, f"{name} needs {wanted}"
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][\w.]*", line) for line in lines)


def _applies(wanted: Requirement) -> bool:
    return wanted.marker is None or wanted.marker.evaluate({"extra": "", "python_version": "3.11"})


def test_plots_only_where_somebody_draws():
    """matplotlib is a tenth of what is downloaded."""
    assert "matplotlib==" in requirements.requirements(ROOT, plots=True)
    assert not re.search(
        "^(matplotlib|pillow|fonttools)==", requirements.requirements(ROOT, plots=False), re.M
    )


def test_setup(tmp_path):
    """A CPU build of torch or none; the index is the course's, and cannot run as a command."""
    index = "https://example.edu/cpu' $(touch made)"
    script = opened(build(ATTENTION, Settings("attention"), index)).read("setup.sh").decode()
    assert re.search(r'^install .* "torch==[\d.]+\+cpu"$', script, re.M)
    assert "\nset -Eeuo pipefail\n" in script
    assert "@" not in re.sub(r'"\$@"|\$\{.*?\}|@"', "", script)
    line = next(line for line in script.splitlines() if line.startswith("TORCH_INDEX="))
    done = subprocess.run(["bash", "-c", line + '; printf %s "$TORCH_INDEX"'], capture_output=True, text=True,
                          cwd=tmp_path, check=True)  # fmt: skip
    assert done.stdout == index
    assert not (tmp_path / "made").exists()


def test_setup_fails_loudly(tmp_path):
    """Without a network nothing is installed, and it says so with an exit status."""
    script = opened(build(ATTENTION, Settings("attention"))).read("setup.sh").decode()
    script = script.replace("TARGET=/opt/autograder", f"TARGET={tmp_path}/venv")
    (tmp_path / "setup.sh").write_text(
        script.replace('-m venv --clear "$TARGET"', '-m no_such_module "$TARGET"')
    )
    done = subprocess.run(["bash", tmp_path / "setup.sh"], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "setup.sh FAILED in line" in done.stderr


def test_settings_there_and_back(tmp_path):
    """What the course chose arrives."""
    due = datetime(2026, 11, 20, 22, 59, tzinfo=timezone.utc)
    for settings in (
        Settings("attention"),
        Settings("gelu", 20, 1536, "hidden", 5, LatePolicy(10, 15, 50, "earned", due)),
    ):
        (tmp_path / "settings.json").write_text(json.dumps(settings.as_table()))
        assert read_settings(tmp_path / "settings.json") == settings


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["attention"], "Give either -o ZIP"),
        (["attention", "-o", "a.zip", "--try", "."], "Give either -o ZIP"),
        (["attention", "-o", "a.zip", "--hidden", "never"], "--hidden must be one of hidden, after_due_date"),
        (["attention", "-o", "a.zip", "--minutes", "90"], "--minutes must be from 1 to 40"),
        (["nothing", "-o", "a.zip"], "nothing"),
        (["attention", "-o", "a.zip", "--late", "late.toml"], "percent_per_day is missing"),
    ],
)
def test_wrong_usage(arguments, message, tmp_path, monkeypatch):
    """Exit code 2 and one line."""
    (tmp_path / "late.toml").touch()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["gradescope", *arguments])
    assert done.exit_code == 2
    assert message in done.output
    assert not (tmp_path / "a.zip").exists()


def test_command(tmp_path):
    """Writes the zip; without an index it says what to do."""
    done = CliRunner().invoke(main, ["gradescope", "attention", "-o", str(tmp_path / "a.zip")])
    assert done.exit_code == 0
    assert "--torch-index URL" in done.output
    assert opened((tmp_path / "a.zip").read_bytes()).testzip() is None
