"""Each examination finds what it is for, on the sample assignment."""

from __future__ import annotations

import json

from autograder import kit
from autograder.assignment import load
from autograder.validate.answers import Answers
from autograder.validate.cost import Cost
from autograder.validate.examinations import EXAMINATIONS
from autograder.validate.handouts import Kit
from autograder.validate.honest import Honest
from autograder.validate.independence import Independence
from autograder.validate.misconceptions import Misconceptions
from autograder.validate.model import Options
from autograder.validate.promises import Promises

TOML = "assignments/mini/assignment.toml"
Q1, Q2 = "assignments/mini/tests/q1.py", "assignments/mini/tests/q2.py"
REFERENCE = "reference/mini.py"


def test_names_differ():
    """A name stands for one examination, in the table and on the command line."""
    names = [examination.name for examination in EXAMINATIONS]
    assert len(set(names)) == len(names)


# ------------------------------------------------------------------------------------------------------------- answers


def test_answers(examined):
    """The sample: the reference gets 8 of 8 and the stub 0, as scripts and as notebooks."""
    verdict = examined(Answers())
    assert (verdict.summary, verdict.findings) == ("8, 0", [])
    assert list(verdict.data) == ["reference.py", "reference.ipynb", "stub.py", "stub.ipynb"]


def test_a_reference_that_fails(examined, edit):
    edit(REFERENCE, ("entropy = -(shares", "entropy = (shares"))
    errors = examined(Answers(), pieces=["reference.py"]).errors
    assert len(errors) == 1
    assert errors[0].startswith(
        "reference.py: q2 3 of 4 (entropy: failed: gate_entropy([1/4, 1/4, 1/4, 1/4])"
    )


def test_a_stub_that_earns(examined, edit):
    """A test that passes whatever is returned, or nothing."""
    edit(
        Q2,
        (
            'check_close(gate_entropy(shares), expected, what="gate_entropy([1/4, 1/4, 1/4, 1/4])")',
            "expected",
        ),
    )
    assert "stub.py: q2 gives 1 points for nothing" in examined(Answers(), pieces=["stub.py"]).errors


# ----------------------------------------------------------------------------------------------------------------- kit


def test_kit(examined):
    """Current, without secrets; its tests pass on the reference and fail on the stub, without anything of ours."""
    verdict = examined(Kit())
    assert (verdict.summary, verdict.findings) == ("current", [])
    assert len(verdict.data["reference"]["results"]) == 3


def test_a_stale_kit(examined, edit):
    edit("student_template/mini/mini.py", ("import torch\n", "import torch\nimport math\n"))
    assert examined(Kit(), pieces=["files"]).errors == ["mini.py is stale. Run: autograder kit mini"]


def test_a_kit_with_a_secret(examined, edit):
    """A line of a solution that stands in what is given as well is no longer found by its author's eye, but here."""
    edit(
        Q1,
        (
            'failure_message="exp(0) = 1',
            'failure_message="powers = torch.exp(x - x.amax(dim=-1, keepdim=True)) 1',
        ),
    )
    (stale, error) = examined(Kit(), pieces=["files"]).errors
    assert stale.startswith("tests/q1.py is stale")
    assert error == (
        "a secret is in the kit: solution in tests/q1.py: powers = torch.exp(x - x.amax(dim=-1, keepdim=True))"
    )


def test_public_tests_that_are_wrong(examined, edit, root):
    """One that fails on the reference, and one that passes on the stub."""
    edit(Q1, ("[0.25, 0.75]", "[0.75, 0.25]"))
    edit(
        Q2,
        (
            'check_close(gate_entropy(shares), expected, what="gate_entropy([1/4, 1/4, 1/4, 1/4])")',
            "expected",
        ),
    )
    kit.write(load("mini", root))
    errors = examined(Kit(), pieces=["reference", "stub"]).errors
    assert len(errors) == 2
    assert errors[0].startswith(
        "with plain Otter, the public test q1: two numbers by hand fails on the reference"
    )
    assert errors[1] == "with plain Otter, the public test q2: entropy passes on the untouched stub"


# ------------------------------------------------------------------------------------------------------ misconceptions


def test_misconceptions(examined):
    verdict = examined(Misconceptions())
    assert verdict.summary == "2 of 2 named"
    assert verdict.data["confusion"] == {
        "q1": {"first_dimension": {"first_dimension": 1}},
        "q2": {"BareGate": {"BareGate": 1}},
    }


def test_a_mistake_that_is_taken_for_another(examined, edit):
    """The same wrong answer twice: the first one in the file is named for both."""
    edit(
        "assignments/mini/misconceptions.py",
        (
            "    return shares / shares.sum(dim=0, keepdim=True)\n",
            "    return shares / shares.sum(dim=0, keepdim=True)\n\n\n"
            '@misconception("q1", replaces="softmax", name="the same again", hint="Look up.")\n'
            "def again(x):\n    return first_dimension(x)\n",
        ),
    )
    verdict = examined(Misconceptions())
    assert verdict.errors == ["again (q1) is taken for first_dimension"]
    assert verdict.data["confusion"]["q1"]["again"] == {"first_dimension": 1}
    assert verdict.lines == [
        "q1: 1 of 2 named by their own names; again -> first_dimension",
        "q2: 1 of 1 named by their own names",
    ]


def test_a_mistake_that_costs_another_question(examined, edit):
    """A test of q2 that asks for q1's function is told apart from one that calls what q2 defines."""
    edit(
        Q2,
        ("def test_values(Gate):", "def test_values(Gate, softmax):"),
        ("expected_gate(gate, x), tol", "softmax(x @ gate.W), tol"),
    )
    errors = examined(Misconceptions(), pieces=["first_dimension"]).errors
    assert "first_dimension, a mistake in q1, loses q2 as well: values" in errors


# -------------------------------------------------------------------------------------------------------------- honest


def test_honest(examined, root):
    """A right answer in another form, and one that is refused though it is right."""
    folder = root / "tests" / "submissions" / "mini" / "honest"
    folder.mkdir(parents=True)
    right = (root / REFERENCE).read_text(encoding="utf-8")
    (folder / "same.py").write_text(right, encoding="utf-8")
    (folder / "library.py").write_text(right + "\n\nsoftmax = torch.softmax\n", encoding="utf-8")
    verdict = examined(Honest())
    assert verdict.summary == "1 of 2"
    assert all(error.startswith("library: ") for error in verdict.errors)


# -------------------------------------------------------------------------------------------------------- independence


def test_independence(examined):
    """q2 rests on q1, and needs it."""
    verdict = examined(Independence())
    assert verdict.findings == []
    assert verdict.data["q1"]["scores"] == {"q1": 4, "q2": 0}
    assert verdict.data["q2"]["scores"] == {"q1": 4, "q2": 4}
    assert verdict.data["q2 without q1"]["scores"]["q2"] < 4


def test_a_dependency_that_is_not_declared(examined, edit):
    edit(TOML, ('rests_on = ["q1"]\n', ""))
    (error,) = examined(Independence()).errors
    assert error.startswith(
        "q2, solved alone, gets 1 of 4: does it rest on a question that rests_on does not say?"
    )


def test_a_dependency_that_is_not_needed(examined, edit):
    """Said, and no error: a student's solution may need it."""
    edit(REFERENCE, ("return softmax(x @ self.W)", "return torch.softmax(x @ self.W, -1)"))
    verdict = examined(Independence())
    assert [finding.text for finding in verdict.findings] == [
        "q2 is declared to rest on q1, and the reference gets it without"
    ]
    assert verdict.errors == []


# ------------------------------------------------------------------------------------------------------------ promises


def test_promises(examined, edit):
    """A quotation that nobody says, a name that is not asked for, a public case alone, a promise that is not listed."""
    edit(TOML, ('text = "x is empty"', 'text = "x is  not a\\nnumber"'))
    assert examined(Promises()).errors == [
        "promise 'x is  not a\\nnumber' of softmax: its docstring does not say that",
        "softmax, Raises: no promise quotes 'x is empty'",
    ]
    edit(
        TOML,
        ('text = "x is  not a\\nnumber"', 'text = "x is empty"'),
        ("q1: no numbers at all", "q1: two numbers by hand"),
    )
    assert examined(Promises()).errors == [
        "promise 'x is empty' of softmax: no hidden test holds a student to it"
    ]
    edit(TOML, ('\nname = "softmax"', '\nname = "mean"'))
    assert "promise 'x is empty' of mean: no question asks for that name" in examined(Promises()).errors


# ---------------------------------------------------------------------------------------------------------------- cost


def test_cost(examined):
    """Interpreter and torch are counted, with their processes; the container is far from full."""
    verdict = examined(Cost())
    assert verdict.findings == []
    cost = verdict.data["reference"]
    assert 0 < cost["child_cpu_seconds"] < cost["cpu_seconds"] < 60  # measured: 1.8
    assert 50 < cost["peak_mb"] < 768  # measured: 200
    assert cost["calls"] > 5


def test_a_suite_that_is_too_large(root):
    """An error where Gradescope would end it, a note where it is near."""
    found = {"cpu_seconds": 310.0, "peak_mb": 700.0, "calls": 3}
    verdict = Cost().conclude(load("mini", root), {"reference": found}, Options())
    assert [(finding.level, finding.text) for finding in verdict.findings] == [
        ("error", "needs 620 s of the 600 s of Gradescope's default container"),
        ("note", "needs 700 MB of the 768 MB of Gradescope's default container"),
    ]
    assert json.dumps(verdict.data)
