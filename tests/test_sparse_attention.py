"""Sparse attention: reference, stub, honest styles, misconceptions and library answers through the real grader."""

# ruff: noqa: E501  the feedback's lines are as long as students get them

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from otter.test_files import ExceptionTestFile

from autograder import submission
from autograder.assignment import load
from autograder.diagnosis import load_misconceptions
from autograder.grading import Judge
from autograder.report import gradescope
from autograder.sandbox.session import Sandbox
from tests.build_submissions import archive, notebook, script

ROOT = Path(__file__).parents[1]
ASSIGNMENT = load("sparse_attention", ROOT)
POINTS = {question.name: question.points for question in ASSIGNMENT.questions}
MISCONCEPTIONS = load_misconceptions(ASSIGNMENT)
HONEST = sorted((ROOT / "tests" / "submissions" / "sparse_attention" / "honest").glob("*.py"))
CELLS = [
    re.sub(r"^ *# (BEGIN|END) SOLUTION.*\n?", "", cell.source, flags=re.M).strip("\n")
    for cell in submission.read(ASSIGNMENT.reference, "", ASSIGNMENT).cells
]

SCALED_DOT_PRODUCT = """
def {name}(q, k, v, window, stride):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=sparse_mask(q.shape[-2], window, stride))
"""
OPERATOR = """
def {name}(q, k, v, window, stride):
    mask = sparse_mask(q.shape[-2], window, stride)
    return torch.ops.aten.scaled_dot_product_attention(q, k, v, mask)
"""


@pytest.fixture(scope="module")
def grade(tmp_path_factory):
    """Grades the bytes of a submission under a name; the results as Gradescope gets them."""
    folder = tmp_path_factory.mktemp("sparse_attention")
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)

        def graded(name, content):
            path = folder / name
            path.write_bytes(content)
            result = judge.grade(submission.read(path, name, ASSIGNMENT))
            return json.loads(json.dumps(gradescope.to_dict(result, ASSIGNMENT)))

        yield graded


def lost(result):
    """The scores of the questions that lost points."""
    scores = result["extra_data"]["questions"]
    return {question: score for question, score in scores.items() if score < POINTS[question]}


def text(result, question):
    """All that a student reads about a question."""
    return "\n".join(e["output"] for e in result["tests"] if e["name"].startswith(f"{question}:"))


def wrong(key, replaces):
    """An archive whose one wrong answer is that misconception; all other names are right, also for each other."""
    source = ASSIGNMENT.misconceptions.read_text(encoding="utf-8")
    stand_in = "misconception = lambda *_, **__: lambda thing: thing\n"
    source = re.sub(r"^from autograder\.diagnosis import misconception\n", stand_in, source, flags=re.M)
    main = f"from right import *\nfrom wrong import {key} as {replaces}\n"
    return archive({"sparse_attention.py": main, "right.py": script(CELLS), "wrong.py": source})


@pytest.mark.parametrize("question", ASSIGNMENT.questions, ids=lambda question: question.name)
def test_points_and_cases(question):
    """The points add up, at least half are hidden, and each case has its own name and a hint."""
    cases = ExceptionTestFile.from_file(str(ASSIGNMENT.test_file(question.name))).test_cases
    assert sum(case.points for case in cases) == question.points
    assert sum(case.points for case in cases if case.hidden) >= question.points / 2
    assert 2 <= sum(not case.hidden for case in cases) <= 3
    assert len({case.name for case in cases}) == len(cases)
    assert all(case.failure_message and "hidden" not in case.failure_message.lower() for case in cases)


def test_there_are_enough_of_them():
    """Honest styles and misconceptions, for every question."""
    assert len(HONEST) >= 4
    assert len(MISCONCEPTIONS) >= 8
    assert {m.question for m in MISCONCEPTIONS} == set(POINTS)


@pytest.mark.parametrize("name", ["sparse_attention.py", "sparse_attention.ipynb"])
def test_reference(grade, name):
    """All points, as a script and as a notebook."""
    content = ASSIGNMENT.reference.read_bytes() if name.endswith(".py") else notebook(CELLS)
    result = grade(name, content)
    assert lost(result) == {}, result["tests"]
    assert result["score"] == ASSIGNMENT.possible


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_honest_styles(grade, path):
    """However a right solution is written, it loses nothing."""
    result = grade(path.name, path.read_bytes())
    assert lost(result) == {}, [text(result, question) for question in lost(result)]


@pytest.mark.parametrize("name", ["sparse_attention.py", "sparse_attention.ipynb"])
def test_untouched_stub(grade, name):
    """Nothing is earned, and each question says why in one sentence."""
    result = grade(f"stub_{name}", (ASSIGNMENT.template / name).read_bytes())
    assert result["score"] == 0
    public = [entry for entry in result["tests"] if entry["visibility"] == "visible"]
    assert [entry["output"] for entry in public] == ["This question is not implemented yet."] * len(POINTS)


@pytest.mark.parametrize("misconception", MISCONCEPTIONS, ids=lambda m: f"{m.question}-{m.key}")
def test_misconception(grade, misconception):
    """It loses points in its question alone, and the feedback has its name and its hint."""
    name = f"{misconception.question}-{misconception.key}.zip"
    result = grade(name, wrong(misconception.key, misconception.replaces))
    told = text(result, misconception.question)
    assert set(lost(result)) == {misconception.question}, told
    assert result["extra_data"]["diagnoses"] == {misconception.question: misconception.key}
    like = "exactly like" if misconception.replayed else "like"
    assert f"Your `{misconception.replaces}` behaves {like} {misconception.name}." in told
    assert f"Hint: {misconception.hint}" in told


WRONG_PLOTS = {
    "linear in x": "    ax.set_xscale('linear')",
    "linear in y": "    ax.set_yscale('linear')",
    "no label": "    ax.set_ylabel('')",
    "no legend": "    ax.get_legend().remove()",
    "a curve too many": "    ax.plot(lengths, lengths)",
    "axes exchanged": "    for line in ax.get_lines(): line.set_data(line.get_ydata(), line.get_xdata())",
    "names exchanged": "    ax.legend(list(costs)[::-1])",
    "the lines": "    ax = ax.get_lines()",
}


@pytest.mark.parametrize("change", WRONG_PLOTS)
def test_wrong_plots(grade, change):
    """What is wrong with the picture costs q6, and nothing else."""
    code = f"right_plot = plot_costs\ndef plot_costs(lengths, costs, ax=None):\n    ax = right_plot(lengths, costs, ax)\n{WRONG_PLOTS[change]}\n    return ax\n"
    result = grade("plot.py", (script(CELLS) + "# %%\n" + code).encode())
    assert set(lost(result)) == {"q6"}


@pytest.mark.parametrize("name", ["masked_attention", "sparse_attention"])
@pytest.mark.parametrize("code", [SCALED_DOT_PRODUCT, OPERATOR], ids=["functional", "operator"])
def test_library_answer(grade, code, name):
    """The library's attention earns nothing, and costs nothing elsewhere."""
    result = grade("library.py", (script(CELLS) + "# %%\n" + code.format(name=name)).encode())
    assert lost(result) == {"q2" if name == "masked_attention" else "q3": 0}


HALF = """
def sparse_attention(q, k, v, window, stride):
    check_attention(q, k, v)
    n = q.shape[-2]
    if n < 64:
        return masked_attention(q, k, v, window, stride)
    queries, keys = torch.tril_indices(n, n)
    distance = queries - keys
    allowed = (distance < window) | (distance % stride == 0)
    scores = (q[..., queries, :] * k[..., keys, :]).sum(-1) / math.sqrt(q.shape[-1])
    weights = (scores * allowed).exp() * allowed
    total = torch.zeros(*scores.shape[:-1], n, dtype=q.dtype).index_add(-1, queries, weights)
    shares = (weights / total[..., queries]).unsqueeze(-1) * v[..., keys, :]
    return torch.zeros(*v.shape, dtype=q.dtype).index_add(-2, queries, shares)
"""
CHUNKS = """
def sparse_attention(q, k, v, window, stride):
    check_attention(q, k, v)
    if q.shape[-2] < 64:
        return masked_attention(q, k, v, window, stride)
    outs = []
    for start in range(0, q.shape[-2], 8):
        rows, columns = torch.arange(start, min(start + 8, q.shape[-2])), torch.arange(q.shape[-2])
        distance = rows[:, None] - columns
        mask = (distance >= 0) & ((distance < window) | (distance % stride == 0))
        scores = (q[..., rows, :] @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, -math.inf)
        outs.append(scores.softmax(-1) @ v)
    return torch.cat(outs, -2)
"""
SHORTEST = """
def sparse_attention(q, k, v, window, stride):
    check_attention(q, k, v)
    n = q.shape[-2]
    if n < 64:
        return masked_attention(q, k, v, window, stride)
    distance, rows = torch.arange(n - 1, -1, -1), []
    forbidden = (distance >= window) & (distance % stride != 0)
    for i in range(n):
        scores = (k[: i + 1] @ q[i]).div_(math.sqrt(q.shape[-1])).masked_fill_(forbidden[n - 1 - i :], -math.inf)
        rows.append(scores.softmax(-1) @ v[: i + 1])
    return torch.stack(rows)
"""
DISGUISES = {
    "half of the matrix": (HALF, "full_matrix", 14),
    "block by block": (CHUNKS, "all_keys_in_turn", 14),
    "as little as possible a row": (SHORTEST, "all_keys_in_turn", 18),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_full_matrix_in_disguise(grade, disguise):
    """All pairs, however they are hidden, lose what is left when the values are right, and are named."""
    code, key, score = DISGUISES[disguise]
    result = grade("disguise.py", (script(CELLS) + "# %%\n" + code).encode())
    assert lost(result) == {"q3": score}, text(result, "q3")
    assert result["extra_data"]["diagnoses"] == {"q3": key}


@pytest.mark.parametrize(
    "answer", ["torch.zeros(*q.shape[:-1], v.shape[-1], dtype=q.dtype)", "v * 1", "v * float('nan')"]
)
def test_no_attention_at_all(grade, answer):
    """Who computes nothing saves nothing: what is counted goes with an answer that is right."""
    code = f"def sparse_attention(q, k, v, window, stride):\n    return {answer}\n"
    result = grade("none.py", (script(CELLS) + "# %%\n" + code).encode())
    assert set(lost(result)) == {"q3"}
    assert lost(result)["q3"] <= 3, text(result, "q3")


FEEDBACK = {
    "overlap_twice": """\
Your `sparse_attention` behaves exactly like attention in which keys of the window that are at a whole stride count twice.
Hint: Distance 0, at least, is in both parts. Take from the strides only what the window has not.

passed: shape and dtype, and means of ones (1 of 1)
FAILED: means worked out by hand (0 of 2)
    sparse_attention(q, k, v, 2, 2) with q and k of zeros is wrong in 3 of 4 numbers. The first one is at index [1, 0]: expected 3, found 2. The largest error is 1.2; 1e-09 is allowed.
    Hint: All scores are 0, and with window 2 and stride 2 the distances are 0, 1 and 2, each once: 6, (0 + 6) / 2, (2 + 0 + 6) / 3, (8 + 2 + 0) / 3.
FAILED: the same as the full matrix, for eight positions (0 of 1)
    sparse_attention(q, k, v, 2, 3) is wrong in 14 of 16 numbers. The first one is at index [1, 0]: expected 0.424634, found 0.319933. The largest error is 0.44; 1e-09 is allowed.
    Hint: Compare with masked_attention for smaller n, until you see which position is wrong first. There, list the keys that it should see, and those that it does see.\
""",
    "window_too_wide": """\
Your `sparse_mask` behaves exactly like a mask whose window is one position too wide.
Hint: The window holds `window` positions, oneself included: which distance is the largest?

passed: shape and dtype (2 of 2)
FAILED: the mask worked out by hand (0 of 3)
    sparse_mask(8, 2, 3) is wrong in 6 of 64 entries. The first one: query 2 must not attend to key 0, at distance 2.
    Hint: n = 8, window 2, stride 3: a query sees the keys at the distances 0, 1, 3 and 6 before it, where there are any. Compare with the picture in q1, row by row.\
""",
}


@pytest.mark.parametrize("key", FEEDBACK)
def test_feedback_to_the_letter(grade, key):
    """What the student reads before grades are published."""
    (known,) = [m for m in MISCONCEPTIONS if m.key == key]
    result = grade(f"letter-{key}.zip", wrong(key, known.replaces))
    visible = [
        e for e in result["tests"] if e["visibility"] == "visible" and e["name"].startswith(known.question)
    ]
    assert [entry["output"] for entry in visible] == [FEEDBACK[key]]


@pytest.mark.slow
def test_notebook_runs_from_top_to_bottom(tmp_path):
    """The solution as a notebook, with all figures."""
    import jupytext

    book = jupytext.read(ASSIGNMENT.reference, fmt="py:percent")
    nbformat.write(book, tmp_path / "sparse_attention.ipynb")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "notebook",
        "--execute",
        "sparse_attention.ipynb",
        "--output",
        "out.ipynb",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = [o for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells for o in cell.get("outputs", [])]
    assert not any("appears once" in output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
