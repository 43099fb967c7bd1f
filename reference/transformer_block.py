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
# # The transformer block
#
# Attention moves information between positions, a feed-forward network works on each position. Why not simply
# stack them, a hundred high? Because it does not train. What makes the stack trainable are three small things
# around the two large ones:
#
# - **LayerNorm** puts every vector back to a standard size,
# - **residual connections** add what a layer found to what was there, in the place of replacing it,
# - **dropout** keeps the network from leaning on any single number.
#
# Each takes one line to write, and each can be put in the wrong place without any error message. The most famous
# such place: does the norm come *before* the layer or *after* the addition? The first transformer had it after
# and needed a careful warm-up of the learning rate. Nearly every large model since has it before. At the end of
# this notebook you will have measured why.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `layer_norm`, `LayerNorm` | mean 0, variance 1, then an affine map |
# | q2 | `center`, `to_sphere`, `layer_norm_jacobian` | a projection and a scaling: the geometry |
# | w1, q3 | a derivation, `layer_norm_vjp` | the gradient, on paper and then in code |
# | q4 | `dropout`, `Dropout` | noise in training, nothing afterwards |
# | q5 | `residual` | pre-norm and post-norm, in one line each |
# | q6 | `TransformerBlock` | the block, equal to PyTorch's |
# | q7 | `Encoder` | a stack of blocks |
# | w2, q8 | a scaling argument, `gradient_norms`, `stream_rms` | why warm-up: what the gradient meets on its way |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. Work from top
# to bottom: later questions call what you wrote before. After each question, run its check. The checks you
# have here are a part of those that grade you, so read the docstrings: everything that is graded is promised
# there.

# %% [markdown]
# ## Notation
#
# | symbol | shape | meaning |
# | --- | --- | --- |
# | $x$ | `(..., d)` | a vector of $d$ numbers; `...` are any leading dimensions (batches, positions) |
# | $\mu$, $v$ | `(..., 1)` | mean and variance of these $d$ numbers |
# | $\gamma$, $\beta$ | `(d,)` | `weight` and `bias` of the norm |
# | $\mathbf 1$ | `(d,)` | the vector $(1, \dots, 1)$ |
# | $P$ | `(d, d)` | $I - \mathbf 1 \mathbf 1^\top / d$, the matrix that subtracts the mean |
#
# Results have the dtype and the device of the inputs, and inputs are never changed.
#
# The next two cells hold the imports, the helper `require` for your argument checks (`require(n >= 1, "n must
# be at least 1")` raises a `ValueError` with that message when `n` is 0), and the two large parts of the
# block, ready to use: `MultiHeadAttention` and `FeedForward`. You know them from the assignments `attention`
# and `gelu`. Have a look at their parameters now; you need not change a thing.

# %%
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def normal_parameter(rows: int, columns: int) -> nn.Parameter:
    """A matrix (rows, columns) drawn from N(0, 1 / rows), so that x @ W keeps the size of x."""
    return nn.Parameter(torch.randn(rows, columns) / math.sqrt(rows))


# %%
class MultiHeadAttention(nn.Module):
    """Given: self-attention with n_heads heads, as in the assignment `attention` but with biases.

    Args:
        d_model: width of input and output.
        n_heads: a divisor of d_model; heads are consecutive blocks of columns.

    Attributes:
        W_Q, W_K, W_V, W_O: parameters (d_model, d_model), applied as x @ W.
        b_Q, b_K, b_V, b_O: parameters (d_model,), which start at 0.
    """

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        sizes = f"d_model={d_model}, n_heads={n_heads}"
        require(min(d_model, n_heads) >= 1, f"sizes must be at least 1, got {sizes}")
        require(d_model % n_heads == 0, f"n_heads must divide d_model, got {sizes}")
        self.d_model, self.n_heads = d_model, n_heads
        for name in "QKVO":
            setattr(self, f"W_{name}", normal_parameter(d_model, d_model))
            setattr(self, f"b_{name}", nn.Parameter(torch.zeros(d_model)))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(..., L, d_model) to (..., L, d_model); mask boolean, True = may attend, (L, L) or (..., L, L)."""
        fits = x.ndim >= 2 and x.shape[-1] == self.d_model
        require(fits, f"x must have the shape (..., L, {self.d_model}), got {tuple(x.shape)}")
        q = self.split(x @ self.W_Q + self.b_Q)
        k = self.split(x @ self.W_K + self.b_K)
        v = self.split(x @ self.W_V + self.b_V)
        scores = q @ k.transpose(-2, -1) / math.sqrt(self.d_model // self.n_heads)
        if mask is None:
            weights = torch.softmax(scores, dim=-1)
        else:
            # A finite number in the place of -inf, so that a row that may see nothing is not 0/0; such a row is 0.
            forbidden = ~self.mask_of_heads(mask, x)
            lowest = torch.finfo(scores.dtype).min
            weights = torch.softmax(scores.masked_fill(forbidden, lowest), dim=-1).masked_fill(forbidden, 0.0)
        heads = weights @ v  # (..., n_heads, L, d_head)
        return heads.transpose(-3, -2).flatten(-2) @ self.W_O + self.b_O

    def split(self, projected: Tensor) -> Tensor:
        """(..., L, d_model) to (..., n_heads, L, d_head)."""
        blocks = projected.unflatten(-1, (self.n_heads, self.d_model // self.n_heads))
        return blocks.transpose(-3, -2)

    def mask_of_heads(self, mask: Tensor, x: Tensor) -> Tensor:
        """The mask as (..., 1, L, L), the same for all heads, or a ValueError."""
        require(mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}")
        shape = (*x.shape[:-1], x.shape[-2])
        try:
            return mask.expand(shape).unsqueeze(-3)
        except RuntimeError:
            raise ValueError(f"the mask must broadcast to {shape}, got {tuple(mask.shape)}") from None


class FeedForward(nn.Module):
    """Given: x -> a(x W_1 + b_1) W_2 + b_2 at every position, as in the assignment `gelu`.

    Args:
        d_model: width of input and output.
        d_ff: width of the hidden layer.
        activation: "gelu" (exact) or "relu".

    Attributes:
        W_1: parameter (d_model, d_ff). b_1: (d_ff,). W_2: (d_ff, d_model). b_2: (d_model,).
    """

    def __init__(self, d_model: int, d_ff: int, activation: str = "gelu") -> None:
        super().__init__()
        require(min(d_model, d_ff) >= 1, f"sizes must be at least 1, got d_model={d_model}, d_ff={d_ff}")
        activations = {"gelu": nn.functional.gelu, "relu": torch.relu}
        require(activation in activations, f"activation must be gelu or relu, got {activation!r}")
        self.activation = activations[activation]
        self.W_1, self.b_1 = normal_parameter(d_model, d_ff), nn.Parameter(torch.zeros(d_ff))
        self.W_2, self.b_2 = normal_parameter(d_ff, d_model), nn.Parameter(torch.zeros(d_model))

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_model) to (..., d_model)."""
        return self.activation(x @ self.W_1 + self.b_1) @ self.W_2 + self.b_2


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
# ## q1 · LayerNorm
#
# Take the $d$ numbers of **one** vector, at one position of one sequence. Subtract their mean, divide by their
# standard deviation, and let a learned affine map choose another size and place for each coordinate
# ([Ba, Kiros and Hinton 2016](https://arxiv.org/abs/1607.06450), equation 4):
#
# $$
# \mu = \frac1d \sum_{i=1}^d x_i, \qquad v = \frac1d \sum_{i=1}^d (x_i - \mu)^2, \qquad
# \operatorname{LN}(x)_i = \frac{x_i - \mu}{\sqrt{v + \varepsilon}}\, \gamma_i + \beta_i .
# $$
#
# Three details are easy to get wrong. The variance is the **biased** one: its divisor is $d$, not $d - 1$. The
# small $\varepsilon$ stands **inside** the root. And no other vector takes part: a batch of one gives
# the same as a batch of a thousand, in training as afterwards. This is where LayerNorm differs from BatchNorm.
#
# ### By hand
#
# $x = (7, 2, 2, 2, 2)$ with $d = 5$.
#
# 1. $\mu = 15 / 5 = 3$, and $x - \mu = (4, -1, -1, -1, -1)$,
# 2. $v = (16 + 1 + 1 + 1 + 1) / 5 = 4$ (a divisor of 4 would give 5),
# 3. with $\varepsilon = 0$: divide by $\sqrt 4 = 2$, so $\operatorname{LN}(x) = (2, -\tfrac12, -\tfrac12, -\tfrac12,
#    -\tfrac12)$,
# 4. with $\varepsilon = 5$: divide by $\sqrt{4 + 5} = 3$, so the first number is $\tfrac43$.
#
# <details><summary>Hint: shapes</summary>
# The mean of (..., d) over the last dimension has the shape (...), and that does not broadcast against
# (..., d). Which argument of <code>mean</code> keeps the dimension?
# </details>
#
# <details><summary>Hint: which variance?</summary>
# <code>x.var(dim=-1)</code> divides by d - 1 unless told otherwise: look for <code>correction</code> in its
# documentation.
# </details>
#
# <details><summary>Hint: numbers far from 0</summary>
# The mean of the squares minus the square of the mean is a difference of two huge numbers when the mean is huge.
# Subtract the mean first, then square.
# </details>


# %% tags=["q1"]
def layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Layer normalisation over the last dimension: (x - mean) / sqrt(variance + eps) * weight + bias.

    Source: Ba, Kiros and Hinton 2016, "Layer Normalization", equation 4. From scratch: no norm of the library.

    Args:
        x: (..., d), floating point, d at least 1. Leading dimensions may have the size 0.
        weight: (d,), what the normalised numbers are multiplied with; None: nothing.
        bias: (d,), what is added in the end; None: nothing.
        eps: added to the biased variance (divisor d), at least 0.

    Returns:
        A new tensor (..., d) with the dtype and device of x, equal to torch.nn.functional.layer_norm within 1e-6 in
        float64 and 1e-4 in float32. Differentiable with respect to x, weight and bias. Each vector depends on
        itself alone. A constant vector gives the bias, with a finite gradient, for eps > 0. Accurate also where the
        mean is a million times (float32: a thousand times) the standard deviation. The inputs stay unchanged.

    Raises:
        ValueError: x has no dimension or d is 0; weight or bias does not have the shape (d,); eps is negative.
    """
    # BEGIN SOLUTION
    require(x.ndim >= 1 and x.shape[-1] >= 1, f"x needs a last dimension of at least 1, got {tuple(x.shape)}")
    require(eps >= 0, f"eps must not be negative, got {eps}")
    for name, parameter in (("weight", weight), ("bias", bias)):
        fits = parameter is None or parameter.shape == x.shape[-1:]
        require(fits, f"{name} must have the shape ({x.shape[-1]},)")
    centred = x - x.mean(dim=-1, keepdim=True)
    # The mean of the squares of what is already centred: divisor d, and nothing cancels.
    variance = centred.square().mean(dim=-1, keepdim=True)
    result = centred / torch.sqrt(variance + eps)
    if weight is not None:
        result = result * weight
    return result if bias is None else result + bias
    # END SOLUTION


# %% tags=["q1"]
class LayerNorm(nn.Module):
    """Layer normalisation with its own weight and bias.

    Source: Ba, Kiros and Hinton 2016, equation 4.

    Args:
        d_model: length of a vector, at least 1.
        eps: as in layer_norm.

    Attributes:
        weight: parameter (d_model,), which starts at 1.
        bias: parameter (d_model,), which starts at 0.

    Raises:
        ValueError: d_model is below 1, or eps is negative.
    """

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        # BEGIN SOLUTION
        require(d_model >= 1, f"d_model must be at least 1, got {d_model}")
        require(eps >= 0, f"eps must not be negative, got {eps}")
        self.eps = eps
        # At the start the affine map changes nothing.
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        # END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every vector: (..., d_model) to (..., d_model), as layer_norm does.

        Raises:
            ValueError: the last dimension of x is not d_model.
        """
        # BEGIN SOLUTION
        return layer_norm(x, self.weight, self.bias, self.eps)
        # END SOLUTION


# %% tags=["otter_ignore"]
HAND_X = torch.tensor([7.0, 2.0, 2.0, 2.0, 2.0])


def layer_norm_by_hand() -> None:
    """Print the example by hand, for both eps, and the distance from PyTorch's."""
    for eps in (0.0, 5.0):
        print(f"eps = {eps}: {[round(value, 4) for value in layer_norm(HAND_X, eps=eps).tolist()]}")
    x = torch.randn(100, 64, generator=torch.Generator().manual_seed(0))
    error = (LayerNorm(64)(x) - nn.LayerNorm(64)(x)).abs().max()
    print(f"largest difference from nn.LayerNorm: {error:.1e}")


show(layer_norm_by_hand, needs="q1")

# %% [markdown]
# ## q2 · The geometry: a projection and a scaling
#
# Forget $\varepsilon$, $\gamma$ and $\beta$ for a moment. What does LayerNorm do to the vector $x$ as an arrow in
# $\mathbb{R}^d$? Two things, one after the other ([Brody, Alon and Yahav
# 2023](https://arxiv.org/abs/2305.02582)):
#
# **1. A projection.** Subtracting the mean is a matrix:
#
# $$
# c = x - \mu \mathbf 1 = \Big(I - \frac{\mathbf 1 \mathbf 1^\top}{d}\Big)\, x = P x .
# $$
#
# $P$ is symmetric and $P^2 = P$: it is the orthogonal projection onto the hyperplane of all vectors whose
# numbers sum to 0, that is, the vectors orthogonal to $\mathbf 1$.
#
# **2. A scaling.** Since $v = |c|^2 / d$, dividing by $\sqrt v$ makes the length of *every* vector $\sqrt d$:
#
# $$
# \operatorname{LN}(x) = \frac{c}{|c| / \sqrt d} = \sqrt d\; \frac{c}{|c|} .
# $$
#
# So LayerNorm puts every vector onto **one sphere of radius $\sqrt d$ in one hyperplane**. What is lost are
# two numbers of $d$: the mean and the length. The derivative knows this. It must kill exactly the two
# directions that are lost, along $\mathbf 1$ and along $c$ itself, and keep whatever is tangent to the sphere.
# With $u = c / |c|$:
#
# $$
# J_{ij} = \frac{\partial \operatorname{LN}(x)_i}{\partial x_j}, \qquad
# J = \frac{\sqrt d}{|c|}\, \big(P - u u^\top\big) .
# $$
#
# ### By hand
#
# $x = (7, 2, 2, 2, 2)$ again: $c = (4, -1, -1, -1, -1)$, $|c| = \sqrt{20}$, $\sqrt d / |c| = \tfrac12$, and $u
# u^\top = c c^\top / 20$. So
#
# $$
# J_{11} = \tfrac12 \big(1 - \tfrac15 - \tfrac{16}{20}\big) = 0, \quad
# J_{12} = \tfrac12 \big(0 - \tfrac15 + \tfrac{4}{20}\big) = 0, \quad
# J_{22} = \tfrac12 \big(1 - \tfrac15 - \tfrac{1}{20}\big) = \tfrac38, \quad
# J_{23} = \tfrac12 \big(0 - \tfrac15 - \tfrac{1}{20}\big) = -\tfrac18 .
# $$
#
# The whole first row is 0: no small change of $x$ moves the first output. Can you see why? (Which point of the
# sphere has the largest first coordinate, and what is it?)
#
# <details><summary>Hint: a row of zeros</summary>
# to_sphere must leave it 0, and 0 / 0 is NaN. Choose another divisor where the length is 0:
# <code>torch.where</code>, or <code>masked_fill</code>.
# </details>
#
# <details><summary>Hint: an outer product for every vector of a batch</summary>
# (..., d, 1) times (..., 1, d) broadcasts to (..., d, d).
# </details>


# %% tags=["q2"]
def center(x: Tensor) -> Tensor:
    """The orthogonal projection of every vector onto the hyperplane of vectors orthogonal to (1, ..., 1).

    Source: Brody, Alon and Yahav 2023, "On the Expressivity Role of LayerNorm in Transformers' Attention", section 3.

    Args:
        x: (..., d), floating point, d at least 1.

    Returns:
        A new tensor (..., d), dtype and device of x; the numbers of every vector sum to 0. x stays unchanged.

    Raises:
        ValueError: x has no dimension, or d is 0.
    """
    # BEGIN SOLUTION
    require(x.ndim >= 1 and x.shape[-1] >= 1, f"x needs a last dimension of at least 1, got {tuple(x.shape)}")
    return x - x.mean(dim=-1, keepdim=True)
    # END SOLUTION


# %% tags=["q2"]
def to_sphere(x: Tensor) -> Tensor:
    """Every vector scaled to the length sqrt(d): onto the sphere on which the mean square of the numbers is 1.

    Source: Brody, Alon and Yahav 2023, section 3.

    Args:
        x: (..., d), floating point, d at least 1.

    Returns:
        A new tensor (..., d), dtype and device of x: every vector has the length sqrt(d) and its old direction; a
        vector of zeros stays zero. x stays unchanged.

    Raises:
        ValueError: x has no dimension, or d is 0.
    """
    # BEGIN SOLUTION
    require(x.ndim >= 1 and x.shape[-1] >= 1, f"x needs a last dimension of at least 1, got {tuple(x.shape)}")
    length = x.norm(dim=-1, keepdim=True)
    # Where the length is 0 any other divisor will do: the numerator is 0 as well.
    return math.sqrt(x.shape[-1]) * x / length.masked_fill(length == 0, 1.0)
    # END SOLUTION


# %% tags=["q2"]
def layer_norm_jacobian(x: Tensor) -> Tensor:
    """The Jacobian of layer normalisation with eps = 0 and without weight and bias, by formula: no autograd inside.

    Source: section q2 of this notebook: J = sqrt(d) / |c| (P - u u^T) with P = I - 1 1^T / d, c = P x, u = c / |c|.

    Args:
        x: (..., d), floating point, d at least 1.

    Returns:
        (..., d, d), dtype and device of x: row i, column j is the derivative of output i with respect to x_j. x
        stays unchanged.

    Raises:
        ValueError: x has no dimension, or d is 0, or a vector is constant (c = 0): there is no derivative there.
    """
    # BEGIN SOLUTION
    c = center(x)
    length = c.norm(dim=-1)[..., None, None]
    require(bool((length > 0).all()), "a constant vector has no derivative: its centred length is 0")
    d = x.shape[-1]
    projection = torch.eye(d, dtype=x.dtype, device=x.device) - 1 / d
    u = c.unsqueeze(-1) / length  # (..., d, 1): a column for each vector
    return math.sqrt(d) / length * (projection - u * u.transpose(-2, -1))
    # END SOLUTION


# %% tags=["otter_ignore"]
def geometry_by_hand() -> None:
    """Print the example by hand, and that your q1 is the composition of the two."""
    print("center:   ", center(HAND_X).tolist())
    print("to_sphere:", to_sphere(center(HAND_X)).tolist())
    print("rows 1 and 2 of the Jacobian:", layer_norm_jacobian(HAND_X)[:2].tolist())
    x = torch.randn(1000, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error = (to_sphere(center(x)) - layer_norm(x, eps=0.0)).abs().max()
    print(f"largest difference between to_sphere(center(x)) and layer_norm(x, eps=0): {error:.1e}")


show(geometry_by_hand, needs="q1 and q2")


# %% tags=["otter_ignore"]
def one_sphere_in_one_plane() -> Figure:
    """Points in three dimensions, their projection onto the plane, and the circle of radius sqrt(3)."""
    points = torch.randn(150, 3, generator=torch.Generator().manual_seed(0)) * 0.9
    points = points.clamp(-2, 2) + torch.tensor([0.3, 0.0, 0.7])
    stages = [("$x$", points), ("center: onto a plane", center(points)),
              ("to_sphere: onto a circle", to_sphere(center(points)))]  # fmt: skip
    across = torch.tensor([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / torch.tensor([[2.0], [6.0]]).sqrt()
    angles = torch.atan2(*(points @ across.T).T).numpy()  # within the plane, the same in all three pictures
    corners = 2.4 * torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]) @ across
    figure = plt.figure(figsize=(12, 4.2))
    for place, (title, values) in enumerate(stages):
        ax = figure.add_subplot(1, 3, place + 1, projection="3d")
        ax.plot_trisurf(*corners.T.numpy(), triangles=[[0, 1, 2], [0, 2, 3]], color="tab:blue", alpha=0.12)
        ax.scatter(*values.T.numpy(), c=angles, cmap="hsv", s=14, depthshade=False)
        ax.quiver(0, 0, 0, 1.7, 1.7, 1.7, color="tab:red", arrow_length_ratio=0.12)
        ax.text(1.9, 1.9, 1.9, "$\\mathbf{1}$", color="tab:red")
        ax.set_title(title, y=0.98)
        ax.set(xlim=(-3, 3), ylim=(-3, 3), zlim=(-3, 3), box_aspect=(1, 1, 1))
        ax.set(xticks=[-2, 0, 2], yticks=[-2, 0, 2], zticks=[-2, 0, 2])
        ax.view_init(elev=18, azim=-20)
    figure.subplots_adjust(left=0.02, right=0.97, top=0.95, bottom=0.04, wspace=0.08)
    return figure


draw(one_sphere_in_one_plane, needs="q2")

# %% [markdown]
# In three dimensions the "sphere in a hyperplane" is a circle, of radius $\sqrt 3$. Colours show the angle
# within the plane: it survives, while the height above the plane and the distance from the centre do not. With
# $\gamma$ and $\beta$ the circle becomes an ellipse somewhere else. With $\varepsilon > 0$ vectors end a
# little inside: those with $v \gg \varepsilon$ hardly, those with $v \ll \varepsilon$ stay near 0.

# %% [markdown] tags=["w1"]
# ## w1 · The gradient of LayerNorm, on paper
#
# Let $s = \sqrt{v + \varepsilon}$, $\hat x = (x - \mu) / s$ and $y_i = \gamma_i \hat x_i + \beta_i$ for one
# vector $x$ of length $d$, and let $\ell$ be a loss whose gradient with respect to the output, $G_i = \partial
# \ell / \partial y_i$, is known.
#
# 1. Derive $\partial \ell / \partial \gamma_i$ and $\partial \ell / \partial \beta_i$, for one vector and then
#    for a batch of vectors that share $\gamma$ and $\beta$.
# 2. Derive $\partial v / \partial x_j$, and from it $\partial s / \partial x_j$.
# 3. Let $g_i = G_i \gamma_i$. Show that $\displaystyle \frac{\partial \ell}{\partial x_j} = \frac1s \Big( g_j
#    - \overline{g} - \hat x_j\, \overline{g \hat x} \Big)$, where a bar is the mean over the $d$ coordinates.
# 4. Let $\varepsilon = 0$. Show that this gradient is orthogonal to $\mathbf 1$ and to $x - \mu \mathbf 1$,
#    and say which two properties of LayerNorm that expresses. What happens to the gradient when $x$ is
#    multiplied by 10?

# %% [markdown] tags=["w1", "solution"]
# **1. The affine part.** From $y_i = \gamma_i \hat x_i + \beta_i$: $\partial \ell / \partial \gamma_i = G_i
# \hat x_i$ and $\partial \ell / \partial \beta_i = G_i$. In a batch, each vector contributes to the loss
# through the same $\gamma$ and $\beta$, so the contributions are summed over all vectors.
#
# **2. The variance.** $\partial \mu / \partial x_j = 1/d$. With $v = \frac1d \sum_i (x_i - \mu)^2$,
# $\frac{\partial v}{\partial x_j} = \frac2d \sum_i (x_i - \mu)\big(\delta_{ij} - \tfrac1d\big) = \frac2d (x_j
# - \mu)$, because $\sum_i (x_i - \mu) = 0$. Then $\frac{\partial s}{\partial x_j} = \frac{1}{2s}
# \frac{\partial v}{\partial x_j} = \frac{x_j - \mu}{d\, s} = \frac{\hat x_j}{d}$.
#
# **3. The input.** $\frac{\partial \hat x_i}{\partial x_j} = \frac{\delta_{ij} - 1/d}{s} - \frac{x_i -
# \mu}{s^2} \frac{\hat x_j}{d} = \frac1s \big(\delta_{ij} - \tfrac1d - \tfrac1d \hat x_i \hat x_j\big)$. With
# $\partial \ell / \partial \hat x_i = G_i \gamma_i = g_i$,
#
# $$
# \frac{\partial \ell}{\partial x_j} = \sum_i g_i \frac{\partial \hat x_i}{\partial x_j}
# = \frac1s \Big( g_j - \frac1d \sum_i g_i - \hat x_j\, \frac1d \sum_i g_i \hat x_i \Big) .
# $$
#
# **4. What is lost.** For $\varepsilon = 0$, $\sum_j \hat x_j = 0$ and $\frac1d \sum_j \hat x_j^2 = 1$. The
# sum of the gradient over $j$ is $\frac1s (d \bar g - d \bar g - 0) = 0$: it is orthogonal to $\mathbf 1$, for
# $\operatorname{LN}(x + t \mathbf 1) = \operatorname{LN}(x)$. Its product with $\hat x$ is $\frac1s (d\,
# \overline{g \hat x} - 0 - d\, \overline{g \hat x}) = 0$: it is orthogonal to $x - \mu \mathbf 1$, for
# stretching $x$ about its mean changes nothing. If $x$ is multiplied by 10, so is $s$, while $\hat x$ and $g$
# stay: the gradient becomes ten times **smaller**. (Remember this for q8.)

# %% [markdown]
# ## q3 · The gradient, in code
#
# Write the result of w1 as a function, as a formula: no `backward()`, no `torch.autograd`.
#
# $$
# \frac{\partial \ell}{\partial x} = \frac1s \Big( g - \overline{g} - \hat x\, \overline{g \hat x} \Big), \qquad
# g = G\, \gamma, \qquad
# \frac{\partial \ell}{\partial \gamma} = \sum_{\text{vectors}} G\, \hat x, \qquad
# \frac{\partial \ell}{\partial \beta} = \sum_{\text{vectors}} G .
# $$
#
# **By hand.** $x = (7, 2, 2, 2, 2)$, $\gamma = \mathbf 1$, $\varepsilon = 0$, and $G = (0, 1, 0, 0, 0)$. So $s
# = 2$, $\hat x = (2, -\tfrac12, \dots)$, $\overline g = \tfrac15$ and $\overline{g \hat x} = -\tfrac1{10}$.
# First coordinate: $\tfrac12 (0 - \tfrac15 + 2 \cdot \tfrac1{10}) = 0$. Second: $\tfrac12 (1 - \tfrac15 -
# \tfrac12 \cdot \tfrac1{10}) = \tfrac38$. The others: $\tfrac12 (0 - \tfrac15 - \tfrac1{20}) = -\tfrac18$. You
# have seen these numbers: they are a row of the Jacobian of q2.
#
# <details><summary>Hint: the weight</summary>
# The weight stands between the normalised vector and the output, so on the way back it comes first: multiply G by it
# before you take any mean.
# </details>
#
# <details><summary>Hint: summing over all leading dimensions</summary>
# <code>flatten(0, -2)</code> makes a single one of them, but a single vector (d,) has none. <code>reshape(-1, d)</code>
# is happy with both.
# </details>


# %% tags=["q3"]
def layer_norm_vjp(
    x: Tensor, weight: Tensor, grad_output: Tensor, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a scalar through layer_norm(x, weight, bias, eps), by formula: no autograd inside.

    Source: your own derivation in w1. No autograd: not backward(), nor any of torch.autograd and torch.func.

    Args:
        x: (..., d), floating point, d at least 1. Leading dimensions may have the size 0.
        weight: (d,).
        grad_output: the gradient of the scalar with respect to the output, (..., d), the shape of x.
        eps: as in layer_norm.

    Returns:
        (grad_x, grad_weight, grad_bias): the gradients with respect to x (..., d), to weight (d,) and to bias (d,),
        the latter two summed over all leading dimensions; dtype and device of x. Equal to autograd's. The
        inputs stay unchanged.

    Raises:
        ValueError: x has no dimension or d is 0; weight does not have the shape (d,); grad_output does not have
            the shape of x; eps is negative.
    """
    # BEGIN SOLUTION
    normalised = layer_norm(x, eps=eps)
    require(weight.shape == x.shape[-1:], f"weight must have the shape ({x.shape[-1]},)")
    require(grad_output.shape == x.shape, f"grad_output must have the shape {tuple(x.shape)}")
    deviation = torch.sqrt(center(x).square().mean(dim=-1, keepdim=True) + eps)
    g = grad_output * weight
    along_ones = g.mean(dim=-1, keepdim=True)
    along_x = (g * normalised).mean(dim=-1, keepdim=True)
    grad_x = (g - along_ones - normalised * along_x) / deviation
    vectors = (-1, x.shape[-1])
    grad_weight = (grad_output * normalised).reshape(vectors).sum(dim=0)
    return grad_x, grad_weight, grad_output.reshape(vectors).sum(dim=0)
    # END SOLUTION


# %% tags=["otter_ignore"]
def compare_with_autograd() -> None:
    """Print the example's gradient, and the largest difference from autograd through your q1."""
    grad_x, _, _ = layer_norm_vjp(HAND_X, torch.ones(5), torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]), eps=0.0)
    print("by hand:", grad_x.tolist())
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(4, 6, 8, generator=generator, dtype=torch.float64) for _ in range(2))
    weight, bias = (torch.randn(8, generator=generator, dtype=torch.float64) for _ in range(2))
    inputs = [tensor.requires_grad_() for tensor in (x, weight, bias)]
    expected = torch.autograd.grad(layer_norm(*inputs), inputs, grad)
    found = layer_norm_vjp(x.detach(), weight.detach(), grad)
    for name, ours, theirs in zip(("x", "weight", "bias"), found, expected, strict=True):
        print(f"gradient of {name}: largest difference from autograd {(ours - theirs).abs().max():.1e}")


show(compare_with_autograd, needs="q1 and q3")

# %% [markdown]
# ## q4 · Dropout
#
# In training, each number is set to 0 with probability $p$, independently of all others
# ([Srivastava et al. 2014](https://jmlr.org/papers/v15/srivastava14a.html)). No unit can then rely on another one
# being there. When the network is used, nothing is dropped.
#
# But then all sums in the network would be larger in use than they were in training, by $1 / (1 - p)$. *Inverted*
# dropout, which everybody uses, corrects that already in training:
#
# $$
# \operatorname{dropout}(x)_i =
# \begin{cases} 0 & \text{with probability } p \\ x_i / (1 - p) & \text{otherwise,} \end{cases}
# \qquad \mathbb{E}[\operatorname{dropout}(x)_i] = (1 - p) \cdot \frac{x_i}{1 - p} = x_i ,
# $$
#
# so that in use there is nothing left to do. A module knows which of the two it is in by `self.training`, which
# `model.train()` and `model.eval()` set for all modules below.
#
# **By hand.** $x = (3, 3, 3, 3)$ and $p = \tfrac14$: kept numbers become $3 / \tfrac34 = 4$. On average one of
# four is dropped, and the mean of $(4, 4, 0, 4)$ is 3. For $p = 0$ nothing changes, and for $p = 1$ all is 0
# (not $0/0$).
#
# <details><summary>Hint: an event with probability p</summary>
# A uniform random number in [0, 1) is below p with probability p. <code>torch.rand</code> takes a generator.
# </details>


# %% tags=["q4"]
def dropout(
    x: Tensor, p: float = 0.1, training: bool = True, generator: torch.Generator | None = None
) -> Tensor:
    """Inverted dropout: in training each number is 0 with probability p, by itself, and else divided by 1 - p.

    Source: Srivastava et al. 2014, "Dropout", section 10 (the scaling at training time). From scratch: no dropout of
    the library.

    Args:
        x: any shape, floating point.
        p: the probability to be dropped, from 0 to 1, both included.
        training: False: x comes back as it is.
        generator: where the random numbers come from; it is advanced, so that a second call drops others.
            None: torch's own.

    Returns:
        The shape, dtype and device of x. For p = 0 equal to x, for p = 1 zeros. Differentiable: the gradient is dropped
        and scaled alike. The same state of the generator, the same result. x stays unchanged.

    Raises:
        ValueError: p is below 0 or above 1.
    """
    # BEGIN SOLUTION
    require(0 <= p <= 1, f"p must be between 0 and 1, got {p}")
    if not training:
        return x
    kept = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device) >= p
    # For p = 1 nothing is kept, so any finite number will do in the place of 1 / 0.
    scale = 1 / (1 - p) if p < 1 else 0.0
    return x * kept * scale
    # END SOLUTION


# %% tags=["q4"]
class Dropout(nn.Module):
    """Inverted dropout as a module: it drops in train mode, and does nothing in eval mode.

    Source: Srivastava et al. 2014, section 10.

    Args:
        p: the probability to be dropped, from 0 to 1, both included.

    Raises:
        ValueError: p is below 0 or above 1.
    """

    def __init__(self, p: float = 0.1) -> None:
        super().__init__()
        # BEGIN SOLUTION
        require(0 <= p <= 1, f"p must be between 0 and 1, got {p}")
        self.p = p
        # END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """dropout(x, p) in train mode, x in eval mode: any shape in, the same shape out."""
        # BEGIN SOLUTION
        return dropout(x, self.p, self.training)
        # END SOLUTION


# %% tags=["otter_ignore"]
def dropout_by_hand() -> None:
    """Print a vector of threes, dropped out in train mode twice and in eval mode, and the mean of many."""
    torch.manual_seed(1)
    module, x = Dropout(0.25), torch.full((8,), 3.0)
    print("train mode:", module(x).tolist())
    print("again:     ", module(x).tolist())
    print(f"the mean of 100,000 numbers: {module(torch.full((100_000,), 3.0)).mean():.3f}")
    print("eval mode: ", module.eval()(x).tolist())


show(dropout_by_hand, needs="q4")


# %% tags=["otter_ignore"]
def what_dropout_keeps() -> Figure:
    """The mean square after dropout and after a random matrix, against p, with and without the scaling."""
    generator = torch.Generator().manual_seed(0)
    x = torch.ones(20_000)
    shares = torch.linspace(0, 0.9, 19).tolist()
    outputs = [dropout(x, p, True, generator) for p in shares]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.9), layout="constrained")
    left.plot(shares, [out.mean() for out in outputs], "o-", ms=4, label="your dropout")
    unscaled = [out.mean() * (1 - p) for out, p in zip(outputs, shares, strict=True)]
    left.plot(shares, unscaled, "s--", ms=4, label="without the scaling")
    left.axhline(1, color="0.4", lw=1, ls=":")
    left.set(xlabel="$p$", ylabel="mean of the output", title="mean (all inputs are 1)", ylim=(0, 1.2))
    left.legend(loc="lower left")
    right.plot(shares, [out.var() for out in outputs], "o", ms=5, label="your dropout")
    right.plot(shares, [p / (1 - p) for p in shares], color="0.4", lw=1, label="$p / (1 - p)$")
    right.set(xlabel="$p$", title="variance: the noise that training must live with")
    right.legend()
    return figure


draw(what_dropout_keeps, needs="q4")

# %% [markdown]
# Left: scaled in training, the mean is the same for every $p$, so nothing has to be corrected afterwards.
# Right: the price is noise, and it grows without bound as $p$ goes to 1. Most transformers use $p = 0.1$, the
# largest ones 0.

# %% [markdown]
# ## q5 · The residual connection, and where the norm goes
#
# Call attention or the feed-forward network the *sublayer* $f$. A residual connection ([He et al.
# 2016](https://arxiv.org/abs/1512.03385)) adds what it computes to what came in, $x + f(x)$. A norm can be put
# in two places ([Xiong et al. 2020](https://arxiv.org/abs/2002.04745), table 1):
#
# $$
# \text{post-norm: } \operatorname{LN}\big(x + f(x)\big), \qquad\qquad
# \text{pre-norm: } x + f\big(\operatorname{LN}(x)\big) .
# $$
#
# ```text
#         post-norm                                pre-norm
#
#   x ──┬────────► + ──► LN ──►              x ──┬─────────────────► + ──►
#       └──► f ────┘                             └──► LN ──► f ──────┘
# ```
#
# In post-norm everything, also what came in, passes through the norm. In pre-norm the upper line runs through
# untouched: the network reads from it through a norm and writes onto it by addition. That line is called the
# *residual stream*.
#
# **By hand.** With the toys $f(x) = 2x$ and $n(x) = x + 1$ in the place of the norm, and $x = 1$: post-norm is
# $n(1 + 2) = 4$, and pre-norm is $1 + f(2) = 5$.
#
# <details><summary>Hint: broadcasting hides a mistake</summary>
# If f returns (d,) for an x of shape (L, d), then x + f(x) exists and is wrong. Compare the shapes before you add.
# </details>


# %% tags=["q5"]
def residual(
    x: Tensor,
    sublayer: Callable[[Tensor], Tensor],
    norm: Callable[[Tensor], Tensor],
    norm_first: bool = True,
) -> Tensor:
    """A residual connection around a sublayer: x + sublayer(norm(x)), or norm(x + sublayer(x)).

    Source: Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture", table 1.

    Args:
        x: (..., d), floating point.
        sublayer: a function from tensors to tensors of the same shape, called once.
        norm: such a function, called once.
        norm_first: True: pre-norm, x + sublayer(norm(x)). False: post-norm, norm(x + sublayer(x)).

    Returns:
        The shape of x. Differentiable: in pre-norm, the gradient on the path past the sublayer is exactly 1. x stays
        unchanged.

    Raises:
        ValueError: what sublayer returns does not have the shape of what is added to it.
    """
    # BEGIN SOLUTION
    update = sublayer(norm(x) if norm_first else x)
    require(update.shape == x.shape, f"x is {tuple(x.shape)}, but the sublayer gave {tuple(update.shape)}")
    return x + update if norm_first else norm(x + update)
    # END SOLUTION


# %% tags=["otter_ignore"]
def residual_by_hand() -> None:
    """Print the example by hand."""
    for norm_first in (False, True):
        out = residual(torch.tensor([1.0]), lambda x: 2 * x, lambda x: x + 1, norm_first)
        print(f"norm_first={norm_first}: {out.item():.0f}")


show(residual_by_hand, needs="q5")

# %% [markdown]
# ## q6 · The block
#
# One block is two residual connections, first around attention, then around the feed-forward network, each
# with **its own** norm, and with dropout on what each sublayer adds ([Vaswani et al.
# 2017](https://arxiv.org/abs/1706.03762), section 5.4):
#
# $$
# h = \operatorname{residual}(x,\ \text{dropout} \circ \text{attention},\ \text{norm}_1), \qquad
# y = \operatorname{residual}(h,\ \text{dropout} \circ \text{feed-forward},\ \text{norm}_2) .
# $$
#
# Dropout acts on what is **added**, before the addition, and never on the stream itself. With $p = 1$ a
# pre-norm block in train mode does nothing at all: that is a test to remember.
#
# Your block must equal PyTorch's `nn.TransformerEncoderLayer` when it is given the same weights. So the names
# of the parts are fixed: `norm_1`, `attention`, `norm_2`, `feed_forward`. Build them from your `LayerNorm`,
# from your `Dropout` and from the two classes given above. The cell below the question copies weights over and
# compares.
#
# **By hand.** If all weights of both sublayers are 0, both add 0. What does a pre-norm block give for $x = (7,
# 2, 2, 2, 2)$, and a post-norm block? (The first gives $x$ back, the second $\operatorname{LN}(x) = (2,
# -\tfrac12, -\tfrac12, -\tfrac12, -\tfrac12)$: the norm of a normalised vector is itself.)
#
# <details><summary>Hint: a sublayer with two arguments</summary>
# residual calls its sublayer with x alone, but attention needs the mask too. A <code>lambda h: ...</code> that
# you write inside of forward can see the mask.
# </details>
#
# <details><summary>Hint: equal to PyTorch with norm_first=True only</summary>
# Is norm_first passed on to both connections?
# </details>


# %% tags=["q6"]
class TransformerBlock(nn.Module):
    """A transformer encoder block: self-attention, then a feed-forward network, each in a residual connection.

    Source: Vaswani et al. 2017, "Attention Is All You Need", sections 3.1 and 5.4; pre-norm: Xiong et al. 2020. Equal
    to torch.nn.TransformerEncoderLayer given the same weights, without calling it, nn.MultiheadAttention, or a norm or
    a dropout of the library.

    Args:
        d_model: width of input and output, at least 1.
        n_heads: number of heads, a divisor of d_model.
        d_ff: width of the hidden layer of the feed-forward network, at least 1.
        norm_first: True: pre-norm. False: post-norm.
        dropout: the probability to be dropped, from 0 to 1, of what each sublayer adds. More dropout inside of a
            sublayer, as PyTorch has it, is allowed.
        activation: of the feed-forward network, "gelu" (exact) or "relu".

    Attributes:
        norm_1, norm_2: norms with eps = 1e-5 and the parameters weight and bias, (d_model,), which start at 1 and 0;
            norm_1 belongs to the attention and norm_2 to the feed-forward network, in pre- and post-norm.
        attention: with the parameters W_Q, W_K, W_V, W_O (d_model, d_model), b_Q, b_K, b_V, b_O (d_model,).
        feed_forward: with the parameters W_1 (d_model, d_ff), b_1 (d_ff,), W_2 (d_ff, d_model), b_2 (d_model,).

    Raises:
        ValueError: a size is below 1; n_heads does not divide d_model; dropout is below 0 or above 1; activation is
            neither "gelu" nor "relu".
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        d_ff: int,
        norm_first: bool = True,
        dropout: float = 0.0,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        # BEGIN SOLUTION
        self.norm_first = norm_first
        self.attention = MultiHeadAttention(d_model, n_heads)
        self.feed_forward = FeedForward(d_model, d_ff, activation)
        self.norm_1, self.norm_2 = LayerNorm(d_model), LayerNorm(d_model)
        self.dropout = Dropout(dropout)
        # END SOLUTION

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Send a sequence through the block.

        Args:
            x: (..., L, d_model), dtype of the parameters.
            mask: boolean, True = may attend, (L, L) or (..., L, L), the same for all heads.

        Returns:
            (..., L, d_model), differentiable with respect to x and all parameters. To a position that may attend to
            nothing the attention adds b_O alone. In eval mode deterministic. x stays unchanged.

        Raises:
            ValueError: x has fewer than two dimensions or another width than d_model; mask is not boolean, or
                does not broadcast to (..., L, L).
        """
        # BEGIN SOLUTION
        # The attention reads all positions; the mask says which. Then each position thinks for itself.
        x = residual(x, lambda h: self.dropout(self.attention(h, mask)), self.norm_1, self.norm_first)
        return residual(x, lambda h: self.dropout(self.feed_forward(h)), self.norm_2, self.norm_first)
        # END SOLUTION


# %% tags=["otter_ignore"]
def copy_weights(block: TransformerBlock, layer: nn.TransformerEncoderLayer) -> None:
    """Give PyTorch's layer the weights of your block. PyTorch multiplies by the transposed matrix."""
    attention, network = block.attention, block.feed_forward
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([attention.W_Q.T, attention.W_K.T, attention.W_V.T]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([attention.b_Q, attention.b_K, attention.b_V]))
        layer.self_attn.out_proj.weight.copy_(attention.W_O.T)
        layer.self_attn.out_proj.bias.copy_(attention.b_O)
        layer.linear1.weight.copy_(network.W_1.T)
        layer.linear1.bias.copy_(network.b_1)
        layer.linear2.weight.copy_(network.W_2.T)
        layer.linear2.bias.copy_(network.b_2)
        for ours, theirs in ((block.norm_1, layer.norm1), (block.norm_2, layer.norm2)):
            theirs.weight.copy_(ours.weight)
            theirs.bias.copy_(ours.bias)


def compare_with_torch() -> None:
    """Print the largest difference from nn.TransformerEncoderLayer, with random weights and a causal mask."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(7, 7, dtype=torch.bool).tril()
    x = torch.randn(3, 7, 12, generator=generator, dtype=torch.float64)
    for norm_first in (True, False):
        block = TransformerBlock(12, 3, 20, norm_first).double()
        layer = nn.TransformerEncoderLayer(
            12, 3, 20, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first, dtype=torch.float64
        )  # fmt: skip
        with torch.no_grad():
            for parameter in block.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        copy_weights(block, layer)
        error = (block(x, mask) - layer(x, src_mask=~mask)).abs().max()  # there, True means "may not"
        print(f"norm_first={norm_first}: largest difference from nn.TransformerEncoderLayer {error:.1e}")


show(compare_with_torch, needs="q6")

# %% [markdown]
# ## q7 · A stack of blocks
#
# An encoder is a list of blocks, one after the other, each with weights of its own. In pre-norm one thing is
# missing at the end: nobody has normalised the stream that leaves the last block. So a pre-norm encoder has
# **one more norm** after the last block. A post-norm encoder has just done that, and needs none.
#
# <details><summary>Hint: a list of modules</summary>
# A plain Python list hides its modules from PyTorch, and <code>[block] * n</code> is one block, n times.
# </details>


# %% tags=["q7"]
class Encoder(nn.Module):
    """A stack of transformer blocks, in pre-norm with a last norm.

    Source: Vaswani et al. 2017, section 3.1; the last norm: Xiong et al. 2020, table 1.

    Args:
        n_layers: number of blocks, at least 1.
        d_model, n_heads, d_ff, norm_first, dropout, activation: of each block, as in TransformerBlock.

    Attributes:
        blocks: nn.ModuleList of n_layers TransformerBlocks with weights of their own.
        norm: only if norm_first: the LayerNorm of d_model after the last block.

    Raises:
        ValueError: n_layers is below 1, or as in TransformerBlock.
    """

    def __init__(
        self,
        n_layers: int,
        d_model: int,
        n_heads: int,
        d_ff: int,
        norm_first: bool = True,
        dropout: float = 0.0,
        activation: str = "gelu",
    ) -> None:
        super().__init__()
        # BEGIN SOLUTION
        require(n_layers >= 1, f"n_layers must be at least 1, got {n_layers}")
        self.blocks = nn.ModuleList(
            TransformerBlock(d_model, n_heads, d_ff, norm_first, dropout, activation) for _ in range(n_layers)
        )
        self.norm = LayerNorm(d_model) if norm_first else None
        # END SOLUTION

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Send a sequence through all blocks, each with the same mask: (..., L, d_model) to (..., L, d_model).

        Raises:
            ValueError: as in TransformerBlock.
        """
        # BEGIN SOLUTION
        for block in self.blocks:
            x = block(x, mask)
        return x if self.norm is None else self.norm(x)
        # END SOLUTION


# %% tags=["otter_ignore"]
def count_the_parameters() -> None:
    """Print how many parameters encoders of the size of two well-known models would have."""
    for name, (layers, d_model, n_heads) in {"BERT base": (12, 768, 12), "GPT-2": (12, 768, 12)}.items():
        with torch.device("meta"):  # shapes only, no memory
            encoder = Encoder(layers, d_model, n_heads, 4 * d_model, norm_first=name == "GPT-2")
        total = sum(parameter.numel() for parameter in encoder.parameters())
        require(total > 0, "there are no blocks yet")
        print(f"{name}: {total:,} parameters in its blocks")


show(count_the_parameters, needs="q7")

# %% [markdown] tags=["w2"]
# ## w2 · What the gradient meets on its way, on paper
#
# Let $x_0$ be what enters a stack of $L$ residual connections around $f_1, \dots, f_L$. Suppose that the
# numbers of $x_0$ have the mean square 1, and that whatever $f_l$ adds has, at the start of training, the mean
# square $\sigma^2$ and is uncorrelated with what is there already. Treat norms as divisions by the root mean
# square of what they get.
#
# 1. Pre-norm: write $x_L$ as a sum, and $\partial x_L / \partial x_l$ as a product. Which term of the expanded
#    product is there for every $l$, whatever the weights are? What is it in post-norm?
# 2. Pre-norm: what is the mean square of $x_l$? What does the last norm do to a gradient on its way back, by
#    w1, part 4? So how does the gradient of the weights of the **last** sublayer depend on $L$?
# 3. Post-norm: what is the mean square of $x_l$, and by what is the gradient divided at the last norm? How
#    does the gradient of the last sublayer depend on $L$?
# 4. Which of the two needs a small learning rate at the start, and why does a deeper pre-norm network not?

# %% [markdown] tags=["w2", "solution"]
# **1. The path.** In pre-norm $x_l = x_{l-1} + f_l(\operatorname{LN}(x_{l-1}))$, so $x_L = x_0 + \sum_l
# f_l(\operatorname{LN}(x_{l-1}))$ and $\frac{\partial x_L}{\partial x_l} = \prod_{k > l} (I + A_k)$, with
# $A_k$ the Jacobian of $f_k \circ \operatorname{LN}$. Expanded, it contains the identity $I$ with the
# coefficient 1, for every $l$ and all weights: along the stream the gradient arrives undiminished. In
# post-norm $x_l = \operatorname{LN}(x_{l-1} + f_l(x_{l-1}))$ and $\frac{\partial x_L}{\partial x_l} = \prod_{k
# > l} J_k (I + B_k)$: the term without any $B$ is the product of the norms' Jacobians. Each divides by the
# root mean square of its input, $\sqrt{1 + \sigma^2}$, so this term is about $(1 + \sigma^2)^{-(L - l)/2}$,
# and falls off exponentially. (That alone does not make the whole gradient small: the terms with $B$ can make
# up for it.)
#
# **2. Pre-norm.** Uncorrelated terms add up in the mean square: $x_l$ has $1 + l \sigma^2$. The last norm
# divides the gradient by the root mean square of what it gets, $\sqrt{1 + L \sigma^2}$. The last sublayer
# itself sees a normalised input, whatever $L$ is, and its output enters $x_L$ with the factor 1. So the
# gradient of its weights is that of a single layer divided by $\sqrt{1 + L \sigma^2}$: it falls like $1/\sqrt
# L$.
#
# **3. Post-norm.** Every $x_l$ has the mean square 1, by its norm. The last norm gets $x_{L-1} + f_L(x_{L-1})$
# with the mean square $1 + \sigma^2$ and divides the gradient by $\sqrt{1 + \sigma^2}$. No $L$ anywhere: the
# last sublayers' gradients do not get smaller as the network gets deeper.
#
# **4. Warm-up.** A step of gradient descent changes *all* layers at once. With $L$ layers whose gradients are
# of order 1, the function changes by something of order $L$ times the learning rate; in post-norm a deep
# network leaves the region in which the gradient means anything at its first steps, unless they are small:
# warm-up. In pre-norm the gradients shrink by themselves as $L$ grows, and the learning rate can start where
# it is wanted.

# %% [markdown]
# ## q8 · Gradient norms by depth, and the size of the stream
#
# Now measure what w2 claims, at initialisation, for a stack of your blocks. Take as the loss the mean squared
# distance of the output from a random target,
#
# $$
# \ell = \frac{1}{N} \sum \big(\operatorname{encoder}(x) - t\big)^2 \quad (N \text{ numbers}), \qquad
# \texttt{gradient\_norms}_l = \Big\lVert \frac{\partial \ell}{\partial W_2^{(l)}} \Big\rVert_F , \qquad
# \texttt{stream\_rms}_l = \sqrt{\text{mean of } (x_l)^2} ,
# $$
#
# where $W_2^{(l)}$ is the second matrix of the feed-forward network of block $l$ (the one that Xiong et al.
# look at), and $x_l$ is what leaves block $l$, with $x_0 = x$.
#
# **By hand.** If both sublayers of every block add zeros, a pre-norm stream stays as it is: for $x = (3, 4, 3,
# 4)$ its root mean square is $\sqrt{(9 + 16 + 9 + 16) / 4} = \sqrt{12.5} = 3.54$ at every depth. In post-norm
# it is 3.54, 1, 1, ...
#
# <details><summary>Hint: a gradient that leaves no trace</summary>
# <code>loss.backward()</code> adds to <code>.grad</code> of every parameter, and a second call adds to it again.
# <code>torch.autograd.grad(loss, tensors)</code> just returns what you asked for.
# </details>
#
# <details><summary>Hint: what leaves each block</summary>
# The blocks are in encoder.blocks; call them yourself, one after the other. The last norm is no block.
# </details>


# %% tags=["q8"]
def gradient_norms(encoder: Encoder, x: Tensor, target: Tensor) -> Tensor:
    """The norm of the loss gradient of feed_forward.W_2 of each block of an encoder.

    Source: Xiong et al. 2020, section 3.3 and figure 3; the loss is (encoder(x) - target).square().mean().

    Args:
        encoder: an Encoder, used in the mode that it is in and without a mask.
        x: (..., L, d_model), dtype of its parameters.
        target: the shape of x.

    Returns:
        (n_layers,), first block first: the Frobenius norm of each gradient, without a gradient of its own. The encoder,
        the .grad of its parameters, x and target stay unchanged.

    Raises:
        ValueError: target does not have the shape of x.
    """
    # BEGIN SOLUTION
    require(
        target.shape == x.shape, f"target must have the shape {tuple(x.shape)}, got {tuple(target.shape)}"
    )
    matrices = [block.feed_forward.W_2 for block in encoder.blocks.children()]
    with torch.enable_grad():
        loss = (encoder(x) - target).square().mean()
    gradients = torch.autograd.grad(loss, matrices)
    return torch.stack([gradient.norm() for gradient in gradients])
    # END SOLUTION


# %% tags=["q8"]
def stream_rms(encoder: Encoder, x: Tensor) -> Tensor:
    """The root mean square of what enters the first block and of what leaves each block.

    Source: your own argument in w2.

    Args:
        encoder: an Encoder, used in the mode that it is in and without a mask.
        x: (..., L, d_model), dtype of its parameters, at least one number.

    Returns:
        (n_layers + 1,): of x, and of what leaves each block, before any last norm; over all numbers at once. Without
        a gradient. The encoder and x stay unchanged.

    Raises:
        ValueError: x is empty.
    """
    # BEGIN SOLUTION
    require(x.numel() >= 1, f"x must hold at least one number, got the shape {tuple(x.shape)}")
    sizes = [x.square().mean().sqrt()]
    with torch.no_grad():
        for block in encoder.blocks.children():
            x = block(x)
            sizes.append(x.square().mean().sqrt())
    return torch.stack(sizes).detach()
    # END SOLUTION


# %% tags=["otter_ignore"]
def random_problem(seed: int, d_model: int = 64) -> tuple[Tensor, Tensor]:
    """Inputs and targets (8, 16, d_model), normal."""
    generator = torch.Generator().manual_seed(seed)
    x, target = (torch.randn(8, 16, d_model, generator=generator) for _ in range(2))
    return x, target


def at_the_start(measure: Callable[[Encoder, int], Tensor], n_layers: int, norm_first: bool) -> Tensor:
    """The mean of a measurement over four freshly made encoders."""
    found = []
    for seed in range(4):
        torch.manual_seed(seed)
        found.append(measure(Encoder(n_layers, 64, 4, 256, norm_first), seed))
    return torch.stack(found).mean(dim=0)


def norms_of(encoder: Encoder, seed: int) -> Tensor:
    """gradient_norms with random inputs and targets."""
    return gradient_norms(encoder, *random_problem(seed))


def sizes_of(encoder: Encoder, seed: int) -> Tensor:
    """stream_rms with random inputs."""
    return stream_rms(encoder, random_problem(seed)[0])


def why_warm_up() -> Figure:
    """Gradient norms by depth, the size of the stream, and the last block's gradient against the number of blocks."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
    depths = [2, 4, 8, 16, 32]
    for norm_first, name, colour in ((False, "post-norm", "C3"), (True, "pre-norm", "C0")):
        norms = {depth: at_the_start(norms_of, depth, norm_first) for depth in depths}
        for depth, style in ((8, "s--"), (32, "o-")):
            blocks = range(1, depth + 1)
            label = f"{name}, {depth} blocks"
            left.semilogy(blocks, norms[depth], style, ms=4, color=colour, label=label)
        middle.plot(range(33), at_the_start(sizes_of, 32, norm_first), "o-", ms=4, color=colour, label=name)
        right.loglog(depths, [norms[depth][-1] for depth in depths], "o-", color=colour, label=name)
    right.loglog(
        depths,
        [0.25 / math.sqrt(depth) for depth in depths],
        ":",
        color="0.4",
        label="$\\propto 1/\\sqrt{L}$",
    )
    left.set(
        xlabel="block $l$", ylabel="$\\|\\partial \\ell / \\partial W_2^{(l)}\\|_F$", title="gradient norms by depth"
    )  # fmt: skip
    middle.set(
        xlabel="block $l$", ylabel="root mean square of $x_l$", title="the residual stream", ylim=(0, None)
    )
    right.set(xlabel="number of blocks $L$", title="gradient norm of the last block")
    right.set_xticks(depths, [str(depth) for depth in depths])
    right.set_yticks([0.05, 0.1, 0.2], ["0.05", "0.1", "0.2"])
    right.minorticks_off()
    middle.legend()
    right.legend()
    left.legend(loc="upper right", fontsize="small")
    left.set_ylim(0.03, 2)
    return figure


draw(why_warm_up, needs="q1, q6, q7 and q8")

# %% [markdown]
# **Right**, the sharpest of the three: the gradient of the last block, against the number of blocks. In
# pre-norm it falls like $1/\sqrt L$, as w2 says; in post-norm it does not depend on $L$ at all. **Middle**,
# the reason: the stream of pre-norm grows with every block (roughly like $\sqrt{1 + l \sigma^2}$), and the last norm
# divides the gradient by its size. Post-norm is brought back to 1 after every addition. **Left**, all blocks:
# in a post-norm network of 32 blocks *every* gradient is as large as in one of 8, or larger, so that the same
# learning rate moves the function four times as far. This is what warm-up is for: small steps until the
# network has left this region. In pre-norm, a later block has a smaller gradient, and a deeper network does
# not need smaller steps.
#
# You may have read that post-norm gradients *vanish* on their way to the first block. Look at the left panel
# again: at the start of training, here, they do not. What w2 found to fall off exponentially is one term of
# many, and the others make up for it. A sentence about gradients is worth measuring.
#
# **Where to go from here.** Initialise `W_2` and `W_O` smaller by $1/\sqrt{L}$, as GPT-2 does, and draw the figure
# again: which panel changes? Or train both forms on a task of your own, with and without a warm-up.
