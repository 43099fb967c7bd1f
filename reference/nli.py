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
# # Does it follow?
#
# > *Premise:* no pets are indoors. *Hypothesis:* all poodles are outdoors.
#
# You know at once that the second sentence follows from the first. You used that poodles are pets, that what is not
# indoors is outdoors, and that "no" reverses things: about fewer animals it says less. Deciding whether a
# hypothesis follows from a premise (**entailment**), cannot be true with it (**contradiction**), or neither
# (**neutral**), is called *natural-language inference*. Whoever can do it has understood something.
#
# Or has not. In 2018 it turned out that on the large data set of this task, a model that never sees the premise
# gets two answers in three right. You will build a transformer for the task in three variants, measure it with more
# than one number, and learn how to find out what a good number is worth.
#
# | question | you write | idea |
# | --- | --- | --- |
# | q1 | `read_snli` | reading a real data set, with its oddities |
# | q2 | `build_vocabulary`, `encode_batch` | two sentences become one row of numbers |
# | q3 | `two_sided_mask`, `MoE` | what makes a transformer sparse: in attention, in the network |
# | q4 | `NLIClassifier` | the model in three variants, and the goal |
# | q5 | `confusion_matrix`, `precision_recall`, `macro_f1` | class by class |
# | q6 | `train`, `predict` | learning, and answering |
# | q7 | `hypothesis_only`, `blind_accuracy`, `artefact_scores` | what the hypothesis alone gives away |
# | q8 | `profile`, `plot_confusion`, `plot_tradeoff` | accuracy against time and size |
# | w1 | on paper | what such a baseline shows, and what it does not |
#
# **The goal.** On held-out pairs, each of your three trained variants must get **at least 80 %** of the labels
# right. You train here, a minute in all, and hand in the weights with your notebook.
#
# **How to work.** Replace each `...` by your code and leave the names and parameters as they are. After each
# question, run its check. The checks you have here are a part of those that grade you, so read the docstrings:
# everything that is graded is promised there.

# %% [markdown]
# ## The data: a little English with a meaning
#
# Sentences such as *not all cats are asleep* have one of five forms, a noun and a predicate: 440 in all. Their
# meaning is defined, so that the labels are not a matter of opinion.
#
# * There are six **kinds** of animals, and at least one animal of each. A noun stands for some of the kinds:
#   *poodles* for one, *dogs* for two, *pets* for four, *animals* for all.
# * Each animal is in a **state**: asleep, eating, playing or waiting, and upstairs, downstairs or outdoors. A
#   predicate stands for some states: *awake* for all in which it is not asleep, *indoors* for up- and downstairs.
# * Kinds times states is a plane, and a sentence is a claim about a **region** of it, a rectangle: *something is
#   there*, or *nothing is there*. *Some dogs are asleep*: something is in dogs x asleep. *All dogs are asleep*:
#   nothing is in dogs x **not** asleep.
#
# Two claims **exclude** each other in two cases. Either one says that something is in a region, and the other that
# nothing is in a region around it. Or both say that nothing is there, and together they leave some kind no state to
# be in. Then
#
# $$
# \text{label} = \begin{cases}
# \text{entailment} & P \text{ and } \neg H \text{ exclude each other} \\
# \text{contradiction} & P \text{ and } H \text{ exclude each other} \\
# \text{neutral} & \text{else.}
# \end{cases}
# $$
#
# **By hand.** $P$ = *no pets are indoors*: nothing is in pets x indoors. $H$ = *all poodles are outdoors*: nothing
# is in poodles x (not outdoors), which is poodles x indoors. $\neg H$: something is in poodles x indoors. That lies
# inside of where nothing is, so they exclude each other: entailment. Note the direction: *no pets* says more than
# *no poodles*, while *some pets* says less than *some poodles*.
#
# ### How the pairs are drawn
#
# `generate_pairs` draws the **hypothesis first**, then a label, each with probability 1/3, and then a premise that
# gives this label. So label and hypothesis are independent, and whoever sees the hypothesis alone can only guess.
# `annotated_pairs` draws the **premise first**, then the label, then a hypothesis: that is how the people who wrote
# SNLI worked. In q7 you will see what difference that makes.
#
# **Held out** are 17 of the 88 combinations of noun and predicate, such as *poodles* and *awake*. No sentence of
# the training part, premise or hypothesis, has one of them; every held-out hypothesis has one. The model knows both
# words, and must put them together for the first time.
#
# The next cell holds the imports and what is given. Leave it as it is.

# %%
import json
import math
import random
import re
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

LABELS = ("entailment", "neutral", "contradiction")  # the labels 0, 1 and 2
VARIANTS = ("vanilla", "sparse", "moe")
PAD, UNK, CLS, SEP = range(4)  # ids of what is no word
SPECIAL = ("[pad]", "[unk]", "[cls]", "[sep]")

# The models that are graded, and how they are trained. Your weights must fit models of exactly these sizes.
SIZES = {"vocab_size": 28, "d_model": 32, "n_heads": 4, "n_layers": 2, "max_len": 13}
N_PAIRS, STEPS = 20000, 600

Pair = tuple[str, str, int]  # premise, hypothesis, label
Sentence = tuple[str, str, str]  # form, noun, predicate

# Each noun stands for a set of kinds.
KINDS = ("poodles", "terriers", "tabbies", "persians", "robins", "owls")
NOUNS = {kind: {kind} for kind in KINDS} | {
    "dogs": {"poodles", "terriers"},
    "cats": {"tabbies", "persians"},
    "birds": {"robins", "owls"},
    "pets": {"poodles", "terriers", "tabbies", "persians"},
    "animals": set(KINDS),
}

# Each predicate stands for a set of states (activity, place).
STATES = {
    (a, p) for a in ("asleep", "eating", "playing", "waiting") for p in ("upstairs", "downstairs", "outdoors")
}
ACTIVITIES = {
    word: {state for state in STATES if state[0] == word} for word in ("asleep", "eating", "playing")
}
ACTIVITIES["awake"] = STATES - ACTIVITIES["asleep"]
PLACES = {
    word: {state for state in STATES if state[1] == word} for word in ("upstairs", "downstairs", "outdoors")
}
PLACES["indoors"] = STATES - PLACES["outdoors"]
PREDICATES = ACTIVITIES | PLACES

# Each form says whether something is there (True) or nothing, and whether its region lies outside of the predicate.
FORMS = {
    "all {} are {}": (False, True),
    "some {} are {}": (True, False),
    "no {} are {}": (False, False),
    "not all {} are {}": (True, True),
    "some {} are not {}": (True, True),
}
SENTENCES = [(form, noun, predicate) for form in FORMS for noun in NOUNS for predicate in PREDICATES]


def require(condition: bool, message: str) -> None:
    """Raise ValueError with the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def text_of(sentence: Sentence) -> str:
    """The sentence in English."""
    form, noun, predicate = sentence
    return form.format(noun, predicate)


def claim(sentence: Sentence) -> tuple[bool, set, set]:
    """What a sentence claims: whether something is there, or nothing; of which kinds, and in which states."""
    form, noun, predicate = sentence
    something, outside = FORMS[form]
    return something, NOUNS[noun], STATES - PREDICATES[predicate] if outside else PREDICATES[predicate]


def exclude(one: tuple[bool, set, set], other: tuple[bool, set, set]) -> bool:
    """Whether two claims cannot both be true."""
    (something, kinds, states), (other_something, other_kinds, other_states) = one, other
    if something and other_something:
        return False  # there is room for both
    if not something and not other_something:
        # A kind of which there is nothing in the one states, and nothing in the others, must be somewhere.
        return bool(kinds & other_kinds) and states | other_states == STATES
    # Something is in one region, and nothing is in another one: is the first inside of the second?
    return (kinds <= other_kinds and states <= other_states) if something else exclude(other, one)


def relation(premise: Sentence, hypothesis: Sentence) -> int:
    """The label of two sentences: 0 entailment, 1 neutral, 2 contradiction."""
    given, (something, kinds, states) = claim(premise), claim(hypothesis)
    if exclude(given, (not something, kinds, states)):
        return 0
    return 2 if exclude(given, (something, kinds, states)) else 1


def is_held_out(sentence: Sentence) -> bool:
    """Whether this combination of noun and predicate is kept away from training."""
    _, noun, predicate = sentence
    return zlib.crc32(f"{noun} {predicate}".encode()) % 6 == 0


def by_label(sentence: Sentence, others: Iterable[Sentence], first: bool) -> list[list[Sentence]]:
    """The others about the same subject, sorted by the label they give; and the rest.

    They are the premises of the sentence, or, with first, its hypotheses.
    """
    found: list[list[Sentence]] = [[], [], [], []]
    for other in others:
        topics = {sentence[2] in ACTIVITIES, other[2] in ACTIVITIES}
        related = len(topics) == 1 and NOUNS[sentence[1]] & NOUNS[other[1]]
        pair = (sentence, other) if first else (other, sentence)
        found[relation(*pair) if related else 3].append(other)
    return found


def drawn(sentences: list[Sentence], others: list[Sentence], n: int, seed: int, first: bool) -> list[Pair]:
    """n pairs: a sentence at random, then a label, then another sentence that gives this label."""
    rng, known, pairs = random.Random(seed), {}, []
    while len(pairs) < n:
        sentence, label = rng.choice(sentences), rng.randrange(3)
        if sentence not in known:
            known[sentence] = by_label(sentence, others, first)
        # One neutral pair in five is about different things altogether.
        group = known[sentence][3 if label == 1 and rng.random() < 0.2 else label]
        if group:
            texts = text_of(sentence), text_of(rng.choice(group))
            pairs.append((*(texts if first else texts[::-1]), label))
    return pairs


def generate_pairs(n: int, held_out: bool, seed: int) -> list[Pair]:
    """n pairs (premise, hypothesis, label) in which the label is independent of the hypothesis.

    With held_out, the hypotheses are those whose noun and predicate never come together in the training part, which
    is what you get without. The same n, held_out and seed give the same pairs, in any run.
    """
    training = [sentence for sentence in SENTENCES if not is_held_out(sentence)]
    kept_away = [sentence for sentence in SENTENCES if is_held_out(sentence)]
    return drawn(
        kept_away if held_out else training, SENTENCES if held_out else training, n, seed, first=False
    )


def annotated_pairs(n: int, seed: int) -> list[Pair]:
    """n pairs as people write them: first the premise, then a hypothesis for a given label."""
    return drawn(SENTENCES, SENTENCES, n, seed, first=True)


def tokenize(text: str) -> list[str]:
    """Words (letters, digits, apostrophes inside) and single other marks, in lower case."""
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", text.lower())


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
        drawn_figure = figure()
        if IN_NOTEBOOK:
            plt.show()
            return
        path = Path("figures") / f"{figure.__name__}.png"
        path.parent.mkdir(exist_ok=True)
        drawn_figure.savefig(path, dpi=120)
        plt.close(drawn_figure)
        print(f"Saved {path}")

    show(picture, needs, what="figure")


def some_pairs() -> None:
    """Print a few pairs of each label."""
    pairs = generate_pairs(60, held_out=False, seed=1)
    for number, label in enumerate(LABELS):
        for premise, hypothesis, _ in [pair for pair in pairs if pair[2] == number][:3]:
            print(f"{label:14} {premise:32} {hypothesis}")


show(some_pairs, needs="the cell above")

# %% [markdown]
# ## q1 · Reading SNLI
#
# The *Stanford Natural Language Inference* corpus ([Bowman et al. 2015](https://arxiv.org/abs/1508.05326)) has 570
# thousand pairs. Its files hold one JSON object a line:
#
# ```
# {"gold_label": "neutral", "sentence1": "A person on a horse.", "sentence2": "The horse is brown.", ...}
# ```
#
# `sentence1` is the premise. Where the five people who were asked found no majority, the gold label is `-`; such
# pairs are left out by everyone. A reader should be strict with all else: a file that was cut off while it was
# copied should not silently become a smaller data set, and an error without a line number is no help in 570
# thousand lines.
#
# You do not need the corpus here. If you have it, `with open("snli_1.0_dev.jsonl") as file: pairs =
# read_snli(file)` reads it with your function: an open file is an iterable of lines.
#
# <details><summary>Hint: JSON that is no object</summary>
# <code>json.loads("3")</code> is 3, and <code>json.loads("[]")</code> is a list. Both are valid JSON.
# </details>


# %% tags=["q1"]
def read_snli(lines: Iterable[str]) -> list[Pair]:
    """The pairs of an SNLI file.

    Source: Bowman et al. 2015, "A large annotated corpus for learning natural language inference", section 2.

    Args:
        lines: the lines of the file, with or without line ends: a list, an open file, any iterable of texts.

    Returns:
        A list of tuples (premise, hypothesis, label), in the order of the lines: sentence1 and sentence2 as they
        are, and the label as an int: 0 entailment, 1 neutral, 2 contradiction. Lines whose gold_label is "-" and
        empty lines (nothing but white space) are skipped.

    Raises:
        ValueError: a line is no JSON, or no object; gold_label, sentence1 or sentence2 is missing; a sentence
            is no text; the label is unknown. The message says which line, as "line 3": the first one is line 1, and
            skipped lines count.
    """
    # BEGIN SOLUTION
    pairs = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number} is no JSON: {error}") from None
        require(isinstance(entry, dict), f"line {number} is no JSON object")
        for field in ("gold_label", "sentence1", "sentence2"):
            require(field in entry, f"line {number} has no field {field!r}")
            require(isinstance(entry[field], str), f"line {number}: {field} is no text: {entry[field]!r}")
        label = entry["gold_label"]
        if label == "-":
            continue
        require(label in LABELS, f"line {number}: unknown gold_label {label!r}; known are {LABELS} and '-'")
        pairs.append((entry["sentence1"], entry["sentence2"], LABELS.index(label)))
    return pairs
    # END SOLUTION


# %% tags=["otter_ignore"]
SNLI_EXAMPLE = """
{"gold_label": "neutral", "sentence1": "A person on a horse.", "sentence2": "The horse is brown."}
{"gold_label": "-", "sentence1": "Two dogs in the snow.", "sentence2": "They are cold."}
{"gold_label": "contradiction", "sentence1": "A man sleeps.", "sentence2": "Nobody sleeps."}
"""


def read_example() -> None:
    """Print what becomes of three lines."""
    for premise, hypothesis, label in read_snli(SNLI_EXAMPLE.splitlines()):
        print(f"{LABELS[label]:14} {premise:24} {hypothesis}")


show(read_example, needs="q1")

# %% [markdown]
# ## q2 · Two sentences, one row of numbers
#
# As in BERT ([Devlin et al. 2019](https://arxiv.org/abs/1810.04805), section 3), both sentences go into one row,
# with marks:
#
# $$
# \texttt{[cls]}\ \underbrace{\text{no pets are indoors}}_{\text{premise}}\ \texttt{[sep]}\
# \underbrace{\text{all poodles are outdoors}}_{\text{hypothesis}}\ \texttt{[sep]}
# $$
#
# What the model finds out is to be gathered at `[cls]`. Rows of a batch have the same length: shorter ones are
# filled up on the right with `[pad]`. A word that the vocabulary does not have becomes `[unk]`.
#
# **By hand.** From the single pair (*no cats*, *all cats*, 2), the vocabulary is `[pad]` 0, `[unk]` 1, `[cls]` 2,
# `[sep]` 3, and then, in alphabetical order, `all` 4, `cats` 5, `no` 6. The pair is $2, 6, 5, 3, 4, 5, 3$.
#
# <details><summary>Hint: the same in every run</summary>
# The order of a set of texts is another one in each run of Python. That is why the words are sorted.
# </details>


# %% tags=["q2"]
def build_vocabulary(pairs: Sequence[Pair], min_count: int = 1) -> dict[str, int]:
    """An id for each token of the pairs.

    Args:
        pairs: (premise, hypothesis, label); may be empty.
        min_count: how often a token must occur, in premises and hypotheses together, at least 1. One that occurs
            twice in a sentence counts twice.

    Returns:
        "[pad]": 0, "[unk]": 1, "[cls]": 2, "[sep]": 3, and then the tokens (see `tokenize`) that occur min_count
        times or more, in alphabetical order (that of `sorted`), from 4 on without gaps.

    Raises:
        ValueError: min_count is below 1.
    """
    # BEGIN SOLUTION
    require(min_count >= 1, f"min_count must be at least 1, got {min_count}")
    counts: dict[str, int] = {}
    for premise, hypothesis, _ in pairs:
        for token in tokenize(premise) + tokenize(hypothesis):
            counts[token] = counts.get(token, 0) + 1
    tokens = sorted(token for token, count in counts.items() if count >= min_count)
    return {token: number for number, token in enumerate([*SPECIAL, *tokens])}
    # END SOLUTION


# %% tags=["q2"]
def encode_batch(pairs: Sequence[Pair], vocabulary: dict[str, int], max_len: int = 32) -> Tensor:
    """The ids of a batch of pairs, a row each.

    Source: Devlin et al. 2019, "BERT", section 3.

    Args:
        pairs: one or more (premise, hypothesis, label); the label is not looked at. A sentence may be empty.
        vocabulary: ids of the tokens, with "[pad]", "[unk]", "[cls]" and "[sep]" among them.
        max_len: the longest row that is allowed.

    Returns:
        (B, L), torch.long: [cls], the premise, [sep], the hypothesis, [sep], then [pad] up to the longest row of
        the batch. A token that is not in the vocabulary is [unk].

    Raises:
        ValueError: there is no pair, or a row is longer than max_len: nothing is cut off silently.
    """
    # BEGIN SOLUTION
    require(len(pairs) > 0, "a batch needs a pair")
    rows = []
    for premise, hypothesis, _ in pairs:
        tokens = ["[cls]", *tokenize(premise), "[sep]", *tokenize(hypothesis), "[sep]"]
        rows.append([vocabulary.get(token, vocabulary["[unk]"]) for token in tokens])
    longest = max(map(len, rows))
    require(longest <= max_len, f"a row of {longest} tokens is longer than max_len = {max_len}")
    return torch.tensor([row + [vocabulary["[pad]"]] * (longest - len(row)) for row in rows])
    # END SOLUTION


# %% tags=["otter_ignore"]
def hand_encoding() -> None:
    """Print the example, and the size of the vocabulary of the data."""
    pairs = [("no cats", "all cats", 2)]
    vocabulary = build_vocabulary(pairs)
    print(f"{vocabulary}\n{encode_batch(pairs, vocabulary).tolist()}")
    print(f"the data have {len(build_vocabulary(generate_pairs(5000, False, 0)))} symbols")


show(hand_encoding, needs="q2")

# %% [markdown]
# ## q3 · Two ways to be sparse
#
# **In attention.** If every token looks at every other one, $n$ tokens cost $n^2$. A *factorised* pattern ([Child
# et al. 2019](https://arxiv.org/abs/1904.10509)) keeps a local window and every $s$-th token. In a text that is
# read as a whole, both directions count:
#
# $$
# M_{ij} = \big[\ |i - j| < \text{window} \ \text{ or } \ |i - j| \bmod \text{stride} = 0\ \big] .
# $$
#
# Distances are counted from the token that looks. What is not reached in one layer is reached over two.
#
# **By hand.** $n = 6$, window 2, stride 3: the distances 0, 1, 3.
#
# $$
# M = \begin{pmatrix}
# 1 & 1 & 0 & 1 & 0 & 0 \\
# 1 & 1 & 1 & 0 & 1 & 0 \\
# 0 & 1 & 1 & 1 & 0 & 1 \\
# 1 & 0 & 1 & 1 & 1 & 0 \\
# 0 & 1 & 0 & 1 & 1 & 1 \\
# 0 & 0 & 1 & 0 & 1 & 1
# \end{pmatrix}
# $$
#
# **In the network.** A *mixture of experts* ([Shazeer et al. 2017](https://arxiv.org/abs/1701.06538)) has several
# feed-forward networks $E_e$, of which each row uses $k$. A gate $p = \operatorname{softmax}(x W_g)$ says which:
# the $k$ largest probabilities are kept and renormalised to sum 1, the others are 0,
#
# $$
# y = \sum_{e \text{ kept}} g_e(x)\, E_e(x), \qquad g_e = \frac{p_e}{\sum_{e' \text{ kept}} p_{e'}} .
# $$
#
# **By hand.** $p = (0.6, 0.3, 0.1)$ and $k = 2$: $g = (\tfrac23, \tfrac13, 0)$. Many parameters, little work: that
# is the idea.
#
# <details><summary>Hint: the gate</summary>
# <code>topk</code> gives values and places, <code>scatter</code> puts values at places. Or: a softmax over the kept
# logits alone gives the same weights.
# </details>


# %% tags=["q3"]
def two_sided_mask(n: int, window: int, stride: int) -> Tensor:
    """The factorised pattern without a direction: a local window, and every stride-th token.

    Source: Child et al. 2019, "Generating Long Sequences with Sparse Transformers", section 4.3, both parts
    in one pattern and both directions.

    Args:
        n: length of the text, at least 0.
        window: how many tokens to one side are seen, oneself included; at least 1.
        stride: every which token is seen; at least 1.

    Returns:
        (n, n), boolean, True = may attend: entry (i, j) is True where |i - j| < window or |i - j| is a multiple of
        stride.

    Raises:
        ValueError: n is below 0, or window or stride is below 1.
    """
    # BEGIN SOLUTION
    require(n >= 0, f"n must be at least 0, got {n}")
    require(min(window, stride) >= 1, f"window and stride must be at least 1, got {window} and {stride}")
    place = torch.arange(n)
    distance = (place[:, None] - place[None, :]).abs()
    return (distance < window) | (distance % stride == 0)
    # END SOLUTION


# %% tags=["q3"]
class MoE(nn.Module):
    """A sparse mixture of experts: each row uses top_k of the feed-forward networks.

    Source: Shazeer et al. 2017, "Outrageously Large Neural Networks", equations 1 to 5 (without noise).

    Args:
        d_model: length of a row, of the input and of the output.
        d_ff: width of the hidden layer of each expert.
        n_experts: how many experts.
        top_k: how many of them each row uses, 1 to n_experts.

    Attributes:
        experts: nn.ModuleList of n_experts networks (..., d_model) -> (..., d_model), with weights of their own.
        W_g: nn.Parameter (d_model, n_experts), the weights of the gate.

    Raises:
        ValueError: a size is below 1; top_k is not between 1 and n_experts.
    """

    def __init__(self, d_model: int, d_ff: int, n_experts: int = 4, top_k: int = 2) -> None:
        super().__init__()
        # BEGIN SOLUTION
        sizes = f"d_model {d_model}, d_ff {d_ff}, n_experts {n_experts}"
        require(min(d_model, d_ff, n_experts) >= 1, f"sizes must be at least 1, got {sizes}")
        require(1 <= top_k <= n_experts, f"top_k must be between 1 and n_experts = {n_experts}, got {top_k}")
        self.top_k = top_k
        self.experts = nn.ModuleList(feed_forward(d_model, d_ff) for _ in range(n_experts))
        self.W_g = nn.Parameter(torch.randn(d_model, n_experts) / math.sqrt(d_model))
        # END SOLUTION

    def forward(self, x: Tensor) -> Tensor:
        """Mix the outputs of the experts that each row uses.

        Args:
            x: (..., d_model), of the dtype of the parameters.

        Returns:
            (..., d_model): for each row the sum over its top_k experts of weight times output, where the weights
            are the top_k largest of softmax(x W_g), renormalised to sum 1. Differentiable with respect to x, W_g
            and the parameters of the experts. x stays unchanged.
        """
        # BEGIN SOLUTION
        rows = x.reshape(-1, x.shape[-1])
        kept, chosen = torch.softmax(rows @ self.W_g, dim=-1).topk(self.top_k, dim=-1)
        kept = kept / kept.sum(dim=-1, keepdim=True)
        result = torch.zeros_like(rows)
        for e, expert in enumerate(self.experts):
            row, place = (chosen == e).nonzero(as_tuple=True)  # the rows that use this expert
            result = result.index_add(0, row, kept[row, place, None] * expert(rows[row]))
        return result.reshape(x.shape)
        # END SOLUTION


# %% tags=["q3", "q4"]
# BEGIN SOLUTION NO PROMPT
def feed_forward(d_model: int, d_ff: int) -> nn.Module:
    """The network that every token goes through by itself."""
    return nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model))


# END SOLUTION


# %% tags=["otter_ignore"]
def sparse_patterns() -> Figure:
    """Three patterns for 23 tokens, and which pairs two layers of each connect."""
    figure, axes = plt.subplots(2, 3, figsize=(10.5, 6.8), layout="constrained")
    for column, (window, stride) in zip(axes.T, [(2, 23), (1, 5), (3, 5)], strict=True):
        mask = two_sided_mask(23, window, stride)
        two_layers = mask.float() @ mask.float() > 0
        for ax, pattern, words in zip(column, (mask, two_layers), ("one layer", "two layers"), strict=True):
            ax.imshow(pattern, cmap="Blues", vmin=0, vmax=1.3)
            share = pattern.float().mean().item()
            ax.set(title=f"window {window}, stride {stride}, {words}: {share:.0%}", xticks=[], yticks=[])
    axes[0, 0].set_ylabel("the token that looks")
    axes[1, 0].set_xlabel("the token that is seen")
    return figure


draw(sparse_patterns, needs="q3")

# %% [markdown]
# A window alone (left) passes on a little further with each layer. Strides alone (middle) never get from one
# residue to another. Both together (right) connect everything in two layers, at about a third of the pairs.

# %% [markdown]
# ## q4 · The model
#
# A transformer encoder, read at its first token:
#
# $$
# \begin{aligned}
# x_i &= E[\text{id}_i] + P[i] + S[\text{which sentence } i \text{ is in}] \\
# x &\leftarrow x + \operatorname{attention}(\operatorname{norm}(x)) \\
# x &\leftarrow x + \operatorname{network}(\operatorname{norm}(x)) \\
# \text{logits} &= W \operatorname{norm}(x_0) + b
# \end{aligned}
# $$
#
# with the middle two lines once for each layer, and a mask in the attention: **nobody looks at padding**. Otherwise
# the answer to a pair would depend on which other pairs are in its batch. The three variants:
#
# | variant | attention | network |
# | --- | --- | --- |
# | `"vanilla"` | every token sees every other one | one feed-forward network |
# | `"sparse"` | `two_sided_mask(L, window, stride)` | one feed-forward network |
# | `"moe"` | every token sees every other one | `MoE`: four experts, two for each token |
#
# **Which sentence?** *No pets are indoors* and *all poodles are outdoors* mean something else when they change
# places. $S$ says for each token whether it belongs to the premise or to the hypothesis: the number of `[sep]`
# before it. It is not needed ($P$ tells it too, less directly), but it helps.
#
# Any layout will do, with your own attention or `F.scaled_dot_product_attention`. You are judged by what the model
# does. The logits must come from **position 0** alone: then the grader can see from a one-layer model what the
# `[cls]` token looks at.
#
# **This question also holds the goal**: its last points are for what your *trained* models can do, and come once q6
# works and your weights are handed in.
#
# <details><summary>Hint: the mask of a batch</summary>
# <code>ids != PAD</code> is (B, L): which keys may be looked at. With two more dimensions it is (B, 1, 1, L) and
# fits scores (B, n_heads, L, L). The sparse mask (L, L) joins it with <code>&</code>.
# </details>
#
# <details><summary>Hint: it learns too slowly</summary>
# nn.Embedding starts with numbers of size 1, far larger than what the blocks add to them at first:
# <code>nn.init.normal_(table.weight, std=0.02)</code>.
# </details>


# %% tags=["q4"]
# BEGIN SOLUTION NO PROMPT
class Block(nn.Module):
    """One block of the encoder: the tokens look at each other, then each thinks for itself."""

    def __init__(self, d_model: int, n_heads: int, network: nn.Module) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.network_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.queries_keys_values, self.output = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.network = network

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, d_model) to the same shape; mask (B, 1, L, L), True = may attend."""
        heads = self.queries_keys_values(self.attention_norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # (3, B, n_heads, L, d)
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, float("-inf"))
        # Side by side again: (B, n_heads, L, d) to (B, L, n_heads, d) to (B, L, d_model).
        x = x + self.output((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(-2))
        return x + self.network(self.network_norm(x))


# END SOLUTION
class NLIClassifier(nn.Module):
    """A transformer encoder that says how a hypothesis stands to a premise.

    Source: Devlin et al. 2019, "BERT", section 3 (the input and what is read); Vaswani et al. 2017 (the encoder).

    Args:
        vocab_size: number of ids, at least 4.
        d_model: width of the model, a multiple of n_heads.
        n_heads: heads in each layer.
        n_layers: number of blocks.
        max_len: the longest row.
        variant: "vanilla"; "sparse", where attention is restricted to two_sided_mask(L, window, stride); or "moe",
            where each block has a mixture of four experts, two for each token, in place of one feed-forward
            network of the same width.
        window, stride: of the variant "sparse"; the others do not look at them.

    Raises:
        ValueError: a size is below 1; d_model is not a multiple of n_heads; the variant is unknown.
    """

    def __init__(
        self, vocab_size: int, d_model: int, n_heads: int, n_layers: int, max_len: int,
        variant: str = "vanilla", window: int = 3, stride: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()
        # BEGIN SOLUTION
        sizes = (vocab_size, d_model, n_heads, n_layers, max_len, window, stride)
        require(min(sizes) >= 1, f"sizes must be at least 1, got {sizes}")
        require(d_model % n_heads == 0, f"d_model = {d_model} must be a multiple of n_heads = {n_heads}")
        require(variant in VARIANTS, f"variant must be one of {VARIANTS}, got {variant!r}")
        self.pattern = (window, stride) if variant == "sparse" else (max_len, 1)  # (max_len, 1): everything
        self.tokens, self.positions = nn.Embedding(vocab_size, d_model), nn.Embedding(max_len, d_model)
        self.sentences = nn.Embedding(2, d_model)
        for table in (self.tokens, self.positions, self.sentences):
            nn.init.normal_(table.weight, std=0.02)
        network = MoE if variant == "moe" else feed_forward
        self.blocks = nn.ModuleList(
            Block(d_model, n_heads, network(d_model, 2 * d_model)) for _ in range(n_layers)
        )
        self.norm, self.logits = nn.LayerNorm(d_model), nn.Linear(d_model, len(LABELS))
        # END SOLUTION

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the three labels.

        Args:
            ids: (B, L), torch.long, each in 0..vocab_size-1, with 1 <= L <= max_len, as encode_batch gives them: 0 is
                padding, on the right, and never at position 0; 3 stands behind each sentence.

        Returns:
            Logits (B, 3), read at position 0, differentiable with respect to all parameters. Padding on the right
            changes nothing, and no row depends on another one. In eval mode the same ids give the same logits.
            What a sentence means may depend on the order of its words and on which of the two it is.

        Raises:
            ValueError: ids has not two dimensions, L is 0 or above max_len, or an id is unknown.
        """
        # BEGIN SOLUTION
        vocab_size, max_len = self.tokens.num_embeddings, self.positions.num_embeddings
        require(ids.ndim == 2, f"ids must have two dimensions, got {tuple(ids.shape)}")
        length = ids.shape[1]
        require(1 <= length <= max_len, f"a row has 1 to {max_len} tokens, got {length}")
        require(bool(((ids >= 0) & (ids < vocab_size)).all()), f"each id must be in 0..{vocab_size - 1}")
        # The premise is what has no [sep] before it. A third sentence, if there were one, would count as the second.
        separators = (ids == SEP).long()
        sentence = (separators.cumsum(dim=1) - separators).clamp(max=1)
        x = self.tokens(ids) + self.positions(torch.arange(length)) + self.sentences(sentence)
        mask = two_sided_mask(length, *self.pattern) & (ids != PAD)[:, None, None, :]
        # A token whose every key is masked would get 0/0; padding sees itself, and nobody sees it.
        mask = mask | torch.eye(length, dtype=torch.bool)
        for block in self.blocks:
            x = block(x, mask)
        return self.logits(self.norm(x[:, 0]))
        # END SOLUTION


# %% [markdown]
# ## q5 · Class by class
#
# Accuracy is one number, and hides where the errors are. The **confusion matrix** $C$ counts them: $C_{tp}$ is how
# many examples of true class $t$ were predicted as $p$. Rows are the truth. Two questions about a class $c$ can be
# read off it:
#
# $$
# \text{precision}_c = \frac{C_{cc}}{\sum_t C_{tc}} \quad \text{(of what was called } c \text{, how much is?)} \qquad
# \text{recall}_c = \frac{C_{cc}}{\sum_p C_{cp}} \quad \text{(of what is } c \text{, how much was found?)}
# $$
#
# $$
# F_{1,c} = \frac{2\, \text{precision}_c\, \text{recall}_c}{\text{precision}_c + \text{recall}_c}, \qquad
# \text{macro } F_1 = \frac1n \sum_{c=1}^{n} F_{1,c}.
# $$
#
# A class that is never predicted has precision 0/0, and one that never occurs has recall 0/0. **Here 0/0 is 0**, in
# all three formulas, and the mean always runs over all $n$ classes. (Other conventions exist: it matters that one
# is said.)
#
# **By hand.** Truth $0, 0, 0, 1, 1$, predicted $0, 0, 1, 1, 0$, three classes:
#
# $$
# C = \begin{pmatrix} 2 & 1 & 0 \\ 1 & 1 & 0 \\ 0 & 0 & 0 \end{pmatrix}, \quad
# \text{precision} = (\tfrac23, \tfrac12, 0), \quad \text{recall} = (\tfrac23, \tfrac12, 0), \quad
# \text{macro } F_1 = \tfrac13 (\tfrac23 + \tfrac12 + 0) = \tfrac{7}{18} .
# $$
#
# <details><summary>Hint: counting pairs</summary>
# <code>labels * n + predictions</code> is one number for each pair of them, and <code>torch.bincount</code> counts
# numbers.
# </details>


# %% tags=["q5"]
def confusion_matrix(labels: Tensor, predictions: Tensor, n_classes: int = 3) -> Tensor:
    """How often each true class was predicted as each class.

    Args:
        labels: the truth, (N,), torch.long, each in 0..n_classes-1; N may be 0.
        predictions: (N,), torch.long, likewise.
        n_classes: how many classes, at least 1.

    Returns:
        (n_classes, n_classes), torch.long: row = true class, column = predicted class.

    Raises:
        ValueError: the shapes differ, or are not (N,); a class is not in 0..n_classes-1.
    """
    # BEGIN SOLUTION
    found = f"labels {tuple(labels.shape)} and predictions {tuple(predictions.shape)}"
    require(labels.ndim == 1 and labels.shape == predictions.shape, f"{found} must both be (N,)")
    both = torch.stack([labels, predictions])
    require(bool(((both >= 0) & (both < n_classes)).all()), f"each class must be in 0..{n_classes - 1}")
    return torch.bincount(labels * n_classes + predictions, minlength=n_classes**2).view(n_classes, n_classes)
    # END SOLUTION


# %% tags=["q5"]
# BEGIN SOLUTION NO PROMPT
def divided(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient in float64, and 0 where the denominator is 0."""
    quotient = numerator.double() / denominator.double().clamp(min=1e-300)
    return torch.where(denominator == 0, 0.0, quotient)


# END SOLUTION
def precision_recall(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall of each class.

    Args:
        matrix: a confusion matrix, (n, n), rows true, columns predicted.

    Returns:
        (precision, recall), each (n,) in float64. 0/0 is 0.

    Raises:
        ValueError: the matrix is not square.
    """
    # BEGIN SOLUTION
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    require(square, f"a confusion matrix is square, got {tuple(matrix.shape)}")
    right = matrix.diagonal()
    return divided(right, matrix.sum(dim=0)), divided(right, matrix.sum(dim=1))
    # END SOLUTION


# %% tags=["q5"]
def macro_f1(matrix: Tensor) -> float:
    """The mean over all classes of the harmonic mean of precision and recall.

    Args:
        matrix: a confusion matrix, (n, n), rows true, columns predicted.

    Returns:
        The mean of the n values of F1, a Python float. 0/0 is 0, and a class that does not occur counts too.

    Raises:
        ValueError: the matrix is not square.
    """
    # BEGIN SOLUTION
    precision, recall = precision_recall(matrix)
    return divided(2 * precision * recall, precision + recall).mean().item()
    # END SOLUTION


# %% tags=["otter_ignore"]
def hand_scores() -> None:
    """Print the example by hand."""
    matrix = confusion_matrix(torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 1, 0]))
    precision, recall = precision_recall(matrix)
    print(f"{matrix.tolist()}\nprecision {precision.tolist()}\nrecall    {recall.tolist()}")
    print(f"macro F1 {macro_f1(matrix):.6f}, and 7/18 = {7 / 18:.6f}")


show(hand_scores, needs="q5")

# %% [markdown]
# ## q6 · Training
#
# The loss is the cross-entropy of the logits with the labels. Rows are drawn at random, with a generator of their
# own, so that the same seed gives the same training.
#
# **What works**: AdamW with a learning rate of 0.004 (a warm-up over the first 50 steps, then down to 0 along a
# cosine), 256 rows a step, gradients clipped to norm 1. 600 steps take about ten seconds for each variant on one
# core.
#
# `predict` gives the labels with the largest logits. It is used for measuring, so it must not leave traces: no
# gradient, and eval mode while it runs.


# %% tags=["q6"]
# BEGIN SOLUTION NO PROMPT
def learning_rate(step: int, steps: int) -> float:
    """The share of the full learning rate: up in 50 steps, then down along a cosine."""
    return min(1.0, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2


# END SOLUTION
def train(model: nn.Module, ids: Tensor, labels: Tensor, steps: int, seed: int) -> dict[str, list]:
    """Trains a classifier in place, and keeps a record.

    Source: for the optimiser, Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".

    Args:
        model: model(ids) gives logits (B, 3).
        ids: encoded pairs, (N, L), torch.long; they stay unchanged.
        labels: (N,), torch.long, each 0, 1 or 2.
        steps: number of updates, at least 1.
        seed: two calls with the same model, data, steps and seed do the same (what dropout draws, too, if the model
            has any); another seed draws other rows in another order.

    Returns:
        Two lists of equal length, a row of the record each, at least two rows:
        "step": how many updates had been made: 0 in the first row, `steps` in the last, growing.
        "loss": the training loss at that time, on one batch or more (mean cross-entropy, in nats), as floats.

    Raises:
        ValueError: steps is below 1; there is no row; ids and labels differ in length.
    """
    # BEGIN SOLUTION
    require(steps >= 1, f"steps must be at least 1, got {steps}")
    require(len(ids) == len(labels) > 0, f"{len(ids)} rows of ids do not fit {len(labels)} labels")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, steps))
    generator = torch.Generator().manual_seed(seed)
    history: dict[str, list] = {"step": [], "loss": []}
    model.train()
    for step in range(steps + 1):
        rows = torch.randint(len(ids), (256,), generator=generator)
        loss = F.cross_entropy(model(ids[rows]), labels[rows])
        if step % max(1, steps // 40) == 0 or step == steps:
            history["step"].append(step)
            history["loss"].append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return history
    # END SOLUTION


# %% tags=["q6"]
def predict(model: nn.Module, ids: Tensor) -> Tensor:
    """The most likely label of each pair, by the model in eval mode.

    Args:
        model: model(ids) gives logits (B, 3).
        ids: encoded pairs, (B, L), torch.long.

    Returns:
        (B,), torch.long: the label with the largest logit. Without a gradient; the model is left in the mode
        that it was in.
    """
    # BEGIN SOLUTION
    was_training = model.training
    model.eval()
    with torch.no_grad():
        labels = model(ids).argmax(dim=-1)
    model.train(was_training)
    return labels
    # END SOLUTION


# %% [markdown]
# ### Train them, and keep what they learned
#
# The next cell trains the three variants, about a minute, and saves everything in one file, `weights.safetensors`:
# the weights of each, and the record of each training. While that file lies there, the cell reads it instead of
# training again: **delete it when you have changed `NLIClassifier`, `MoE`, `two_sided_mask` or `train`**.
#
# **Hand in that file together with your notebook**, both in one zip. The grader then has no need to train; without
# the file it trains your models itself, which takes its time. The grader reads the file as plain numbers (that is
# what the format [safetensors](https://huggingface.co/docs/safetensors) is for), at most 4 MB of them.
#
# If your models are slow to learn, train them longer: what counts is what the weights can do. Only where it finds
# no weights does the grader train, and then for 600 steps.

# %% tags=["otter_ignore"]
TRAINED: dict = {}  # the models, their records and the data, for the figures below


def save_weights(models: dict[str, nn.Module], histories: dict, path: str = "weights.safetensors") -> None:
    """Save the states of all models as "vanilla.NAME", the records as "history.vanilla.loss", in one file."""
    from safetensors.torch import save_file  # pip install safetensors

    found = {}
    for variant, model in models.items():
        for name, tensor in model.state_dict().items():
            found[f"{variant}.{name}"] = tensor.detach().clone().contiguous()
        for name, values in histories[variant].items():
            found[f"history.{variant}.{name}"] = torch.tensor(values)
    save_file(found, path)


def load_weights(models: dict[str, nn.Module], path: str = "weights.safetensors") -> dict:
    """Give the models the states that were saved, and return the records."""
    from safetensors.torch import load_file

    saved, histories = load_file(path), {}
    for variant, model in models.items():
        state, record = f"{variant}.", f"history.{variant}."
        model.load_state_dict({k.removeprefix(state): v for k, v in saved.items() if k.startswith(state)})
        histories[variant] = {
            k.removeprefix(record): v.tolist() for k, v in saved.items() if k.startswith(record)
        }
    return histories


def train_and_save() -> None:
    """Train the graded models and save them, or read what an earlier run has saved; say what they have learned."""
    torch.manual_seed(0)  # the weights that the models begin with
    torch.set_num_threads(1)  # models this small are slower on several cores
    training, held_out = generate_pairs(N_PAIRS, False, 0), generate_pairs(2000, True, 1)
    vocabulary = build_vocabulary(training)
    ids, unseen = encode_batch(training, vocabulary), encode_batch(held_out, vocabulary)
    labels, unseen_labels = (torch.tensor([pair[2] for pair in part]) for part in (training, held_out))
    models = {variant: NLIClassifier(**SIZES, variant=variant) for variant in VARIANTS}
    if Path("weights.safetensors").exists():
        histories = load_weights(models)
        print("read weights.safetensors: delete it to train anew")
    else:
        histories = {name: train(model, ids, labels, STEPS, seed=0) for name, model in models.items()}
        save_weights(models, histories)
        print("saved weights.safetensors")
    for variant, model in models.items():
        right = (predict(model, unseen) == unseen_labels).double().mean()
        print(f"{variant:8} {right:.1%} of the held-out pairs are right")
    TRAINED.update(
        models=models, histories=histories, ids=unseen, labels=unseen_labels, vocabulary=vocabulary
    )


show(train_and_save, needs="q2, q3, q4 and q6", what="training")


# %% tags=["otter_ignore"]
def losses_over_training() -> Figure:
    """The training loss of the three variants against the number of steps."""
    figure, ax = plt.subplots(figsize=(7.5, 4.0), layout="constrained")
    for variant, history in TRAINED["histories"].items():
        ax.plot(history["step"], history["loss"], label=variant)
    ax.axhline(math.log(3), color="0.4", ls="--", lw=1)
    ax.annotate("guessing: ln 3", (0.99, 1.12), xycoords=("axes fraction", "data"), ha="right", color="0.4")
    ax.set(xlabel="steps", ylabel="loss on a training batch", ylim=(0, None))
    ax.legend(loc="center right")
    return figure


draw(losses_over_training, needs="the training above")

# %% [markdown]
# ## q7 · What does the hypothesis give away?
#
# Before you believe in a score, ask what could get it **without** doing the task. A model that never sees the
# premise cannot infer anything. [Gururangan et al. 2018](https://arxiv.org/abs/1803.02324) and [Poliak et al.
# 2018](https://arxiv.org/abs/1805.01042) trained such models on SNLI, and got 67 % and 69 % right, where the most
# frequent label gives 34 %. The people who wrote the hypotheses, one for each label, had habits: to contradict,
# they wrote *nobody* and *sleeping*; to stay neutral, they added a reason or an adjective. These are **annotation
# artefacts**.
#
# **The best blind guess.** Who sees the hypothesis alone does best with its most frequent label, $\max_y P(y \mid
# h)$. If the label is independent of the hypothesis, that is 1/3 for three labels, whatever the model.
# `blind_accuracy` counts it: learned on one part of the data, measured on another.
#
# **Which words?** The *pointwise mutual information* of a word and a label says how much more often they come
# together than if they were independent (Gururangan et al. 2018, section 3):
#
# $$
# \operatorname{PMI}(w, y) = \ln \frac{p(w, y)}{p(w)\, p(y)}, \qquad
# p(w, y) = \frac{c_{wy} + a}{\sum_{w', y'} (c_{w'y'} + a)},
# $$
#
# where $c_{wy}$ counts the pairs of label $y$ whose hypothesis contains $w$, $p(w)$ and $p(y)$ are the sums of
# $p(w, y)$ over the other index, and the smoothing $a$ keeps rare words from looking important.
#
# **By hand.** Two pairs, ("", *no cats*, 2) and ("", *all cats*, 0), with $a = 1$. The table $c + a$, rows *all*,
# *cats*, *no*:
#
# $$
# \begin{pmatrix} 2 & 1 & 1 \\ 2 & 1 & 2 \\ 1 & 1 & 2 \end{pmatrix}, \quad \text{sum } 13, \qquad
# \operatorname{PMI}(\textit{no}, 2) = \ln \frac{2/13}{\tfrac{4}{13} \cdot \tfrac{5}{13}} = \ln 1.3 = 0.262 .
# $$


# %% tags=["q7"]
def hypothesis_only(pairs: Sequence[Pair]) -> list[Pair]:
    """The same pairs without their premises.

    Source: Poliak et al. 2018, "Hypothesis Only Baselines in Natural Language Inference".

    Args:
        pairs: (premise, hypothesis, label); they stay unchanged.

    Returns:
        A list of tuples ("", hypothesis, label), in the same order.
    """
    # BEGIN SOLUTION
    return [("", hypothesis, label) for _, hypothesis, label in pairs]
    # END SOLUTION


# %% tags=["q7"]
def blind_accuracy(training: Sequence[Pair], held_out: Sequence[Pair]) -> float:
    """How often the best guess is right that knows the hypothesis alone.

    Args:
        training: pairs that the guesses are learned from, at least one.
        held_out: pairs that they are measured on, at least one.

    Returns:
        The share of held_out whose label is guessed, a Python float from 0 to 1. The guess for a hypothesis (the
        text as it is) is its most frequent label in training; for one that training does not have, the most frequent
        label of all. Where several are equally frequent, it is the smallest of them.

    Raises:
        ValueError: training or held_out is empty.
    """
    # BEGIN SOLUTION
    require(len(training) > 0 and len(held_out) > 0, "training and held_out both need a pair")
    counts: dict[str, list[int]] = {}
    overall = [0, 0, 0]
    for _, hypothesis, label in training:
        counts.setdefault(hypothesis, [0, 0, 0])[label] += 1
        overall[label] += 1
    guesses = {hypothesis: numbers.index(max(numbers)) for hypothesis, numbers in counts.items()}
    otherwise = overall.index(max(overall))
    right = [guesses.get(hypothesis, otherwise) == label for _, hypothesis, label in held_out]
    return sum(right) / len(right)
    # END SOLUTION


# %% tags=["q7"]
def artefact_scores(pairs: Sequence[Pair], smoothing: float = 100.0) -> dict[str, list[float]]:
    """The pointwise mutual information of each hypothesis word and each label.

    Source: Gururangan et al. 2018, "Annotation Artifacts in Natural Language Inference Data", section 3.

    Args:
        pairs: (premise, hypothesis, label), at least one with a word in its hypothesis.
        smoothing: added to every count, above 0.

    Returns:
        For each token (see `tokenize`) of the hypotheses three floats: ln(p(w, y) / (p(w) p(y))) for the labels 0, 1
        and 2, with the smoothed counts of pairs whose hypothesis contains the token. One that occurs twice in a
        hypothesis counts once.

    Raises:
        ValueError: smoothing is not above 0; no hypothesis has a token.
    """
    # BEGIN SOLUTION
    require(smoothing > 0, f"smoothing must be above 0, got {smoothing}")
    words = sorted({token for _, hypothesis, _ in pairs for token in tokenize(hypothesis)})
    require(len(words) > 0, "no hypothesis has a token")
    row = {word: number for number, word in enumerate(words)}
    counts = torch.full((len(words), 3), float(smoothing), dtype=torch.float64)
    for _, hypothesis, label in pairs:
        for token in set(tokenize(hypothesis)):
            counts[row[token], label] += 1
    p = counts / counts.sum()
    scores = torch.log(p / (p.sum(dim=1, keepdim=True) * p.sum(dim=0)))
    return dict(zip(words, scores.tolist(), strict=True))
    # END SOLUTION


# %% tags=["otter_ignore"]
def blind_and_seeing() -> None:
    """Print the example by hand, and the blind accuracy of both ways to draw pairs."""
    print(f"PMI(no, 2) = {artefact_scores([('', 'no cats', 2), ('', 'all cats', 0)], 1.0)['no'][2]:.3f}")
    for name, pairs in {
        "hypothesis first": generate_pairs(24000, False, 2),
        "premise first": annotated_pairs(24000, 2),
    }.items():
        seen = blind_accuracy(pairs[:20000], pairs[20000:])
        turned = [(hypothesis, premise, label) for premise, hypothesis, label in pairs]
        print(f"{name:17} from the hypothesis alone {seen:.1%}, from the premise alone "
              f"{blind_accuracy(turned[:20000], turned[20000:]):.1%}")  # fmt: skip


show(blind_and_seeing, needs="q7")


# %% tags=["otter_ignore"]
def artefacts_of_both_ways() -> Figure:
    """The PMI of each word and label, for both ways to draw pairs."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 6.6), layout="constrained")
    both = {"hypothesis first": generate_pairs(20000, False, 2), "premise first": annotated_pairs(20000, 2)}
    for ax, (name, pairs) in zip(axes, both.items(), strict=True):
        scores = artefact_scores(pairs)
        image = ax.imshow(
            torch.tensor(list(scores.values())), cmap="RdBu", vmin=-0.6, vmax=0.6, aspect="auto"
        )
        ax.set(xticks=range(3), yticks=range(len(scores)), title=name)
        ax.set_xticklabels(LABELS)
        ax.set_yticklabels(scores)
    figure.colorbar(image, ax=axes, label="PMI of word and label (nats)")
    return figure


draw(artefacts_of_both_ways, needs="q7")

# %% [markdown]
# The grammar is the same, and so is the meaning; only the order of drawing differs. Premise first, the words *no*,
# *not* and *some* tell much of the label: a claim about *some* is weak, and follows from many premises. This is no
# laziness of an annotator, it is what happens when hypotheses are made to order. Look at the numbers that were
# printed, too: hypothesis first, it is the *premise* that gives something away. You can balance one side by
# construction; a test of the other side is then all the more needed.

# %% [markdown] tags=["w1"]
# ## w1 · What does a hypothesis-only baseline show? (on paper)
#
# 1. Let $(P, H, Y)$ be a random pair with its label, three labels. Prove that no classifier $f(H)$ that sees the
#    hypothesis alone is right with a probability above $\mathbb{E}_H \max_y P(Y = y \mid H)$, and that this is
#    $\tfrac13$ if $Y$ is uniform and independent of $H$. Which function of q7 is an estimate of it, and why must it
#    be measured on other pairs than it was learned from?
# 2. On SNLI, a hypothesis-only model gets 67 % right, the most frequent label 34 %. What does that show about the
#    data? What does it show about a model that sees both sentences and gets 90 %, and what does it **not** show?
# 3. Gururangan et al. split the SNLI test set into a part that the blind model gets right ("easy") and the rest
#    ("hard"). A model with 90 % in all may have 95 % on the first and 75 % on the second. Explain why the second
#    number alone is not an unbiased measure of understanding either.
# 4. Name two ways to build or to repair a data set so that a hypothesis-only model fails, and a remaining weakness
#    of each.
#
# Graded by hand: the reasons count. q7 checks the numbers behind part 1.

# %% [markdown] tags=["w1", "solution"]
# **1. The bound.** Given $H = h$, the guess $f(h)$ is right with probability $P(Y = f(h) \mid H = h) \le \max_y P(Y
# = y \mid H = h)$. Taking the mean over $H$ gives the bound; $f(h) = \arg\max_y P(y \mid h)$ reaches it. If $Y$ is
# independent of $H$ and uniform, each conditional probability is $\tfrac13$, and so is the maximum.
# `blind_accuracy` is an estimate: it learns the $\arg\max$ from counts. Measured on the pairs it was learned from,
# it would also reward chance: of a hypothesis that occurs once, the label is always "guessed". On other pairs, it
# is the accuracy of one particular $f$, hence not above the bound but for chance.
#
# **2. Data and model.** The data: label and hypothesis are not independent; 33 points above the trivial baseline
# can be had without inference. The model of 90 %: its score cannot be read as "90 % of inferences are done"; up to
# two thirds of the answers could have been got from artefacts. It does *not* show that this model uses the
# artefacts, or that it ignores the premise; for that, one has to test the model itself (exchange premises, measure
# on a set without artefacts). Nor does it show that the labels are wrong.
#
# **3. Easy and hard.** The hard part is chosen *by the errors of a blind model*: there, the artefacts point to the
# wrong label more often than by chance. A model that uses artefacts a little, as one more piece of evidence, is
# punished there for what is right on average; one that guesses against them is rewarded. It is a selected set with
# a dependence of its own between label and hypothesis (a negative one), and it depends on which blind model
# selected it.
#
# **4. Repairs.** *Hypothesis first, label independent by construction* (as here): it needs a generator or a source
# of premises for every label, the language is poor, and the premise alone may give something away. *Adversarial
# filtering*, dropping what a blind model gets right: it removes only what that model finds, and brings selection
# effects as in 3. *Minimal pairs or counterfactual rewriting*: every hypothesis occurs with several premises and
# labels; it costs work, and writers have habits in rewriting, too. Any two with their weakness.

# %% [markdown]
# ## q8 · What does it cost?
#
# Three variants, three numbers each: accuracy, time, parameters. Which is best depends on what you are short of.
#
# `profile` measures a model: the share of right answers, the **median** time of some forward passes over the whole
# batch, and how many numbers the model holds. The median, because your computer now and then does something else.
#
# `plot_confusion` shows a confusion matrix as a heat map with its numbers; `plot_tradeoff` shows the variants as
# points, accuracy against seconds, each with its name and its number of parameters beside it.
#
# Speed is shown, never graded: a slow computer costs no points.


# %% tags=["q8"]
def profile(model: nn.Module, ids: Tensor, labels: Tensor, repeats: int = 3) -> dict[str, float | int]:
    """Accuracy, time and size of a model.

    Args:
        model: model(ids) gives logits (B, 3).
        ids: encoded pairs, (B, L), torch.long, B at least 1.
        labels: (B,), torch.long.
        repeats: how many forward passes are timed, at least 1.

    Returns:
        "accuracy": the share of pairs whose largest logit is that of their label, a float from 0 to 1.
        "seconds": the median time of one forward pass over all of ids, without gradient, a float above 0.
        "parameters": how many numbers the parameters of the model hold, an int.

    Raises:
        ValueError: repeats is below 1; ids and labels differ in length.
    """
    # BEGIN SOLUTION
    require(repeats >= 1, f"repeats must be at least 1, got {repeats}")
    require(len(ids) == len(labels) > 0, f"{len(ids)} rows of ids do not fit {len(labels)} labels")
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        predictions = predict(model, ids)
        seconds.append(time.perf_counter() - started)
    return {
        "accuracy": (predictions == labels).double().mean().item(),
        "seconds": sorted(seconds)[repeats // 2],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    # END SOLUTION


# %% tags=["q8"]
def plot_confusion(matrix: Tensor, ax: Axes | None = None) -> Axes:
    """A confusion matrix as a heat map with its numbers.

    Args:
        matrix: (n, n), counts, rows true, columns predicted.
        ax: where to draw; None: new axes.

    Returns:
        The axes: a heat map of the counts (imshow or pcolormesh) with the true classes from top to bottom and the
        predicted ones from left to right, each count written in its cell (n * n texts), and axis labels that
        contain "true" (y) and "predicted" (x).
    """
    # BEGIN SOLUTION
    ax = ax or plt.subplots(figsize=(5, 4.4), layout="constrained")[1]
    ax.imshow(matrix.tolist(), cmap="Blues")
    for row, counts in enumerate(matrix.tolist()):
        for column, count in enumerate(counts):
            colour = "white" if count > matrix.max() / 2 else "black"
            ax.text(column, row, str(count), ha="center", va="center", color=colour)
    names = LABELS if len(matrix) == len(LABELS) else range(len(matrix))
    ax.set(
        xlabel="predicted label", ylabel="true label", xticks=range(len(matrix)), yticks=range(len(matrix))
    )
    ax.set_xticklabels(names)
    ax.set_yticklabels(names)
    return ax
    # END SOLUTION


# %% tags=["q8"]
def plot_tradeoff(profiles: dict[str, dict], ax: Axes | None = None) -> Axes:
    """Accuracy against time for several models, with their sizes.

    Args:
        profiles: for each model's name what `profile` gave.
        ax: where to draw; None: new axes.

    Returns:
        The axes: a point for each model, seconds to the right and accuracy upwards (plot or scatter), and beside it
        a text that contains the name and the number of parameters, in plain digits (18659; commas are fine). The axis
        labels contain "seconds" (x) and "accuracy" (y).
    """
    # BEGIN SOLUTION
    ax = ax or plt.subplots(figsize=(6.5, 4.2), layout="constrained")[1]
    for name, found in profiles.items():
        point = (found["seconds"], found["accuracy"])
        ax.scatter(*point, s=found["parameters"] / 200)
        text = f"{name}\n{found['parameters']:,} parameters"
        ax.annotate(text, point, xytext=(10, -4), textcoords="offset points", va="top")
    ax.set(xlabel="seconds for all pairs", ylabel="accuracy")
    ax.margins(x=0.5, y=0.3)  # room for the texts
    return ax
    # END SOLUTION


# %% tags=["otter_ignore"]
def my_confusion() -> Figure:
    """The confusion matrices of the three trained variants on the held-out pairs."""
    figure, axes = plt.subplots(1, 3, figsize=(13.5, 4.2), layout="constrained")
    for ax, (variant, model) in zip(axes, TRAINED["models"].items(), strict=True):
        matrix = confusion_matrix(TRAINED["labels"], predict(model, TRAINED["ids"]))
        plot_confusion(matrix, ax).set_title(f"{variant}: macro F1 {macro_f1(matrix):.3f}")
    return figure


draw(my_confusion, needs="the training above, q5 and q8")


# %% tags=["otter_ignore"]
def tradeoff() -> Figure:
    """Accuracy on the held-out pairs against time, for the three trained variants."""
    profiles = {
        variant: profile(model, TRAINED["ids"], TRAINED["labels"])
        for variant, model in TRAINED["models"].items()
    }
    ax = plot_tradeoff(profiles)
    ax.set_title("Accuracy, time and parameters on 2000 held-out pairs")
    return ax.figure


draw(tradeoff, needs="the training above and q8")

# %% [markdown]
# What you see depends on your computer, and on the length of the texts. With 13 tokens, sparse attention saves
# nothing: a mask over a full score matrix *skips* no work, it only forbids its result, and the window already holds
# much of the text. The pattern pays off where $n$ is in the thousands, and where the computation leaves out what
# the mask leaves out. The mixture has more than twice the parameters; each token uses half of its experts, but
# sorting tokens to experts costs time as well. That more parameters did not bring more accuracy here says that the
# others were enough for 440 sentences.
#
# ### Does the model read the premise?
#
# The last check is about *your* model, not about the data: give each held-out hypothesis a premise that belongs to
# another pair. A model that reads the premise must now be wrong most of the time.


# %% tags=["otter_ignore"]
def exchanged_premises() -> None:
    """Print the accuracy with the right premises, with those of other pairs, and with none."""
    model, vocabulary = TRAINED["models"]["vanilla"], TRAINED["vocabulary"]
    pairs = generate_pairs(2000, True, 1)
    others = pairs[1:] + pairs[:1]
    versions = {
        "its own premise": pairs,
        "another pair's": [(other[0], *pair[1:]) for pair, other in zip(pairs, others, strict=True)],
        "no premise": hypothesis_only(pairs),
    }
    for name, version in versions.items():
        right = predict(model, encode_batch(version, vocabulary)) == torch.tensor(
            [pair[2] for pair in version]
        )
        print(f"{name:16} {right.double().mean():.1%}")


show(exchanged_premises, needs="the training above and q7")
