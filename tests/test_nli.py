"""The nli assignment through the real grader: right answers, the stub, misconceptions, trained models, and its data."""

# ruff: noqa: E501  the texts of feedback are as long as students get them

from __future__ import annotations

import collections
import itertools
import pickle
import re

import pytest
import torch
from safetensors.torch import load, save

from autograder import assignment
from autograder.diagnosis import load_misconceptions, load_reference
from autograder.figures import Artist
from autograder.grading import Judge
from autograder.sandbox.session import Sandbox
from autograder.validate.submissions import reference, right_cells
from tests.assignments import ROOT, Standard, grader, grading
from tests.build_submissions import script

ASSIGNMENT = assignment.load("nli", ROOT)
WEIGHTS = ASSIGNMENT.reference_artifact(ASSIGNMENT.artifacts[0]).read_bytes()
RIGHT = script(right_cells(ASSIGNMENT))
pytestmark = pytest.mark.slow
grade = grading(ASSIGNMENT)


def solution(code, weights=WEIGHTS):
    """A script with weights."""
    return {"nli.py": code, "weights.safetensors": weights}


FEEDBACK = {
    "exchanged": """\
Your `precision_recall` behaves exactly like precision and recall exchanged.
Hint: Precision: of what was called c. What was called c stands in a column.

passed: five predictions counted by hand (2 of 2)
FAILED: precision and recall by hand (0 of 2)
    the precision that precision_recall(matrix) returned is wrong in 2 of 3 numbers. The first one is at index [0]: expected 1, found 0.75. The largest error is 0.33; 1e-09 is allowed.
    Hint: Precision divides by the sum of the column (what was called so), recall by the sum of the row (what is so). Here 0/0 is 0.
passed: macro F1 by hand (2 of 2)\
""",
    "hypothesis_first": """\
Your `encode_batch` behaves exactly like an encoding with the hypothesis first.
Hint: [cls], then the premise: which element of the pair is it?

passed: the vocabulary of two words more (2 of 2)
FAILED: one pair as a row (0 of 2)
    encode_batch([("no cats", "all cats", 2)], vocabulary) is [[2, 4, 5, 3, 6, 5, 3]], but [[2, 6, 5, 3, 4, 5, 3]] was expected.
    Hint: [cls], the premise, [sep], the hypothesis, [sep]: 2, 6, 5, 3, 4, 5, 3.\
""",
}


class TestNli(Standard):
    assignment = ASSIGNMENT
    figures = 5
    letters = FEEDBACK
    seen_by_tests = None
    test_library_answers_earn_nothing = None  # nothing is forbidden
    notebook_seconds = 500
    cpu_seconds = 20  # 3 measured

    def honest_files(self, path):
        """With weights in half precision."""
        return solution(path.read_bytes(), path.with_suffix(".safetensors").read_bytes())

    def test_there_are_enough_of_them(self):
        """More of both than elsewhere."""
        super().test_there_are_enough_of_them()
        assert len(load_misconceptions(ASSIGNMENT)) >= 20

    def test_notebook_runs_from_top_to_bottom(self, tmp_path):
        """With a brief training first, then with its weights."""
        source = ASSIGNMENT.reference.read_text(encoding="utf-8")
        brief = source.replace("N_PAIRS, STEPS = 20000, 600", "N_PAIRS, STEPS = 2000, 20")
        assert brief != source
        outputs = self.run_notebook(tmp_path, brief)
        assert "saved weights.safetensors" in str(outputs)
        assert load((tmp_path / "weights.safetensors").read_bytes()).keys() == load(WEIGHTS).keys()


# ---------------------------------------------------------------------------------------------------------- the data


@pytest.fixture(scope="module")
def given():
    return load_reference(ASSIGNMENT)


def true_in(given, world, sentence):
    """Whether a sentence is true where each kind is in these states."""
    form, noun, predicate = sentence
    inside = [
        state in given["PREDICATES"][predicate] for kind in given["NOUNS"][noun] for state in world[kind]
    ]
    return {
        "all {} are {}": all(inside), "some {} are {}": any(inside), "no {} are {}": not any(inside),
        "not all {} are {}": not all(inside), "some {} are not {}": not all(inside),
    }[form]  # fmt: skip


def possible(given, premise, hypothesis, holds):
    """Whether there is a world in which the premise is true, and the hypothesis is, or is not.

    Where something must not be, it is not; everything else is there. If that world will not do, none will: a sentence
    that says that something is there can only gain by it.
    """
    world = {kind: set(given["STATES"]) for kind in given["KINDS"]}
    for (something, kinds, states), true in (
        (given["claim"](premise), True),
        (given["claim"](hypothesis), holds),
    ):
        if something != true:
            for kind in kinds:
                world[kind] -= states
    alive = all(world.values())  # there is one of each kind
    return alive and true_in(given, world, premise) and true_in(given, world, hypothesis) == holds


def test_labels_are_those_of_all_worlds(given):
    """What the rules of the handout say is what holds in all worlds in which the premise is true."""
    labels = collections.Counter()
    for premise, hypothesis in itertools.product(given["SENTENCES"][::7], given["SENTENCES"][::3]):
        can_hold, can_fail = (possible(given, premise, hypothesis, holds) for holds in (True, False))
        expected = 1 if can_hold and can_fail else 0 if can_hold else 2
        assert given["relation"](premise, hypothesis) == expected, (premise, hypothesis)
        labels[expected] += 1
    assert min(labels.values()) > 300


def test_pairs_are_balanced_and_held_out(given):
    """Labels come equally often for each hypothesis; the two parts share no hypothesis, and training no held-out words."""
    training, held_out = given["generate_pairs"](20000, False, 0), given["generate_pairs"](2000, True, 1)
    assert given["generate_pairs"](50, False, 0) == training[:50]
    labels = collections.Counter(label for _, _, label in training)
    assert all(abs(count / 20000 - 1 / 3) < 0.015 for count in labels.values())  # 4.5 standard deviations
    assert abs(given["blind_accuracy"](training, given["generate_pairs"](4000, False, 5)) - 1 / 3) < 0.03
    unseen = {given["text_of"](s) for s in given["SENTENCES"] if given["is_held_out"](s)}
    assert {hypothesis for _, hypothesis, _ in held_out} <= unseen
    assert not {sentence for pair in training for sentence in pair[:2]} & unseen
    assert (
        given["blind_accuracy"](given["annotated_pairs"](20000, 2), given["annotated_pairs"](4000, 3)) > 0.6
    )


def test_the_judge_draws_the_same_pairs(given):
    """The grammar of the handout and that of fixtures.py are the same, so that the training data are."""
    judge = {"__name__": "fixtures"}
    exec(compile(ASSIGNMENT.fixtures.read_text(encoding="utf-8"), "fixtures.py", "exec"), judge)
    for held_out, seed in ((False, 0), (True, 7193)):
        pairs = given["generate_pairs"](300, held_out, seed)
        vocabulary = given["build_vocabulary"](given["generate_pairs"](3000, False, 0))
        ids, labels = judge["_data"](300, held_out, seed)
        found = given["encode_batch"](pairs, vocabulary)
        assert torch.equal(ids[:, : found.shape[1]], found)
        assert not ids[:, found.shape[1] :].any()
        assert labels.tolist() == [label for _, _, label in pairs]


def test_a_small_file_in_the_format_of_snli(given, tmp_path):
    """The reader takes an open file: kept, skipped, and a line that is cut off."""
    path = tmp_path / "snli_1.0_dev.jsonl"
    lines = [
        '{"annotator_labels": ["neutral"], "captionID": "1.jpg#4", "gold_label": "neutral", "pairID": "1.jpg#4n", "sentence1": "A man cooks.", "sentence1_parse": "(ROOT)", "sentence2": "A man is hungry."}',
        '{"annotator_labels": ["neutral", "entailment"], "gold_label": "-", "sentence1": "A dog.", "sentence2": "A pet."}',
        '{"gold_label": "contradiction", "sentence1": "Zwei Kinder spielen draußen.", "sentence2": "Niemand spielt."}',
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with path.open(encoding="utf-8") as file:
        found = given["read_snli"](file)
    assert found == [
        ("A man cooks.", "A man is hungry.", 1),
        ("Zwei Kinder spielen draußen.", "Niemand spielt.", 2),
    ]
    path.write_text("\n".join([*lines, lines[0][:60]]), encoding="utf-8")
    with path.open(encoding="utf-8") as file, pytest.raises(ValueError, match=r"line 4 is no JSON"):
        given["read_snli"](file)


# ---------------------------------------------------------------------------------------------------- right answers


def test_leaderboard_and_figures(grade):
    """An accuracy, and three figures that can be drawn and say in words what they show."""
    result = grade(reference(ASSIGNMENT, "py")).result
    assert 0.9 < result.leaderboard["held-out accuracy, best variant"] <= 1
    drawn = [Artist(ASSIGNMENT).draw(figure) for figure in result.figures]
    assert len(drawn) == 3
    assert all(drawing.svg.startswith("<svg") and len(drawing.alt) > 40 for drawing in drawn)


def test_without_weights_it_is_trained_here(tmp_path, monkeypatch):
    """All three are trained in the student's process and measured; briefly, so that the goal is out of reach."""
    with Sandbox() as sandbox:
        judge = Judge(ASSIGNMENT, sandbox)
        monkeypatch.setitem(judge._recipes["trained_moe"].__globals__, "STEPS", 20)
        graded = grader(judge, tmp_path)({"nli.py": RIGHT}, ["q4"])
    failed = [case.name for case in graded.result.questions[0].cases if case.outcome.name != "PASSED"]
    assert failed == [f"the goal: four in five, {kind}" for kind in ("vanilla", "sparse", "with experts")]
    told = r"\d\d\.\d% of the held-out pairs are right by your trained 'moe' model, and 80 %"
    assert re.search(told, graded.text())


# --------------------------------------------------------------------------------------------------- known mistakes


# What a student might hand in to get points without a model that has learned.
CHEATS = {
    "the grammar instead of a model": (
        """
class NLIClassifier(NLIClassifier):
    def forward(self, ids):
        logits = super().forward(ids).clone()
        if self.tokens.num_embeddings != 28:
            return logits
        words = sorted(set(" ".join(map(text_of, SENTENCES)).split()))
        sentences = {text_of(s): s for s in SENTENCES}
        for row, numbers in enumerate(ids.tolist()):
            said = " ".join(words[i - 4] if i > 3 else "|" for i in numbers if i not in (0, 2)).split(" | ")
            said = [part.strip(" |") for part in said]
            if said[0] in sentences and len(said) > 1 and said[1] in sentences:
                logits[row, relation(sentences[said[0]], sentences[said[1]])] += 50
        return logits
""",
        {"q4"},
    ),
    "NaN for every logit": (
        "class NLIClassifier(NLIClassifier):\n    def forward(self, ids):\n        return super().forward(ids) * float('nan')\n",
        {"q4", "q6"},
    ),
    "answers that equal everything": (
        "class Same(float):\n    __eq__ = lambda *_: True\n    __lt__ = lambda *_: True\n    __hash__ = None\n"
        "def macro_f1(*_): return Same(0.5)\ndef blind_accuracy(*_): return Same(0.5)\n",
        {"q5", "q7"},
    ),
    "the values of the examples": (
        "def macro_f1(matrix): return 7 / 18\n"
        "def two_sided_mask(n, window, stride):\n"
        "    rows = ['110100', '111010', '011101', '101110', '010111', '001011']\n"
        "    return torch.tensor([[s == '1' for s in row] for row in rows])\n",
        {"q3", "q5"},
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheats(grade, cheat):
    """Points are lost where something is only pretended."""
    extra, questions = CHEATS[cheat]
    right = RIGHT.replace("two_sided_mask(length, *self.pattern)", "right_mask(length, *self.pattern)")
    graded = grade(solution(f"{right}# %%\nright_mask = two_sided_mask\n# %%\n{extra}"))
    assert set(graded.lost) == questions, graded.why


# ------------------------------------------------------------------------------------------- files that are no weights


def changed(**tensors):
    """The reference's weights with some tensors exchanged."""
    return save({**load(WEIGHTS), **tensors})


BROKEN = {
    "truncated": (WEIGHTS[: len(WEIGHTS) // 2], "cannot be read as a safetensors file"),
    "pickle": (pickle.dumps({"weights": [1.0]}, 4), "it looks like one written by torch.save or pickle"),
    "of another model": (
        save({"vanilla.weight": torch.zeros(3)}), "The trained weights do not fit NLIClassifier(28, 32, 4, 2, 13)"
    ),
    "NaN": (changed(**{f"{v}.logits.weight": torch.full((3, 32), torch.nan) for v in ("vanilla", "sparse", "moe")}), "contain NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_files_that_are_no_weights(grade, kind):
    """A clear text in the question that needs them, no crash, and no other question lost."""
    data, why = BROKEN[kind]
    graded = grade(solution(RIGHT, data), ["q4"])
    assert graded.result.status == "graded"
    assert set(graded.lost) == {"q4"}
    assert why in graded.text("q4")


def test_a_model_that_learned_from_hypotheses_alone(grade, given):
    """Its score is a guess, and what it ignores is named: here all that the model knows of premises is taken away."""
    weights = load(WEIGHTS)
    for name, tensor in weights.items():
        if name.endswith("blocks.0.output.weight") or name.endswith("blocks.0.output.bias"):
            weights[name] = torch.zeros_like(tensor)
        if name.endswith("blocks.1.output.weight") or name.endswith("blocks.1.output.bias"):
            weights[name] = torch.zeros_like(tensor)
    graded = grade(solution(RIGHT, save(weights)), ["q4"])
    assert graded.diagnoses["q4"] == "premise_ignored"
    assert "With the premises of other pairs, 100% of its answers stay the same." in graded.text("q4")
