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
# # A language model that learns to calculate
#
# A language model does one thing: given the beginning of a text, it says how likely each symbol is to come next.
# Nobody tells it what the text means. Here the texts are sums and differences,
#
# ```
# 3+5=8        27+38=65        49-17=32
# ```
#
# and all it ever sees is characters. If it continues `27+38=` with `65` although that very sum was never among
# its training texts, then it has not learned a table by heart: it has learned something about addition. You will
# build the model, train it in half a minute on one processor core, and measure what it has learned on problems
# that were kept away from it.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `encode_problem`, `decode_ids` | texts as numbers, and back |
# | q2 | `perplexity` | among how many symbols the model hesitates |
# | q3 | `TinyGPT` | the model: it looks back, never ahead |
# | q4 | `train` | learning, and an honest record of it |
# | q5 | `solve` | answering: one symbol after the other |
# | q6 | `attention_maps` | what each head looks at |
# | q7 | `compare_with_gpt2` | the same measure for a model that read the web |
#
# **The goal.** On held-out problems, your trained model must reach a perplexity **below 1.5** on the symbols of
# the answers, and get at least **80 % of the answers** right in full. You train here and hand in the weights with
# your notebook.
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. After each
# question, run its check. The checks you have here are a part of those that grade you, so read the docstrings:
# everything that is graded is promised there.

# %% [markdown]
# ## The texts
#
# All sums $a + b$ and all differences $a - b$ with $a \ge b$, where $0 \le a, b \le 49$: 3775 problems. With single
# digits there would be too few of them to find the rule behind; a model then learns the table by heart and fails
# on everything else.
#
# There are 15 symbols: the digits, `+`, `-`, `=`, the **end** `;` and the **padding** `_`. The end is a symbol like
# any other: a model has to say when its answer is complete, `6` or `65`. The padding fills up short texts where
# several lie in one table; it means nothing.
#
# ### Held out: one problem in ten
#
# `is_held_out(problem)` decides which problems are never trained on: 376 of the 3775. It looks at the two operands
# *in order of size*, so that $27 + 38$ and $38 + 27$ are always on the same side. Otherwise nine tenths of the
# held-out sums would have their twin in the training set, and you would measure how well the model swaps two
# numbers. The choice is made by a checksum: as good as chance, and the same on every computer.
#
# The next cell holds the imports and what is given. Leave it as it is.

# %%
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

ALPHABET = "0123456789+-=;_"  # the id of a symbol is its place in here: "0" is 0, "=" is 12
END, PADDING = ";", "_"

# The model that is graded, and how long it is trained. Your weights must fit a model of exactly these sizes.
SIZES = {"vocab_size": 15, "d_model": 64, "n_heads": 4, "n_layers": 2, "max_len": 16}
STEPS = 1000


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def all_problems() -> list[str]:
    """The 3775 problems with operands from 0 to 49, such as "3+5=8"."""
    pairs = [(a, b) for a in range(50) for b in range(50)]
    return [f"{a}+{b}={a + b}" for a, b in pairs] + [f"{a}-{b}={a - b}" for a, b in pairs if a >= b]


def is_held_out(problem: str) -> bool:
    """Whether a problem is kept away from training. "27+38=65" and "38+27=65" are on the same side."""
    question = problem.split("=")[0]
    sign = "+" if "+" in question else "-"
    small, large = sorted(int(number) for number in question.split(sign))
    return zlib.crc32(f"{small}{sign}{large}".encode()) % 10 == 3


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
# ## q1 · Symbols and numbers
#
# A model computes with numbers, so each symbol gets one: its place in `ALPHABET`. Nothing is added and nothing is
# left out: if a text is to end, the caller writes the `;`.
#
# **By hand.** `3+5=8;` becomes $3, 10, 5, 12, 8, 13$. On the way back, the text stops *before* the first end
# symbol, and padding is left out: $[8, 13, 14, 14]$ is `8`, and so is $[8, 13, 5]$.
#
# <details><summary>Hint: unknown ids</summary>
# Python counts negative places from the end: <code>ALPHABET[-1]</code> is a symbol, but -1 is no id.
# </details>


# %% tags=["q1"]
def encode_problem(text: str) -> list[int]:
    """The ids of a text, one for each of its symbols.

    Args:
        text: any text over the alphabet "0123456789+-=;_", such as "3+5=8;" or "3+5="; it may be empty.

    Returns:
        A list of Python ints from 0 to 14, as long as the text: the place of each symbol in the alphabet.

    Raises:
        ValueError: a character is not in the alphabet, such as a blank.
    """
    # BEGIN SOLUTION
    for character in text:
        require(character in ALPHABET, f"{character!r} is not one of the symbols {ALPHABET}")
    return [ALPHABET.index(character) for character in text]
    # END SOLUTION


# %% tags=["q1"]
def decode_ids(ids: Sequence[int]) -> str:
    """The text that a list of ids stands for, up to its end.

    Args:
        ids: ints from 0 to 14; may be empty. The list stays unchanged.

    Returns:
        The symbols before the first end symbol ";" (all of them, if there is none), without the padding "_".

    Raises:
        ValueError: an id before the first end symbol is not in 0..14. -1 is not an id either.
    """
    # BEGIN SOLUTION
    text = ""
    for number in ids:
        require(0 <= number < len(ALPHABET), f"{number} is not an id: they go from 0 to {len(ALPHABET) - 1}")
        if ALPHABET[number] == END:
            break
        if ALPHABET[number] != PADDING:
            text += ALPHABET[number]
    return text
    # END SOLUTION


# %% tags=["otter_ignore"]
def hand_encoding() -> None:
    """Print the example, there and back."""
    ids = encode_problem("3+5=8;")
    print("3+5=8;  ->  " + ", ".join(map(str, ids)) + "  ->  " + decode_ids(ids))
    print("[8, 13, 14, 14]  ->  " + decode_ids([8, 13, 14, 14]))


show(hand_encoding, needs="q1")

# %% [markdown]
# ## q2 · Perplexity
#
# A model gives *logits* $z \in \mathbb{R}^V$, one number for each symbol of the vocabulary; its probabilities are
# their softmax. The loss for a target symbol $t$ is the *negative log-likelihood*
#
# $$
# \ell = -\ln p(t) = \ln \sum_{s} e^{z_s} - z_t ,
# $$
#
# and the **perplexity** is the exponential of its mean over all $N$ counted symbols
# ([Jurafsky and Martin](https://web.stanford.edu/~jurafsky/slp3/), section 3.3):
#
# $$
# \mathrm{PP} = \exp\Big(\frac1N \sum_{n=1}^{N} -\ln p_n(t_n)\Big) = \Big(\prod_n p_n(t_n)\Big)^{-1/N} .
# $$
#
# Read it as a number of doors: a model that hesitates between $m$ equally likely symbols has perplexity $m$. One
# that knows nothing has $V = 15$, one that is always sure and right has 1.
#
# **By hand.** Two symbols, to which the model gave the probabilities $\tfrac12$ and $\tfrac18$. The mean of
# $\ln 2$ and $\ln 8 = 3 \ln 2$ is $2 \ln 2$, so $\mathrm{PP} = e^{2 \ln 2} = 4$: the *geometric* mean of 2 and 8, not
# 5, which is their arithmetic mean.
#
# **What counts.** The operands of a problem are drawn at random: no model on earth can know the second digit of
# the next one. Even a model that makes no mistake is left with a perplexity of
#
# $$
# \exp\!\Bigg(\frac{\sum_{\text{problems}} \ln n(\text{first digit})}
# {\sum_{\text{problems}} \text{symbols after the first}}\Bigg) \approx 2.39
# $$
#
# over all symbols after the first ($n$ is how many problems begin with that digit; the cell below q2
# computes it). So "below 1.5 over all symbols" is impossible for an honest model, and a smaller number than 2.39
# there proves that it **sees what it should predict**. That is why only the symbols of the answer count, its end
# included. The `mask` says which ones: True = counted. It is one mean over all counted symbols of the batch: a
# mean of means would give the short answers more weight than they have.
#
# <details><summary>Hint: stable logarithms</summary>
# exp overflows for large logits, and the logarithm of a probability that was rounded to 0 is -inf.
# <code>torch.log_softmax</code> and <code>F.cross_entropy</code> take logits, and subtract the maximum for you.
# </details>


# %% tags=["q2"]
def perplexity(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The exponential of the mean negative log-likelihood (natural logarithm) of the counted targets.

    Source: Jurafsky and Martin, "Speech and Language Processing", 3rd edition, section 3.3.

    Args:
        logits: (..., V), floating point, before any softmax.
        targets: ids of the right symbols, (...), torch.long, each in 0..V-1.
        mask: boolean, (...), True = counted. None: all are counted.

    Returns:
        A tensor without dimensions, dtype and device of the logits, differentiable with respect to them. What
        is not counted has no influence. Right for logits of +-150. The inputs stay unchanged.

    Raises:
        ValueError: the shapes do not fit together; mask is not boolean; nothing is counted; a target is
            not in 0..V-1.
    """
    # BEGIN SOLUTION
    found = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
    require(logits.ndim >= 1 and logits.shape[:-1] == targets.shape, f"{found} do not fit together")
    if mask is None:
        mask = torch.ones_like(targets, dtype=torch.bool)
    require(mask.dtype == torch.bool, f"mask must be boolean, got {mask.dtype}")
    require(mask.shape == targets.shape, f"{found} do not fit a mask {tuple(mask.shape)}")
    require(bool(mask.any()), "nothing is counted: the mean over no symbols is not defined")
    known = (targets >= 0) & (targets < logits.shape[-1])
    require(bool(known.all()), f"each target must be in 0..{logits.shape[-1] - 1}")
    # Selecting with a boolean mask flattens all leading dimensions: what remains is one long list.
    return torch.exp(F.cross_entropy(logits[mask], targets[mask]))
    # END SOLUTION


# %% tags=["otter_ignore"]
def hand_perplexity() -> None:
    """Print the example by hand, and the smallest perplexity over all symbols without looking ahead."""
    logits = torch.tensor([[4.0, 2.0, 1.0, 1.0], [1.0, 5.0, 1.0, 1.0]]).log()
    print(f"probabilities 1/2 and 1/8: perplexity {perplexity(logits, torch.tensor([0, 2])):.4f}")
    problems = all_problems()
    beginning = [sum(other[0] == problem[0] for other in problems) for problem in problems]
    symbols = sum(map(len, problems))  # "3+5=8;" has one symbol more than "3+5=8", and its first is given
    print(f"no model that looks back only gets below {math.exp(sum(map(math.log, beginning)) / symbols):.3f}")


show(hand_perplexity, needs="q2")

# %% [markdown]
# ## q3 · The model
#
# The model is a stack of *blocks* on top of two tables ([Radford et al. 2019](https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf)):
#
# $$
# \begin{aligned}
# x_i &= E[\text{id}_i] + P[i] && \text{what the symbol is, and where it stands} \\
# x &\leftarrow x + \operatorname{attention}(\operatorname{norm}(x)) && \text{each position looks back} \\
# x &\leftarrow x + \operatorname{network}(\operatorname{norm}(x)) && \text{each position thinks for itself} \\
# z &= W \operatorname{norm}(x) && \text{logits of the next symbol}
# \end{aligned}
# $$
#
# with the middle two lines repeated `n_layers` times. Attention has `n_heads` heads of width
# $d = d_{\text{model}} / n_{\text{heads}}$, each with
#
# $$
# A = \operatorname{softmax}\!\Big(\frac{Q K^\top}{\sqrt d} + M\Big), \qquad
# M_{ij} = \begin{cases} 0 & j \le i \\ -\infty & j > i \end{cases}
# $$
#
# **Causal.** Row $i$ of the logits predicts symbol $i + 1$. If position $i$ could see position $i + 1$, it would only
# have to copy it. Such a model looks brilliant in training (perplexity 1.000) and cannot answer a single question,
# for then the next symbol is not there yet. So the grader shows your model **prefixes only**: to predict the first
# digit of 27+38 it sees `27+38=` and nothing else.
#
# **Positions.** Attention is a weighted mean and knows no order: without $P$, a single layer cannot tell 12 from 21.
#
# **By hand.** Four symbols of equal keys: every permitted score is the same, so the rows of $A$ are
#
# $$
# A = \begin{pmatrix} 1 & & & \\ \tfrac12 & \tfrac12 & & \\ \tfrac13 & \tfrac13 & \tfrac13 & \\
# \tfrac14 & \tfrac14 & \tfrac14 & \tfrac14 \end{pmatrix} .
# $$
#
# Any layout will do: your own attention, `F.scaled_dot_product_attention`, `nn.MultiheadAttention`, learned, fixed
# or rotary positions. You are judged by what the model does. (For q6 you will have to get at the weights $A$.)
#
# **This question also holds the goal**: its last points are for what your *trained* model can do, and come once q4
# works and your weights are handed in.
#
# <details><summary>Hint: the heads</summary>
# One matrix gives all queries at once, (B, L, d_model). View that as (B, L, n_heads, d) and swap the two middle
# dimensions: then <code>@</code> works on each head by itself. Afterwards, go the same way back.
# </details>
#
# <details><summary>Hint: it learns too slowly</summary>
# nn.Embedding starts with numbers of size 1, far larger than what the blocks add to them at first. GPT-2 starts
# both tables with a standard deviation of 0.02: <code>nn.init.normal_(table.weight, std=0.02)</code>.
# </details>


# %% tags=["q3"]
# BEGIN SOLUTION NO PROMPT
class Block(nn.Module):
    """One block of a transformer: every position looks back, then thinks for itself."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.network_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.queries_keys_values = nn.Linear(d_model, 3 * d_model)
        self.output = nn.Linear(d_model, d_model)
        self.network = nn.Sequential(
            nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model)
        )

    def weights_and_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Attention weights (B, n_heads, L, L) and values (B, n_heads, L, d) for x (B, L, d_model)."""
        heads = self.queries_keys_values(self.attention_norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (3, B, n_heads, L, d)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        ahead = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        return scores.masked_fill(ahead, float("-inf")).softmax(dim=-1), v

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, d_model) to the same shape."""
        weights, v = self.weights_and_values(x)
        # Side by side again: (B, n_heads, L, d) to (B, L, n_heads, d) to (B, L, d_model).
        x = x + self.output((weights @ v).transpose(1, 2).flatten(-2))
        return x + self.network(self.network_norm(x))


# END SOLUTION
class TinyGPT(nn.Module):
    """A causal transformer: for each symbol of a text, the logits of the symbol after it.

    Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.

    Args:
        vocab_size: number of symbols V.
        d_model: width of the model, a multiple of n_heads.
        n_heads: heads in each layer.
        n_layers: number of blocks.
        max_len: the longest text.

    Raises:
        ValueError: a size is below 1, or d_model is not a multiple of n_heads.
    """

    def __init__(self, vocab_size: int, d_model: int, n_heads: int, n_layers: int, max_len: int) -> None:
        super().__init__()
        # BEGIN SOLUTION
        sizes = (vocab_size, d_model, n_heads, n_layers, max_len)
        require(min(sizes) >= 1, f"sizes must be at least 1, got {sizes}")
        require(d_model % n_heads == 0, f"d_model = {d_model} must be a multiple of n_heads = {n_heads}")
        self.symbols, self.positions = nn.Embedding(vocab_size, d_model), nn.Embedding(max_len, d_model)
        for table in (self.symbols, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(d_model, n_heads) for _ in range(n_layers))
        self.norm = nn.LayerNorm(d_model)
        self.logits = nn.Linear(d_model, vocab_size, bias=False)
        # END SOLUTION

    # BEGIN SOLUTION NO PROMPT
    def embedded(self, ids: Tensor) -> Tensor:
        """What the first block sees: (B, L, d_model) for ids (B, L)."""
        vocab_size, max_len = self.symbols.num_embeddings, self.positions.num_embeddings
        require(ids.ndim == 2, f"ids must have two dimensions, got {tuple(ids.shape)}")
        require(1 <= ids.shape[1] <= max_len, f"a text has 1 to {max_len} symbols, got {ids.shape[1]}")
        known = (ids >= 0) & (ids < vocab_size)
        require(bool(known.all()), f"each id must be in 0..{vocab_size - 1}")
        return self.symbols(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))

    # END SOLUTION
    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the next symbol at every position.

        Args:
            ids: (B, L), torch.long, each in 0..vocab_size-1, with 1 <= L <= max_len.

        Returns:
            Logits (B, L, vocab_size): row i depends on ids 0 to i only and predicts id i + 1. Any constant may
            be added to a row. In eval mode the same ids give the same logits, and no text of a batch depends on
            another.

        Raises:
            ValueError: ids has not two dimensions, L is 0 or above max_len, or an id is unknown.
        """
        # BEGIN SOLUTION
        x = self.embedded(ids)
        for block in self.blocks:
            x = block(x)
        return self.logits(self.norm(x))
        # END SOLUTION


# %% [markdown]
# ## q4 · Training
#
# Row $i$ of the logits predicts symbol $i + 1$, so inputs and targets are the same text, shifted by one:
#
# | position | 0 | 1 | 2 | 3 | 4 |
# | --- | --- | --- | --- | --- | --- |
# | input | `3` | `+` | `5` | `=` | `8` |
# | target | `+` | `5` | `=` | `8` | `;` |
# | counted? | | | | yes | yes |
#
# If you forget the shift, the model learns to repeat what it sees: a loss of 0 and no answer ever.
#
# `train` gets problems of both kinds and separates them itself, with `is_held_out`. It takes its steps on the
# first kind **only** and measures the perplexity on the second kind **only**. A perplexity on the training problems
# says how well they were memorised; what you want to know is how the model does on problems it has never seen.
#
# While it trains, `train` keeps a record: the loss, the held-out perplexity, and the **singular values of the
# embedding**, the $15 \times 64$ table with one row for each symbol. They tell how many directions the symbols use.
# At the start the rows are random and all singular values are alike; as the model learns what the symbols have to do
# with each other, a few grow and the others stay behind.
#
# **What works**: AdamW with a learning rate of 0.003 (a warm-up over the first 50 steps, then down to 0 along a
# cosine), 128 problems a step. A thousand steps take about 20 seconds on one core; ten trainings of ours
# ended at perplexities from 1.02 to 1.06. Whether you count the symbols of
# the answers only, or all of them, in the *loss* is up to you (the first is faster); the *perplexity* counts those
# of the answers, the end included.
#
# <details><summary>Hint: problems of different length</summary>
# Make one table of ids before you start, each row filled up with padding, and one boolean table that says which
# targets count. A step then picks 128 rows. Padding behind a text does no harm: the model is causal.
# </details>
#
# <details><summary>Hint: the same seed, the same model</summary>
# A <code>torch.Generator</code> with a seed of its own draws the same rows every time, whatever else uses random
# numbers.
# </details>


# %% tags=["q4"]
# BEGIN SOLUTION NO PROMPT
def as_tables(problems: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The ids of all problems, end included, and which of them belong to answers: both (n, longest)."""
    texts = [problem + END for problem in problems]
    longest = max(map(len, texts))
    ids = torch.tensor([encode_problem(text.ljust(longest, PADDING)) for text in texts])
    place = torch.arange(longest)
    first = torch.tensor([[text.index("=") + 1] for text in texts])
    after = torch.tensor([[len(text)] for text in texts])
    return ids, (place >= first) & (place < after)


def learning_rate(step: int, steps: int) -> float:
    """The share of the full learning rate: up in 50 steps, then down along a cosine."""
    return min(1.0, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2


# END SOLUTION
def train(model: nn.Module, problems: Sequence[str], steps: int, seed: int) -> dict[str, list]:
    """Trains a TinyGPT in place on the problems that are not held out, and keeps a record.

    Source: for the loss, Radford et al. 2019, section 2, equation 1; for the optimiser, Loshchilov and Hutter
    2019, "Decoupled Weight Decay Regularization".

    Args:
        model: a TinyGPT with 15 symbols, in any state.
        problems: texts such as "3+5=8", without an end. What stands after "=" is what the model is to answer,
            right or wrong. Those for which is_held_out is true are never trained on.
        steps: number of updates, at least 1.
        seed: two calls with the same model, problems, steps and seed do the same; another seed draws other
            problems in another order.

    Returns:
        Four lists of equal length, one entry for each row of the record, at least two rows:
        "step": how many updates had been made: 0 in the first row, `steps` in the last, growing.
        "loss": the training loss at that time, on one batch or more (mean negative log-likelihood, in nats).
        "perplexity": of the answers of the held-out problems, ends included, by the model of that time.
        "singular_values": those of the embedding of the symbols, (vocab_size, d_model), largest first, as a
            list of floats.

    Raises:
        ValueError: steps is below 1; no problem is held out, or all are.
    """
    # BEGIN SOLUTION
    require(steps >= 1, f"steps must be at least 1, got {steps}")
    held_out = [problem for problem in problems if is_held_out(problem)]
    training = [problem for problem in problems if not is_held_out(problem)]
    require(len(held_out) > 0, "none of the problems is held out: there is nothing to measure on")
    require(len(training) > 0, "all of the problems are held out: there is nothing to learn from")
    (ids, counted), (unseen, unseen_counted) = as_tables(training), as_tables(held_out)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, steps))
    generator = torch.Generator().manual_seed(seed)
    history: dict[str, list] = {"step": [], "loss": [], "perplexity": [], "singular_values": []}

    def record(step: int, loss: float) -> None:
        with torch.no_grad():
            unseen_logits = model(unseen[:, :-1])
            measured = perplexity(unseen_logits, unseen[:, 1:], unseen_counted[:, 1:])
            singular_values = torch.linalg.svdvals(model.symbols.weight)
        row = (step, loss, measured.item(), singular_values.tolist())
        for name, value in zip(history, row, strict=True):
            history[name].append(value)

    for step in range(steps + 1):
        rows = torch.randint(len(ids), (128,), generator=generator)
        # Inputs are all symbols but the last, targets all but the first: row i predicts symbol i + 1.
        inputs, targets, counts = ids[rows, :-1], ids[rows, 1:], counted[rows, 1:]
        loss = F.cross_entropy(model(inputs)[counts], targets[counts])
        if step % max(1, steps // 40) == 0 or step == steps:
            record(step, loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return history
    # END SOLUTION


# %% [markdown]
# ### Train it, and keep what it learned
#
# The next cell trains the model, about half a minute, and saves two things in one file, `weights.safetensors`: the
# weights, and the record of the training. While that file lies there, the cell reads it instead of training again:
# **delete it when you have changed `TinyGPT` or `train`**.
#
# **Hand in that file together with your notebook**, both in one zip. The grader then has no need to train; without
# the file it trains your model itself, which takes its time. The grader reads the file as plain numbers (that is
# what the format [safetensors](https://huggingface.co/docs/safetensors) is for), at most 4 MB of them.
#
# If your model is slow to learn, train it longer: what counts is what the weights can do. Only where it finds no
# weights does the grader train, and then for 1000 steps.
#
# The grader cannot know which problems your weights have seen. Nothing keeps you from training on the held-out
# ones but what you would like to find out: whether a model can calculate what nobody has shown it.

# %% tags=["otter_ignore"]
TRAINED: dict = {}  # the model and its record, for the figures below


def save_weights(model: nn.Module, history: dict[str, list], path: str = "weights.safetensors") -> None:
    """Save a model's state, and its history under names such as "history.loss", in one file."""
    from safetensors.torch import save_file  # pip install safetensors

    state = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
    record = {f"history.{name}": torch.tensor(values) for name, values in history.items()}
    save_file(state | record, path)


def load_weights(model: nn.Module, path: str = "weights.safetensors") -> dict[str, list]:
    """Give a model the state that was saved, and return the history."""
    from safetensors.torch import load_file

    saved = load_file(path)
    history = {name: saved.pop(name) for name in list(saved) if name.startswith("history.")}
    model.load_state_dict(saved)
    return {name.removeprefix("history."): values.tolist() for name, values in history.items()}


def train_and_save() -> None:
    """Train the graded model and save it, or read what an earlier run has saved; say what it has learned."""
    torch.manual_seed(0)  # the weights that the model begins with
    torch.set_num_threads(1)  # a model this small is slower on several cores
    model = TinyGPT(**SIZES)
    if Path("weights.safetensors").exists():
        history = load_weights(model)
        print("read weights.safetensors: delete it to train anew")
    else:
        history = train(model, all_problems(), STEPS, seed=0)
        save_weights(model, history)
        print("saved weights.safetensors")
    print(f"perplexity of the held-out answers: {history['perplexity'][-1]:.3f}")
    TRAINED.update(model=model.eval(), history=history)


show(train_and_save, needs="q1, q2, q3 and q4", what="training")


# %% tags=["otter_ignore"]
def perplexity_over_training() -> Figure:
    """The held-out perplexity and the training loss against the number of steps."""
    history = TRAINED["history"]
    figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    ax.semilogy(
        history["step"], history["perplexity"], color="tab:blue", label="held-out answers: perplexity"
    )
    ax.semilogy(history["step"], torch.tensor(history["loss"]).exp(), color="tab:orange", alpha=0.6,
                label="training batch: exp(loss)")  # fmt: skip
    ax.axhline(1.5, color="0.4", ls="--", lw=1)
    ax.annotate(
        "the goal: below 1.5", (0.99, 1.55), xycoords=("axes fraction", "data"), ha="right", color="0.4"
    )
    ax.set(xlabel="steps", ylabel="perplexity", title="From guessing among 15 symbols to knowing")
    ax.legend()
    return figure


draw(perplexity_over_training, needs="the training above")


# %% tags=["otter_ignore"]
def embedding_over_training() -> Figure:
    """The singular values of the embedding of the symbols against the number of steps."""
    history = TRAINED["history"]
    values = torch.tensor(history["singular_values"])
    figure, ax = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for number, colour in enumerate(plt.get_cmap("viridis")(torch.linspace(0, 0.9, values.shape[1]).numpy())):
        ax.plot(history["step"], values[:, number], color=colour)
    ax.annotate("largest", (history["step"][-1], values[-1, 0]), xytext=(4, 0), textcoords="offset points")
    ax.annotate("smallest", (history["step"][-1], values[-1, -1]), xytext=(4, 0), textcoords="offset points")
    ax.set(xlabel="steps", ylabel="singular value", title="The 15 singular values of the embedding")
    ax.margins(x=0.12)
    return figure


draw(embedding_over_training, needs="the training above")

# %% [markdown]
# Read the first figure from the left. At 15, the model knows nothing. It falls fast while the model learns what
# answers look like (digits, then an end), hesitates near 3, and falls again when it finds the rule. Both curves go
# down **together**: had the model learned by heart, the training curve would fall alone.
#
# In the second, values that were alike at the start fan out. The large ones belong to directions that the model uses.
# In a training of ours, the digits came to lie in their order along a curve in the plane of the first two, and
# the third told + from -. The rows of `;` and `_` stayed as small as they were: nothing that counts
# is ever predicted from them.

# %% [markdown]
# ## q5 · Answering
#
# To answer, the model continues the question: it predicts one symbol, that symbol is appended, and the model
# predicts the next, until it says *end*. Taking the most likely symbol each time is called *greedy*.
#
# **By hand.** `12+9=` → most likely `2` → `12+9=2` → `1` → `12+9=21` → `;`. The answer is `21`.
#
# Your function may use the model in one way only: call it as `model(ids)` with ids `(1, L)`. The checks hand in plain
# functions instead of a trained model, whose answers they know.


# %% tags=["q5"]
def solve(model: Callable[[Tensor], Tensor], prompt: str) -> str:
    """The model's answer to a question, by greedy continuation.

    Args:
        model: model(ids) gives logits (1, L, 15) for ids (1, L), torch.long. Nothing else of it is used: any
            function with that behaviour will do.
        prompt: a question up to and including "=", such as "12+9=".

    Returns:
        The answer alone, without the question and without the end. The model is asked with the prompt, then
        with the prompt and the most likely next symbol, and so on, until that symbol is the end ";", or the
        answer has 8 symbols.

    Raises:
        ValueError: the prompt does not end with "=", or has a character that is no symbol.
    """
    # BEGIN SOLUTION
    require(prompt.endswith("="), f"the prompt must end with '=', got {prompt!r}")
    ids = encode_problem(prompt)
    answer: list[int] = []
    end = ALPHABET.index(END)
    while len(answer) < 8 and end not in answer:
        with torch.no_grad():
            logits = model(torch.tensor([ids + answer]))
        answer.append(int(logits[0, -1].argmax()))  # the last row predicts what comes next
    return decode_ids(answer)
    # END SOLUTION


# %% tags=["otter_ignore"]
def some_answers() -> None:
    """Print the model's answers to some held-out problems, and how many of all of them are right."""
    model = TRAINED["model"]
    held_out = [problem for problem in all_problems() if is_held_out(problem)]
    answers = {problem: solve(model, problem.split("=")[0] + "=") for problem in held_out}
    for problem in held_out[::60]:
        question, right = problem.split("=")
        print(
            f"{question:>6} = {answers[problem]:<3}", "" if answers[problem] == right else f"(right: {right})"
        )
    share = sum(problem.endswith("=" + answer) for problem, answer in answers.items()) / len(answers)
    print(f"right in full: {share:.1%} of {len(answers)} held-out problems")


show(some_answers, needs="the training above and q5")

# %% [markdown]
# ## q6 · What the heads look at
#
# For a text of $n$ symbols, every head of every layer has an $n \times n$ matrix $A$: row $i$ says where position $i$
# looked, and sums to 1. Collect all of them. How you get at them depends on your model; give it a method, or walk
# through its layers as `forward` does.
#
# **By hand.** Whatever the weights, the first row of every head is $(1, 0, \dots, 0)$: the first symbol has nothing
# to look back at but itself.
#
# <details><summary>Hint: they must be the ones that are used</summary>
# The checks look whether your maps explain the model: where all heads of a one-layer model give a symbol no weight,
# changing that symbol must not change the logits.
# </details>


# %% tags=["q6"]
def attention_maps(model: nn.Module, ids: Tensor) -> Tensor:
    """The attention weights of every head in every layer for one text.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.

    Args:
        model: a TinyGPT.
        ids: (n,), torch.long: one text.

    Returns:
        (n_layers, n_heads, n, n): entry [l, h, i, j] is the weight with which position i looks at position j
        in head h of layer l. Rows sum to 1, and everything above the diagonal is 0. No gradient is promised.

    Raises:
        ValueError: ids has not one dimension, or the model cannot take it.
    """
    # BEGIN SOLUTION
    require(ids.ndim == 1, f"ids must have one dimension, got {tuple(ids.shape)}")
    maps = []
    with torch.no_grad():
        x = model.embedded(ids.unsqueeze(0))
        for block in model.blocks:
            maps.append(block.weights_and_values(x)[0])
            x = block(x)
    return torch.cat(maps)
    # END SOLUTION


# %% tags=["otter_ignore"]
def what_heads_look_at() -> Figure:
    """The attention maps of all heads for one solved problem."""
    text = "27+38=65;"
    maps = attention_maps(TRAINED["model"], torch.tensor(encode_problem(text)))
    figure, axes = plt.subplots(*maps.shape[:2], figsize=(12, 6.4), layout="constrained")
    for layer, row in enumerate(axes):
        for head, ax in enumerate(row):
            image = ax.imshow(maps[layer, head], cmap="Blues", vmin=0, vmax=1)
            ax.set(
                xticks=range(len(text)), yticks=range(len(text)), title=f"layer {layer + 1}, head {head + 1}"
            )
            ax.set_xticklabels(text)
            ax.set_yticklabels(text)
    figure.supxlabel("looked at")
    figure.supylabel("looking: this symbol is the last one seen")
    figure.colorbar(image, ax=axes, label="weight")
    return figure


draw(what_heads_look_at, needs="the training above and q6")

# %% [markdown]
# The rows that answer are `=` (which predicts the first digit of the result), that digit (which predicts the
# second), and the second (which predicts the end). In a training of ours, the row of `=` looked at the tens of
# both operands, and one head at a digit of the ones: the sum of the ones decides whether there is something to
# carry. The next row looked at the sign and at `=`, where the result had been worked out. Yours may have found
# another way; and a map shows where a head *looks*, not yet what it does with what it finds.

# %% [markdown]
# ## q7 · Next to GPT-2
#
# The same measure applies to any language model. GPT-2 (2019, 124 million parameters in its smallest form) read eight
# million web pages. What is its perplexity on texts of your choice?
#
# For a text of $n$ tokens there are $n - 1$ predictions: nothing predicts the first. Over several texts, the mean runs
# over **all predictions of all texts together**, as in q2:
#
# $$
# \mathrm{PP} = \exp
# \frac{\sum_{\text{texts}} \sum_{i=1}^{n-1} -\ln p(t_{i+1} \mid t_1 \dots t_i)}{\sum_{\text{texts}} (n - 1)} .
# $$
#
# **By hand.** One text of three tokens with the losses $1$ and $2$, one of two tokens with the loss $6$: the pooled
# mean is $9/3 = 3$ and $\mathrm{PP} = e^3 = 20.1$. The mean of the texts' means would be $(1.5 + 6)/2 = 3.75$.
#
# If no model is given, load one with the library `transformers` (`pip install transformers`):
#
# ```python
# from transformers import AutoModelForCausalLM, AutoTokenizer
# tokenizer = AutoTokenizer.from_pretrained("gpt2")
# model = AutoModelForCausalLM.from_pretrained("gpt2")
# ```
#
# Write the import *inside* the function, where it is needed: it takes seconds, and whoever brings a model has no
# use for it. The first call downloads about half a gigabyte from the hub; later ones find it in
# `~/.cache/huggingface`. On a computer without a network, copy the model's files into a folder called `gpt2` beside the
# notebook: `from_pretrained("gpt2")` takes a folder of that name before it looks anywhere else. The grader has no
# network, and hands in a small model and tokenizer of its own.


# %% tags=["q7"]
def compare_with_gpt2(
    texts: Sequence[str], model: Callable | None = None, tokenizer: Callable | None = None
) -> float:
    """The perplexity of a Hugging Face GPT-2 on some texts, pooled over all of their tokens.

    Source: Radford et al. 2019, section 3.1; https://huggingface.co/docs/transformers/perplexity.

    Args:
        texts: one or more texts, each shorter than the model's context (1024 tokens for GPT-2).
        model: model(ids)["logits"] gives logits (1, n, V) for ids (1, n), torch.long, as the models of
            transformers do. None: the pretrained "gpt2".
        tokenizer: tokenizer(text)["input_ids"] gives a list of n ids, as the tokenizers of transformers do.
            None: that of "gpt2". Of a model and a tokenizer that are handed in, nothing else is used.

    Returns:
        exp of the mean negative log-likelihood (natural logarithm) over all tokens but the first of each
        text, a Python float.

    Raises:
        ValueError: there is nothing to predict: no text has two tokens or more.
    """
    # BEGIN SOLUTION
    if model is None:
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained("gpt2").eval()
    if tokenizer is None:
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained("gpt2")
    total, predictions = 0.0, 0
    for text in texts:
        ids = tokenizer(text)["input_ids"]
        if len(ids) < 2:
            continue
        ids = torch.tensor([ids])
        with torch.no_grad():
            logits = model(ids)["logits"]
        total += F.cross_entropy(logits[0, :-1].double(), ids[0, 1:], reduction="sum").item()
        predictions += ids.shape[1] - 1
    require(predictions > 0, "there is nothing to predict: no text has two tokens or more")
    return math.exp(total / predictions)
    # END SOLUTION


# %% tags=["otter_ignore"]
def hand_comparison() -> None:
    """Print the example by hand: a model of two tokens whose losses are 1, 2 and 6."""
    losses = {
        0: 1.0,
        1: 2.0,
        2: 6.0,
    }  # by the token that is looked at; the next one is always the one after it

    def model(ids: Tensor) -> dict[str, Tensor]:
        right = torch.tensor([math.exp(-losses[int(i)]) if int(i) in losses else 0.25 for i in ids[0]])
        table = ((1 - right) / 3)[:, None].repeat(1, 4)
        table[torch.arange(len(right)), (ids[0] + 1) % 4] = right
        return {"logits": table.log()[None]}

    pooled = compare_with_gpt2(["012", "23"], model, lambda text: {"input_ids": [int(c) for c in text]})
    print(f"losses 1 and 2 in one text, 6 in another: perplexity {pooled:.2f}, and e^3 = {math.exp(3):.2f}")


show(hand_comparison, needs="q7")


# %% tags=["otter_ignore"]
RUN_GPT2 = (
    False  # set to True where transformers is installed and the hub, or a folder "gpt2", can be reached
)


def gpt2_on_two_kinds_of_text() -> None:
    """Print the perplexity of the pretrained GPT-2 on English and on arithmetic."""
    english = ["The cat sat on the mat and looked out of the window, where it had begun to rain."]
    sums = [problem for problem in all_problems() if is_held_out(problem)][::20]
    print(f"GPT-2 on English:    {compare_with_gpt2(english):8.1f}")
    print(f"GPT-2 on arithmetic: {compare_with_gpt2(sums):8.1f}")


if RUN_GPT2:
    show(gpt2_on_two_kinds_of_text, needs="q7")

# %% [markdown]
# What would you see? Its authors report 37.5 for the smallest GPT-2 on the encyclopedia texts of WikiText-103 and 65.9
# on the newspapers of the Penn Treebank, *per word* (Radford et al. 2019, table 3). Plain, everyday English comes out
# lower. Sums come out much higher than your model's: to GPT-2 the operands are as unpredictable as to anyone (think of
# the floor in q2), and it is sure of few of the answers.
#
# Before you draw a conclusion, ask what is being compared. GPT-2 cuts `27+38=65` into other pieces than single
# symbols, and a perplexity *per token* depends on how long the tokens are. Its value here counts the operands, and
# yours only the answers. And your model has 100 thousand parameters and one trade; GPT-2 has 124 million and has
# seen everything but this. A number is comparable with another only if both answer the same question.
