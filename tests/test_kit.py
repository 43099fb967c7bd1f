"""What a student gets: current, without a line that is secret, and working with plain Otter and nothing of ours."""

import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbformat import NotebookNode
from otter.nbmeta_config import NBMetadataConfig
from otter.test_files import create_test_file

from autograder import assignment, kit
from autograder.assignment import Assignment, AssignmentError
from autograder.kit.secrets import leaks, secrets, telling
from autograder.kit.texts import install_cell

SAMPLE = Path(__file__).parent / "data" / "sample"
SLUGS = assignment.slugs()
EVERY_KIT = [("mini", SAMPLE), *((slug, None) for slug in SLUGS)]


@pytest.fixture
def mini(tmp_path: Path) -> Assignment:
    """A copy of the sample assignment, free to be changed."""
    return assignment.load("mini", shutil.copytree(SAMPLE, tmp_path / "root"))


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert before in text, "the test edits something that is no longer there"
    path.write_text(text.replace(before, after), encoding="utf-8")


# ------------------------------------------------------------------------------------------------- what is on disk


@pytest.mark.parametrize("slug", SLUGS)
def test_template_is_current(slug: str):
    """student_template/ is generated; whoever changes its source runs the generator."""
    differences = kit.stale(assignment.load(slug))
    assert not differences, f"student_template/{slug}: {', '.join(differences)}. Run: autograder kit {slug}"


def test_writing_makes_it_current_and_changes_are_noticed(mini: Assignment):
    """Missing, changed and foreign files are told apart, and writing mends all three."""
    assert "mini.ipynb is missing" in kit.stale(mini)
    folder = kit.write(mini)
    assert kit.stale(mini) == []
    (folder / "README.md").unlink()
    (folder / "mini.py").write_text("x = 1")
    (folder / "tests" / "q9.py").write_text("")
    (folder / ".OTTER_LOG").write_text("left by a check")
    assert kit.stale(mini) == [
        "README.md is missing",
        "mini.py is stale",
        "tests/q9.py does not belong there",
    ]
    kit.write(mini)
    assert kit.stale(mini) == []
    assert (folder / ".OTTER_LOG").exists()


def test_building_twice_gives_equal_bytes(mini: Assignment):
    """No times, no random cell ids: a rebuilt kit differs only where its source does."""
    assert kit.build(mini) == kit.build(mini)


def test_files_of_a_kit(mini: Assignment):
    assert sorted(kit.build(mini)) == [
        "README.md",
        "mini.ipynb",
        "mini.py",
        "requirements.txt",
        "tests/q1.py",
        "tests/q2.py",
    ]


def test_data_files_are_shipped(mini: Assignment):
    """Byte by byte, and the way to them on Colab is said."""
    (mini.root / "reference" / "story.txt").write_bytes(b"Once\r\n\xff")
    edit(mini.folder / "assignment.toml", "[limits]", 'files = ["story.txt"]\n\n[limits]')
    built = kit.build(assignment.load("mini", mini.root))
    assert built["story.txt"] == b"Once\r\n\xff"
    assert b"upload `mini.ipynb`, `story.txt` and the files in `tests`, then" in built["README.md"]


# --------------------------------------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_no_secret_is_in_the_kit(slug: str, root: Path | None):
    """Neither a line of a solution, nor of a hidden test, nor of a misconception, nor a marker, nor our name."""
    found = assignment.load(slug, root)
    assert len(secrets(found)) > 10, "the test has lost sight of what is secret"
    assert leaks(found, kit.build(found)) == []


@pytest.mark.parametrize(
    "mark", ["# BEGIN SOLUTION", "x = 1  # SOLUTION", "hidden=True", "import autograder"]
)
def test_a_marker_would_be_noticed(mini: Assignment, mark: str):
    """Neither the markers of solutions nor the grader's name, for a student's checks need nothing of it."""
    files = kit.build(mini)
    files["tests/q1.py"] += f"{mark}\n".encode()
    assert [leak.split(":")[0] for leak in leaks(mini, files)] == ["marker in tests/q1.py"]


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("return powers / powers.sum(dim=-1, keepdim=True)", "solution"),
        ("entropy = -(shares * positive.log()).sum(dim=-1)", "solution"),
        ("and the common factor $e^{-c}$ cancels against the one", "solution"),
        ("return torch.softmax(x @ gate.W, dim=-1)", "hidden test"),
        ('name="stacks of rows",', "hidden test"),
        ("# Its sizes differ, so that an axis cannot be mixed up unseen.", "hidden test"),
        ('hint="Which dimension should sum to 1?",', "misconception"),
        ("shares = torch.exp(x - x.amax(dim=0, keepdim=True))", "misconception"),
    ],
)
@pytest.mark.parametrize("path", ["README.md", "tests/q2.py", "mini.ipynb"])
def test_a_leak_would_be_noticed(mini: Assignment, path: str, secret: str, what: str):
    """The test above can fail, wherever in the kit a secret stands."""
    sources = [mini.reference, mini.misconceptions, *(mini.test_file(q.name) for q in mini.questions)]
    lines = (line for source in sources for line in telling(source.read_text(encoding="utf-8")))
    line = next(line for line in lines if secret.lstrip("# ") in line)
    files = kit.build(mini)
    if path.endswith(".ipynb"):
        document = json.loads(files[path])
        document["cells"][-1]["source"] = ["and so\n", line]
        files[path] = json.dumps(document).encode()
    else:
        files[path] += f"\n    {line}\n".encode()
    assert any(leak.startswith(f"{what} in {path}: ") for leak in leaks(mini, files))


# ---------------------------------------------------------------------------------------------------- public tests


def test_public_tests_keep_what_they_use_and_nothing_else(mini: Assignment):
    """Hidden cases go, with their comments, helpers and imports; the checks that remain are copied in."""
    source = kit.public_tests(mini, "q1")
    top, copied = source.split("# The comparisons that are used above.")
    assert top == (
        '"""q1: softmax(x) along the last dimension, against torch.softmax. Correct float64 forms differ by less than '
        '1e-15."""\n\n'
        "import math\n\nimport torch\nfrom otter.test_files import test_case\n\n"
        'OK_FORMAT = False\nname = "q1"\nall_or_nothing = False\nHAND = [0.0, math.log(3.0)]\n\n\n'
        '@test_case(\n    name="two numbers by hand",\n    points=2,\n    hidden=False,\n'
        '    failure_message="exp(0) = 1 and exp(ln 3) = 3, so the shares are 1/4 and 3/4.",\n)\n'
        "def test_hand(softmax):\n"
        "    expected = torch.tensor([0.25, 0.75], dtype=torch.float64)\n"
        '    check_close(softmax(torch.tensor(HAND, dtype=torch.float64)), expected, what="softmax([0, ln 3])")\n\n\n'
    )
    functions = [node.name for node in ast.parse(copied).body if isinstance(node, ast.FunctionDef)]
    assert "check_close" in functions
    assert "check_raises" not in functions


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_the_readme_s_promise_holds(slug: str, root: Path | None):
    """At least half of each question's points come from tests that students do not see."""
    found = assignment.load(slug, root)
    for question in found.questions:
        cases = create_test_file(str(found.test_file(question.name)), NBMetadataConfig()).test_cases
        hidden = sum(case.points for case in cases if case.hidden)
        assert hidden >= question.points / 2, question.name


@pytest.mark.parametrize("hidden", ["hidden=True", "", "hidden=not False", "hidden=0"])
def test_what_does_not_say_hidden_false_is_hidden(mini: Assignment, hidden: str):
    """An author who forgets the word must not publish a test by it."""
    edit(mini.test_file("q1"), "hidden=False,", f"{hidden}," if hidden else "")
    assert "test_hand" not in kit.public_tests(mini, "q1")


@pytest.mark.parametrize("code", ["if True:\n    x = 1\n", "print(1)\n", "for i in range(3):\n    pass\n"])
def test_what_cannot_be_sorted_is_refused(mini: Assignment, code: str):
    path = mini.test_file("q1")
    path.write_text(path.read_text() + code)
    with pytest.raises(
        AssignmentError, match=r"q1.py, line \d+: only imports, assignments, functions and classes"
    ):
        kit.public_tests(mini, "q1")


def test_a_helper_named_like_a_check_is_refused(mini: Assignment):
    """Copied into one file, one of the two would silently replace the other."""
    edit(
        mini.test_file("q1"), "HAND = [0.0, math.log(3.0)]", "HAND = [0.0, math.log(3.0)]\ncheck_shape = HAND"
    )
    edit(mini.test_file("q1"), "torch.tensor(HAND", "torch.tensor(check_shape")
    with pytest.raises(
        AssignmentError, match=r"q1.py defines 'check_shape', which is a name in autograder.checks too"
    ):
        kit.public_tests(mini, "q1")


# ------------------------------------------------------------------------------------------------------- the stubs


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_no_prose_on_the_line_that_begins_a_cell(slug: str, root: Path | None):
    """jupytext takes it for the cell's title, which no student ever sees."""
    source = assignment.load(slug, root).reference.read_text(encoding="utf-8")
    heads = re.findall(r"(?m)^# %%.*$", source)
    assert [head for head in heads if not re.fullmatch(r"# %%( \[markdown\])?( tags=\[.*\])?", head)] == []


def test_stub_of_the_sample_to_the_letter(mini: Assignment):
    """What stood between the markers is gone, and all else is as it was."""
    source = kit.stub_source(mini)
    assert (
        'class Gate(nn.Module):\n    """Shares of n experts for an input of width d."""\n\n'
        "    def __init__(self, d: int, n: int) -> None:\n        super().__init__()\n        ...\n\n"
        '    def forward(self, x: Tensor) -> Tensor:\n        """(..., d) -> (..., n)"""\n        ...\n'
    ) in source
    assert "    entropy = ...\n    return entropy\n" in source
    assert "# *Your answer here.*" in source
    assert "grader" not in source
    assert '# %% tags=["otter_ignore"]\ntry:' in source


def test_notebook_of_the_sample(mini: Assignment):
    """Setup after the title, a check after each question's last cell, and how to hand in at the end."""
    notebook = nbformat.reads(kit.build(mini)["mini.ipynb"].decode(), as_version=4)
    nbformat.validate(notebook)
    firsts = [cell.source.split("\n")[0] for cell in notebook.cells]
    assert firsts == [
        "# A softmax and a gate",
        "# Installs what is missing where you cannot do so yourself, such as on Colab, and says which files are.",
        '# Makes grader.check("q1") and the like available. Run this cell first, and again after a restart.',
        "import torch",
        "## q1 · Softmax",
        "def softmax(x: Tensor) -> Tensor:",
        'grader.check("q1")',
        "try:",
        "## w1 · Shifting the scores",
        "*Your answer here.*",
        "## q2 · A gate",
        "class Gate(nn.Module):",
        "def gate_entropy(shares: Tensor) -> Tensor:",
        'grader.check("q2")',
        "## Before you hand in",
    ]
    ignored = [
        cell.source.split("\n")[0] for cell in notebook.cells if cell.metadata.get("tags") == ["otter_ignore"]
    ]
    assert [firsts.index(first) for first in ignored] == [1, 2, 6, 7, 13]
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_no_sentence_becomes_a_list(slug: str, root: Path | None):
    """A number with its full stop at the beginning of a line, such as "sums to / 1. And", would be shown as item 1."""
    notebook = nbformat.reads(kit.build(assignment.load(slug, root))[f"{slug}.ipynb"].decode(), as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"(?m)^(?!\d+\. |   |$).*[^:.\n]\n\d+\. .*", prose) == []


@pytest.mark.parametrize("line", ["# END SOLUTION", "    # BEGIN SOLUTION\n    # BEGIN SOLUTION"])
def test_markers_that_do_not_match_are_named(mini: Assignment, line: str):
    """A marker forgotten must never publish what it should have hidden."""
    edit(mini.reference, "import torch\n", f"import torch\n{line}\n")
    with pytest.raises(AssignmentError, match=r"reference/mini.py: .*SOLUTION"):
        kit.build(mini)


def test_a_question_without_a_cell_is_named(mini: Assignment):
    edit(mini.reference, '# %% tags=["q1"]', "# %%")
    with pytest.raises(AssignmentError, match="has no code cell tagged 'q1'"):
        kit.build(mini)


def test_requirements_are_the_ranges_of_the_project(mini: Assignment):
    """Apart from ipykernel's, whose release 7 warns at each check, and with what they were tried with."""
    content = kit.build(mini)["requirements.txt"].decode()
    lines = [line for line in content.splitlines() if not line.startswith("#")]
    root = Path(kit.__file__).parents[2]
    declared = (root / "pyproject.toml").read_text(encoding="utf-8")
    packages = [line for line in lines if not line.startswith("jupyterlab")]
    names = [re.split("[<>]", line)[0] for line in packages]
    assert names == ["otter-grader", "ipykernel", "torch", "numpy", "matplotlib"]
    own = {"ipykernel>=6.31,<7", "torch>=2.4,<3"}  # kits run with less than the grader needs
    assert all(f'"{line}",' in declared for line in packages if line not in own), (
        "reinstall: pip install -e ."
    )
    assert own <= set(packages)
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)", (root / "constraints.txt").read_text(), re.M))
    tested = "".join(line for line in content.splitlines() if re.match("# Run|#   Python 3.11:", line))
    for name in set(names) - {"ipykernel"}:
        assert re.search(rf"{name} [\w. ]*\b{re.escape(pinned[name])}\b", tested), (
            f"tests run with {pinned[name]}"
        )


def test_the_first_cell_says_which_files_are_missing(mini: Assignment, tmp_path, monkeypatch, capsys):
    """Where somebody uploaded the notebook alone; beside the tests it says nothing."""
    cell = install_cell(mini)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        exec(cell, {})
    assert str(error.value) == (
        f"{tmp_path} does not hold tests/q1.py, tests/q2.py. Upload what is missing from the assignment's folder, then "
        "run this cell again. Files need no folder: this cell makes it."
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "q1.py").touch()
    (tmp_path / "tests" / "q2.py").touch()
    exec(cell, {})
    assert capsys.readouterr().out == ""


def test_the_first_cell_puts_tests_into_their_folder(mini: Assignment, tmp_path, monkeypatch):
    """A host that uploads files, and no folders, gets all the same what the checks look for."""
    folder = tmp_path / "content"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("q1.py", "q2.py"):
        (folder / name).touch()
    exec(install_cell(mini), {})
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.py")) == [
        "tests/q1.py",
        "tests/q2.py",
    ]


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_the_readme_is_one_screen(slug: str, root: Path | None):
    """A page that nobody scrolls is read."""
    lines = kit.build(assignment.load(slug, root))["README.md"].decode().splitlines()
    assert len([line for line in lines if not line.startswith("|")]) <= 46  # and a row a question


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_python_3_10_can_read_a_kit(slug: str, root: Path | None):
    """The oldest Python that the README names takes every file."""
    for path, content in kit.build(assignment.load(slug, root)).items():
        if path.endswith(".py"):
            ast.parse(content, path, feature_version=(3, 10))
        elif path.endswith(".ipynb"):
            for cell in nbformat.reads(content.decode(), as_version=4).cells:
                if cell.cell_type == "code":
                    ast.parse(cell.source, path, feature_version=(3, 10))


@pytest.mark.parametrize(("slug", "root"), EVERY_KIT)
def test_otter_can_read_the_scripts_on_windows(slug: str, root: Path | None):
    """Otter opens .py files in the system's encoding: the bytes must decode, if only to odd signs in comments."""
    for path, data in kit.build(assignment.load(slug, root)).items():
        if path.endswith(".py"):
            data.decode("cp1252")


# ------------------------------------------------------------------------------------------------------ as a student


@pytest.fixture
def student(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Assignment, Path]:
    """A student's copy of a kit, in a folder of its own."""
    found = assignment.load(request.param)
    folder = tmp_path / "homework"
    for path, content in kit.build(found).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return found, folder


def run(folder: Path, *command: str) -> str:
    """What a command prints in the student's folder; it must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def otter_check(folder: Path, slug: str, *more: str) -> str:
    return run(folder, str(Path(sysconfig.get_path("scripts")) / "otter"), "check", f"{slug}.py", *more)


def executed(folder: Path, notebook: NotebookNode, slug: str) -> dict[str, str]:
    """Runs a notebook from top to bottom, no error allowed: the check of each question -> what it said."""
    nbformat.write(notebook, folder / f"{slug}.ipynb")
    convert = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done.ipynb"]
    run(folder, *convert, f"{slug}.ipynb")
    cells = nbformat.read(folder / "done.ipynb", as_version=4).cells
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []  # no warning, no noise
    checks = {
        re.findall(r'"(\w+)"', cell.source)[0]: cell
        for cell in cells
        if cell.source.startswith("grader.check")
    }
    return {
        question: "".join(o.data["text/plain"] for o in cell.outputs) for question, cell in checks.items()
    }


# Notes numbers along an axis that no label names: its own, or that of the first axes in its row or column.
WATCH = """
from matplotlib.backend_bases import FigureCanvasBase

unlabelled = []


def is_number(text):
    return text.get_visible() and text.get_text().replace("\\N{MINUS SIGN}", "").replace(".", "").isdigit()


def place(axes, name):
    spec = axes.get_subplotspec()
    return spec and (spec.rowspan if name == "y" else spec.colspan)


def check(figure):
    whole = {"x": figure.get_supxlabel(), "y": figure.get_supylabel()}
    for axes in figure.axes:
        for name, side in (("x", axes.xaxis), ("y", axes.yaxis)):
            beside = [other for other in figure.axes if place(other, name) == place(axes, name)]
            named = whole[name] or any(getattr(other, f"{name}axis").get_label_text() for other in beside)
            if axes.axison and not named and any(is_number(text) for text in side.get_ticklabels()):
                unlabelled.append(f"{axes.get_title()!r}, {name} axis")


def watched(self, *args, before=FigureCanvasBase.print_figure, **kwargs):
    result = before(self, *args, **kwargs)
    check(self.figure)
    return result


FigureCanvasBase.print_figure = watched
"""


def bring_weights(found: Assignment, folder: Path) -> None:
    """What the reference's models have learned, as if they had been trained here before: a training takes minutes."""
    for artifact in found.artifacts:
        shutil.copy(found.reference_artifact(artifact), folder / artifact.file)


def solved(notebook: NotebookNode, reference: Path) -> NotebookNode:
    """The kit's notebook with the reference's cells in their places."""
    answers = iter(jupytext.read(reference, fmt="py:percent").cells)
    ours = ("# Installs", "# Makes grader", "grader.check", "## Before you hand in")
    for cell in notebook.cells:
        if not cell.source.startswith(ours):
            cell.source = next(answers).source
    assert next(answers, None) is None
    return notebook


@pytest.mark.slow
@pytest.mark.parametrize("student", SLUGS, indirect=True)
def test_checks_of_the_untouched_script_help(student: tuple[Assignment, Path]):
    """Every public test fails with a sentence a beginner can act on, and nothing crashes."""
    found, folder = student
    output = otter_check(folder, found.slug)
    for question in found.questions:
        assert f"{question.name} results:" in output
    results = re.findall(r"(?m)^ +(\w+): (.*)$", output)
    errors = {kind for kind, _ in results if kind.endswith("Error")}
    assert errors == {"AssertionError"}
    assert "it is not implemented yet" in output
    assert "passed" not in output


@pytest.mark.slow
@pytest.mark.parametrize("student", SLUGS, indirect=True)
def test_checks_of_the_solved_script_pass(student: tuple[Assignment, Path]):
    found, folder = student
    shutil.copy(found.reference, folder / f"{found.slug}.py")
    bring_weights(found, folder)
    assert otter_check(folder, found.slug).strip() == "All tests passed!"
    if found.slug == SLUGS[0]:  # Otter runs the whole script for one question as well
        assert otter_check(folder, found.slug, "-q", found.questions[0].name).strip() == "All tests passed!"


@pytest.mark.slow
@pytest.mark.parametrize("student", SLUGS, indirect=True)
def test_untouched_notebook_runs_to_its_end(student: tuple[Assignment, Path]):
    """Nobody's first impression is a traceback: demonstrations wait for their question, checks say what is missing."""
    found, folder = student
    notebook = nbformat.read(folder / f"{found.slug}.ipynb", as_version=4)
    said = executed(folder, notebook, found.slug)
    assert list(said) == [question.name for question in found.questions]
    assert all("Test case failed" in text for text in said.values())


@pytest.mark.slow
@pytest.mark.parametrize("student", SLUGS, indirect=True)
def test_solved_notebook_passes_its_checks(student: tuple[Assignment, Path]):
    """Without a warning, and every figure says what is along its axes."""
    found, folder = student
    bring_weights(found, folder)
    notebook = solved(nbformat.read(folder / f"{found.slug}.ipynb", as_version=4), found.reference)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(WATCH))
    notebook.cells.append(nbformat.v4.new_code_cell("assert not unlabelled, unlabelled"))
    said = executed(folder, notebook, found.slug)
    assert said == {q.name: f"{q.name} results: All test cases passed!" for q in found.questions}


@pytest.mark.slow
@pytest.mark.parametrize("student", SLUGS, indirect=True)
def test_untouched_script_runs_as_plain_python(student: tuple[Assignment, Path]):
    found, folder = student
    run(folder, sys.executable, f"{found.slug}.py")
