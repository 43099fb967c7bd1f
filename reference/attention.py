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
# # Attention from scratch
#
# A Python dictionary answers a question only if it has seen exactly that question before:
#
# ```python
# table = {"cat": 10, "dog": 20}
# table["kitten"]      # KeyError, although "cat" would have been a good answer
# ```
#
# It cannot be trained either. Change the query a little and the answer stays the same or disappears; there is
# no slope to follow.
#
# **Attention is a dictionary that answers every question.** It compares the query $q$ with *all* keys
# $k_1, \dots, k_n$, turns the comparisons into weights, and returns the weighted mean of the values:
#
# $$
# \operatorname{attention}(q) = \sum_{j=1}^{n} \alpha_j(q)\, v_j, \qquad
# \alpha_j \ge 0, \qquad \sum_{j=1}^{n} \alpha_j = 1 .
# $$
#
# A key that fits well gets a large weight, and the whole thing is differentiable, so the queries, the keys and
# the values can all be learned. You will build it, differentiate it by hand, put it into two modules, and see
# in what sense it is still a look-up.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `attention_weights` | scores, mask, softmax |
# | q2 | `scaled_dot_product_attention` | the weighted mean |
# | w1, q3 | a derivation, `attention_weights_vjp` | the gradient, on paper and then in code |
# | q4 | `SelfAttention` | queries, keys and values from one sequence |
# | q5 | `MultiHeadAttention` | several small attentions side by side |
# | q6 | `score_rank`, `low_rank_attention` | how much information the scores hold |
# | q7 | `kernel_regression` | attention as a soft look-up, and its hard limit |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. Work from top
# to bottom: q2, q4 and q5 may call what you wrote before. After each question, run its check. The checks you
# have here are a part of those that grade you, so read the docstrings: everything that is graded is promised
# there.

# %% [markdown]
# ## Notation
#
# Sequences are the rows of matrices, and PyTorch stacks many such matrices in *leading dimensions*, written
# `...` (batches, heads):
#
# | symbol | shape | meaning |
# | --- | --- | --- |
# | $Q$ | `(..., L_q, d_k)` | one query per row |
# | $K$ | `(..., L_k, d_k)` | one key per row |
# | $V$ | `(..., L_k, d_v)` | one value per key |
# | $S = QK^\top / \sqrt{d_k}$ | `(..., L_q, L_k)` | scores: how well query $i$ fits key $j$ |
# | $A$ | `(..., L_q, L_k)` | weights: each row is the softmax of a row of $S$ |
#
# Your code should work on the **last two** dimensions and let the leading ones broadcast, as `@` does. A length
# may be 0 (an empty batch, a sequence without queries). Results have the dtype and the device of the inputs,
# and inputs are never changed.
#
# The next cell holds the imports and three small helpers for your argument checks. For example,
# `require(n >= 1, "n must be at least 1")` raises a `ValueError` with that message when `n` is 0. Write the
# checks **last**: get the mathematics right first, then make the function refuse what its docstring says it
# refuses.

# %%
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def common_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all of these broadcast to, or a ValueError: (5, 1) and (3,) give (5, 3)."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listing = " and ".join(str(tuple(shape)) for shape in shapes)
        raise ValueError(f"these shapes do not broadcast together: {listing}") from None


def shapes(**tensors: Tensor) -> str:
    """The shapes of some tensors as text for a message: shapes(q=q, k=k) is "q (3, 4), k (5, 4)"."""
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())


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
# ## q1 · Attention weights
#
# The comparison is a dot product, divided by $\sqrt{d_k}$; the softmax turns each row of scores into weights
# ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), equation 1):
#
# $$
# S = \frac{Q K^\top}{\sqrt{d_k}}, \qquad
# A_{ij} = \frac{\exp S_{ij}}{\sum_{m} \exp S_{im}} .
# $$
#
# **Why $\sqrt{d_k}$?** If the entries of $q$ and $k$ are independent with mean 0 and variance 1, then
# $q \cdot k = \sum_{a=1}^{d_k} q_a k_a$ has variance $d_k$. Dividing by its standard deviation keeps the scores
# of order 1, whatever $d_k$ is. The last figure of q3 shows what happens otherwise.
#
# **Masks.** A boolean mask says who may attend to whom: `mask[i, j] = True` means that query $i$ may see key
# $j$. The softmax then runs over the permitted keys only:
#
# $$
# A_{ij} = \frac{M_{ij} \exp S_{ij}}{\sum_m M_{im} \exp S_{im}}, \qquad M_{ij} \in \{0, 1\} .
# $$
#
# A query that may see nothing would get $0/0$. We define its row as zeros: nothing seen, nothing returned. Its
# gradient is zero too, never NaN: a single NaN in one row would spoil every parameter of a model at the next
# training step.
#
# ### By hand
#
# Two queries, three keys, $d_k = 4$, so that $\sqrt{d_k} = 2$. All sizes differ, which is how you notice a
# mix-up.
#
# $$
# Q = \begin{pmatrix} 1 & 1 & 1 & 1 \\ 2 & 0 & 0 & -2 \end{pmatrix}, \qquad
# K = \begin{pmatrix} 1 & -1 & 1 & -1 \\ 1 & 1 & 0 & 0 \\ 1 & 1 & 1 & 1 \end{pmatrix}, \qquad
# V = \begin{pmatrix} 10 \\ 20 \\ 30 \end{pmatrix} .
# $$
#
# 1. **Dot products.** The first query gives $0, 2, 4$ and the second $4, 2, 0$.
# 2. **Scale.** Divided by 2: $S = \begin{pmatrix} 0 & 1 & 2 \\ 2 & 1 & 0 \end{pmatrix}$.
# 3. **Softmax.** $e^0 = 1$, $e^1 = 2.718$, $e^2 = 7.389$, their sum is $11.107$, so the first row of $A$ is
#    $(0.0900,\ 0.2447,\ 0.6652)$ and the second is the same backwards.
# 4. **Weighted mean** (that will be q2). $0.0900 \cdot 10 + 0.2447 \cdot 20 + 0.6652 \cdot 30 = 25.752$, and
#    $14.248$ for the second query.
#
# Now forbid the second query to see the first key. Its scores are $1$ and $0$, its weights
# $\left(0,\ \tfrac{e}{e + 1},\ \tfrac{1}{e + 1}\right) = (0,\ 0.7311,\ 0.2689)$: the rest shares the whole
# weight again.
#
# <details><summary>Hint: which axis?</summary>
# Each <em>query</em> spreads a total weight of 1 over the keys. Which index of A does that sum run over, and
# which <code>dim</code> is it?
# </details>
#
# <details><summary>Hint: large scores</summary>
# exp(150) is more than float32 can hold. Subtracting the same number from all scores of a row leaves its
# softmax as it is: which number makes overflow impossible? <code>torch.softmax</code> does it for you.
# </details>
#
# <details><summary>Hint: the row of zeros</summary>
# A row of scores that are all -inf makes softmax compute 0/0, and the NaN comes back in the backward pass even
# if you overwrite the result. So the softmax must never see such a row. What could you fill in that is finite,
# and what is left to do after the softmax?
# </details>


# %% tags=["q1"]
# BEGIN SOLUTION NO PROMPT
def score_shape(q: Tensor, k: Tensor) -> torch.Size:
    """The shape (..., L_q, L_k) of the scores, or a ValueError that says what does not fit."""
    found = shapes(q=q, k=k)
    require(min(q.ndim, k.ndim) >= 2, f"q and k need at least two dimensions, got {found}")
    require(q.shape[-1] == k.shape[-1], f"q and k need the same d_k, got {found}")
    require(q.shape[-1] >= 1, f"d_k must be at least 1, got {found}")
    return torch.Size((*common_shape(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2]))


def check_mask(mask: Tensor, shape: torch.Size) -> None:
    """Raise ValueError unless the mask is boolean and can be expanded to the shape of the scores."""
    require(mask.dtype == torch.bool, f"mask must be boolean, got {mask.dtype}")
    fits = common_shape(mask.shape, shape) == shape
    require(fits, f"{shapes(mask=mask)} does not broadcast to the shape of the scores, {tuple(shape)}")


# END SOLUTION
def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    """The weights softmax(q k^T / sqrt(d_k)) with which each query attends to each key.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 1.

    Args:
        q: queries, (..., L_q, d_k), floating point.
        k: keys, (..., L_k, d_k), same dtype; its leading dimensions broadcast with those of q.
        mask: boolean, True = may attend; its shape broadcasts to (..., L_q, L_k). None: every query sees
            every key.

    Returns:
        Weights (..., L_q, L_k), dtype and device of q. Each row sums to 1 over the permitted keys, and
        forbidden keys get exactly 0. A query that may attend to nothing gets a row of zeros and passes zero
        gradient, never NaN. Right and finite for scores of +-150. L_q and L_k may be 0. The inputs stay
        unchanged.

    Raises:
        ValueError: q or k has fewer than two dimensions; their d_k differ or are 0; their leading
            dimensions do not broadcast; mask is not boolean, or does not broadcast to (..., L_q, L_k).
    """
    # BEGIN SOLUTION
    shape = score_shape(q, k)
    # Transpose the last two dimensions only: k.T would also turn the batches around.
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is None:
        return torch.softmax(scores, dim=-1)
    check_mask(mask, shape)
    # The lowest finite number acts as -inf beside any other score: exp(lowest - maximum) is exactly 0. In a
    # row that is forbidden throughout, it stays finite where -inf would give 0/0, and the last line sets
    # that row to zero. masked_fill also stops the gradient there.
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return torch.softmax(scores, dim=-1).masked_fill(~mask, 0.0)
    # END SOLUTION


# %% [markdown]
# The example by hand, with your function. Compare with your pencil.


# %% tags=["otter_ignore"]
HAND_Q = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, -2.0]])
HAND_K = torch.tensor([[1.0, -1.0, 1.0, -1.0], [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
HAND_V = torch.tensor([[10.0], [20.0], [30.0]])
HAND_MASK = torch.tensor([[True, True, True], [False, True, True]])


def hand_weights() -> None:
    """Print the weights of the example, with and without the mask."""
    for title, mask in (("every key is seen", None), ("query 2 does not see key 1", HAND_MASK)):
        rows = attention_weights(HAND_Q, HAND_K, mask).tolist()
        print(f"weights when {title}:")
        for row in rows:
            print("   ", "  ".join(f"{weight:.4f}" for weight in row))


show(hand_weights, needs="q1")

# %% [markdown]
# ### The weights as a picture
#
# Five words, each described by three hand-made features (is it an animal, an action, a place?), are both
# queries and keys. Read the heat map **by rows**: each row is one query that spreads a total of 1. Crossed
# cells are forbidden by the mask.

# %% tags=["otter_ignore"]
WORDS = ["cat", "dog", "chases", "sleeps", "home"]
#                               animal action place
WORD_FEATURES = torch.tensor([[2.2, 0.0, 0.0],
                              [2.0, 0.4, 0.0],
                              [0.4, 2.2, 0.0],
                              [0.2, 1.6, 1.2],
                              [0.0, 0.0, 2.4]])  # fmt: skip


def annotate(ax: plt.Axes, weights: Tensor, mask: Tensor) -> None:
    """Write each weight into its cell of the heat map; cross out what the mask forbids."""
    for i, row in enumerate(weights.tolist()):
        for j, weight in enumerate(row):
            text, colour = f"{weight:.2f}", "white" if weight > 0.5 else "black"
            if not mask[i, j]:
                text, colour = "×", "0.5"
            ax.text(j, i, text, ha="center", va="center", color=colour)


def attention_heat_map() -> Figure:
    """Weights without a mask, with one that looks back only, and with a row and a column forbidden."""
    everyone = torch.ones(5, 5, dtype=torch.bool)
    some = everyone.clone()
    some[1, :] = False
    some[:, 4] = False
    masks = {"no mask": everyone, "each word sees itself\nand earlier words": everyone.tril(),
             "nobody sees 'home',\n'dog' sees nothing": some}  # fmt: skip
    figure, axes = plt.subplots(1, 3, figsize=(12, 4.4), sharey=True, layout="constrained")
    for ax, (title, mask) in zip(axes, masks.items(), strict=True):
        weights = attention_weights(WORD_FEATURES, WORD_FEATURES, mask)
        image = ax.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        annotate(ax, weights, mask)
        ax.set(title=title, xticks=range(5), yticks=range(5), xlabel="key $j$ (looked at)")
        ax.set_xticklabels(WORDS, rotation=30)
        ax.set_yticklabels(WORDS)
    axes[0].set_ylabel("query $i$ (looking)")
    figure.colorbar(image, ax=axes, label="weight $A_{ij}$")
    return figure


draw(attention_heat_map, needs="q1")

# %% [markdown]
# Three things to see. Similar words attend to each other (the cat to the dog), without anyone having told them
# to. A forbidden key does not leave a gap: the other weights of its row **grow**, so that the row still
# sums to 1. And only the row that sees nothing sums to 0.

# %% [markdown]
# ## q2 · Scaled dot-product attention
#
# The result for query $i$ is the mean of the values, weighted with row $i$ of $A$:
#
# $$
# \operatorname{attention}(Q, K, V)_i = \sum_{j} A_{ij}\, v_j, \qquad\text{in short}\qquad
# \operatorname{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}}\right) V .
# $$
#
# It must agree with PyTorch's own `F.scaled_dot_product_attention` to within $10^{-6}$. PyTorch's function
# fuses all steps, so that it never stores the matrix $A$; yours may. Write it yourself: a solution that calls
# the library's attention, under whatever name, gets no points.
#
# <details><summary>Hint</summary>
# The sum over j is a matrix product. If the shapes do not fit, write the three sizes beside each factor.
# </details>


# %% tags=["q2"]
# BEGIN SOLUTION NO PROMPT
def check_values(k: Tensor, v: Tensor, shape: torch.Size) -> None:
    """Raise ValueError unless v has one value for each key, and leading dimensions that fit the scores."""
    require(v.ndim >= 2, f"v needs at least two dimensions, got {shapes(v=v)}")
    require(
        k.shape[-2] == v.shape[-2], f"k and v differ in L_k: each key needs one value, got {shapes(k=k, v=v)}"
    )
    common_shape(shape[:-2], v.shape[:-2])


# END SOLUTION
def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of the values, weighted with the attention weights: softmax(q k^T / sqrt(d_k)) v.

    Source: Vaswani et al. 2017, equation 1. Must not call torch.nn.functional.scaled_dot_product_attention,
    but give the same result.

    Args:
        q: queries, (..., L_q, d_k), floating point.
        k: keys, (..., L_k, d_k).
        v: values, (..., L_k, d_v), one per key; d_v may differ from d_k. Leading dimensions broadcast.
        mask: boolean, True = may attend; its shape broadcasts to (..., L_q, L_k), the shape of the weights.

    Returns:
        (..., L_q, d_v), dtype and device of q. A query that may attend to nothing gets zeros and passes
        zero gradient.

    Raises:
        ValueError: as attention_weights; also if v has fewer than two dimensions, if k and v differ in L_k,
            or if the leading dimensions of v do not broadcast with those of q and k.
    """
    # BEGIN SOLUTION
    weights = attention_weights(q, k, mask)
    check_values(k, v, weights.shape)
    return weights @ v
    # END SOLUTION


# %% [markdown]
# First the example by hand (25.752 and 14.248 without a mask), then random tensors against PyTorch.


# %% tags=["otter_ignore"]
def compare_with_torch() -> None:
    """Print the example, and the largest difference from PyTorch's attention in float64 and float32."""
    first, second = scaled_dot_product_attention(HAND_Q, HAND_K, HAND_V).flatten().tolist()
    print(f"by hand: {first:.3f} and {second:.3f}")
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float64, torch.float32):
        q, k, v = (torch.randn(2, 3, 6, 16, generator=generator, dtype=dtype) for _ in range(3))
        mask = torch.rand(6, 6, generator=generator) < 0.7
        expected = F.scaled_dot_product_attention(q, k, v, mask)
        error = (scaled_dot_product_attention(q, k, v, mask) - expected).abs().max()
        print(f"{dtype}: largest difference from PyTorch {error:.1e}")


show(compare_with_torch, needs="q2")

# %% [markdown]
# The difference in float64 is rounding. In float32 it is about $10^{-7}$, one unit in the seventh digit: two
# right programs that add in a different order differ by so much.

# %% [markdown] tags=["w1"]
# ## w1 · The gradient of the attention weights (on paper)
#
# Let $S = QK^\top / \sqrt{d_k}$ and $A = \operatorname{softmax}(S)$, row by row, without a mask.
#
# 1. Derive the Jacobian of the softmax, $\partial A_{ij} / \partial S_{lm}$. (Different rows included.)
# 2. Derive $\partial A_{ij} / \partial Q_{pa}$ and $\partial A_{ij} / \partial K_{pa}$ in index form.
# 3. Let $\ell$ be any scalar that depends on $A$, and $G_{ij} = \partial \ell / \partial A_{ij}$. Write
#    $\partial \ell / \partial Q$ and $\partial \ell / \partial K$ as **matrix expressions** in $Q$, $K$, $A$,
#    $G$ and $d_k$, without any tensor of more than two indices.
# 4. Two consequences. Show that the rows of $\partial \ell / \partial K$ sum to the zero vector, and say in one
#    sentence why that had to be so. What happens to $\partial \ell / \partial Q_i$ when one weight of row $i$
#    tends to 1, and what has that to do with $\sqrt{d_k}$?
#
# Graded by hand: the steps count, not just the result. Write LaTeX between dollar signs. Then let q3 check your
# result.

# %% [markdown] tags=["w1", "solution"]
# **1. Softmax.** Write $Z_i = \sum_m e^{S_{im}}$, so that $A_{ij} = e^{S_{ij}} / Z_i$. Row $i$ of $A$ depends
# on row $i$ of $S$ only, hence $\partial A_{ij} / \partial S_{lm} = 0$ for $l \ne i$. For $l = i$, the quotient
# rule gives
#
# $$
# \frac{\partial A_{ij}}{\partial S_{im}} = \frac{\delta_{jm} e^{S_{ij}}}{Z_i} - \frac{e^{S_{ij}} e^{S_{im}}}{Z_i^2}
# = A_{ij} (\delta_{jm} - A_{im}),
# \qquad\text{together}\qquad
# \frac{\partial A_{ij}}{\partial S_{lm}} = \delta_{il} A_{ij} (\delta_{jm} - A_{im}) .
# $$
#
# **2. Chain rule.** From $S_{lm} = \frac{1}{\sqrt{d_k}} \sum_b Q_{lb} K_{mb}$,
#
# $$
# \frac{\partial S_{lm}}{\partial Q_{pa}} = \frac{\delta_{lp} K_{ma}}{\sqrt{d_k}}, \qquad
# \frac{\partial S_{lm}}{\partial K_{pa}} = \frac{\delta_{mp} Q_{la}}{\sqrt{d_k}} .
# $$
#
# Summing over $l$ and $m$,
#
# $$
# \frac{\partial A_{ij}}{\partial Q_{pa}}
# = \frac{\delta_{ip}}{\sqrt{d_k}} A_{ij} \Big( K_{ja} - \sum_m A_{im} K_{ma} \Big), \qquad
# \frac{\partial A_{ij}}{\partial K_{pa}} = \frac{1}{\sqrt{d_k}} A_{ij} (\delta_{jp} - A_{ip}) Q_{ia} .
# $$
#
# In words: the weight of key $j$ grows fastest when the query moves in the direction that leads from the mean
# key (under the present weights) to key $j$.
#
# **3. Backwards.** First through the softmax, with the row sums $r_i = \sum_j G_{ij} A_{ij}$:
#
# $$
# H_{im} = \frac{\partial \ell}{\partial S_{im}} = \sum_j G_{ij} A_{ij} (\delta_{jm} - A_{im}) = A_{im} (G_{im} - r_i),
# \qquad H = A \odot \big(G - (G \odot A)\, \mathbf{1}\mathbf{1}^\top\big) .
# $$
#
# Then through the product:
#
# $$
# \frac{\partial \ell}{\partial Q} = \frac{H K}{\sqrt{d_k}}, \qquad
# \frac{\partial \ell}{\partial K} = \frac{H^\top Q}{\sqrt{d_k}} .
# $$
#
# **4. Consequences.** Each row of $H$ sums to $\sum_m A_{im} G_{im} - r_i \sum_m A_{im} = r_i - r_i = 0$, that
# is, $H \mathbf{1} = 0$. So the rows of $\partial \ell / \partial K$ sum to
# $\mathbf{1}^\top H^\top Q / \sqrt{d_k} = (H \mathbf{1})^\top Q / \sqrt{d_k} = 0$. It had to be so: adding the
# same vector to every key adds the same number to all scores of a row, which the softmax does not see.
#
# When $A_{ij} \to 1$, the other weights of the row tend to 0 and $r_i \to G_{ij}$, so every
# $A_{im} (G_{im} - r_i) \to 0$: row $i$ of $H$, and with it $\partial \ell / \partial Q_i$, vanishes. Without
# the division, scores have a standard deviation of order $\sqrt{d_k}$, so for large $d_k$ most rows are in that
# state from the start, and their queries get hardly any gradient to learn from. The division keeps the scores
# of order 1.

# %% [markdown]
# ## q3 · The gradient, in code
#
# Autograd never builds the whole Jacobian of step 2: it would have four indices. It only needs the
# *vector-Jacobian product* of step 3, which takes $G = \partial \ell / \partial A$ and returns
# $\partial \ell / \partial Q$ and $\partial \ell / \partial K$. Write it without autograd.
#
# **By hand.** Take the example of q1 with $G = \begin{pmatrix} 0 & 0 & 1 \\ 0 & 0 & 0 \end{pmatrix}$, that is,
# $\ell = A_{13}$. Then $\partial \ell / \partial Q$ has the first row $(0,\ 0.0599,\ 0.0814,\ 0.1413)$ and the
# second row zero. Can you say why the first entry is exactly 0, by looking at the first column of $K$?
#
# <details><summary>Hint</summary>
# Do it in two steps, one per function that was applied: first from A back to S, then from S back to Q and K.
# Each step should turn one matrix into another of a shape that you can predict.
# </details>
#
# <details><summary>Hint: still wrong?</summary>
# Compare with autograd (the cell below prints both). If they differ by a constant factor, look at how S was
# made. If the rows of your gradient with respect to S do not sum to zero, look at the softmax.
# </details>


# %% tags=["q3"]
def attention_weights_vjp(q: Tensor, k: Tensor, grad_weights: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients that flow back through attention_weights(q, k), by formula: no autograd inside.

    Source: your own derivation in w1. Neither backward(), torch.autograd.grad nor torch.func may be called.

    Args:
        q: queries, (..., L_q, d_k), floating point.
        k: keys, (..., L_k, d_k), with the same leading dimensions as q.
        grad_weights: the gradient of a scalar with respect to the weights, (..., L_q, L_k).

    Returns:
        (grad_q, grad_k): the gradients of that scalar with respect to q and k, with the shapes, the dtype
            and the device of q and k. Equal to autograd's. Right and finite for scores of +-150. The inputs
            stay unchanged.

    Raises:
        ValueError: as attention_weights; also if the leading dimensions of q and k differ, or if
            grad_weights does not have the shape of the weights, (..., L_q, L_k).
    """
    # BEGIN SOLUTION
    shape = score_shape(q, k)
    require(q.shape[:-2] == k.shape[:-2], f"leading dimensions differ: {shapes(q=q, k=k)}")
    found = shapes(grad_weights=grad_weights)
    require(grad_weights.shape == shape, f"the weights have the shape {tuple(shape)}, got {found}")
    weights = attention_weights(q, k)
    # Back through the softmax: H = A * (G - r), with r the sum of G * A over each row.
    row_sums = (grad_weights * weights).sum(dim=-1, keepdim=True)
    grad_scores = weights * (grad_weights - row_sums)
    # Back through S = Q K^T / sqrt(d_k).
    grad_products = grad_scores / math.sqrt(q.shape[-1])
    return grad_products @ k, grad_products.transpose(-2, -1) @ q
    # END SOLUTION


# %% tags=["otter_ignore"]
def compare_with_autograd() -> None:
    """Print the example's gradient, by your formula and by autograd through your q1."""
    grad_weights = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    q, k = HAND_Q.clone().requires_grad_(), HAND_K.clone().requires_grad_()
    expected = torch.autograd.grad(attention_weights(q, k), (q, k), grad_weights)
    found = attention_weights_vjp(HAND_Q, HAND_K, grad_weights)
    for name, ours, theirs in zip(("q", "k"), found, expected, strict=True):
        print(f"gradient with respect to {name}, formula:\n{ours}\nand autograd:\n{theirs}")


show(compare_with_autograd, needs="q3")

# %% [markdown]
# ### Why the scale matters
#
# Random queries and keys with entries of variance 1, once divided by $\sqrt{d_k}$ and once not. Left: the
# largest of 16 weights. Right: how much gradient gets back to the scores of a typical query (the median). To
# use your two functions on given scores, the figure passes an identity matrix as the keys.


# %% tags=["otter_ignore"]
def saturation(scores: Tensor) -> tuple[float, float]:
    """The mean largest weight of a row, and the median norm of the gradient of a row of scores."""
    n = scores.shape[-1]
    keys = torch.eye(n).expand_as(scores)
    queries = scores * math.sqrt(n)  # so that q k^T / sqrt(n) are the scores
    grad_weights = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))
    grad_queries, _ = attention_weights_vjp(queries, keys, grad_weights)
    grad_scores = grad_queries * math.sqrt(n)
    largest = attention_weights(queries, keys).amax(dim=-1)
    return largest.mean().item(), grad_scores.norm(dim=-1).median().item()


def why_the_scale() -> Figure:
    """Largest weight and size of the gradient against d_k, with and without the division by sqrt(d_k)."""
    dims = [1, 4, 16, 64, 256, 1024]
    divided, undivided = [], []
    for d_k in dims:
        generator = torch.Generator().manual_seed(d_k)
        q, k = (torch.randn(100, 16, d_k, generator=generator) for _ in range(2))
        products = q @ k.transpose(-2, -1)
        divided.append(saturation(products / math.sqrt(d_k)))
        undivided.append(saturation(products))
    figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    for label, points in (("divided by $\\sqrt{d_k}$", divided), ("not divided", undivided)):
        for ax, values in zip(axes, zip(*points, strict=True), strict=True):
            ax.plot(dims, values, "o-", label=label)
    for ax in axes:
        ax.set_xscale("log", base=2)
        ax.set_xlabel("$d_k$")
    axes[0].set(ylim=(0, 1), ylabel="largest weight of a row (mean)")
    axes[1].set(yscale="log", ylabel="norm of $\\partial\\ell/\\partial S_i$ (median)")
    axes[0].legend()
    return figure


draw(why_the_scale, needs="q1 and q3")

# %% [markdown]
# Without the division the softmax saturates as $d_k$ grows: nearly all the weight sits on one key, picked by
# chance before anything was learned, and for most queries the gradient that could change the choice is all but
# gone.

# %% [markdown]
# ## q4 · Self-attention
#
# Where do $Q$, $K$ and $V$ come from? In *self*-attention from one and the same sequence $X$, one token per
# row, by three learned linear maps:
#
# $$
# Q = X W_Q, \qquad K = X W_K, \qquad V = X W_V, \qquad
# \operatorname{SelfAttention}(X) = \operatorname{attention}(Q, K, V) .
# $$
#
# $W_Q$ says what a token looks for, $W_K$ what it can be found by, $W_V$ what it gives when found. Because
# $W_Q \ne W_K$, a verb may look for its noun without the noun looking back.
#
# **Initialisation.** Draw each matrix from a normal distribution with mean 0 and standard deviation
# $1/\sqrt{d_\text{model}}$: then inputs with entries of variance 1 give queries, keys and values with entries
# of variance 1, which is what the scale in q1 counts on.
#
# Use `nn.Parameter` for the matrices: no `nn.Linear`, no `nn.MultiheadAttention`.
#
# <details><summary>Hint: the optimiser does not see my weights</summary>
# <code>list(module.parameters())</code> should show three tensors. A plain tensor that is stored as an
# attribute is not a parameter.
# </details>


# %% tags=["q4"]
class SelfAttention(nn.Module):
    """Scaled dot-product self-attention: queries, keys and values are linear maps of one sequence.

    Source: Vaswani et al. 2017, section 3.2.1, with Q = x W_Q, K = x W_K, V = x W_V.

    Args:
        d_model: width of the input.
        d_k: width of the queries and the keys.
        d_v: width of the values, and so of the output.

    Attributes:
        W_Q, W_K: parameters, (d_model, d_k), drawn from N(0, 1 / d_model).
        W_V: parameter, (d_model, d_v), drawn from N(0, 1 / d_model).

    Raises:
        ValueError: a size is below 1.
    """

    def __init__(self, d_model: int, d_k: int, d_v: int) -> None:
        super().__init__()
        # BEGIN SOLUTION
        sizes = f"d_model={d_model}, d_k={d_k}, d_v={d_v}"
        require(min(d_model, d_k, d_v) >= 1, f"sizes must be at least 1, got {sizes}")
        self.d_model = d_model
        std = 1 / math.sqrt(d_model)
        self.W_Q = nn.Parameter(torch.randn(d_model, d_k) * std)
        self.W_K = nn.Parameter(torch.randn(d_model, d_k) * std)
        self.W_V = nn.Parameter(torch.randn(d_model, d_v) * std)
        # END SOLUTION

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within each sequence.

        Args:
            x: (..., L, d_model), the dtype of the parameters.
            mask: boolean, True = may attend; its shape broadcasts to (..., L, L).

        Returns:
            (..., L, d_v). A token that may attend to nothing gets zeros.

        Raises:
            ValueError: x has fewer than two dimensions or another width than d_model; mask as in
                attention_weights.
        """
        # BEGIN SOLUTION
        fits = x.ndim >= 2 and x.shape[-1] == self.d_model
        require(fits, f"x must have the shape (..., L, {self.d_model}), got {shapes(x=x)}")
        return scaled_dot_product_attention(x @ self.W_Q, x @ self.W_K, x @ self.W_V, mask)
        # END SOLUTION


# %% [markdown]
# A question to try on your module: what happens to the output when the tokens change places?


# %% tags=["otter_ignore"]
def shuffle_the_tokens() -> None:
    """Feed the same tokens in two orders, and compare the outputs token by token."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 8, generator=generator)
    order = torch.tensor([3, 0, 4, 1, 2])
    module = SelfAttention(8, 4, 3)
    with torch.no_grad():
        difference = (module(x[order]) - module(x)[order]).abs().max()
    print(f"largest difference when the tokens are shuffled: {difference:.1e}")


show(shuffle_the_tokens, needs="q4")

# %% [markdown]
# Nothing but rounding: each token gets the same output wherever it stands. Self-attention sees a **set** of
# tokens, not a sequence. A language model needs to be told the positions as well, which is what positional
# encodings are for.

# %% [markdown]
# ## q5 · Multi-head attention
#
# One softmax gives a token one set of weights: it cannot look for its subject and for its object at the same
# time and tell the two apart. *Multi-head* attention runs $h$ attentions of width
# $d_\text{head} = d_\text{model} / h$ side by side, each free to look for something else, and mixes their
# results with one more matrix (Vaswani et al. 2017, section 3.2.2):
#
# $$
# \operatorname{head}_t = \operatorname{attention}\big(X W_Q^{(t)},\ X W_K^{(t)},\ X W_V^{(t)}\big), \qquad
# \operatorname{MultiHead}(X) = [\operatorname{head}_1, \dots, \operatorname{head}_h]\, W_O .
# $$
#
# All heads share one matrix product: $W_Q^{(t)}$ is the $t$-th **block of consecutive columns** of $W_Q$, and
# the results stand side by side in the same order. With $d_\text{model} = 6$ and $h = 2$, columns 0, 1, 2 of
# $X W_Q$ are the queries of the first head and columns 3, 4, 5 those of the second.
#
# It must agree with `nn.MultiheadAttention` given the same weights. (PyTorch multiplies with $W^\top$ and adds
# biases; here it is `x @ W`, without biases. The cell below copies the weights over.)
#
# <details><summary>Hint: shapes on the way</summary>
# (..., L, d_model) must become (..., h, L, d_head), because q2 attends within the last two dimensions. A
# reshape alone can only split or join <em>neighbouring</em> dimensions; the order has to be changed by
# something else. And back again afterwards.
# </details>
#
# <details><summary>Hint: the mask</summary>
# The weights now have the shape (..., h, L, L), but the mask has no dimension for the heads. Where does it need
# one?
# </details>


# %% tags=["q5"]
class MultiHeadAttention(nn.Module):
    """Self-attention with several heads side by side, mixed by an output projection.

    Source: Vaswani et al. 2017, section 3.2.2. Must not call nn.MultiheadAttention, but give the same result
    as that module without biases, given the same weights.

    Args:
        d_model: width of the input and of the output.
        n_heads: number of heads, a divisor of d_model. Head t (0, 1, ...) owns the columns from t * d_head
            up to, but without, (t + 1) * d_head of W_Q, W_K and W_V, where d_head = d_model / n_heads. Its
            scores are divided by sqrt(d_head).

    Attributes:
        W_Q, W_K, W_V, W_O: parameters, (d_model, d_model), drawn from N(0, 1 / d_model), applied as x @ W.

    Raises:
        ValueError: a size is below 1, or n_heads does not divide d_model.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        # BEGIN SOLUTION
        sizes = f"d_model={d_model}, n_heads={n_heads}"
        require(min(d_model, n_heads) >= 1, f"sizes must be at least 1, got {sizes}")
        require(d_model % n_heads == 0, f"n_heads must divide d_model, got {sizes}")
        self.d_model, self.n_heads = d_model, n_heads
        std = 1 / math.sqrt(d_model)
        self.W_Q = nn.Parameter(torch.randn(d_model, d_model) * std)
        self.W_K = nn.Parameter(torch.randn(d_model, d_model) * std)
        self.W_V = nn.Parameter(torch.randn(d_model, d_model) * std)
        self.W_O = nn.Parameter(torch.randn(d_model, d_model) * std)
        # END SOLUTION

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within each sequence, in every head, and mix the heads.

        Args:
            x: (..., L, d_model), the dtype of the parameters.
            mask: boolean, True = may attend, the same for all heads; its shape broadcasts to (..., L, L),
                where ... are the leading dimensions of x.

        Returns:
            (..., L, d_model). A token that may attend to nothing gets zeros.

        Raises:
            ValueError: x has fewer than two dimensions or another width than d_model; mask is not boolean,
                or its shape does not broadcast to (..., L, L).
        """
        # BEGIN SOLUTION
        fits = x.ndim >= 2 and x.shape[-1] == self.d_model
        require(fits, f"x must have the shape (..., L, {self.d_model}), got {shapes(x=x)}")
        if mask is not None:
            shape = torch.Size((*x.shape[:-1], x.shape[-2]))
            check_mask(mask, shape)
            mask = mask.expand(shape).unsqueeze(-3)  # (..., 1, L, L): one mask for all heads
        q, k, v = (self.split_heads(x @ weight) for weight in (self.W_Q, self.W_K, self.W_V))
        heads = scaled_dot_product_attention(q, k, v, mask)  # (..., n_heads, L, d_head)
        # Put the heads back beside each other: (..., L, n_heads, d_head), then join the last two dimensions.
        return heads.transpose(-3, -2).flatten(-2) @ self.W_O
        # END SOLUTION

    # BEGIN SOLUTION NO PROMPT
    def split_heads(self, projected: Tensor) -> Tensor:
        """Cut (..., L, d_model) into consecutive blocks of columns: (..., n_heads, L, d_head)."""
        blocks = projected.unflatten(-1, (self.n_heads, self.d_model // self.n_heads))
        return blocks.transpose(-3, -2)

    # END SOLUTION


# %% tags=["otter_ignore"]
def compare_with_multihead() -> None:
    """Give PyTorch's module the same weights and print the largest difference between the two outputs."""
    ours = MultiHeadAttention(12, 3).double()
    theirs = nn.MultiheadAttention(12, 3, bias=False, batch_first=True, dtype=torch.float64)
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    mask = torch.ones(5, 5, dtype=torch.bool).tril()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.W_Q.T, ours.W_K.T, ours.W_V.T]))
        theirs.out_proj.weight.copy_(ours.W_O.T)
        expected, _ = theirs(x, x, x, attn_mask=~mask)  # there, True means "may not"
        print(f"largest difference from nn.MultiheadAttention: {(ours(x, mask) - expected).abs().max():.1e}")


show(compare_with_multihead, needs="q5")

# %% [markdown]
# ## q6 · The rank of the scores
#
# The matrix of scores is $L_q \times L_k$, but it is a product of an $L_q \times d_k$ and a $d_k \times L_k$
# matrix. So
#
# $$
# \operatorname{rank}(QK^\top) \le \min(L_q, L_k, d_k) ,
# $$
#
# and for a long sequence and a narrow head, most of what looks like $L_q L_k$ free numbers is not free at all.
# The singular value decomposition $S = U \operatorname{diag}(\sigma_1 \ge \sigma_2 \ge \dots) W^\top$ says how
# many directions there are, and the Eckart-Young theorem says how best to keep only $r$ of them:
#
# $$
# S_r = \sum_{t=1}^{r} \sigma_t\, u_t w_t^\top
# \quad\text{minimises}\quad \lVert S - T \rVert_F \text{ over all } T \text{ of rank at most } r .
# $$
#
# In a computer, singular values that should be 0 come out as rounding noise. We count those above $10^{-10}$
# times the largest, in float64, whose noise is near $10^{-16}$ of the largest. Low-rank attention uses $S_r$ in
# place of $S$. The softmax comes **after** the approximation: it is not linear, and the weights $A$ generally
# have full rank even where $S$ has rank 1.
#
# <details><summary>Hint: the rank of a float32 product</summary>
# Rounding noise of float32 is near 1e-7 of the largest singular value, far above 1e-10. Converting the finished
# product does not remove it. What has to be converted, and when?
# </details>
#
# <details><summary>Hint: rebuilding the matrix</summary>
# <code>torch.linalg.svd</code> returns the third factor already transposed: its <em>rows</em> are the right
# singular vectors. Use <code>full_matrices=False</code>.
# </details>


# %% tags=["q6"]
def score_rank(q: Tensor, k: Tensor) -> int:
    """The numerical rank of q k^T: how many singular values exceed 1e-10 times the largest, in float64.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, section 5.4 (numerical rank).

    Args:
        q: queries, (L_q, d_k), two dimensions only, floating point of any precision.
        k: keys, (L_k, d_k).

    Returns:
        The rank, a Python int from 0 to min(L_q, L_k, d_k). 0 if all products are 0, or if there are none.

    Raises:
        ValueError: q or k is not two-dimensional, or their d_k differ or are 0.
    """
    # BEGIN SOLUTION
    require(q.ndim == k.ndim == 2, f"q and k must have two dimensions, got {shapes(q=q, k=k)}")
    if 0 in score_shape(q, k):
        return 0
    # Convert before multiplying: a product rounded to float32 has full rank, of noise.
    singular_values = torch.linalg.svdvals(q.double() @ k.double().T)
    return int((singular_values > 1e-10 * singular_values.max()).sum())
    # END SOLUTION


# %% tags=["q6"]
def low_rank_attention(q: Tensor, k: Tensor, v: Tensor, rank: int) -> Tensor:
    """Attention whose scores q k^T / sqrt(d_k) are replaced by their best approximation of the given rank.

    Source: Eckart and Young 1936: the truncated SVD is the best approximation in the Frobenius norm.

    Args:
        q: queries, (..., L_q, d_k), floating point.
        k: keys, (..., L_k, d_k).
        v: values, (..., L_k, d_v). Leading dimensions broadcast.
        rank: how many singular values to keep, from 1 to min(L_q, L_k). From d_k on nothing is lost, and
            the result is that of scaled_dot_product_attention.

    Returns:
        (..., L_q, d_v), dtype and device of q. No gradient is promised: where singular values coincide, the
        SVD has none.

    Raises:
        ValueError: rank is below 1 or above min(L_q, L_k); shapes that do not fit, as in
            scaled_dot_product_attention.
    """
    # BEGIN SOLUTION
    shape = score_shape(q, k)
    check_values(k, v, shape)
    largest = min(shape[-2:])
    require(1 <= rank <= largest, f"rank must be between 1 and min(L_q, L_k) = {largest}, got {rank}")
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    u, sigma, w_transposed = torch.linalg.svd(scores, full_matrices=False)
    # Scale the first columns of u by their singular values, then combine them with the first rows of w^T.
    approximation = (u[..., :rank] * sigma[..., None, :rank]) @ w_transposed[..., :rank, :]
    return torch.softmax(approximation, dim=-1) @ v
    # END SOLUTION


# %% [markdown]
# Three sets of 48 queries and 48 keys. In the first two, all directions matter equally. In the third, each
# direction matters less than the one before, as is often found in trained models.


# %% tags=["otter_ignore"]
def random_qkv(d_k: int, fading: float) -> list[Tensor]:
    """48 random queries, keys and values in float64; direction t of q and k is scaled by fading ** t."""
    generator = torch.Generator().manual_seed(d_k)
    q, k, v = (torch.randn(48, d_k, generator=generator, dtype=torch.float64) for _ in range(3))
    scales = fading ** torch.arange(d_k, dtype=torch.float64)
    scales *= (d_k / scales.pow(4).sum()) ** 0.25  # so that the scores keep the variance 1
    return [q * scales, k * scales, v]


def rank_of_the_scores() -> Figure:
    """Singular values of the scores, and the error of low-rank attention against the rank."""
    cases = {"$d_k = 4$": (4, 1.0), "$d_k = 16$": (16, 1.0), "$d_k = 16$, fading": (16, 0.6)}
    ranks = range(1, 33)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for (label, (d_k, fading)), marker in zip(cases.items(), "o^s", strict=True):
        q, k, v = random_qkv(d_k, fading)
        sigma = torch.linalg.svdvals(q @ k.T)[: len(ranks)]
        left.semilogy(ranks, sigma / sigma[0], f"{marker}-", ms=4)
        exact = scaled_dot_product_attention(q, k, v)
        errors = [(low_rank_attention(q, k, v, r) - exact).norm() / exact.norm() for r in ranks]
        right.semilogy(ranks, errors, f"{marker}-", ms=4, label=f"{label}: rank {score_rank(q, k)}")
    left.axhline(1e-10, color="0.4", ls="--", lw=1)
    left.text(32, 3e-10, "counted if above", color="0.4", ha="right")
    left.set(xlabel="index $t$", ylabel="$\\sigma_t / \\sigma_1$", title="singular values of $QK^T$")
    right.set(xlabel="rank $r$", ylabel="relative error of the output", title="low-rank attention")
    right.legend(loc="center right")
    return figure


draw(rank_of_the_scores, needs="q2 and q6")

# %% [markdown]
# From $r = d_k$ on, nothing but rounding is lost: a $48 \times 48$ matrix of scores held only $d_k$ directions.
# Below $d_k$ it depends. Where all directions matter equally, dropping a single one already hurts; where they
# fade, a few of them do nearly all the work. Methods that make attention cheaper by a low-rank approximation
# live on that difference.

# %% [markdown]
# ## q7 · Attention as a soft look-up
#
# Long before transformers, [Nadaraya](https://doi.org/10.1137/1109020) and
# [Watson](https://www.jstor.org/stable/25049340) (both 1964) estimated a function from data points $(k_j, v_j)$
# by a weighted mean whose weights fall off with the distance:
#
# $$
# f(q) = \sum_j \alpha_j(q)\, v_j, \qquad
# \alpha_j(q) = \frac{\exp\!\big(-\lVert q - k_j \rVert^2 / 2h^2\big)}
# {\sum_m \exp\!\big(-\lVert q - k_m \rVert^2 / 2h^2\big)} .
# $$
#
# This *is* attention, with another score. Multiply out,
# $-\lVert q - k_j \rVert^2 = 2\, q \cdot k_j - \lVert k_j \rVert^2 - \lVert q \rVert^2$: the last term is the
# same for all keys, so the softmax does not see it. If all keys have the same length, the second drops out as
# well, and what is left is the dot product, with $h^2$ in the place of $\sqrt{d_k}$.
#
# The *bandwidth* $h$ says how far a query looks. As $h \to 0$, the nearest key takes all the weight, and the
# soft dictionary becomes a hard one: it returns the value of the nearest key (the mean of the values, if
# several are equally near).
#
# **The trap.** For $h = 10^{-30}$ every exponential above underflows to 0 and $f(q) = 0/0$. For $h = 10^{-200}$
# even $h^2$ is 0. The limit exists all the same, and your function should return it.
#
# **By hand.** Keys $0$ and $1$ with values $0$ and $10$. The query $q = 0.25$ has squared distances $0.0625$
# and $0.5625$, which differ by $0.5$. With $h = 0.5$ the exponents differ by $0.5 / (2 \cdot 0.25) = 1$, so the
# weights are $\tfrac{e}{1+e} = 0.7311$ and $0.2689$, and $f(q) = 2.689$. As $h \to 0$ it tends to 0; and for
# $q = 0.5$, it is 5 for every $h$.
#
# <details><summary>Hint: the underflow</summary>
# As in q1, something may be subtracted from all exponents of a row without changing the weights. Here it pays
# to do so <em>before</em> dividing by anything small: then the nearest key has the exponent 0, whatever h is.
# </details>
#
# <details><summary>Hint: the square of h</summary>
# Dividing by a product is the same as dividing twice, but not for the computer. And in float32, a bandwidth of
# 1e-60 is rounded to 0: the smallest normal number of a dtype is <code>torch.finfo(dtype).tiny</code>.
# </details>


# %% tags=["q7"]
def kernel_regression(queries: Tensor, keys: Tensor, values: Tensor, bandwidth: float) -> Tensor:
    """The mean of the values, weighted by exp(-|q - k|^2 / (2 h^2)) with h the bandwidth: a soft look-up.

    Source: Nadaraya 1964, Watson 1964; as attention: Murphy, "Probabilistic Machine Learning", section 15.4.

    Args:
        queries: where to evaluate, (..., n_q, d), floating point.
        keys: where data lie, (..., n_k, d), at least one.
        values: the data, (..., n_k, d_v). Leading dimensions broadcast.
        bandwidth: h > 0, in the unit of the keys.

    Returns:
        (..., n_q, d_v), dtype and device of the queries. As h goes to 0 it becomes the hard look-up: the
        value of the nearest key, or the mean of the values of all keys at exactly that distance. Never NaN,
        not even for h = 1e-300. n_q may be 0.

    Raises:
        ValueError: bandwidth is not above 0; an argument has fewer than two dimensions; queries and keys
            differ in d; keys and values differ in n_k, or n_k is 0; leading dimensions do not broadcast.
    """
    # BEGIN SOLUTION
    found = shapes(queries=queries, keys=keys, values=values)
    require(bandwidth > 0, f"bandwidth must be above 0, got {bandwidth}")
    require(
        min(queries.ndim, keys.ndim, values.ndim) >= 2, f"each needs at least two dimensions, got {found}"
    )
    require(queries.shape[-1] == keys.shape[-1], f"queries and keys must have the same width, got {found}")
    require(keys.shape[-2] >= 1, f"at least one key is needed, got {found}")
    require(keys.shape[-2] == values.shape[-2], f"each key needs one value, got {found}")
    common_shape(queries.shape[:-2], keys.shape[:-2], values.shape[:-2])
    # Differences first, squares after: |q|^2 - 2 q.k + |k|^2 would lose small distances to cancellation.
    differences = queries.unsqueeze(-2) - keys.unsqueeze(-3)  # (..., n_q, n_k, d)
    squared = differences.square().sum(dim=-1)
    # How much farther than the nearest key. The shift changes no weight, so it needs no gradient; it makes
    # the nearest key's exponent exactly 0, and 0 / h is 0 for every h > 0.
    excess = squared - squared.detach().amin(dim=-1, keepdim=True)
    # Divide twice, for h * h may underflow to 0 where h does not.
    h = max(bandwidth, torch.finfo(excess.dtype).tiny)
    return torch.softmax(-excess / h / h / 2, dim=-1) @ values
    # END SOLUTION


# %% [markdown]
# ### From soft to hard
#
# Nine data points, four bandwidths. Above: the regression. Below: the weights themselves, stacked, one colour
# per key; at every $q$ they fill the height 1. In the language of numerical analysis they are a *partition of
# unity*, a basis for interpolation like the hat functions of finite elements, except that here the data shape
# the basis.


# %% tags=["otter_ignore"]
def soft_to_hard() -> Figure:
    """Kernel regression and its weights as the bandwidth goes to 0: it ends as a step function."""
    keys = torch.tensor([-2.7, -2.1, -1.2, -0.9, 0.1, 0.6, 1.4, 2.2, 2.8], dtype=torch.float64)[:, None]
    values = torch.sin(1.5 * keys) + 0.3 * torch.cos(9 * keys)
    queries = torch.linspace(-3.2, 3.2, 801, dtype=torch.float64)[:, None]
    figure, axes = plt.subplots(2, 4, figsize=(14, 6), sharex=True, sharey="row", layout="constrained")
    colours = plt.get_cmap("viridis")(torch.linspace(0, 1, len(keys)).numpy())
    for (above, below), h in zip(axes.T, (1.0, 0.3, 0.1, 1e-30), strict=True):
        above.plot(queries, kernel_regression(queries, keys, values, h), color="0.2")
        above.scatter(keys, values, c=colours, edgecolors="black", zorder=3)
        # The weights are the regression of the identity matrix: the value of key j is the j-th unit vector.
        weights = kernel_regression(queries, keys, torch.eye(len(keys), dtype=torch.float64), h)
        below.stackplot(queries[:, 0].numpy(), weights.T.numpy(), colors=colours)
        above.set_title("$h = 10^{-30}$: nearest key" if h < 0.01 else f"$h = {h:g}$")
        below.set_xlabel("query $q$")
    axes[0, 0].set_ylabel("$f(q)$ and the data")
    axes[1, 0].set_ylabel("weights $\\alpha_j(q)$, stacked")
    return figure


draw(soft_to_hard, needs="q7")

# %% [markdown]
# With a wide bandwidth every data point has a say everywhere, and the curve is smooth and flat. With a narrow
# one it passes through the data and jumps half-way between neighbours: the hard dictionary of the beginning,
# which now answers every query. A transformer learns its own place between the two, for longer queries and keys
# mean larger scores, which act like a smaller $h$.
#
# **Where to go from here.** You have seen that attention ignores order (positional encodings repair that), that
# every query compares itself with every key (a cost of $L_q L_k$, which causal and sparse masks reduce), and
# that its weights are a softmax whose gradient you know by heart.
