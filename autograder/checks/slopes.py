"""Whether gradients are slopes: what is cut off on the way to a loss shows where numbers alone are right."""

from __future__ import annotations

from collections.abc import Callable

import torch

_STEP = 0.03  # to either side: in float32 smaller ones drown in rounding, and over larger ones the loss bends


@torch.no_grad()
def check_slopes(
    parameter: torch.Tensor, loss: Callable[[], torch.Tensor], *, share: float = 0.2, what: str, way: str
) -> None:
    """Pass if a parameter's gradient is the slope of the loss, along three random directions of length 1.

    Args:
        parameter: a parameter in float32 after `loss().backward()`; one without a gradient counts as having zeros. It
            is moved, and put back.
        loss: computes the loss again, a 0-d tensor, with the parameter as it then is.
        share: how large the error may be, as a share of the gradient's root mean square, which is a typical slope. A
            test file says beside its call what was measured for right models and for such with something detached.
        what: the parameter's name, for the message.
        way: what the gradient has to pass, such as "to the guess", for the message.
    """
    gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
    typical, start, squares = gradient.norm() / parameter.numel() ** 0.5, parameter.clone(), []
    for seed in range(3):
        noise = torch.randn(parameter.numel(), generator=torch.Generator().manual_seed(seed))
        direction, losses = torch.nn.functional.normalize(noise, dim=0).reshape(parameter.shape), []
        for step in (_STEP, -_STEP):
            parameter.copy_(start + step * direction)
            losses.append(loss().item())
        slope, expected = (gradient * direction).sum().item(), (losses[0] - losses[1]) / (2 * _STEP)
        squares.append((slope - expected) ** 2)
    parameter.copy_(start)
    error = (sum(squares) / len(squares)) ** 0.5
    assert error <= share * typical + 1e-4, (
        f"The gradient of the loss in {what} is not its slope: along a random direction it is off by {error:.2g}, where"
        f" {typical:.2g} is typical. Part of the way {way} is cut (.detach(), .data)."
    )
