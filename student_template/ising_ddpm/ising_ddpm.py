# %% [markdown]
# # A diffusion model that learns the Ising model
#
# Put a magnet on every square of a chess board, pointing up or down. Each likes to point the way its four
# neighbours do, and heat kicks it about. That is the two-dimensional Ising model. At low temperature the magnets
# agree and the board is magnetised; at high temperature they don't; in between, at the critical temperature
# $T_c = 2 / \ln(1 + \sqrt 2) = 2.269$, there are islands of all sizes.
#
# Monte Carlo draws such boards by flipping magnets with the right probabilities. You will write that, and then
# teach a neural network to do the same in another way: it learns to **take noise away**. Start it from pure
# noise, let it denoise fifty times, and a board comes out that nobody has computed by flipping magnets.
#
# Most generative models are judged by looking at their pictures. This one can be judged by physics: Onsager and
# Kaufman solved the model exactly, so energy, magnetisation and correlations of what your network dreams up can
# be held against numbers that are known to all digits.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `energy`, `magnetization`, `correlation` | what to measure |
# | q2 | `metropolis` | Monte Carlo, judged against the exact solution |
# | q3 | `linear_schedule`, `q_sample` | the forward process: adding noise |
# | q4 | `Denoiser` | a network that sees a noisy board, the time and the temperature |
# | q5 | `ddpm_loss` | what it is trained for |
# | q6 | `p_sample_step` | one step back |
# | q7 | `training_data`, `train` | the training |
# | q8 | `sample` | from noise to boards |
# | q9 | `domain_sizes`, `observables` | is it physics? |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. Work from top
# to bottom: later questions may call what you wrote before. After each question, run its check. The checks you
# have here are a part of those that grade you, so read the docstrings: everything that is graded is promised
# there.
#
# **What you hand in.** This notebook and `weights.safetensors`, which the training cell below q8 writes beside
# it. Your network is judged with these weights. Without the file the grader trains your network itself, with your
# `train`, which takes longer and need not come out the same.

# %% [markdown]
# ## Notation
#
# | symbol | in the code | meaning |
# | --- | --- | --- |
# | $s_i = \pm 1$ | `spins (..., L, L)` | a board, or a stack of boards; $N = L^2$ sites, periodic in both directions |
# | $T$ | `temperature` | in units where $J = k_B = 1$ |
# | $x_0$ | `x0 (B, L, L)` | boards as real numbers, $\pm 1$ |
# | $\beta_t$ | `betas (n_steps,)` | how much noise step $t$ adds, $t = 0, \dots, n - 1$ |
# | $\alpha_t = 1 - \beta_t$ | | what one step leaves of the board's variance |
# | $\bar\alpha_t = \alpha_0 \alpha_1 \cdots \alpha_t$ | | what all steps up to $t$ leave of it |
# | $x_t$ | `x_t (B, L, L)` | boards with noise |
# | $\epsilon$ | `noise` | standard normal numbers |
#
# Physicists call $1/T$ by the letter $\beta$; here $\beta_t$ is the noise schedule and the temperature is always
# $T$. Time starts at $t = 0$, as Python does: **$x_{t=0}$ has already one portion of noise.** (The
# [paper](https://arxiv.org/abs/2006.11239) of Ho, Jain and Abbeel counts from 1.)
#
# The next cell holds imports, the settings that everybody uses, exact values for the figures, and a helper for
# your argument checks: `require(n >= 1, "n must be at least 1")` raises a `ValueError` with that message when `n`
# is 0. Write the checks **last**.

# %%
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

torch.set_num_threads(1)  # the arrays are small: more threads only wait for each other

SIZE = 8
TEMPERATURES = (1.5, 2.269185, 3.5)  # ordered, critical, disordered
N_STEPS, BETA_START, BETA_END = 50, 0.002, 0.4  # your network is judged with this schedule

# Exact values for L = 8: temperature -> energy per site, mean of |m| (from the transfer matrix).
EXACT = {
    1.0: (-1.99716, 0.99928), 1.25: (-1.98485, 0.99602), 1.5: (-1.95112, 0.98650), 1.75: (-1.87990, 0.96394),
    2.0: (-1.74568, 0.91145), 2.1: (-1.66565, 0.87363), 2.2: (-1.56804, 0.82171), 2.269185: (-1.49159, 0.77733),
    2.35: (-1.39671, 0.71863), 2.45: (-1.27871, 0.64131), 2.6: (-1.11897, 0.53193), 2.8: (-0.95602, 0.42002),
    3.0: (-0.84132, 0.34603), 3.25: (-0.73969, 0.28796), 3.5: (-0.66491, 0.25133), 4.0: (-0.55849, 0.20870),
}  # fmt: skip


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


def board(ax: plt.Axes, spins: Tensor, limit: float = 1.0) -> None:
    """Draw one board: up dark, down light, grey levels in between."""
    ax.imshow(spins.float(), cmap="Greys", vmin=-limit, vmax=limit)
    ax.set(xticks=[], yticks=[])


# %% [markdown]
# ## q1 · What to measure
#
# The energy per site counts every bond between neighbours once, and the torus has no edge: the right neighbour of
# the last column is the first one.
#
# $$
# e(s) = -\frac{1}{N} \sum_{\langle ij \rangle} s_i s_j , \qquad
# m(s) = \frac{1}{N} \sum_i s_i , \qquad
# G(r; s) = \frac{1}{2N} \sum_i \big( s_i\, s_{i + r\hat x} + s_i\, s_{i + r\hat y} \big) .
# $$
#
# A site has four bonds and shares each with a neighbour, so there are $2N$ of them, and $e$ lies between $-2$
# (all agree) and $+2$ (a checkerboard). $G(r)$ says how well sites at a distance $r$ agree. It is not
# "connected": $\langle m \rangle^2$ is not subtracted. On a torus of $L$ sites no two are farther apart than
# $L / 2$ along an axis.
#
# **By hand.** A $4 \times 4$ board, all up but one spin. Of the 32 bonds, 4 are broken: the sum over bonds is
# $28 - 4 = 24$, so $e = -24/16 = -1.5$. The mean is $m = (15 - 1)/16 = 0.875$. The lone spin appears in 4 of the
# 32 products of $G(1)$, and in 4 of those of $G(2)$: $G = (1,\ 0.75,\ 0.75)$.
#
# <details><summary>Hint: the torus</summary>
# <code>spins.roll(1, dims=-1)</code> shifts every row by one and brings what falls off back in on the other side.
# </details>
#
# <details><summary>Hint: each bond once</summary>
# A roll by +1 pairs each site with its left neighbour, one by -1 with its right neighbour. Which bonds do both of
# them count?
# </details>
#
# <details><summary>Hint: integers</summary>
# Spins may come as int8, and torch takes no mean of integers. Convert first.
# </details>

# %%
def energy(spins: Tensor) -> Tensor:
    """The energy per site, -(1/N) times the sum over bonds of s_i s_j; each bond once, periodic boundaries.

    Source: Onsager 1944, Phys. Rev. 65, 117; J = 1 and no field.

    Args:
        spins: boards of +-1, (..., L, L), L even and at least 4, any numeric dtype.

    Returns:
        (...), from -2 to 2; dtype of the spins if it is floating point, else torch's default dtype.

    Raises:
        ValueError: the last two dimensions are missing or differ, or L is odd or below 4.
    """
    ...


# %%
def magnetization(spins: Tensor) -> Tensor:
    """The mean spin, with its sign.

    Args:
        spins: boards of +-1, (..., L, L), L even and at least 4, any numeric dtype.

    Returns:
        (...), from -1 to 1; dtype as in energy.

    Raises:
        ValueError: as in energy.
    """
    ...


# %%
def correlation(spins: Tensor) -> Tensor:
    """G(r), the mean of s_i s_j over all pairs at distance r along an axis; both axes, not connected.

    Args:
        spins: boards of +-1, (..., L, L), L even and at least 4, any numeric dtype.

    Returns:
        (..., L // 2 + 1): G(0) = 1, G(1), ..., G(L / 2) of each board; dtype as in energy.

    Raises:
        ValueError: as in energy.
    """
    ...


# %% tags=["otter_ignore"]
def hand_board() -> None:
    """Print the example by hand, measured with your functions."""
    spins = torch.ones(4, 4)
    spins[1, 2] = -1
    values = ", ".join(f"{value:.3f}" for value in correlation(spins).tolist())
    print(f"energy {float(energy(spins))}, magnetization {float(magnetization(spins))}, correlation {values}")


show(hand_board, needs="q1")


# %% [markdown]
# ## q2 · Monte Carlo
#
# In equilibrium, a board $s$ has the probability $e^{-E(s)/T} / Z$. Metropolis and his co-authors (1953) reach
# it by proposals: turn one spin over; if the energy rises by $\Delta E$, accept with probability
# $e^{-\Delta E / T}$, else accept always.
#
# $$
# \Delta E_i = 2\, s_i \sum_{j \sim i} s_j , \qquad
# p_{\text{flip}} = \min\!\big(1,\ e^{-\Delta E_i / T}\big) .
# $$
#
# One spin after the other is slow in Python. But on a chess board, a white square has only black neighbours:
# given the black ones, the white ones don't know of each other. So **all white squares may be updated at once,
# then all black ones**. That is one sweep. It works on a torus if $L$ is even; for odd $L$ two squares of one
# colour meet at the seam.
#
# **Not all at once.** If neighbours flip in the same instant, each decides by what the other *was*. From a
# checkerboard at low temperature every spin wants to turn over, all do, and they disagree as before. The result
# looks like a strange antiferromagnet with an energy of about $+1.8$.
#
# **By hand.** An up spin with three neighbours up and one down has $\Delta E = 2 \cdot 1 \cdot 2 = 4$. At
# $T = 2.269$ it flips with probability $e^{-4/2.269} = 0.17$.
#
# The heat bath does as well: choose up with probability $1 / (1 + e^{-2 h_i / T})$, where $h_i$ is the sum of the
# neighbours, whatever the spin was. Any sampler with the right equilibrium is right here.
#
# <details><summary>Hint: the colours</summary>
# The sum of row and column number is even on squares of one colour. Make that a boolean (L, L) mask.
# </details>
#
# <details><summary>Hint: many chains</summary>
# Work on (..., L, L) as a whole. Draw one random number for each site of each chain: chains that share random
# numbers are copies of each other.
# </details>

# %%
def metropolis(
    spins: Tensor, temperature: float, n_sweeps: int, generator: torch.Generator | None = None
) -> Tensor:
    """Boards after some Monte Carlo sweeps at a temperature; every board is a chain of its own.

    In equilibrium a board has the probability exp(-E / T) / Z, with E the energy of the torus. Metropolis or heat
    bath, in checkerboard order or site by site.

    Source: Metropolis et al. 1953, J. Chem. Phys. 21, 1087.

    Args:
        spins: boards of +-1, (..., L, L), L even and at least 4, any numeric dtype: where the chains start.
        temperature: T > 0, the same for all chains.
        n_sweeps: how many updates of every site, at least 0.
        generator: where all random numbers come from; None: torch's own. The same state gives the same boards.

    Returns:
        New boards of +-1, shape and dtype of the spins, which stay unchanged.

    Raises:
        ValueError: the last two dimensions are missing or differ; L is odd or below 4; temperature is not above
            0; n_sweeps is negative.
    """
    ...


# %% [markdown]
# Does it work? The exact energy of the $8 \times 8$ torus is known (Kaufman 1949), so we can ask. A chain at low
# temperature keeps its sign for ever (at $T = 1.5$ no change of sign was seen in 4000 sweeps), so we start half of
# the chains up and half down.

# %% tags=["otter_ignore"]
@functools.cache
def monte_carlo(temperature: float, n: int = 1000, size: int = SIZE) -> Tensor:
    """Boards in equilibrium, (n, size, size): half of the chains start up, half down; 200 sweeps."""
    start = torch.ones(n, size, size)
    start[::2] = -1
    generator = torch.Generator().manual_seed(round(1000 * temperature))
    return metropolis(start, temperature, 200, generator)


def boards_and_energy() -> Figure:
    """Monte Carlo boards of 32 x 32 sites at three temperatures, and energies beside the exact curve."""
    figure, axes = plt.subplots(1, 4, figsize=(14, 3.6), width_ratios=[1, 1, 1, 1.5], layout="constrained")
    names = ("ordered", "critical", "disordered")
    for ax, temperature, name in zip(axes, TEMPERATURES, names, strict=False):
        board(ax, monte_carlo(temperature, 1, 32)[0])
        ax.set_title(f"{name}, $T = {temperature:.4g}$")
    axes[3].plot(list(EXACT), [e for e, _ in EXACT.values()], color="0.5", label="exact, $L = 8$")
    for temperature in (1.25, 1.5, 2.0, 2.269185, 2.6, 3.0, 3.5, 4.0):
        found = energy(monte_carlo(temperature, 400))
        axes[3].errorbar(temperature, found.mean(), 2 * found.std() / 20, fmt="o", ms=4, color="C0")
    axes[3].set(xlabel="temperature $T$", ylabel="energy per site", title="Monte Carlo, 400 boards each")
    axes[3].legend()
    return figure


draw(boards_and_energy, needs="q1 and q2")


# %% [markdown]
# Error bars are two standard errors: about one point in twenty may miss the curve by more. Look at the critical
# board: it has islands of every size, with lakes in them.

# %% [markdown]
# ## q3 · Adding noise
#
# The forward process mixes the board with noise in $n$ small steps,
# $x_t = \sqrt{1 - \beta_t}\, x_{t-1} + \sqrt{\beta_t}\, \epsilon_t$. Sums of Gaussians are Gaussian, so one need
# not walk: with $\bar\alpha_t = \prod_{s=0}^{t} (1 - \beta_s)$ one jumps there directly
# ([Ho et al. 2020](https://arxiv.org/abs/2006.11239), equation 4):
#
# $$
# x_t = \sqrt{\bar\alpha_t}\; x_0 + \sqrt{1 - \bar\alpha_t}\; \epsilon , \qquad \epsilon \sim \mathcal N(0, 1) .
# $$
#
# **Why the roots?** Variances add, not amplitudes. If $x_0$ has variance 1, then $x_t$ has variance
# $\bar\alpha_t + (1 - \bar\alpha_t) = 1$, at every $t$.
#
# **By hand.** $\beta = (0.2, 0.5)$ gives $\alpha = (0.8, 0.5)$ and $\bar\alpha = (0.8, 0.4)$. With $x_0 = 1$ and
# $\epsilon = -1$: $x_{t=0} = \sqrt{0.8} - \sqrt{0.2} = 0.4472$ and $x_{t=1} = \sqrt{0.4} - \sqrt{0.6} = -0.1421$.
#
# <details><summary>Hint: one t for each board</summary>
# <code>alpha_bar[t]</code> has shape (B,) and x0 has shape (B, L, L). Which shape broadcasts?
# </details>

# %%
def linear_schedule(n_steps: int, start: float, end: float) -> Tensor:
    """The noise of each step, growing evenly from start to end.

    Source: Ho, Jain and Abbeel 2020, section 4.

    Args:
        n_steps: how many steps, at least 1. A single step has the noise start.
        start: of the first step.
        end: of the last step; 0 < start <= end < 1.

    Returns:
        betas, (n_steps,), torch's default dtype.

    Raises:
        ValueError: n_steps is below 1, or 0 < start <= end < 1 does not hold.
    """
    ...


# %%
def q_sample(x0: Tensor, t: Tensor, noise: Tensor, betas: Tensor) -> Tensor:
    """Boards after the noise of steps 0 to t: sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) noise.

    Source: Ho, Jain and Abbeel 2020, equation 4.

    Args:
        x0: boards without noise, (B, L, L), floating point.
        t: the step of each board, (B,), long, from 0 to n_steps - 1.
        noise: standard normal numbers, shape and dtype of x0.
        betas: the schedule, (n_steps,), dtype of x0.

    Returns:
        x_t, shape and dtype of x0. Differentiable in x0 and noise; the inputs stay unchanged.

    Raises:
        ValueError: x0 and noise differ in shape; t is not (B,); some t is below 0 or above n_steps - 1.
    """
    ...


# %% tags=["otter_ignore"]
def forward_strip() -> Figure:
    """A critical board on its way into noise, and what is left of it."""
    betas = linear_schedule(N_STEPS, BETA_START, BETA_END)
    times = torch.tensor([0, 5, 10, 15, 20, 30, 49])
    x0 = monte_carlo(2.269185, 1, 32).expand(len(times), -1, -1)
    noise = torch.randn(x0.shape[1:], generator=torch.Generator().manual_seed(0)).expand(x0.shape)
    x_t = q_sample(x0, times, noise, betas)
    figure, axes = plt.subplots(1, 8, figsize=(15, 2.6), width_ratios=[1] * 7 + [1.6], layout="constrained")
    for ax, t, x in zip(axes, times.tolist(), x_t, strict=False):
        board(ax, x, limit=2)
        ax.set_title(f"$t = {t}$")
    alpha_bar = q_sample(torch.ones(N_STEPS, 1, 1), torch.arange(N_STEPS), torch.zeros(N_STEPS, 1, 1), betas)
    axes[7].plot(alpha_bar.flatten(), label="board")
    axes[7].plot((1 - alpha_bar.flatten() ** 2).clamp(min=0).sqrt(), label="noise")
    axes[7].set(xlabel="$t$", ylabel="amplitude", title="signal and noise")
    axes[7].legend()
    return figure


draw(forward_strip, needs="q2 and q3")


# %% [markdown]
# ## q4 · The network
#
# The network sees a noisy board, the time $t$ and the temperature $T$, and answers with its best guess of the
# noise. It needs $t$ because a given value may be much noise or little; it needs $T$ because a speck of noise in
# an ordered board is obvious, and in a disordered one it is not. One network serves all temperatures.
#
# Any architecture that learns is right. What has worked here, in 43,000 parameters:
#
# - **Convolutions that know the torus**, `nn.Conv2d(..., padding=1, padding_mode="circular")`, 16 channels, one
#   level of averaging down to $4 \times 4$ (32 channels) and back up. So each site sees the whole board.
# - **The time as sines and cosines** of $t$ at 16 frequencies from 1 to 1/1000, because a network cannot read fine
#   differences from a single number. Two small layers turn them into 64 numbers, and two more do the same for $T$;
#   the sum of both tells each block how to scale and shift its channels.
# - **The output is x_t plus what the network says**, for at late times $x_t$ is nearly all noise, and the network
#   need only learn the difference.
#
# Convolutions want a channel dimension, `x_t[:, None]`; take it away again at the end. No batch normalisation: one
# board must not depend on who else is in the batch.

# %%
class Denoiser(nn.Module):
    """Guesses the noise in a noisy board, from the board, the time and the temperature.

    Denoiser() without arguments builds the network that your weights belong to. In eval mode it is deterministic,
    and each board is treated by itself. It must be able to depend on x_t, t and temperature.

    forward(x_t, t, temperature) -> noise
        x_t: (B, L, L), floating point, dtype of the parameters; L = 8 at least must work.
        t: (B,), long, 0-based.
        temperature: (B,), dtype of x_t.
        noise: the guess, shape and dtype of x_t.

    Source: Ronneberger et al. 2015 (U-Net); Perez et al. 2018 (scale and shift by a condition).
    """

    ...


# %% [markdown]
# ## q5 · The loss
#
# Training is a guessing game: take boards, add noise, show the network what came out, and let it say which noise
# it was. The loss is the mean squared error of the guess (Ho et al., equation 14 and algorithm 1):
#
# $$
# \mathcal L = \operatorname{mean}\Big[ \big( \epsilon - \epsilon_\theta(x_t, t, T) \big)^2 \Big] , \qquad
# t \sim \text{uniform}\{0, \dots, n - 1\}, \quad \epsilon \sim \mathcal N(0, 1) .
# $$
#
# Each board of the batch has its own $t$ and its own noise. The mean runs over boards and sites.
#
# **By hand.** A network that always answers 0 has the loss $\langle \epsilon^2 \rangle = 1$. One that answers
# $\epsilon + 0.5$ has $0.25$. One that knows the noise has 0.

# %%
def ddpm_loss(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    x0: Tensor,
    temperature: Tensor,
    betas: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The mean squared error of the model's guess of the noise, at a random time for each board.

    Source: Ho, Jain and Abbeel 2020, equation 14.

    Args:
        model: any callable (x_t, t, temperature) -> noise, such as a Denoiser. Nothing but this call is used, once:
            a plain function must do.
        x0: boards of +-1, (B, L, L), floating point.
        temperature: of each board, (B,).
        betas: the schedule, (n_steps,), dtype of x0.
        generator: where times and noise come from; None: torch's own. The same state gives the same loss.

    Returns:
        The loss, a 0-d tensor, differentiable in the model's parameters.

    Raises:
        ValueError: temperature is not (B,).
    """
    ...


# %% [markdown]
# ## q6 · One step back
#
# If you know the noise in $x_t$, you know what $x_{t-1}$ looks like: a Gaussian around (Ho et al., equation 11)
#
# $$
# \mu = \frac{1}{\sqrt{\alpha_t}} \left( x_t - \frac{\beta_t}{\sqrt{1 - \bar\alpha_t}}\, \epsilon_\theta(x_t, t, T)
# \right) , \qquad x_{t-1} = \mu + \sigma_t z, \quad z \sim \mathcal N(0, 1) .
# $$
#
# For the variance, both $\sigma_t^2 = \beta_t$ and $\sigma_t^2 = \tilde\beta_t = \frac{1 - \bar\alpha_{t-1}}{1 -
# \bar\alpha_t} \beta_t$ are right: one is exact for data that are themselves Gaussian noise, the other for data
# that are a single point. Choose one. **At $t = 0$ there is no noise:** the result is $\mu$.
#
# Why add noise at all while taking noise away? Because $\mu$ is a mean over all boards that $x_t$ might have come
# from. Walking from mean to mean ends in the most typical board, every time; the noise keeps the variety.
#
# **By hand.** $\beta = (0.2, 0.5)$ as above, $x_{t=1} = -0.1421$, and a network that answers $\epsilon = -1$. Then
# $\mu = (-0.1421 + 0.5 / \sqrt{0.6}) / \sqrt{0.5} = 0.7119$, and $\tilde\beta_1 = 0.5 \cdot 0.2 / 0.6 = 0.1667$.
#
# <details><summary>Hint: what the model wants</summary>
# Here t is one number for the whole batch, but the model takes a tensor (B,): <code>torch.full((B,), t)</code>.
# </details>

# %%
def p_sample_step(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    x_t: Tensor,
    t: int,
    temperature: Tensor,
    betas: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """One step of the reverse process, from x_t to x_(t-1); at t = 0 to the final board, without noise.

    No clipping and no sign: real numbers go in and come out.

    Source: Ho, Jain and Abbeel 2020, equation 11 and algorithm 2.

    Args:
        model: any callable (x_t, t, temperature) -> noise; called once, with t as a long tensor (B,).
        x_t: noisy boards, (B, L, L), floating point; it stays unchanged.
        t: the step, 0-based, the same for all boards.
        temperature: of each board, (B,).
        betas: the schedule, (n_steps,), dtype of x_t.
        generator: where the noise comes from; None: torch's own. One standard normal number for each site, whatever
            x_t is; the same state gives the same noise.

    Returns:
        x_(t-1), shape and dtype of x_t: normal with the mean of equation 11 and a variance of either beta_t or
        beta_t (1 - alpha_bar_(t-1)) / (1 - alpha_bar_t). For t = 0 the mean itself.

    Raises:
        ValueError: t is below 0 or above n_steps - 1.
    """
    ...


# %% tags=["otter_ignore"]
def hand_steps() -> None:
    """Print the examples by hand of q3 and q6."""
    betas = torch.tensor([0.2, 0.5])
    one = torch.ones(1, 1, 1)
    for t in (0, 1):
        print(f"q_sample at t = {t}: {q_sample(one, torch.tensor([t]), -one, betas).item():.4f}")
    answer = lambda x_t, t, temperature: -torch.ones_like(x_t)  # noqa: E731
    x_t = torch.full((200_000, 1, 1), -0.1421)
    generator = torch.Generator().manual_seed(0)
    x = p_sample_step(answer, x_t, 1, torch.ones(200_000), betas, generator)
    print(f"p_sample_step at t = 1: mean {x.mean().item():.3f}, variance {x.var().item():.3f}")


show(hand_steps, needs="q3 and q6")


# %% [markdown]
# ## q7 · Data and training
#
# **Data.** 2000 boards at each of the three temperatures, from your own `metropolis`. Mind the sign: chains that
# all start up stay up at $T = 1.5$, and a network trained on them never learns that the other half of the boards
# exists. Start half of them up and half down, and let them run for 200 sweeps.
#
# **Training.** A plain loop: draw a batch, compute `ddpm_loss`, step. With 1500 steps of 64 boards and Adam it
# takes about half a minute. These help, in this order:
#
# - **A learning rate that falls**, for instance along a cosine from 0.002 to nearly 0, after a short warm-up.
# - **A running average of the parameters** (`average = 0.995 * average + 0.005 * parameter`), put into the model at
#   the end. Single steps are noisy; their average is not.
# - **Gradients clipped** to a norm of 1.
# - **Flipping every board with probability 1/2**: the physics has this symmetry, so it doubles your data.
#
# Train for at least 1500 steps; count steps, not seconds.

# %%
def training_data(
    n: int, size: int, temperatures: Sequence[float], generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Boards in equilibrium at each temperature, in equal numbers, and the temperature of each.

    Both signs of the magnetisation occur equally often at every temperature, also where a chain never changes its
    own.

    Args:
        n: boards at each temperature, at least 2.
        size: L, even and at least 4.
        temperatures: each above 0; k of them.
        generator: where the random numbers come from; None: torch's own.

    Returns:
        (spins, temperature): boards of +-1, (k n, L, L), and (k n,), both of torch's default dtype; in any order, as
        long as each board stands beside its temperature.

    Raises:
        ValueError: n is below 2; as in metropolis.
    """
    ...


# %%
def train(
    model: nn.Module, spins: Tensor, temperature: Tensor, betas: Tensor, n_steps: int, seed: int = 0
) -> list[float]:
    """Train the model in place to guess noise.

    Source: Ho, Jain and Abbeel 2020, algorithm 1.

    Args:
        model: a Denoiser; its parameters are changed.
        spins: boards of +-1, (n, L, L), dtype of the parameters; they stay unchanged.
        temperature: of each board, (n,).
        betas: the schedule.
        n_steps: how many steps of the optimiser, at least 1.
        seed: of all random numbers: the same model, data and seed give the same parameters.

    Returns:
        The loss of each step, n_steps Python floats.

    Raises:
        ValueError: n_steps is below 1; spins and temperature differ in length.
    """
    ...


# %% [markdown]
# ## q8 · From noise to boards
#
# Start from standard normal numbers, which is what $x_{n-1}$ looks like, and walk back, $t = n - 1, \dots, 1, 0$.
# The result is what the network thinks of as boards: numbers near $\pm 1$, not rounded.
#
# <details><summary>Hint: memory and time</summary>
# Nothing is learned here: <code>with torch.no_grad():</code> or <code>@torch.no_grad()</code>.
# </details>

# %%
def sample(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    n: int,
    size: int,
    temperature: float,
    betas: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """New boards, from noise, by the whole reverse process t = n_steps - 1, ..., 1, 0.

    Source: Ho, Jain and Abbeel 2020, algorithm 2.

    Args:
        model: any callable (x_t, t, temperature) -> noise, as in p_sample_step. Nothing but this call is used: a
            plain function must do (so no model.eval() or model.parameters() in here).
        n: how many boards, at least 1.
        size: L, even and at least 4.
        temperature: T > 0, the same for all boards; the model gets it as a tensor (B,).
        betas: the schedule, (n_steps,).
        generator: where all random numbers come from; None: torch's own. The same state gives the same boards.

    Returns:
        (n, size, size), dtype of betas, without gradient: real numbers as they come out of the last step, no sign
        taken, nothing clipped at the end.

    Raises:
        ValueError: n is below 1; size is odd or below 4; temperature is not above 0.
    """
    ...


# %% [markdown]
# ### The training run
#
# The next cell makes the data, trains, and writes `weights.safetensors`. It takes half a minute to a minute. Hand
# that file in together with this notebook, and run the cell again whenever you change `Denoiser`.

# %% tags=["otter_ignore"]
@functools.cache
def training_run() -> tuple[nn.Module, list[float]]:
    """Train a Denoiser on Monte Carlo boards; write its parameters to weights.safetensors."""
    from safetensors.torch import save_file

    torch.manual_seed(0)
    spins, temperature = training_data(2000, SIZE, TEMPERATURES, torch.Generator().manual_seed(0))
    model = Denoiser()
    losses = train(model, spins, temperature, linear_schedule(N_STEPS, BETA_START, BETA_END), 1500)
    model.eval()
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, "weights.safetensors")
    return model, losses


def training_report() -> None:
    """Train, and say how it went."""
    _, losses = training_run()
    print(
        f"mean loss of the first 100 steps {sum(losses[:100]) / 100:.3f}, of the last {sum(losses[-100:]) / 100:.3f}"
    )


show(training_report, needs="q2 and q3 and q4 and q5 and q7", what="training")


# %% tags=["otter_ignore"]
@functools.cache
def generated(temperature: float, n: int = 500) -> Tensor:
    """Boards from the trained network, (n, 8, 8), as they come out."""
    model, _ = training_run()
    betas = linear_schedule(N_STEPS, BETA_START, BETA_END)
    return sample(model, n, SIZE, temperature, betas, torch.Generator().manual_seed(1))


def reverse_strip() -> Figure:
    """Three critical boards on their way out of noise, every seventh step."""
    model, _ = training_run()
    betas = linear_schedule(N_STEPS, BETA_START, BETA_END)
    generator, temperature = torch.Generator().manual_seed(4), torch.full((3,), TEMPERATURES[1])
    x = torch.randn(3, SIZE, SIZE, generator=generator)
    snapshots = {"noise": x}
    with torch.no_grad():
        for t in reversed(range(N_STEPS)):
            x = p_sample_step(model, x, t, temperature, betas, generator)
            if t % 7 == 0:
                snapshots[f"$t = {t}$"] = x
    figure, axes = plt.subplots(3, len(snapshots), figsize=(1.3 * len(snapshots), 4.4), layout="constrained")
    for column, (title, boards) in zip(axes.T, snapshots.items(), strict=True):
        for ax, spins in zip(column, boards, strict=True):
            board(ax, spins, limit=1.5)
        column[0].set_title(title)
    return figure


draw(reverse_strip, needs="the training run and q6")


# %% [markdown]
# For a long time nothing seems to happen; then, within a few steps, each board decides for a sign and for its
# islands. The last steps only polish.

# %% [markdown]
# ## q9 · Is it physics?
#
# First, spins: the sign of each number. Then measure what you measured on Monte Carlo boards, and one thing more:
# the **domains**, regions of equal spins that hang together by their edges (not by corners), across the seam too.
#
# **By hand.** A $4 \times 4$ board whose rows are $(+, +, -, -)$ four times has two domains of 8 sites. Move the
# pattern by one column, $(-, +, +, -)$: still two domains, for the last column touches the first.
#
# <details><summary>Hint: finding a domain</summary>
# Pour paint on a site: it spreads to equal neighbours, from them to theirs, until nothing is left to spread to.
# What stays dry belongs to other domains.
# </details>

# %%
def domain_sizes(spins: Tensor) -> list[int]:
    """The sizes of the domains of one board: sets of equal spins joined by nearest-neighbour bonds of the torus.

    Source: Stauffer and Aharony 1994, "Introduction to Percolation Theory".

    Args:
        spins: one board of +-1, (L, L), L even and at least 4, any numeric dtype.

    Returns:
        The number of sites of each domain, largest first; they sum to L * L.

    Raises:
        ValueError: spins is not (L, L) with L even and at least 4.
    """
    ...


# %%
def observables(samples: Tensor) -> dict[str, float | Tensor]:
    """What physics says about boards that came out of a network: means over the boards, after taking signs.

    Args:
        samples: real numbers, (n, L, L), L even and at least 4. A number above 0 is an up spin, all others are down.

    Returns:
        A dict: "energy", mean energy per site, float; "abs_magnetization", mean of |m|, float; "histogram", the share
        of boards with |m| = 0, 2/N, 4/N, ..., 1, tensor (N // 2 + 1,); "correlation", mean G(r), tensor
        (L // 2 + 1,); "n_domains", mean number of domains of a board, float; "largest_domain", mean share of the
        sites that are in the largest domain, float.

    Raises:
        ValueError: samples is not (n, L, L) with n at least 1, L even and at least 4.
    """
    ...


# %% tags=["otter_ignore"]
def side_by_side() -> Figure:
    """Six boards each from the network and from Monte Carlo, at three temperatures."""
    figure, axes = plt.subplots(
        3, 13, figsize=(14, 3.6), width_ratios=[1] * 6 + [0.4] + [1] * 6, layout="constrained"
    )
    for row, temperature in zip(axes, TEMPERATURES, strict=True):
        for ax, spins in zip(row[:6], generated(temperature).sign(), strict=False):
            board(ax, spins)
        for ax, spins in zip(row[7:], monte_carlo(temperature)[100:], strict=False):
            board(ax, spins)
        row[6].set_axis_off()
        row[0].set_ylabel(f"$T = {temperature:.4g}$")
    axes[0, 2].set_title("from the network", loc="left")
    axes[0, 9].set_title("Monte Carlo", loc="left")
    return figure


draw(side_by_side, needs="the training run and q8")


# %% tags=["otter_ignore"]
def observables_against_temperature() -> Figure:
    """Energy and |m| of network and Monte Carlo beside the exact curves, also where the network was not trained."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    names = {"energy": "energy per site", "abs_magnetization": "mean of $|m|$"}
    for number, (ax, (key, label)) in enumerate(zip(axes, names.items(), strict=True)):
        ax.plot(list(EXACT), [values[number] for values in EXACT.values()], color="0.5", label="exact")
        for temperature in TEMPERATURES:
            ax.plot(temperature, observables(monte_carlo(temperature))[key], "C0x", ms=9, label="Monte Carlo")
            ax.plot(temperature, observables(generated(temperature))[key], "C3o", label="network")
        for temperature in (2.0, 2.6, 3.0):
            ax.plot(temperature, observables(generated(temperature, 200))[key], "o", mfc="none", mec="C3",
                    label="network, never trained there")  # fmt: skip
        ax.set(xlabel="temperature $T$", ylabel=label)
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].legend(
        *zip(*dict(zip(labels, zip(handles, labels, strict=True), strict=True)).values(), strict=True)
    )
    return figure


draw(observables_against_temperature, needs="the training run and q8 and q9")


# %% tags=["otter_ignore"]
def distributions() -> Figure:
    """The distribution of |m| and the correlations G(r), network beside Monte Carlo."""
    figure, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for (above, below), temperature in zip(axes.T, TEMPERATURES, strict=True):
        ours, theirs = observables(generated(temperature)), observables(monte_carlo(temperature))
        levels = torch.linspace(0, 1, len(ours["histogram"]))
        above.bar(levels, theirs["histogram"], width=0.03, color="0.75", label="Monte Carlo")
        above.plot(levels, ours["histogram"], "C3.", label="network")
        above.set(title=f"$T = {temperature:.4g}$", xlabel="$|m|$")
        below.plot(theirs["correlation"], "o-", color="0.6", label="Monte Carlo")
        below.plot(ours["correlation"], "C3x", ms=8, label="network")
        below.set(xlabel="distance $r$", ylim=(0, 1.05))
        print(f"T = {temperature}: domains a board {ours['n_domains']:.2f} (Monte Carlo {theirs['n_domains']:.2f}),"
              f" largest {ours['largest_domain']:.3f} ({theirs['largest_domain']:.3f})")  # fmt: skip
    axes[0, 0].set_ylabel("share of the boards")
    axes[1, 0].set_ylabel("$G(r)$")
    axes[0, 0].legend()
    return figure


draw(distributions, needs="the training run and q8 and q9")

# %% [markdown]
# The network has never been told what energy is, and yet its boards have the right one to a few percent, at all
# three temperatures, with the right islands. Between them, where it has never been, it is not far off either: it has
# learned how boards change with $T$.
#
# Not everything is this good. The *fluctuations* of the energy (the specific heat) come out some 40 % too large near
# $T_c$: averages are learned first, rare boards last. And a network that had memorised its training data would pass
# all of these tests: to tell, look for boards that occur twice. At $T = 3.5$ there are so many possible boards that
# two equal ones are a confession.
