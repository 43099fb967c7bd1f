"""Known wrong answers to the sample assignment."""

import torch
from torch import nn

from autograder.diagnosis import misconception


@misconception(
    "q1",
    replaces="softmax",
    name="a softmax over the first dimension",
    hint="Which dimension should sum to 1?",
)
def first_dimension(x):
    if x.numel() == 0:
        raise ValueError("x is empty")
    shares = torch.exp(x - x.amax(dim=0, keepdim=True))
    return shares / shares.sum(dim=0, keepdim=True)


@misconception(
    "q2",
    replaces="Gate",
    name="a gate that forgets the softmax",
    hint="Shares are positive and sum to 1. What makes them so?",
)
class BareGate(nn.Module):
    def __init__(self, d, n):
        super().__init__()
        self.W = nn.Parameter(torch.zeros(d, n))

    def forward(self, x):
        return x @ self.W
