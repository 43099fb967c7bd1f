"""The messages that students read, to the letter; and that each check can pass as well as fail."""

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn

from autograder import checks
from autograder.checks import (
    check_close,
    check_dtype,
    check_equal,
    check_gradients,
    check_int,
    check_parameters,
    check_raises,
    check_shape,
    check_tuple,
    check_unchanged,
)
from autograder.sandbox.errors import student_error

ONES = torch.ones(2, 3, dtype=torch.float64)


def message(check, *args, **kwargs):
    """The text with which a check fails."""
    with pytest.raises(AssertionError) as caught:
        check(*args, **kwargs)
    return str(caught.value)


def changed(index, value):
    """ONES with one number replaced."""
    tensor = ONES.clone()
    tensor[index] = value
    return tensor


def test_exported_names():
    """Test authors import exactly these."""
    assert sorted(checks.__all__) == [
        "Mistake", "Work", "check_close", "check_dtype", "check_equal", "check_gradients", "check_int",
        "check_parameters", "check_raises", "check_shape", "check_slopes", "check_tuple", "check_unchanged",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("found", "text"),
    [
        pytest.param(
            None,
            "f(x) returned None: it is not implemented yet, or its return statement is missing.",
            id="none",
        ),
        pytest.param(
            [1.0], "f(x) returned a value of type list, but a torch.Tensor was expected.", id="type"
        ),
        pytest.param(ONES.mT, "f(x) has shape (3, 2), but shape (2, 3) was expected.", id="shape"),
        pytest.param(
            ONES.float(), "f(x) has dtype torch.float32, but torch.float64 was expected.", id="dtype"
        ),
        pytest.param(
            changed((1, 2), 0.5),
            "f(x) is wrong in 1 of 6 numbers. The first one is at index [1, 2]: expected 1, found 0.5."
            " The largest error is 0.5; 1e-09 is allowed.",
            id="value",
        ),
        pytest.param(
            changed((0, 1), math.nan),
            "f(x) is wrong in 1 of 6 numbers. The first one is at index [0, 1]: expected 1, found nan."
            " NaN or infinity appears where a finite number was expected.",
            id="nan",
        ),
        pytest.param(
            changed((0, 1), -math.inf),
            "f(x) is wrong in 1 of 6 numbers. The first one is at index [0, 1]: expected 1, found -inf."
            " NaN or infinity appears where a finite number was expected.",
            id="infinity",
        ),
    ],
)
def test_check_close_fails(found, text):
    """Each way to be wrong has its own text, and NaN is never taken for right."""
    assert message(check_close, found, ONES, what="f(x)") == text


def test_check_close_of_a_single_number():
    """A 0-d tensor has no index to speak of."""
    text = message(check_close, torch.tensor(2.0), torch.tensor(1.0), what="f(x)")
    assert text == (
        "f(x) is wrong in 1 of 1 numbers. The first one is: expected 1, found 2."
        " The largest error is 1; 1e-09 is allowed."
    )


@pytest.mark.parametrize(
    "found",
    [ONES, ONES + 9e-10, ONES.clone().requires_grad_(), ONES.mT.contiguous().mT],
    ids=["same", "rounding", "with gradient", "other strides"],
)
def test_check_close_passes(found):
    """Rounding, a gradient and the memory layout are no faults."""
    check_close(found, ONES, what="f(x)")


def test_check_close_passes_where_there_is_nothing():
    """Empty results, and infinities that were asked for."""
    check_close(torch.zeros(0, 3), torch.zeros(0, 3), what="f(x)")
    check_close(torch.tensor([math.inf, 1.0]), torch.tensor([math.inf, 1.0]), what="f(x)")


def test_check_close_tolerance_is_sharp():
    """Just inside passes, just outside fails."""
    check_close(changed((0, 0), 1 + 0.9e-6), ONES, tolerance=1e-6, what="f(x)")
    text = message(check_close, changed((0, 0), 1 + 1.1e-6), ONES, tolerance=1e-6, what="f(x)")
    assert text.endswith("The largest error is 1.1e-06; 1e-06 is allowed.")


def test_check_shape_returns_the_tensor():
    """So that a test can go on with it."""
    assert check_shape(ONES, (2, 3), what="f(x)") is ONES


def test_check_dtype():
    """The dtype is named as PyTorch prints it."""
    check_dtype(ONES, torch.float64, what="f(x)")
    text = message(check_dtype, ONES, torch.float32, what="f(x)")
    assert text == "f(x) has dtype torch.float64, but torch.float32 was expected."


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "rank(q, k) returned None: it is not implemented yet, or its return statement is missing."),
        (2.0, "rank(q, k) returned a value of type float, but a Python int was expected."),
        (torch.tensor(2), "rank(q, k) returned a value of type Tensor, but a Python int was expected."),
        (True, "rank(q, k) returned a value of type bool, but a Python int was expected."),
        (3, "rank(q, k) is 3, but 2 was expected."),
    ],
    ids=["none", "float", "tensor", "bool", "value"],
)
def test_check_int(found, text):
    """Numbers that only look like an int are named by their type."""
    check_int(2, 2, what="rank(q, k)")
    assert message(check_int, found, 2, what="rank(q, k)") == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (None, "vjp(q) returned None: it is not implemented yet, or its return statement is missing."),
        (ONES, "vjp(q) returned a value of type Tensor, but a tuple (grad_q, grad_k) was expected."),
        ((ONES,), "vjp(q) returned 1 values, but a tuple (grad_q, grad_k) was expected."),
    ],
    ids=["none", "tensor", "too few"],
)
def test_check_tuple(found, text):
    """What was expected is said with the names of the parts."""
    assert check_tuple([ONES, ONES], ("grad_q", "grad_k"), what="vjp(q)") == [ONES, ONES]
    assert message(check_tuple, found, ("grad_q", "grad_k"), what="vjp(q)") == text


def fail_with(error):
    """A function that raises it."""

    def function(*_):
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "text"),
    [
        pytest.param(
            lambda _: ONES,
            "f(0) must raise ValueError with a message, but it raised nothing and returned a tensor of shape (2, 3).",
            id="returned a tensor",
        ),
        pytest.param(
            lambda _: None,
            "f(0) must raise ValueError with a message, but it raised nothing and returned None.",
            id="returned nothing",
        ),
        pytest.param(
            fail_with(RuntimeError("sizes differ")),
            "f(0) must raise ValueError, but it raised RuntimeError: sizes differ."
            " Check the arguments before you compute with them.",
            id="another error",
        ),
        pytest.param(
            fail_with(student_error("RuntimeError", "sizes differ", "", [])),
            "f(0) must raise ValueError, but it raised RuntimeError: sizes differ."
            " Check the arguments before you compute with them.",
            id="another error, from a submission",
        ),
        pytest.param(
            fail_with(student_error("ValueError", "", "", [])),
            "f(0) raised ValueError without a message: say what was wrong.",
            id="no message, from a submission",
        ),
        pytest.param(
            fail_with(ValueError()),
            "f(0) raised ValueError without a message: say what was wrong.",
            id="no message",
        ),
    ],
)
def test_check_raises_fails(function, text):
    """No error, another error and a mute error are three different things to repair."""
    assert message(check_raises, ValueError, function, 0, what="f(0)") == text


def test_check_raises_passes_for_subclasses():
    """A student may have an error class of their own."""

    class ShapeError(ValueError):
        pass

    check_raises(ValueError, fail_with(ShapeError("sizes differ")), what="f()")


@pytest.mark.parametrize(
    ("found", "expected", "text"),
    [
        (None, [], "f(x) returned None: it is not implemented yet, or its return statement is missing."),
        ((1,), [1], "f(x) returned a value of type tuple, but a list was expected."),
        ([2], [1], "f(x) is [2], but [1] was expected."),
        ("ab", "a", "f(x) is 'ab', but 'a' was expected."),
        ({}, {(1, 2): 3}, "f(x) is {}, but {(1, 2): 3} was expected."),
        (
            [0] * 60,
            [0] * 59 + [1],
            f"f(x) is [{'0, ' * 38}0,..., but [{'0, ' * 38}0,... was expected. They differ from place 59 on.",
        ),
        ([0] * 9, [0] * 10, f"f(x) is {[0] * 9}, but {[0] * 10} was expected. They differ from place 9 on."),
    ],
    ids=["none", "type", "list", "text", "dict", "long", "too short"],
)
def test_check_equal_fails(found, expected, text):
    """Both values are shown, long ones shortened, and where the difference begins."""
    assert message(check_equal, found, expected, what="f(x)") == text


def test_check_equal_passes():
    """Equal values of the type or of one made from it."""
    check_equal([1, 2], [1, 2], what="f(x)")
    check_equal(Counter("aa"), {"a": 2}, what="f(x)")
    check_equal("", "", what="f(x)")


def test_check_unchanged():
    """The place and both numbers are told; NaN that stays NaN is no change."""
    check_unchanged(changed((0, 0), math.nan), changed((0, 0), math.nan), what="x in f(x)")
    assert message(check_unchanged, ONES, changed((1, 0), 0.25), what="x in f(x)") == (
        "x in f(x) was changed by the call: at index [1, 0] it was 1 and is now 0.25."
        " Make new tensors; operations such as *= or masked_fill_ work in place."
    )


def test_check_unchanged_of_a_mask():
    """Boolean tensors are compared as well."""
    before, after = torch.tensor([True, False]), torch.tensor([True, True])
    assert message(check_unchanged, before, after, what="mask").startswith(
        "mask was changed by the call: at index [1] it was 0 and is now 1."
    )


def gradient_message(found, expected, **inputs):
    return message(check_gradients, found, expected, inputs, what="f(x, y)")


def test_check_gradients():
    """None, cut off, unused, and wrong: four texts; right gradients pass."""
    x, y = ONES.clone().requires_grad_(), ONES.clone().requires_grad_()
    check_gradients(y * x, x * y, {"x": x, "y": y}, what="f(x, y)")
    assert gradient_message(None, x * y, x=x) == (
        "f(x, y) returned None: it is not implemented yet, or its return statement is missing."
    )
    assert gradient_message((x * y).detach(), x * y, x=x) == (
        "f(x, y) carries no gradient: the path back to its inputs is cut."
        " Look for .detach(), .data, .item(), torch.tensor(...) or torch.no_grad()."
    )
    assert gradient_message(x * y.detach(), x * y, x=x, y=y) == (
        "No gradient reaches y from f(x, y): on the way it is detached, or y is not used."
    )
    assert gradient_message(2 * x * y - ONES, x * y, x=x) == (
        "the gradient of f(x, y) with respect to x is wrong in 6 of 6 numbers."
        " The first one is at index [0, 0]: expected 0.540302, found 1.0806."
        " The largest error is 0.99; 1e-09 is allowed."
    )


def test_check_gradients_where_none_is_right():
    """An input without influence may be left out of the graph, or have a gradient of zeros."""
    x, y = ONES.clone().requires_grad_(), ONES.clone().requires_grad_()
    check_gradients(2 * x, 2 * x + 0 * y, {"x": x, "y": y}, what="f(x, y)")
    check_gradients(2 * x + 0 * y, 2 * x, {"x": x, "y": y}, what="f(x, y)")


def test_check_gradients_sees_what_a_plain_sum_hides():
    """The rows of a softmax sum to 1, so the gradient of their plain sum is 0 whatever the scores are."""
    x = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).requires_grad_()
    text = gradient_message(x.detach().softmax(-1) + 0 * x, x.softmax(-1), x=x)
    assert text.startswith("the gradient of f(x, y) with respect to x is wrong in 6 of 6 numbers.")


class WithPlainTensor(nn.Module):
    def __init__(self):
        super().__init__()
        self.W_Q = torch.ones(2, 3)


class WithoutInit(nn.Module):
    def __init__(self):
        pass


class WithParameter(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.W_Q = nn.Parameter(torch.ones(shape))


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (
            WithPlainTensor,
            "Model() has no parameter W_Q: it is not implemented yet, or self.W_Q is not an nn.Parameter.",
        ),
        (
            WithoutInit,
            "Model() has no parameter W_Q: it is not implemented yet, or self.W_Q is not an nn.Parameter.",
        ),
        (
            lambda: WithParameter(3, 2),
            "W_Q of Model() has shape (3, 2), but shape (2, 3) was expected.",
        ),
    ],
    ids=["plain tensor", "without super().__init__()", "shape"],
)
def test_check_parameters(model, text):
    """An untouched stub, a tensor that the optimiser would not see, and a transposed matrix."""
    check_parameters(WithParameter(2, 3), {"W_Q": (2, 3)}, what="Model()")
    assert message(check_parameters, model(), {"W_Q": (2, 3)}, what="Model()") == text


def test_no_message_tells_what_is_hidden():
    """Students read these texts for public and hidden cases alike."""
    assert "hidden" not in Path(checks.compare.__file__).read_text(encoding="utf-8").lower()
