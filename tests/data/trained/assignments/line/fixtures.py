"""Computed once a submission."""

import torch


def points():
    x = torch.linspace(-1, 1, 21)
    return x, 2 * x + 1


def trained(Line, train, weights):
    """The state of the student's model: as handed in, or trained now."""
    if weights is not None:
        return weights
    model = Line()
    train(model, 200, 0)
    return dict(model.state_dict())


def loss(Line, trained, points):
    model = Line()
    model.load_state_dict(trained)
    x, y = points
    return float((model(x) - y).square().mean().detach())


def line(Line, trained, points):
    """What the student's model says at the points."""
    model = Line()
    model.load_state_dict(trained)
    return model(points[0]).detach()
