"""q3: class FeedForward(d_model, d_ff), judged by what it does, whatever its parameters are called and how they lie.

Where values are compared, every parameter is filled with one and the same number. Then no name, order or orientation
of the parameters matters, while both biases, the number of hidden units and the activation still do.
"""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_dtype, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q3"
all_or_nothing = False
CALL = "FeedForward(d_model=4, d_ff=3)"
# Correct float64 forms of gelu differ by 1.8e-15. A Phi good to 1e-6, as q1 allows, is multiplied by up to d_ff = 3;
# the tanh form is off by 1e-3 here.
EXACT = 1e-5
SINGLE = 1e-4  # absolute, for float32 numbers up to 20


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def count_of(model):
    try:
        return sum(parameter.numel() for parameter in model.parameters())
    except AttributeError:  # nn.Module.__init__ never ran
        return 0


def check_count(model, expected, what):
    count = count_of(model)
    assert count > 0, f"{what} has no parameters: it is not implemented yet, or they are not nn.Parameter."
    found = ", ".join(f"{name} {tuple(value.shape)}" for name, value in list(model.named_parameters())[:6])
    assert count == expected, (
        f"{what} has {count} numbers in its parameters, but {expected} were expected: d_model * d_ff in each matrix,"
        f" d_ff in b_1 and d_model in b_2. Found: {found}."
    )


def filled(model, number):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(number)
    return model


def model_4_3(FeedForward, number=None, dtype=torch.float64):
    model = FeedForward(4, 3).to(dtype)
    check_count(model, 2 * 4 * 3 + 3 + 4, CALL)
    return model if number is None else filled(model, number)


def exact(x):
    return x * torch.special.ndtr(x)


def constants(number, dtype=torch.float64):
    """W_1, b_1, W_2 and b_2 of the network with d_model = 4 and d_ff = 3, every number the same."""
    return [torch.full(shape, number, dtype=dtype) for shape in [(4, 3), (3,), (3, 4), (4,)]]


def network(activation, x, w_1, b_1, w_2, b_2):
    return activation(x @ w_1 + b_1) @ w_2 + b_2


def passes(check, *args):
    """Whether a check holds."""
    try:
        check(*args)
    except Exception:
        return False
    return True


def check_either(found, expected_with, gelu, *, tolerance=EXACT, what):
    """Pass if `found` is what is expected with the exact gelu, or with the student's own, which q1 judges."""

    def check_with(activation):
        check_close(found, expected_with(activation), tolerance=tolerance, what=what)

    if not passes(check_with, exact) and not passes(check_with, gelu):
        check_with(exact)


# What a known mistake makes of the number of parameters, and of the output, whatever the parameters are called.
COUNTS = {
    "NoBiases": lambda d_model, d_ff: 2 * d_model * d_ff,
    "NoFirstBias": lambda d_model, d_ff: 2 * d_model * d_ff + d_model,
    "NoSecondBias": lambda d_model, d_ff: 2 * d_model * d_ff + d_ff,
    "HiddenWidthIgnored": lambda d_model, d_ff: 8 * d_model * d_model + 5 * d_model,
}
OUTPUTS = {
    "ReluInside": lambda a, x, w_1, b_1, w_2, b_2: (x @ w_1 + b_1).relu() @ w_2 + b_2,
    "NoActivation": lambda a, x, w_1, b_1, w_2, b_2: (x @ w_1 + b_1) @ w_2 + b_2,
    "FirstBiasUnused": lambda a, x, w_1, b_1, w_2, b_2: a(x @ w_1) @ w_2 + b_2,
    "SecondBiasUnused": lambda a, x, w_1, b_1, w_2, b_2: a(x @ w_1 + b_1) @ w_2,
    "ActivatedTwice": lambda a, x, w_1, b_1, w_2, b_2: a(a(x @ w_1 + b_1) @ w_2 + b_2),
    "ResidualInside": lambda a, x, w_1, b_1, w_2, b_2: x + a(x @ w_1 + b_1) @ w_2 + b_2,
}


def name_count(FeedForward):
    """Raise Mistake if the number of parameters is that of a known mistake, in two sizes."""
    sizes = [(4, 3), (2, 7)]
    counts = [count_of(FeedForward(*size)) for size in sizes]
    for key, count in COUNTS.items():
        if counts == [count(*size) for size in sizes]:
            raise Mistake(key, f"{CALL} has {counts[0]} numbers in its parameters, but 31 were expected.")


def name_widths(model):
    """Raise Mistake if it takes d_ff = 3 numbers at each position where it should take d_model = 4."""
    other = normal(5, 3, seed=0)
    if not passes(model, normal(5, 4, seed=0)) and passes(
        lambda: check_shape(model(other), (5, 3), what=CALL)
    ):
        raise Mistake(
            "WidthsSwapped", f"{CALL}(x) takes an x with 3 numbers at each position, but 4 were expected."
        )


def name_output(found, x, gelu, number, text):
    """Raise Mistake if the output is that of a known mistake, with the exact gelu or the student's own."""

    def check_form(form, activation):
        check_close(found, form(activation, x, *constants(number)), tolerance=EXACT, what=CALL)

    for key, form in OUTPUTS.items():
        if passes(check_form, form, exact) or passes(check_form, form, gelu):
            raise Mistake(key, text)


@test_case(
    name="the number of parameters",
    points=2,
    hidden=False,
    failure_message="Two matrices with d_model * d_ff numbers each, a bias with d_ff and one with "
    "d_model, all nn.Parameter (nn.Linear has them), made in __init__ after super().__init__().",
)
def test_count(FeedForward):
    for d_model, d_ff in [(4, 3), (2, 8)]:
        call = f"FeedForward(d_model={d_model}, d_ff={d_ff})"
        check_count(FeedForward(d_model, d_ff), 2 * d_model * d_ff + d_ff + d_model, call)


@test_case(
    name="shape and dtype",
    points=1,
    hidden=False,
    failure_message="Each position has d_model numbers before and after: (..., d_model) to (..., d_model).",
)
def test_shape(FeedForward):
    model, x = FeedForward(4, 3).float(), normal(2, 5, 4, seed=0, dtype=torch.float32)
    assert count_of(model) > 0, (
        f"{CALL} has no parameters: it is not implemented yet, or they are not nn.Parameter."
    )
    what = f"{CALL}(x) with x of shape (2, 5, 4)"
    check_dtype(check_shape(model(x), (2, 5, 4), what=what), torch.float32, what=what)


@test_case(
    name="all parameters 1, worked out by hand",
    points=4,
    hidden=False,
    failure_message="Every hidden unit receives x_1 + x_2 + 1, here 1 and -1, and gives 0.8413 and "
    "-0.1587. Every output is three times that, plus 1.",
)
def test_hand(FeedForward, gelu):
    model = FeedForward(2, 3).double()
    check_count(model, 2 * 2 * 3 + 3 + 2, "FeedForward(d_model=2, d_ff=3)")
    x = torch.tensor([[1.0, -1.0], [-1.0, -1.0]], dtype=torch.float64)
    received = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)  # by each hidden unit, at the two positions

    def expected_with(activation):
        return (3 * activation(received) + 1).expand(2, 2)

    what = "FeedForward(2, 3)(x) with every parameter 1, at x = [[1, -1], [-1, -1]],"
    check_either(filled(model, 1.0)(x), expected_with, gelu, what=what)


@test_case(
    name="values, with and without leading dimensions",
    points=3,
    hidden=True,
    failure_message="Linear, gelu, linear: is each bias added, is gelu the only activation, and is "
    "it applied once? Without leading dimensions, x is a single position.",
)
def test_values(FeedForward, gelu):
    name_count(FeedForward)
    model = model_4_3(FeedForward, 0.7)
    name_widths(model)
    for shape in [(5, 4), (2, 3, 5, 4), (4,)]:
        x = 2 * normal(*shape, seed=1)
        found = model(x.clone())
        what = f"{CALL}(x) with every parameter 0.7 and x of shape {shape}"
        try:
            check_either(found, lambda a, x=x: network(a, x, *constants(0.7)), gelu, what=what)
        except AssertionError as error:
            name_output(found, x, gelu, 0.7, str(error))
            raise


@test_case(
    name="gradients of every parameter and of x",
    points=2,
    hidden=True,
    failure_message="Training needs a gradient in every parameter, and earlier layers need one in x: "
    "nothing on the way may be detached.",
)
def test_gradients(FeedForward, gelu):
    model, x = model_4_3(FeedForward, 0.6), normal(2, 3, 4, seed=2).requires_grad_()
    cotangent = normal(2, 3, 4, seed=3)

    def gradients(output, leaves):
        found = torch.autograd.grad((output * cotangent).sum(), leaves, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(leaves, found, strict=True)]

    output = check_shape(model(x), (2, 3, 4), what=f"{CALL}(x)")
    assert output.requires_grad, f"{CALL}(x) carries no gradient: the path back to its parameters is cut."
    own = gradients(output, [x, *model.parameters()])

    def expected_with(activation):
        weights = [p.requires_grad_() for p in constants(0.6)]
        return gradients(network(activation, x, *weights), [x, *weights])

    def in_order(found):  # sorted, for nobody knows which parameter is which
        return torch.cat([gradient.flatten() for gradient in found[1:]]).sort().values

    check_either(
        own[0], lambda a: expected_with(a)[0], gelu, what=f"the gradient of {CALL}(x) with respect to x"
    )
    what = f"the sorted list of the gradients of {CALL}(x) with respect to all its parameters"
    check_either(in_order(own), lambda a: in_order(expected_with(a)), gelu, what=what)


@test_case(
    name="positions do not mix",
    points=2,
    hidden=True,
    failure_message="The same network is applied to each position by itself: changing one position, "
    "or leaving all others out, changes nothing elsewhere.",
)
def test_position_wise(FeedForward):
    model, x = FeedForward(4, 3).double(), normal(2, 5, 4, seed=4)
    whole = check_shape(model(x.clone()), (2, 5, 4), what=f"{CALL}(x)")
    check_close(model(x.clone()), whole.detach(), what=f"{CALL}(x), called again with the same x,")
    changed = x.clone()
    changed[1, 2] += 3.0
    expected = whole.detach().clone()
    found = check_shape(model(changed), (2, 5, 4), what=f"{CALL}(x)")
    expected[1, 2] = found[1, 2].detach()
    try:
        check_close(found, expected, what=f"{CALL}(x), after only position 2 of element 1 of x was changed,")
    except AssertionError as error:
        if found.isfinite().all():
            raise Mistake("PositionsMixed", str(error)) from None
        raise
    assert not torch.equal(found[1, 2], whole[1, 2]), f"{CALL}(x) did not change where x was changed."
    check_close(model(x[1, 3:4]), whole[1, 3:4], what=f"{CALL}(x) of one position, alone and among others,")


@test_case(
    name="the hidden layer, and a random start",
    points=1,
    hidden=True,
    failure_message="With d_ff = 2 everything passes through two hidden units, which must start out "
    "different from each other.",
)
def test_hidden_width(FeedForward):
    what = "FeedForward(d_model=5, d_ff=2)(x)"
    model, x = FeedForward(5, 2).double(), normal(5, seed=5).requires_grad_()
    output = check_shape(model(x), (5,), what=what)
    assert output.requires_grad, f"{what} carries no gradient: the path back to x is cut."
    rows = [torch.autograd.grad(number, x, retain_graph=True, allow_unused=True)[0] for number in output]
    assert rows[0] is not None, f"No gradient reaches x from {what}: gelu, or what calls it, is detached."
    sigma = torch.linalg.svdvals(torch.stack(rows))
    # rounding leaves 1e-16 of the largest; the smallest ratio in 5300 starts of six right modules was 3.7e-7
    rank = int((sigma > 1e-13 * sigma.max()).sum())
    assert rank == 2, (
        "The Jacobian of FeedForward(d_model=5, d_ff=2) at its start has rank"
        f" {rank}, but 2 was expected: one for each hidden unit."
    )


@test_case(
    name="float32, large numbers; x left alone",
    points=1,
    hidden=True,
    failure_message="The output has the dtype of x and is finite for inputs in the thousands; x is "
    "not yours to change.",
)
def test_float32_and_large(FeedForward, gelu):
    model, x = model_4_3(FeedForward, 0.5, torch.float32), normal(6, 4, seed=6, dtype=torch.float32)
    before = x.clone()
    weights, what = constants(0.5, torch.float32), f"{CALL}(x) in float32"
    check_either(model(x), lambda a: network(a, before, *weights), gelu, tolerance=SINGLE, what=what)
    check_unchanged(before, x, what=f"x in {CALL}(x)")
    # sums of +-4096 and a bias of 0.5 are exact in float32
    large = torch.tensor([[2048.0] * 4, [-2048.0] * 4])
    expected = torch.tensor([[6145.25] * 4, [0.5] * 4])
    check_close(model(large), expected, tolerance=1e-2, what=f"{CALL}(x) for x = +-2048")


@test_case(
    name="sizes of 1 and 0",
    points=1,
    hidden=True,
    failure_message="d_model and d_ff may be 1, and there may be no position at all.",
)
def test_sizes(FeedForward, gelu):
    model = filled(FeedForward(1, 1).double(), 0.9)
    check_count(model, 4, "FeedForward(d_model=1, d_ff=1)")
    x = torch.tensor([[-2.0], [3.0]], dtype=torch.float64)
    what = "FeedForward(d_model=1, d_ff=1)(x) with every parameter 0.9"
    check_either(model(x.clone()), lambda a: 0.9 * a(0.9 * x + 0.9) + 0.9, gelu, what=what)
    empty = model_4_3(FeedForward)(torch.empty(2, 0, 4, dtype=torch.float64))
    check_shape(empty, (2, 0, 4), what=f"{CALL}(x) with no position")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message: in __init__ for a size below 1, in forward for "
    "an x whose last dimension is not d_model.",
)
def test_bad_arguments(FeedForward):
    check_raises(ValueError, FeedForward, 0, 3, what="FeedForward(d_model=0, d_ff=3)")
    check_raises(ValueError, FeedForward, 4, 0, what="FeedForward(d_model=4, d_ff=0)")
    check_raises(ValueError, FeedForward, 4, -1, what="FeedForward(d_model=4, d_ff=-1)")
    model = FeedForward(4, 3).float()
    check_shape(model(torch.ones(5, 4)), (5, 4), what=f"{CALL}(x) with arguments that fit")
    check_raises(ValueError, model, torch.ones(4, 5), what=f"{CALL}(x) with x of shape (4, 5)")
    check_raises(ValueError, model, torch.ones(()), what=f"{CALL}(x) with x of shape ()")
