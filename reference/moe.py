# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Mixture of experts
#
# A hospital does not send every patient to every doctor. Somebody at the door looks at each patient, decides
# which two or three specialists are worth asking, and weighs their opinions. The hospital can employ a hundred
# doctors, and a patient still costs the time of two.
#
# A **mixture of experts** does this with networks. There are $n$ experts $E_1, \dots, E_n$, each a small
# network of its own, and a *gate* that looks at an input $x$ and gives each expert a weight:
#
# $$
# y(x) = \sum_{e=1}^{n} g_e(x)\, E_e(x), \qquad g_e(x) \ge 0, \qquad \sum_{e=1}^{n} g_e(x) = 1 .
# $$
#
# If the gate keeps only the $k$ largest weights, all other experts need not be computed at all: the model has
# the parameters of $n$ experts and the cost of $k$. This is how the largest language models are built. It comes
# with a difficulty of its own: gates like to send everybody to the same doctor. You will build the mixture,
# differentiate its gate by hand, measure how unevenly it works, and look at who takes which patients.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `gate` | a softmax over experts, of which `top_k` are kept |
# | q2 | `MoE` | the weighted sum of experts, as a module |
# | q3 | `MoE` once more | each expert sees only the rows that are sent to it |
# | w1, q4 | a derivation, `gate_gradient` | how the gate learns, on paper and then in code |
# | q5 | `load_balancing_loss` | what it costs to favour one expert |
# | q6 | `expert_load`, `plot_regions` | which expert takes which region |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. After each
# question, run its check. The checks you have here are a part of those that grade you, so read the docstrings:
# everything that is graded is promised there.

# %% [markdown]
# ## Notation
#
# A *row* is one input vector $x$ of length $d$ = `d_model` (a token, a patient). Rows are stacked in leading
# dimensions, written `...`:
#
# | symbol | shape | meaning |
# | --- | --- | --- |
# | $x$ | `(..., d_model)` | inputs |
# | $W_g$ | `(d_model, n_experts)` | the weights of the gate |
# | $z = x W_g$ | `(..., n_experts)` | gate logits, one for each expert |
# | $p = \operatorname{softmax}(z)$ | `(..., n_experts)` | gate probabilities |
# | $g$ | `(..., n_experts)` | gate weights: $p$, or what is left of it after `top_k` |
#
# Results have the dtype and the device of the inputs, inputs are never changed, and one row never depends on
# another. The number of rows may be 0.
#
# The next cell holds the imports, a helper for your argument checks (`require(n >= 1, "n must be at least 1")`
# raises a `ValueError` with that message when `n` is 0), and one expert ready to use.

# %%
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


class Expert(nn.Module):
    """One expert: a network with one hidden layer, (..., d_model) -> (..., d_model)."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.inner = nn.Linear(d_model, d_ff)
        self.outer = nn.Linear(d_ff, d_model)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every row."""
        return self.outer(torch.relu(self.inner(x)))


# %% tags=["otter_ignore"]
IN_NOTEBOOK = "get_ipython" in globals()


def show(demonstration: Callable[[], object], needs: str, what: str = "demonstration") -> None:
    """Run a demonstration, or say which question it waits for. An imported module shows nothing."""
    if not (IN_NOTEBOOK or __name__ == "__main__"):
        return
    try:
        demonstration()
    except Exception as error:
        plt.close("all")
        verb = "work" if " and " in needs else "works"
        print(f"This {what} appears once {needs} {verb} ({type(error).__name__}: {error}).")


def draw(figure: Callable[[], Figure], needs: str) -> None:
    """Show a figure in the notebook; a plain script saves it as figures/NAME.png."""

    def picture() -> None:
        drawn = figure()
        if IN_NOTEBOOK:
            plt.show()
            return
        path = Path("figures") / f"{figure.__name__}.png"
        path.parent.mkdir(exist_ok=True)
        drawn.savefig(path, dpi=120)
        plt.close(drawn)
        print(f"Saved {path}")

    show(picture, needs, what="figure")


# %% [markdown]
# ## q1 · The gate
#
# The gate is one matrix and a softmax over the experts
# ([Jacobs et al. 1991](https://doi.org/10.1162/neco.1991.3.1.79)):
#
# $$
# z = x W_g, \qquad p_e = \frac{\exp z_e}{\sum_m \exp z_m} .
# $$
#
# With `top_k`, only the set $T$ of the $k$ largest probabilities is kept, and these are **renormalised**, so
# that they sum to 1 again; the rest are exactly 0
# ([Shazeer et al. 2017](https://arxiv.org/abs/1701.06538), equations 3 to 5):
#
# $$
# g_e = \begin{cases} p_e \,/ \sum_{m \in T} p_m & e \in T \\ 0 & \text{otherwise.} \end{cases}
# $$
#
# The renormalised weights are also the softmax over the kept logits alone: do you see why? Exactly $k$ experts
# are kept even where probabilities are equal. Which of the equal ones is up to you.
#
# ### By hand
#
# $d = 2$, three experts, $x = (1, 2)$ and
#
# $$
# W_g = \begin{pmatrix} \ln 6 & \ln 3 & 0 \\ 0 & 0 & 0 \end{pmatrix}, \qquad z = (\ln 6,\ \ln 3,\ 0) .
# $$
#
# The exponentials are $6, 3, 1$, their sum is $10$, so $p = (0.6,\ 0.3,\ 0.1)$. With $k = 2$ the first two are
# kept; they sum to $0.9$, so $g = \left(\tfrac23,\ \tfrac13,\ 0\right)$. With $k = 1$, $g = (1, 0, 0)$.
#
# **A trap to know.** With $k = 1$ the renormalised weight is the constant 1, whatever $W_g$ is. Its gradient is
# therefore exactly zero, and the gate learns **nothing**. Models that use one expert per token keep the raw
# probability instead (Switch Transformer); we renormalise always, and train with $k \ge 2$.
#
# <details><summary>Hint: putting the kept ones back in their places</summary>
# <code>torch.topk</code> gives values and indices. You need a tensor of zeros that has the values at those
# indices: look for <code>scatter</code>.
# </details>
#
# <details><summary>Hint: equal probabilities</summary>
# A comparison with the k-th largest value keeps too many where several equal it. Indices are never equal.
# </details>


# %% tags=["q1"]
def gate(x: Tensor, W_g: Tensor, top_k: int | None = None) -> Tensor:
    """The weight of each expert for each row: softmax of x W_g, of which the top_k largest may be kept.

    Source: Jacobs et al. 1991; top_k: Shazeer et al. 2017, equations 3 to 5 (without noise).

    Args:
        x: inputs, (..., d_model), floating point.
        W_g: weights of the gate, (d_model, n_experts), same dtype.
        top_k: how many experts each row keeps, from 1 to n_experts. None: all, without any change.

    Returns:
        (..., n_experts), dtype and device of x. Every row sums to 1. With top_k, exactly top_k are kept, also
        where probabilities are equal, and renormalised; the others are exactly 0. Differentiable with respect
        to x and W_g. Right and finite for logits of +-150. There may be 0 rows. The inputs stay unchanged.

    Raises:
        ValueError: x has no dimension; W_g does not have two; W_g does not have d_model rows, or has no
            column; top_k is not between 1 and n_experts.
    """
    # BEGIN SOLUTION
    found = f"x {tuple(x.shape)}, W_g {tuple(W_g.shape)}"
    require(x.ndim >= 1 and W_g.ndim == 2, f"x needs a dimension and W_g needs two, got {found}")
    require(x.shape[-1] == W_g.shape[0], f"x and W_g need the same d_model, got {found}")
    require(W_g.shape[1] >= 1, f"at least one expert is needed, got {found}")
    probabilities = torch.softmax(x @ W_g, dim=-1)
    if top_k is None:
        return probabilities
    require(1 <= top_k <= W_g.shape[1], f"top_k must be between 1 and {W_g.shape[1]}, got {top_k}")
    # Indices, not a comparison of values: there are exactly top_k of them even where values are equal.
    kept, indices = probabilities.topk(top_k, dim=-1)
    # The largest probability is at least 1 / n_experts, so this never divides by 0.
    kept = kept / kept.sum(dim=-1, keepdim=True)
    return torch.zeros_like(probabilities).scatter(-1, indices, kept)
    # END SOLUTION


# %% tags=["otter_ignore"]
HAND_X = torch.tensor([1.0, 2.0])
HAND_W_G = torch.tensor([[math.log(6), math.log(3), 0.0], [0.0, 0.0, 0.0]])


def hand_gate() -> None:
    """Print the weights of the example by hand, for every top_k."""
    for top_k in (None, 2, 1):
        weights = "  ".join(f"{weight:.4f}" for weight in gate(HAND_X, HAND_W_G, top_k).tolist())
        print(f"top_k = {top_k}: {weights}")


show(hand_gate, needs="q1")

# %% [markdown]
# ### The gate along a line
#
# Four experts and an input of two numbers, $(a, 1)$, with $a$ from left to right. On the left all weights, in
# the middle the two largest, on the right the largest alone.


# %% tags=["otter_ignore"]
LINE_W_G = torch.tensor([[-3.0, -1.0, 1.0, 3.0], [-1.5, 0.6, 0.6, -1.5]])
COLOURS = ["tab:blue", "tab:orange", "tab:green", "tab:red"]


def gate_along_a_line() -> Figure:
    """The weights of four experts, stacked, for no top_k, two and one."""
    positions = torch.linspace(-2.5, 2.5, 501)
    x = torch.stack([positions, torch.ones_like(positions)], dim=-1)
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), sharey=True, layout="constrained")
    for ax, top_k in zip(axes, (None, 2, 1), strict=True):
        weights = gate(x, LINE_W_G, top_k)
        ax.stackplot(positions.numpy(), weights.T.numpy(), colors=COLOURS)
        ax.set(title="all experts" if top_k is None else f"top_k = {top_k}", xlabel="input $a$", ylim=(0, 1))
    for expert, place in enumerate((-2.2, -0.75, 0.75, 2.2)):
        axes[0].text(place, 0.5, f"$E_{expert}$", ha="center", color="white", fontsize=14)
    axes[0].set_ylabel("weights $g_e$, stacked")
    return figure


draw(gate_along_a_line, needs="q1")

# %% [markdown]
# The stack has the height 1 everywhere: the weights are a partition of unity. With `top_k = 2` they jump where
# an expert drops out of the best two. With `top_k = 1` they only ever are 0 or 1, flat between the jumps: this
# is the missing gradient of the trap above, as a picture.

# %% [markdown]
# ## q2 · The mixture
#
# Now the sum itself, as a module: $y = \sum_e g_e(x)\, E_e(x)$. The experts are any networks that take rows of
# length `d_model` and return rows of the same length, with a hidden layer of `d_ff`; use the `Expert` above or
# write your own. They must be **different** networks with weights of their own. If they all started equal, they
# would all receive similar gradients, and the gate would have nothing to choose from.
#
# Put the experts into an `nn.ModuleList` called `experts`, so that PyTorch finds their parameters, and the
# gate's weights into an `nn.Parameter` called `W_g`.
#
# **By hand.** Two experts, $E_0(x) = 2x$ and $E_1(x) = -x$, gate weights $\tfrac34$ and $\tfrac14$. Then
# $y = \tfrac34 \cdot 2x - \tfrac14 x = 1.25\, x$.
#
# Begin with the plain sum over all experts: its values are right with `top_k` as well, for the other weights are
# 0, and q2 asks for no more. In q3 you come back and save the work.
#
# <details><summary>Hint: a sum over experts</summary>
# The weight of expert e is <code>weights[..., e]</code>, one number a row, and its output is one vector a row.
# What has to happen to the shape of the first before you multiply?
# </details>
#
# <details><summary>Hint: a list of modules</summary>
# <code>[expert] * n</code> is a list that holds the same expert n times.
# </details>


# %% tags=["q2"]
class MoE(nn.Module):
    """A mixture of experts: the sum of the experts' outputs, weighted by the gate.

    Source: Jacobs et al. 1991; sparse: Shazeer et al. 2017, equation 1.

    Args:
        d_model: length of an input row and of an output row.
        d_ff: width of the hidden layer of each expert.
        n_experts: how many experts.
        top_k: how many of them each row uses, 1 to n_experts. None: all.

    Attributes:
        experts: nn.ModuleList of n_experts networks (..., d_model) -> (..., d_model), with weights of their own.
        W_g: nn.Parameter (d_model, n_experts), drawn from a normal distribution with standard deviation
            1/sqrt(d_model).

    Raises:
        ValueError: a size is below 1; top_k is not between 1 and n_experts.
    """

    def __init__(self, d_model: int, d_ff: int, n_experts: int = 4, top_k: int | None = None) -> None:
        super().__init__()
        # BEGIN SOLUTION
        sizes = f"d_model {d_model}, d_ff {d_ff}, n_experts {n_experts}"
        require(min(d_model, d_ff, n_experts) >= 1, f"sizes must be at least 1, got {sizes}")
        in_range = top_k is None or 1 <= top_k <= n_experts
        require(in_range, f"top_k must be between 1 and n_experts = {n_experts}, got {top_k}")
        self.top_k = top_k
        self.experts = nn.ModuleList(Expert(d_model, d_ff) for _ in range(n_experts))
        self.W_g = nn.Parameter(torch.randn(d_model, n_experts) / math.sqrt(d_model))
        # END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Mix the experts' outputs.

        Args:
            x: (..., d_model), floating point of the dtype of the parameters. There may be 0 rows.

        Returns:
            (..., d_model), the sum over e of g_e(x) E_e(x), differentiable with respect to x, W_g and the
            parameters of the experts. x stays unchanged.

            From q3 on: with top_k, expert e computes those rows only to which the gate gives a weight for e, all
            experts together (number of rows) * top_k of them, in as many calls as you like. A row that does
            not use an expert is not touched by it, in the forward and in the backward pass: not even by NaN.

        Raises:
            ValueError: the last dimension of x is not d_model.
        """
        # BEGIN SOLUTION
        weights = gate(x, self.W_g, self.top_k)  # refuses an x of another width
        rows, row_weights = x.reshape(-1, x.shape[-1]), weights.reshape(-1, len(self.experts))
        result = torch.zeros_like(rows)
        for e, expert in enumerate(self.experts):
            wanted = row_weights[:, e].nonzero().squeeze(-1)  # which rows use this expert
            contribution = row_weights[wanted, e].unsqueeze(-1) * expert(rows[wanted])
            result = result.index_add(0, wanted, contribution)
        return result.reshape(x.shape)
        # END SOLUTION


# %% tags=["otter_ignore"]
def count_parameters() -> None:
    """Print how many numbers a mixture holds, and how many of them one row uses."""
    for n_experts in (1, 4, 16):
        model = MoE(8, 32, n_experts, top_k=1)
        total, one = (sum(p.numel() for p in part.parameters()) for part in (model, model.experts[0]))
        used = one + model.W_g.numel()
        print(f"{n_experts:2} experts: {total:5} parameters, of which a row uses {used} with top_k = 1")


show(count_parameters, needs="q2")

# %% [markdown]
# ## q3 · Sparse dispatch
#
# A weight of 0 times an output is 0, but the output has been computed all the same: the plain sum costs $n$
# experts a row, whatever `top_k` is. So go back to `MoE.forward` above and turn the sum inside out. For each
# **expert**:
#
# 1. find the rows that give it a weight other than 0,
# 2. compute it for these rows only,
# 3. multiply by their weights and add the result to the right rows of the output.
#
# All experts together then compute $\text{rows} \times k$ rows instead of $\text{rows} \times n$.
#
# **By hand.** Three rows, three experts, $k = 2$:
#
# $$
# g = \begin{pmatrix} 0.5 & 0.5 & 0 \\ 0 & 0.9 & 0.1 \\ 0.2 & 0.8 & 0 \end{pmatrix} .
# $$
#
# Read **columns**: expert 0 sees rows 0 and 2, expert 1 all three, expert 2 row 1 alone. Together that is
# $2 + 3 + 1 = 6 = 3 \times 2$ rows. An expert that nobody wants gets 0 rows, or is not called at all: both are
# right.
#
# No row may be lost. Some large models give each expert a fixed *capacity* and drop the rows that exceed it; we
# do not.
#
# **How to see it.** Spoil one expert: fill its parameters with NaN. A row that does not use it must not notice.
# With the plain sum every row does, for $0 \cdot \text{NaN} = \text{NaN}$. It is no way out to compute everything and
# pick the right outputs afterwards: the work is the same, and in the backward pass the NaN comes back.
#
# <details><summary>Hint: leading dimensions</summary>
# Flatten the rows to (number of rows, d) first and give the result its shape at the end.
# </details>
#
# <details><summary>Hint: which rows?</summary>
# <code>nonzero</code> of a column of the weights, or of a comparison, gives the row numbers.
# </details>
#
# <details><summary>Hint: adding to some rows</summary>
# <code>index_add</code> adds given rows at given places and is differentiable.
# </details>
#
# How many rows do your experts see? The next cell counts those in all calls of `self.experts[e]`, and the time.


# %% tags=["otter_ignore", "q3"]
def rows_seen(model: nn.Module, x: Tensor) -> list[int]:
    """How many rows each expert is called with, all calls together."""
    seen = [0] * len(model.experts)

    def note(e: int) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen[e] += inputs[0].reshape(-1, x.shape[-1]).shape[0]

        return hook

    hooks = [expert.register_forward_pre_hook(note(e)) for e, expert in enumerate(model.experts)]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@torch.no_grad()
def count_rows() -> None:
    """Print how many of 4000 rows each of eight experts sees, for each top_k, and how long it takes."""
    x = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    for top_k in (None, 2, 1):
        torch.manual_seed(1)
        model = MoE(64, 256, n_experts=8, top_k=top_k)
        seen = rows_seen(model, x)
        started = time.perf_counter()
        model(x)
        milliseconds = 1000 * (time.perf_counter() - started)
        print(f"top_k = {top_k}: rows seen {seen}, together {sum(seen)}, in {milliseconds:.0f} ms")


show(count_rows, needs="q1 and q2")

# %% [markdown]
# With the plain sum, every line says 4000 eight times. After q3, `top_k = 2` computes a quarter of that and `top_k = 1`
# an eighth. The time falls as well, though not as far: picking rows out and adding them back costs something, too.

# %% [markdown] tags=["w1"]
# ## w1 · How the gate learns (on paper)
#
# For one row $x$ let $z \in \mathbb{R}^n$ be the gate logits, $p = \operatorname{softmax}(z)$ (no top-k), $E_e \in
# \mathbb{R}^d$ the outputs of the experts, which do not depend on $z$, and $y = \sum_e p_e E_e$.
#
# 1. Derive the Jacobian of the gating weights with respect to the logits, $\partial p_e / \partial z_m$.
# 2. Derive $\partial y / \partial z_m$ and simplify it until $E_m - y$ appears.
# 3. Let $\ell$ be a scalar that depends on $y$, and $G = \partial \ell / \partial y$. Write
#    $\partial \ell / \partial z_m$ in terms of $p$, $E$, $y$ and $G$, and show that the sum over $m$ is 0.
# 4. Say in words which logits gradient descent raises. What happens to an expert whose $p_m$ is nearly 0? With
#    `top_k = 1` and renormalisation, what is the gradient, and why?
#
# Graded by hand: the steps count, not just the result. Then let q4 check your result.

# %% [markdown] tags=["w1", "solution"]
# **1. Softmax.** Let $Z = \sum_j e^{z_j}$, so $p_e = e^{z_e} / Z$ and $\partial Z / \partial z_m = e^{z_m}$. The
# quotient rule gives
#
# $$
# \frac{\partial p_e}{\partial z_m} = \frac{\delta_{em} e^{z_e}}{Z} - \frac{e^{z_e} e^{z_m}}{Z^2}
# = p_e (\delta_{em} - p_m) .
# $$
#
# **2. Output.** The experts do not depend on $z$, so
#
# $$
# \frac{\partial y}{\partial z_m} = \sum_e p_e (\delta_{em} - p_m)\, E_e = p_m E_m - p_m \sum_e p_e E_e
# = p_m (E_m - y) .
# $$
#
# **3. Loss.** By the chain rule
#
# $$
# \frac{\partial \ell}{\partial z_m} = G \cdot \frac{\partial y}{\partial z_m} = p_m\, G \cdot (E_m - y),
# \qquad
# \sum_m \frac{\partial \ell}{\partial z_m} = G \cdot \Big( \sum_m p_m E_m - y \sum_m p_m \Big) = G \cdot (y - y) = 0 .
# $$
#
# It had to be so: adding a constant to all logits does not change $p$.
#
# **4. Words.** Descent changes $z_m$ by $-p_m\, G \cdot (E_m - y)$ times a step size. It raises the logit of an
# expert if moving the output from $y$ towards that expert's output reduces the loss, to first order: the gate
# prefers experts that do better than the present mixture. All is multiplied by $p_m$: an expert that is hardly
# chosen gets hardly any gradient, good or bad, and (because its own gradient carries the factor $p_m$ as well)
# hardly learns. The rich get richer; this is why a balance loss is needed. With `top_k = 1` and
# renormalisation, the kept weight is $p_m / p_m = 1$, a constant: $y = E_m$ does not depend on $z$ between the
# jumps of the choice, and the gradient is exactly 0. The gate never learns.

# %% [markdown]
# ## q4 · The gate's gradient, in code
#
# Write the result of w1 without autograd: from the logits, the outputs of the experts and
# $G = \partial \ell / \partial y$ to $\partial \ell / \partial z$. All experts are used here, without top-k.
#
# **By hand.** Two experts, $z = (0, 0)$, so $p = (\tfrac12, \tfrac12)$. $E_0 = (4, 0)$, $E_1 = (0, 2)$, so
# $y = (2, 1)$. Let $G = (1, 1)$. Then $E_0 - y = (2, -1)$ and $G \cdot (E_0 - y) = 1$, so
# $\partial \ell / \partial z_0 = \tfrac12$; the other is $-\tfrac12$, for they sum to 0.
#
# <details><summary>Hint</summary>
# The products have the shapes (..., n_experts, d) and (..., d). Which of them needs a new axis, and where, so
# that one number an expert remains after the sum over d?
# </details>


# %% tags=["q4"]
def gate_gradient(gate_logits: Tensor, expert_outputs: Tensor, grad_output: Tensor) -> Tensor:
    """The gradient of the gate logits of a mixture y = sum_e softmax(z)_e E_e, by formula: no autograd inside.

    Source: your own derivation in w1. Neither backward(), torch.autograd.grad nor torch.func may be called.

    Args:
        gate_logits: z, (..., n_experts), floating point.
        expert_outputs: E, (..., n_experts, d), the same leading dimensions.
        grad_output: the gradient of a scalar with respect to y, (..., d).

    Returns:
        The gradient of that scalar with respect to the logits, (..., n_experts), dtype and device of
        gate_logits. Equal to autograd's. Right and finite for logits of +-150. There may be 0 rows. The inputs
        stay unchanged.

    Raises:
        ValueError: gate_logits has no dimension; expert_outputs does not have the shape (..., n_experts, d)
            with the shape of gate_logits before d; grad_output does not have the shape (..., d).
    """
    # BEGIN SOLUTION
    found = f"{tuple(gate_logits.shape)}, {tuple(expert_outputs.shape)} and {tuple(grad_output.shape)}"
    require(gate_logits.ndim >= 1, f"gate_logits needs at least one dimension, got {found}")
    require(expert_outputs.shape[:-1] == gate_logits.shape, f"each expert needs an output, got {found}")
    row_shape = (*gate_logits.shape[:-1], expert_outputs.shape[-1])
    require(grad_output.shape == row_shape, f"grad_output must have the shape {row_shape}, got {found}")
    p = torch.softmax(gate_logits, dim=-1)
    # G . E_e for each expert, and its mean under p, which is G . y
    agreement = (expert_outputs * grad_output.unsqueeze(-2)).sum(dim=-1)
    mean = (p * agreement).sum(dim=-1, keepdim=True)
    return p * (agreement - mean)
    # END SOLUTION


# %% tags=["otter_ignore"]
def compare_with_autograd() -> None:
    """Print the example by hand, then the largest difference from autograd on random numbers."""
    outputs = torch.tensor([[4.0, 0.0], [0.0, 2.0]])
    print("by hand:", gate_gradient(torch.zeros(2), outputs, torch.ones(2)).tolist())
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    outputs = torch.randn(5, 3, 4, generator=generator, dtype=torch.float64)
    grad_output = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    y = (z.softmax(-1).unsqueeze(-1) * outputs).sum(-2)
    (expected,) = torch.autograd.grad(y, z, grad_output)
    error = (gate_gradient(z.detach(), outputs, grad_output) - expected).abs().max()
    print(f"largest difference from autograd: {error:.1e}")


show(compare_with_autograd, needs="q4")

# %% [markdown]
# ## q5 · Keeping everybody at work
#
# The factor $p_m$ of w1 has a consequence. An expert that is chosen a little more often learns a little more,
# becomes better, and is chosen more often still, until a few do all the work. The Switch Transformer
# ([Fedus et al. 2021](https://arxiv.org/abs/2101.03961), equations 4 to 6; we leave their coefficient
# $\alpha$ to the caller) adds a loss against it:
#
# $$
# L = n \sum_{e=1}^{n} f_e P_e, \qquad
# f_e = \frac{\text{tokens sent to } e}{\text{tokens}}, \qquad
# P_e = \text{mean of } p_e \text{ over the tokens.}
# $$
#
# $f$ counts, so it has no gradient; $P$ has one, and $f$ says how hard to push each expert down. When all
# experts are used alike, $f_e = P_e = 1/n$ and $L = n \cdot n \cdot \tfrac1n \cdot \tfrac1n = 1$, for every $n$:
# this is what the factor $n$ is for. When a single expert takes everything with certainty, $L = n$.
#
# **By hand.** Two experts, four tokens with $p = (0.9, 0.1), (0.8, 0.2), (0.6, 0.4), (0.3, 0.7)$, each sent to its
# larger one. Then $f = (\tfrac34, \tfrac14)$ and $P = (0.65, 0.35)$, so
# $L = 2\, (0.4875 + 0.0875) = 1.15$.
#
# <details><summary>Hint: counting</summary>
# <code>torch.bincount</code> with <code>minlength</code>, or the mean of <code>F.one_hot</code> in the dtype of
# the probabilities. An expert that nobody was sent to must count as 0, not be missing.
# </details>


# %% tags=["q5"]
def load_balancing_loss(gate_probabilities: Tensor, assignments: Tensor) -> Tensor:
    """How unevenly experts are used: n_experts * sum over e of f_e P_e, which is 1 for even use.

    Source: Fedus, Zoph and Shazeer 2021, "Switch Transformers", equations 4 to 6, with coefficient 1.

    Args:
        gate_probabilities: p, (..., n_experts), floating point; n_experts is at least 1. All leading
            dimensions count as tokens of one batch.
        assignments: the expert that each token was sent to, (...), int64, from 0 to n_experts - 1.

    Returns:
        A 0-d tensor, dtype and device of gate_probabilities, and differentiable with respect to them.
        The inputs stay unchanged.

    Raises:
        ValueError: assignments is not of dtype int64 or does not have the leading shape of
            gate_probabilities; an index is outside of 0 to n_experts - 1; there is no token.
    """
    # BEGIN SOLUTION
    shape = tuple(gate_probabilities.shape)
    require(len(shape) >= 1 and shape[-1] >= 1, f"probabilities of experts are needed, got shape {shape}")
    require(assignments.dtype == torch.long, f"assignments must be int64, got {assignments.dtype}")
    fits = tuple(assignments.shape) == shape[:-1]
    require(fits, f"one assignment a token: {tuple(assignments.shape)} does not fit {shape}")
    require(assignments.numel() >= 1, "there is no token")
    n_experts = shape[-1]
    inside = bool(((assignments >= 0) & (assignments < n_experts)).all())
    require(inside, f"assignments must be from 0 to {n_experts - 1}")
    counts = torch.bincount(assignments.flatten(), minlength=n_experts)
    fractions = counts.to(gate_probabilities.dtype) / assignments.numel()
    means = gate_probabilities.reshape(-1, n_experts).mean(dim=0)
    return n_experts * (fractions * means).sum()
    # END SOLUTION


# %% tags=["otter_ignore"]
def hand_balance() -> None:
    """Print the example by hand, even use and the worst case."""
    p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])
    print(f"by hand:  {load_balancing_loss(p, p.argmax(-1)).item():.4f}")
    for n in (2, 4, 8):
        tokens = torch.arange(8 * n) % n
        even = load_balancing_loss(torch.full((8 * n, n), 1 / n), tokens).item()
        worst = load_balancing_loss(F.one_hot(0 * tokens, n).float(), 0 * tokens).item()
        print(f"{n} experts: {even:.4f} when used evenly, {worst:.4f} when one takes all")


show(hand_balance, needs="q5")

# %% [markdown]
# ## q6 · Which expert takes which region?
#
# Time to train. The inputs are points of the square $[-1, 1]^2$, and in each quadrant the target is another
# linear map of the point. One small network finds this hard; four experts could each take a quadrant, if the
# gate finds out. Nobody tells it where the borders are.
#
# Write two functions to look at the result. `expert_load` measures how the work is divided, and `plot_regions`
# draws the map: at each point of a grid, the colour of the expert that it is sent to.
#
# **By hand.** If five rows are sent to the experts $0, 2, 2, 1, 2$ of four, then the load is
# $(0.2, 0.2, 0.6, 0)$. It sums to 1, and the fourth expert is idle.
#
# <details><summary>Hint: the picture is upside down</summary>
# <code>imshow</code> puts row 0 at the top unless told otherwise: look for <code>origin</code>. And
# <code>extent</code> says which coordinates the borders have.
# </details>


# %% tags=["q6"]
def expert_load(assignments: Tensor, n_experts: int) -> Tensor:
    """The share of the rows that each expert gets.

    Source: f_e in Fedus et al. 2021, equation 5.

    Args:
        assignments: index of the expert of each row, any shape, int64, at least one, 0 to n_experts - 1. With
            top_k experts for each row, pass all the indices: then it is the share of the work.
        n_experts: how many experts, at least 1.

    Returns:
        (n_experts,), torch's default dtype, device of assignments; sums to 1, 0 for an idle expert.

    Raises:
        ValueError: assignments is not int64, is empty, or an index is outside; n_experts is below 1.
    """
    # BEGIN SOLUTION
    require(n_experts >= 1, f"n_experts must be at least 1, got {n_experts}")
    require(assignments.dtype == torch.long, f"assignments must be int64, got {assignments.dtype}")
    require(assignments.numel() >= 1, "there is no row")
    inside = bool(((assignments >= 0) & (assignments < n_experts)).all())
    require(inside, f"assignments must be from 0 to {n_experts - 1}")
    counts = torch.bincount(assignments.flatten(), minlength=n_experts)
    return counts.to(torch.get_default_dtype()) / assignments.numel()
    # END SOLUTION


# %% tags=["q6"]
def plot_regions(assignments: Tensor, extent: Sequence[float], ax: plt.Axes | None = None) -> plt.Axes:
    """Draw which expert each point of a grid is sent to, as an image with one colour for each expert.

    Args:
        assignments: (rows, columns), int64: the expert at each grid point. Row 0 has the smallest y, column 0
            the smallest x.
        extent: (x_min, x_max, y_min, y_max), the borders of the picture.
        ax: the axes to draw into; None makes a new figure.

    Returns:
        The axes, with one image (imshow) whose data are the assignments, right way up (small y at the bottom),
        and labels at both axes (any text).

    Raises:
        ValueError: assignments does not have two dimensions.
    """
    # BEGIN SOLUTION
    require(assignments.ndim == 2, f"a grid has two dimensions, got shape {tuple(assignments.shape)}")
    if ax is None:
        _, ax = plt.subplots()
    colours = ListedColormap(["tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown"])
    ax.imshow(assignments.numpy(), origin="lower", extent=tuple(extent), cmap=colours, vmin=-0.5, vmax=5.5)
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
    return ax
    # END SOLUTION


# %% [markdown]
# The training below is ready to run; it takes a few seconds. The loss is the squared error plus a hundredth of
# your balance loss, and each mixture uses two of its four experts for each point.


# %% tags=["otter_ignore"]
torch.set_num_threads(1)  # tensors this small are slower on several cores

MAPS = 1.5 * torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(7))


def quadrant_data(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n points of the square, and their targets: another linear map in each quadrant."""
    x = 2 * torch.rand(n, 2, generator=generator) - 1
    quadrant = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
    return x, torch.einsum("nij,nj->ni", MAPS[quadrant], x)


def train(model: nn.Module, balance: float, seed: int, steps: int = 600) -> list[float]:
    """Train in place with Adam; the balance loss of the first choices before each step."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator, history = torch.Generator().manual_seed(seed), []
    for _ in range(steps):
        x, y = quadrant_data(256, generator)
        probabilities = gate(x, model.W_g)
        unevenness = load_balancing_loss(probabilities, probabilities.argmax(-1))
        history.append(unevenness.item())
        loss = F.mse_loss(model(x), y) + balance * unevenness
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return history


def grid(size: int = 200) -> Tensor:
    """The points of a grid over the square, (size, size, 2), row 0 with the smallest y."""
    line = torch.linspace(-1, 1, size)
    return torch.cartesian_prod(line, line).flip(-1).reshape(size, size, 2)


@torch.no_grad()
def test_error(model: nn.Module) -> float:
    """The mean squared error on 4000 new points."""
    x, y = quadrant_data(4000, torch.Generator().manual_seed(1))
    return F.mse_loss(model(x), y).item()


SEEDS = (0, 1, 2, 3)


def experts_and_regions() -> Figure:
    """Train four mixtures from different seeds, map their first choices, and print error and load."""
    figure, axes = plt.subplots(1, 4, figsize=(14, 4), layout="constrained")
    for ax, seed in zip(axes, SEEDS, strict=True):
        torch.manual_seed(seed)
        model = MoE(2, 4, n_experts=4, top_k=2)
        train(model, balance=0.01, seed=100 + seed)
        with torch.no_grad():
            choices = gate(grid(), model.W_g).topk(2, dim=-1).indices
        error, load = test_error(model), expert_load(choices, 4)
        plot_regions(choices[..., 0], (-1, 1, -1, 1), ax)
        ax.axhline(0, color="white", ls=":")
        ax.axvline(0, color="white", ls=":")
        ax.set_title(f"seed {seed}: error {error:.3f}\nsmallest load {load.min():.2f}")
        shares = ", ".join(f"{share:.2f}" for share in load.tolist())
        print(f"seed {seed}: mean squared error {error:.3f}, load {shares}")
    return figure


draw(experts_and_regions, needs="q1, q2, q5 and q6")

# %% [markdown]
# Read the numbers beside the picture. The targets have a variance of 0.74. Measured with these four seeds, the
# mixtures end at errors of 0.057 to 0.066; **a threshold of 0.10 is safe**. One network with the same hidden
# width, which costs half as much for a point, ends at 0.17 to 0.30 and fails it. (One that is four times as wide
# has as many parameters, costs twice as much for a point and ends at 0.06 to 0.11: in two dimensions, experts save
# work rather than work wonders.) The smallest load is 0.25, far above **the threshold of 0.10**.
#
# With `top_k = 1`, renormalised and without a balance loss, the gate stays where it started: in 600 steps, $W_g$
# moves by 0.02 at most, which is rounding, against 2 and more with `top_k = 2`. The errors, 0.07 to 0.13, are a
# matter of luck with the first $W_g$, and in all four runs some expert gets less than a tenth of the points.
#
# Which expert takes which region depends on the seed, for experts have no names of their own. A colour may even be
# missing: that expert is nobody's first choice, but the second of many, and the load counts both. And the borders
# are straight lines through the origin, as they must be: where does $z_0 = z_1$ hold, if $z = x W_g$?

# %% [markdown]
# ### What uneven use costs
#
# One expert gets the share $s$ of the tokens, the others divide the rest evenly, and the gate is certain. The
# balance loss is lowest, and equal to 1, at even use, $s = 1/n$, and reaches $n$ where one takes all.


# %% tags=["otter_ignore"]
def cost_of_uneven_use() -> Figure:
    """The balance loss against the share of one expert, for two, four and eight experts."""
    figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for n, marker in ((2, "o"), (4, "^"), (8, "s")):
        shares, losses = [], []
        for favoured in range(0, 57, 4):  # of 56 tokens
            tokens = torch.cat([torch.zeros(favoured).long(), 1 + torch.arange(56 - favoured) % (n - 1)])
            shares.append(favoured / 56)
            losses.append(load_balancing_loss(F.one_hot(tokens, n).double(), tokens).item())
        ax.plot(shares, losses, f"{marker}-", ms=4, label=f"{n} experts")
    ax.axhline(1, color="0.5", ls="--", lw=1)
    ax.set(xlabel="share $s$ of one expert", ylabel="balance loss $L$", title="even use costs 1")
    ax.legend()
    return figure


draw(cost_of_uneven_use, needs="q5")

# %% [markdown]
# **Where to go from here.** In a transformer, a mixture takes the place of the feed-forward network of a block,
# and every token is a row. With your gate, your sparse mixture and your balance loss you have all the parts; what
# large systems add is the traffic, for their experts live on different machines.
