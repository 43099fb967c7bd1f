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
# # Sparse attention
#
# Read a novel, and at every word look back at **every** word so far. That is what attention does: a text of $n$
# words has about $n^2 / 2$ such glances. At a thousand words nobody minds. At a hundred thousand it is five
# billion, in every head of every layer.
#
# You do not read like that. You keep the last line in mind, word by word, and of what came before you remember
# a landmark here and there. That is the **sparse pattern** of this assignment: every position sees
#
# - a *window*: the latest few positions, itself among them,
# - and *strides*: further back, every $s$-th position.
#
# ```text
#                                 . . . # . . . # . . . # . . . # # # # me
#                                 every 4th, all the way back    the window
# ```
#
# Each position looks at about $w + n/s$ others in place of $n$. With $w$ and $s$ near $\sqrt n$ the whole text
# costs about $n \sqrt n$ in place of $n^2$, a hundred times less at a hundred thousand words. And nothing is out
# of reach: in two layers, every position can still hear from every earlier one.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `sparse_mask` | who may see whom |
# | q2 | `masked_attention` | the easy way: all $n^2$ scores, most of them thrown away |
# | q3 | `sparse_attention` | the same numbers, from the scores that count |
# | q4 | `attended_pairs` | counting glances, without looking |
# | w1 | a proof | $n \sqrt n$, and why less is not possible |
# | q5 | `layers_needed` | how many layers until everybody hears everybody |
# | q6 | `growth_exponent`, `plot_costs` | your own time and memory, measured |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. Work from top
# to bottom; q3 is the longest. After each question, run its check. The checks you have here are a part of those
# that grade you, so read the docstrings: everything that is graded is promised there.

# %% [markdown]
# ## Notation
#
# | symbol | shape | meaning |
# | --- | --- | --- |
# | $Q$, $K$ | `(..., n, d)` | one query and one key per position, as rows |
# | $V$ | `(..., n, d_v)` | one value per position |
# | $M$ | `(n, n)` | the mask, boolean: `True` = may attend |
# | $w$, $s$ | int, at least 1 | `window` and `stride` |
# | $i - j$ | | the **distance** from position $i$ back to position $j$ |
#
# Positions are counted from 0. `...` stands for any leading dimensions (batches, heads): work on the **last two**
# and let the others broadcast, as `@` does. A length may be 0. Results have the dtype and the device of the
# inputs, and inputs are never changed.
#
# The next cell holds the imports and three small helpers for your argument checks. For example,
# `require(n >= 0, "n must not be negative")` raises a `ValueError` with that message when `n` is -1. Write the
# checks **last**: get the mathematics right first, then make the function refuse what its docstring says it
# refuses.

# %%
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


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
# ## q1 · The pattern
#
# Position $i$ may attend to position $j$ if $j$ is not later, and is near **or** a whole number of strides away:
#
# $$
# M_{ij} = \big[\, i - j \ge 0 \ \text{ and }\ \big( i - j < w \ \text{ or }\ (i - j) \bmod s = 0 \big) \,\big] .
# $$
#
# This is the *strided factorised pattern* of the Sparse Transformer
# ([Child et al. 2019](https://arxiv.org/abs/1904.10509), section 4.3), both of its parts in one head. Three things to
# be exact about:
#
# - The window holds $w$ positions, **itself included**: the distances $0, 1, \dots, w - 1$.
# - Strides are counted **from the position that looks**, not from the start of the text and not from the edge of the
#   window: the distances $0, s, 2s, \dots$
# - Some distances are in both parts. In a mask that does not matter. In q3 and q4 it will.
#
# **By hand.** $n = 8$, $w = 2$, $s = 3$. The permitted distances are $0, 1$ (the window) and $0, 3, 6$ (strides):
#
# ```text
#          j  0 1 2 3 4 5 6 7
#     i = 0   # . . . . . . .
#         1   # # . . . . . .
#         2   . # # . . . . .
#         3   # . # # . . . .
#         4   . # . # # . . .
#         5   . . # . # # . .
#         6   # . . # . # # .
#         7   . # . . # . # #
# ```
#
# Along each diagonal nothing changes, for only $i - j$ counts. Every position sees itself, so no row is empty.
#
# <details><summary>Hint: distances</summary>
# <code>torch.arange(n)</code> as a column, minus the same as a row, gives all distances at once. Some of them are
# negative: what is -3 % 3?
# </details>


# %% tags=["q1", "q3", "q4", "q5"]
# BEGIN SOLUTION NO PROMPT
def check_pattern(window: int, stride: int) -> None:
    """Raise ValueError unless there is such a pattern."""
    require(min(window, stride) >= 1, f"window and stride must be at least 1, got {window} and {stride}")


# END SOLUTION


# %% tags=["q1"]
def sparse_mask(n: int, window: int, stride: int) -> Tensor:
    """Which positions each of n positions may attend to: the latest few, and every stride-th before.

    Source: Child et al. 2019, "Generating Long Sequences with Sparse Transformers", section 4.3 (strided
    attention), both parts in one mask.

    Args:
        n: length of the sequence, at least 0.
        window: how many of the latest positions are seen, oneself included; at least 1, may exceed n.
        stride: every stride-th position is seen, counted back from oneself; at least 1, may exceed n.

    Returns:
        Boolean mask (n, n), True = may attend: [i, j] is True where 0 <= i - j and either i - j < window or
        (i - j) % stride == 0.

    Raises:
        ValueError: n is negative; window or stride is less than 1.
    """
    # BEGIN SOLUTION
    require(n >= 0, f"n must not be negative, got {n}")
    check_pattern(window, stride)
    positions = torch.arange(n)
    distance = positions.unsqueeze(1) - positions  # of query i (a row) from key j (a column)
    return (distance >= 0) & ((distance < window) | (distance % stride == 0))
    # END SOLUTION


# %% tags=["otter_ignore"]
def mask_by_hand() -> None:
    """Print the mask of the example."""
    for row in sparse_mask(8, window=2, stride=3).tolist():
        print("   ", *(".#"[allowed] for allowed in row))


show(mask_by_hand, needs="q1")


# %% tags=["otter_ignore"]
def four_patterns() -> Figure:
    """The causal mask, the window alone, the strides alone, and both together, for 36 positions."""
    masks = {
        "causal": sparse_mask(36, 36, 1),
        "the window alone, $w = 6$": sparse_mask(36, 6, 36),
        "the strides alone, $s = 6$": sparse_mask(36, 1, 6),
        "both": sparse_mask(36, 6, 6),
    }
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.9), sharey=True, layout="constrained")
    for ax, (title, mask) in zip(axes, masks.items(), strict=True):
        ax.imshow(mask, cmap="Blues", vmin=0, vmax=1.4)
        ax.set(title=f"{title}: {int(mask.sum())} pairs", xlabel="key $j$")
    axes[0].set_ylabel("query $i$")
    return figure


draw(four_patterns, needs="q1")

# %% [markdown]
# Read a **row** to see what a position looks at, a **column** to see who looks at it. The strides alone would fall
# apart into six groups that never hear of each other; the window alone hears of everything, but slowly. Together
# they make a road network: small streets, and a motorway exit every six houses.

# %% [markdown]
# ## q2 · The easy way
#
# Attention under this mask, computed in full: all $n^2$ scores, forbidden ones set to $-\infty$ before the softmax:
#
# $$
# S_{ij} = \begin{cases} q_i \cdot k_j / \sqrt{d} & M_{ij} \\ -\infty & \text{otherwise,} \end{cases} \qquad
# A = \operatorname{softmax}(S) \text{ by rows}, \qquad \mathrm{out} = A V .
# $$
#
# This saves nothing at all: the scores are computed, and then thrown away. But it is short enough to be surely
# right, and so it will be what you compare q3 with.
#
# **By hand.** Let all scores be 0 (say $Q = 0$), $n = 4$, $w = 1$, $s = 2$, and $v = (6, 0, 2, 8)$. Position 2 sees
# positions 0 and 2, position 3 sees 1 and 3:
#
# $$
# \mathrm{out} = \left( 6,\quad 0,\quad \tfrac{6 + 2}{2} = 4,\quad \tfrac{0 + 8}{2} = 4 \right) .
# $$
#
# Write the attention yourself: a solution that calls the library's, under whatever name, gets no points.
#
# <details><summary>Hint</summary>
# Scores, scale, mask, softmax, values: one line each. <code>masked_fill</code> wants to know where to
# <em>write</em>, and your mask says where to <em>keep</em>.
# </details>


# %% tags=["q2", "q3"]
# BEGIN SOLUTION NO PROMPT
def check_attention(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Raise ValueError unless queries, keys and values fit together, one of each a position."""
    found = shapes(q=q, k=k, v=v)
    require(min(q.ndim, k.ndim, v.ndim) >= 2, f"each needs at least two dimensions, got {found}")
    require(q.shape[-1] == k.shape[-1] >= 1, f"queries and keys need the same width, at least 1, got {found}")
    require(q.shape[-2] == k.shape[-2] == v.shape[-2], f"all three must be equally long, got {found}")
    common_shape(q.shape[:-2], k.shape[:-2], v.shape[:-2])


# END SOLUTION


# %% tags=["q2"]
def masked_attention(q: Tensor, k: Tensor, v: Tensor, window: int, stride: int) -> Tensor:
    """Attention under sparse_mask, from the full matrix of scores: softmax(q k^T / sqrt(d) masked) v.

    Source: Vaswani et al. 2017, equation 1; the pattern: Child et al. 2019, section 4.3. Must not call the
    library's attention.

    Args:
        q: queries, (..., n, d), floating point.
        k: keys, (..., n, d), same dtype.
        v: values, (..., n, d_v), same dtype; d_v may differ from d. Leading dimensions broadcast.
        window: how many of the latest positions are seen, oneself included; at least 1.
        stride: every stride-th position is seen, counted back from oneself; at least 1.

    Returns:
        (..., n, d_v), dtype and device of q. Differentiable with respect to q, k and v. Right and finite for
        scores of +-150. n may be 0. The inputs stay unchanged.

    Raises:
        ValueError: an argument has fewer than two dimensions; q, k and v differ in n; q and k differ in d,
            or d is 0; leading dimensions do not broadcast; window or stride is less than 1.
    """
    # BEGIN SOLUTION
    check_attention(q, k, v)
    mask = sparse_mask(q.shape[-2], window, stride).to(q.device)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    scores = scores.masked_fill(~mask, -math.inf)
    # Each position sees itself, so no row is forbidden throughout and 0/0 cannot happen.
    return torch.softmax(scores, dim=-1) @ v
    # END SOLUTION


# %% tags=["otter_ignore"]
HAND_V = torch.tensor([[6.0], [0.0], [2.0], [8.0]])


def masked_by_hand() -> None:
    """Print the example, and the difference from PyTorch's attention under the same mask."""
    zero = torch.zeros(4, 1)
    print("by hand:", masked_attention(zero, zero, HAND_V, window=1, stride=2).flatten().tolist())
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 30, 8, generator=generator, dtype=torch.float64) for _ in range(3))
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=sparse_mask(30, 5, 4))
    error = (masked_attention(q, k, v, 5, 4) - expected).abs().max()
    print(f"largest difference from PyTorch: {error:.1e}")


show(masked_by_hand, needs="q1 and q2")

# %% [markdown]
# ## q3 · The scores that count
#
# Now without the matrix. No tensor on the way may hold $n^2$ numbers, neither scores nor a mask nor indices, and no
# $n^2$ scores may be computed piece by piece, either. There are many ways; here are three.
#
# **Gather.** List the permitted distances. For each of them, every position picks one key, at its own place minus the
# distance: together $n \times (w + n/s)$ keys. Short, but keys are copied many times over.
#
# **Diagonals.** Take one distance $\delta$ after the other. Its scores are $q_\delta \cdot k_0,\ q_{\delta + 1} \cdot
# k_1, \dots$: the queries without the first $\delta$, times the keys without the last $\delta$.
#
# **Blocks and columns.** Cut the text into blocks of $w$. A window never reaches beyond the block before, so each
# block of $w$ queries meets $2w$ keys: small dense products. For the strides, write the text in rows of $s$:
#
# ```text
#     s = 3:    0  1  2        the keys at whole strides from 7 stand above it in its column: 4 and 1
#               3  4  5        so each column is a small causal attention of its own, n/s long
#               6  7  8        (transposing a matrix is all it takes to get there)
# ```
#
# Whatever you choose, mind three places where it goes wrong:
#
# 1. **One softmax.** A position has *one* row of weights that sum to 1, over window and strides together. Two
#    attentions, added or averaged, are something else.
# 2. **No key twice.** Distance 0 is in the window and a multiple of $s$, and there may be more such distances. A key
#    that counts twice has twice its weight.
# 3. **The edges.** Position 1 has nothing at distance 3. In Python, index $1 - 3 = -2$ is no error: it is the
#    last but one, from the future. And $n$ need not be a multiple of $w$ or of $s$; either may even exceed $n$.
#
# **By hand.** Take the example of q2 with $w = 2$ and $s = 2$: the distances are $0, 1$ and $0, 2$, so each
# counts once in $\{0, 1, 2\}$. With scores of 0, position 3 takes the mean of positions 3, 2 and 1: $(8 + 2 + 0)
# / 3 = 10/3$. With distance 0 counted twice it would be $(8 + 8 + 2 + 0) / 4 = 4.5$.
#
# **How it is judged.** First by values and gradients, equal to those of the full matrix. Then with $w$ and $s$
# near $\sqrt n$ and $d = d_v = 2$, by three counts. The largest tensor that any operator makes may hold
# $10\, n \sqrt n$ numbers. Matrix products may take $40\, n \sqrt n\, d$ operations. And all numbers that are written
# on the way may grow tenfold from $n = 1024$ to $4096$: $n \sqrt n$ grows by 8, $n^2$ by 16. A plain solution stays
# below. Run time is shown in q6, and never graded.
#
# <details><summary>Hint: one softmax over two parts</summary>
# Bring the scores of both parts into the form (..., n, something), forbidden ones at -inf, put them side by side with
# <code>torch.cat</code>, take the softmax, and <code>split</code> the weights again.
# </details>
#
# <details><summary>Hint: padding</summary>
# <code>F.pad(x, (0, 0, 0, rows))</code> appends rows of zeros, <code>-n % size</code> says how many are missing
# to a multiple, and <code>unflatten</code> and <code>flatten</code> cut an axis into two and join them again. The
# padding needs no mask of its own, if the mask of distances already forbids it: does it?
# </details>
#
# <details><summary>Hint: how to be sure</summary>
# Compare with <code>masked_attention</code> for all n, w and s up to 7 in three loops. It takes a second, and
# finds every edge.
# </details>


# %% tags=["q3"]
# BEGIN SOLUTION NO PROMPT
def in_rows(x: Tensor, size: int) -> Tensor:
    """Cut the sequence into rows of that size: (..., n, d) -> (..., rows, size, d), zeros at the end."""
    padded = F.pad(x, (0, 0, 0, -x.shape[-2] % size))
    return padded.unflatten(-2, (padded.shape[-2] // size, size))


def in_columns(x: Tensor, size: int) -> Tensor:
    """The columns of these rows: (..., n, d) -> (..., size, rows, d). Column c holds c, c + size, c + 2 size, ..."""
    return in_rows(x, size).transpose(-3, -2)


def with_previous(rows: Tensor) -> Tensor:
    """Each row with the one before it in front, zeros before the first: (..., rows, 2 size, d)."""
    previous = F.pad(rows, (0, 0, 0, 0, 1, 0))[..., :-1, :, :]
    return torch.cat([previous, rows], dim=-2)


def allowed_places(n: int, window: int, stride: int, device: torch.device) -> Tensor:
    """Which of its 2 window + ceil(n / stride) scores each position keeps, (n, 2 window + ceil(n / stride))."""
    query = torch.arange(n, device=device).unsqueeze(1)
    near_key = query - query % window - window + torch.arange(2 * window, device=device)
    near = (near_key >= 0) & (query - window < near_key) & (near_key <= query)
    far_key = query % stride + stride * torch.arange(-(-n // stride), device=device)
    # What lies within the window has been counted there. This also forbids later keys: their distance is negative.
    far = query - far_key >= window
    return torch.cat([near, far], dim=-1)


# END SOLUTION
def sparse_attention(q: Tensor, k: Tensor, v: Tensor, window: int, stride: int) -> Tensor:
    """The same as masked_attention, from the attended pairs alone: about n (window + n / stride) scores.

    Source: Child et al. 2019, section 5.5 (the windows as blocks, the strides as a transposed matrix). Must not
    call the library's attention.

    Args:
        q: queries, (..., n, d), floating point.
        k: keys, (..., n, d), same dtype.
        v: values, (..., n, d_v), same dtype; d_v may differ from d. Leading dimensions broadcast.
        window: how many of the latest positions are seen, oneself included; at least 1, may exceed n.
        stride: every stride-th position is seen, counted back from oneself; at least 1, may exceed n.

    Returns:
        (..., n, d_v), dtype and device of q: the values and the gradients of masked_attention. With window and
        stride near sqrt(n) and d = d_v = 2, no operator makes a tensor of more than 10 n sqrt(n) numbers, and matrix
        products take no more than 40 n sqrt(n) d operations (three times that with the backward pass). All
        operators of the forward pass together write at most ten times as many numbers at n = 4096 as at 1024.
        Right and finite for scores of +-150. n may be 0. The inputs stay unchanged.

    Raises:
        ValueError: as in masked_attention.
    """
    # BEGIN SOLUTION
    check_attention(q, k, v)
    check_pattern(window, stride)
    n, d = q.shape[-2:]
    window, stride = max(1, min(window, n)), max(1, min(stride, n))  # longer ones see no more

    def joined(rows: Tensor) -> Tensor:
        return rows.flatten(-3, -2)[..., :n, :]

    # Small dense products: a block of queries with its own and the previous block of keys, and column with column.
    near_keys, near_values = (with_previous(in_rows(x, window)) for x in (k, v))
    near = joined(in_rows(q, window) @ near_keys.mT)
    far = joined((in_columns(q, stride) @ in_columns(k, stride).mT).transpose(-3, -2))
    # One softmax over both parts, side by side; no row is empty, for each position sees itself in its window.
    scores = torch.cat([near, far], dim=-1) / math.sqrt(d)
    allowed = allowed_places(n, window, stride, q.device)
    weights = torch.softmax(scores.masked_fill(~allowed, -math.inf), dim=-1)
    near, far = weights.split([near.shape[-1], far.shape[-1]], dim=-1)
    # The same way back: each part of the weights meets the values where its scores met the keys.
    by_window = joined(in_rows(near, window) @ near_values)
    by_stride = joined((in_columns(far, stride) @ in_columns(v, stride)).transpose(-3, -2))
    return by_window + by_stride
    # END SOLUTION


# %% tags=["otter_ignore"]
def compare_the_two() -> None:
    """Print the example, and the largest differences from the full matrix for all small sizes."""
    zero = torch.zeros(4, 1)
    print("by hand:", sparse_attention(zero, zero, HAND_V, window=2, stride=2).flatten().tolist())
    generator = torch.Generator().manual_seed(0)
    worst = {"values": 0.0, "gradients": 0.0}
    for n, window, stride in np.ndindex(7, 7, 7):
        q, k, v = (torch.randn(n + 1, 3, generator=generator, dtype=torch.float64) for _ in range(3))
        leaves = [x.requires_grad_() for x in (q, k, v)]
        outs = [f(*leaves, window + 1, stride + 1) for f in (sparse_attention, masked_attention)]
        sparse, full = ([out, *torch.autograd.grad(out.square().sum(), leaves)] for out in outs)
        errors = [(a - b).abs().max().item() for a, b in zip(sparse, full, strict=True)]
        worst["values"] = max(worst["values"], errors[0])
        worst["gradients"] = max(worst["gradients"], *errors[1:])
    print("largest differences:", ", ".join(f"{what} {error:.1e}" for what, error in worst.items()))


show(compare_the_two, needs="q2 and q3")

# %% [markdown]
# Right numbers are one half. The next cell counts what the two functions make on the way, in units of
# $n \sqrt n$: the largest tensor, and all numbers that are written. Operations of matrix products are in units of
# $n \sqrt n\, d$. Where a row stays as it is when $n$ grows, its count grows like $n \sqrt n$; where it doubles with
# four times the length, like $n^2$.


# %% tags=["otter_ignore"]
class Made(TorchDispatchMode):
    """Counts the numbers that operators make: in the largest tensor, and all together without views."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = self.written = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(tensor, Tensor):
                held = tensor.untyped_storage().nbytes() // tensor.itemsize
                self.largest = max(self.largest, held)
                self.written += 0 if func.is_view else tensor.numel()
        return result


def what_they_make() -> None:
    """Print largest tensor, numbers written and operations of both functions, for two lengths."""
    for attention in (masked_attention, sparse_attention):
        for n in (256, 1024):
            q, k, v = torch.randn(3, n, 2).unbind()
            window, stride, unit = math.isqrt(n) + 1, math.isqrt(n) + 2, n * math.sqrt(n)
            with Made() as made, FlopCounterMode(display=False) as products:
                assert attention(q, k, v, window, stride) is not None, "nothing was returned"
            counts = made.largest / unit, made.written / unit, products.get_total_flops() / unit / 2
            text = "largest {:5.1f}, written {:6.1f}, operations {:6.1f}".format(*counts)
            print(f"{attention.__name__:16} n = {n:4}: {text}")


show(what_they_make, needs="q2 and q3")

# %% [markdown]
# ## q4 · Counting without looking
#
# How many pairs $(i, j)$ does the mask allow? For $n = 10^6$ there is no mask to sum: it would have $10^{12}$
# entries. But the mask depends on the distance alone, and a distance $\delta$ occurs in
#
# $$
# n - \delta \quad\text{pairs:}\qquad (\delta, 0),\ (\delta + 1, 1),\ \dots,\ (n - 1, n - 1 - \delta) .
# $$
#
# So the count is a sum over permitted distances, each of them once:
#
# $$
# \mathrm{pairs}(n, w, s) = \sum_{\substack{0 \le \delta < n \\ \delta < w \ \text{or}\ s \mid \delta}} (n - \delta) .
# $$
#
# **By hand.** The mask of q1 ($n = 8$, $w = 2$, $s = 3$) has the distances $0, 1, 3, 6$, so it has $8 + 7 + 5 + 2
# = 22$ pairs. Count them in the picture.
#
# Write it so that $n = 10^6$ takes no more than seconds, for any window and stride, and $n = 10^{12}$ with $w = s
# = 10^6$ too: a sum over a million distances will do, and a closed form does it at once. It must be exact:
# $10^{18}$ pairs are more than a `float` can count one by one, so stay with `int` throughout, with `//` in the
# place of `/`.
#
# <details><summary>Hint</summary>
# The window is one arithmetic series, n + (n - 1) + ... What is left are multiples of the stride from the window on:
# which is the first of them, which the last below n, and how many are there?
# </details>


# %% tags=["q4"]
def attended_pairs(n: int, window: int, stride: int) -> int:
    """How many pairs (query, key) the sparse mask of n positions allows, without building it.

    Source: your own count in w1, part 1.

    Args:
        n: length of the sequence, at least 0: up to 10**6 for any window and stride, and up to 10**12 where
            both are at least 10**6.
        window: how many of the latest positions are seen, oneself included; at least 1, may exceed n.
        stride: every stride-th position is seen, counted back from oneself; at least 1, may exceed n.

    Returns:
        The number of True in sparse_mask(n, window, stride), exactly, as a Python int.

    Raises:
        ValueError: n is negative; window or stride is less than 1.
    """
    # BEGIN SOLUTION
    require(n >= 0, f"n must not be negative, got {n}")
    check_pattern(window, stride)
    window = min(window, n)
    near = window * n - window * (window - 1) // 2  # distances 0, ..., window - 1
    # The multiples first * stride, ..., last * stride: from the window on, and below n.
    first, last = -(-window // stride), (n - 1) // stride
    count = last - first + 1  # not below 0, for window is at most n
    far = count * n - stride * count * (first + last) // 2
    return near + far
    # END SOLUTION


# %% tags=["otter_ignore"]
def count_by_hand() -> None:
    """Print the example, and the count at growing lengths with window = stride = sqrt(n)."""
    print(f"by hand: {attended_pairs(8, 2, 3):d} pairs")
    for root in (10, 100, 1000, 10**6):
        n = root * root
        pairs = attended_pairs(n, root, root)
        print(f"n = {n:<14} {pairs:>20} pairs: {pairs / (n * root):.6f} n sqrt(n), {pairs / n:.1f} a query")


show(count_by_hand, needs="q4")

# %% [markdown]
# The number before $n \sqrt n$ settles at $\tfrac32$: one for the window, one half for the strides, which on average
# go back over half of the text. In w1 you will find out why, and why the root is no accident.


# %% tags=["otter_ignore"]
def why_the_root() -> Figure:
    """Pairs against n for three patterns, and against the stride for a fixed n."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    roots = [2**k for k in range(2, 11)]
    lengths = [root**2 for root in roots]
    counts = {
        "causal: $n (n + 1) / 2$": [int(attended_pairs(n, n, 1)) for n in lengths],
        "$w = 16$, $s = 16$": [attended_pairs(n, 16, 16) for n in lengths],
        "$w = s = \\sqrt{n}$": [
            attended_pairs(n, root, root) for n, root in zip(lengths, roots, strict=True)
        ],
    }
    for (label, pairs), marker in zip(counts.items(), "s^o", strict=True):
        left.loglog(lengths, pairs, f"{marker}-", ms=4, label=label)
    left.set(xlabel="length $n$", ylabel="attended pairs", title="fixed strides only help by a factor")
    left.legend()
    n = 10_000
    sizes = [round(10 ** (k / 20)) for k in range(10, 61)]
    right.loglog(sizes, [attended_pairs(n, size, size) for size in sizes], label="both: $w = s$")
    right.loglog(sizes, [attended_pairs(n, size, n) for size in sizes], "--", label="the window alone")
    right.loglog(sizes, [attended_pairs(n, 1, size) for size in sizes], ":", label="the strides alone")
    right.axvline(math.sqrt(n / 2), color="0.5", lw=1)
    right.text(1.05 * math.sqrt(n / 2), 2.2e5, "$s = \\sqrt{n / 2}$", color="0.4")
    right.set(xlabel="$w = s$", title=f"$n$ = {n}: the two parts in balance", ylim=(2e5, None))
    right.legend()
    return figure


draw(why_the_root, needs="q4")

# %% [markdown]
# Left: a fixed window and a fixed stride draw a line parallel to the dense one. Sixteen times cheaper, and still
# $n^2$. Only strides that grow with $n$ change the slope. Right: a wider window costs more, a wider stride less. If
# the window must reach from one stride to the next (q5 says why it should), there is a best size in between.

# %% [markdown] tags=["w1"]
# ## w1 · $n \sqrt n$, and why not less (on paper)
#
# Write $P(n, w, s)$ for the number of attended pairs.
#
# 1. **Count.** Let $n = r^2$ and $w = s = r$. Show that $P = \tfrac12\, r\, (3 r^2 - 2 r + 1)$, and conclude
#    $n \sqrt n \le P \le \tfrac32\, n \sqrt n$: the cost is of order $n \sqrt n$, while that of causal attention is of
#    order $n^2$.
# 2. **Balance.** For any $n$, $w$ and $s$ show $P \le n w + n^2 / (2 s)$. Which $s = w$ makes this bound
#    smallest, and how large is it there? What order has $P$ if $w$ and $s$ stay fixed while $n$ grows?
# 3. **Reach.** Two such layers are stacked, with $w \ge s$. Show that output $i$ of the second can depend on
#    every input $j \le i$. Why is this false for $w = 1$, $s > 1$, however many layers there are?
# 4. **Why not less.** Take *any* pattern in which each position attends to at most $k$ positions. Show that after $L$
#    layers, an output depends on at most $k^L$ inputs. What follows for $k$ if two layers are to connect the last of
#    $n$ positions with all others? And with $L$ layers?
#
# Graded by hand: the steps count. Write LaTeX between dollar signs. Then let q4 and q5 check parts 1 and 3.

# %% [markdown] tags=["w1", "solution"]
# **1. Count.** A pair is given by its distance $\delta$ and by $j$; $i = j + \delta \le n - 1$ leaves $n -
# \delta$ values of $j$. Permitted are $\delta = 0, \dots, r - 1$ and the multiples $m r$ that are not among them,
# $m = 1, \dots, r - 1$ (since $m r < r^2$). So
#
# $$
# P = \sum_{\delta = 0}^{r - 1} (r^2 - \delta) + \sum_{m = 1}^{r - 1} (r^2 - m r)
# = r^3 - \frac{r (r - 1)}{2} + r^2 (r - 1) - r\, \frac{r (r - 1)}{2}
# = \frac{3 r^3 - 2 r^2 + r}{2} .
# $$
#
# Upper bound: $3 r^3 - 2 r^2 + r \le 3 r^3$ since $r \le 2 r^2$. Lower bound: $P - r^3 = \tfrac{r}{2} (r^2 - 2 r
# + 1) = \tfrac{r}{2} (r - 1)^2 \ge 0$. With $r^3 = n \sqrt n$ this is the claim. Causal attention has $n (n + 1)
# / 2$ pairs. Each pair costs $O(d + d_v)$ operations, so the cost has the order of the number of pairs.
#
# **2. Balance.** The window has at most $w$ distances with at most $n$ pairs each: $n w$. The multiples of $s$
# outside of it are among $s, 2 s, \dots, m s$ with $m = \lfloor (n - 1) / s \rfloor$, and
#
# $$
# \sum_{l = 1}^{m} (n - l s) \le \int_0^{n / s} (n - x s)\, dx = \frac{n^2}{2 s},
# $$
#
# because the summand falls with $l$. For $w = s$ the bound $n s + n^2 / (2 s)$ has the derivative $n - n^2 / (2
# s^2)$, which is 0 at $s = \sqrt{n / 2}$; there both terms are equal and the bound is $2 n \sqrt{n / 2} = \sqrt
# 2\, n \sqrt n$. With $w$ and $s$ fixed, the multiples of $s$ alone give at least $\sum_{l \ge 1} (n - l s)$ over
# $l s < n$, which is about $n^2 / (2 s)$: order $n^2$ again.
#
# **3. Reach.** Let $j \le i$ and write $i - j = m s + \rho$ with $0 \le \rho < s \le w$. In the second layer,
# position $i$ attends to $i - \rho$, for $\rho < w$. In the first, $i - \rho$ attends to $i - \rho - m s = j$, a
# whole number of strides (none, if $m = 0$, for everyone sees itself). All weights of a softmax over permitted
# keys are positive, so $x_j$ has a share in output $i$. With $w = 1$ every permitted distance is a multiple of
# $s$, sums of such distances are, too, and distance 1 is none if $s > 1$.
#
# **4. Why not less.** Let $R_L(i)$ be the set of inputs that output $i$ of layer $L$ can depend on. $R_1(i)$ has
# at most $k$ elements, and $R_{L + 1}(i)$ is the union of $R_L(j)$ over the at most $k$ positions $j$ that $i$
# attends to. By induction $\lvert R_L(i) \rvert \le k \cdot k^{L - 1} = k^L$. If the last position is to depend
# on all $n$, then $k^L \ge n$: two layers need $k \ge \sqrt n$, and $L$ layers $k \ge n^{1/L}$. So a pattern that
# treats all positions alike costs at least about $n^{1 + 1/L}$, and the strided one has the best order for $L =
# 2$.

# %% [markdown]
# ## q5 · Who hears whom, and after how many layers
#
# In one layer, position $i$ hears from the positions that it attends to. In two, from those that *they* attend
# to: the distances add up. After $L$ layers, $i$ can depend on $j$ if the distance $i - j$ is a sum of at most
# $L$ permitted distances. (Fewer is always possible, too: distance 0 is permitted.)
#
# How many layers does it take until **every** position depends on **every** position up to it?
#
# **By hand.** $n = 8$, $w = 2$, $s = 3$: permitted are $0, 1, 3, 6$. One layer lacks the distances 2, 4, 5 and 7.
# Two layers give $2 = 1 + 1$, $4 = 3 + 1$, $7 = 6 + 1$, but not 5: that is $3 + 1 + 1$. So it takes three. With
# $w = 3$ distance 2 is permitted, $5 = 3 + 2$, and two layers are enough.
#
# A single position needs no layer. And with $w = 1$ and $s > 1$ neighbours never meet: that is an error, not a
# number.
#
# <details><summary>Hint: one distance</summary>
# How many hops does one distance take? Either steps of the window alone, the longest of which is w - 1. Or one hop
# by strides, as far as they go, and steps of the window for the rest. Why never two hops by strides?
# </details>
#
# <details><summary>Hint: how to be sure</summary>
# For small n, multiply the mask with itself: entry [i, j] of the L-th power is above 0 where j reaches i in L
# layers.
# </details>


# %% tags=["q5"]
def layers_needed(n: int, window: int, stride: int) -> int:
    """The least number of layers after which every position depends on every position up to it.

    Source: Child et al. 2019, section 4.2 (paths through factorised attention); your proof in w1, part 3.

    Args:
        n: length of the sequence, at least 1, up to 10**5: the n x n mask is too large, n steps are not.
        window: how many of the latest positions are seen in one layer, oneself included; at least 1, may exceed n.
        stride: every stride-th position is seen, counted back from oneself; at least 1, may exceed n.

    Returns:
        A Python int: 0 for n = 1, else the least L such that every distance 1, ..., n - 1 is a sum of at most L
        distances that sparse_mask permits.

    Raises:
        ValueError: n, window or stride is less than 1; no number of layers is enough (window is 1, stride is more
            than 1 and n is more than 1).
    """
    # BEGIN SOLUTION
    require(n >= 1, f"n must be at least 1, got {n}")
    check_pattern(window, stride)
    if n == 1 or stride == 1:
        return min(n - 1, 1)
    require(window > 1, f"with window 1 and stride {stride}, neighbours never hear of each other")
    step = window - 1  # the longest hop within the window

    def hops(distance: int) -> int:
        by_window = -(-distance // step)
        # One hop covers all whole strides, so a second one would be wasted.
        by_stride = (distance >= stride) + -(-(distance % stride) // step)
        return min(by_window, by_stride)

    return max(hops(distance) for distance in range(n))
    # END SOLUTION


# %% tags=["otter_ignore"]
def layers_by_hand() -> None:
    """Print the example and a few others."""
    print(
        f"by hand: {layers_needed(8, 2, 3):d} layers with window 2, {layers_needed(8, 3, 3):d} with window 3"
    )
    for window in (100, 51, 26, 11, 2):
        print(f"n = 10000, stride 100, window {window:3}: {layers_needed(10_000, window, 100)} layers")


show(layers_by_hand, needs="q5")


# %% tags=["otter_ignore"]
def reach(window: int, stride: int, layers: int) -> Tensor:
    """How many paths of that many layers lead from key j to query i, among 36 positions."""
    return torch.linalg.matrix_power(sparse_mask(36, window, stride).double(), layers)


def after_one_two_three_layers() -> Figure:
    """Which positions reach which, after one, two and three layers, for a window of 6 and one of 4."""
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 7), sharex=True, sharey=True, layout="constrained")
    for row, window in zip(axes, (6, 4), strict=True):
        for layers, ax in enumerate(row, 1):
            reached = reach(window, 6, layers) > 0
            missing = int((~reached).tril().sum())
            ax.imshow(reached, cmap="Blues", vmin=0, vmax=1.4)
            ax.set_title(f"{layers} layer{'s' * (layers > 1)}: {missing or 'nothing'} missing")
        row[0].set_ylabel(f"$w = {window}$, $s = 6$\nquery $i$")
    for ax in axes[1]:
        ax.set_xlabel("key $j$")
    return figure


draw(after_one_two_three_layers, needs="q1")

# %% [markdown]
# With $w \ge s$ (above) the second layer fills the triangle. With a smaller window (below) a stripe stays white
# before each multiple of the stride, and every further layer takes $w - 1$ off it. This is why window and stride
# are chosen together: the window is the street that leads from one motorway exit to the next.
#
# The Sparse Transformer gives the two parts to different heads or to alternate layers (its *factorised* heads).
# We put both into one, which the paper calls *merged*; the count is the same up to distances that occur in both.

# %% [markdown]
# ## q6 · Measured
#
# Theory counts pairs. Your machine has a memory and a clock, and neither has read the theory. Write two small
# tools to put them to the question.
#
# **The exponent.** If a cost grows like $c \cdot n^p$, then $\log \text{cost} = \log c + p \log n$: a straight
# line with slope $p$. `growth_exponent` fits it by least squares, through all points,
#
# $$
# p = \frac{\sum_k (x_k - \bar x)(y_k - \bar y)}{\sum_k (x_k - \bar x)^2}, \qquad
# x_k = \log n_k, \quad y_k = \log \text{cost}_k .
# $$
#
# **By hand.** Lengths $1, 10, 100$ and costs $5, 50, 50000$: in powers of ten, $x = (0, 1, 2)$ and, up to a
# constant, $y = (0, 1, 4)$. Then $\bar x = 1$, $\bar y = \tfrac53$, and $p = \big( (-1)(-\tfrac53) + 0 +
# (1)(\tfrac73) \big) / 2 = 2$.
#
# **The picture.** `plot_costs` draws several costs over the same lengths, both axes logarithmic, so that powers
# are lines.
#
# <details><summary>Hint</summary>
# Any base of the logarithm gives the same slope: why? <code>ax.set_xscale("log")</code> or <code>ax.loglog</code>,
# and <code>ax.legend()</code> shows the labels of the curves.
# </details>


# %% tags=["q6"]
def growth_exponent(lengths: Sequence[float], costs: Sequence[float]) -> float:
    """The exponent p of the power law cost = c * length**p that fits best: a least-squares line in log-log.

    Source: ordinary least squares of log(cost) on log(length).

    Args:
        lengths: at least two, above 0, not all equal.
        costs: one for each length, above 0, in any unit.

    Returns:
        The slope, a Python float.

    Raises:
        ValueError: there are not as many costs as lengths; there are fewer than two; one is not above 0; all lengths
            are equal.
    """
    # BEGIN SOLUTION
    require(len(lengths) == len(costs) >= 2, f"need two points or more, got {len(lengths)} and {len(costs)}")
    require(min(*lengths, *costs) > 0, "lengths and costs must be above 0")
    require(min(lengths) < max(lengths), "the lengths must not all be equal")
    x, y = ([math.log(number) for number in numbers] for numbers in (lengths, costs))
    return statistics.linear_regression(x, y).slope
    # END SOLUTION


# %% tags=["q6"]
def plot_costs(
    lengths: Sequence[float], costs: Mapping[str, Sequence[float]], ax: plt.Axes | None = None
) -> plt.Axes:
    """Draw costs against length, a curve for each name, both axes logarithmic.

    Args:
        lengths: the lengths, above 0.
        costs: for each name the costs at these lengths, above 0; at least one name.
        ax: the axes to draw into; None makes a new figure.

    Returns:
        The axes: one line for each name through its points, labelled with the name, in the order of the dict; both
        scales logarithmic; a legend that shows the names; labels at both axes (any text).

    Raises:
        ValueError: a list of costs is not as long as lengths; there are no costs.
    """
    # BEGIN SOLUTION
    require(len(costs) >= 1, "there is nothing to draw")
    for name, values in costs.items():
        require(len(values) == len(lengths), f"{name} has {len(values)} costs for {len(lengths)} lengths")
    if ax is None:
        _, ax = plt.subplots()
    for name, values in costs.items():
        ax.loglog(lengths, values, "o-", ms=4, label=name)
    ax.set(xlabel="length $n$", ylabel="cost")
    ax.legend()
    return ax
    # END SOLUTION


# %% [markdown]
# ### Your own machine
#
# Both of your functions, with $w = s = \sqrt n$ and $d = 64$. **Time** is the median of a few calls. **Memory**
# is what the forward pass must keep for the backward pass, in numbers: in training this is what fills the
# machine.


# %% tags=["otter_ignore"]
torch.set_num_threads(1)  # so that time measures work, not cores

ROOTS = (8, 12, 16, 24, 32, 48, 64)
LENGTHS = [root**2 for root in ROOTS]


def seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """The median time of a call."""
    call()
    readings = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        readings.append(time.perf_counter() - start)
    return statistics.median(readings)


def kept_numbers(call: Callable[[], object]) -> int:
    """How many numbers a call keeps for its backward pass."""
    kept = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // tensor.itemsize
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = call()  # held, so that no memory is given out twice
    del result
    return sum(kept.values())


def measure(attention: Callable[..., Tensor]) -> tuple[list[float], list[int]]:
    """Seconds and kept numbers at all lengths."""
    times, numbers = [], []
    for root in ROOTS:
        q, k, v = torch.randn(3, root**2, 64, requires_grad=True).unbind()

        def call(q: Tensor = q, k: Tensor = k, v: Tensor = v, root: int = root) -> Tensor:
            return attention(q, k, v, root, root)

        with torch.no_grad():
            times.append(seconds(call))
        numbers.append(kept_numbers(call))
    return times, numbers


def time_and_memory() -> Figure:
    """Time and memory of masked and sparse attention against length, and their exponents over the last four lengths."""
    (full_time, full_memory), (sparse_time, sparse_memory) = (
        measure(masked_attention),
        measure(sparse_attention),
    )
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    plot_costs(LENGTHS, {"masked": full_time, "sparse": sparse_time}, left)
    plot_costs(LENGTHS, {"masked": full_memory, "sparse": sparse_memory}, right)
    left.set(ylabel="seconds", title="time of one call")
    right.set(ylabel="numbers", title="memory kept for the way back")
    found = {"masked time": full_time, "sparse time": sparse_time}
    found |= {"masked memory": full_memory, "sparse memory": sparse_memory}
    for name, costs in found.items():
        print(
            f"{name:14} n = {LENGTHS[-1]}: {costs[-1]:10.4g}, n^{growth_exponent(LENGTHS[-4:], costs[-4:]):.2f}"
        )
    return figure


draw(time_and_memory, needs="q1, q2, q3 and q6")

# %% [markdown]
# Measured on one core, with the blocks and columns of q3: at $n = 4096$ the full matrix keeps 34 million numbers
# and the sparse one 4.5 million, and the gap widens with $n$. The exponent of the full memory is close to 2. That
# of the sparse one is still closer to 1 than to $\tfrac32$: $Q$, $K$ and $V$ themselves are $3 n d$ numbers, and
# with $d = 64 = \sqrt n$ they are as many as the scores. Theory is about large $n$; measure, to learn whether
# yours is.
#
# Times are noisy, and their exponents more so; run the cell twice. To the left of some two hundred positions the
# sparse version is the *slower* one, for it starts more operations. A pattern that is cheaper on paper pays off
# where there is enough to save, and this is why libraries bring kernels written for each pattern.
#
# **Where to go from here.** Patterns of this kind are in most models that read long texts: a window alone in many
# layers, a few global positions, strides, or random pairs. With the counting of q4 and the layers of q5 you can
# judge any of them: what does it cost, and who hears whom? The assignment `nli` puts such a pattern, as a mask and in
# both directions, into a classifier, beside full attention.
