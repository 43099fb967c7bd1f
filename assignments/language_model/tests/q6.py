"""q6: attention_maps(model, ids), judged by whether the maps explain what the model does."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q6"
all_or_nothing = False


def texts(count, length, symbols, seed):
    return torch.randint(symbols, (count, length), generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def in_use(model, seed=0, size=0.3):
    """A model in eval mode whose parameters all differ from each other, as after a training."""
    noise = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.add_(size * torch.randn(parameter.shape, generator=noise))
    return model.eval()


@torch.no_grad()
def probabilities(model, ids):
    return model(ids).log_softmax(-1)


def looks_ahead(model, ids):
    """Whether earlier logits depend on the last symbol: then its maps do as well, and q3 is where to mend it."""
    changed = ids.clone()
    changed[-1] = (ids[-1] + 1) % 9
    before, after = probabilities(model, torch.stack([ids, changed]))
    return bool((before - after)[:-1].abs().max() > 1e-4)


def check_maps(found, shape, what):
    """Weights of that shape: rows that sum to 1. float32: rows were seen to be off by 2e-7."""
    maps = check_shape(found, shape, what=what)
    assert maps.is_floating_point() and maps.isfinite().all(), f"{what} holds what is not a finite number."
    assert maps.min() >= 0, f"{what} holds {maps.min().item():.3g}, but a weight is never negative."
    error = (maps.sum(-1) - 1).abs().max().item()
    assert error < 1e-4, (
        f"A row of {what} sums to {maps.sum(-1).flatten()[0].item():.4g} or the like, not to 1."
    )
    return maps


@test_case(
    name="a map for each head of each layer",
    points=2,
    hidden=False,
    failure_message="For n symbols, the shape is (n_layers, n_heads, n, n), and each row sums to 1.",
)
def test_shape(TinyGPT, attention_maps):
    found = attention_maps(TinyGPT(15, 16, 4, 2, 8).eval(), torch.tensor([3, 10, 5, 12, 8]))
    check_maps(found, (2, 4, 5, 5), "attention_maps(TinyGPT(15, 16, 4, 2, 8), ids) of 5 symbols")


@test_case(
    name="a text of one symbol",
    points=1,
    hidden=False,
    failure_message="A single symbol has only itself to look at: the only weight is 1.",
)
def test_one(TinyGPT, attention_maps):
    found = attention_maps(TinyGPT(15, 16, 2, 3, 8).eval(), torch.tensor([3]))
    check_maps(found, (3, 2, 1, 1), "attention_maps(TinyGPT(15, 16, 2, 3, 8), ids) of 1 symbol")


@test_case(
    name="nothing above the diagonal",
    points=2,
    hidden=True,
    failure_message="Take the weights after the mask and after the softmax: row i has no weight beyond column i, "
    "and is the same whether or not the text goes on. Heads are not averaged.",
)
def test_causal(TinyGPT, attention_maps):
    model, ids = in_use(TinyGPT(9, 12, 3, 2, 8)), texts(1, 7, 9, seed=1)[0]
    what = "attention_maps(TinyGPT(9, 12, 3, 2, 8), ids) of 7 symbols"
    found = attention_maps(model, ids)
    if isinstance(found, torch.Tensor) and found.shape == (2, 7, 7):
        raise Mistake(
            "heads_averaged", f"{what} has shape (2, 7, 7): one map a layer, though each has 3 heads."
        )
    if isinstance(found, torch.Tensor) and found.shape == (3, 7, 7):
        raise Mistake(
            "last_layer_only", f"{what} has shape (3, 7, 7): the heads of one layer, though there are 2."
        )
    maps = check_shape(found, (2, 3, 7, 7), what=what)
    columns, rows = (maps.sum(-2) - 1).abs().max(), (maps.sum(-1) - 1).abs().max()
    if columns < 1e-4 < rows:
        raise Mistake("maps_transposed", f"The columns of {what} sum to 1, but the rows are to.")
    if not looks_ahead(model, ids):
        if rows > 1e-4 and maps.triu(1).abs().max() > 1e-4:
            raise Mistake(
                "scores_for_weights", f"The rows of {what} do not sum to 1, and do not stop at the diagonal."
            )
        above = maps.triu(1).abs().max().item()
        assert above == 0, f"{what} has a weight of {above:.3g} above the diagonal."
        shorter = check_shape(
            attention_maps(model, ids[:4]), (2, 3, 4, 4), what="attention_maps of the first 4 symbols"
        )
        change = (shorter - maps[..., :4, :4]).abs().max().item()
        assert change < 1e-4, f"The rows of the first 4 symbols change by {change:.2g} when the text goes on."
    check_maps(maps, (2, 3, 7, 7), what)


@test_case(
    name="the maps explain the model",
    points=3,
    hidden=True,
    failure_message="They must be the weights with which forward mixes the values. In a model of one layer, a "
    "symbol to which no head gives any weight cannot change the logits, and one with a large "
    "weight must.",
)
def test_explain(TinyGPT, attention_maps):
    # Parameters of size 1 make weights near 0 and near 1. In 20 models, changes behind weights below 1e-6 moved
    # logits by 2e-5 at most, and those behind weights above 0.3 by 0.79 at least.
    model, ids = in_use(TinyGPT(9, 16, 2, 1, 9), size=1.0), torch.tensor([4, 0, 6, 2, 8, 1, 7, 3])
    changed = ids.repeat(8, 1)
    changed[range(8), range(8)] = 5  # all symbols differ: one that occurs twice could stand in for its double
    what = "attention_maps(TinyGPT(9, 16, 2, 1, 9), ids)"
    maps = check_maps(attention_maps(model, ids), (1, 2, 8, 8), what)[0].amax(0)  # the larger of two heads
    logits = probabilities(model, torch.cat([ids[None], changed]))
    for column in range(7):
        after = check_maps(attention_maps(model, changed[column]), (1, 2, 8, 8), what)[0].amax(0)
        change = (logits[column + 1] - logits[0]).abs().amax(-1)
        for row in range(column + 1, 8):
            weight = max(maps[row, column].item(), after[row, column].item())
            place = f"position {row} gives symbol {column} of a text a weight of {weight:.2g}"
            assert weight > 1e-6 or change[row] < 1e-3, (
                f"By your maps, {place}, but its logits move by {change[row]:.2g} when that symbol changes."
            )
            assert maps[row, column] < 0.3 or change[row] > 1e-4, (
                f"By your maps, {place}, but its logits do not move when that symbol changes."
            )
    assert (attention_maps(model, changed[0]) - attention_maps(model, ids)).abs().max() > 1e-6, (
        "Two different texts have the same maps."
    )


@test_case(
    name="layers in their order; nothing is changed",
    points=1,
    hidden=True,
    failure_message="Layer 0 comes first. Looking at a model changes neither it nor the ids.",
)
def test_layers(TinyGPT, attention_maps):
    model, ids = in_use(TinyGPT(9, 12, 3, 3, 8)), texts(1, 6, 9, seed=3)[0]
    before, logits = ids.clone(), probabilities(model, ids[None])
    what = "attention_maps(TinyGPT(9, 12, 3, 3, 8), ids)"
    maps = check_maps(attention_maps(model, ids), (3, 3, 6, 6), what)
    check_unchanged(before, ids, what=f"ids in {what}")
    check_unchanged(logits, probabilities(model, ids[None]), what=f"the model (its logits) in {what}")
    again = check_maps(attention_maps(model, ids), (3, 3, 6, 6), what)
    assert (again - maps).abs().max() < 1e-6, f"{what} gave other maps the second time."
    assert all((maps[i] - maps[j]).abs().max() > 1e-6 for i, j in ((0, 1), (1, 2), (0, 2))), (
        "Two layers with different weights have the same maps."
    )
    # Which of positions 3 and 4 is looked at more by position 5 is a matter of these three, in the first layer; later
    # layers see what the ones before have made of the symbols, so another first symbol changes it.
    changed = ids.clone()
    changed[0] = (ids[0] + 1) % 9
    ratios = [found[1:, :, 5, 3] / found[1:, :, 5, 4] for found in (maps, attention_maps(model, changed))]
    assert (ratios[1] / ratios[0] - 1).abs().amax(-1).min() > 1e-4, (
        f"In a later layer of {what}, positions look at the symbols themselves, and not at what the layer before made."
    )


@test_case(
    name="ids that are no text",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for ids that are not one-dimensional, and for what the model"
    " refuses.",
)
def test_bad_arguments(TinyGPT, attention_maps):
    model, ids = TinyGPT(9, 12, 3, 1, 7).eval(), texts(2, 5, 9, seed=4)
    check_maps(attention_maps(model, ids[0]), (1, 3, 5, 5), "attention_maps(model, ids)")
    check_raises(
        ValueError, attention_maps, model, ids, what="attention_maps(model, ids) with ids of shape (2, 5)"
    )
    long = texts(1, 8, 9, seed=5)[0]
    check_raises(ValueError, attention_maps, model, long, what="attention_maps of 8 symbols with max_len = 7")
