# %% [markdown]
# # The Gaussian error linear unit
#
# A layer without an activation function is a matrix, and a stack of matrices is a matrix again. The activation
# is what makes depth worth something. For years the answer was ReLU, a gate that looks at the sign of its
# input:
#
# $$
# \operatorname{relu}(x) = x \cdot \mathbb{1}[x > 0] .
# $$
#
# The gate is open or shut. Where it is shut, nothing passes, neither the signal nor, on the way back, the
# gradient: a unit that is shut for every input can no longer learn. **GELU makes the gate soft.** It lets $x$
# pass with the probability that a standard normal variable $Z$ lies below it:
#
# $$
# \operatorname{gelu}(x) = x \cdot P(Z \le x) = x\, \Phi(x) .
# $$
#
# Large inputs pass, very negative ones do not, and in between the gate is as open as $x$ is large beside
# ordinary noise. GPT-2, BERT and many of their successors have it in the feed-forward part of every block. You
# will write it, differentiate it by hand, build that feed-forward part, and measure what it does to the
# gradients of a deep network.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `gelu` | the gate is a Gaussian probability |
# | w1, q2 | a derivation, `gelu_derivative` | the slope, on paper and then in code |
# | q3 | `FeedForward` | the same small network at every position |
# | q4 | `gradient_flow`, `dead_fraction` | what reaches the first layer |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. Work from top
# to bottom: q3 calls your q1. After each question, run its check. The checks you have here are a part of those
# that grade you, so read the docstrings: everything that is graded is promised there.

# %% [markdown]
# ## Setup
#
# The next cell holds the imports and a helper for your argument checks: `require(n >= 1, "n must be at least
# 1")` raises a `ValueError` with that message when `n` is 0. Leave the line that imports `relu`, `tanh` and
# `hardtanh`: they are the activations that q4 is tried with.

# %%
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F  # noqa: F401  for your experiments
from matplotlib.figure import Figure
from torch import Tensor, nn, relu, tanh  # noqa: F401  tanh: for the checks of q4
from torch.nn.functional import hardtanh  # noqa: F401  for the checks of q4


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
# ## q1 · GELU
#
# The distribution function of a standard normal variable has no elementary form, but every numerical library
# knows its relative, the error function:
#
# $$
# \Phi(x) = P(Z \le x) = \int_{-\infty}^{x} \varphi(t)\, dt, \qquad
# \varphi(t) = \frac{e^{-t^2/2}}{\sqrt{2\pi}}, \qquad
# \operatorname{erf}(u) = \frac{2}{\sqrt{\pi}} \int_0^u e^{-s^2} ds .
# $$
#
# $\Phi$ measures $t$ in standard deviations and $\operatorname{erf}$ measures $s$ in another unit: $t^2/2 =
# s^2$. How far the two differ is yours to work out; the second hint helps.
#
# Two approximations are often written in its place ([Hendrycks and Gimpel
# 2016](https://arxiv.org/abs/1606.08415) give both): one with $\tanh$, one with $\sigma(1.702\,x)$. They are
# wrong by up to $5 \cdot 10^{-4}$ and $2 \cdot 10^{-2}$. Here the **exact** function is asked for, by `erf`,
# `erfc`, `ndtr` or whatever else gives $\Phi$ (to $10^{-6}$), but not by `F.gelu` or `nn.GELU`.
#
# ### By hand
#
# From the table of the normal distribution, $\Phi(1) = 0.8413$ and $\Phi(2) = 0.9772$. So
#
# 1. $\operatorname{gelu}(0) = 0 \cdot 0.5 = 0$,
# 2. $\operatorname{gelu}(1) = 1 \cdot 0.8413 = 0.8413$,
# 3. $\operatorname{gelu}(-1) = -1 \cdot \Phi(-1) = -(1 - 0.8413) = -0.1587$: **below zero**,
# 4. $\operatorname{gelu}(2) = 2 \cdot 0.9772 = 1.9545$.
#
# Lines 2 and 3 differ by 1. In general $\operatorname{gelu}(x) - \operatorname{gelu}(-x) = x$, because $\Phi(x) +
# \Phi(-x) = 1$.
#
# <details><summary>Hint: distribution or density?</summary>
# The gate of a large input is nearly 1. Which of Φ and φ tends to 1, and which to 0?
# </details>
#
# <details><summary>Hint: from erf to Φ</summary>
# erf runs from -1 to 1 and Φ from 0 to 1: shift and scale the outside. Then the inside: P(|Z| ≤ 1) = 0.6827, so
# for which u is erf(u) = 0.6827? Try <code>torch.erf</code> on 1 and on a few numbers near 0.7.
# </details>

# %%
def gelu(x: Tensor) -> Tensor:
    """The Gaussian error linear unit x * Phi(x), exactly, with Phi the standard normal distribution function.

    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units (GELUs)", section 2. Neither F.gelu nor
    nn.GELU may be called.

    Args:
        x: any shape, also 0-dimensional or empty, floating point.

    Returns:
        A new tensor of the shape, dtype and device of x, element by element; within 1e-6 in float64 and 1e-5 in
        float32 of the exact value (absolute), for |x| up to 10,000. Differentiable. x stays unchanged.
    """
    ...


# %% tags=["otter_ignore"]
def gelu_by_hand() -> None:
    """Print the four numbers of the example."""
    for x, value in zip((0, 1, -1, 2), gelu(torch.tensor([0.0, 1.0, -1.0, 2.0])).tolist(), strict=True):
        print(f"gelu({x}) = {value:.4f}")


show(gelu_by_hand, needs="q1")


# %% tags=["otter_ignore"]
def gelu_and_its_relatives() -> Figure:
    """GELU beside ReLU and SiLU, and how far the two approximations are from your function."""
    x = torch.linspace(-5, 5, 1001, dtype=torch.float64)
    exact = gelu(x)
    cube = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    approximations = {
        "tanh": 0.5 * x * (1 + torch.tanh(cube)),
        "$\\sigma(1.702x)$": x * torch.sigmoid(1.702 * x),
    }
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(x, exact, lw=2.5, label="GELU: $x\\,\\Phi(x)$")
    left.plot(x, relu(x), "--", label="ReLU")
    left.plot(x, x * torch.sigmoid(x), ":", label="SiLU: $x\\,\\sigma(x)$")
    left.set(xlim=(-4, 3), ylim=(-0.5, 3), xlabel="$x$", ylabel="output", title="three gates")
    left.axhline(0, color="0.8", lw=1, zorder=0)
    left.legend()
    for name, values in approximations.items():
        right.semilogy(x, (values - exact).abs().clamp(min=1e-9), label=name)
    right.axhline(1e-6, color="0.4", ls="--", lw=1)
    right.text(-4.2, 1.3e-6, "allowed here", color="0.4")
    right.set(ylim=(1e-7, 0.1), xlabel="$x$", ylabel="distance from GELU", title="two approximations")
    right.legend(loc="lower right")
    return figure


draw(gelu_and_its_relatives, needs="q1")


# %% [markdown]
# Left: GELU follows ReLU at both ends, but it rounds the corner and dips below zero on the way. Right: the $\tanh$
# form is worst near $|x| = 2.7$ and nearly exact around 0, so a test at a few small numbers would never tell
# the two apart. Choose test points where a mistake would show.

# %% [markdown]
# ## w1 · The derivative, on paper
#
# 1. Show that $\dfrac{d}{dx}\big[x\,\Phi(x)\big] = \Phi(x) + x\,\varphi(x)$. Say which theorem gives $\Phi'$.
# 2. Find the limits of the derivative for $x \to \infty$ and $x \to -\infty$, and its value at 0.
# 3. Where is the derivative largest, and where smallest? Show that it exceeds 1 somewhere and is negative
#    somewhere.
# 4. For which inputs is the slope of ReLU exactly 0, and for how many is that of GELU? What follows for a unit
#    that receives negative inputs only?

# %% [markdown]
# *Your answer here.*

# %% [markdown]
# ## q2 · The derivative, in code
#
# $$
# \operatorname{gelu}'(x) = \Phi(x) + x\, \varphi(x) .
# $$
#
# The first term is the gate: how much of a change of $x$ it lets through. The second says that the gate itself
# opens when $x$ grows. Write it as a formula: no `backward()`, no `torch.autograd.grad`.
#
# **By hand.** $\varphi(1) = e^{-1/2}/\sqrt{2\pi} = 0.2420$, so $\operatorname{gelu}'(1) = 0.8413 + 0.2420 =
# 1.0833$, $\operatorname{gelu}'(-1) = 0.1587 - 0.2420 = -0.0833$, and $\operatorname{gelu}'(0) = 0.5$. Why do the
# first two add up to 1?
#
# <details><summary>Hint: it is nearly right</summary>
# If you are right at 0 and far away but not in between, one of the two terms is missing or has the wrong sign.
# </details>
#
# <details><summary>Hint: NaN for large inputs</summary>
# A product of 0 and infinity is NaN. exp(-x²/2) is harmless for every x; its reciprocal is not.
# </details>

# %%
def gelu_derivative(x: Tensor) -> Tensor:
    """The derivative Phi(x) + x * phi(x) of gelu at x, by formula: no autograd inside.

    Source: your own derivation in w1. No autograd: not backward(), nor any of torch.autograd and torch.func.

    Args:
        x: any shape, also 0-dimensional or empty, floating point.

    Returns:
        A new tensor of the shape, dtype and device of x; within 1e-6 in float64 and 1e-5 in float32 of the exact
        value (absolute), for |x| up to 10,000. Differentiable: its gradient is the second derivative of gelu. x stays
        unchanged.
    """
    ...


# %% tags=["otter_ignore"]
def compare_with_autograd() -> None:
    """Print the slopes of the example, by your formula and by autograd through your q1."""
    x = torch.tensor([0.0, 1.0, -1.0], requires_grad=True)
    (slopes,) = torch.autograd.grad(gelu(x).sum(), x)
    for point, ours, theirs in zip(x.tolist(), gelu_derivative(x).tolist(), slopes.tolist(), strict=True):
        print(f"slope at {point:2.0f}: formula {ours:7.4f}, autograd {theirs:7.4f}")


show(compare_with_autograd, needs="q1 and q2")


# %% tags=["otter_ignore"]
def slopes_of_the_gates() -> Figure:
    """The derivative of GELU as the sum of its two terms, beside that of ReLU."""
    x = torch.linspace(-4, 4, 801, dtype=torch.float64)
    slope = gelu_derivative(x)
    gate = torch.special.ndtr(x)
    figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    ax.plot(x, slope, lw=2.5, label="GELU: $\\Phi(x) + x\\varphi(x)$")
    ax.plot(x, gate, "--", color="C2", label="the gate alone: $\\Phi(x)$")
    ax.plot(x, (x > 0).double(), ":", color="C1", lw=2, label="ReLU")
    extremes = torch.tensor([-math.sqrt(2), math.sqrt(2)], dtype=torch.float64)
    ax.plot(extremes, gelu_derivative(extremes), "o", color="C0")
    for point, height in zip(extremes.tolist(), gelu_derivative(extremes).tolist(), strict=True):
        ax.annotate(f"{height:.3f}", (point, height), textcoords="offset points", xytext=(0, 7 if height > 0 else -15),
                    ha="center")  # fmt: skip
    ax.set(xlabel="$x$", ylabel="slope", ylim=(-0.25, 1.3))
    ax.axhline(0, color="0.8", lw=1, zorder=0)
    ax.legend(loc="upper left")
    return figure


draw(slopes_of_the_gates, needs="q2")


# %% [markdown]
# ReLU's slope jumps from 0 to 1. GELU's is smooth, overshoots 1 and dips below 0, both at $\pm\sqrt2$ as in w1. It
# meets zero at a single point.

# %% [markdown]
# ## q3 · The feed-forward network of a transformer
#
# Attention moves information between positions. Between two attentions, each position thinks for itself: the
# *same* small network is applied to each ([Vaswani et al. 2017](https://arxiv.org/abs/1706.03762), equation 2,
# here with GELU):
#
# $$
# \operatorname{FFN}(x) = W_2 \operatorname{gelu}(W_1 x + b_1) + b_2, \qquad
# W_1 \in \mathbb{R}^{d_\text{ff} \times d_\text{model}},\;
# W_2 \in \mathbb{R}^{d_\text{model} \times d_\text{ff}} .
# $$
#
# Most often $d_\text{ff} = 4\, d_\text{model}$. Call **your own** `gelu`. How you lay out and name the parameters
# is up to you (`nn.Linear` is allowed): the module is judged by what it does.
#
# **By hand.** $d_\text{model} = 2$, $d_\text{ff} = 3$, and every number in every parameter is 1. For $x = (1,
# -1)$ each of the three hidden units receives $1 - 1 + 1 = 1$ and gives $0.8413$; each output is $3 \cdot 0.8413 +
# 1 = 3.524$. For $x = (-1, -1)$ each receives $-1$ and gives $-0.1587$, and the output is $0.524$.
#
# <details><summary>Hint: many positions at once</summary>
# A matrix product acts on the last dimension and leaves the others alone. If your forward has to know how many
# positions there are, something is off.
# </details>
#
# <details><summary>Hint: how to start</summary>
# If all hidden units start alike they get the same gradients and stay alike for ever. Draw W_1 and W_2 at random,
# with a standard deviation of one over the root of the number of inputs, or let nn.Linear do it.
# </details>

# %%
class FeedForward(nn.Module):
    """The position-wise feed-forward network x -> W_2 gelu(W_1 x + b_1) + b_2.

    Source: Vaswani et al. 2017, "Attention Is All You Need", equation 2, with GELU in the place of ReLU.

    Args:
        d_model: width of input and output, at least 1.
        d_ff: number of hidden units, at least 1.

    Parameters of any names and layout, 2 * d_model * d_ff + d_ff + d_model numbers in all (each number of W_1, b_1,
    W_2 and b_2 once), torch's default dtype; W_1 and W_2 start at random.

    Raises:
        ValueError: d_model or d_ff is below 1.
    """

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        ...

    def forward(self, x: Tensor) -> Tensor:
        """Apply the network at every position.

        Args:
            x: (..., d_model), dtype of the parameters; leading dimensions of any number and size, 0 included.

        Returns:
            (..., d_model), dtype and device of x. Each position depends on itself alone. x stays unchanged.

        Raises:
            ValueError: x is 0-dimensional, or its last dimension is not d_model.
        """
        ...


# %% tags=["otter_ignore"]
def feed_forward_by_hand() -> None:
    """Print the example with all parameters 1."""
    network = FeedForward(2, 3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0)
        for x in ([1.0, -1.0], [-1.0, -1.0]):
            print(f"x = {x} gives {[round(value, 3) for value in network(torch.tensor(x)).tolist()]}")


show(feed_forward_by_hand, needs="q3")


# %% [markdown]
# ## q4 · What reaches the first layer
#
# In a deep network the gradient of the first weight matrix is a product of as many factors as there are layers,
# and each factor contains the slope of the activation. Here is a network of `depth` square layers without
# biases, $h_0 = x$ and $h_l = a(h_{l-1} W_l)$, with the mean squared distance from random targets as its loss.
# The weights have variance $2/\text{width}$, which [He et al. 2015](https://arxiv.org/abs/1502.01852) derived
# for ReLU.
#
# The cell below gives you the network, the data and the loss, all drawn from the seed. Your part is the gradient:
#
# $$
# \texttt{gradient\_flow}_l = \left\lVert \frac{\partial \ell}{\partial W_l} \right\rVert_F
# = \sqrt{\sum_{ij} \left(\frac{\partial \ell}{\partial (W_l)_{ij}}\right)^2}, \qquad l = 1, \dots, \text{depth},
# $$
#
# and the share of inputs whose slope is **exactly** 0: not small, not where the *output* is 0, but where the
# gradient is. Here autograd is your tool, for `activation` may be any function of one tensor, element by element.
#
# **By hand.** For ReLU at $-2, -1, 1, 2$, the slopes are $0, 0, 1, 1$: the dead fraction is $\tfrac12$. For
# `hardtanh`, which clips to $[-1, 1]$, at $-3, 0, 2, 3$ they are $0, 1, 0, 0$: $\tfrac34$, although the output is 0
# at one point only.
#
# <details><summary>Hint: element k of x and the slope at x_k</summary>
# If y_k depends on x_k alone, what is the derivative of y_1 + y_2 + ... with respect to x_k?
# </details>
#
# <details><summary>Hint: my gradients are None</summary>
# Autograd keeps track of tensors that say <code>requires_grad</code>, and they must say so before the loss is
# computed from them. The x that you were given is not yours to change: work on a detached copy.
# </details>

# %%
def draw_problem(depth: int, width: int, seed: int = 0) -> tuple[list[Tensor], Tensor, Tensor]:
    """Given: weights (first layer first, each (width, width)), inputs and targets (64, width), in float64."""
    generator = torch.Generator().manual_seed(seed)
    size = {"generator": generator, "dtype": torch.float64}
    weights = [torch.randn(width, width, **size) * math.sqrt(2 / width) for _ in range(depth)]
    return weights, torch.randn(64, width, **size), torch.randn(64, width, **size)


def loss_of(
    activation: Callable[[Tensor], Tensor], weights: list[Tensor], x: Tensor, targets: Tensor
) -> Tensor:
    """Given: the mean squared error of the network h -> activation(h @ W), layer after layer."""
    for weight in weights:
        x = activation(x @ weight)
    return (x - targets).square().mean()


# %%
def gradient_flow(activation: Callable[[Tensor], Tensor], depth: int, width: int, seed: int = 0) -> Tensor:
    """The Frobenius norm of the loss gradient of each weight matrix of a deep network.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks", whose
    figures show such norms by layer. Network, data and loss are draw_problem(depth, width, seed) and loss_of.

    Args:
        activation: a differentiable function of one tensor, element by element, applied after every layer.
        depth: number of layers, at least 1.
        width: number of units of each layer, at least 1.
        seed: what the weights, inputs and targets are drawn from. The same seed, the same result.

    Returns:
        (depth,) in float64, first layer first, without a gradient of its own.

    Raises:
        ValueError: depth or width is below 1.
    """
    ...


# %%
def dead_fraction(activation: Callable[[Tensor], Tensor], x: Tensor) -> float:
    """The share of the numbers in x at which the gradient of the activation is exactly 0.

    Source: Lu et al. 2020, "Dying ReLU and Initialization", for what becomes of a unit that is dead everywhere.

    Args:
        activation: a differentiable function of one tensor, element by element.
        x: any shape, at least one number, floating point. It stays unchanged.

    Returns:
        A Python float from 0.0 to 1.0, by autograd's value of the gradient in the dtype of x.

    Raises:
        ValueError: x is empty.
    """
    ...


# %% [markdown]
# ### GELU against ReLU, layer by layer
#
# Twenty layers of 64 units and eight seeds. Lines are medians, bands reach from the smallest to the largest of the
# eight.

# %% tags=["otter_ignore"]
def gradients_by_layer() -> Figure:
    """Gradient norms by layer for GELU and ReLU, and the share of dead inputs as they shift to the left."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    layers = range(1, 21)
    shifts = torch.linspace(-4, 2, 25)
    normal = torch.randn(4000, generator=torch.Generator().manual_seed(0))
    for name, activation, colour in (("GELU", gelu, "C0"), ("ReLU", relu, "C1")):
        norms = torch.stack([gradient_flow(activation, 20, 64, seed) for seed in range(8)])
        left.semilogy(layers, norms.median(dim=0).values, "o-", ms=4, color=colour, label=name)
        left.fill_between(layers, norms.amin(dim=0), norms.amax(dim=0), color=colour, alpha=0.15)
        dead = [dead_fraction(activation, normal + shift) for shift in shifts]
        right.plot(shifts, dead, "o-", ms=4, color=colour, label=name)
    left.set(
        xlabel="layer",
        ylabel="$\\|\\partial \\ell / \\partial W_l\\|_F$",
        title="gradient norms at the start",
    )
    left.set_xticks([1, 5, 10, 15, 20])
    right.set(
        xlabel="mean of the inputs (standard deviation 1)", ylabel="dead fraction", title="slope exactly 0"
    )
    left.legend(loc="lower left")
    right.legend()
    return figure


draw(gradients_by_layer, needs="q1 and q4")

# %% [markdown]
# **Right**, as expected: at mean 0 half of ReLU's inputs are dead, and as the inputs move to the left nearly all
# of them. GELU's never are.
#
# **Left**, perhaps a surprise: at the start of training, GELU's gradients are *smaller* than ReLU's. The weights
# were scaled so that the signal keeps its size through ReLU. For GELU the same scale is too small: near 0 its
# slope is $\tfrac12$, so it halves a small signal while the weights make up for a factor of $\sqrt2$ only. Layer
# by layer the signal shrinks, and the gradients of the weights with it. No dead units does not mean large
# gradients. Transformers add residual connections and normalisation around each feed-forward network, which keep the
# signal at the size for which the gate is made.
#
# **Where to go from here.** Try the left figure with other widths and depths, or multiply the weights in
# `draw_problem` by 1.2. Which scale keeps GELU's gradients level?
