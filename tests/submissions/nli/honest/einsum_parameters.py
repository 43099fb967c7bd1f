# Parameters and einsum, no nn.Linear, no nn.LayerNorm; places that begin as sinusoids; bincounts and comprehensions for the rest.
import collections
import json
import math
import re
import time

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

LABEL = {"entailment": 0, "neutral": 1, "contradiction": 2}


class Reader:
    def __init__(self):
        self.pairs = []

    def feed(self, n, line):
        if re.fullmatch(r"\s*", line):
            return
        try:
            self.take(json.loads(line))
        except (AssertionError, json.JSONDecodeError) as e:
            raise ValueError(f"Line {n}: {e}") from e

    def take(self, entry):
        assert isinstance(entry, dict), "an object was expected"
        for key in ("gold_label", "sentence1", "sentence2"):
            assert key in entry, f"{key} is missing"
            assert isinstance(entry[key], str), f"{key} must be a string"
        assert entry["gold_label"] in {*LABEL, "-"}, "unknown label"
        if entry["gold_label"] in LABEL:
            self.pairs.append((entry["sentence1"], entry["sentence2"], LABEL[entry["gold_label"]]))


def read_snli(lines):
    reader = Reader()
    for n, line in enumerate(lines, 1):
        reader.feed(n, line)
    return reader.pairs


# %%
def split(text):
    return [m.group() for m in re.finditer(r"\w+(?:'\w+)*|[^\w\s]", text.lower())]


def build_vocabulary(pairs, min_count=1):
    if min_count < 1:
        raise ValueError("at least 1")
    count = collections.defaultdict(int)
    for a, b, _ in pairs:
        for token in [*split(a), *split(b)]:
            count[token] += 1
    names = "[pad] [unk] [cls] [sep]".split() + [t for t, c in sorted(count.items()) if c >= min_count]
    return {n: i for i, n in enumerate(names)}


def encode_batch(pairs, vocabulary, max_len=32):
    ids = lambda tokens: [vocabulary.get(t, vocabulary["[unk]"]) for t in tokens]  # noqa: E731
    c, s, p = (vocabulary[k] for k in ("[cls]", "[sep]", "[pad]"))
    rows = [[c] + ids(split(a)) + [s] + ids(split(b)) + [s] for a, b, _ in pairs]
    if not rows or max(map(len, rows)) > max_len:
        raise ValueError("no pair, or one that is too long")
    import itertools

    return torch.tensor(list(itertools.zip_longest(*rows, fillvalue=p))).T.contiguous()


# %%
def two_sided_mask(n, window, stride):
    if window < 1 or stride < 1 or n < 0:
        raise ValueError("out of range")
    distance = torch.cdist(torch.arange(n).double()[:, None], torch.arange(n).double()[:, None], p=1).round().long()
    return torch.logical_or(distance.lt(window), distance.remainder(stride).eq(0))


def weight(*shape):
    return nn.Parameter(torch.randn(*shape) / math.sqrt(shape[-2]))


class FF(nn.Module):
    def __init__(self, d, f):
        super().__init__()
        self.A, self.B = weight(d, f), weight(f, d)
        self.a, self.b = nn.Parameter(torch.zeros(f)), nn.Parameter(torch.zeros(d))

    def forward(self, x):
        return torch.nn.functional.gelu(torch.einsum("...d,df->...f", x, self.A) + self.a) @ self.B + self.b


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=2):
        super().__init__()
        if not (d_model > 0 < d_ff and 0 < top_k <= n_experts):
            raise ValueError("sizes")
        self.k = top_k
        self.experts = nn.ModuleList([FF(d_model, d_ff) for _ in range(n_experts)])
        self.W_g = weight(d_model, n_experts)

    def forward(self, x):
        p = torch.einsum("...d,de->...e", x, self.W_g).softmax(-1)
        rank = p.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
        p = p * (rank < self.k)
        y = torch.stack([e(x) for e in self.experts], -1)
        return torch.einsum("...de,...e->...d", y, p / p.sum(-1, keepdim=True))


# %%
class Norm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.gain, self.shift = nn.Parameter(torch.ones(d)), nn.Parameter(torch.zeros(d))

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return self.gain * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() + self.shift


class NLIClassifier(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len, variant="vanilla", window=3, stride=4):
        super().__init__()
        if min((vocab_size, d_model, n_heads, n_layers, max_len, window, stride)) < 1:
            raise ValueError("all sizes start at 1")
        if d_model % n_heads:
            raise ValueError("heads")
        if variant not in ["vanilla", "moe", "sparse"]:
            raise ValueError(variant)
        self.sizes = (vocab_size, max_len)
        d = d_model // n_heads
        self.E = nn.Parameter(0.1 * torch.randn(vocab_size, d_model))
        self.S = nn.Parameter(0.1 * torch.randn(2, d_model))
        angle = torch.arange(max_len)[:, None] / 10000 ** (torch.arange(0, d_model, 2) / d_model)
        self.P = nn.Parameter(torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :d_model] * 0.1)
        self.register_buffer("M", two_sided_mask(max_len, window, stride) if variant == "sparse"
                             else torch.ones(max_len, max_len).bool())
        self.QKV = nn.ParameterList([weight(3, n_heads, d_model, d) for _ in range(n_layers)])
        self.O = nn.ParameterList([nn.Parameter(torch.randn(n_heads, d, d_model) / d_model**0.5) for _ in range(n_layers)])
        self.qkv = nn.ParameterList([nn.Parameter(torch.zeros(3, 1, n_heads, 1, d)) for _ in range(n_layers)])
        self.o = nn.ParameterList([nn.Parameter(torch.zeros(d_model)) for _ in range(n_layers)])
        make = MoE if variant == "moe" else FF
        self.F = nn.ModuleList([make(d_model, 2 * d_model) for _ in range(n_layers)])
        self.N = nn.ModuleList([Norm(d_model) for _ in range(2 * n_layers + 1)])
        self.W, self.w = weight(d_model, 3), nn.Parameter(torch.zeros(3))

    def forward(self, ids):
        if ids.dim() != 2:
            raise ValueError("(B, L)")
        n = ids.shape[1]
        if not 1 <= n <= self.sizes[1]:
            raise ValueError("L")
        if not torch.all((0 <= ids) & (ids < self.sizes[0])):
            raise ValueError("id")
        second = ((ids == 3).long().cumsum(1) - (ids == 3).long()).gt(0).long()
        x = self.E[ids] + self.P[:n] + self.S[second]
        mask = (self.M[:n, :n][None] & ids.ne(0)[:, None, :]) | torch.eye(n).bool()
        for i, (QKV, O) in enumerate(zip(self.QKV, self.O)):
            q, k, v = torch.einsum("bld,chde->cbhle", self.N[2 * i](x), QKV) + self.qkv[i]
            a = torch.einsum("bhle,bhme->bhlm", q, k) / math.sqrt(q.shape[-1])
            a = a.masked_fill(~mask[:, None], torch.finfo(a.dtype).min).softmax(-1)
            x = x + torch.einsum("bhlm,bhme,hed->bld", a, v, O) + self.o[i]
            x = x + self.F[i](self.N[2 * i + 1](x))
        return self.N[-1](x)[:, 0] @ self.W + self.w


# %%
def confusion_matrix(labels: Tensor, predictions: Tensor, n_classes=3):
    if labels.ndim != 1 or labels.size() != predictions.size():
        raise ValueError("(N,) and (N,)")
    seen = set(labels.tolist()) | set(predictions.tolist())
    if not seen <= set(range(n_classes)):
        raise ValueError("class")
    pairs = collections.Counter(zip(labels.tolist(), predictions.tolist()))
    return torch.tensor([[pairs[t, p] for p in range(n_classes)] for t in range(n_classes)])


def precision_recall(matrix):
    if matrix.ndim != 2 or len({*matrix.shape}) != 1:
        raise ValueError("square")
    m = matrix.double()
    return tuple((m.diagonal() / m.sum(axis).clamp(min=0.5)) for axis in (0, 1))  # a count of 0 has 0 above it


def macro_f1(matrix):
    p, r = precision_recall(matrix)
    f = [2 / (1 / a + 1 / b) if a > 0 and b > 0 else 0.0 for a, b in zip(p.tolist(), r.tolist())]
    return math.fsum(f) / len(f)


# %%
def train(model, ids, labels, steps, seed):
    if steps <= 0:
        raise ValueError("steps")
    if len(ids) == 0 or len(ids) != len(labels):
        raise ValueError("rows")
    generator = torch.Generator().manual_seed(1000 + seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    rates = torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, 1.0, 40),
         torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - 40))],
        [40],
    )
    history = collections.defaultdict(list)

    def note(step):
        with torch.no_grad():
            part = slice(0, 400)
            z = model(ids[part]).double()
            loss = z.logsumexp(1) - z.gather(1, labels[part, None])[:, 0]
        history["step"].append(step)
        history["loss"].append(loss.mean().item())

    note(0)
    for step in range(1, steps + 1):
        rows = torch.multinomial(torch.ones(len(ids)), 256, replacement=True, generator=generator)
        z = model(ids[rows])
        loss = (z.logsumexp(1) - z.gather(1, labels[rows, None])[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        rates.step()
        if step % 50 == 0 or step == steps:
            note(step)
    return dict(history)


def predict(model, ids):
    state = model.training
    model.eval()
    z = model(ids).detach()
    model.train(state)
    return (z == z.max(-1, keepdim=True).values).long().argmax(-1)


# %%
def hypothesis_only(pairs):
    return [tuple(["", *pair[1:]]) for pair in pairs]


def blind_accuracy(training, held_out):
    if min(len(training), len(held_out)) == 0:
        raise ValueError("pairs")
    votes = collections.defaultdict(lambda: [0, 0, 0])
    total = [sum(pair[2] == y for pair in training) for y in range(3)]
    for _, h, y in training:
        votes[h][y] += 1
    score = 0
    for _, h, y in held_out:
        v = votes[h] if h in votes else total
        score += all(v[y] > v[z] for z in range(y)) and all(v[y] >= v[z] for z in range(y, 3))
    return score / len(held_out)


def artefact_scores(pairs, smoothing=100.0):
    if not smoothing > 0:
        raise ValueError("positive")
    index = {}
    for _, h, _ in pairs:
        for t in split(h):
            index.setdefault(t, len(index))
    if len(index) < 1:
        raise ValueError("tokens")
    c = torch.zeros(len(index), 3).double()
    for _, h, y in pairs:
        c[sorted({index[t] for t in split(h)}), y] += 1
    c += smoothing
    return {t: [math.log(c[i, y] / c[i].sum() / c[:, y].sum() * c.sum()) for y in range(3)] for t, i in index.items()}


# %%
def profile(model, ids, labels, repeats=3):
    if repeats < 1 or len(ids) != len(labels) or len(ids) < 1:
        raise ValueError("arguments")

    def once():
        begin = time.perf_counter()
        out = predict(model, ids)
        return time.perf_counter() - begin, out

    runs = [once() for _ in range(repeats)]
    matrix = confusion_matrix(labels, runs[0][1])
    return {
        "accuracy": float(matrix.trace() / matrix.sum()),
        "seconds": sorted(s for s, _ in runs)[repeats // 2],
        "parameters": sum(math.prod(p.shape) for p in model.parameters()),
    }


def plot_confusion(matrix, ax=None):
    ax = ax or plt.axes()
    n = len(matrix)
    ax.pcolormesh(matrix, edgecolors="k", cmap="Greens")
    ax.set_ylim(n, 0)
    [ax.text(j + 0.4, i + 0.6, f" {matrix[i][j]} ") for i in range(n) for j in range(n)]
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return ax


def plot_tradeoff(profiles, ax=None):
    ax = ax or plt.subplots()[1]
    x, y = [p["seconds"] for p in profiles.values()], [p["accuracy"] for p in profiles.values()]
    ax.plot(x, y, linestyle="", marker="s")
    ax.axhline(1 / 3, color="grey")
    for (name, p), a, b in zip(profiles.items(), x, y):
        ax.annotate(f"{name}, {p['parameters']} parameters", (a, b))
    ax.set(xlabel="seconds", ylabel="accuracy", xscale="log")
    return ax
