# %% [markdown]
# # A softmax and a gate
#
# Two small questions. $\operatorname{softmax}(x)_i = e^{x_i} / \sum_j e^{x_j}$.

# %%
import torch
from torch import Tensor, nn

# %% [markdown]
# ## q1 · Softmax


# %% tags=["q1"]
def softmax(x: Tensor) -> Tensor:
    """Shares that sum to 1 along the last dimension.

    Raises:
        ValueError: x is empty.
    """
    # BEGIN SOLUTION
    if x.numel() == 0:
        raise ValueError("softmax needs at least one number")
    powers = torch.exp(x - x.amax(dim=-1, keepdim=True))
    return powers / powers.sum(dim=-1, keepdim=True)
    # END SOLUTION


# %% tags=["otter_ignore"]
try:
    print("a demonstration:", softmax(torch.zeros(2)).tolist())
except Exception as error:
    print(f"This demonstration appears once q1 works ({type(error).__name__}: {error}).")

# %% [markdown] tags=["w1"]
# ## w1 · Shifting the scores
#
# Why may a constant be subtracted from all $x_i$?

# %% [markdown] tags=["w1", "solution"]
# $e^{x_i - c} = e^{-c} e^{x_i}$, and the common factor $e^{-c}$ cancels against the one that leaves the sum.

# %% [markdown]
# ## q2 · A gate


# %% tags=["q2"]
class Gate(nn.Module):
    """Shares of n experts for an input of width d."""

    def __init__(self, d: int, n: int) -> None:
        super().__init__()
        # BEGIN SOLUTION
        self.W = nn.Parameter(torch.randn(d, n) * 0.1)
        # END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) -> (..., n)"""
        # BEGIN SOLUTION
        return softmax(x @ self.W)
        # END SOLUTION


# %% tags=["q2"]
def gate_entropy(shares: Tensor) -> Tensor:
    """The entropy of shares along the last dimension."""
    positive = shares.clamp_min(1e-300)
    entropy = -(shares * positive.log()).sum(dim=-1)  # SOLUTION
    return entropy
