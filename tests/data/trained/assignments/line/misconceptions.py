"""Known wrong answers."""

import torch

from autograder.diagnosis import misconception


@misconception(
    "q1", replaces="train", name="a training that goes uphill", hint="Look at the sign of the step."
)
def uphill(model, steps, seed):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, maximize=True)
    x = torch.linspace(-1, 1, 21)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x) - (2 * x + 1)).square().mean().backward()
        optimizer.step()
