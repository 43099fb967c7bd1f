"""q4: class NLIClassifier, by what it does, and the goal."""

import torch
import torch.nn.functional as F
from otter.test_files import test_case

from autograder.checks import Mistake, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q4"
all_or_nothing = False
# A change that must not be seen: logits in float32, from the same row alone and beside others, moved by up to 2e-6.
# What must be seen moved them by 1e-2 and more, in models whose parameters all differ.
UNMOVED = 1e-4
MOVED = 1e-3
SIZES = (9, 12, 3, 1, 12)  # vocab_size, d_model, n_heads, n_layers, max_len
CALL = "NLIClassifier(9, 12, 3, 1, 12)(ids)"


def row(premise, hypothesis, length=0):
    """[cls] premise [sep] hypothesis [sep], filled up to a length."""
    ids = [2, *premise, 3, *hypothesis, 3]
    return ids + [0] * (length - len(ids))


ROWS = torch.tensor([row([4, 5, 6], [7, 8, 4]), row([5], [6, 4], 9), row([8, 8, 4, 5], [7, 4])])


@torch.no_grad()
def in_use(model, seed=0):
    """A model in eval mode whose parameters all differ from each other, as after a training.

    Layers that begin at zero, and tables that begin small, would otherwise hide what depends on what.
    """
    noise = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=noise))
    return model.eval()


@torch.no_grad()
def probabilities(model, ids, what):
    """Logarithms of the probabilities: a constant added to the logits of a row is no difference."""
    found = check_shape(model(ids), (len(ids), 3), what=what)
    assert found.is_floating_point(), (
        f"{what} has dtype {found.dtype}, but logits are floating point numbers."
    )
    assert found.isfinite().all(), f"{what} contains NaN or infinity."
    return found.log_softmax(-1)


def change(one, other):
    return (one - other).abs().max().item()


@test_case(
    name="three logits for each pair",
    points=1,
    hidden=False,
    failure_message="ids of shape (B, L) give logits of shape (B, 3), for each variant.",
)
def test_shape(NLIClassifier):
    for variant in ("vanilla", "sparse", "moe"):
        model = NLIClassifier(*SIZES, variant=variant).eval()
        probabilities(model, ROWS, f"NLIClassifier(9, 12, 3, 1, 12, variant={variant!r})(ids)")


@test_case(
    name="padding changes nothing",
    points=2,
    hidden=False,
    failure_message="Ids of 0 on the right must not be looked at: mask them as keys in every layer, in every "
    "variant, and "
    "do not average over them.",
)
def test_padding(NLIClassifier):
    for variant in ("vanilla", "sparse", "moe"):
        model = in_use(NLIClassifier(9, 12, 3, 2, 12, variant=variant))
        short, long = ROWS[1:2, :6], torch.tensor([row([5], [6, 4], 12)])
        what = f"NLIClassifier(9, 12, 3, 2, 12, variant={variant!r})(ids)"
        found = change(probabilities(model, short, what), probabilities(model, long, what))
        assert found < UNMOVED, f"With six [pad] behind the pair, {what} moved by {found:.2g}."


@test_case(
    name="both sentences count",
    points=2,
    hidden=False,
    failure_message="The logits depend on the words of the premise and on those of the hypothesis.",
)
def test_both(NLIClassifier):
    model = in_use(NLIClassifier(*SIZES))
    before = probabilities(model, torch.tensor([row([4, 5], [6, 7])]), CALL)
    for where, ids in {"premise": row([4, 8], [6, 7]), "hypothesis": row([4, 5], [8, 7])}.items():
        found = change(probabilities(model, torch.tensor([ids]), CALL), before)
        assert found > UNMOVED, f"A word of the {where} was changed, and the logits did not move."


@test_case(
    name="which sentence is which",
    points=2,
    hidden=True,
    failure_message="Dogs bark, so animals bark; the other way round it does not follow. Attention is a weighted "
    "mean, and "
    "a mean has no order: say where each token stands, or in which sentence.",
)
def test_order(NLIClassifier):
    for variant in ("vanilla", "sparse", "moe"):
        model = in_use(NLIClassifier(9, 12, 3, 2, 12, variant=variant))
        both = torch.tensor([row([4, 5], [6, 7]), row([6, 7], [4, 5])])
        what = f"NLIClassifier(9, 12, 3, 2, 12, variant={variant!r})(ids)"
        one, other = probabilities(model, both, what)
        text = f"Premise and hypothesis changed places, and {what} moved by {change(one, other):.2g} only."
        if change(one, other) < UNMOVED:
            raise Mistake("order_ignored", text)
        assert change(one, other) > MOVED, text


def seen_from_start(NLIClassifier, what, **options):
    """Of twelve tokens without padding, which words a change of which is seen by a one-layer model."""
    model = in_use(NLIClassifier(*SIZES, **options))
    words = [1, 2, 3, 4, 6, 7, 8, 9, 10]  # 0, 5 and 11 are [cls] and [sep]
    ids = torch.tensor([row([4, 5, 6, 7], [8, 4, 5, 6, 7])] * (1 + len(words)))
    for number, place in enumerate(words, start=1):
        ids[number, place] = 4 + (ids[number, place] - 3) % 5
    found = probabilities(model, ids, what)
    return [
        place
        for place, moved in zip(words, (found[1:] - found[:1]).abs().amax(-1), strict=True)
        if moved > UNMOVED
    ]


@test_case(
    name="what the variants see",
    points=2,
    hidden=True,
    failure_message="Read at position 0, a one-layer sparse model sees the tokens j with j < window or j % stride "
    "== 0; the "
    "other variants see all. The mask belongs into the attention, and the logits come from position 0 alone.",
)
def test_sparse(NLIClassifier):
    everything = [1, 2, 3, 4, 6, 7, 8, 9, 10]
    for window, stride in [(2, 5), (3, 4), (1, 7)]:
        what = f"NLIClassifier(9, 12, 3, 1, 12, variant='sparse', window={window}, stride={stride})(ids)"
        found = seen_from_start(NLIClassifier, what, variant="sparse", window=window, stride=stride)
        wanted = [j for j in everything if j < window or j % stride == 0]
        text = f"{what} depends on the words at {found} of 1 to 10, but {wanted} was expected."
        if found == everything:
            dense = seen_from_start(NLIClassifier, what, variant="vanilla")
            same = same_logits(NLIClassifier)
            if same and dense == everything:
                raise Mistake("sparse_is_dense", text)
        assert found == wanted, text
    for variant in ("vanilla", "moe"):
        what = f"NLIClassifier(9, 12, 3, 1, 12, variant={variant!r}, window=2, stride=5)(ids)"
        found = seen_from_start(NLIClassifier, what, variant=variant, window=2, stride=5)
        assert found == everything, (
            f"{what} depends on the words at {found} of 1 to 10, but on all was expected."
        )


def same_logits(NLIClassifier):
    """Whether a sparse and a vanilla model of the same parameters give the same logits."""
    dense, sparse = (in_use(NLIClassifier(*SIZES, variant=v)) for v in ("vanilla", "sparse"))
    values = dict(dense.named_parameters())
    if {n: p.shape for n, p in values.items()} != {n: p.shape for n, p in sparse.named_parameters()}:
        return False
    with torch.no_grad():
        for key, parameter in sparse.named_parameters():
            parameter.copy_(values[key])
    ids = torch.tensor([row([4, 5, 6, 7], [8, 4, 5, 6, 7])])
    return change(probabilities(dense, ids, CALL), probabilities(sparse, ids, CALL)) < UNMOVED


@test_case(
    name="four experts in each block",
    points=1,
    hidden=True,
    failure_message='With variant="moe", each block has four networks, of the width that the one of "vanilla" has, '
    "and a gate.",
)
def test_experts(NLIClassifier):
    counts = {}
    for variant in ("vanilla", "moe"):
        for layers in (1, 2):
            model = NLIClassifier(9, 12, 3, layers, 12, variant=variant)
            counts[variant, layers] = sum(parameter.numel() for parameter in model.parameters())
    more = [counts["moe", layers] - counts["vanilla", layers] for layers in (1, 2)]
    text = f'With one and two layers, "moe" has {more[0]} and {more[1]} parameters more than "vanilla"'
    if more == [0, 0]:
        raise Mistake("moe_is_vanilla", f"{text}.")
    # Three networks more, each with a hidden layer of at least d_model, and a gate (d_model, 4).
    least = 3 * 2 * 12 * 12 + 4 * 12
    assert more[0] >= least and more[1] >= 2 * least, f"{text}, but at least {least} a layer were expected."


def check_rows(NLIClassifier, call, **options):
    """Pass if each row has the logits that it has alone, every time; the model."""
    model, before, what = in_use(NLIClassifier(9, 12, 3, 2, 12, **options)), ROWS.clone(), f"{call}(ids)"
    whole = probabilities(model, ROWS, what)
    check_unchanged(before, ROWS, what=f"ids in {what}")
    again = change(probabilities(model, ROWS, what), whole)
    assert again < UNMOVED, f"The same ids gave other logits the second time, by {again:.2g}, in eval mode."
    for number in range(3):
        found = change(probabilities(model, ROWS[number : number + 1], what)[0], whole[number])
        assert found < UNMOVED, (
            f"Pair {number} of a batch of 3 has other logits when it is alone, by {found:.2g}: {what}."
        )
    return model


@test_case(
    name="each pair by itself, and the same every time",
    points=1,
    hidden=True,
    failure_message="No row of a batch may depend on another one, in eval mode nothing is random, the ids stay as "
    "they are, and the logits are no probabilities: the loss takes the softmax itself. With a narrow pattern, some "
    "[pad] sees nothing but [pad]: if every key is masked, the softmax is 0/0, and spoils the layers that follow.",
)
def test_batch(NLIClassifier):
    model = check_rows(NLIClassifier, "NLIClassifier(9, 12, 3, 2, 12)")
    check_rows(
        NLIClassifier,
        "NLIClassifier(9, 12, 3, 2, 12, variant='sparse', window=1, stride=7)",
        variant="sparse",
        window=1,
        stride=7,
    )
    with torch.no_grad():
        logits = model(ROWS)
    normalised = logits.min() >= 0 and torch.allclose(logits.sum(-1), torch.ones(3), atol=1e-4)
    assert not normalised, "Each row of the logits is a distribution: numbers from 0 to 1 that sum to 1."


def slope_error(model, loss):
    """How far the gradient is from what the loss does when all parameters move a little, against its usual slope.

    The median of nine directions: where a ReLU has its kink, one of them may be off. Fresh models of the reference:
    9e-4 at most, with ReLU 0.016; with scores, values or the input of the network detached, from 0.15 on.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    numbers = sum(p.numel() for p in parameters)
    usual = (sum(g.square().sum() for g in gradients) / numbers).sqrt()
    noise, errors = torch.Generator().manual_seed(5), []
    for _ in range(9):
        step = [0.003 / numbers**0.5 * torch.randn(p.shape, generator=noise) for p in parameters]
        moved = loss_beside(parameters, step, loss) - loss_beside(parameters, [-s for s in step], loss)
        said = sum((g * s).sum() for g, s in zip(gradients, step, strict=True))
        errors.append((moved / 2 - said).abs() / 0.003 / usual)
    return torch.stack(errors).median().item()


@torch.no_grad()
def loss_beside(parameters, step, loss):
    """The loss where the parameters are a step away; afterwards they are where they were."""
    before = [p.clone() for p in parameters]
    for p, s in zip(parameters, step, strict=True):
        p.add_(s)
    found = loss()
    for p, value in zip(parameters, before, strict=True):
        p.copy_(value)
    return found


@test_case(
    name="gradients, and all sizes",
    points=2,
    hidden=True,
    failure_message="All matrices must be on the way from the ids to the logits, and nothing on that way may be "
    "detached. Any sizes from 1 on are legal (vocab_size from 4), d_model a multiple of n_heads, and rows of 1 to "
    "max_len tokens.",
)
def test_gradients_and_sizes(NLIClassifier):
    model = in_use(NLIClassifier(9, 12, 3, 2, 9))
    logits = check_shape(model(ROWS), (3, 3), what="NLIClassifier(9, 12, 3, 2, 9)(ids)")
    assert logits.requires_grad, "The logits carry no gradient: look for .detach(), .data or torch.no_grad()."
    labels = torch.tensor([0, 1, 2])
    F.cross_entropy(logits, labels).backward()
    matrices = {key: p for key, p in model.named_parameters() if p.ndim >= 2 and p.requires_grad}
    assert matrices, "The model has no parameters of two dimensions."
    for key, parameter in matrices.items():
        reached = parameter.grad is not None and parameter.grad.abs().max() > 0
        assert reached, f"No gradient of the loss reaches {key}."
    error = slope_error(model, lambda: F.cross_entropy(model(ROWS), labels))
    assert error < 0.1, (
        f"The gradient of the loss is not its slope when the parameters move: it is off by {error:.0%}. Somewhere "
        "between ids and logits a part of the gradient is cut off: look for .detach(), .data or torch.no_grad()."
    )
    for sizes in [(28, 32, 4, 2, 13), (7, 6, 1, 1, 5), (4, 4, 4, 3, 1), (30, 12, 3, 1, 20)]:
        for variant in ("vanilla", "sparse", "moe"):
            model, what = in_use(NLIClassifier(*sizes, variant=variant)), f"NLIClassifier{sizes}, {variant!r}"
            for length in {1, sizes[-1]}:
                ids = torch.full((2, length), sizes[0] - 1)
                ids[:, 0] = 2
                probabilities(model, ids, f"{what}, of {length} tokens")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: in __init__ for a size below 1, when d_model is not a "
    "multiple of n_heads, "
    "for an unknown variant; in forward for ids that are not (B, L), too long or empty, or unknown.",
)
def test_bad_arguments(NLIClassifier):
    model, ids = NLIClassifier(9, 12, 3, 1, 9), ROWS
    call = "NLIClassifier(9, 12, 3, 1, 9)(ids)"
    probabilities(model.eval(), ids, call)
    for sizes in [
        (9, 12, 5, 1, 7),
        (0, 12, 3, 1, 7),
        (9, 12, 3, 0, 7),
        (9, 12, 3, 1, 0),
        (9, 12, 3, 1, 7, "dense"),
    ]:
        check_raises(ValueError, NLIClassifier, *sizes, what=f"NLIClassifier{sizes}")
    check_raises(ValueError, NLIClassifier, 9, 12, 3, 1, 7, "sparse", 0, what="NLIClassifier with window=0")
    check_raises(ValueError, model, F.pad(ids, (0, 1)), what=f"{call} with 10 tokens")
    check_raises(ValueError, model, ids[:, :0], what=f"{call} with ids of shape (3, 0)")
    check_raises(ValueError, model, ids[0], what=f"{call} with ids of shape (9,)")
    for unknown in (9, -1):
        check_raises(ValueError, model, torch.tensor([[2, unknown, 3]]), what=f"{call} with the id {unknown}")


# Trainings of the reference, judged as here (benchmarks/nli_seeds.py):
#
#     seed        0      1      2      3      4      5      6      7
#     vanilla   0.956  0.963  0.971  0.980  0.932  0.945  0.972  0.972
#     sparse    0.908  0.898  0.939  0.906  0.911  0.909  0.953  0.902
#     moe       0.951  0.934  0.973  0.940  0.921  0.974  0.927  0.965
#
# so none of 24 fails at 0.80. The reference without premises: 0.327.
def check_goal(scores, variant):
    found = scores["accuracy"]
    text = (
        f"{found:.1%} of the held-out pairs are right by your trained {variant!r} model, and 80 % are to be."
    )
    if found < 0.80 and scores["unmoved"] > 0.9:
        # With exchanged premises, the trainings above kept 33 to 35 % of their answers.
        told = (
            f"{text} With the premises of other pairs, {scores['unmoved']:.0%} of its answers stay the same."
        )
        raise Mistake("premise_ignored", told)
    assert found >= 0.80, text


def check_learned(untrained_accuracy):
    """What a fresh model knows, its code knows. Twelve fresh models of the reference: 0.30 to 0.38."""
    assert untrained_accuracy < 0.6, (
        f"A model with fresh random weights has {untrained_accuracy:.0%} of the labels right: it knows them without"
        " having learned."
    )


GOAL = (
    "Measured on pairs with held-out combinations of noun and predicate. If your own measurement is better: is the "
    "vocabulary "
    "in alphabetical order? If both are poor: train longer, and start the tables of embeddings small. If they are "
    "near one "
    "third: does the model see the premise?"
)


@test_case(name="the goal: four in five, vanilla", points=2, hidden=True, failure_message=GOAL)
def test_goal(vanilla_scores, untrained_accuracy):
    check_goal(vanilla_scores, "vanilla")
    check_learned(untrained_accuracy)


@test_case(name="the goal: four in five, sparse", points=2, hidden=True, failure_message=GOAL)
def test_goal_sparse(sparse_scores, untrained_accuracy):
    check_goal(sparse_scores, "sparse")
    check_learned(untrained_accuracy)


@test_case(name="the goal: four in five, with experts", points=2, hidden=True, failure_message=GOAL)
def test_goal_moe(moe_scores, untrained_accuracy):
    check_goal(moe_scores, "moe")
    check_learned(untrained_accuracy)
