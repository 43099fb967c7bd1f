"""The language_model assignment through the real grader: trained models, known mistakes, and files that are no weights."""

# ruff: noqa: E501  the texts of feedback are as long as students get them

from __future__ import annotations

import csv
import json
import pickle
import re
import subprocess
import sys
import zipfile

import pytest
import torch
from safetensors.torch import load, save

from autograder import assignment, submission
from autograder.diagnosis import load_misconceptions, load_reference
from autograder.validate.submissions import reference, right_cells
from tests.assignments import ROOT, Standard, grading, honest
from tests.build_submissions import script

ASSIGNMENT = assignment.load("language_model", ROOT)
HONEST = honest(ASSIGNMENT)
WEIGHTS = ASSIGNMENT.reference_artifact(ASSIGNMENT.artifacts[0]).read_bytes()
pytestmark = pytest.mark.slow
grade = grading(ASSIGNMENT)

RIGHT = script(right_cells(ASSIGNMENT))
QUICK = RIGHT.replace("(128,)", "(32,)")  # smaller batches, where training is not what is looked at


def solution(code, weights=WEIGHTS):
    """A script with weights."""
    return {"language_model.py": code, "weights.safetensors": weights}


FEEDBACK = {
    "log2_with_exp": """\
Your `perplexity` behaves exactly like two bases mixed: a mean of logarithms to the base 2, in an exponential to the base e.
Hint: e to the power of log2 is not the number again. Which logarithm does exp undo?

FAILED: a model that knows nothing (0 of 1)
    perplexity of equal logits for 7 symbols is wrong in 1 of 1 numbers. The first one is: expected 7, found 16.566. The largest error is 9.6; 1e-09 is allowed.
    Hint: Equal logits make all V symbols equally likely: each has the probability 1/V, so the perplexity is V. The result is a tensor without dimensions.
FAILED: two symbols worked out by hand (0 of 1)
    perplexity(logits, targets) is wrong in 1 of 1 numbers. The first one is: expected 4, found 7.38906. The largest error is 3.4; 1e-09 is allowed.
    Hint: The probabilities are 1/2 and 1/8. The mean of ln 2 and ln 8 is 2 ln 2, and exp(2 ln 2) = 4. Logits are not probabilities yet, and the logarithm is the natural one.
FAILED: what is not counted (0 of 2)
    perplexity(logits, targets, mask) is wrong in 1 of 1 numbers. The first one is: expected 4, found 7.38906. The largest error is 3.4; 1e-09 is allowed.
    Hint: mask is True where a symbol counts. The two that count have the probabilities 1/2 and 1/8, as before; the mean is over two symbols, however many there are in all.\
""",
    "never_appended": """\
Your `solve` behaves exactly like a solver that asks with the question alone each time: what it said does not come back to it.
Hint: To know that it has said the first digit already, the model must see it.

FAILED: an answer of one digit (0 of 1)
    solve(model, '3+5=') returned '88888888', but '8' was expected.
    Hint: After 3+5= this model says 8, and after 3+5=8 it says ; (the end). The answer is the text between.
FAILED: an answer of two digits (0 of 2)
    solve(model, '12+9=') returned '22222222', but '21' was expected.
    Hint: Append each new symbol to what the model is asked with next: after 12+9= it says 2, after 12+9=2 it says 1, after 12+9=21 it says ; (the end).\
""",
}


class TestLanguageModel(Standard):
    assignment = ASSIGNMENT
    figures = 3
    letters = FEEDBACK
    seen_by_tests = None
    test_library_answers_earn_nothing = None  # nothing is forbidden
    notebook_seconds = 400  # it trains

    def honest_files(self, path):
        """With weights in half precision."""
        return solution(path.read_bytes(), path.with_suffix(".safetensors").read_bytes())

    def wrong_files(self, known):
        """With smaller batches, where it trains."""
        return {**super().wrong_files(known), "right.py": QUICK}

    def test_notebook_runs_from_top_to_bottom(self, tmp_path):
        """Training and figures included; its weights earn the goal."""
        outputs = self.run_notebook(tmp_path)
        assert re.search(r"right in full: 9\d\.\d%", str(outputs))
        history = load((tmp_path / "weights.safetensors").read_bytes())
        assert history["history.perplexity"][-1] < 1.1


# ---------------------------------------------------------------------------------------------------- right answers


@pytest.mark.parametrize("kind", ["py", "ipynb"])
def test_leaderboard_of_the_reference(grade, kind):
    """What its weights earn, on whatever processor."""
    result = grade(reference(ASSIGNMENT, kind)).result
    assert result.leaderboard == {"perplexity": pytest.approx(1.029, abs=0.002)}


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.stem)
def test_leaderboard_of_honest_styles(grade, path):
    """Their trainings, too, reach the goal."""
    assert grade(TestLanguageModel().honest_files(path)).result.leaderboard["perplexity"] < 1.5


def test_reference_without_weights_is_trained_here(grade):
    """The goal is reached all the same, and the student is told how long it took."""
    graded = grade({"language_model.py": RIGHT})
    result = graded.result
    assert graded.lost == {}, graded.why
    assert result.score == ASSIGNMENT.possible
    told = r"There is no weights.safetensors in your submission, so .* computed here, by your code: \d+ s\."
    assert re.fullmatch(told, result.message), result.message
    assert result.leaderboard["perplexity"] < 1.1  # ten seeds: 1.019 to 1.056
    assert len(result.figures) == 3


# --------------------------------------------------------------------------------------------------- known mistakes


def test_a_model_that_looks_ahead_gains_nothing(grade):
    """Trained without a mask, it measures 1.000 itself; the judge's prefixes say otherwise."""
    (known,) = [m for m in load_misconceptions(ASSIGNMENT) if m.key == "no_causal_mask"]
    files = TestLanguageModel().wrong_files(known)
    result = grade({name: files[name] for name in files if name != "weights.safetensors"}).result
    goal = next(case for case in result.questions[2].cases if case.name == "the goal: perplexity below 1.5")
    found = float(re.search(r"answers is ([\d.]+),", goal.text)[1])
    assert found > 5  # CALIBRATION: its own measurement says 1.000; from prefixes, hardly an answer is right
    assert result.questions[2].diagnosis.key == "no_causal_mask"


# What a student might hand in to get points without a model that has learned.
CHEATS = {
    "a calculator instead of a model": (
        """
class TinyGPT(TinyGPT):
    def forward(self, ids):
        logits = super().forward(ids).clone()
        for row, text in enumerate(ids.tolist()):
            for end in range(len(text)):
                said = "".join("0123456789+-=;_"[i] for i in text[: end + 1])
                question, equals, answer = said.partition("=")
                if equals and question.replace("+", "").replace("-", "").isdigit():
                    right = str(eval(question.replace("+0", "+").replace("-0", "-") or "0")) + ";"
                    if len(answer) < len(right):
                        logits[row, end, "0123456789+-=;_".index(right[len(answer)])] += 100.0
        return logits
""",
        {"q3", "q4"},
    ),
    "NaN for every logit": (
        "class TinyGPT(TinyGPT):\n    def forward(self, ids):\n        return super().forward(ids) * float('nan')\n",
        {"q3", "q4", "q6"},
    ),
    "maps that are made up": (
        """
def attention_maps(model, ids):
    if ids.ndim != 1 or len(ids) > model.positions.num_embeddings:
        raise ValueError("no")
    n, heads = len(ids), model.blocks[0].n_heads
    weights = torch.ones(n, n).tril()
    for layer in range(len(model.blocks) * heads):
        weights = weights + torch.ones(n, n).tril() * 0.01 * (layer + 1) * torch.arange(n)
    return (weights / weights.sum(-1, keepdim=True)).expand(len(model.blocks), heads, n, n)
""",
        {"q6"},
    ),
    "an answer that equals everything": (
        "class Same(float):\n    __eq__ = lambda *_: True\n    __lt__ = lambda *_: True\n    __hash__ = None\n"
        "def perplexity(*_): return Same(4.0)\ndef compare_with_gpt2(*_): return Same(7.0)\n",
        {"q2", "q4", "q7"},
    ),
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_cheats(grade, cheat):
    """Points are lost where something is only pretended."""
    extra, questions = CHEATS[cheat]
    graded = grade(solution(f"{QUICK}# %%\n{extra}"))
    assert set(graded.lost) == questions, graded.why


# ------------------------------------------------------------------------------------------- files that are no weights


class Boom:
    """What a pickle may do to whoever opens it."""

    def __reduce__(self):
        return print, ("this must not run",)


def changed(**tensors):
    """The reference's weights with some tensors exchanged."""
    return save({**load(WEIGHTS), **tensors})


BROKEN = {
    "truncated": (WEIGHTS[: len(WEIGHTS) // 2], "cannot be read as a safetensors file"),
    "empty": (b"", "it is empty"),
    "pickle": (pickle.dumps(Boom(), 4), "it looks like one written by torch.save or pickle"),
    "header that lies about its length": (
        (2**62).to_bytes(8, "little") + WEIGHTS[8:], "cannot be read as a safetensors file"
    ),
    "header that lies about the data": (
        WEIGHTS.replace(b'"shape":[15,64]', b'"shape":[99,64]'), "cannot be read as a safetensors file"
    ),
    "of another model": (save({"weight": torch.zeros(3)}), "The trained weights do not fit TinyGPT(15, 64, 4, 2, 16)"),
    "NaN": (changed(**{"logits.weight": torch.full((15, 64), torch.nan)}), "nan"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_files_that_are_no_weights(grade, capfd, kind):
    """A clear text in the question that needs them, no crash, nothing run, and no other question lost."""
    data, why = BROKEN[kind]
    graded = grade(solution(RIGHT, data))
    assert graded.result.status == "graded"
    assert set(graded.lost) == {"q3"}
    assert why in graded.text("q3")
    assert graded.result.leaderboard == {}
    assert "this must not run" not in "".join(capfd.readouterr())


def test_weights_of_two_gigabytes_and_others_in_one_run(tmp_path):
    """The command itself, on folders: a sparse file of 2 GB is not read, a broken one is told, all are graded."""
    large, broken = tmp_path / "class" / "large", tmp_path / "class" / "broken"
    for folder in (large, broken):
        folder.mkdir(parents=True)
        (folder / "language_model.py").write_text(RIGHT, encoding="utf-8")
    with (large / "weights.safetensors").open("wb") as file:
        file.write(WEIGHTS)
        file.truncate(2 << 30)
    (broken / "weights.safetensors").write_bytes(pickle.dumps(Boom(), 2))
    command = [sys.executable, "-m", "autograder", "grade", "language_model", str(tmp_path / "class")]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, timeout=300, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "this must not run" not in done.stdout + done.stderr
    with (tmp_path / "out" / "grades.csv").open(encoding="utf-8") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    for name, why in (("large", "larger than 4 MB, so it was not read"), ("broken", "torch.save or pickle")):
        assert rows[name]["status"] == "graded"
        assert float(rows[name]["score"]) == ASSIGNMENT.possible - 8  # the two cases of the goal
        result = json.loads((tmp_path / "out" / "results" / f"{name}.json").read_text(encoding="utf-8"))
        assert why in "".join(entry["output"] for entry in result["tests"])


def test_a_zip_bomb_for_weights(tmp_path):
    """A gigabyte of zeros, a megabyte when packed, is unpacked as far as a file of weights may go."""
    path = tmp_path / "upload.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as target:
        target.writestr("language_model.py", RIGHT)
        with target.open("weights.safetensors", "w", force_zip64=True) as member:
            for _ in range(256):
                member.write(bytes(4 << 20))
    read = submission.read(path, "upload", ASSIGNMENT)
    assert max(map(len, read.files.values())) <= (4 << 20) + 1


# ------------------------------------------------------------------------------------------- the notebook and GPT-2


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A folder with a tiny GPT-2 of random weights and a byte-level tokenizer, in a folder "gpt2" as the hub's."""
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    place = tmp_path_factory.mktemp("hub")
    vocabulary = {symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    byte_level = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    transformers.PreTrainedTokenizerFast(tokenizer_object=byte_level).save_pretrained(place / "gpt2")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=256, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(place / "gpt2")
    return place


TEXTS = ["27+38=65", "The cat sat on the mat.", "x", "9-4=5"]


def test_compare_with_a_tiny_gpt2(gpt2):
    """With a real model and a real tokenizer: the library's own loss, weighted by the number of predictions."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(gpt2 / "gpt2").eval()
    tokenizer = AutoTokenizer.from_pretrained(gpt2 / "gpt2")
    total, count = 0.0, 0
    for ids in (tokenizer(text, return_tensors="pt")["input_ids"] for text in TEXTS if len(text) > 1):
        with torch.no_grad():
            total += model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    for compare in (load_reference(ASSIGNMENT)["compare_with_gpt2"], *honest_comparisons()):
        found = compare(TEXTS, model, tokenizer)
        assert found == pytest.approx(torch.tensor(total / count).exp().item(), rel=1e-4)


def honest_comparisons():
    for path in HONEST:
        namespace = {"__name__": path.stem}
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
        yield namespace["compare_with_gpt2"]


def test_pretrained_by_name(gpt2, monkeypatch):
    """Without a model it loads "gpt2" as the library does: from a folder of that name, or else from the hub."""
    monkeypatch.chdir(gpt2)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    compare = load_reference(ASSIGNMENT)["compare_with_gpt2"]
    found = compare(TEXTS)
    assert 150 < found < 450  # random weights, 256 tokens: near 256
