"""q4: train(model, problems, steps, seed), judged by short trainings on made-up problems."""

import math

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_raises

OK_FORMAT = False
name = "q4"
all_or_nothing = False
LISTS = ("step", "loss", "perplexity", "singular_values")
# 15+3 and 10-4 are held out, the other four are not
PROBLEMS = ["12+5=37", "13+5=37", "20-4=37", "22-4=37", "15+3=64", "10-4=64"]


def check_history(history, steps, what):
    """The four lists; what they hold is looked at elsewhere."""
    assert history is not None, (
        f"{what} returned None: it is not implemented yet, or its return statement is missing."
    )
    assert isinstance(history, dict), (
        f"{what} returned a value of type {type(history).__name__}, but a dict was expected."
    )
    for name in LISTS:
        assert isinstance(history.get(name), list), f"{what} returned a dict without a list named {name!r}."
    lengths = {name: len(history[name]) for name in LISTS}
    assert len(set(lengths.values())) == 1, f"The lists of {what} have different lengths: {lengths}."
    found = history["step"]
    assert len(found) >= 2, (
        f"{what} has {len(found)} rows, but one before and one after the training were expected."
    )
    assert found[0] == 0, f"The first row of {what} is of step {found[0]}, but 0 was expected."
    assert found[-1] == steps, f"The last row of {what} is of step {found[-1]}, but {steps} was expected."
    assert sorted(set(found)) == found, f"The steps of {what} do not grow: {found}."
    for name in ("loss", "perplexity"):
        for value in history[name]:
            assert isinstance(value, float) and math.isfinite(value), (
                f"{name!r} of {what} holds {value!r}, but Python floats were expected (a tensor's .item())."
            )


@test_case(
    name="the record of a training",
    points=2,
    hidden=False,
    failure_message="Return a dict of four lists of equal length: step, loss, perplexity, singular_values. The "
    "first row is of step 0, before any update, the last one of step `steps`, after all of them.",
)
def test_record(TinyGPT, train):
    history = train(TinyGPT(15, 16, 2, 1, 12), PROBLEMS, 5, 0)
    check_history(history, 5, "train(model, problems, 5, 0)")
    for row in history["singular_values"]:
        assert isinstance(row, list) and len(row) == 15, (
            "Each row of 'singular_values' is a list: the 15 singular values of a 15 x 16 table of embeddings."
        )


@test_case(
    name="the model learns",
    points=2,
    hidden=False,
    failure_message="In these problems every answer is 37, so the loss falls at once. The model itself must "
    "change: its parameters are updated in place.",
)
def test_learns(TinyGPT, train):
    model = TinyGPT(15, 16, 2, 1, 12)
    history = train(model, PROBLEMS, 20, 0)
    check_history(history, 20, "train(model, problems, 20, 0)")
    first, last = history["loss"][0], history["loss"][-1]
    assert last < first, f"The loss was {first:.3f} before and {last:.3f} after 20 steps: it is to fall."


@test_case(
    name="it learns what stands after the =",
    points=2,
    hidden=True,
    failure_message="After 200 steps on problems whose answers are all 37, the model is to know that. Row i of "
    "the logits predicts symbol i + 1; the loss is to count the symbols of the answers, the end "
    "included.",
)
def test_answers(short_training):
    check_history(short_training["history"], 200, "train(model, problems, 200, 0)")
    losses, predicted, ids = (short_training[name] for name in ("learned", "predicted", "learned_ids"))
    found = losses[:, -3:].mean().exp().item()
    text = f"After 200 steps the perplexity of the answers that were trained on is {found:.3g}, and is to be below 1.5."
    if found < 1.5:
        return  # the reference: 1.02; with a tenth of its learning rate: 1.27
    if torch.equal(predicted[:, -2:], ids[:, -3:-1]):
        raise Mistake(
            "targets_not_shifted", f"{text} It repeats each digit of the answer instead of going on."
        )
    operands = losses[:, 1:-3].mean().exp().item()
    if found > 6 and operands < 6:
        raise Mistake(
            "operands_only", f"{text} That of the operands is {operands:.3g}: it has learned those instead."
        )
    raise AssertionError(text)


@test_case(
    name="nothing is learned from held-out problems",
    points=2,
    hidden=True,
    failure_message="Take out the problems for which is_held_out(problem) is true before the first step. Here "
    "their answers are 64, the others 37: whoever has never seen a 64 does not expect one.",
)
def test_held_out(short_training):
    learned, unseen = (short_training[name][:, -3:].mean().exp().item() for name in ("learned", "unseen"))
    assert learned < 1.5, (
        f"The perplexity of the answers that were trained on is {learned:.3g}: too much to tell."
    )
    if unseen < 6:  # the reference: 213, with a tenth of its learning rate 26; trained on both: 1.5
        text = f"The perplexity of the held-out answers is {unseen:.3g}: the model has seen them."
        raise Mistake("trained_on_held_out", text)


@test_case(
    name="the perplexity is that of the held-out answers",
    points=2,
    hidden=True,
    failure_message="In the last row, after all updates: one mean over all symbols of the answers, ends included,"
    " of all held-out problems, and of no others.",
)
def test_perplexity(short_training):
    history = short_training["history"]
    check_history(history, 200, "train(model, problems, 200, 0)")
    found = math.log(max(history["perplexity"][-1], 1e-300))
    learned, unseen = (short_training[name][:, -3:].mean().item() for name in ("learned", "unseen"))
    # in float32, a loss of 10 is right to 1e-5; the two losses are 5 and more apart
    if abs(found - unseen) <= 1e-2:
        return
    text = (
        f"The last perplexity in the record is {math.exp(found):.4g}. By this model, that of the held-out answers is"
        f" {math.exp(unseen):.4g}"
    )
    if abs(found - learned) <= 1e-2 < abs(learned - unseen) / 4:
        text += f", and {math.exp(learned):.4g} is that of the answers that were trained on."
        raise Mistake("evaluated_on_training_problems", text)
    raise AssertionError(f"{text}.")


@torch.no_grad()
def answer_losses(model, problem):
    """The losses of the symbols of one answer and of its end."""
    ids = torch.tensor([["0123456789+-=;_".index(symbol) for symbol in problem + ";"]])
    losses = torch.nn.functional.cross_entropy(model(ids[:, :-1]).mT, ids[:, 1:], reduction="none")
    return losses[0, problem.index("=") :]


def check_perplexity(history, losses):
    """Pass if the last perplexity in the record is that of these losses."""
    found, expected = history["perplexity"][-1], losses.double().mean().exp().item()
    assert abs(found / expected - 1) <= 1e-2, (
        f"The last perplexity in the record is {found:.4g}, but that of the held-out answers 18; and 6; is"
        f" {expected:.4g}."
    )


@torch.no_grad()
def looks_ahead(model):
    """Whether the logits of four symbols change when more follow: q3's matter, and then padding changes losses."""
    ids = torch.tensor([[1, 5, 10, 3, 12, 1, 8, 13]])  # 15+3=18;
    return bool((model(ids)[:, :4] - model(ids[:, :4])).abs().max() > 1e-4)


@test_case(
    name="answers of one digit and of two; one problem of each kind",
    points=1,
    hidden=True,
    failure_message="Texts are of different length: what was appended to the shorter ones is no symbol of an answer. "
    "The last row of the record is of step `steps`, whatever number that is.",
)
def test_lengths(TinyGPT, train):
    model, problems = (
        TinyGPT(15, 16, 2, 1, 12),
        ["12+5=17", "13+5=18", "20-4=16", "22-4=18", "15+3=18", "10-4=6"],
    )
    history = train(model, problems, 83, 0)
    check_history(history, 83, "train(model, problems, 83, 0)")
    if not looks_ahead(model.eval()):
        check_perplexity(history, torch.cat([answer_losses(model, problem) for problem in problems[4:]]))
    check_history(train(model, [PROBLEMS[0], PROBLEMS[4]], 1, 0), 1, "train(model, two problems, 1, 0)")


@test_case(
    name="the singular values of the embedding",
    points=1,
    hidden=True,
    failure_message="torch.linalg.svdvals of the table with one row for each symbol, as it is after the step of "
    "the row; largest first, as a list of floats.",
)
def test_singular_values(short_training):
    history = short_training["history"]
    check_history(history, 200, "train(model, problems, 200, 0)")
    last, spectra = (
        torch.tensor(history["singular_values"][-1], dtype=torch.float64),
        short_training["spectra"],
    )
    assert last.shape == (15,), (
        f"The last singular values have shape {tuple(last.shape)}, but (15,) was expected."
    )
    candidates = [torch.tensor(spectrum, dtype=torch.float64) for spectrum in spectra]
    errors = [(last - candidate).abs().max() for candidate in candidates]
    if any(error < 1e-3 for error in errors):  # float32 tables with values of 0.1 to 10
        return
    text = (
        "The last singular values in the record are not those of a table of embeddings of the trained model."
    )
    if any((last - candidate.square()).abs().max() < 1e-3 for candidate in candidates):
        raise Mistake("squared_singular_values", f"{text} They are the squares.")
    raise AssertionError(text)


@test_case(
    name="the seed decides",
    points=1,
    hidden=True,
    failure_message="Draw the problems of each step with a generator that is seeded with `seed`, so that the same"
    " seed gives the same training, whatever ran before, and another seed another one.",
)
def test_seed(repeated_trainings):
    start, first, again, other = (repeated_trainings[name] for name in ("start", "first", "again", "other"))
    assert (first - start).abs().max() > 0, (
        "The parameters of the model are the same after the training as before."
    )
    # Adam's first steps are as large as the learning rate, whatever the gradient: trainings that differ are 1e-3 apart
    if (first - again).abs().max() > 1e-5:
        text = "The same model, problems, steps and seed gave another result the second time."
        raise Mistake("seed_ignored", text)
    assert (first - other).abs().max() > 1e-5, "Seeds 1 and 2 gave the same result: the seed is not used."


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for steps below 1, and for problems of which none or all are"
    " held out: there is nothing to measure on, or nothing to learn from.",
)
def test_bad_arguments(TinyGPT, train):
    model = TinyGPT(15, 16, 2, 1, 12)
    check_history(train(model, PROBLEMS, 1, 0), 1, "train(model, problems, 1, 0)")
    check_raises(ValueError, train, model, PROBLEMS, 0, 0, what="train(model, problems, 0, 0)")
    for part, word in ((PROBLEMS[:4], "none"), (PROBLEMS[4:], "all"), ([], "none")):
        what = f"train(model, {len(part)} problems of which {word} are held out, 1, 0)"
        check_raises(ValueError, train, model, part, 1, 0, what=what)
