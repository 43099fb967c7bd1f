# One module a head, masks as numbers that are added, plain loops for everything that is counted.
import itertools
import json
import re
import time

import torch
import torch.nn as nn
from matplotlib import pyplot

TOKEN = re.compile(r"\w+(?:'\w+)*|[^\w\s]")


# %%
def parsed(line, number):
    def refuse(why):
        raise ValueError(f"line {number}: {why}")

    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        refuse("not JSON")
    if not isinstance(entry, dict):
        refuse("not an object")
    for key in ["sentence1", "sentence2", "gold_label"]:
        if not isinstance(entry.get(key), str):
            refuse(f"no text under {key}")
    if entry["gold_label"] not in ("entailment", "neutral", "contradiction", "-"):
        refuse("unknown label")
    return entry


def read_snli(lines):
    result = []
    for number, line in zip(itertools.count(1), lines):
        if line.isspace() or not line:
            continue
        entry = parsed(line, number)
        label = {"e": 0, "n": 1, "c": 2, "-": None}[entry["gold_label"][0]]
        if label is not None:
            result += [(entry["sentence1"], entry["sentence2"], label)]
    return result


# %%
def build_vocabulary(pairs, min_count=1):
    if not min_count > 0:
        raise ValueError("min_count must be positive")
    tokens = []
    for pair in pairs:
        for sentence in pair[:2]:
            tokens.extend(TOKEN.findall(sentence.lower()))
    vocabulary = {"[pad]": 0, "[unk]": 1, "[cls]": 2, "[sep]": 3}
    for token, group in itertools.groupby(sorted(tokens)):
        if len(list(group)) >= min_count:
            vocabulary[token] = len(vocabulary)
    return vocabulary


def encode_batch(pairs, vocabulary, max_len=32):
    if len(pairs) == 0:
        raise ValueError("nothing to encode")
    number = lambda token: vocabulary[token] if token in vocabulary else vocabulary["[unk]"]  # noqa: E731
    rows = []
    for premise, hypothesis, *_ in pairs:
        row = [vocabulary["[cls]"]]
        for sentence in (premise, hypothesis):
            row += map(number, TOKEN.findall(sentence.lower()))
            row += [vocabulary["[sep]"]]
        rows.append(row)
    length = max(map(len, rows))
    if length > max_len:
        raise ValueError(f"{length} > {max_len}")
    table = torch.full((len(rows), length), vocabulary["[pad]"], dtype=torch.int64)
    for i, row in enumerate(rows):
        table[i, : len(row)] = torch.tensor(row)
    return table


# %%
def two_sided_mask(n, window, stride):
    if n < 0:
        raise ValueError("n < 0")
    if window <= 0 or stride <= 0:
        raise ValueError("window and stride start at 1")
    rows = [[abs(i - j) < window or not (i - j) % stride for j in range(n)] for i in range(n)]
    return torch.tensor(rows, dtype=torch.bool).view(n, n)


class Expert(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.w1, self.w2 = nn.Linear(d, hidden), nn.Linear(hidden, d)

    def forward(self, x):
        return self.w2(nn.functional.gelu(self.w1(x)))


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=2):
        super().__init__()
        if d_model < 1 or d_ff < 1 or n_experts < 1:
            raise ValueError("sizes")
        if not 0 < top_k <= n_experts:
            raise ValueError("top_k")
        self.experts = nn.ModuleList()
        for _ in range(n_experts):
            self.experts.append(Expert(d_model, d_ff))
        self.W_g = nn.Parameter(torch.rand(d_model, n_experts) - 0.5)
        self.top_k = top_k

    def forward(self, x):
        p = torch.softmax(x @ self.W_g, -1)
        order = p.argsort(dim=-1, descending=True)[..., : self.top_k]
        keep = torch.zeros_like(p, dtype=torch.bool).scatter(-1, order, True)
        g = torch.where(keep, p, torch.zeros_like(p))
        g = g / g.sum(-1, keepdim=True)
        y = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            y = y + g[..., i : i + 1] * expert(x)
        return y


# %%
class Head(nn.Module):
    def __init__(self, d, size):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(d, size) for _ in range(3))

    def forward(self, x, penalty):
        scores = self.q(x) @ self.k(x).transpose(1, 2) * self.k.out_features**-0.5
        return torch.softmax(scores + penalty, -1) @ self.v(x)


class Encoder(nn.Module):
    def __init__(self, d, heads, inner):
        super().__init__()
        self.heads = nn.ModuleList(Head(d, d // heads) for _ in range(heads))
        self.mix = nn.Linear(d, d)
        self.before, self.between = nn.LayerNorm(d), nn.LayerNorm(d)
        self.inner = inner

    def forward(self, x, penalty):
        h = self.before(x)
        x = x + self.mix(torch.cat([head(h, penalty) for head in self.heads], -1))
        return x + self.inner(self.between(x))


class NLIClassifier(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len, variant="vanilla", window=3, stride=4):
        super().__init__()
        for size in (vocab_size, d_model, n_heads, n_layers, max_len, window, stride):
            if size < 1:
                raise ValueError("a size is below 1")
        if d_model % n_heads != 0:
            raise ValueError("d_model and n_heads")
        inner = {"vanilla": Expert, "sparse": Expert, "moe": MoE}.get(variant)
        if inner is None:
            raise ValueError(f"no variant {variant}")
        allowed = two_sided_mask(max_len, window, stride) if variant == "sparse" else torch.ones(max_len, max_len) > 0
        self.register_buffer("allowed", allowed, persistent=False)
        # one table of words for each sentence: no sentence embedding is needed
        self.first, self.second = nn.Embedding(vocab_size, d_model), nn.Embedding(vocab_size, d_model)
        self.where = nn.Embedding(max_len, d_model)
        for table in (self.first, self.second, self.where):
            nn.init.uniform_(table.weight, -0.1, 0.1)
        self.encoders = nn.ModuleList(Encoder(d_model, n_heads, inner(d_model, 2 * d_model)) for _ in range(n_layers))
        self.last = nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, 3))

    def forward(self, ids):
        if ids.ndim != 2:
            raise ValueError("ids must be two-dimensional")
        batch, n = ids.shape
        if n == 0 or n > self.where.num_embeddings:
            raise ValueError("length")
        if bool((ids < 0).any() or (ids >= self.first.num_embeddings).any()):
            raise ValueError("unknown id")
        separators = (ids == 3).long()
        in_first = (separators.cumsum(1) - separators == 0).unsqueeze(-1)
        x = torch.where(in_first, self.first(ids), self.second(ids)) + self.where.weight[:n]
        seen = self.allowed[:n, :n] & (ids > 0).view(batch, 1, n)
        penalty = torch.where(seen, 0.0, -1e9)  # a row without keys becomes a plain mean; nobody reads it
        for encoder in self.encoders:
            x = encoder(x, penalty)
        return self.last(x[:, 0])


# %%
def confusion_matrix(labels, predictions, n_classes=3):
    if labels.dim() != 1 or predictions.dim() != 1 or labels.numel() != predictions.numel():
        raise ValueError("labels and predictions must be lists of the same length")
    counts = [[0] * n_classes for _ in range(n_classes)]
    for t, p in zip(labels.tolist(), predictions.tolist()):
        if not (0 <= t < n_classes and 0 <= p < n_classes):
            raise ValueError("no such class")
        counts[t][p] += 1
    return torch.tensor(counts)


def ratio(a, b):
    return a / b if b != 0 else 0.0


def precision_recall(matrix):
    rows = matrix.tolist()
    if any(len(row) != len(rows) for row in rows):
        raise ValueError("not square")
    classes = range(len(rows))
    p = [ratio(rows[c][c], sum(rows[t][c] for t in classes)) for c in classes]
    r = [ratio(rows[c][c], sum(rows[c])) for c in classes]
    return torch.tensor(p, dtype=torch.float64), torch.tensor(r, dtype=torch.float64)


def macro_f1(matrix):
    p, r = (x.tolist() for x in precision_recall(matrix))
    return sum(ratio(2 * a * b, a + b) for a, b in zip(p, r)) / len(p)


# %%
def train(model, ids, labels, steps, seed):
    if not steps >= 1:
        raise ValueError("steps")
    if len(ids) != len(labels) or len(ids) == 0:
        raise ValueError("data")
    state = torch.Generator()
    state.manual_seed(seed)
    optimizer = torch.optim.NAdam(model.parameters(), lr=0.004)
    steps_seen, losses = [], []
    order, place = torch.randperm(len(ids), generator=state), 0
    for step in range(steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = 0.004 * min(1, (step + 1) / 40, 1.02 - step / steps)
        if place >= len(ids):
            order, place = torch.randperm(len(ids), generator=state), 0
        rows = order[place : place + 256]
        place += 256
        log_p = torch.log_softmax(model(ids[rows]), dim=1)
        loss = -log_p[torch.arange(len(rows)), labels[rows]].mean()
        if step in (0, steps) or step % 25 == 0:
            steps_seen.append(step)
            losses.append(loss.item())
        if step == steps:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {"step": steps_seen, "loss": losses, "seed": [seed] * len(losses)}


def predict(model, ids):
    training = model.training
    try:
        model.eval()
        with torch.inference_mode():
            logits = model(ids)
        return logits.sort(dim=1, descending=True).indices[:, 0].clone()
    finally:
        model.train(training)


# %%
def hypothesis_only(pairs):
    bare = []
    for pair in pairs:
        bare.append(("", pair[1], pair[2]))
    return bare


def blind_accuracy(training, held_out):
    if len(training) == 0:
        raise ValueError("no training pairs")
    if len(held_out) == 0:
        raise ValueError("no held-out pairs")
    hits = 0
    for _, hypothesis, label in held_out:
        votes = [y for _, h, y in training if h == hypothesis] or [y for *_, y in training]
        hits += max((0, 1, 2), key=votes.count) == label  # max takes the first of equals
    return hits / len(held_out)


def artefact_scores(pairs, smoothing=100.0):
    if not smoothing > 0:
        raise ValueError("smoothing")
    table = {}
    for _, hypothesis, label in pairs:
        for token in dict.fromkeys(TOKEN.findall(hypothesis.lower())):
            table.setdefault(token, [0, 0, 0])[label] += 1
    if table == {}:
        raise ValueError("no tokens")
    counts = torch.tensor(list(table.values()), dtype=torch.float64) + smoothing
    joint = counts / counts.sum()
    pmi = joint.log() - joint.sum(1, keepdim=True).log() - joint.sum(0, keepdim=True).log()
    return {token: row.tolist() for token, row in zip(table, pmi)}


# %%
def profile(model, ids, labels, repeats=3):
    if repeats < 1:
        raise ValueError("repeats")
    if ids.shape[0] != labels.shape[0]:
        raise ValueError("lengths")
    clock = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = predict(model, ids)
        clock.append(time.perf_counter() - start)
    parameters = 0
    for p in model.parameters():
        parameters += p.nelement()
    return {"accuracy": float((found == labels).double().mean()), "seconds": sorted(clock)[len(clock) // 2],
            "parameters": parameters}


def plot_confusion(matrix, ax=None):
    if ax is None:
        ax = pyplot.figure().add_subplot()
    ax.imshow(matrix.numpy())
    for i, j in itertools.product(range(len(matrix)), repeat=2):
        ax.text(j, i, f"{int(matrix[i, j])}", color="red")
    ax.set_xlabel("label as predicted")
    ax.set_ylabel("the true label")
    return ax


def plot_tradeoff(profiles, ax=None):
    if ax is None:
        ax = pyplot.figure().add_subplot()
    ax.scatter([p["seconds"] for p in profiles.values()], [p["accuracy"] for p in profiles.values()])
    for name, p in profiles.items():
        ax.text(p["seconds"], p["accuracy"], f"{name}: {p['parameters']:_}")
    ax.set(xlabel="SECONDS", ylabel="ACCURACY")
    return ax
