"""q2: build_vocabulary(pairs, min_count=1) and encode_batch(pairs, vocabulary, max_len=32)."""

import torch
from otter.test_files import test_case

OK_FORMAT = False
name = "q2"
all_or_nothing = False
SPECIAL = {"[pad]": 0, "[unk]": 1, "[cls]": 2, "[sep]": 3}
SMALL = {**SPECIAL, "all": 4, "cats": 5, "no": 6}


def check_ids(found, expected, *, what):
    """Pass if these are the rows of ids, torch.long."""
    expected = torch.tensor(expected)
    check_dtype(check_shape(found, expected.shape, what=what), torch.long, what=what)
    assert torch.equal(found, expected), f"{what} is {found.tolist()}, but {expected.tolist()} was expected."


@test_case(
    name="the vocabulary of two words more",
    points=2,
    hidden=False,
    failure_message="[pad] 0, [unk] 1, [cls] 2, [sep] 3; then the tokens of premises and hypotheses in "
    "alphabetical order.",
)
def test_vocabulary(build_vocabulary):
    pairs = [("no cats", "all cats", 2)]
    check_equal(build_vocabulary(pairs), SMALL, what='build_vocabulary([("no cats", "all cats", 2)])')


@test_case(
    name="one pair as a row",
    points=2,
    hidden=False,
    failure_message="[cls], the premise, [sep], the hypothesis, [sep]: 2, 6, 5, 3, 4, 5, 3.",
)
def test_row(encode_batch):
    found = encode_batch([("no cats", "all cats", 2)], dict(SMALL))
    check_ids(found, [[2, 6, 5, 3, 4, 5, 3]], what='encode_batch([("no cats", "all cats", 2)], vocabulary)')


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


def check_dtype(found: torch.Tensor, dtype: torch.dtype, *, what: str) -> None:
    """Pass if the tensor has this dtype."""
    if found.dtype != dtype:
        raise AssertionError(f"{what} has dtype {found.dtype}, but {dtype} was expected.")


def check_equal(found: object, expected: object, *, what: str) -> None:
    """Pass if `found` is the plain value `expected`: a text, or a list or dict of numbers."""
    check_returned(found, what=what)
    if not isinstance(found, type(expected)):
        kind = type(expected).__name__
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a {kind} was expected."
        )
    if found == expected:
        return
    shown = [text if len(text) <= 120 else f"{text[:117]}..." for text in (repr(found), repr(expected))]
    verdict = f"{what} is {shown[0]}, but {shown[1]} was expected."
    if isinstance(found, Sequence) and isinstance(expected, Sequence) and len(expected) > 8:
        pairs = enumerate(zip(found, expected, strict=False))
        place = next((i for i, (one, other) in pairs if one != other), min(len(found), len(expected)))
        verdict += f" They differ from place {place} on."
    raise AssertionError(verdict)
