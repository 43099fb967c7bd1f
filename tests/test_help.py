"""The command line as a door: help that reads well, shells that complete, errors that name the next step."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner

from autograder.cli import main
from autograder.nearest import meant
from autograder.sections import _SECTIONS

SAMPLE = Path(__file__).parent / "data" / "sample"
COMMANDS = sorted(main.commands)


def said(*arguments, code=0):
    """What a command says, in a terminal of 80 columns."""
    result = CliRunner().invoke(main, arguments, terminal_width=80)
    assert result.exit_code == code, result.output
    return result.output


def complete(monkeypatch, words, incomplete=""):
    """What TAB offers after these words, where the sample assignment is found."""
    monkeypatch.chdir(SAMPLE)
    found = get_completion_class("bash")(main, {}, "autograder", "_AUTOGRADER_COMPLETE")
    return [item.value for item in found.get_completions(words, incomplete)]


def test_commands_stand_under_who_uses_them():
    """Every command has a section, a line that is not cut, and the sections are in order."""
    text = said("--help")
    assert [text.index(f"{title}:") for title in _SECTIONS] == sorted(
        text.index(f"{title}:") for title in _SECTIONS
    )
    assert "More:" not in text, "name the new command in autograder/sections.py"
    assert "..." not in text.replace("[ARGS]...", ""), "a first sentence is too long for one line"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_helps(name):
    """One line that says what it does, an example where there is something to give, every option explained."""
    text, command = said(name, "--help"), main.commands[name]
    takes = [p for p in command.params if p.name != "help"]
    assert not takes or f"autograder {name}" in text.split("Examples:")[1]
    for option in takes:
        assert isinstance(option, click.Argument) or option.help, f"{name} {option.name}"
    assert len(text.splitlines()) < 45, "more than a screen"


def test_the_examples_are_commands():
    """What help shows can be typed: commands and options exist."""
    for name in ("", *COMMANDS):
        command = main.commands[name] if name else main
        for line in (command.epilog or "").splitlines():
            words = line.split("#")[0].split()
            if words[:1] != ["autograder"] or words[1] == "COMMAND":
                continue
            known = {opt for p in main.commands[words[1]].params for opt in (*p.opts, *p.secondary_opts)}
            assert {word for word in words if word.startswith("-")} <= known, line


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    """click's own mechanism gives a script for each shell, and it is one where the shell is here to say so."""
    script = subprocess.run(
        [sys.executable, "-c", "from autograder.cli import main; main(prog_name='autograder')"],
        env={**os.environ, "_AUTOGRADER_COMPLETE": f"{shell}_source"},
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    assert "_AUTOGRADER_COMPLETE" in script
    if there := shutil.which(shell):
        subprocess.run([there, "-n"], input=script, text=True, check=True, timeout=60)


def test_completed(monkeypatch):
    """Commands, slugs, questions of the slug that was given, options."""
    assert complete(monkeypatch, [], "gr") == ["grade", "gradescope"]
    for command in ("grade", "kit", "gradescope", "validate"):
        assert complete(monkeypatch, [command], "m") == ["mini"]
    assert complete(monkeypatch, ["grade", "mini", "--question"]) == ["q1", "q2"]
    assert complete(monkeypatch, ["grade", "--question"], "q2") == ["q2"]
    assert complete(monkeypatch, ["grade"], "--ex") == ["--explain"]


def test_nothing_to_complete_outside_of_a_project(monkeypatch):
    """A TAB never ends in a traceback."""
    from autograder import assignment, completion

    def nowhere(root=None):
        raise assignment.AssignmentError("no folder")

    monkeypatch.setattr(completion, "slugs", nowhere)
    assert complete(monkeypatch, ["grade"], "m") == []
    assert complete(monkeypatch, ["grade", "--question"]) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("grad",), "No such command 'grad'. Did you mean grade or regrade or gradescope?"),
        (("frobnicate",), "No such command 'frobnicate'. `autograder --help` lists all."),
        (("grade", "atention", "x.py", "-o", "out"), "Did you mean attention"),
        (("grade", "Attention", "x.py", "-o", "out"), "Did you mean attention"),
        (("kit", "gelo"), "Did you mean gelu?"),
        (("grade", "gelu", "--job", "2"), "Did you mean '--jobs'?"),
        (("grade", "gelu"), "autograder grade SLUG PATH... -o OUTPUT"),
        (("grade", "gelu", "x.py"), "such as -o out"),
        (("regrade", "nowhere-at-all"), "name the output folder of an earlier `autograder grade`"),
        (("export", "out"), "--canvas FILE, --moodle FILE or both"),
        (("report", "out", "--roster", "nobody.csv"), "'nobody.csv' does not exist"),
        (("new", "New"), "lower-case letters, digits and _ only"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_errors_name_the_next_step(arguments, message):
    """Exit code 2, one sentence on what to do, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "autograder", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_path_that_is_nearly_there(tmp_path):
    """A misspelt path names its neighbour, and never one that a terminal would obey."""
    (tmp_path / "submissions").mkdir()
    (tmp_path / "submission\x1b[2J").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "autograder", "grade", "gelu", str(tmp_path / "submision"), "-o", str(tmp_path / "out")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Did you mean submissions?" in done.stderr
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("moe", "Did you mean moe? "),
        ("lang", "Did you mean language_model? "),
        ("", ""),
        ("xyzzy", ""),
    ],
)
def test_meant(given, hint):
    """Close names, beginnings of names, and nothing where nothing is close."""
    assert meant(given, ["moe", "language_model", "bpe"]) == hint
