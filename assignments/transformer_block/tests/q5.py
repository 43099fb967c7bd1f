"""q5: residual(x, sublayer, norm, norm_first=True), with sublayers and norms of the judge's."""

import torch
from otter.test_files import test_case

from autograder.checks import check_close, check_raises, check_shape, check_unchanged

OK_FORMAT = False
name = "q5"
all_or_nothing = False


def normal(*shape, seed, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def bend(x):
    """A sublayer that is not linear, so that no two orders of the steps agree."""
    return (2 * x).sin() + 0.5 * x * x


def shift(x):
    """In the place of the norm."""
    return 0.7 * x.cos() + 0.3


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.calls, self._function = 0, function

    def __call__(self, x):
        self.calls += 1
        return self._function(x)


@test_case(
    name="pre-norm by hand",
    points=1,
    hidden=False,
    failure_message="With f(x) = 2 x and x + 1 in the place of the norm, x = 1: the norm gives 2, f gives "
    "4, and 1 + 4 = 5.",
)
def test_pre_by_hand(residual):
    x = torch.tensor([1.0, -1.0])
    what = "residual(x, sublayer, norm, norm_first=True) with sublayer(x) = 2 x, norm(x) = x + 1"
    found = residual(x, lambda x: 2 * x, lambda x: x + 1, True)
    check_close(found, torch.tensor([5.0, -1.0]), tolerance=1e-6, what=what)


@test_case(
    name="post-norm by hand",
    points=1,
    hidden=False,
    failure_message="With f(x) = 2 x and x + 1 in the place of the norm, x = 1: f gives 2, the sum is 3, "
    "and the norm of it 4.",
)
def test_post_by_hand(residual):
    x = torch.tensor([1.0, -1.0])
    what = "residual(x, sublayer, norm, norm_first=False) with sublayer(x) = 2 x, norm(x) = x + 1"
    found = residual(x, lambda x: 2 * x, lambda x: x + 1, False)
    check_close(found, torch.tensor([4.0, -2.0]), tolerance=1e-6, what=what)


@test_case(
    name="both forms, with other sublayers and shapes",
    points=2,
    hidden=True,
    failure_message="Pre-norm is x + f(n(x)), and post-norm n(x + f(x)). Pre-norm is the default.",
)
def test_values(residual):
    for shape in [(4,), (2, 3, 4), (0, 4)]:
        x = normal(*shape, seed=0)
        before, what = x.clone(), f"residual(x, sublayer, norm, norm_first) with x of shape {shape}"
        pre, post = residual(x, bend, shift, True), residual(x, bend, shift, False)
        check_close(pre, x + bend(shift(x)), what=what.replace("norm_first", "norm_first=True"))
        check_close(post, shift(x + bend(x)), what=what.replace("norm_first", "norm_first=False"))
        check_unchanged(before, x, what=f"x in {what}")
    x = normal(3, 4, seed=4)
    check_close(residual(x, bend, shift), x + bend(shift(x)), what="residual(x, sublayer, norm)")


@test_case(
    name="each is called once; the path past the sublayer",
    points=1,
    hidden=True,
    failure_message="One call of the sublayer and one of the norm are enough. In pre-norm the gradient runs "
    "past the sublayer unchanged: where none comes through the sublayer, it is exactly 1.",
)
def test_calls_and_path(residual):
    for norm_first in (True, False):
        sublayer, norm = Counted(bend), Counted(shift)
        residual(normal(2, 3, seed=1), sublayer, norm, norm_first)
        calls = (sublayer.calls, norm.calls)
        assert calls == (1, 1), (
            f"residual(x, sublayer, norm, norm_first={norm_first}) called the sublayer {calls[0]} times and the norm "
            f"{calls[1]} times; each once was expected."
        )
    x = normal(2, 3, seed=2, dtype=torch.float32).requires_grad_()
    # no gradient comes through these two, so what arrives has come past them
    out = residual(x, lambda x: bend(x.detach()), lambda x: shift(x.detach()), True)
    out = check_shape(out, (2, 3), what="residual(x, sublayer, norm)")
    assert out.requires_grad, "residual(x, sublayer, norm) carries no gradient: the path back to x is cut."
    (gradient,) = torch.autograd.grad(out.sum(), x)
    check_close(gradient, torch.ones(2, 3), tolerance=1e-6, what="the gradient on the path past the sublayer")


@test_case(
    name="a sublayer that does not fit",
    points=1,
    hidden=True,
    failure_message="Raise ValueError with a message where the sublayer returns another shape than that of "
    "x, also one that would broadcast.",
)
def test_bad_sublayers(residual):
    x = normal(2, 3, seed=3)
    check_shape(residual(x, bend, shift), (2, 3), what="residual(x, sublayer, norm)")
    for norm_first in (True, False):
        for kind, sublayer in [
            ("(3,)", lambda x: x[0]),
            ("(2, 1)", lambda x: x[:, :1]),
            ("(2, 2, 3)", lambda x: torch.stack([x, x])),
        ]:
            what = (
                f"residual(x, sublayer, norm, norm_first={norm_first}), x (2, 3), sublayer(x) of shape {kind}"
            )
            check_raises(ValueError, residual, x, sublayer, shift, norm_first, what=what)
