"""q1: The model and its training."""

import torch
from otter.test_files import test_case

from autograder.checks import Mistake, check_shape

OK_FORMAT = False
name = "q1"
all_or_nothing = False


@test_case(name="shape", points=1, hidden=False)
def test_shape(Line):
    check_shape(Line()(torch.zeros(4)), (4,), what="Line()(x)")


@test_case(name="fits the points", points=3, hidden=True, failure_message="Train for longer.")
def test_fit(loss):
    if loss > 3:
        raise Mistake(
            "uphill", f"Expected a loss below 0.01, but found {loss:.3g}, more than before the training."
        )
    assert loss < 0.01, f"Expected a loss below 0.01, but found {loss:.3g}."


@test_case(name="counts what it has seen", points=2, hidden=True)
def test_buffer(trained):
    assert trained["seen"] == 200, f"Expected 200 steps, but found {trained['seen']}."
