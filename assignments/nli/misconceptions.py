"""Known wrong answers, each right but for one thing, with its name and a hint.

The grader uses them three ways: the suite must catch each one, the feedback names the one that a student's
answer equals or behaves like, and the class report counts them. First come the right steps, which they share;
then, question by question, what goes wrong.
"""

import json
import math
import re
import time
from collections import Counter

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from torch import nn

from autograder.diagnosis import misconception

LABELS = ("entailment", "neutral", "contradiction")
PAD, UNK, CLS, SEP = range(4)
SPECIAL = ("[pad]", "[unk]", "[cls]", "[sep]")


def require(condition, message):
    if not condition:
        raise ValueError(message)


def tokenize(text):
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", text.lower())


# ---------------------------------------------------------------------------------------------------------------- q1


def read(
    lines, pair_of=lambda entry: (entry["sentence1"], entry["sentence2"]), labels=LABELS, kept=(), count=None
):
    """A right reader, whose parts the wrong ones replace."""
    pairs = []
    for number, line in enumerate(lines, start=1):
        where = f"line {number if count is None else count(number, pairs)}"
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            raise ValueError(f"{where} is no JSON") from None
        require(isinstance(entry, dict), f"{where} is no object")
        texts = [entry.get(field) for field in ("gold_label", "sentence1", "sentence2")]
        require(all(isinstance(text, str) for text in texts), f"{where}: a text is missing")
        if texts[0] == "-" and "-" not in kept:
            continue
        require(texts[0] in labels or texts[0] in kept, f"{where}: unknown label {texts[0]!r}")
        pairs.append((*pair_of(entry), labels.index(texts[0]) if texts[0] in labels else 1))
    return pairs


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that takes pairs without a majority as neutral",
    hint='"-" says that the annotators did not agree. That is not the same as "neutral", on which they did.',
)
def no_majority_is_neutral(lines):
    return read(lines, kept=("-",))


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that exchanges premise and hypothesis",
    hint="Which of sentence1 and sentence2 was there first, when the other one was written?",
)
def sentences_exchanged(lines):
    return read(lines, pair_of=lambda entry: (entry["sentence2"], entry["sentence1"]))


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that numbers the labels in alphabetical order",
    hint="Which number belongs to which label stands in LABELS.",
)
def labels_alphabetical(lines):
    return read(lines, labels=tuple(sorted(LABELS)))


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that changes the sentences (capitals, blanks at the ends)",
    hint="A reader hands on what is in the file. Lower case is the business of tokenize.",
)
def sentences_changed(lines):
    return read(
        lines, pair_of=lambda e: tuple(e[field].strip().lower() for field in ("sentence1", "sentence2"))
    )


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that leaves out what it cannot read, without a word",
    hint="If half of the file is damaged, who will notice? Raise ValueError.",
)
def bad_lines_skipped(lines):
    pairs = []
    for line in lines:
        try:
            pairs += read([line])
        except ValueError:
            continue
    return pairs


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that counts lines from 0",
    hint="An editor shows the first line as line 1: enumerate(lines, start=1).",
)
def counted_from_zero(lines):
    return read(lines, count=lambda number, pairs: number - 1)


@misconception(
    "q1",
    replaces="read_snli",
    name="a reader that does not count the lines it skips",
    hint="Whoever looks for the line in an editor counts the empty lines and the ones with '-' as well.",
)
def skipped_not_counted(lines):
    return read(lines, count=lambda number, pairs: len(pairs) + 1)


# ---------------------------------------------------------------------------------------------------------------- q2


def vocabulary_of(pairs, min_count, tokens_of=tokenize, order=sorted, both=lambda p, h: p + h):
    """A right vocabulary, whose parts the wrong ones replace."""
    require(min_count >= 1, "min_count starts at 1")
    counts = Counter()
    for premise, hypothesis, _ in pairs:
        counts.update(both(tokens_of(premise), tokens_of(hypothesis)))
    return {
        token: number
        for number, token in enumerate([*SPECIAL, *order(t for t, n in counts.items() if n >= min_count)])
    }


@misconception(
    "q2",
    replaces="build_vocabulary",
    name="a vocabulary in the order in which words appear",
    hint="Sort the tokens: then the ids do not depend on the order of the pairs.",
)
def order_of_appearance(pairs, min_count=1):
    return vocabulary_of(pairs, min_count, order=list)


@misconception(
    "q2",
    replaces="build_vocabulary",
    name="a vocabulary of the tokens that occur more often than min_count",
    hint="min_count is the least number that is enough: >= and not >.",
)
def more_than_min_count(pairs, min_count=1):
    require(min_count >= 1, "min_count starts at 1")
    return vocabulary_of(pairs, min_count + 1)


@misconception(
    "q2",
    replaces="build_vocabulary",
    name="a vocabulary that keeps capitals apart",
    hint="Is the first word of a sentence another word? tokenize gives lower case.",
)
def capitals_kept(pairs, min_count=1):
    return vocabulary_of(pairs, min_count, tokens_of=lambda text: re.findall(r"\w+(?:'\w+)*|[^\w\s]", text))


@misconception(
    "q2",
    replaces="build_vocabulary",
    name="a vocabulary split at blanks alone, so that a word and the full stop after it are one token",
    hint='text.split() gives "cats." What does tokenize give?',
)
def split_at_blanks(pairs, min_count=1):
    return vocabulary_of(pairs, min_count, tokens_of=lambda text: text.lower().split())


@misconception(
    "q2",
    replaces="build_vocabulary",
    name="a vocabulary of the premises alone",
    hint="Words that only hypotheses have would all be [unk].",
)
def premises_alone(pairs, min_count=1):
    return vocabulary_of(pairs, min_count, both=lambda premise, hypothesis: premise)


def encode(pairs, vocabulary, max_len, row_of=None, left=False, cut=False, unknown=None):
    """A right encoding, whose parts the wrong ones replace."""
    require(len(pairs) > 0, "no pair")
    rows = []
    for premise, hypothesis, _ in pairs:
        p, h = tokenize(premise), tokenize(hypothesis)
        tokens = row_of(p, h) if row_of else ["[cls]", *p, "[sep]", *h, "[sep]"]
        if unknown == "left out":
            tokens = [token for token in tokens if token in vocabulary]
        rows.append([vocabulary.get(token, vocabulary["[unk]"]) for token in tokens])
        if cut:
            rows[-1] = rows[-1][:max_len]
    longest = max(map(len, rows))
    require(longest <= max_len, "too long")
    filled = [[vocabulary["[pad]"]] * (longest - len(row)) for row in rows]
    return torch.tensor([fill + row if left else row + fill for row, fill in zip(rows, filled, strict=True)])


@misconception(
    "q2",
    replaces="encode_batch",
    name="an encoding that fills up on the left",
    hint="The model reads its answer at position 0, so [cls] must stand there in every row.",
)
def padded_left(pairs, vocabulary, max_len=32):
    return encode(pairs, vocabulary, max_len, left=True)


@misconception(
    "q2",
    replaces="encode_batch",
    name="an encoding without the last [sep]",
    hint="Each of the two sentences has a [sep] behind it.",
)
def last_sep_missing(pairs, vocabulary, max_len=32):
    return encode(pairs, vocabulary, max_len, row_of=lambda p, h: ["[cls]", *p, "[sep]", *h])


@misconception(
    "q2",
    replaces="encode_batch",
    name="an encoding with the hypothesis first",
    hint="[cls], then the premise: which element of the pair is it?",
)
def hypothesis_first(pairs, vocabulary, max_len=32):
    return encode(pairs, vocabulary, max_len, row_of=lambda p, h: ["[cls]", *h, "[sep]", *p, "[sep]"])


@misconception(
    "q2",
    replaces="encode_batch",
    name="an encoding that leaves out unknown words",
    hint='"not" may be such a word. [unk] says at least that something was there.',
)
def unknown_left_out(pairs, vocabulary, max_len=32):
    return encode(pairs, vocabulary, max_len, unknown="left out")


@misconception(
    "q2",
    replaces="encode_batch",
    name="an encoding that cuts off what is too long",
    hint="What if the word that was cut off is 'asleep' in 'nobody is asleep'? Raise ValueError.",
)
def cut_off(pairs, vocabulary, max_len=32):
    return encode(pairs, vocabulary, max_len, cut=True)


# ---------------------------------------------------------------------------------------------------------------- q3


def places(n, window, stride):
    """Rows and columns, once everything fits."""
    require(n >= 0 and window >= 1 and stride >= 1, "n from 0, window and stride from 1")
    return torch.arange(n)[:, None], torch.arange(n)[None, :]


@misconception(
    "q3",
    replaces="two_sided_mask",
    name="a window that is one too wide",
    hint="window counts the token itself: with window = 1 it sees none of its neighbours. < or <=?",
)
def window_too_wide(n, window, stride):
    i, j = places(n, window, stride)
    return ((i - j).abs() <= window) | ((i - j) % stride == 0)


@misconception(
    "q3",
    replaces="two_sided_mask",
    name="strides counted from the start of the text",
    hint="Which distance is a multiple of stride: that from the token that looks, or that from token 0?",
)
def strides_from_start(n, window, stride):
    i, j = places(n, window, stride)
    return ((i - j).abs() < window) | (j % stride == 0).expand(n, n)


@misconception(
    "q3",
    replaces="two_sided_mask",
    name="both conditions at once, where either is enough",
    hint="A token in the window is seen, and one at a multiple of stride is seen, too: | or &?",
)
def both_conditions(n, window, stride):
    i, j = places(n, window, stride)
    return ((i - j).abs() < window) & ((i - j) % stride == 0)


@misconception(
    "q3",
    replaces="two_sided_mask",
    name="a causal mask: nobody looks ahead",
    hint="Both sentences are there from the beginning. Is there a reason not to look to the right?",
)
def causal(n, window, stride):
    i, j = places(n, window, stride)
    return (((i - j) < window) | ((i - j) % stride == 0)) & (i >= j)


@misconception(
    "q3",
    replaces="two_sided_mask",
    name="a mask that is True where a token may not attend",
    hint="True = may attend.",
)
def mask_inverted(n, window, stride):
    i, j = places(n, window, stride)
    return ((i - j).abs() >= window) & ((i - j) % stride != 0)


@misconception(
    "q3",
    replaces="two_sided_mask",
    name="the window alone, without the strides",
    hint="How does the first token hear of the last one, in two layers?",
)
def window_alone(n, window, stride):
    i, j = places(n, window, stride)
    return (i - j).abs() < window


def network(d_model, d_ff):
    return nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model))


class Mixture(nn.Module):
    """A right mixture, whose gate the wrong ones replace."""

    def __init__(self, d_model, d_ff, n_experts=4, top_k=2):
        super().__init__()
        require(min(d_model, d_ff, n_experts) >= 1 and 1 <= top_k <= n_experts, "sizes do not fit")
        self.top_k = top_k
        self.experts = self.made(d_model, d_ff, n_experts)
        self.W_g = nn.Parameter(torch.randn(d_model, n_experts) / math.sqrt(d_model))

    def made(self, d_model, d_ff, n_experts):
        return nn.ModuleList(network(d_model, d_ff) for _ in range(n_experts))

    def gate(self, probabilities):
        kept, chosen = probabilities.topk(self.top_k, -1)
        return torch.zeros_like(probabilities).scatter(-1, chosen, kept / kept.sum(-1, keepdim=True))

    def probabilities(self, x):
        return (x @ self.W_g).softmax(-1)

    def forward(self, x):
        weights = self.gate(self.probabilities(x))
        return sum(weights[..., e, None] * expert(x) for e, expert in enumerate(self.experts))


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture whose kept weights are not renormalised",
    hint="0.6 and 0.3 are kept. What do they sum to?",
)
class NotRenormalised(Mixture):
    def gate(self, probabilities):
        kept, chosen = probabilities.topk(self.top_k, -1)
        return torch.zeros_like(probabilities).scatter(-1, chosen, kept)


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture of all experts, whatever top_k says",
    hint="Each row keeps the top_k largest probabilities; the others are 0.",
)
class AllExperts(Mixture):
    def gate(self, probabilities):
        return probabilities


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture that gives all chosen experts the same weight",
    hint="How does the gate learn which of its experts is the better one, if their weights do not depend on it?",
)
class EqualWeights(Mixture):
    def gate(self, probabilities):
        chosen = probabilities.topk(self.top_k, -1).indices
        return torch.zeros_like(probabilities).scatter(-1, chosen, 1 / self.top_k)


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture whose gate is cut off from the gradient",
    hint="W_g is trained through the weights. Look for .detach() or torch.no_grad().",
)
class GateDetached(Mixture):
    def probabilities(self, x):
        return super().probabilities(x).detach()


@misconception(
    "q3",
    replaces="MoE",
    name="a mixture of one expert with itself: its weights are shared",
    hint="[network] * n is a list that holds one network n times. Make a new one for each place.",
)
class SharedExperts(Mixture):
    def made(self, d_model, d_ff, n_experts):
        return nn.ModuleList([network(d_model, d_ff)] * n_experts)


# ---------------------------------------------------------------------------------------------------------------- q4


def pattern(n, window, stride):
    distance = (torch.arange(n)[:, None] - torch.arange(n)).abs()
    return (distance < window) | (distance % stride == 0)


class Block(nn.Module):
    def __init__(self, d_model, n_heads, inner):
        super().__init__()
        self.n_heads = n_heads
        self.attention_norm, self.network_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.queries_keys_values, self.output = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.network = inner

    def forward(self, x, mask):
        heads = self.queries_keys_values(self.attention_norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).masked_fill(~mask, float("-inf"))
        x = x + self.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(-2))
        return x + self.network(self.network_norm(x))


class Classifier(nn.Module):
    """A right classifier, whose parts the wrong ones replace."""

    def __init__(
        self, vocab_size, d_model, n_heads, n_layers, max_len, variant="vanilla", window=3, stride=4
    ):
        super().__init__()
        sizes = (vocab_size, d_model, n_heads, n_layers, max_len, window, stride)
        require(min(sizes) >= 1 and d_model % n_heads == 0, "sizes do not fit")
        require(variant in ("vanilla", "sparse", "moe"), "unknown variant")
        self.pattern = (window, stride) if variant == "sparse" else (max_len, 1)
        self.tokens, self.positions = nn.Embedding(vocab_size, d_model), nn.Embedding(max_len, d_model)
        self.sentences = nn.Embedding(2, d_model)
        for table in (self.tokens, self.positions, self.sentences):
            nn.init.normal_(table.weight, std=0.02)
        inner = Mixture if variant == "moe" else network
        self.blocks = nn.ModuleList(
            Block(d_model, n_heads, inner(d_model, 2 * d_model)) for _ in range(n_layers)
        )
        self.norm, self.logits = nn.LayerNorm(d_model), nn.Linear(d_model, 3)
        self.changed(d_model, variant)

    def changed(self, d_model, variant):
        """For what is wrong in how it is made."""

    def placed(self, length, sentence):
        return self.positions(torch.arange(length)) + self.sentences(sentence)

    def mask(self, ids, sentence):
        return pattern(ids.shape[1], *self.pattern) & (ids != PAD)[:, None, None, :]

    def read(self, x, ids):
        return self.logits(self.norm(x[:, 0]))

    def forward(self, ids):
        require(ids.ndim == 2 and 1 <= ids.shape[1] <= self.positions.num_embeddings, "ids must be (B, L)")
        require(bool(((ids >= 0) & (ids < self.tokens.num_embeddings)).all()), "an unknown id")
        separators = (ids == SEP).long()
        sentence = (separators.cumsum(1) - separators).clamp(max=1)
        x = self.tokens(ids) + self.placed(ids.shape[1], sentence)
        mask = self.mask(ids, sentence) | torch.eye(ids.shape[1], dtype=torch.bool)
        for block in self.blocks:
            x = block(x, mask)
        return self.read(x, ids)


@misconception(
    "q4",
    replaces="NLIClassifier",
    name="a model that looks at padding: its answer depends on how long the other rows of the batch are",
    hint="Padding is no word. Which keys must every query leave out?",
)
class padding_seen(Classifier):
    def mask(self, ids, sentence):
        return pattern(ids.shape[1], *self.pattern)[None, None]


@misconception(
    "q4",
    replaces="NLIClassifier",
    name="a model that ignores the premise",
    hint="From the hypothesis alone, nobody can get more than a third of these labels. Does anything of the "
    "premise reach "
    "position 0?",
)
class premise_ignored(Classifier):
    def mask(self, ids, sentence):
        return super().mask(ids, sentence) & (sentence == 1)[:, None, None, :]


@misconception(
    "q4",
    replaces="NLIClassifier",
    name="a model that ignores the hypothesis",
    hint="What is behind the first [sep] is the sentence that is asked about. Is it masked as if it were padding?",
)
class hypothesis_ignored(Classifier):
    def mask(self, ids, sentence):
        return super().mask(ids, sentence) & (sentence == 0)[:, None, None, :]


@misconception(
    "q4",
    replaces="NLIClassifier",
    name="a model to which premise and hypothesis are the same heap of words",
    hint="Attention has no order. What tells the model where a token stands, and in which sentence?",
)
class order_ignored(Classifier):
    def placed(self, length, sentence):
        return 0 * (self.positions(torch.arange(length)) + self.sentences(sentence))


@misconception(
    "q4",
    replaces="NLIClassifier",
    name='a model whose variant "sparse" sees everything, as "vanilla" does',
    hint="two_sided_mask(L, window, stride) must reach the scores of every block, together with that of the padding.",
)
class sparse_is_dense(Classifier):
    def mask(self, ids, sentence):
        return (ids != PAD)[:, None, None, :].expand(-1, 1, ids.shape[1], -1)


@misconception(
    "q4",
    replaces="NLIClassifier",
    name='a model whose variant "moe" has no experts: it is the variant "vanilla"',
    hint="Where does variant decide whether a block gets one network or a mixture of four?",
)
class moe_is_vanilla(Classifier):
    def changed(self, d_model, variant):
        for block in self.blocks:
            block.network = network(d_model, 2 * d_model)


@misconception(
    "q4",
    replaces="NLIClassifier",
    name="a model that returns probabilities",
    hint="The loss takes the softmax itself. A second one flattens everything.",
)
class probabilities(Classifier):
    def read(self, x, ids):
        return super().read(x, ids).softmax(-1)


@misconception(
    "q4",
    replaces="NLIClassifier",
    name="a model that reads the mean of all tokens instead of position 0",
    hint="The logits are to come from position 0 alone: x[:, 0].",
)
class mean_read(Classifier):
    def read(self, x, ids):
        words = (ids != PAD).unsqueeze(-1)
        return self.logits(self.norm((x * words).sum(1) / words.sum(1)))


# ---------------------------------------------------------------------------------------------------------------- q5


def counted(labels, predictions, n):
    """Labels and predictions, once everything fits."""
    require(labels.ndim == 1 and labels.shape == predictions.shape, "labels and predictions must be (N,)")
    both = torch.stack([labels, predictions])
    require(bool(((both >= 0) & (both < n)).all()), "an unknown class")
    return torch.bincount(labels * n + predictions, minlength=n * n).view(n, n)


def divided(numerator, denominator, undefined=0.0):
    quotient = numerator.double() / denominator.double().clamp(min=1e-300)
    return torch.where(denominator == 0, undefined, quotient)


def rates(matrix, undefined=0.0):
    require(matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1], "not square")
    right = matrix.diagonal()
    return divided(right, matrix.sum(0), undefined), divided(right, matrix.sum(1), undefined)


def f1(matrix):
    precision, recall = rates(matrix)
    return divided(2 * precision * recall, precision + recall)


@misconception(
    "q5",
    replaces="confusion_matrix",
    name="a confusion matrix whose rows are the predictions",
    hint="Row = true class, column = predicted class.",
)
def matrix_transposed(labels, predictions, n_classes=3):
    return counted(labels, predictions, n_classes).T.contiguous()


@misconception(
    "q5",
    replaces="confusion_matrix",
    name="a confusion matrix of the classes that occur, and no others",
    hint="A class that never occurs still has its row and its column of zeros.",
)
def occurring_classes(labels, predictions, n_classes=3):
    matrix = counted(labels, predictions, n_classes)
    present = (matrix.sum(0) + matrix.sum(1)) > 0
    return matrix[present][:, present]


@misconception(
    "q5",
    replaces="precision_recall",
    name="precision and recall exchanged",
    hint="Precision: of what was called c. What was called c stands in a column.",
)
def exchanged(matrix):
    return rates(matrix)[::-1]


@misconception(
    "q5",
    replaces="precision_recall",
    name="0/0 taken as NaN",
    hint="A class that is never predicted has nothing to divide by. Here, 0/0 is 0.",
)
def undefined_nan(matrix):
    return rates(matrix, torch.nan)


@misconception(
    "q5",
    replaces="precision_recall",
    name="0/0 taken as 1",
    hint="Some say that whoever claims nothing is never wrong. Here, 0/0 is 0.",
)
def undefined_one(matrix):
    return rates(matrix, 1.0)


@misconception(
    "q5",
    replaces="precision_recall",
    name="the accuracy of each class against all others (true negatives counted as right)",
    hint="Neither precision nor recall knows of pairs that are not c and were not called c.",
)
def one_against_all(matrix):
    precision, _ = rates(matrix)
    total, right = matrix.sum(), matrix.diagonal()
    others = total - matrix.sum(0) - matrix.sum(1) + right
    accuracy = divided(right + others, total.expand(len(precision)))
    return accuracy, accuracy


@misconception(
    "q5",
    replaces="macro_f1",
    name="F1 of the mean precision and the mean recall",
    hint="F1 of each class first, then the mean.",
)
def f1_of_means(matrix):
    precision, recall = (rate.mean() for rate in rates(matrix))
    return divided(2 * precision * recall, precision + recall).item()


@misconception(
    "q5",
    replaces="macro_f1",
    name="the arithmetic mean of precision and recall instead of the harmonic one",
    hint="With precision 1 and recall 0, F1 is 0 and not 1/2.",
)
def arithmetic_mean(matrix):
    precision, recall = rates(matrix)
    return ((precision + recall) / 2).mean().item()


@misconception(
    "q5",
    replaces="macro_f1",
    name="a mean over the classes that occur",
    hint="The mean runs over all n classes; one that does not occur counts with 0.",
)
def occurring_alone(matrix):
    scores = f1(matrix)[matrix.sum(1) > 0]
    return scores.mean().item() if len(scores) else 0.0


@misconception(
    "q5",
    replaces="macro_f1",
    name="a mean weighted by how frequent the classes are",
    hint="Macro: a rare class counts as much as a frequent one.",
)
def weighted_by_support(matrix):
    support = matrix.sum(1).double()
    return divided((f1(matrix) * support).sum(), support.sum()).item()


@misconception(
    "q5",
    replaces="macro_f1",
    name="the accuracy (micro F1)",
    hint="The share of right answers over all classes together is called micro F1. Here each class has its own F1.",
)
def micro(matrix):
    rates(matrix)
    return divided(matrix.diagonal().sum(), matrix.sum()).item()


# ---------------------------------------------------------------------------------------------------------------- q6


def rate(step, steps):
    return min(1.0, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2


def learn(model, ids, labels, steps, seed, seen=lambda ids: ids, outputs=lambda logits: logits, fixed=False):
    """A right training, whose parts the wrong ones replace."""
    require(steps >= 1 and len(ids) == len(labels) > 0, "nothing to learn")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.004)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    history = {"step": [], "loss": []}
    for step in range(steps + 1):
        rows = (
            torch.arange(min(256, len(ids)))
            if fixed
            else torch.randint(len(ids), (256,), generator=generator)
        )
        loss = F.cross_entropy(outputs(model(seen(ids[rows]))), labels[rows])
        if step % max(1, steps // 4) == 0 or step == steps:
            history["step"].append(step)
            history["loss"].append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return history


@misconception(
    "q6",
    replaces="train",
    name="a training that takes the premises away",
    hint="What the model never sees in training, it cannot learn to use. Which ids do you hand to the model?",
    replayed=False,
)
def premise_taken_away(model, ids, labels, steps, seed):
    def without_premise(rows):
        premise = ((rows == SEP).cumsum(1) == 0) & (rows != CLS)
        return rows.masked_fill(premise, UNK)

    return learn(model, ids, labels, steps, seed, seen=without_premise)


@misconception(
    "q6",
    replaces="train",
    name="a training with a softmax before the cross-entropy, which takes one itself",
    hint="Cross-entropy wants logits. Between 0 and 1, there is little room for being sure.",
    replayed=False,
)
def softmax_before_loss(model, ids, labels, steps, seed):
    return learn(model, ids, labels, steps, seed, outputs=lambda logits: logits.softmax(-1))


@misconception(
    "q6",
    replaces="train",
    name="a training that does not use its seed",
    hint="Where do the random rows come from, and what do they know of `seed`?",
    replayed=False,
)
def seed_ignored(model, ids, labels, steps, seed):
    return learn(model, ids, labels, steps, None)


@misconception(
    "q6",
    replaces="train",
    name="a training that takes the same rows in every step, whatever the seed",
    hint="With 20000 pairs, most are never seen. Draw rows anew in each step.",
    replayed=False,
)
def always_the_same_rows(model, ids, labels, steps, seed):
    return learn(model, ids, labels, steps, seed, fixed=True)


@misconception(
    "q6",
    replaces="predict",
    name="a prediction that takes the smallest logit",
    hint="The most likely label is the one with the largest logit.",
)
def smallest_logit(model, ids):
    with torch.no_grad():
        return model(ids).argmin(-1)


@misconception(
    "q6",
    replaces="predict",
    name="a prediction that returns the largest logit itself, not which label it belongs to",
    hint="max gives the value, argmax the place.",
)
def value_for_place(model, ids):
    with torch.no_grad():
        return model(ids).max(-1).values


@misconception(
    "q6",
    replaces="predict",
    name="a prediction that leaves the model in eval mode",
    hint="Whoever trains on afterwards would train without dropout. Note model.training first, and restore it.",
    replayed=False,
)
def left_in_eval(model, ids):
    model.eval()
    with torch.no_grad():
        return model(ids).argmax(-1)


# ---------------------------------------------------------------------------------------------------------------- q7


@misconception(
    "q7",
    replaces="hypothesis_only",
    name="pairs without hypotheses",
    hint="The baseline sees the hypothesis alone. Which of the two is taken away?",
)
def premise_kept(pairs):
    return [(premise, "", label) for premise, _, label in pairs]


@misconception(
    "q7",
    replaces="hypothesis_only",
    name="pairs whose premise is the hypothesis again",
    hint="The premise is to be empty: a sentence that follows from itself is no missing premise.",
)
def hypothesis_twice(pairs):
    return [(hypothesis, hypothesis, label) for _, hypothesis, label in pairs]


@misconception(
    "q7",
    replaces="hypothesis_only",
    name="a function that overwrites the pairs it was given",
    hint="The caller still needs the premises. Return a new list.",
)
def premises_overwritten(pairs):
    pairs[:] = [("", hypothesis, label) for _, hypothesis, label in pairs]
    return pairs


def blind(training, held_out, key=lambda pair: pair[1], best=lambda c: c.index(max(c)), known=True):
    """A right blind guess, whose parts the wrong ones replace."""
    require(len(training) > 0 and len(held_out) > 0, "no pairs")
    counts, overall = {}, [0, 0, 0]
    for pair in training:
        counts.setdefault(key(pair), [0, 0, 0])[pair[2]] += 1
        overall[pair[2]] += 1
    right = [best(counts.get(key(pair), overall) if known else overall) == pair[2] for pair in held_out]
    return sum(right) / len(right)


@misconception(
    "q7",
    replaces="blind_accuracy",
    name="a blind accuracy measured on the pairs it was learned from",
    hint="What occurs once is always guessed right where it was counted. On which pairs is it to be measured?",
)
def measured_on_training(training, held_out):
    require(len(held_out) > 0, "no pairs")
    return blind(training, training)


@misconception(
    "q7",
    replaces="blind_accuracy",
    name="the accuracy of the most frequent label of all",
    hint="The best blind guess knows the hypothesis, and each hypothesis has a most frequent label of its own.",
)
def most_frequent_of_all(training, held_out):
    return blind(training, held_out, known=False)


@misconception(
    "q7",
    replaces="blind_accuracy",
    name="a guess from the premise alone",
    hint="A pair is (premise, hypothesis, label).",
)
def from_the_premise(training, held_out):
    return blind(training, held_out, key=lambda pair: pair[0])


@misconception(
    "q7",
    replaces="blind_accuracy",
    name="a guess that takes the largest of equally frequent labels",
    hint="Of equally frequent labels the smallest is taken.",
)
def largest_of_equal(training, held_out):
    return blind(training, held_out, best=lambda c: 2 - c[::-1].index(max(c)))


def table_of(pairs, smoothing, words_of=lambda premise, hypothesis: set(tokenize(hypothesis))):
    """A right table of smoothed counts, (words, 3), whose words the wrong ones replace."""
    require(smoothing > 0, "smoothing above 0")
    require(any(tokenize(hypothesis) for _, hypothesis, _ in pairs), "no tokens")
    counts = {}
    for premise, hypothesis, label in pairs:
        for word in words_of(premise, hypothesis):
            counts.setdefault(word, [smoothing] * 3)[label] += 1
    return list(counts), torch.tensor(list(counts.values()), dtype=torch.float64)


def scored(words, table):
    p = table / table.sum()
    scores = (p / (p.sum(1, keepdim=True) * p.sum(0))).log()
    return dict(zip(words, scores.tolist(), strict=True))


@misconception(
    "q7",
    replaces="artefact_scores",
    name="scores with logarithms to the base 2",
    hint="ln is the natural logarithm: math.log(x) or torch.log.",
)
def base_two(pairs, smoothing=100.0):
    found = scored(*table_of(pairs, smoothing))
    return {word: [number / math.log(2) for number in numbers] for word, numbers in found.items()}


@misconception(
    "q7",
    replaces="artefact_scores",
    name="scores that count a word as often as it occurs in a hypothesis",
    hint="What is counted are pairs whose hypothesis has the word. One pair counts once.",
)
def occurrences_counted(pairs, smoothing=100.0):
    return scored(*table_of(pairs, smoothing, lambda premise, hypothesis: tokenize(hypothesis)))


@misconception(
    "q7",
    replaces="artefact_scores",
    name="scores of the words of both sentences",
    hint="Artefacts are what the hypothesis alone gives away.",
)
def premise_words_too(pairs, smoothing=100.0):
    return scored(
        *table_of(pairs, smoothing, lambda premise, hypothesis: set(tokenize(premise) + tokenize(hypothesis)))
    )


@misconception(
    "q7",
    replaces="artefact_scores",
    name="the logarithm of p(label | word), without the division by p(label)",
    hint="If a label is frequent anyway, it is frequent with every word, too. What does PMI divide by?",
)
def conditional(pairs, smoothing=100.0):
    words, table = table_of(pairs, smoothing)
    return dict(zip(words, (table / table.sum(1, keepdim=True)).log().tolist(), strict=True))


@misconception(
    "q7",
    replaces="artefact_scores",
    name="scores without smoothing in p(word) and p(label)",
    hint="p(w) and p(y) are sums of the smoothed p(w, y): smooth the table first, then sum.",
)
def half_smoothed(pairs, smoothing=100.0):
    words, table = table_of(pairs, smoothing)
    counts = table - smoothing
    p = table / table.sum()
    product = (counts.sum(1, keepdim=True) / counts.sum()) * (counts.sum(0) / counts.sum())
    return dict(zip(words, (p / product).log().tolist(), strict=True))


# ---------------------------------------------------------------------------------------------------------------- q8


def measured(model, ids, labels, repeats):
    """A right profile."""
    require(repeats >= 1 and len(ids) == len(labels) > 0, "nothing to measure")
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        with torch.no_grad():
            predictions = model(ids).argmax(-1)
        seconds.append(time.perf_counter() - started)
    return {
        "accuracy": (predictions == labels).double().mean().item(),
        "seconds": sorted(seconds)[repeats // 2],
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }


@misconception(
    "q8",
    replaces="profile",
    name="a profile whose accuracy is in per cent",
    hint="A share lies between 0 and 1.",
)
def percent(model, ids, labels, repeats=3):
    found = measured(model, ids, labels, repeats)
    return {**found, "accuracy": 100 * found["accuracy"]}


@misconception(
    "q8",
    replaces="profile",
    name="a profile that counts the tensors of parameters, not their numbers",
    hint="A matrix of 32 x 32 holds 1024 numbers: numel().",
)
def tensors_counted(model, ids, labels, repeats=3):
    return {**measured(model, ids, labels, repeats), "parameters": len(list(model.parameters()))}


def heat_map(matrix, ax):
    ax = ax or plt.subplots()[1]
    ax.imshow(matrix, cmap="Blues")
    for row, counts in enumerate(matrix.tolist()):
        for column, count in enumerate(counts):
            ax.text(column, row, str(count))
    ax.set(xlabel="predicted label", ylabel="true label")
    return ax


@misconception(
    "q8",
    replaces="plot_confusion",
    name="a confusion matrix drawn transposed",
    hint="imshow draws rows from top to bottom. Which axis says 'true'?",
)
def drawn_transposed(matrix, ax=None):
    return heat_map(matrix.T, ax)


@misconception(
    "q8",
    replaces="plot_confusion",
    name="a figure that makes new axes, whatever axes it is given",
    hint="plt.subplots() is for ax=None alone: three matrices side by side need axes of the caller's.",
    replayed=False,
)
def other_axes(matrix, ax=None):
    return heat_map(matrix, None)


def points(profiles, ax, where, words):
    ax = ax or plt.subplots()[1]
    for name, found in profiles.items():
        ax.scatter(*where(found))
        ax.annotate(words(name, found), where(found))
    ax.set(xlabel="seconds", ylabel="accuracy")
    return ax


@misconception(
    "q8",
    replaces="plot_tradeoff",
    name="a figure with accuracy to the right and seconds upwards",
    hint="Seconds along x, accuracy along y.",
)
def axes_exchanged(profiles, ax=None):
    return points(
        profiles, ax, lambda f: (f["accuracy"], f["seconds"]), lambda name, f: f"{name} {f['parameters']}"
    )


@misconception(
    "q8",
    replaces="plot_tradeoff",
    name="a figure that does not say how large the models are",
    hint="Beside each point: its name, and how many parameters it has.",
)
def sizes_left_out(profiles, ax=None):
    return points(profiles, ax, lambda f: (f["seconds"], f["accuracy"]), lambda name, f: name)
