# %% [markdown]
# # Byte pair encoding
#
# A language model reads numbers. Before it can learn anything about a text, somebody has to cut the text into
# pieces and give every piece a number. Which pieces?
#
# *Words?* There is no end of them: `Perseverance`, `preposterously`, `teh`. A list of words, however long, meets a
# word that is not in it, and can then only say "unknown".
#
# *Letters?* They are few, but texts become long, and a transformer compares everything with everything: twice as
# many pieces cost four times as much.
#
# **Byte pair encoding** finds pieces between the two by counting. Begin with single bytes, of which there are 256.
# Find the two neighbours that stand side by side most often, make one new piece of them, and count again. Philip
# Gage invented this in 1994 to compress files; Sennrich, Haddow and Birch brought it to translation in 2016; GPT-2
# applied it to bytes, so that no text in the world is unknown. With small changes, it is what most large language
# models read to this day.
#
# You will write all of it: the counting, the training, encoding and decoding. Then you will measure what it
# saves, and for whom it does not, and look at a picture of the pieces.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `pair_counts`, `merge` | count neighbours; make two of them one |
# | q2 | `train_bpe` | the most frequent pair, again and again |
# | q3 | `encode`, `decode` | text to numbers and back, for every text |
# | q4 | `compression_ratio` | how many bytes a token stands for |
# | q5 | `embedding_pca` | a picture of the space in which tokens live |
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. After each
# question, run its check. The checks you have here are a part of those that grade you, so read the docstrings:
# everything that is graded is promised there.

# %% [markdown]
# ## Bytes, ids, merges
#
# A *byte* is a number from 0 to 255. Every text is a row of bytes, by the rules of
# [UTF-8](https://www.unicode.org/versions/latest/core-spec/chapter-3/): an English letter is one byte, `å` and every
# Greek letter are two, `燈` is three, and most emoji are four.
#
# ```python
# list("hå".encode("utf-8"))                # [104, 195, 165]
# bytes([104, 195, 165]).decode("utf-8")    # "hå"
# ```
#
# | object | Python | meaning |
# | --- | --- | --- |
# | token id | `int` | 0 to 255: that byte. From 256 up: what a merge made |
# | ids | `list[int]` | a text, as a row of tokens |
# | pair | `tuple[int, int]` | two ids, side by side |
# | merges | `list[tuple[int, int]]` | pairs in the order in which they were merged: the first made 256, the next 257 |
#
# The list of merges **is** the tokenizer: nothing else needs to be stored.
#
# The next cell holds the imports and a short way to check arguments: `require(n >= 1, "n must be at least 1")`
# raises a `ValueError` with that message when `n` is 0.

# %%
import hashlib
import heapq
import os
import sys
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from http.client import HTTPException
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure
from torch import Tensor

Pair = tuple[int, int]


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
# ### Something to read
#
# The kit comes with a text of 26 kilobytes, `lighthouse.txt`: the story of a keeper who counts flags. Most figures
# below use it. It lies beside this notebook; nothing that is graded reads it.

# %% tags=["otter_ignore"]
def beside(name: str) -> str:
    """A text that lies beside this file."""
    path = Path(globals().get("__file__", "bpe.ipynb")).with_name(name)
    if not path.exists():
        raise FileNotFoundError(f"{name} is not here: copy it from the kit, beside this file")
    return path.read_text(encoding="utf-8")


def lighthouse() -> str:
    """The story of the keeper."""
    return beside("lighthouse.txt")


def first_lines() -> None:
    """Print how long the story is and how it begins."""
    story = lighthouse()
    print(f"{len(story):,} characters, {len(story.encode('utf-8')):,} bytes")
    print(story[46:161], "...")


show(first_lines, needs="lighthouse.txt is here and reading it")


# %% [markdown]
# ## q1 · Two steps
#
# Everything is made of two small functions.
#
# `pair_counts` counts neighbours. **Every** place counts, also where two pairs overlap: `aaaa` has three pairs
# $(a, a)$.
#
# `merge` goes through the ids from left to right. Wherever the pair stands, it writes the new id and goes on
# **behind both**. So in `aaaa` the pair $(a, a)$ is merged twice, and in `aaa` once, at the left:
#
# $$
# a\,a\,a\,a \;\to\; X\,X, \qquad\qquad a\,a\,a \;\to\; X\,a .
# $$
#
# The count is 3 in the first case although only two merges are possible. That is how it is defined here (and in
# nearly every implementation); it is simple, and it hardly ever matters.
#
# ### By hand
#
# Take `banana bandana`. Its 14 letters have 13 pairs:
#
# | pair | `an` | `na` | `ba` | `a·` | `·b` | `nd` | `da` |
# | --- | --- | --- | --- | --- | --- | --- | --- |
# | count | 4 | 3 | 2 | 1 | 1 | 1 | 1 |
#
# The winner is `an`. Writing $X$ for it, the text becomes
#
# $$
# b\,X\,X\,a\,\cdot\,b\,X\,d\,X\,a
# $$
#
# ten tokens instead of 14. Counting again: $bX$ twice, $Xa$ twice, all others once. A tie! Any of the two may come
# next. Tokenizers differ in such choices, and both are right.
#
# <details><summary>Hint: neighbours</summary>
# <code>zip(ids, ids[1:])</code> gives each id with the one after it (and so does <code>itertools.pairwise</code>).
# </details>
#
# <details><summary>Hint: going on behind both</summary>
# A <code>for</code> loop visits every place. Here the step is sometimes 1 and sometimes 2: use <code>while</code>.
# And look at the last id: is there one after it?
# </details>

# %%
def pair_counts(ids: list[int]) -> dict[Pair, int]:
    """How often each pair of neighbours occurs.

    Source: Sennrich, Haddow and Birch 2016, algorithm 1 (get_stats).

    Args:
        ids: token ids, any number of them.

    Returns:
        A dict (or Counter): (left, right) -> how many places hold that pair, overlapping ones too: (a, a) three
        times in a, a, a, a. Only pairs that occur are in it: it is empty for fewer than two ids.
    """
    ...


# %%
def merge(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Replace each occurrence of a pair by a new id, from left to right and without overlap.

    Source: Sennrich, Haddow and Birch 2016, algorithm 1 (merge_vocab).

    Args:
        ids: token ids; the list stays unchanged.
        pair: the two ids that become one.
        new_id: the id that they become.

    Returns:
        A new list. An id that was merged belongs to one pair only: a, a, a becomes new_id, a.
    """
    ...


# %% tags=["otter_ignore"]
def banana() -> None:
    """Recount the example by hand, and merge twice."""
    ids = list(b"banana bandana")
    for new_id in (256, 257):
        best = max(pair_counts(ids), key=pair_counts(ids).get)
        print(f"{len(ids)} tokens; most frequent: {best}, {pair_counts(ids)[best]} times")
        ids = merge(ids, best, new_id)
    print(f"{len(ids)} tokens: {ids}")


show(banana, needs="q1")


# %% [markdown]
# ## q2 · Training
#
# Now repeat. Begin with the bytes of the text, and as long as there are ids left to give away:
#
# $$
# (a, b) \leftarrow \text{a most frequent pair}, \qquad
# \text{ids} \leftarrow \operatorname{merge}(\text{ids}, (a, b), \text{new id}) .
# $$
#
# The first new id is 256, the next one 257, and so on. A vocabulary of `vocab_size` tokens has
# `vocab_size - 256` merges; it ends earlier only if the text has become a single token, so that there is no pair.
# A pair that occurs once is a pair like any other here.
#
# Four things to get right:
#
# - **Count again after each merge.** The winner changes its neighbourhood: after `th` has been merged, `he` has
#   lost most of its places.
# - **Bytes, not characters.** `"å"` has to become two ids.
# - **Ties.** Take which you like, but the same in every run. The grader asks whether each of your merges was *a*
#   most frequent pair at its step, so every rule passes.
# - **The same in every run** is harder than it sounds: the order of a `set` of texts or of bytes changes from one
#   run of Python to the next (try `python -c "print({b'a', b'b', b'c'})"` a few times). A dict keeps the order in
#   which its keys came.
#
# The plain way, counting everything anew for each merge, takes time in proportion to text length times number of
# merges. That is fine here. (How would you do it for a gigabyte? A merge changes the counts of those pairs only that
# stand beside it.)
#
# **By hand.** Training on `banana bandana` with `vocab_size = 257` gives `[(97, 110)]`, for `an` is the winner, and
# a is 97, n is 110. With `vocab_size = 256` it gives `[]`.
#
# <details><summary>Hint: the most frequent pair</summary>
# <code>max(counts, key=counts.get)</code>. What does <code>max</code> do if there is nothing to choose from?
# </details>

# %%
def train_bpe(text: str, vocab_size: int) -> list[Pair]:
    """Learn the merges of a byte-level tokenizer from a text.

    The whole text is one row of bytes: it is not split into words first.

    Source: Gage 1994; Sennrich, Haddow and Birch 2016, algorithm 1; on bytes: Radford et al. 2019, section 2.2.

    Args:
        text: what to learn from; may be empty.
        vocab_size: how many tokens there shall be, the 256 bytes included.

    Returns:
        The pairs in the order in which they were merged, as a list of tuples (int, int); the pair number i (from 0)
        makes the id 256 + i. There are vocab_size - 256 of them, or fewer if no pair is left. Each is a most
        frequent pair (see pair_counts) given the merges before it, also where that is once. Which of several
        equally frequent pairs is taken is up to you, but it is the same in every run of Python.

    Raises:
        ValueError: vocab_size is below 256.
    """
    ...


# %% tags=["otter_ignore"]
def shown(token: bytes) -> str:
    """A token to look at: a blank as ·, a new line as ¶, bytes that are only a part of a letter as ‹c3›."""
    try:
        return token.decode("utf-8").replace(" ", "·").replace("\n", "¶")
    except UnicodeDecodeError:
        return f"‹{token.hex()}›"


def token_bytes(merges: list[Pair]) -> list[bytes]:
    """The bytes that each token stands for."""
    table = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        table.append(table[left] + table[right])
    return table


def first_merges() -> None:
    """Train on the story and print the first and the longest tokens."""
    table = token_bytes(train_bpe(lighthouse(), 768))
    print("the first:  ", "  ".join(shown(token) for token in table[256:280]))
    print("the longest:", "  ".join(shown(token) for token in sorted(table, key=len)[:-9:-1]))


show(first_merges, needs="q2")


# %% [markdown]
# The first merges are about letters and blanks: the ends of English words. (With another rule for ties, yours may
# differ a little from somebody else's.) Later come words, and at last whole phrases, because we do not split the
# text at blanks first: real tokenizers do, so that no token reaches across a word's end. Do you find the keeper's
# favourite sentence?
#
# ### Less and less to gain
#
# On the left, in how many places each pair was merged. (The small dips are pairs that overlap with themselves, such
# as two equal digits.) On the right, the length of the story. The scales at the bottom are logarithmic: the first
# hundred merges do more than the next nine hundred.

# %% tags=["otter_ignore"]
def what_merges_gain() -> Figure:
    """How often each merged pair occurred, and how many tokens were left."""
    ids = list(lighthouse().encode("utf-8"))
    occurrences, lengths = [], []
    for new_id, pair in enumerate(train_bpe(lighthouse(), 1280), start=256):
        shorter = merge(ids, pair, new_id)
        occurrences.append(len(ids) - len(shorter))
        lengths.append(len(shorter))
        ids = shorter
    numbers = range(1, len(lengths) + 1)
    figure, (counts, sizes) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
    counts.loglog(numbers, occurrences, color="tab:blue")
    counts.set(xlabel="merge", ylabel="places merged", title="each merge gains less")
    sizes.semilogx(numbers, lengths, color="tab:orange")
    sizes.set(xlabel="merge", ylabel="tokens in the story", title="the story gets shorter", ylim=(0, None))
    return figure


draw(what_merges_gain, needs="q1 and q2")


# %% [markdown]
# ## q3 · Encoding and decoding
#
# **Decoding** is easy. Each id stands for some bytes: below 256 for that byte, above for the bytes of its two
# halves. Put the bytes of all ids in a row, and read the **whole row** as UTF-8. Not token by token: a token may
# end in the middle of a letter. And not every row of ids is a text: a model may well produce half of a letter.
# Bytes that are not UTF-8 are replaced by the sign �, which Python does if asked (`errors="replace"`).
#
# **Encoding** has a trap. You have a text, and a list of merges that may come from quite another text. In which
# order are they applied?
#
# *In the order in which they were learned*: the first merge wherever it fits, then the second one, and so on. This
# repeats on the new text what training did to the old one, and so the model meets the tokens that it knows.
#
# *Not* the longest token that fits, from left to right. That is quick and looks clever, and gives other ids.
#
# ### By hand
#
# Three merges: $(c, d) \to 256$, then $(a, b) \to 257$, then $(257, c) \to 258$, so that 258 stands for `abc`.
# Encode `abcd`:
#
# $$
# a\,b\,c\,d \;\xrightarrow{(c,d)}\; a\,b\,256 \;\xrightarrow{(a,b)}\; 257\ 256
# $$
#
# and the third merge finds no $c$ any more: it has gone into `cd`, which was learned first. Taking the longest
# token first would have given $258\ d$. The same text, other numbers.
#
# <details><summary>Hint: encode</summary>
# You have written everything that is needed: begin with the bytes, and merge. Which id does the merge number i make?
# </details>
#
# <details><summary>Hint: unknown ids</summary>
# Is -1 an error if you look it up in a list?
# </details>

# %%
def encode(text: str, merges: list[Pair]) -> list[int]:
    """The token ids of a text.

    Source: Sennrich, Haddow and Birch 2016, section 3.2: merges are applied in the order in which they were learned.

    Args:
        text: any text, also one that the merges were not learned from; may be empty.
        merges: pairs in the order in which they were learned; the pair number i makes the id 256 + i. They
            stay unchanged.

    Returns:
        A list of ints: the bytes of the text, merged by the first pair wherever it stands, then by the second, and
        so on to the last. Empty for an empty text.
    """
    ...


# %%
def decode(ids: list[int], merges: list[Pair]) -> str:
    """The text that token ids stand for.

    Args:
        ids: token ids, in any order; may be empty.
        merges: as in encode.

    Returns:
        The bytes of all ids in a row, read as UTF-8. What is not UTF-8 is replaced by U+FFFD, as
        bytes.decode(errors="replace") does. For every text, decode(encode(text, merges), merges) == text.

    Raises:
        ValueError: an id is below 0, or is not below 256 + len(merges).
    """
    ...


# %% tags=["otter_ignore"]
def there_and_back() -> None:
    """Encode texts that the merges were not learned from, and decode them again."""
    merges = train_bpe(lighthouse(), 512)
    table = token_bytes(merges)
    for text in ("good evening, keeper", "Ångström", "燈 🙂", "crème brûlée"):
        ids = encode(text, merges)
        pieces = " | ".join(shown(table[id_]) for id_ in ids)
        print(f"{text!r} is {len(ids)} tokens: {pieces}; back again: {decode(ids, merges) == text}")
    print("half a letter:", decode([195], merges), " and both halves:", decode([195, 165], merges))


show(there_and_back, needs="q1, q2 and q3")

# %% [markdown]
# ### What a model gets to see
#
# The same three sentences, cut by vocabularies of four sizes. Each box is one token, with a colour that depends on
# its id: equal tokens have equal colours.

# %% tags=["otter_ignore"]
SENTENCES = """The wind came from the west, and there was no fog.
Un vent d'ouest, et pas de brouillard.
Δεν έχει ομίχλη."""


def boxes(ax: plt.Axes, ids: list[int], table: list[bytes]) -> None:
    """Draw tokens as coloured boxes, a new line after each that ends one."""
    x, y = 0.0, 0.0
    for id_ in ids:
        label = shown(table[id_])
        width = max(1, len(label) if not label.startswith("‹") else 2)
        face = plt.cm.tab20(id_ * 7 % 20)
        ax.add_patch(plt.Rectangle((x, y), width, 0.9, facecolor=face, alpha=0.55, edgecolor="white", lw=1.5))
        ax.text(
            x + width / 2,
            y + 0.45,
            label.strip("‹›"),
            ha="center",
            va="center",
            family="monospace",
            fontsize=8,
        )
        x, y = (0.0, y - 1.1) if label.endswith("¶") else (x + width, y)


def cut_in_pieces() -> Figure:
    """Three sentences as tokens of four vocabularies."""
    figure, axes = plt.subplots(4, 1, figsize=(11, 8), layout="constrained")
    merges = train_bpe(lighthouse(), 1024)
    for ax, size in zip(axes, (256, 300, 400, 1024), strict=True):
        ids = encode(SENTENCES, merges[: size - 256])
        boxes(ax, ids, token_bytes(merges))
        ax.set(
            xlim=(0, 66), ylim=(-2.3, 1.0), title=f"{size} tokens in the vocabulary: {len(ids)} in the text"
        )
        ax.axis("off")
    return figure


draw(cut_in_pieces, needs="q1, q2 and q3")


# %% [markdown]
# The English sentence becomes words. The French one profits a little, where it happens to share endings with
# English. The Greek one stays what it was, two bytes a letter (numbers in hexadecimal), however large the vocabulary.
# This has a price, which comes next.

# %% [markdown]
# ## q4 · What is saved
#
# The *compression ratio* says how many bytes a token stands for on average:
#
# $$
# r = \frac{\text{bytes of the text}}{\text{tokens of the text}} .
# $$
#
# Without merges, $r = 1$. A transformer that reads $n$ tokens compares $n^2$ pairs of them; with the ratio $r$ there
# are $r^2$ times fewer.
#
# **By hand.** `banana bandana` has 14 bytes; with the one merge `an` it has 10 tokens: $r = 1.4$. And `åå` has two
# characters but four bytes; without merges it has four tokens: $r = 1$, not $0.5$.
#
# <details><summary>Hint: the empty text</summary>
# 0 / 0 is an error in Python. The docstring says what to return.
# </details>

# %%
def compression_ratio(text: str, merges: list[Pair]) -> float:
    """How many bytes of a text one token stands for, on average.

    Args:
        text: any text.
        merges: as in encode.

    Returns:
        The number of bytes of the text (in UTF-8) over the number of its tokens; 1.0 for the empty text.
    """
    ...


# %% [markdown]
# ### Who pays
#
# One message in seven languages. The tokenizer has learned from the English story alone. How many tokens does each
# need to say the same?

# %% tags=["otter_ignore"]
def messages() -> dict[str, str]:
    """One message in seven languages, from languages.txt beside this file."""
    return dict(line.split(": ", 1) for line in beside("languages.txt").splitlines())


def who_pays() -> Figure:
    """Bytes per token, and tokens for one and the same message, by language."""
    merges = train_bpe(lighthouse(), 768)
    texts = messages()
    tokens = [len(encode(text, merges)) for text in texts.values()]
    ratios = [compression_ratio(text, merges) for text in texts.values()]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), sharey=True, layout="constrained")
    for ax, values, label in (
        (left, ratios, "bytes per token"),
        (right, tokens, "tokens for the same message"),
    ):
        bars = ax.barh(list(texts), values, color=["tab:blue"] + ["tab:orange"] * (len(texts) - 1))
        ax.bar_label(bars, fmt="%.2f" if ax is left else "%d", padding=3)
        ax.set(xlabel=label, xlim=(0, 1.15 * max(values)))
    left.axvline(1, color="0.5", ls="--", lw=1)
    left.invert_yaxis()
    return figure


draw(who_pays, needs="q1, q2, q3 and q4")


# %% [markdown]
# A tokenizer is as fair as the text that it learned from. Whoever writes Greek here pays several times as much for
# the same message, waits longer for it, and fits less of it into a model's window. Nothing in the algorithm is to
# blame: it counted an English text. Real tokenizers are trained on many languages at once, and still differ by
# factors of two and more ([Petrov et al. 2023](https://arxiv.org/abs/2305.15425)).

# %% [markdown]
# ## q5 · Where tokens live
#
# A model gives each token a vector, its *embedding*. Vectors of a hundred dimensions cannot be drawn; so one looks
# for the plane in which they differ most. This is *principal component analysis*. Let $E$ have one row for each of
# $n$ tokens, $(n, d)$. Subtract the mean row, and take the singular value decomposition:
#
# $$
# C = E - \mathbf{1}\,\bar e^\top = U\, \Sigma\, V^\top, \qquad
# Y = C\, V_{:k} = U_{:k}\, \Sigma_{:k} .
# $$
#
# $Y$ has the first $k$ coordinates of each token in the new axes, $(n, k)$. No other $k$ axes keep as much of the
# variance ([Pearson 1901](https://doi.org/10.1080/14786440109462720); Eckart and Young 1936).
#
# Three things go wrong easily:
#
# - Without **centring**, the first axis points at the mean, and shows nothing else.
# - $U$ alone is *whitened*: it has the same spread along each axis, and distances mean nothing any more. The
#   singular values belong to it.
# - The sign of each axis is a matter of chance: $(-u, -v)$ is as good as $(u, v)$. So the sign is free here.
#
# **By hand.** Four points $(3, 1), (-3, 1), (0, 3), (0, -1)$ have the mean $(0, 1)$. Centred: $(\pm 3, 0), (0, \pm 2)$.
# These lie along two axes at a right angle already; the variance along the first, 18, is larger than along the
# second, 8. So $Y$ is just the centred points, up to the sign of each column.
#
# <details><summary>Hint: which function</summary>
# <code>torch.linalg.svd(..., full_matrices=False)</code> gives <code>U, S, Vh</code>, the largest singular value first.
# </details>

# %%
def embedding_pca(embeddings: Tensor, n_components: int = 2) -> Tensor:
    """The coordinates of embeddings along their principal axes.

    Source: Pearson 1901; by the singular value decomposition (Eckart and Young 1936).

    Args:
        embeddings: (n, d), one row for each token, floating point, n and d at least 1. They stay unchanged.
        n_components: how many axes, from 1 to min(n, d).

    Returns:
        (n, n_components), dtype of embeddings: the centred rows, in the axes of largest variance, that of the
        largest first. Not whitened: distances are those of the centred rows, as far as the axes show them. The sign
        of each column is free.

    Raises:
        ValueError: embeddings does not have two dimensions; n_components is not between 1 and min(n, d).
    """
    ...


# %% tags=["otter_ignore"]
def hand_pca() -> None:
    """The example by hand."""
    points = torch.tensor([[3.0, 1.0], [-3.0, 1.0], [0.0, 3.0], [0.0, -1.0]])
    print(embedding_pca(points).numpy().round(3))


show(hand_pca, needs="q5")


# %% [markdown]
# ### Tell me who stands beside you
#
# We have no trained model yet, but we can make embeddings by counting, with the idea that a model's embeddings rest
# on, too: **a token is known by its neighbours** ([Firth 1957](https://en.wikipedia.org/wiki/Distributional_semantics)).
# The row of a token holds how often each other token stands to its right, and how often to its left, as shares of
# which we take square roots (so that frequent neighbours do not drown out all others).
#
# Nothing in there knows what a letter is. Look at the left picture first: single letters, before any merge.

# %% tags=["otter_ignore"]
def neighbour_embeddings(ids: list[int], vocab_size: int) -> Tensor:
    """Square roots of the shares of each right and each left neighbour, (vocab_size, 2 vocab_size)."""
    here, after = torch.tensor(ids[:-1]), torch.tensor(ids[1:])
    counts = torch.zeros(vocab_size, vocab_size).index_put_((here, after), torch.tensor(1.0), accumulate=True)
    sides = [side / side.sum(dim=1, keepdim=True).clamp(min=1) for side in (counts, counts.T)]
    return torch.cat(sides, dim=1).sqrt()


def colour(label: str) -> str:
    """Red: a vowel; blue: ends a word; black: anything else."""
    if label in set("aeiouy"):
        return "tab:red"
    return "tab:blue" if label.endswith(("·", "¶")) else "black"


def plot_tokens(ax: plt.Axes, n_merges: int, how_many: int) -> None:
    """Draw the most frequent tokens of letters, in their first two principal axes."""
    merges = train_bpe(lighthouse(), 256 + n_merges)
    ids, table = encode(lighthouse(), merges), token_bytes(merges)
    letters = {id_ for id_, token in enumerate(table) if token.strip(b" ,").isalpha()}
    frequent = [id_ for id_, _ in Counter(ids).most_common() if id_ in letters]
    kept = frequent[:how_many]
    points = embedding_pca(neighbour_embeddings(ids, len(table))[kept])
    ax.scatter(*points.T, s=0)
    for id_, (x, y) in zip(kept, points.tolist(), strict=True):
        label = shown(table[id_])
        ax.text(x, y, label, color=colour(label), ha="center", va="center", fontsize=9)
    ax.set(xlabel="first principal axis", ylabel="second principal axis", title=f"{n_merges} merges")


def token_space() -> Figure:
    """Letters and tokens, placed by their neighbours."""
    figure, axes = plt.subplots(1, 2, figsize=(13, 6), layout="constrained")
    plot_tokens(axes[0], 0, 25)
    plot_tokens(axes[1], 150, 80)
    return figure


draw(token_space, needs="q1, q2, q3 and q5")

# %% [markdown]
# On the left, the vowels have gathered on one side, away from the consonants, and so have the capitals, which begin
# words. Nobody told them: vowels are those letters that have consonants for neighbours. (In 1962 Boris Sukhotin built
# an algorithm on this, to find the vowels of writing that nobody can read.)
#
# On the right, after 150 merges, tokens that hold the blank after a word (blue) stand apart from those that do not,
# in two groups: endings, such as `ed·`, and whole short words, such as `was·` and `that·`. What comes *before* an
# ending is a piece of a word, and what comes before a word is a blank. (The signs of the axes are free: your picture
# may be a mirror image.)

# %% [markdown]
# ## More to read
#
# The story is short. If you want to see what your tokenizer makes of a megabyte, set `DOWNLOAD = True` below: this
# fetches "tiny Shakespeare", 40,000 lines of plays that were put together for
# [char-rnn](https://github.com/karpathy/char-rnn), and keeps them beside this notebook. Nothing is downloaded unless
# you ask for it, and nothing that is graded needs it.
#
# Note what `tiny_shakespeare` does before it believes what has come over the network: it reads no more than it
# expects, and compares a checksum. Data that may have changed on the way is how experiments become impossible to
# repeat.

# %% tags=["otter_ignore"]
DOWNLOAD = False

# The file of Andrej Karpathy's char-rnn, 1,115,394 bytes; the SHA-256 is the one that several projects publish for it.
SHAKESPEARE_URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHAKESPEARE_SIZE = 1_115_394
SHAKESPEARE_SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"


def fetch(url: str, size: int) -> bytes:
    """Download up to size + 1 bytes, saying how far it has come.

    Raises:
        OSError: nobody answers, or the answer is an error; the message says what to do.
    """
    data = bytearray()
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            while block := answer.read(min(2**16, size + 1 - len(data))):
                data += block
                print(f"\r{min(len(data), size) / size:4.0%} of {size:,} bytes", end="", file=sys.stderr)
    except (OSError, HTTPException) as error:
        raise OSError(
            f"{url} could not be downloaded ({error}). Go on with the story, or try later."
        ) from error
    finally:
        print(file=sys.stderr)
    return bytes(data)


def check_download(data: bytes, size: int, sha256: str, source: object) -> None:
    """Raise ValueError unless the data are what was expected, to the last bit."""
    found = hashlib.sha256(data).hexdigest()
    require(len(data) >= size, f"{source} ends after {len(data):,} of {size:,} bytes: try again")
    require(found == sha256, f"{source} is not the text that it should be: SHA-256 {found}, not {sha256}")


def tiny_shakespeare(
    path: Path = Path("tinyshakespeare.txt"),
    url: str = SHAKESPEARE_URL,
    size: int = SHAKESPEARE_SIZE,
    sha256: str = SHAKESPEARE_SHA256,
) -> str:
    """The text of tiny Shakespeare: from the file if it is there, else downloaded once and kept.

    Raises:
        OSError: it could not be downloaded.
        ValueError: what came, or what lies in the file, is not that text. What came is then not kept.
    """
    if not path.exists():
        data = fetch(url, size)
        check_download(data, size, sha256, url)
        part = path.with_name(path.name + ".part")
        part.write_bytes(data)
        os.replace(part, path)  # whoever is interrupted finds the whole file or none
    data = path.read_bytes()
    check_download(data, size, sha256, f"{path} (delete it to download it again)")
    return data.decode("utf-8")


def a_megabyte() -> None:
    """Train on tiny Shakespeare, and compare with the story."""
    plays = tiny_shakespeare()
    merges, own = train_bpe(plays, 512), train_bpe(lighthouse(), 512)
    print(f"{len(plays):,} characters; bytes per token of its first act, with 256 merges learned")
    print(f"from the plays: {compression_ratio(plays[:20_000], merges):.2f}", end=", ")
    print(f"from the story: {compression_ratio(plays[:20_000], own):.2f}")


if DOWNLOAD:
    show(a_megabyte, needs="q1, q2, q3 and q4")

# %% [markdown]
# **Where to go from here.** Real tokenizers first split the text with a regular expression, at blanks and between
# letters and digits, and count within the pieces; they reserve ids for signs such as *end of text*; and they are
# trained on a great deal more. What you have written is the rest: GPT-2's merges, applied by your `encode` to one such
# piece, give GPT-2's tokens (it only numbers its bytes in another order). In the assignment about language models you
# will meet token ids again, from the other side.
