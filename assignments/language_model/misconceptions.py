"""Known wrong answers, each right but for one thing, with its name and a hint.

The grader uses them three ways: the suite must catch each one, the feedback names the one that a student's
answer equals or behaves like, and the class report counts them. First come the right steps, which they share;
then, question by question, what goes wrong.
"""

import math
import zlib

import torch
import torch.nn.functional as F
from torch import nn

from autograder.diagnosis import misconception

ALPHABET = "0123456789+-=;_"
END, PADDING = ALPHABET.index(";"), ALPHABET.index("_")


def require(condition, message):
    if not condition:
        raise ValueError(message)


# ---------------------------------------------------------------------------------------------------------------- q1


def right_ids(text):
    require(set(text) <= set(ALPHABET), "not a symbol")
    return [ALPHABET.index(character) for character in text]


def symbols(ids):
    require(all(0 <= number < 15 for number in ids), "not an id")
    return [ALPHABET[number] for number in ids]


@misconception(
    "q1",
    replaces="encode_problem",
    name="an encoding that appends an end of its own",
    hint="Questions are encoded too, and they do not end yet. Who says where a text ends?",
)
def end_appended(text):
    return [*right_ids(text), END]


@misconception(
    "q1",
    replaces="encode_problem",
    name="an encoding that counts from 1",
    hint="Which id has the first symbol of the alphabet, and what is ALPHABET[0]?",
)
def counted_from_one(text):
    return [number + 1 for number in right_ids(text)]


@misconception(
    "q1",
    replaces="decode_ids",
    name="a decoding that reads on after the end",
    hint="A model may go on talking after its end symbol. What of that belongs to the text?",
)
def reads_on(ids):
    return "".join(character for character in symbols(ids) if character not in ";_")


@misconception(
    "q1",
    replaces="decode_ids",
    name="a decoding that shows the padding",
    hint="Padding fills up a table and stands for nothing.",
)
def padding_shown(ids):
    return "".join(symbols(ids[: ids.index(END)] if END in ids else ids))


# ---------------------------------------------------------------------------------------------------------------- q2


def checked(logits, targets, mask):
    """The mask, once everything fits."""
    require(logits.ndim >= 1 and logits.shape[:-1] == targets.shape, "logits and targets do not fit")
    mask = torch.ones_like(targets, dtype=torch.bool) if mask is None else mask
    require(mask.dtype == torch.bool and mask.shape == targets.shape, "the mask does not fit")
    require(bool(mask.any()), "nothing is counted")
    require(bool(((targets >= 0) & (targets < logits.shape[-1])).all()), "an unknown target")
    return mask


def losses(logits, targets):
    """The negative log-likelihood of each target."""
    return -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


@misconception(
    "q2",
    replaces="perplexity",
    name="two bases mixed: a mean of logarithms to the base 2, in an exponential to the base e",
    hint="e to the power of log2 is not the number again. Which logarithm does exp undo?",
)
def log2_with_exp(logits, targets, mask=None):
    mask = checked(logits, targets, mask)
    return torch.exp(losses(logits, targets)[mask].mean() / math.log(2))


@misconception(
    "q2",
    replaces="perplexity",
    name="a mean over all symbols, those that do not count (the padding) included",
    hint="What does not count adds 0 to the sum. By how many symbols do you divide?",
)
def mean_over_padding(logits, targets, mask=None):
    mask = checked(logits, targets, mask)
    return torch.exp((losses(logits, targets) * mask).mean())


@misconception(
    "q2",
    replaces="perplexity",
    name="a softmax before the cross-entropy, which takes one itself",
    hint="Cross-entropy wants logits. What becomes of probabilities, all between 0 and 1, in a softmax?",
)
def softmax_before_cross_entropy(logits, targets, mask=None):
    mask = checked(logits, targets, mask)
    return F.cross_entropy(logits.softmax(-1)[mask], targets[mask]).exp()


@misconception(
    "q2",
    replaces="perplexity",
    name="the mean loss itself, without the exponential",
    hint="A model that knows nothing about V symbols has perplexity V. What do you get for equal logits?",
)
def exponential_forgotten(logits, targets, mask=None):
    mask = checked(logits, targets, mask)
    return losses(logits, targets)[mask].mean()


@misconception(
    "q2",
    replaces="perplexity",
    name="the mean of each symbol's own perplexity",
    hint="The mean is taken of the logarithms, before the exponential. Compare 4 and 5 in the example by hand.",
)
def mean_of_exponentials(logits, targets, mask=None):
    mask = checked(logits, targets, mask)
    return losses(logits, targets)[mask].exp().mean()


@misconception(
    "q2",
    replaces="perplexity",
    name="a mean over the texts of each text's own mean",
    hint="Should one symbol of a short text weigh more than one of a long text? There is one mean over all of them.",
)
def mean_of_means(logits, targets, mask=None):
    mask = checked(logits, targets, mask)
    if mask.ndim < 2:
        return losses(logits, targets)[mask].mean().exp()
    counts = mask.sum(-1)
    rows = (losses(logits, targets) * mask).sum(-1) / counts.clamp(min=1)
    return torch.exp(rows[counts > 0].mean())


@misconception(
    "q2",
    replaces="perplexity",
    name="a mask read the other way round: True as not counted",
    hint="mask is True where a symbol counts.",
)
def mask_inverted(logits, targets, mask=None):
    counted = checked(logits, targets, mask)
    counted = counted if mask is None else ~counted
    return torch.exp((losses(logits, targets) * counted).sum() / counted.sum())


# ---------------------------------------------------------------------------------------------------------------- q3


def rows_ahead(n):
    """What a position must not see."""
    return torch.ones(n, n, dtype=torch.bool).triu(1)


class Block(nn.Module):
    def __init__(self, d_model, n_heads, ahead):
        super().__init__()
        self.n_heads, self.ahead = n_heads, ahead
        self.attention_norm, self.network_norm = nn.LayerNorm(d_model), nn.LayerNorm(d_model)
        self.queries_keys_values, self.output = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)
        self.network = nn.Sequential(
            nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model)
        )

    def weights_and_values(self, x):
        heads = self.queries_keys_values(self.attention_norm(x)).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        scores = q @ k.mT / math.sqrt(q.shape[-1])
        return scores.masked_fill(self.ahead(scores.shape[-1]), float("-inf")).softmax(dim=-1), v

    def forward(self, x):
        weights, v = self.weights_and_values(x)
        x = x + self.output((weights @ v).transpose(1, 2).flatten(-2))
        return x + self.network(self.network_norm(x))


class Model(nn.Module):
    """A right model, whose parts the wrong ones replace."""

    ahead = staticmethod(rows_ahead)
    short_by = 0

    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len):
        super().__init__()
        require(min(vocab_size, d_model, n_heads, n_layers, max_len) >= 1, "sizes start at 1")
        require(d_model % n_heads == 0, "d_model must be a multiple of n_heads")
        self.max_len = max_len
        self.symbols = nn.Embedding(vocab_size, d_model)
        self.positions = nn.Embedding(max(1, max_len - self.short_by), d_model)
        for table in (self.symbols, self.positions):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(d_model, n_heads, self.ahead) for _ in range(n_layers))
        self.norm, self.logits = nn.LayerNorm(d_model), nn.Linear(d_model, vocab_size, bias=False)

    def embedded(self, ids):
        require(ids.ndim == 2 and 1 <= ids.shape[1] <= self.max_len, "ids must be (B, L)")
        require(bool(((ids >= 0) & (ids < self.symbols.num_embeddings)).all()), "an unknown id")
        return self.symbols(ids) + self.placed(ids.shape[1])

    def placed(self, length):
        return self.positions(torch.arange(length))

    def forward(self, ids):
        x = self.embedded(ids)
        for block in self.blocks:
            x = block(x)
        return self.logits(self.norm(x))


@misconception(
    "q3",
    replaces="TinyGPT",
    name="a model without a causal mask: every position sees the whole text, and so what it is to predict",
    hint="In training this model copies the next symbol. When it answers, there is no next symbol yet. What must row i "
    "of the scores not see, and what is put there before the softmax?",
)
class no_causal_mask(Model):
    @staticmethod
    def ahead(n):
        return torch.zeros(n, n, dtype=torch.bool)


@misconception(
    "q3",
    replaces="TinyGPT",
    name="a model whose mask is off by one: each position sees the symbol after it",
    hint="Row i predicts symbol i + 1. Which diagonal is the first that it must not see?",
)
class mask_off_by_one(Model):
    @staticmethod
    def ahead(n):
        return torch.ones(n, n, dtype=torch.bool).triu(2)


@misconception(
    "q3",
    replaces="TinyGPT",
    name="a model without positions: it sees which symbols are there, and not in which order",
    hint="What tells the first layer that 12 is not 21?",
)
class no_positions(Model):
    def placed(self, length):
        return 0 * self.positions.weight[0]


@misconception(
    "q3",
    replaces="TinyGPT",
    name="a model with one position too few: the longest legal text does not fit",
    hint="Positions 0 to max_len - 1: how many are these?",
)
class one_position_short(Model):
    short_by = 1


# ---------------------------------------------------------------------------------------------------------------- q4


def is_held_out(problem):
    question = problem.split("=")[0]
    sign = "+" if "+" in question else "-"
    small, large = sorted(int(number) for number in question.split(sign))
    return zlib.crc32(f"{small}{sign}{large}".encode()) % 10 == 3


def as_tables(problems):
    longest = 1 + max(map(len, problems))
    ids = torch.tensor([right_ids((problem + ";").ljust(longest, "_")) for problem in problems])
    place = torch.arange(longest)
    first = torch.tensor([[problem.index("=") + 1] for problem in problems])
    return ids, (place >= first) & (ids != PADDING)


def rate(step, steps):
    return min(1.0, (step + 1) / 50) * (1 + math.cos(math.pi * step / steps)) / 2


def shifted_loss(model, ids, counted):
    return losses(model(ids[:, :-1]), ids[:, 1:])[counted[:, 1:]].mean()


def spectrum(table):
    return torch.linalg.svdvals(table)


def learn(
    model, problems, steps, seed,
    loss_of=shifted_loss, learned=lambda p: not is_held_out(p), measured=is_held_out, values=spectrum,
):  # fmt: skip
    """A right training, whose parts the wrong ones replace."""
    require(steps >= 1, "steps start at 1")
    require(0 < sum(map(is_held_out, problems)) < len(problems), "both kinds of problems are needed")
    ids, counted = as_tables([problem for problem in problems if learned(problem)])
    unseen, unseen_counted = as_tables([problem for problem in problems if measured(problem)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.003, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, steps))
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    history = {"step": [], "loss": [], "perplexity": [], "singular_values": []}
    for step in range(steps + 1):
        rows = torch.randint(len(ids), (32,), generator=generator)
        loss = loss_of(model, ids[rows], counted[rows])
        if step % max(1, steps // 4) == 0 or step == steps:
            with torch.no_grad():
                history["perplexity"].append(shifted_loss(model, unseen, unseen_counted).exp().item())
                history["singular_values"].append(values(model.symbols.weight).tolist())
            history["step"].append(step)
            history["loss"].append(loss.item())
        if step < steps:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return history


@misconception(
    "q4",
    replaces="train",
    name="a training whose targets are not shifted: each row is to predict the symbol that it has just seen",
    hint="The input of row i is symbol i, and its target is the next one. Which part of the text do the inputs leave "
    "out, and which do the targets?",
)
def targets_not_shifted(model, problems, steps, seed):
    def unshifted_loss(model, ids, counted):
        return losses(model(ids[:, :-1]), ids[:, :-1])[counted[:, :-1]].mean()

    return learn(model, problems, steps, seed, loss_of=unshifted_loss)


@misconception(
    "q4",
    replaces="train",
    name="a training whose loss counts the operands only, and the answers not at all",
    hint="Your mask of what counts may be inverted: the symbols after the = are those that can be predicted.",
)
def operands_only(model, problems, steps, seed):
    def loss_of_operands(model, ids, counted):
        asked = ~counted[:, 1:] & (ids[:, 1:] != PADDING)
        return losses(model(ids[:, :-1]), ids[:, 1:])[asked].mean()

    return learn(model, problems, steps, seed, loss_of=loss_of_operands)


@misconception(
    "q4",
    replaces="train",
    name="a training that is evaluated on the problems it was trained on",
    hint="What has been learned by heart looks learned. On which problems is `perplexity` to be measured?",
)
def evaluated_on_training_problems(model, problems, steps, seed):
    return learn(model, problems, steps, seed, measured=lambda problem: not is_held_out(problem))


@misconception(
    "q4",
    replaces="train",
    name="a training that uses the held-out problems as well",
    hint="A problem that was trained on is not held out. Where do you take out those for which is_held_out is true?",
)
def trained_on_held_out(model, problems, steps, seed):
    return learn(model, problems, steps, seed, learned=lambda problem: True)


@misconception(
    "q4",
    replaces="train",
    name="a record of squared singular values (the eigenvalues of the table times its transpose)",
    hint="The eigenvalues of E E^T are the squares of the singular values of E.",
)
def squared_singular_values(model, problems, steps, seed):
    return learn(model, problems, steps, seed, values=lambda table: spectrum(table).square())


@misconception(
    "q4",
    replaces="train",
    name="a training that does not use its seed",
    hint="Where do the random rows come from, and what do they know of `seed`?",
)
def seed_ignored(model, problems, steps, seed):
    return learn(model, problems, steps, None)


# ---------------------------------------------------------------------------------------------------------------- q5


def ask(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids]))[0]


def answer(model, prompt, pick=lambda logits: int(logits[-1].argmax())):
    """Greedy continuation: the ids of the answer, its end included if it came."""
    require(prompt.endswith("="), "the prompt must end with =")
    ids, found = right_ids(prompt), []
    while len(found) < 8 and END not in found:
        found.append(pick(ask(model, ids + found)))
    return found


def as_text(ids):
    return "".join(ALPHABET[number] for number in ids if number not in (END, PADDING))


@misconception(
    "q5",
    replaces="solve",
    name="a solver that returns the question together with the answer",
    hint="The prompt is known. What is wanted is what comes after it.",
)
def question_included(model, prompt):
    return prompt + as_text(answer(model, prompt))


@misconception(
    "q5",
    replaces="solve",
    name="a solver that leaves the end symbol in the answer",
    hint="The ; says that the answer is complete; it is no part of it.",
)
def end_included(model, prompt):
    return "".join(ALPHABET[number] for number in answer(model, prompt))


@misconception(
    "q5",
    replaces="solve",
    name="a solver that reads the first row of the logits",
    hint="Row i predicts symbol i + 1. Which row predicts the symbol that is not there yet?",
)
def first_row(model, prompt):
    return as_text(answer(model, prompt, lambda logits: int(logits[0].argmax())))


@misconception(
    "q5",
    replaces="solve",
    name="a solver that takes one symbol and stops",
    hint="Answers have one or two digits. Who says when an answer is complete?",
)
def one_symbol_only(model, prompt):
    return as_text(answer(model, prompt)[:1])


@misconception(
    "q5",
    replaces="solve",
    name="a solver that asks with the question alone each time: what it said does not come back to it",
    hint="To know that it has said the first digit already, the model must see it.",
)
def never_appended(model, prompt):
    require(prompt.endswith("="), "the prompt must end with =")
    ids, found = right_ids(prompt), []
    while len(found) < 8 and END not in found:
        found.append(int(ask(model, ids)[-1].argmax()))
    return as_text(found)


# ---------------------------------------------------------------------------------------------------------------- q6


def maps_of(model, ids, inside=lambda weights: weights):
    """The weights (n_heads, n, n) of each layer, for a model that is built as the right one is."""
    require(ids.ndim == 1, "one text")
    found = []
    with torch.no_grad():
        x = model.embedded(ids.unsqueeze(0))
        for block in model.blocks:
            found.append(inside(block.weights_and_values(x)[0][0]))
            x = block(x)
    return torch.stack(found)


@misconception(
    "q6",
    replaces="attention_maps",
    name="one map a layer, the mean over its heads",
    hint="Heads look at different things, which a mean hides. nn.MultiheadAttention averages unless told not to.",
)
def heads_averaged(model, ids):
    return maps_of(model, ids).mean(1)


@misconception(
    "q6",
    replaces="attention_maps",
    name="the maps of the last layer only",
    hint="Each layer has heads of its own. Where do the maps of the others go in your loop?",
)
def last_layer_only(model, ids):
    return maps_of(model, ids)[-1]


@misconception(
    "q6",
    replaces="attention_maps",
    name="the maps transposed: columns that sum to 1",
    hint="Row i is for the position that looks. Over which index do its weights sum to 1?",
)
def maps_transposed(model, ids):
    return maps_of(model, ids).mT.contiguous()


@misconception(
    "q6",
    replaces="attention_maps",
    name="the scores before mask and softmax instead of the weights after them",
    hint="A weight lies between 0 and 1, a row sums to 1, and what comes later has none.",
)
def scores_for_weights(model, ids):
    require(ids.ndim == 1, "one text")
    found = []
    with torch.no_grad():
        x = model.embedded(ids.unsqueeze(0))
        for block in model.blocks:
            heads = block.queries_keys_values(block.attention_norm(x)).unflatten(-1, (3, block.n_heads, -1))
            q, k, _ = heads.permute(2, 0, 3, 1, 4)
            found.append((q @ k.mT / math.sqrt(q.shape[-1]))[0])
            x = block(x)
    return torch.stack(found)


# ---------------------------------------------------------------------------------------------------------------- q7


def text_losses(texts, model, tokenizer, shift=1):
    """The losses of each text that has a prediction."""
    found = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        if ids.shape[1] >= 2:
            logits = model(ids)["logits"].double()
            found.append(losses(logits[0, : ids.shape[1] - shift], ids[0, shift:]))
    require(len(found) > 0, "nothing to predict")
    return found


@misconception(
    "q7",
    replaces="compare_with_gpt2",
    name="a mean over the texts of each text's own mean loss",
    hint="All predictions of all texts weigh the same: add up first, divide once.",
)
def mean_of_text_means(texts, model=None, tokenizer=None):
    means = [found.mean() for found in text_losses(texts, model, tokenizer)]
    return torch.stack(means).mean().exp().item()


@misconception(
    "q7",
    replaces="compare_with_gpt2",
    name="a mean over the texts of each text's own perplexity",
    hint="The exponential comes last, after one mean over all predictions of all texts.",
)
def mean_of_text_perplexities(texts, model=None, tokenizer=None):
    means = [found.mean().exp() for found in text_losses(texts, model, tokenizer)]
    return torch.stack(means).mean().item()


@misconception(
    "q7",
    replaces="compare_with_gpt2",
    name="a comparison of each row of logits with the token that it has just seen",
    hint="Row i of the logits predicts token i + 1: logits without the last row, ids without the first.",
)
def rows_not_shifted(texts, model=None, tokenizer=None):
    return torch.cat(text_losses(texts, model, tokenizer, shift=0)).mean().exp().item()


@misconception(
    "q7",
    replaces="compare_with_gpt2",
    name="the mean loss over all tokens, without the exponential",
    hint="Equal logits for 7 tokens have the perplexity 7. What do you get?",
)
def loss_for_perplexity(texts, model=None, tokenizer=None):
    return torch.cat(text_losses(texts, model, tokenizer)).mean().item()
