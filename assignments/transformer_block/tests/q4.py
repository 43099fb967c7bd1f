"""q4: dropout(x, p=0.1, training=True, generator=None) and class Dropout(p=0.1)."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_close, check_raises, check_shape, check_unchanged
from autograder.checks.statistics import check_share

OK_FORMAT = False
name = "q4"
all_or_nothing = False
# Seven shares are tested below, so that all of them together fail a right dropout less than once in 10,000.
FALSE_FAIL = 1e-4 / 7


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed, dtype=torch.float64):
    """Normal numbers of either sign, none of which is near 0."""
    numbers = torch.randn(shape, generator=generator(seed), dtype=dtype)
    return numbers + numbers.sign()


def dropped(out, x, p, what):
    """Where a number was dropped; all others must be x / (1 - p), or a Mistake says what they are instead."""
    out = check_shape(out, x.shape, what=what)
    gone = out == 0
    assert not gone.all(), f"{what} is 0 everywhere."
    ratio = (out / x)[~gone]
    wrong = {
        "not_rescaled": 1.0,
        "scaled_by_the_share_kept": 1 - p,
        "keep_probability": 1 / p,
    }
    for key, factor in wrong.items():
        if (ratio - factor).abs().max() < 1e-6:
            raise Mistake(
                key, f"The numbers that {what} keeps are multiplied by {factor:.4g}, not by 1 / (1 - p)."
            )
    kept = torch.where(gone, 0.0, x / (1 - p))
    check_close(out, kept, what=f"what {what} keeps")
    return gone


@test_case(
    name="what is kept, by hand",
    points=1,
    hidden=False,
    failure_message="With p = 1/4, what is kept is divided by 3/4: each 3 becomes a 4 or a 0. For p = 0 "
    "nothing changes, and for p = 1 all is 0.",
)
def test_hand(dropout):
    x = torch.full((1000,), 3.0, dtype=torch.float64)
    found = check_shape(
        dropout(x, 0.25, True, generator(0)), (1000,), what="dropout(x, p=0.25) with 1000 threes"
    )
    odd = [value for value in found.tolist() if abs(value) > 1e-9 and abs(value - 4) > 1e-9]
    assert not odd, f"dropout(x, p=0.25) turned a 3 into {odd[0]:.6g}, but 0 or 3 / 0.75 = 4 was expected."
    # a right dropout drops none, or all, of 1000 once in 10^125
    zeros = int((found == 0).sum())
    assert 0 < zeros < 1000, f"dropout(x, p=0.25) dropped {zeros} of 1000 numbers; about 250 were expected."
    check_close(dropout(x, 0.0), x, what="dropout(x, p=0)")
    check_close(dropout(x, 1.0), torch.zeros_like(x), what="dropout(x, p=1)")


@test_case(
    name="eval mode does nothing",
    points=2,
    hidden=False,
    failure_message="With training=False, and in a Dropout after .eval(), x comes back as it is; the factor "
    "1 / (1 - p) belongs to training. A new module is in train mode, which self.training tells.",
)
def test_eval(dropout, Dropout):
    x = torch.arange(1.0, 101.0)
    check_close(dropout(x, 0.5, False), x, what="dropout(x, 0.5, training=False)")
    module = Dropout(0.5)
    check_close(module.eval()(x), x, what="Dropout(0.5).eval()(x)")
    found = check_shape(module.train()(x), (100,), what="Dropout(0.5).train()(x)")
    assert (found == 0).any(), "Dropout(0.5) dropped nothing of 100 numbers in train mode."


@test_case(
    name="eval mode does nothing, for every p",
    points=1,
    hidden=True,
    failure_message="In eval mode nothing is dropped and nothing is scaled.",
)
def test_eval_modes(dropout, Dropout):
    x = normal(40, 50, seed=1)
    for p in (0.1, 0.5, 1.0):
        for what, found in [
            (f"dropout(x, {p}, training=False)", dropout(x, p, False)),
            (f"Dropout({p}).eval()(x)", Dropout(p).eval()(x)),
        ]:
            found = check_shape(found, x.shape, what=what)
            if (found == 0).any():
                raise Mistake("active_in_eval", f"{what} drops numbers, but in eval mode nothing is dropped.")
            if ((found / x - (1 - p)).abs() < 1e-6).all():
                raise Mistake(
                    "rescaled_in_eval", f"{what} is {1 - p:.4g} times x, but in eval mode nothing is scaled."
                )
            check_close(found, x, what=what)


@test_case(
    name="the share that is dropped, and what is kept",
    points=1,
    hidden=True,
    failure_message="p is the probability to be dropped, and what is kept is divided by the probability to "
    "be kept.",
)
def test_share(dropout, Dropout):
    x = normal(100, 200, seed=2)
    for p, seed in [(0.2, 3), (0.7, 4)]:
        what = f"dropout(x, {p})"
        gone = dropped(dropout(x, p, True, generator(seed)), x, p, what)
        check_share(
            int(gone.sum()), gone.numel(), p, false_fail=FALSE_FAIL, what=f"The share that {what} drops is"
        )
    gone = dropped(Dropout(0.3).train()(x), x, 0.3, "Dropout(0.3)(x)")
    what = "The share that Dropout(0.3) drops is"
    check_share(int(gone.sum()), gone.numel(), 0.3, false_fail=FALSE_FAIL, what=what)


@test_case(
    name="each number by itself",
    points=1,
    hidden=True,
    failure_message="Each number is dropped or kept independently of its neighbours: not whole rows or "
    "columns, and not the same mask for every row.",
)
def test_independent(dropout):
    x, p = normal(100, 200, seed=5), 0.4
    gone = check_shape(dropout(x, p, True, generator(6)), x.shape, what="dropout(x, 0.4)") == 0
    if (gone == gone[:, :1]).all() or (gone == gone[:1]).all():
        raise Mistake("whole_rows", "dropout(x, 0.4) drops whole rows or columns of x, not single numbers.")
    for axis, pairs in [("row", gone[:, ::2] & gone[:, 1::2]), ("column", gone[::2] & gone[1::2])]:
        what = f"The share of neighbours in a {axis} that dropout(x, 0.4) drops together is"
        check_share(int(pairs.sum()), pairs.numel(), p * p, false_fail=FALSE_FAIL, what=what)


@test_case(
    name="another mask every time, the generator in charge",
    points=1,
    hidden=True,
    failure_message="Every call draws anew. With a generator, all random numbers come from it: the same "
    "state gives the same result, and a call advances it.",
)
def test_generator(dropout, Dropout):
    x, p, first = normal(50, 40, seed=7), 0.5, generator(8)
    one, two = dropout(x, p, True, first), dropout(x, p, True, first)
    check_shape(one, x.shape, what="dropout(x, 0.5, True, generator)")
    again = check_shape(dropout(x, p, True, generator(8)), x.shape, what="dropout(x, 0.5, True, generator)")
    if not torch.equal(one, again):
        raise Mistake(
            "generator_ignored",
            "dropout(x, 0.5, True, generator) gives two results for one state of the generator.",
        )
    module = Dropout(p)
    module.train()
    calls = {
        "two calls of dropout with one generator": (one, two),
        "two calls of dropout without a generator": (dropout(x, p), dropout(x, p)),
        "two calls of a Dropout": (module(x), module(x)),
    }
    for what, (this, that) in calls.items():
        check_shape(this, x.shape, what=f"the result of {what}")
        check_shape(that, x.shape, what=f"the result of {what}")
        if torch.equal(this, that):
            raise Mistake("same_mask", f"In {what}, the same numbers were dropped.")
    same = (one == 0) & (two == 0)
    what = "The share that two calls with one generator both drop is"
    check_share(int(same.sum()), same.numel(), p * p, false_fail=FALSE_FAIL, what=what)


@test_case(
    name="gradients",
    points=1,
    hidden=True,
    failure_message="The gradient is dropped and scaled like the numbers: 0 or 1 / (1 - p), with the same "
    "mask. Dropout is differentiable as well.",
)
def test_gradients(dropout, Dropout):
    x = normal(20, 30, seed=9).requires_grad_()
    for what, out in [
        ("dropout(x, 0.25)", dropout(x, 0.25, True, generator(10))),
        ("Dropout(0.25).train()(x)", Dropout(0.25).train()(x)),
    ]:
        out = check_shape(out, x.shape, what=what)
        assert out.requires_grad, f"{what} carries no gradient: the path back to x is cut."
        (gradient,) = torch.autograd.grad(out.sum(), x)
        check_close(gradient, (out / x).detach(), what=f"the gradient of {what}.sum()")


@test_case(
    name="shapes and dtypes; nothing is changed",
    points=1,
    hidden=True,
    failure_message="Any shape, 0-dimensional and empty too; the result has the dtype of x, and x keeps its "
    "numbers.",
)
def test_shapes(dropout):
    for shape in [(), (3,), (2, 3, 4), (0, 5)]:
        x = normal(*shape, seed=11, dtype=torch.float32)
        before, what = x.clone(), f"dropout(x, 0.5) with x of shape {shape}"
        found = check_shape(dropout(x, 0.5), shape, what=what)
        check_close(torch.where(found == 0, 2 * x, found), 2 * x, tolerance=1e-5, what=f"what {what} keeps")
        check_unchanged(before, x, what=f"x in {what}")


@test_case(
    name="arguments that do not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message for a p below 0 or above 1, in eval mode and in "
    "__init__ too; 0 and 1 themselves are allowed.",
)
def test_bad_arguments(dropout, Dropout):
    x = normal(3, seed=12)
    check_shape(dropout(x, 0.5), (3,), what="dropout(x, 0.5)")
    check_close(Dropout(0.0).train()(x), x, what="Dropout(0)(x)")
    for p in (-0.1, 1.1):
        check_raises(ValueError, dropout, x, p, what=f"dropout(x, {p})")
        check_raises(ValueError, dropout, x, p, False, what=f"dropout(x, {p}, training=False)")
        check_raises(ValueError, Dropout, p, what=f"Dropout({p})")
