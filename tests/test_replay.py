"""A recorded call can be made again with another implementation, whatever was passed to it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autograder.diagnosis import Diagnostician, Misconception
from autograder.replay import observed, replay, same_behaviour
from autograder.sandbox.host import Bounds, Code, Sandbox
from autograder.sandbox.remote import Namespace
from autograder.sandbox.session import Session

ANSWER = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, d, activation=torch.tanh):
        super().__init__()
        self.inner = nn.Linear(d, 3)
        self.drop = nn.Dropout(0.5)
        self.outer = nn.Linear(3, d)
        self.activation = activation

    def forward(self, x):
        return self.outer(self.drop(self.activation(self.inner(x))))

class OtherLayout(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.only = nn.Linear(d, d)

    def forward(self, x):
        return self.only(x)

def loss(model, x):
    return (model(x) ** 2).sum()

def train(model, x, steps):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(model, x).backward()
        optimizer.step()
    return loss(model, x).item()

def double(x):
    return 2 * x

def apply(function, x):
    return function(x) + 1
"""
HERE: dict = {}
exec(ANSWER, HERE)
X = torch.tensor([[1.0, -2.0], [0.5, 3.0]])


@pytest.fixture(scope="module")
def names():
    """The names of one submission, whose calls are recorded."""
    with Sandbox() as sandbox, Session(sandbox, Code(((ANSWER, 1),), "a.py", False, {}), Bounds()) as session:
        made = Namespace(session)
        made.session = session
        yield made


@pytest.fixture(autouse=True)
def records(names):
    """The calls of one test, for as long as it runs."""
    names.session.recorder = found = []
    yield found
    names.session.recorder = None


def mean_loss(model, x):
    """A wrong loss."""
    return (model(x) ** 2).mean()


def stop(names):
    """The tests are over: what is replayed is not recorded."""
    found, names.session.recorder = names.session.recorder, None
    return found[-1]


@pytest.mark.parametrize("kind", ["Net", "OtherLayout"])
def test_a_module_among_the_arguments(names, kind):
    """The student's own module is used, whatever it is made of, with its parameters as they were in the call."""
    net = names.get(kind)(2).eval()
    names.get("loss")(net, X).backward()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    record = stop(names)
    assert sum(gradient is not None for gradient in observed(record).gradients[0]) == len(
        list(net.parameters())
    )
    assert same_behaviour(observed(record), replay(record, HERE["loss"]))
    assert not same_behaviour(observed(record), replay(record, mean_loss))


def test_a_module_that_is_trained(names):
    """What a call did to a module's parameters is part of what it did; the next replay begins where the call did."""
    net = names.get("Net")(2).eval()
    names.get("train")(net, X, 3)
    record = stop(names)
    assert len(observed(record).changed) == 4
    for steps, alike in ((3, True), (2, False), (3, True)):
        again = replay(record, lambda model, x, _, steps=steps: HERE["train"](model, x, steps))
        assert same_behaviour(observed(record), again) is alike


def test_a_spoiled_parameter_is_not_a_changed_one(names):
    """NaN is not equal to itself, and yet a call that leaves it alone changes nothing."""
    net = names.get("Net")(2).eval()
    with torch.no_grad():
        net.inner.weight[0] = float("nan")
    net(X)
    record = stop(names)
    assert observed(record).changed == {}
    assert same_behaviour(observed(record), replay(record, HERE["Net"]))


def test_the_mode_is_that_of_the_call(names):
    """A module that was called in eval mode drops nothing in the replay, although it is in training mode by then."""
    net = names.get("Net")(2).eval()
    net(X)
    net.train()
    record = stop(names)
    assert same_behaviour(observed(record), replay(record, HERE["Net"]))


def test_a_part_of_a_module(names):
    """A call of a part is a call of that part, not of the whole; who has no such part does something else."""
    net = names.get("Net")(2)
    net.inner(X).sum().backward()
    record = stop(names)
    assert record.path == ("inner",)
    assert same_behaviour(observed(record), replay(record, HERE["Net"]))
    assert replay(record, HERE["OtherLayout"]).error == "TypeError"


def test_a_function_of_the_judge(names):
    """It answers as it answered the student's code: without a gradient, and with a RuntimeError where it fails."""
    x = X.clone().requires_grad_()
    names.get("apply")(lambda rows: rows * 3, x)
    record = stop(names)
    assert same_behaviour(observed(record), replay(record, HERE["apply"]))
    assert not same_behaviour(observed(record), replay(record, lambda function, x: function(x)))


def test_a_function_of_the_judge_that_fails(names):
    """The student's code saw a RuntimeError, whatever the function raised."""
    with pytest.raises(RuntimeError, match="KeyError"):
        names.get("apply")({}.__getitem__, "x")
    record = stop(names)
    assert replay(record, HERE["apply"]).error == observed(record).error == "RuntimeError"


def test_a_function_of_the_student(names):
    """A function of the student's that was passed on is the student's in the replay too, gradients included."""
    x = X.clone().requires_grad_()
    names.get("apply")(names.get("double"), x).sum().backward()
    record = stop(names)
    assert same_behaviour(observed(record), replay(record, HERE["apply"]))


def test_a_module_built_with_a_function_of_the_judge(names):
    """Arguments of the construction are replayed like those of a call."""
    net = names.get("Net")(2, activation=torch.sin).eval()
    net(X)
    record = stop(names)
    assert same_behaviour(observed(record), replay(record, HERE["Net"]))


def test_the_mistake_behind_a_function_of_a_module(names):
    """A wrong function that takes a model is named, although nobody knows how the student's model is made."""
    wrong = Misconception("mean_loss", "q1", "loss", "a mean", "Sum.", mean_loss)
    names.get("loss")(names.get("OtherLayout")(2), X)
    record = stop(names)
    reference = {"loss": lambda model, x: (model(x) ** 2).sum() * 4, "Net": nn.Linear}
    right = Misconception("sum", "q1", "loss", "a sum", "", HERE["loss"])
    found = Diagnostician(reference, [wrong, right]).explain("q1", [record])
    assert found is not None
    assert found.key == "sum"
