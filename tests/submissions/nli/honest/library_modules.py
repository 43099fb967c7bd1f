# Modules of the library wherever there is one: MultiheadAttention, pad_sequence, Counter, index_put_.
import json
import math
import re
import statistics
import time
from collections import Counter, defaultdict

import matplotlib.pyplot as plt
import torch
from torch import nn


def words(text):
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", text.lower())


# %%
def read_snli(lines):
    numbers = dict(entailment=0, neutral=1, contradiction=2)
    out = []
    for i, raw in enumerate(lines):
        raw = raw.strip()
        if raw == "":
            continue
        try:
            record = json.loads(raw)
            gold, a, b = record["gold_label"], record["sentence1"], record["sentence2"]
        except (ValueError, KeyError, TypeError) as why:
            raise ValueError(f"Line {i + 1}: {why!r}")
        if type(a) is not str or type(b) is not str:
            raise ValueError(f"Line {i + 1}: a sentence is not a text")
        if gold == "-":
            continue
        if not isinstance(gold, str) or gold not in numbers:
            raise ValueError(f"Line {i + 1}: label {gold}")
        out.append((a, b, numbers[gold]))
    return out


# %%
def build_vocabulary(pairs, min_count=1):
    if min_count < 1:
        raise ValueError("min_count")
    counter = Counter(w for p, h, _ in pairs for w in words(p + " \n " + h))
    known = sorted(w for w in counter if counter[w] >= min_count)
    return dict(zip(["[pad]", "[unk]", "[cls]", "[sep]"] + known, range(4 + len(known))))


def encode_batch(pairs, vocabulary, max_len=32):
    if not pairs:
        raise ValueError("empty batch")
    rows = []
    for p, h, _ in pairs:
        row = ["[cls]"] + words(p) + ["[sep]"] + words(h) + ["[sep]"]
        rows.append(torch.tensor([vocabulary.get(w, vocabulary["[unk]"]) for w in row]))
    if max(len(r) for r in rows) > max_len:
        raise ValueError("too long")
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=vocabulary["[pad]"])


# %%
def two_sided_mask(n, window, stride):
    if n < 0 or window < 1 or stride < 1:
        raise ValueError("bad sizes")
    mask = torch.zeros(n, n, dtype=torch.bool)
    for distance in range(n):
        if distance < window or distance % stride == 0:
            mask.diagonal(distance).fill_(True)
            mask.diagonal(-distance).fill_(True)
    return mask


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=2):
        super().__init__()
        if min(d_model, d_ff, n_experts, top_k) < 1 or top_k > n_experts:
            raise ValueError("sizes")
        self.k = top_k
        self.W_g = nn.Parameter(torch.empty(d_model, n_experts))
        nn.init.xavier_normal_(self.W_g)
        self.experts = nn.ModuleList(
            [nn.Sequential(nn.Linear(d_model, d_ff), nn.GELU(), nn.Linear(d_ff, d_model)) for _ in range(n_experts)]
        )

    def forward(self, x):
        logits = x @ self.W_g
        top = logits.topk(self.k, dim=-1)
        weights = torch.softmax(top.values, dim=-1)  # over the kept alone: the same numbers
        everything = torch.stack([e(x) for e in self.experts], dim=-2)
        index = top.indices.unsqueeze(-1).expand(*top.indices.shape, x.shape[-1])
        return (everything.gather(-2, index) * weights.unsqueeze(-1)).sum(-2)


# %%
class Layer(nn.Module):
    def __init__(self, d, h, moe):
        super().__init__()
        self.attention = nn.MultiheadAttention(d, h, batch_first=True)
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.ff = MoE(d, 2 * d) if moe else nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x, forbidden, padding):
        y = self.n1(x)
        x = x + self.attention(y, y, y, attn_mask=forbidden, key_padding_mask=padding, need_weights=False)[0]
        return x + self.ff(self.n2(x))


class NLIClassifier(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len, variant="vanilla", window=3, stride=4):
        super().__init__()
        if min(vocab_size, d_model, n_heads, n_layers, max_len, window, stride) < 1 or d_model % n_heads:
            raise ValueError("sizes")
        if variant not in ("vanilla", "sparse", "moe"):
            raise ValueError("variant")
        self.variant, self.window, self.stride = variant, window, stride
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.places = nn.Parameter(0.1 * torch.randn(max_len, d_model))
        self.kinds = nn.Embedding(2, d_model)
        self.layers = nn.ModuleList(Layer(d_model, n_heads, variant == "moe") for _ in range(n_layers))
        self.head = nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, 3))
        nn.init.normal_(self.embedding.weight, std=0.1)

    def forward(self, ids):
        if ids.dim() != 2 or not 0 < ids.shape[1] <= len(self.places):
            raise ValueError("ids")
        if ids.min() < 0 or ids.max() >= self.embedding.num_embeddings:
            raise ValueError("unknown id")
        n = ids.shape[1]
        first = ((ids == 3).cumsum(1) - (ids == 3).int()) == 0
        x = self.embedding(ids) + self.places[:n] + self.kinds((~first).long())
        forbidden = None
        if self.variant == "sparse":
            forbidden = ~two_sided_mask(n, self.window, self.stride)
        for layer in self.layers:
            x = layer(x, forbidden, ids == 0)
            x = torch.where((ids == 0).unsqueeze(-1), 0.0, x)  # a row of padding that sees nothing would be NaN
        return self.head(x[:, 0])


# %%
def confusion_matrix(labels, predictions, n_classes=3):
    if labels.dim() != 1 or labels.shape != predictions.shape:
        raise ValueError("shapes")
    if len(labels) and (min(labels.min(), predictions.min()) < 0 or max(labels.max(), predictions.max()) >= n_classes):
        raise ValueError("classes")
    out = torch.zeros(n_classes, n_classes, dtype=torch.long)
    out.index_put_((labels, predictions), torch.ones_like(labels), accumulate=True)
    return out


def precision_recall(matrix):
    if matrix.dim() != 2 or len(matrix) != len(matrix.T):
        raise ValueError("square")
    m = matrix.double()
    p = torch.nan_to_num(m.diag() / m.sum(0))
    r = torch.nan_to_num(m.diag() / m.sum(1))
    return p, r


def macro_f1(matrix):
    precision_recall(matrix)
    m = matrix.double()
    return float(torch.nan_to_num(2 * m.diag() / (m.sum(0) + m.sum(1))).mean())


# %%
def train(model, ids, labels, steps, seed):
    if steps < 1 or len(ids) == 0 or len(ids) != len(labels):
        raise ValueError("arguments")
    g = torch.Generator().manual_seed(seed + 17)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=steps + 1)
    criterion = nn.CrossEntropyLoss()
    model.train()
    with torch.no_grad():
        record = [(0, criterion(model(ids[:512]), labels[:512]).item())]
    for step in range(1, steps + 1):
        chosen = torch.randperm(len(ids), generator=g)[:256]
        loss = criterion(model(ids[chosen]), labels[chosen])
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 20 == 0 and step < steps:
            record.append((step, loss.item()))
    with torch.no_grad():
        record.append((steps, criterion(model(ids[:512]), labels[:512]).item()))
    return {"step": [a for a, _ in record], "loss": [b for _, b in record]}


@torch.no_grad()
def predict(model, ids):
    mode = model.training
    found = model.eval()(ids).max(1).indices
    model.train(mode)
    return found


# %%
def hypothesis_only(pairs):
    return [("", *rest) for _, *rest in pairs]


def blind_accuracy(training, held_out):
    if not training or not held_out:
        raise ValueError("no pairs")
    seen = defaultdict(Counter)
    for _, h, y in training:
        seen[h][y] += 1
        seen[None][y] += 1
    best = {h: min(c, key=lambda y: (-c[y], y)) for h, c in seen.items()}
    return statistics.fmean(best.get(h, best[None]) == y for _, h, y in held_out)


def artefact_scores(pairs, smoothing=100.0):
    if smoothing <= 0:
        raise ValueError("smoothing")
    together = Counter((w, y) for _, h, y in pairs for w in set(words(h)))
    vocabulary = {w for w, _ in together}
    if not vocabulary:
        raise ValueError("no words")
    c = {(w, y): together[w, y] + smoothing for w in vocabulary for y in range(3)}
    total = sum(c.values())
    of_label = [sum(c[w, y] for w in vocabulary) for y in range(3)]
    return {
        w: [math.log(c[w, y]) + math.log(total) - math.log(sum(c[w, z] for z in range(3))) - math.log(of_label[y])
            for y in range(3)]
        for w in vocabulary
    }


# %%
def profile(model, ids, labels, repeats=3):
    if repeats < 1 or len(ids) != len(labels):
        raise ValueError("arguments")
    times = []
    for _ in range(repeats):
        begin = time.monotonic_ns()
        guess = predict(model, ids)
        times.append((time.monotonic_ns() - begin) / 1e9)
    return dict(accuracy=(guess == labels).float().mean().item(), seconds=statistics.median(times),
                parameters=nn.utils.parameters_to_vector(model.parameters()).numel())


def plot_confusion(matrix, ax=None):
    if ax is None:
        _, ax = plt.subplots()
    n = len(matrix)
    ax.pcolormesh(range(n + 1), range(n + 1), matrix)
    ax.invert_yaxis()
    for i in range(n):
        for j in range(n):
            ax.annotate(f"{matrix[i, j]}", (j + 0.5, i + 0.5), ha="center")
    ax.set_xlabel("Predicted")
    ax.set_ylabel("True")
    ax.set_title("Confusion")
    return ax


def plot_tradeoff(profiles, ax=None):
    ax = ax or plt.figure().gca()
    for key, value in profiles.items():
        ax.plot(value["seconds"], value["accuracy"], "o")
        ax.text(value["seconds"], value["accuracy"], f"{key} ({value['parameters']} parameters)")
    ax.set_xlabel("time in seconds")
    ax.set_ylabel("Accuracy on held-out pairs")
    return ax
