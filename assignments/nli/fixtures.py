"""What is computed once a submission for several tests: the three trained models and their scores, and short trainings.

The held-out pairs are the judge's own: drawn by the grammar of the handout from a seed that no submission knows, and
encoded here, so that they depend on no function of the student's. Everything here is plain data.
"""

import functools
import random
import time
import zlib

import torch

VARIANTS = ("vanilla", "sparse", "moe")
SIZES = (28, 32, 4, 2, 13)  # vocab_size, d_model, n_heads, n_layers, max_len
STEPS = 600
N_TRAINING, N_HELD_OUT = 20000, 2000
TRAINING_SEED, TEST_SEED = 0, 7193  # the training part is the handout's
SMALL = (10, 16, 2, 1, 5)  # the model of the short trainings

# ------------------------------------------------------------------------------------------------------- the grammar

KINDS = ("poodles", "terriers", "tabbies", "persians", "robins", "owls")
NOUNS = {kind: {kind} for kind in KINDS} | {
    "dogs": set(KINDS[:2]),
    "cats": set(KINDS[2:4]),
    "birds": set(KINDS[4:]),
    "pets": set(KINDS[:4]),
    "animals": set(KINDS),
}
STATES = {
    (a, p) for a in ("asleep", "eating", "playing", "waiting") for p in ("upstairs", "downstairs", "outdoors")
}
ACTIVITIES = {w: {s for s in STATES if s[0] == w} for w in ("asleep", "eating", "playing")}
ACTIVITIES["awake"] = STATES - ACTIVITIES["asleep"]
PLACES = {w: {s for s in STATES if s[1] == w} for w in ("upstairs", "downstairs", "outdoors")}
PLACES["indoors"] = STATES - PLACES["outdoors"]
PREDICATES = ACTIVITIES | PLACES
FORMS = {
    "all {} are {}": (False, True),
    "some {} are {}": (True, False),
    "no {} are {}": (False, False),
    "not all {} are {}": (True, True),
    "some {} are not {}": (True, True),
}
SENTENCES = [(form, noun, predicate) for form in FORMS for noun in NOUNS for predicate in PREDICATES]
WORDS = sorted(
    {word for form in FORMS for word in form.replace("{}", "").split()} | NOUNS.keys() | PREDICATES.keys()
)
IDS = {word: number for number, word in enumerate(WORDS, start=4)}


def _claim(sentence):
    form, noun, predicate = sentence
    something, outside = FORMS[form]
    return something, NOUNS[noun], STATES - PREDICATES[predicate] if outside else PREDICATES[predicate]


def _exclude(one, other):
    (something, kinds, states), (other_something, other_kinds, other_states) = one, other
    if something and other_something:
        return False
    if not something and not other_something:
        return bool(kinds & other_kinds) and states | other_states == STATES
    return (kinds <= other_kinds and states <= other_states) if something else _exclude(other, one)


def _relation(premise, hypothesis):
    given, (something, kinds, states) = _claim(premise), _claim(hypothesis)
    if _exclude(given, (not something, kinds, states)):
        return 0
    return 2 if _exclude(given, (something, kinds, states)) else 1


def _is_held_out(sentence):
    return zlib.crc32(f"{sentence[1]} {sentence[2]}".encode()) % 6 == 0


def _by_label(hypothesis, premises):
    found = [[], [], [], []]
    for premise in premises:
        topics = {hypothesis[2] in ACTIVITIES, premise[2] in ACTIVITIES}
        related = len(topics) == 1 and NOUNS[hypothesis[1]] & NOUNS[premise[1]]
        found[_relation(premise, hypothesis) if related else 3].append(premise)
    return found


@functools.cache
def _pairs(n, held_out, seed):
    """n triples (premise, hypothesis, label): a hypothesis, then its label, then a premise that gives it."""
    hypotheses = [sentence for sentence in SENTENCES if _is_held_out(sentence) == held_out]
    premises = SENTENCES if held_out else hypotheses
    rng, known, pairs = random.Random(seed), {}, []
    while len(pairs) < n:
        hypothesis, label = rng.choice(hypotheses), rng.randrange(3)
        if hypothesis not in known:
            known[hypothesis] = _by_label(hypothesis, premises)
        group = known[hypothesis][3 if label == 1 and rng.random() < 0.2 else label]
        if group:
            pairs.append((rng.choice(group), hypothesis, label))
    return pairs


def _words(sentence):
    form, noun, predicate = sentence
    return [IDS[word] for word in form.format(noun, predicate).split()]


def _encoded(pairs, length=SIZES[-1]):
    rows = [[2, *_words(premise), 3, *_words(hypothesis), 3] for premise, hypothesis, _ in pairs]
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


@functools.cache
def _data(n, held_out, seed):
    pairs = _pairs(n, held_out, seed)
    return _encoded(pairs), torch.tensor([label for _, _, label in pairs])


# ------------------------------------------------------------------------------------------------ the trained models


def _new(NLIClassifier, sizes, **options):
    """A model, or an error that says that there is none."""
    model = NLIClassifier(*sizes, **options)
    assert isinstance(model, torch.nn.Module), (
        "NLIClassifier is not implemented yet: it is to be an nn.Module."
    )
    assert any(True for _ in model.parameters()), (
        "NLIClassifier is not implemented yet: it has no parameters."
    )
    return model


def _logits(model, ids):
    """The model's logits, or an error that says what is wrong with them."""
    with torch.no_grad():
        found = model(ids)
    assert found is not None, "forward of NLIClassifier returned None: it is not implemented yet."
    assert isinstance(found, torch.Tensor), (
        f"forward of NLIClassifier returned a value of type {type(found).__name__}."
    )
    assert tuple(found.shape) == (len(ids), 3), (
        f"The logits have shape {tuple(found.shape)}, but {(len(ids), 3)} was expected."
    )
    assert found.isfinite().all(), "The logits of NLIClassifier contain NaN or infinity."
    return found.double()


def _trained(NLIClassifier, train, weights, variant):
    """The state of one trained model and the record of its training, from the file or else by training it now."""
    if weights is not None:
        state, record = f"{variant}.", f"history.{variant}."
        return {
            "state": {k.removeprefix(state): v for k, v in weights.items() if k.startswith(state)},
            "history": {
                k.removeprefix(record): v.tolist() for k, v in weights.items() if k.startswith(record)
            },
        }
    model = _new(NLIClassifier, SIZES, variant=variant)
    history = train(model, *_data(N_TRAINING, False, TRAINING_SEED), STEPS, 0)
    return {"state": dict(model.state_dict()), "history": history if isinstance(history, dict) else {}}


def trained_vanilla(NLIClassifier, train, weights):
    return _trained(NLIClassifier, train, weights, "vanilla")


def trained_sparse(NLIClassifier, train, weights):
    return _trained(NLIClassifier, train, weights, "sparse")


def trained_moe(NLIClassifier, train, weights):
    return _trained(NLIClassifier, train, weights, "moe")


def _model(NLIClassifier, trained, variant):
    """The model with the weights that it was trained to."""
    model = _new(NLIClassifier, SIZES, variant=variant)
    try:
        model.load_state_dict(trained["state"])
    except RuntimeError as error:
        raise AssertionError(
            f"The trained weights do not fit NLIClassifier{SIZES} with variant={variant!r}: was the file written by"
            f" another version of your model? {str(error)[:500]}"
        ) from None
    return model.eval()


def _scores(model):
    """How the model does on the held-out pairs, and when each hypothesis gets the premise of another pair."""
    ids, labels = _data(N_HELD_OUT, True, TEST_SEED)
    pairs = _pairs(N_HELD_OUT, True, TEST_SEED)
    exchanged = [(other[0], *pair[1:]) for pair, other in zip(pairs, pairs[1:] + pairs[:1], strict=True)]
    started = time.perf_counter()
    predicted = _logits(model, ids).argmax(-1)
    seconds = time.perf_counter() - started
    return {
        "accuracy": (predicted == labels).double().mean().item(),
        "confusion": torch.bincount(3 * labels + predicted, minlength=9).view(3, 3),
        "unmoved": (_logits(model, _encoded(exchanged)).argmax(-1) == predicted).double().mean().item(),
        "seconds": seconds,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


def vanilla_scores(NLIClassifier, trained_vanilla):
    """The scores of the vanilla variant."""
    return _scores(_model(NLIClassifier, trained_vanilla, "vanilla"))


def sparse_scores(NLIClassifier, trained_sparse):
    """The scores of the sparse variant."""
    return _scores(_model(NLIClassifier, trained_sparse, "sparse"))


def moe_scores(NLIClassifier, trained_moe):
    """The scores of the variant with experts."""
    return _scores(_model(NLIClassifier, trained_moe, "moe"))


def best_accuracy(vanilla_scores, sparse_scores, moe_scores):
    """The held-out accuracy of the best variant: the number of the leaderboard."""
    return max(scores["accuracy"] for scores in (vanilla_scores, sparse_scores, moe_scores))


def untrained_accuracy(NLIClassifier):
    """The accuracy of models of random weights: what an answer owes to the code instead of the weights."""
    ids, labels = _data(N_HELD_OUT, True, TEST_SEED)
    models = [_new(NLIClassifier, SIZES, variant=variant).eval() for variant in VARIANTS]
    return max((_logits(model, ids).argmax(-1) == labels).double().mean().item() for model in models)


def histories(trained_vanilla, trained_sparse, trained_moe):
    """The records of the three trainings."""
    trained = (trained_vanilla, trained_sparse, trained_moe)
    return {variant: found["history"] for variant, found in zip(VARIANTS, trained, strict=True)}


# ------------------------------------------------------------------------------------------------- short trainings


def _toy(n, seed):
    """Rows [cls] a [sep] b [sep], (n, 5), and their labels. One word tells the label, the other one is [unk].

    In even rows it is the premise's word (4 to 6), in odd ones the hypothesis' (7 to 9).
    """
    labels = torch.randint(3, (n,), generator=torch.Generator().manual_seed(seed))
    ids = torch.tensor([2, 1, 3, 1, 3]).repeat(n, 1)
    ids[::2, 1], ids[1::2, 3] = 4 + labels[::2], 7 + labels[1::2]
    return ids, labels


def short_training(NLIClassifier, train):
    """121 updates of a small model on the toy rows: its record, and how much of what each sentence tells it then knows.

    Not a round number: who records every second or third step must not forget the last one.
    `sees` says whether the model's logits depend on each sentence at all: the business of another question.
    """
    model = _new(NLIClassifier, SMALL)
    ids, labels = _toy(600, 1)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    history = train(model, ids, labels, 121, 0)
    model.eval()
    moved = max((a - b).abs().max().item() for a, b in zip(before, model.parameters(), strict=True))
    logits = _logits(model, ids)
    right = (logits.argmax(-1) == labels).double()
    rows = {"premise": slice(0, None, 2), "hypothesis": slice(1, None, 2)}
    return {
        "history": history, "moved": moved,
        "accuracy": {name: right[part].mean().item() for name, part in rows.items()},
        "sees": {name: logits[part].std(0).max().item() > 1e-6 for name, part in rows.items()},
        "loss": torch.nn.functional.cross_entropy(logits, labels).item(),
    }  # fmt: skip


def repeated_trainings(NLIClassifier, train):
    """All parameters after five updates from one start: with seed 1, with seed 1 again, with seed 2; and the start."""
    model = _new(NLIClassifier, SMALL)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    ids, labels = _toy(600, 2)
    ends = [torch.cat([p.flatten() for p in start])]
    for seed in (1, 1, 2):
        with torch.no_grad():
            for parameter, value in zip(model.parameters(), start, strict=True):
                parameter.copy_(value)
        train(model, ids, labels, 5, seed)
        ends.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    return dict(zip(("start", "first", "again", "other"), ends, strict=True))
