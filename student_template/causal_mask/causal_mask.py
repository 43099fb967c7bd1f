# %% [markdown]
# # The causal mask
#
# A language model writes from left to right. When it is trained, the whole sentence lies in front of it at once:
#
# ```text
# the   cat   sat   on   the   ...
# ```
#
# and at *every* position it must guess the next word. That is $n$ exercises in one pass, but only if position
# $i$ cannot see what comes after it. A model that can look ahead copies the answer: its training loss goes to
# zero, and on the day it has to write by itself, there is nothing left to copy.
#
# **The causal mask forbids exactly that.** Query $i$ may attend to the keys $j \le i$ and to no others:
#
# $$
# S'_{ij} = \begin{cases} q_i \cdot k_j / \sqrt{d} & j \le i \\ -\infty & j > i \end{cases}, \qquad
# A = \operatorname{softmax}(S') \text{ by rows}, \qquad \mathrm{out}_i = \sum_j A_{ij} v_j .
# $$
#
# It is one triangle of booleans, and it goes wrong in many ways that look right: the shapes fit, the loss falls,
# and the model is worthless. You will write it, **prove** that it works, on paper and by machine, use it to
# generate one step at a time, and see what it costs.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `causal_mask` | who may see whom, also with a cache |
# | q2 | `causal_attention` | $-\infty$ before the softmax |
# | w1 | a proof | why that enforces causality |
# | q3 | `influence` | the proof, executed: Jacobians by autograd |
# | q4 | `decode_step` | one more token, without starting over |
# | q5 | `time_attention` | your run time beside PyTorch's |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. Work from top
# to bottom: later questions may call what you wrote before. After each question, run its check. The checks you
# have here are a part of those that grade you, so read the docstrings: everything that is graded is promised
# there.

# %% [markdown]
# ## Notation
#
# | symbol | shape | meaning |
# | --- | --- | --- |
# | $Q$, $K$ | `(..., n, d)` | one query and one key per position, as rows |
# | $V$ | `(..., n, d_v)` | one value per position |
# | $M$ | `(n, m)` | the mask, boolean: `True` = may attend |
# | $A$ | `(..., n, n)` | weights: row $i$ is what position $i$ looks at |
#
# Positions are counted from 0 in code and from 1 in formulas. `...` stands for any leading dimensions (batches,
# heads): work on the **last two** and let the others broadcast, as `@` does. A length may be 0. Results have the
# dtype and the device of the inputs, and inputs are never changed.
#
# The next cell holds the imports and three small helpers for your argument checks. For example,
# `require(n >= 1, "n must be at least 1")` raises a `ValueError` with that message when `n` is 0. Write the
# checks **last**: get the mathematics right first, then make the function refuse what its docstring says it
# refuses.

# %%
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor


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
# ## q1 · The mask
#
# For a sequence on its own, $M_{ij}$ is true where $j \le i$: the lower triangle, **with** the diagonal. Each
# position sees itself; otherwise the first one would see nothing at all.
#
# When a model generates, the last $n$ positions are new and the first $m - n$ are old: their keys were kept in a
# *cache*. There are then $n$ queries and $m$ keys, and the newest query belongs to the newest key. So the mask is
# aligned at its **lower right** corner. Query $i$ (of the new ones) stands at place $i + (m - n)$ of the whole
# sequence:
#
# $$
# M_{ij} = \big[\, j \le i + (m - n) \,\big], \qquad i = 0, \dots, n - 1, \quad j = 0, \dots, m - 1 .
# $$
#
# **By hand.** Three positions, and then two new ones after a cache of two ($n = 2$, $m = 4$), with 1 for true:
#
# $$
# M_{3} = \begin{pmatrix} 1 & 0 & 0 \\ 1 & 1 & 0 \\ 1 & 1 & 1 \end{pmatrix}, \qquad
# M_{2,4} = \begin{pmatrix} 1 & 1 & 1 & 0 \\ 1 & 1 & 1 & 1 \end{pmatrix} .
# $$
#
# The last row is all ones: the newest position sees everything. If yours is the upper-left corner of a larger
# triangle instead, the newest position has lost its latest keys, its own among them.
#
# <details><summary>Hint</summary>
# Two tools will do, either of them: compare a column of row numbers with a row of column numbers, or look up what
# the second parameter of <code>torch.tril</code> moves.
# </details>

# %%
def causal_mask(n: int, m: int | None = None) -> Tensor:
    """Which of m keys each of n queries may attend to: those up to its own place, counted from the end.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.3; lower-right alignment as in
    torch.nn.attention.bias.causal_lower_right.

    Args:
        n: number of queries, at least 0: the last n positions of the sequence.
        m: number of keys, at least n: the whole sequence, the first m - n of it from a cache. None: m = n.

    Returns:
        Boolean mask (n, m), True = may attend: query i sees the keys 0, ..., i + (m - n).

    Raises:
        ValueError: n is negative, or m is less than n.
    """
    ...


# %% tags=["otter_ignore"]
def mask_by_hand() -> None:
    """Print the two masks of the example."""
    for title, mask in (("causal_mask(3):", causal_mask(3)), ("causal_mask(2, 4):", causal_mask(2, 4))):
        print(title)
        for row in mask.int().tolist():
            print("   ", *row)


show(mask_by_hand, needs="q1")


# %% tags=["otter_ignore"]
def masks_with_a_cache() -> Figure:
    """The same eight keys: all queries at once, the last three after a cache of five, and the last alone."""
    figure, axes = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
    titles = ["training: all 8 at once", "3 new ones, 5 keys in the cache", "1 new one, 7 in the cache"]
    for ax, n, title in zip(axes, (8, 3, 1), titles, strict=True):
        ax.imshow(causal_mask(n, 8), cmap="Blues", vmin=0, vmax=1.6, extent=(0.5, 8.5, 8.5, 8.5 - n))
        ax.set(title=title, xlabel="key (place in the sequence)", xticks=range(1, 9), yticks=range(9 - n, 9))
        ax.set(ylim=(8.5, 0.5))
        ax.plot([0.5, 8.5], [0.5, 8.5], color="tab:orange", ls="--", lw=1.5)
    axes[0].set_ylabel("query (place in the sequence)")
    axes[0].text(1.2, 6.9, "may attend", color="white", weight="bold")
    axes[0].text(4.6, 2.2, "forbidden: the future", color="0.3")
    return figure


draw(masks_with_a_cache, needs="q1")


# %% [markdown]
# Blue may be seen. All three are the **same triangle**, cut off from above: with a cache, only the last rows are
# computed, and the diagonal (orange) still ends in the lower right corner.

# %% [markdown]
# ## q2 · Causal attention
#
# Now put the mask where it belongs: into the scores, before the softmax.
#
# **By hand.** Let all scores be 0 (say $Q = 0$), and the values $v = (6,\ 0,\ 3)$. Then every query spreads its
# weight evenly over what it may see:
#
# $$
# A = \begin{pmatrix} 1 & 0 & 0 \\ \tfrac12 & \tfrac12 & 0 \\ \tfrac13 & \tfrac13 & \tfrac13 \end{pmatrix},
# \qquad
# \mathrm{out} = \begin{pmatrix} 6 \\ 3 \\ 3 \end{pmatrix} .
# $$
#
# The outputs are *running* means. Without a mask all three would be 3; and if the forbidden weights were cut away
# **after** the softmax, the first output would be $\tfrac13 \cdot 6 = 2$: the row would no longer sum to 1.
#
# The result must agree with `F.scaled_dot_product_attention(q, k, v, is_causal=True)` to within $10^{-6}$, and so
# must its gradients. Write it yourself: a solution that calls the library's attention, under whatever name, gets
# no points.
#
# <details><summary>Hint: the order of the steps</summary>
# Scores, scale, mask, softmax, values: five steps, and one line each is enough. Which number x has exp(x) = 0?
# <code>masked_fill</code> wants to know where to <em>write</em>, and your mask says where to <em>keep</em>.
# </details>
#
# <details><summary>Hint: large scores</summary>
# exp(150) is more than float32 can hold. <code>torch.softmax</code> subtracts the largest score of each row
# first; if you write the softmax yourself, so must you. Of the <em>permitted</em> scores: the largest of all may
# be a forbidden one.
# </details>

# %%
def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention in which each position sees itself and earlier ones: softmax(q k^T / sqrt(d) masked) v.

    Source: Vaswani et al. 2017, equation 1 and section 3.2.3. Must not call the library's attention, but give
    the same result as torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).

    Args:
        q: queries, (..., n, d), floating point.
        k: keys, (..., n, d), same dtype: as many as queries.
        v: values, (..., n, d_v), same dtype; d_v may differ from d. Leading dimensions broadcast.

    Returns:
        (..., n, d_v), dtype and device of q. Row i depends on the rows 0, ..., i of k and v only.
        Differentiable with respect to q, k and v. Right and finite for scores of +-150. n may be 0. The
        inputs stay unchanged.

    Raises:
        ValueError: an argument has fewer than two dimensions; q, k and v differ in n; q and k differ in d,
            or d is 0; leading dimensions do not broadcast.
    """
    ...


# %% tags=["otter_ignore"]
def compare_with_torch() -> None:
    """Print the running means of the example, and the largest difference from PyTorch's attention."""
    zero, values = torch.zeros(3, 1), torch.tensor([[6.0], [0.0], [3.0]])
    print("by hand:", causal_attention(zero, zero, values).flatten().tolist())
    generator = torch.Generator().manual_seed(0)
    for dtype in (torch.float64, torch.float32):
        q, k, v = (torch.randn(2, 3, 6, 16, generator=generator, dtype=dtype) for _ in range(3))
        expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        error = (causal_attention(q, k, v) - expected).abs().max()
        print(f"{dtype}: largest difference from PyTorch {error:.1e}")


show(compare_with_torch, needs="q2")

# %% [markdown]
# ### Four masks that look alike
#
# The same random $Q, K, V$, six positions, and four ways to "apply a mask". Each cell answers a question by
# experiment: if the value (above) or the key (below) of position $j$ is changed, by how much does output $i$
# change? Nothing may happen above the diagonal: there, the past would feel the future.

# %% tags=["otter_ignore"]
LOWER = torch.ones(6, 6, dtype=torch.bool).tril()


def plain_scores(q: Tensor, k: Tensor) -> Tensor:
    """Scaled scores without a mask."""
    return q @ k.mT / math.sqrt(q.shape[-1])


ATTEMPTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "yours:\n$-\\infty$ before the softmax": lambda q, k, v: causal_attention(q, k, v),
    "weights set to 0\nafter the softmax": lambda q, k, v: plain_scores(q, k).softmax(-1) * LOWER @ v,
    "scores times 0\nbefore the softmax": lambda q, k, v: (plain_scores(q, k) * LOWER).softmax(-1) @ v,
    "scores set to $-1$\nbefore the softmax": lambda q, k, v: (
        plain_scores(q, k).masked_fill(~LOWER, -1.0).softmax(-1) @ v
    ),
}


def response(attention: Callable[[Tensor, Tensor, Tensor], Tensor], moved: str) -> Tensor:
    """By how much output i changes when row j of v, or of k, is moved by a fixed vector: (6, 6)."""
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(6, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    before, changes = attention(q, k, v), []
    for j in range(6):
        push = torch.zeros(6, 4, dtype=torch.float64)
        push[j] = 1.0
        after = attention(q, k, v + push) if moved == "value" else attention(q, k + push, v)
        changes.append((after - before).norm(dim=-1))
    return torch.stack(changes, dim=-1)


def four_masks() -> Figure:
    """Responses of the outputs to values and to keys, for the right mask and three wrong ones."""
    figure, axes = plt.subplots(2, 4, figsize=(12.5, 6.2), sharex=True, sharey=True, layout="constrained")
    for column, (title, attention) in zip(axes.T, ATTEMPTS.items(), strict=True):
        for ax, moved in zip(column, ("value", "key"), strict=True):
            felt = response(attention, moved)
            image = ax.imshow(felt, cmap="Blues", vmin=0, vmax=1)
            for i, j in (~LOWER & (felt > 1e-12)).nonzero().tolist():
                box = plt.Rectangle((j - 0.46, i - 0.46), 0.92, 0.92, fill=False, ec="tab:red", lw=1.5)
                ax.add_patch(box)
        column[0].set_title(title)
        column[1].set_xlabel("changed position $j$")
    axes[0, 0].set_ylabel("change of the value\nfelt by output $i$")
    axes[1, 0].set_ylabel("change of the key\nfelt by output $i$")
    figure.colorbar(image, ax=axes, label="size of the change", extend="max")
    return figure


draw(four_masks, needs="q2")


# %% [markdown]
# Red frames mark leaks. The last two let later values through, faintly or not: a finite score always leaves some
# weight. The second is the treacherous one. Its weights are zero where they should be, no later *value* arrives,
# and yet it leaks: later **keys** have a share in the sum that each row was divided by. That sum must not see the
# future either, and this is why the mask comes before the softmax.

# %% [markdown]
# ## w1 · Why $-\infty$ before the softmax enforces causality (on paper)
#
# Let $S_{ij} = q_i \cdot k_j / \sqrt{d}$, and $S'_{ij} = S_{ij}$ for $j \le i$ and $-\infty$ for $j > i$ (read
# $e^{-\infty} = 0$). Let $A = \operatorname{softmax}(S')$ by rows and $\mathrm{out}_i = \sum_j A_{ij} v_j$.
#
# 1. **Weights.** Show that $A$ is well defined, that $A_{ij} = 0$ for $j > i$, and that each row sums to 1.
# 2. **Causality.** Show that $\mathrm{out}_i$ depends on $q_i$, on $k_1, \dots, k_i$ and on $v_1, \dots, v_i$ only,
#    and hence that $\partial\, \mathrm{out}_i / \partial v_j = 0$ and $\partial\, \mathrm{out}_i / \partial k_j = 0$
#    for $j > i$. What is $\partial\, \mathrm{out}_i / \partial v_j$ for $j \le i$, and its Frobenius norm?
# 3. **Why not otherwise?** For (a) the weights of an unmasked softmax set to 0 where $j > i$, (b) scores multiplied by
#    0 where $j > i$, before the softmax: which of the two derivatives fails to vanish for $j > i$? Give a formula
#    that shows it.
# 4. **Depth.** Several such layers are stacked, and between them a function is applied to each position on its own.
#    Show that output $i$ of the whole stack still depends on inputs $1, \dots, i$ only.
#
# Graded by hand: the steps count. Write LaTeX between dollar signs. Then let q3 check part 2 by machine.

# %% [markdown]
# *Your answer here.*

# %% [markdown]
# ## q3 · The proof, executed
#
# Autograd knows every path from an input to an output, so it can check the claim of w1: no path leads from a later
# value to an earlier output. For every pair of positions, the Jacobian
#
# $$
# J^{(ij)}_{ab} = \frac{\partial\, \mathrm{out}_{ia}}{\partial v_{jb}}, \qquad a, b = 1, \dots, d_v,
# $$
#
# says how output $i$ responds to value $j$. Its size in one number is the *Frobenius norm*,
# $\lVert J \rVert_F = \big( \sum_{ab} J_{ab}^2 \big)^{1/2}$: the root of the sum of all squares. Return the matrix
# of these norms for your `causal_attention`. It must be zero above the diagonal.
#
# **By hand.** In the example of q2, $d_v = 1$ and each Jacobian is the single number $A_{ij}$, so `influence` is
# $A$ itself. If each value is doubled up to a vector of $d_v = 4$ numbers, then $J^{(ij)} = A_{ij} I_4$, and the
# norm is $\sqrt{4 A_{ij}^2} = 2 A_{ij}$.
#
# <details><summary>Hint</summary>
# Make a fresh leaf of v: detach it, clone it, let it require a gradient. The gradient of <em>one number</em>
# <code>out[i, a]</code> with respect to v has the shape of v: which part of the Jacobians of output i is its row
# j? To differentiate the same graph again, you need <code>retain_graph=True</code>.
# </details>
#
# <details><summary>Hint: a factor is missing</summary>
# If you get the weights themselves although d_v is more than 1, look at how many components of the output you
# have differentiated, and at where the root stands.
# </details>

# %%
def influence(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """How strongly output i of causal_attention responds to value j: Frobenius norms of d out_i / d v_j.

    Source: your own proof in w1, part 2: the executable form of "no position sees a later one".

    Args:
        q: queries, (n, d), two dimensions only, floating point.
        k: keys, (n, d).
        v: values, (n, d_v).

    Returns:
        (n, n), dtype and device of v, no gradient attached: entry [i, j] is the norm of the (d_v, d_v)
        Jacobian of out[i] with respect to v[j], computed by autograd. Zero where j > i. n may be 0. The
        inputs stay unchanged.

    Raises:
        ValueError: an argument is not two-dimensional; shapes that do not fit, as in causal_attention.
    """
    ...


# %% tags=["otter_ignore"]
def influence_by_hand() -> None:
    """Print the influence in the example of q2, with values of one number and of four."""
    zero, values = torch.zeros(3, 1), torch.tensor([[6.0], [0.0], [3.0]])
    for d_v in (1, 4):
        print(f"d_v = {d_v}:")
        for row in influence(zero, zero, values.expand(3, d_v)).tolist():
            print("   ", "  ".join(f"{number:.4f}" for number in row))


show(influence_by_hand, needs="q3")


# %% [markdown]
# ### With and without the mask
#
# The influence matrix of ten random positions, beside that of attention without a mask. The second is found in
# another way: attention is linear in the values, so moving $v_j$ by each unit vector in turn gives the columns of
# the Jacobian exactly, without autograd.

# %% tags=["otter_ignore"]
def influence_without_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Norms of d out_i / d v_j for attention without a mask, from differences: (n, n)."""
    weights, squares = plain_scores(q, k).softmax(-1), torch.zeros(len(q), len(q), dtype=v.dtype)
    for j in range(len(v)):
        for unit in torch.eye(v.shape[1], dtype=v.dtype):
            moved = v.clone()
            moved[j] += unit
            squares[:, j] += (weights @ moved - weights @ v).square().sum(-1)
    return squares.sqrt()


def who_influences_whom() -> Figure:
    """Heat maps of influence, with the causal mask and without it."""
    generator = torch.Generator().manual_seed(2)
    q, k, v = (torch.randn(10, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    norms = {"without a mask": influence_without_mask(q, k, v), "with the causal mask": influence(q, k, v)}
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
    for ax, (title, matrix) in zip(axes, norms.items(), strict=True):
        image = ax.imshow(matrix, cmap="Blues", vmin=0, vmax=2)
        above = matrix.triu(1).max().item()
        ax.set_title(f"{title}\nlargest entry above the diagonal: {above:.2g}")
        ax.set(xlabel="value $j$", xticks=range(10), yticks=range(10))
        ax.plot([0.5, 9.5], [-0.5, 8.5], color="tab:orange", ls="--", lw=1.5)
    axes[0].set_ylabel("output $i$")
    label = "$\\Vert \\partial\\,\\mathrm{out}_i / \\partial v_j \\Vert_F$"
    figure.colorbar(image, ax=axes, label=label)
    return figure


draw(who_influences_whom, needs="q3")


# %% [markdown]
# Above the dashed line lies the future. With the mask it is not small there but **exactly 0**: there is no path.
# The first row has a single entry, $1 \cdot \sqrt{d_v} = 2$: the first position has nobody but itself, and all its
# weight goes there.

# %% [markdown]
# ## q4 · One step of decoding
#
# To generate, a model appends one token at a time. Computing everything anew for each of $n$ tokens would repeat
# nearly all of the work. But by w1, the outputs at earlier positions **do not change** when a token is appended,
# and neither do their keys and values. So one keeps those in a cache, appends the new key and value, and computes
# one row:
#
# $$
# \mathrm{out}_t = \sum_{j \le t} \alpha_j v_j, \qquad
# \alpha = \operatorname{softmax}\!\big( q_t \cdot k_1 / \sqrt{d},\ \dots,\ q_t \cdot k_t / \sqrt{d} \big) .
# $$
#
# This equals the last row of the full pass. It costs $t$ dot products in the place of $t^2$.
#
# **By hand.** Two keys in the cache, $k = (0,\ 1)$, values $v = (0,\ 8)$, and $q_t = \ln 3$ ($d = 1$). The scores
# are $0$ and $\ln 3$, their exponentials $1$ and $3$, the weights $\tfrac14$ and $\tfrac34$, the output $6$.
#
# <details><summary>Hint</summary>
# What does <code>causal_mask(1, m)</code> look like? And so: what must be masked here?
# </details>

# %%
def decode_step(q_t: Tensor, k_cache: Tensor, v_cache: Tensor) -> Tensor:
    """The output of causal attention at the newest position alone, from cached keys and values.

    Source: Shazeer 2019, "Fast Transformer Decoding", section 2.4 (incremental attention). Must not call the
    library's attention.

    Args:
        q_t: the query of step t, (..., 1, d), floating point.
        k_cache: all keys up to and including step t, oldest first, (..., t, d), t at least 1.
        v_cache: their values in the same order, (..., t, d_v). Leading dimensions broadcast.

    Returns:
        (..., 1, d_v), dtype and device of q_t: the last row of causal_attention over the whole sequence.
        Differentiable. Right and finite for scores of +-150. The inputs stay unchanged.

    Raises:
        ValueError: an argument has fewer than two dimensions; q_t is not a single query; the caches differ in
            t, or t is 0; q_t and k_cache differ in d, or d is 0; leading dimensions do not broadcast.
    """
    ...


# %% tags=["otter_ignore"]
def decode_by_hand() -> None:
    """Print the example, and compare decoding step by step with the full pass."""
    q_t = torch.tensor([[math.log(3)]])
    print(
        f"by hand: {decode_step(q_t, torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0], [8.0]])).item():.4f}"
    )
    generator = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, 8, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    steps = [decode_step(q[:, t : t + 1], k[:, : t + 1], v[:, : t + 1]) for t in range(8)]
    error = (torch.cat(steps, dim=-2) - causal_attention(q, k, v)).abs().max()
    print(f"eight steps against one full pass: largest difference {error:.1e}")


show(decode_by_hand, needs="q2 and q4")


# %% [markdown]
# ## q5 · What it costs
#
# Your attention computes all $n^2$ scores, masks nearly half of them, and stores the matrix several times on the
# way. PyTorch's does the same sums block by block, never stores the matrix, and skips blocks that lie entirely in
# the future. Measure both on the same random inputs.
#
# **How to measure.** Read `time.perf_counter()` right before and right after a call. Call each function once
# before you start: the first call pays for what is prepared once. Then take `repeats` readings of each and report
# their **median**: an interruption by another program spoils a mean, and the median does not mind. Times are in
# seconds **per call**. The times themselves are not judged, only that they are real ones.
#
# Here, and only here, you may and must call `F.scaled_dot_product_attention(q, k, v, is_causal=True)`.
#
# <details><summary>Hint</summary>
# A helper that takes a function of no arguments and returns the seconds of one call saves you from writing
# everything twice. <code>statistics.median</code> is in the standard library.
# </details>

# %%
def time_attention(n: int, d: int, repeats: int) -> dict[str, float]:
    """Run times of your causal_attention and of PyTorch's, on the same random q, k, v.

    Source: the comparison is that of Dao et al. 2022, "FlashAttention", section 4.3, on your own machine.

    Args:
        n: length of the sequence, at least 1.
        d: width of queries, keys and values, at least 1.
        repeats: how many calls of each are timed, at least 1.

    Returns:
        "own_seconds" and "torch_seconds": medians of the times of one call, in seconds, as floats above 0, of
        causal_attention and of F.scaled_dot_product_attention(..., is_causal=True). "ratio": own_seconds /
        torch_seconds. No other keys.

    Raises:
        ValueError: n, d or repeats is less than 1.
    """
    ...


# %% tags=["otter_ignore"]
def run_times() -> Figure:
    """Run times against n, and their ratio."""
    lengths = [16, 32, 64, 128, 256, 512, 1024]
    found = [time_attention(n, 64, 15) for n in lengths]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 4), layout="constrained")
    for key, label, marker in (("own_seconds", "yours", "o"), ("torch_seconds", "PyTorch's", "s")):
        left.loglog(lengths, [1e3 * times[key] for times in found], f"{marker}-", label=label)
    last = 1e3 * found[-1]["own_seconds"]
    left.loglog(
        lengths[3:], [last * (n / lengths[-1]) ** 2 for n in lengths[3:]], "k:", label="$\\propto n^2$"
    )
    left.set(xlabel="length $n$", ylabel="milliseconds per call", title="run time, $d = 64$")
    left.legend()
    right.semilogx(lengths, [times["ratio"] for times in found], "o-")
    right.axhline(1, color="0.4", ls="--", lw=1)
    right.set(
        xlabel="length $n$", ylabel="ratio yours / PyTorch's", title="how many times as long", ylim=(0, None)
    )
    for ax in (left, right):
        ax.set_xticks(lengths, [str(n) for n in lengths])
        ax.minorticks_off()
    return figure


draw(run_times, needs="q5")

# %% [markdown]
# Left, both approach a line of slope 2 for long sequences: the fused version does less work per score, but there
# are still about $n^2 / 2$ of them. For short sequences the curves are flat, for then a call costs what it costs
# to *start* its operations, and yours starts more of them. How the ratio on the right runs depends on your
# machine and on what else it does; above 1 you pay for every matrix that is stored and read again. Run the cell
# twice to see how far you can trust a timing.
#
# **Where to go from here.** With the mask in place, attention can be trained on all positions at once and used one
# at a time: that is a GPT. The assignment `language_model` builds one.
