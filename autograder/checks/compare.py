"""Comparisons for test files: each passes silently or says what was expected, what was found and where.

The kit copies the functions that a public test file uses into that file, so this module rests on torch and
builtins alone. In every function `what` is the expression under test as a student would write it, for example
"attention_weights(q, k)".
"""

from collections.abc import Callable, Sequence

import torch


def check_close(found: object, expected: torch.Tensor, *, tolerance: float = 1e-9, what: str) -> None:
    """Pass if `found` has the shape and dtype of `expected`, and each number is within `tolerance` (absolute) of it."""
    tensor = check_shape(found, expected.shape, what=what)
    check_dtype(tensor, expected.dtype, what=what)
    if not tensor.is_floating_point() and torch.equal(tensor, expected):
        return
    if tensor.is_floating_point() and (not tensor.numel() or (tensor - expected).abs().max() <= tolerance):
        return  # the usual case; NaN is not smaller than anything and goes on
    same = tensor == expected
    error = torch.where(same, 0.0, (tensor.double() - expected.double()).abs()).detach()
    wrong = ~(error <= tolerance)  # written so that NaN counts as wrong
    if not wrong.any():
        return
    index = wrong.nonzero()[0].tolist()
    place = f" at index {index}" if index else ""
    expected_here, found_here = expected[tuple(index)].item(), tensor[tuple(index)].item()
    verdict = (
        f"{what} is wrong in {int(wrong.sum())} of {wrong.numel()} numbers."
        f" The first one is{place}: expected {expected_here:.6g}, found {found_here:.6g}."
    )
    if not tensor.isfinite().all():
        raise AssertionError(f"{verdict} NaN or infinity appears where a finite number was expected.")
    raise AssertionError(
        f"{verdict} The largest error is {error.max().item():.2g}; {tolerance:g} is allowed."
    )


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


def check_int(found: object, expected: int, *, what: str) -> None:
    """Pass if `found` is the Python int `expected`."""
    check_returned(found, what=what)
    if type(found) is not int:
        raise AssertionError(
            f"{what} returned a value of type {type(found).__name__}, but a Python int was expected."
        )
    if found != expected:
        raise AssertionError(f"{what} is {found}, but {expected} was expected.")


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


def check_tuple(found: object, names: Sequence[str], *, what: str) -> Sequence[object]:
    """Pass if `found` is a tuple (or list) with one item for each name; it is returned."""
    check_returned(found, what=what)
    wanted = f"a tuple ({', '.join(names)}) was expected"
    if not isinstance(found, tuple | list):
        raise AssertionError(f"{what} returned a value of type {type(found).__name__}, but {wanted}.")
    if len(found) != len(names):
        raise AssertionError(f"{what} returned {len(found)} values, but {wanted}.")
    return found


def _message(error: Exception) -> str:
    """What was said; an error from the student's process has its kind in its text as well."""
    return str(getattr(error, "text", error))


def check_raises(error: type[Exception], function: Callable[..., object], *args: object, what: str) -> None:
    """Pass if `function(*args)` raises `error` with a message."""
    try:
        found = function(*args)
    except error as caught:
        if not _message(caught).strip():
            raise AssertionError(
                f"{what} raised {error.__name__} without a message: say what was wrong."
            ) from None
        return
    except Exception as caught:
        raise AssertionError(
            f"{what} must raise {error.__name__}, but it raised {type(caught).__name__}: {_message(caught)}."
            " Check the arguments before you compute with them."
        ) from None
    returned = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else repr(found)
    raise AssertionError(
        f"{what} must raise {error.__name__} with a message, but it raised nothing and returned {returned}."
    )


def check_unchanged(before: torch.Tensor, after: torch.Tensor, *, what: str) -> None:
    """Pass if a call left its argument alone; `before` is a clone made ahead of the call."""
    changed = ~((before == after) | (before.isnan() & after.isnan()))
    if changed.any():
        index = changed.nonzero()[0].tolist()
        raise AssertionError(
            f"{what} was changed by the call: at index {index} it was {before[tuple(index)].item():.6g} and is now"
            f" {after[tuple(index)].item():.6g}. Make new tensors; operations such as *= or masked_fill_ work in place."
        )


def check_gradients(
    found: object,
    expected: torch.Tensor,
    inputs: dict[str, torch.Tensor],
    *,
    tolerance: float = 1e-9,
    what: str,
) -> None:
    """Pass if the gradients of `found` with respect to each of `inputs` are those of `expected`.

    Both must have been computed from the same `inputs`, which require grad. What is differentiated is a sum of all
    numbers with fixed weights that differ from each other, so that no gradient can cancel by symmetry.
    """
    tensor = check_shape(found, expected.shape, what=what)
    if not tensor.requires_grad:
        raise AssertionError(
            f"{what} carries no gradient: the path back to its inputs is cut."
            " Look for .detach(), .data, .item(), torch.tensor(...) or torch.no_grad()."
        )
    weights = torch.arange(1, expected.numel() + 1, dtype=expected.dtype).cos().reshape(expected.shape)
    leaves = tuple(inputs.values())
    wanted = torch.autograd.grad(
        (expected * weights).sum(), leaves, allow_unused=True, materialize_grads=True
    )
    gradients = torch.autograd.grad((tensor * weights).sum(), leaves, allow_unused=True)
    for name, gradient, right in zip(inputs, gradients, wanted, strict=True):
        if gradient is None and right.count_nonzero() == 0:
            continue
        if gradient is None:
            raise AssertionError(
                f"No gradient reaches {name} from {what}: on the way it is detached, or {name} is not used."
            )
        check_close(
            gradient, right, tolerance=tolerance, what=f"the gradient of {what} with respect to {name}"
        )


def check_parameters(model: torch.nn.Module, shapes: dict[str, tuple[int, ...]], *, what: str) -> None:
    """Pass if the module has parameters of these names and shapes."""
    try:
        parameters = dict(model.named_parameters())
    except AttributeError:  # nn.Module.__init__ never ran
        parameters = {}
    for name, shape in shapes.items():
        if name not in parameters:
            raise AssertionError(
                f"{what} has no parameter {name}: it is not implemented yet, or self.{name} is not an nn.Parameter."
            )
        check_shape(parameters[name], shape, what=f"{name} of {what}")
