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
# # Where am I? Sinusoidal positional encodings
#
# Attention is a weighted mean, and a mean does not know the order of its terms. To attention alone, "the dog
# bites the man" and "the man bites the dog" are the same bag of words. So before the first layer, a transformer
# adds to every word a vector that says where it stands.
#
# Which vector? The plain number $p$ grows without bound and drowns the word. One number for each position would
# have to be learned for every position, and there would be none for a longer text. The encoding of
# [Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), section 3.5, works like the hands of a clock: several
# hands turn at different speeds, and all of them together tell the time. Each hand is a point
# $(\sin, \cos)$ on a circle, so every number stays between $-1$ and $1$; and to go five minutes ahead, you
# turn each hand by a fixed angle, **whatever the time is now**. That last property is what you will build,
# prove and test.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `sinusoidal_encoding` | the hands of the clock |
# | q2 | `relative_rotation` | going `offset` steps ahead is a rotation |
# | w1, q3 | a proof, `position_similarity` | the dot product knows the distance only |
# | q4 | `plot_encoding` | a heat map of the positions |
# | q5 | `encoding_spectrum` | how many directions the encoding really uses |
# | q6 | `order_accuracy` | what attention can do with it, and cannot without |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. After each
# question, run its check. The checks you have here are a part of those that grade you, so read the docstrings:
# everything that is graded is promised there.

# %% [markdown]
# ## Notation
#
# | symbol | meaning |
# | --- | --- |
# | $p = 0, 1, 2, \dots$ | position, counted **from 0** |
# | $d$ | `d_model`, the length of each encoding |
# | $i = 0, 1, 2, \dots$ | number of the pair of columns $(2i, 2i + 1)$ |
# | $\omega_i = \text{base}^{-2i/d}$ | speed of pair $i$, in radians per position |
# | $PE[p]$ | row $p$ of the encoding |
#
# New tensors have PyTorch's *default dtype*: float32, unless somebody called `torch.set_default_dtype`. Functions
# such as `torch.zeros(3)` or `torch.arange(3.0)` follow it by themselves.
#
# The next cell holds the imports and a small helper for your argument checks: `require(n >= 1, "n must be at least
# 1")` raises a `ValueError` with that message when `n` is 0. The cell after it helps the demonstrations.

# %%
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


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


def in_default_dtype(dtype: torch.dtype, function: Callable[..., Tensor], *arguments: object) -> Tensor:
    """Call function(*arguments) while the default dtype is another one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return function(*arguments)
    finally:
        torch.set_default_dtype(before)


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
# ## q1 · The encoding
#
# $$
# PE[p, 2i] = \sin(p\, \omega_i), \qquad PE[p, 2i+1] = \cos(p\, \omega_i), \qquad
# \omega_i = \text{base}^{-2i/d} .
# $$
#
# Even columns are sines, odd columns are cosines, and **both columns of a pair have the same speed**. The first
# pair turns by one radian per position; the last one hardly moves: with base 10000 a full turn takes nearly
# 63 000 positions. If $d$ is odd, the last sine has no partner.
#
# ### By hand
#
# Take $d = 4$ and base $= 100$. There are two pairs, with speeds $\omega_0 = 100^{0} = 1$ and
# $\omega_1 = 100^{-2/4} = 1/10$. So
#
# 1. $PE[0] = (\sin 0, \cos 0, \sin 0, \cos 0) = (0, 1, 0, 1)$: all hands point up.
# 2. $PE[1] = (\sin 1, \cos 1, \sin 0.1, \cos 0.1) = (0.8415,\ 0.5403,\ 0.0998,\ 0.9950)$.
# 3. $PE[2] = (\sin 2, \cos 2, \sin 0.2, \cos 0.2) = (0.9093,\ -0.4161,\ 0.1987,\ 0.9801)$.
#
# <details><summary>Hint: all angles at once</summary>
# The angles form a table: one row for each position, one column for each speed. Which shapes must the two
# vectors have for a product to broadcast to that table?
# </details>
#
# <details><summary>Hint: every other column</summary>
# <code>table[:, 0::2]</code> is columns 0, 2, 4, ... and can be assigned to. For an odd number of columns, how
# many are even and how many are odd?
# </details>


# %% tags=["q1"]
# BEGIN SOLUTION NO PROMPT
def speeds(d_model: int, base: float) -> Tensor:
    """The angular speeds base ** (-2 i / d_model) of all pairs, the half pair of an odd d_model included."""
    require(d_model >= 1, f"d_model must be at least 1, got {d_model}")
    require(base > 0, f"base must be above 0, got {base}")
    exponents = torch.arange(0, d_model, 2, dtype=torch.get_default_dtype()) / d_model
    return torch.exp(-math.log(base) * exponents)


# END SOLUTION
def sinusoidal_encoding(seq_len: int, d_model: int, base: float = 10000.0) -> Tensor:
    """The sinusoidal encoding of positions 0 to seq_len - 1, one per row.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.5.

    Args:
        seq_len: how many positions, 0 or more.
        d_model: length of each encoding, 1 or more. An odd one ends on a sine.
        base: above 0; the speed of pair i is base ** (-2 i / d_model) radians per position.

    Returns:
        (seq_len, d_model), a new tensor of torch's default dtype: sines in the even columns, cosines in the
        odd ones.

    Raises:
        ValueError: seq_len is negative, d_model is below 1, or base is not above 0.
    """
    # BEGIN SOLUTION
    require(seq_len >= 0, f"seq_len must not be negative, got {seq_len}")
    omega = speeds(d_model, base)
    # A column of positions times a row of speeds broadcasts to the table of all angles.
    angles = torch.arange(seq_len, dtype=omega.dtype).unsqueeze(1) * omega
    encoding = torch.empty(seq_len, d_model, dtype=omega.dtype)
    encoding[:, 0::2] = angles.sin()
    encoding[:, 1::2] = angles[:, : d_model // 2].cos()  # an odd d_model has one cosine less
    return encoding
    # END SOLUTION


# %% [markdown]
# The example by hand, with your function. Compare with your pencil.


# %% tags=["otter_ignore"]
def hand_encoding() -> None:
    """Print the three rows of the example."""
    for position, row in enumerate(sinusoidal_encoding(3, 4, base=100.0).tolist()):
        print(f"PE[{position}] =", "  ".join(f"{number:7.4f}" for number in row))


show(hand_encoding, needs="q1")


# %% tags=["otter_ignore"]
def hands_of_the_clock() -> Figure:
    """The first eight positions on the circles of three pairs, and the sines of the same pairs."""
    encoding = sinusoidal_encoding(60, 8, base=100.0)
    figure, (circles, waves) = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    for pair, colour in zip((0, 1, 2), ("tab:blue", "tab:orange", "tab:green"), strict=True):
        sine, cosine = encoding[:, 2 * pair], encoding[:, 2 * pair + 1]
        radius = 1 - 0.25 * pair  # drawn inside each other, so that they can be told apart
        circles.plot(radius * sine[:8], radius * cosine[:8], "o-", color=colour, label=f"pair {pair}")
        for position in range(0, 8):
            circles.annotate(str(position), (radius * sine[position], radius * cosine[position]),
                             xytext=(4, 4), textcoords="offset points", fontsize=8)  # fmt: skip
        waves.plot(sine, color=colour, label=f"column {2 * pair}")
    circles.set(xlabel="sine column", ylabel="cosine column", title="positions 0-7: each pair is a hand")
    circles.set_aspect("equal")
    circles.legend(loc="center left")
    waves.set(
        xlabel="position $p$", ylabel="$PE[p, 2i]$", title="the sines: each pair slower than the one before"
    )
    waves.legend(loc="upper right")
    return figure


draw(hands_of_the_clock, needs="q1")

# %% [markdown]
# All hands start at the top. The blue one is fast: neighbours are far apart, but after six positions it is
# back. The green one is slow: it tells near from far without ever repeating here, but hardly tells neighbours
# apart. Together they do both.

# %% [markdown]
# ## q2 · Going ahead is a rotation
#
# There is a matrix $M_k$ that takes the encoding of **every** position to that of the position $k$ further on:
#
# $$
# PE[p + k] = M_k\, PE[p] \qquad \text{for all } p .
# $$
#
# It depends on $k$ and not on $p$, so a linear layer can learn to look "three words back". Write the addition
# theorems for $\sin((p + k)\omega)$ and $\cos((p + k)\omega)$ as one $2 \times 2$ matrix times the vector
# $(\sin p\omega, \cos p\omega)$; $M_k$ consists of one such block per pair, along the diagonal.
#
# **By hand.** With $d = 2$ there is one pair with $\omega = 1$, and for $k = 1$ the first row of $M$ gives
# $\sin(p + 1) = \cos 1 \cdot \sin p + \sin 1 \cdot \cos p$, so it is $(0.5403,\ 0.8415)$. Check the second row
# at $p = 0$: it must take $(0, 1)$ to $\cos 1 = 0.5403$.
#
# Build the matrix, do not fit it to encodings: solvers such as `torch.linalg.lstsq` are not allowed here.
#
# <details><summary>Hint: is the sign right?</summary>
# Textbooks rotate (cos, sin). Your vectors are (sin, cos), which moves the minus sign to another corner.
# Test with p = 0 and a small k.
# </details>


# %% tags=["q2"]
# BEGIN SOLUTION NO PROMPT
def require_pairs(d_model: int) -> None:
    """Raise ValueError unless every sine has its cosine."""
    require(d_model >= 1, f"d_model must be at least 1, got {d_model}")
    require(d_model % 2 == 0, f"d_model must be even, so that each sine has a cosine; got {d_model}")


# END SOLUTION
def relative_rotation(offset: int, d_model: int, base: float = 10000.0) -> Tensor:
    """The matrix M with PE[p + offset] = M @ PE[p] for every position p.

    Source: Vaswani et al. 2017, section 3.5 ("PE[pos + k] can be represented as a linear function of PE[pos]").

    Args:
        offset: how many positions further on; negative: back.
        d_model: length of an encoding, even.
        base: above 0, as in sinusoidal_encoding.

    Returns:
        (d_model, d_model), a new tensor of torch's default dtype, a rotation: M.T @ M is the identity.

    Raises:
        ValueError: d_model is odd or below 1, or base is not above 0.
    """
    # BEGIN SOLUTION
    require_pairs(d_model)
    angles = offset * speeds(d_model, base)
    matrix = torch.zeros(d_model, d_model, dtype=angles.dtype)
    even = torch.arange(0, d_model, 2)
    # sin(a + b) = cos b sin a + sin b cos a, and cos(a + b) = -sin b sin a + cos b cos a
    matrix[even, even], matrix[even, even + 1] = angles.cos(), angles.sin()
    matrix[even + 1, even], matrix[even + 1, even + 1] = -angles.sin(), angles.cos()
    return matrix
    # END SOLUTION


# %% tags=["otter_ignore"]
def check_the_rotation() -> None:
    """Print how far M @ PE[p] is from PE[p + offset], over many positions at once."""
    encoding = in_default_dtype(torch.float64, sinusoidal_encoding, 120, 16)
    for offset in (1, 7, -20):
        matrix = in_default_dtype(torch.float64, relative_rotation, offset, 16)
        start = encoding[20:100]
        error = (start @ matrix.T - encoding[20 + offset : 100 + offset]).abs().max()
        print(f"offset {offset:3}: the largest error over 80 positions is {error:.1e}")


show(check_the_rotation, needs="q1 and q2")

# %% [markdown] tags=["w1"]
# ## w1 · The dot product knows the distance only (on paper)
#
# Let $d$ be even.
#
# 1. Show that $PE[p] \cdot PE[p + k]$ does not depend on $p$, and give it as a sum of $d/2$ terms.
# 2. Show it once more without any trigonometric formula but $\sin^2 + \cos^2 = 1$: from $PE[p] = M_p\, PE[0]$,
#    $M_{p+k} = M_p M_k$ and $M_p^\top M_p = I$. (Say why these three hold.)
# 3. Conclude: what is the length of $PE[p]$? Why is the dot product the same for $k$ and $-k$, and what can a
#    model therefore **not** read off it? Where is that information still to be found?
#
# Graded by hand: the steps count. Write LaTeX between dollar signs. Then let q3 check your result.

# %% [markdown] tags=["w1", "solution"]
# **1.** Group the columns by pairs:
#
# $$
# PE[p] \cdot PE[p+k] = \sum_{i=0}^{d/2-1} \big( \sin(p\omega_i) \sin((p+k)\omega_i)
# + \cos(p\omega_i) \cos((p+k)\omega_i) \big) .
# $$
#
# Since $\cos(b - a) = \cos a \cos b + \sin a \sin b$ with $a = p\omega_i$ and $b = (p + k)\omega_i$, the term of
# pair $i$ is $\cos((p+k)\omega_i - p\omega_i) = \cos(k\omega_i)$, and
#
# $$
# PE[p] \cdot PE[p+k] = \sum_{i=0}^{d/2-1} \cos(k\, \omega_i) ,
# $$
#
# in which $p$ does not occur.
#
# **2.** $M_k$ turns the hand of pair $i$ by the angle $k\omega_i$, whatever its position; that is what
# $PE[p + k] = M_k PE[p]$ says, and with $p$ and $k$ exchanged and $k = 0$ it gives $PE[p] = M_p PE[0]$. Turning
# by $k\omega_i$ and then by $p\omega_i$ is turning by $(p + k)\omega_i$, so $M_{p+k} = M_p M_k$. Each block has
# orthogonal columns of length $\sin^2 + \cos^2 = 1$, so $M_p^\top M_p = I$. Hence
#
# $$
# PE[p] \cdot PE[p+k] = (M_p PE[0])^\top M_p M_k PE[0] = PE[0]^\top M_p^\top M_p M_k PE[0] = PE[0]^\top M_k PE[0] .
# $$
#
# **3.** For $k = 0$ all cosines are 1, so $\lVert PE[p] \rVert^2 = d/2$: all encodings have the length
# $\sqrt{d/2}$. The cosine is even, so $k$ and $-k$ give the same; equivalently, the dot product is symmetric
# and depends on the distance alone. A model cannot read off it whether the other word comes before or after. The
# encodings themselves still hold the direction: $PE[p]^\top W\, PE[p + k]$ with a matrix $W$ between them, which
# is what $W_Q W_K^\top$ in attention is, contains the sines $\sin(k\omega_i)$ too, and they change their sign
# with $k$.

# %% [markdown]
# ## q3 · The dot product, in closed form
#
# Write the sum of your proof as a function, for many offsets at once and without making an encoding.
#
# **By hand.** For $d = 4$ and base 100, the offset 1 gives $\cos 1 + \cos 0.1 = 0.5403 + 0.9950 = 1.5353$; offset 0
# gives 2; offset $-1$ the same as offset 1. Compare with the rows $PE[1]$ and $PE[2]$ above:
# $0.8415 \cdot 0.9093 + 0.5403 \cdot (-0.4161) + 0.0998 \cdot 0.1987 + 0.9950 \cdot 0.9801 = 1.5353$.
#
# <details><summary>Hint</summary>
# Give the offsets one more dimension at the end for the pairs, and sum over it.
# </details>


# %% tags=["q3"]
def position_similarity(offset: Tensor, d_model: int, base: float = 10000.0) -> Tensor:
    """PE[p] . PE[p + offset], which is the same for every p, in closed form.

    Source: your proof in w1.

    Args:
        offset: offsets of any shape, integers or floating point; negative ones and none at all are welcome.
        d_model: length of an encoding, even.
        base: above 0, as in sinusoidal_encoding.

    Returns:
        The dot products, in the shape of offset; in its dtype if that is floating point, else in torch's default
        dtype. Differentiable with respect to a floating point offset, which stays unchanged.

    Raises:
        ValueError: d_model is odd or below 1, or base is not above 0.
    """
    # BEGIN SOLUTION
    require_pairs(d_model)
    require(base > 0, f"base must be above 0, got {base}")
    dtype = offset.dtype if offset.is_floating_point() else torch.get_default_dtype()
    exponents = torch.arange(0, d_model, 2, dtype=dtype) / d_model
    omega = torch.exp(-math.log(base) * exponents)
    return (offset.to(dtype).unsqueeze(-1) * omega).cos().sum(dim=-1)
    # END SOLUTION


# %% tags=["otter_ignore"]
def similarity_of_positions() -> Figure:
    """All dot products of 101 encodings, and one row of them against the closed form."""
    encoding = sinusoidal_encoding(101, 64)
    offsets = torch.arange(-50, 51)
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
    image = left.imshow(encoding @ encoding.T, cmap="viridis")
    figure.colorbar(image, ax=left, label="$PE[p] \\cdot PE[q]$")
    left.set(xlabel="position $q$", ylabel="position $p$", title="constant along each diagonal")
    right.plot(offsets, position_similarity(offsets, 64), color="0.2", label="closed form")
    for p, marker in ((50, "o"), (25, "x")):
        some = offsets[(offsets + p >= 0) & (offsets + p <= 100)][::4]
        right.plot(some, encoding[some + p] @ encoding[p], marker, ms=5, label=f"measured from $p = {p}$")
    right.set(xlabel="offset $k$", ylabel="$PE[p] \\cdot PE[p+k]$", title="symmetric, largest at 0")
    right.legend()
    return figure


draw(similarity_of_positions, needs="q1 and q3")

# %% [markdown]
# The matrix has constant diagonals: the executable form of your proof. Similarity falls off with the distance,
# quickly at first and then slowly, because the fast pairs lose step after a few positions while the slow ones
# agree for a long time.

# %% [markdown]
# ## q4 · The heat map
#
# Draw the encoding as a heat map: positions 0 to 100, or as many as there are. Either orientation is fine, as
# long as the labels say which axis is which: one of the two labels contains the word `position`, the other one
# the word `dimension`. Add a colour bar, for without one nobody knows what yellow means. Return the axes, so
# that whoever called you can change the title.
#
# <details><summary>Hint</summary>
# <code>ax.imshow</code> or <code>ax.pcolormesh</code> return what <code>figure.colorbar</code> needs, and
# <code>ax.figure</code> is the figure that an axes belongs to. When ax is None, make a new one with
# <code>plt.subplots()</code>.
# </details>


# %% tags=["q4"]
def plot_encoding(encoding: Tensor, ax: Axes | None = None) -> Axes:
    """A heat map of the first 101 positions of an encoding, by imshow or pcolormesh, with a colour bar.

    Args:
        encoding: (n, d), n and d at least 1, floating point, unchanged by the call. Positions from 101 on are left
            out; the numbers are drawn as they are.
        ax: where to draw; None makes a new figure.

    Returns:
        The matplotlib Axes that was drawn in: `ax` itself if one was given. One of its axis labels contains the
        word "position" and the other one "dimension" (in small or capital letters), and each stands on the right
        axis.

    Raises:
        ValueError: encoding does not have two dimensions, or one of them is 0.
    """
    # BEGIN SOLUTION
    require(encoding.ndim == 2, f"encoding must have two dimensions, got shape {tuple(encoding.shape)}")
    require(encoding.numel() > 0, f"encoding must not be empty, got shape {tuple(encoding.shape)}")
    if ax is None:
        _, ax = plt.subplots(figsize=(10, 5), layout="constrained")
    # imshow draws rows along the vertical axis: transposed, positions run to the right like a text.
    image = ax.imshow(encoding[:101].detach().numpy().T, aspect="auto", cmap="RdBu", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="value")
    ax.set(xlabel="position $p$", ylabel="dimension (column of the encoding)")
    return ax
    # END SOLUTION


# %% tags=["otter_ignore"]
def heat_map_of_positions() -> Figure:
    """Positions 0 to 100 of a 64-dimensional encoding."""
    ax = plot_encoding(sinusoidal_encoding(200, 64))
    ax.set_title("positions 0-100, $d = 64$")
    return ax.figure


draw(heat_map_of_positions, needs="q1 and q4")

# %% [markdown]
# The first columns flicker like the last digits of a counter, later ones change slowly, and beyond half of the
# width nearly nothing happens in 100 positions: sines stay near 0 and cosines near 1. That is the striped part,
# and the reason for the next question.

# %% [markdown]
# ## q5 · How many directions?
#
# An encoding of $n$ positions is a matrix $E$ of $n$ rows. Its *Gram matrix* $E E^\top$ holds all dot products
# $PE[p] \cdot PE[q]$; its eigenvalues say how much of the encoding lies along each of $n$ orthogonal directions.
# They are never negative (but for rounding), and at most $\min(n, d)$ of them are not 0. In a computer, 0 comes
# out as noise near $10^{-16}$ of the largest, so we count those above $10^{-10}$ times the largest.
#
# **By hand.** $E = \begin{pmatrix} 1 & 0 \\ 0 & 2 \\ 0 & 0 \end{pmatrix}$ has
# $E E^\top = \operatorname{diag}(1, 4, 0)$: eigenvalues $0, 1, 4$ and rank 2.
#
# <details><summary>Hint: float32</summary>
# A product of float32 numbers carries noise near 1e-7, which would be counted. Convert before you multiply.
# </details>


# %% tags=["q5"]
def encoding_spectrum(encoding: Tensor) -> tuple[Tensor, int]:
    """The eigenvalues of encoding @ encoding.T, and how many are not negligible.

    Source: Golub and Van Loan, "Matrix Computations", 4th edition, section 5.4 (numerical rank).

    Args:
        encoding: (n, d), floating point of any precision; n may be 0.

    Returns:
        eigenvalues: (n,) float64, in ascending order, computed in float64 throughout.
        numerical_rank: a Python int: how many exceed 1e-10 times the largest. 0 if all are 0 or there are none.

    Raises:
        ValueError: encoding does not have two dimensions.
    """
    # BEGIN SOLUTION
    require(encoding.ndim == 2, f"encoding must have two dimensions, got shape {tuple(encoding.shape)}")
    exact = encoding.double()  # before the product, whose float32 noise would count as rank
    eigenvalues = torch.linalg.eigvalsh(exact @ exact.T)
    if len(eigenvalues) == 0:
        return eigenvalues, 0
    return eigenvalues, int((eigenvalues > 1e-10 * eigenvalues[-1]).sum())
    # END SOLUTION


# %% tags=["otter_ignore"]
def spectrum_of_the_encoding() -> Figure:
    """Eigenvalues in descending order for three bases."""
    figure, ax = plt.subplots(figsize=(9, 4.4), layout="constrained")
    for base, marker in ((10.0, "o"), (100.0, "s"), (10000.0, "^")):
        encoding = in_default_dtype(torch.float64, sinusoidal_encoding, 101, 64, base)
        eigenvalues, rank = encoding_spectrum(encoding)
        visible = eigenvalues.flip(0).clamp(min=1e-18)
        ax.semilogy(range(1, 102), visible / visible[0], marker, ms=4, label=f"base {base:g}: rank {rank}")
    ax.axhline(1e-10, color="0.4", ls="--", lw=1)
    ax.text(101, 2e-10, "counted if above", color="0.4", ha="right")
    ax.set(xlabel="number of the eigenvalue", ylabel="eigenvalue / largest", ylim=(1e-18, 3),
           title="101 positions in 64 dimensions")  # fmt: skip
    ax.legend()
    return figure


draw(spectrum_of_the_encoding, needs="q1 and q5")

# %% [markdown]
# The encoding has 64 columns, yet fewer directions are in use, and fewer still carry weight. The slow pairs, seen
# over 101 positions, are almost straight lines, and straight lines look alike. That is no loss: the
# directions that position leaves free are there for the meaning of the words.

# %% [markdown]
# ## q6 · What is it good for? An ablation
#
# An *ablation* takes one part away and looks at what breaks. The task: eight tokens, one of them marked A and one
# marked B, the others noise. **Which comes first, A or B?** A small attention model is given to you; with the
# encoding added to its tokens it learns the task within a second. Without it, attention sees a bag of tokens, and
# no training in the world will bring it above chance.

# %%
LENGTH, WIDTH, KINDS = 8, 32, 10  # tokens in a sequence, numbers for each token, different tokens


def marked_tokens(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw n sequences with one token 0 ("A") and one token 1 ("B"), and noise (2 to 9) elsewhere.

    Returns:
        tokens (n, LENGTH) and labels (n,), both long; a label is 1 if A comes before B, else 0.
    """
    tokens = torch.randint(2, KINDS, (n, LENGTH), generator=generator)
    places = torch.rand(n, LENGTH, generator=generator).argsort(dim=-1)[:, :2]
    tokens.scatter_(1, places, torch.tensor([[0, 1]]).expand(n, 2))
    return tokens, (places[:, 0] < places[:, 1]).long()


class OrderClassifier(nn.Module):
    """One layer of attention, a small network at each position, and the mean over positions.

    Args:
        generator: the initial parameters are drawn from it.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()

        def matrix(rows: int, columns: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(rows, columns, generator=generator) / math.sqrt(rows))

        self.embedding = nn.Parameter(torch.randn(KINDS, WIDTH, generator=generator))
        self.W_Q, self.W_K, self.W_V = (matrix(WIDTH, WIDTH) for _ in range(3))
        self.W_1, self.b_1, self.W_2 = matrix(WIDTH, 64), nn.Parameter(torch.zeros(64)), matrix(64, 2)

    def forward(self, tokens: Tensor, positions: Tensor | None = None) -> Tensor:
        """Logits (n, 2) of tokens (n, LENGTH); positions (LENGTH, WIDTH) are added to the embeddings, if given."""
        x = self.embedding[tokens]
        if positions is not None:
            x = x + positions
        scores = (x @ self.W_Q) @ (x @ self.W_K).transpose(-2, -1) / math.sqrt(WIDTH)
        x = x + torch.softmax(scores, dim=-1) @ (x @ self.W_V)
        return (torch.relu(x @ self.W_1 + self.b_1) @ self.W_2).mean(dim=-2)


# %% [markdown]
# Train it: draw a fresh batch, compute the cross-entropy, step, repeat. What works well here is Adam with learning
# rate 0.01, batches of 128 and 250 steps. Over 120 seeds that gave accuracies from 0.956 to 1, 0.999 on average,
# in half a second each. Then draw at least 2000 fresh sequences and count how many are right.
#
# <details><summary>Hint: the loop</summary>
# <code>torch.optim.Adam(model.parameters(), lr=0.01)</code>, then again and again <code>zero_grad()</code>,
# <code>nn.functional.cross_entropy(logits, labels)</code>, <code>backward()</code>, <code>step()</code>.
# </details>


# %% tags=["q6"]
def order_accuracy(use_encoding: bool, seed: int = 0) -> float:
    """Train a small attention classifier to tell which of two marked tokens comes first, and test it.

    Args:
        use_encoding: whether sinusoidal_encoding(LENGTH, WIDTH) is added to the embeddings. Otherwise the model
            gets nothing that tells positions apart, in training and in the test.
        seed: where all random numbers come from: the same seed gives the same result again.

    Returns:
        The share of right answers, a Python float between 0 and 1, on at least 2000 sequences drawn afresh after
        training: at least 0.9 with the encoding (0.99 and more is usual), chance without. Takes a few seconds at
        most.
    """
    # BEGIN SOLUTION
    generator = torch.Generator().manual_seed(seed)
    model = OrderClassifier(generator)
    positions = sinusoidal_encoding(LENGTH, WIDTH) if use_encoding else None
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(250):
        tokens, labels = marked_tokens(128, generator)
        loss = nn.functional.cross_entropy(model(tokens, positions), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tokens, labels = marked_tokens(2000, generator)
    with torch.no_grad():
        right = model(tokens, positions).argmax(dim=-1) == labels
    return right.double().mean().item()
    # END SOLUTION


# %% tags=["otter_ignore"]
def ablation() -> Figure:
    """Accuracy with and without the encoding, for four seeds each."""
    figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
    for place, use in enumerate((True, False)):
        accuracies = [order_accuracy(use, seed) for seed in range(4)]
        ax.bar(
            [place + 0.2 * (n - 1.5) for n in range(4)], accuracies, 0.17, label="with" if use else "without"
        )
    ax.axhline(0.5, color="0.3", ls="--", lw=1)
    ax.text(0.5, 0.52, "chance", ha="center", color="0.3")
    ax.set(
        xticks=(0, 1), ylabel="accuracy", ylim=(0, 1.05), title="which of two tokens comes first? (4 seeds)"
    )
    ax.set_xticklabels(["with the encoding", "without"])
    return figure


draw(ablation, needs="q1 and q6")

# %% [markdown]
# Without the encoding the answers are as good as a coin's, for every seed, and that is no matter of training:
# swap A and B in a sequence, and the model computes the same numbers in another order, whose mean is the same. So
# it gives both sequences the same answer, and one of the two is wrong.
#
# **Where to go from here.** Modern models turn the queries and keys by your rotation of q2, instead of adding
# anything (rotary encodings, [Su et al. 2021](https://arxiv.org/abs/2104.09864)): then the score of two words
# depends on their distance exactly, as your dot product does.
