"""q4: class NLIClassifier, by what it does, and the goal."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q4"
all_or_nothing = False
# A change that must not be seen: logits in float32, from the same row alone and beside others, moved by up to 2e-6.
# What must be seen moved them by 1e-2 and more, in models whose parameters all differ.
UNMOVED = 1e-4
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


# The comparisons that are used above.

from collections.abc import Callable, Sequence


def check_returned(found: object, *, what: str) -> None:
    """Pass if something was returned at all."""
    if found is None:
        raise AssertionError(
            f"{what} returned None: it is not implemented yet, or its return statement is missing."
        )


def check_shape(found: object, shape: Sequence[int], *, what: str) -> torch.Tensor:
    """Pass if `found` is a tensor of this shape; the tensor is returned."""
    check_returned(found, what=what)
    if not isinstance(found, torch.Tensor):
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a torch.Tensor was expected."
        )
    if tuple(found.shape) != tuple(shape):
        raise AssertionError(f"{what} has shape {tuple(found.shape)}, but shape {tuple(shape)} was expected.")
    return found
