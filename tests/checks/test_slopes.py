"""Gradients that are slopes pass; what is detached is noticed, told, and leaves the parameter as it was."""

import pytest
import torch
from torch import nn

from autograder.checks import check_slopes


class Model(nn.Module):
    """A gated layer; one of the two ways to W is cut if asked for."""

    def __init__(self, cut=False):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.W, self.V = (nn.Parameter(torch.randn(4, 4, generator=generator)) for _ in range(2))
        self.cut = cut

    def forward(self, x):
        hidden = torch.tanh(x @ (self.W.detach() if self.cut else self.W))
        return hidden * torch.sigmoid(x @ self.W) @ self.V


def with_gradients(model):
    """The loss as a function, after its gradient was computed."""
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(1))

    def loss():
        return (model(x) - 1).square().mean()

    loss().backward()
    return loss


def test_right_gradients_pass_and_parameters_are_put_back():
    model = Model()
    loss = with_gradients(model)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        check_slopes(parameter, loss, what=name, way="to the result")
        assert torch.equal(parameter, before[name])


def test_what_is_cut_is_told():
    """The numbers of this model are right, and W has a gradient: only that it is not the whole one gives it away."""
    model = Model(cut=True)
    loss = with_gradients(model)
    check_slopes(model.V, loss, what="V", way="to the result")
    with pytest.raises(AssertionError) as caught:
        check_slopes(model.W, loss, what="W", way="to the result")
    assert str(caught.value) == (
        "The gradient of the loss in W is not its slope: along a random direction it is off by 0.12, where 0.06 is "
        "typical. Part of the way to the result is cut (.detach(), .data)."
    )
    check_slopes(model.W, loss, share=3.0, what="W", way="to the result")


def test_no_gradient_is_one_of_zeros():
    """It is the slope of a parameter that does nothing, and of no other."""
    model = Model()
    loss = with_gradients(model)
    idle = nn.Parameter(torch.ones(3))
    check_slopes(idle, loss, what="idle", way="to the result")
    model.V.grad = None
    with pytest.raises(AssertionError, match="in V is not its slope"):
        check_slopes(model.V, loss, what="V", way="to the result")
