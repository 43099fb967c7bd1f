"""What is computed once a submission for several tests: the trained model and its scores, and short trainings.

Names of functions are names that tests ask for; parameters are the student's names, the file of weights, or other
functions of this file. Everything here is plain data: tensors, numbers, dictionaries.
"""

import math
import zlib

import torch

ALPHABET = "0123456789+-=;_"
SIZES = (15, 64, 4, 2, 16)  # vocab_size, d_model, n_heads, n_layers, max_len
STEPS = 1000
SMALL = (15, 32, 2, 1, 16)  # the model of the short trainings

# Texts of a made-up arithmetic in which all results that may be learned from are 37, and those that may not are 64. So
# it shows at once which ones a model was trained on. Operands have two digits: all texts have the same length.
_OPERANDS = [f"{a}{sign}{b}" for a, b in zip(range(12, 50), range(11, 49), strict=True) for sign in "+-"]


def _ids(text):
    return [ALPHABET.index(character) for character in text]


def _is_held_out(problem):
    question = problem.split("=")[0]
    sign = "+" if "+" in question else "-"
    small, large = sorted(int(number) for number in question.split(sign))
    return zlib.crc32(f"{small}{sign}{large}".encode()) % 10 == 3


def _all_problems():
    pairs = [(a, b) for a in range(50) for b in range(50)]
    return [f"{a}+{b}={a + b}" for a, b in pairs] + [f"{a}-{b}={a - b}" for a, b in pairs if a >= b]


_LEARNED = [f"{question}=37" for question in _OPERANDS if not _is_held_out(question)]
_UNSEEN = [f"{question}=64" for question in _OPERANDS if _is_held_out(question)]


def _new(TinyGPT, sizes):
    """A model, or an error that says that there is none."""
    model = TinyGPT(*sizes)
    assert isinstance(model, torch.nn.Module), "TinyGPT is not implemented yet: it is to be an nn.Module."
    return model


def _logits(model, ids):
    """The model's logits, or an error that says what is wrong with them."""
    with torch.no_grad():
        found = model(ids)
    assert found is not None, "forward of TinyGPT returned None: it is not implemented yet."
    shape = (*ids.shape, 15)
    assert isinstance(found, torch.Tensor), (
        f"forward of TinyGPT returned a value of type {type(found).__name__}."
    )
    assert tuple(found.shape) == shape, (
        f"The logits have shape {tuple(found.shape)}, but {shape} was expected."
    )
    return found.double()


# ------------------------------------------------------------------------------------------------ the trained model


def trained(TinyGPT, train, weights):
    """The trained model: its state, and the record of its training, from the file or else by training it now."""
    if weights is not None:
        record = {name: value for name, value in weights.items() if name.startswith("history.")}
        state = {name: value for name, value in weights.items() if name not in record}
        return {"state": state, "history": {name[8:]: value.tolist() for name, value in record.items()}}
    model = _new(TinyGPT, SIZES)
    history = train(model, _all_problems(), STEPS, 0)
    return {"state": dict(model.state_dict()), "history": history if isinstance(history, dict) else {}}


def history(trained):
    """The record of the training: lists of equal length."""
    return trained["history"]


def held_out_scores(TinyGPT, trained):
    """Perplexity of the held-out answers and the share of them that is right in full, from prefixes alone.

    For each symbol of an answer, the model sees the symbols before it and nothing else. All prefixes of one length go
    over in one call, the short ones first, so that nothing a model may remember of one call helps in a later one.
    """
    model = _new(TinyGPT, SIZES)
    _load(model, trained["state"])
    return _scores(model.eval())


def _load(model, state):
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise AssertionError(
            f"The trained weights do not fit TinyGPT{SIZES}: was the file written by another version of your model?"
            f" {str(error)[:500]}"
        ) from None


def _scores(model):
    by_length = {}
    for number, problem in enumerate(filter(_is_held_out, _all_problems())):
        ids = _ids(problem + ";")
        for end in range(problem.index("=") + 1, len(ids)):
            by_length.setdefault(end, []).append((number, ids[:end], ids[end]))
    total, count, right = 0.0, 0, {}
    for _, rows in sorted(by_length.items()):
        numbers, prefixes, targets = zip(*rows, strict=True)
        logits = _logits(model, torch.tensor(prefixes))[:, -1]
        losses = torch.nn.functional.cross_entropy(logits, torch.tensor(targets), reduction="none")
        hits = logits.argmax(-1) == torch.tensor(targets)
        total, count = total + losses.sum().item(), count + len(rows)
        for number, hit in zip(numbers, hits.tolist(), strict=True):
            right[number] = right.get(number, True) and hit
    mean = total / count
    return {"perplexity": math.exp(min(mean, 700.0)), "exact_match": sum(right.values()) / len(right)}


def held_out_perplexity(held_out_scores):
    """The perplexity of the held-out answers: the number of the leaderboard."""
    return held_out_scores["perplexity"]


def untrained_scores(TinyGPT):
    """The same scores for a model of random weights: what an answer owes to the code instead of the weights."""
    return _scores(_new(TinyGPT, SIZES).eval())


def example_maps(TinyGPT, attention_maps, trained):
    """The attention maps of the trained model for one solved problem."""
    model = _new(TinyGPT, SIZES)
    _load(model, trained["state"])
    return attention_maps(model.eval(), torch.tensor(_ids("27+38=65;")))


# ------------------------------------------------------------------------------------------------- short trainings


def short_training(TinyGPT, train):
    """200 updates of a small model on the made-up problems: its record, and what the model then predicts.

    The loss on what was learned, and on what was not, is taken of whole texts: a model that looks ahead is the business
    of another question.
    """
    model = _new(TinyGPT, SMALL)
    history = train(model, _LEARNED + _UNSEEN, 200, 0)
    model.eval()
    learned, unseen = (torch.tensor([_ids(p + ";") for p in part]) for part in (_LEARNED, _UNSEEN))
    spectra = [
        torch.linalg.svdvals(p.detach().double()).tolist()
        for p in model.parameters()
        if tuple(p.shape) in ((15, 32), (32, 15))
    ]
    return {
        "history": history, "spectra": spectra,
        "learned": _losses(model, learned), "unseen": _losses(model, unseen),
        "predicted": _logits(model, learned[:, :-1]).argmax(-1), "learned_ids": learned,
    }  # fmt: skip


def _losses(model, ids):
    """Negative log-likelihood of each symbol but the first: (texts, symbols - 1). The answer's are the last three."""
    logits = _logits(model, ids[:, :-1])
    return torch.nn.functional.cross_entropy(logits.mT, ids[:, 1:], reduction="none")


def repeated_trainings(TinyGPT, train):
    """All parameters after five updates from one start: with seed 1, with seed 1 again, with seed 2; and the start."""
    model = _new(TinyGPT, SMALL)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    problems = _all_problems()[::9]
    ends = [torch.cat([p.flatten() for p in start])]
    for seed in (1, 1, 2):
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), start, strict=True):
                parameter.copy_(value)
        train(model, problems, 5, seed)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    return dict(zip(("start", "first", "again", "other"), ends, strict=True))
