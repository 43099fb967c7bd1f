"""F.scaled_dot_product_attention, sparse dispatch, numpy for the counting, one-hot products for the metrics."""

import json
import re
import time
from math import sqrt

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


def read_snli(lines):
    pairs = []
    number = 0
    for line in lines:
        number += 1
        text = line.strip()
        if not text:
            continue
        problem = None
        try:
            d = json.loads(text)
        except Exception as e:
            raise ValueError("bad JSON on line %d: %s" % (number, e))
        if type(d) is not dict:
            problem = "not an object"
        elif {"gold_label", "sentence1", "sentence2"} - set(d):
            problem = "missing fields"
        elif not (type(d["sentence1"]) == type(d["sentence2"]) == str):
            problem = "sentences must be strings"
        elif d["gold_label"] not in ["entailment", "neutral", "contradiction", "-"]:
            problem = "label"
        if problem:
            raise ValueError("line %d: %s" % (number, problem))
        if d["gold_label"] != "-":
            pairs.append((d["sentence1"], d["sentence2"], ["entailment", "neutral", "contradiction"].index(d["gold_label"])))
    return pairs


def tokens_of(s):
    return re.findall(r"\w+(?:'\w+)*|[^\w\s]", s.lower())


def build_vocabulary(pairs, min_count=1):
    if min_count <= 0:
        raise ValueError("min_count >= 1")
    all_tokens = [t for p in pairs for s in (p[0], p[1]) for t in tokens_of(s)]
    vocabulary = {"[pad]": 0, "[unk]": 1, "[cls]": 2, "[sep]": 3}
    for t in sorted(set(all_tokens)):
        if all_tokens.count(t) >= min_count:
            vocabulary[t] = max(vocabulary.values()) + 1
    return vocabulary


def encode_batch(pairs, vocabulary, max_len=32):
    encoded = []
    for p, h, _ in pairs:
        marked = "\x00 " + " ".join(tokens_of(p)) + " \x01 " + " ".join(tokens_of(h)) + " \x01"
        marks = {"\x00": "[cls]", "\x01": "[sep]"}
        encoded.append([vocabulary.get(marks.get(t, t), vocabulary["[unk]"]) for t in marked.split()])
    if not encoded:
        raise ValueError("no pairs")
    width = max(len(e) for e in encoded)
    if width > max_len:
        raise ValueError("longer than max_len")
    return torch.from_numpy(np.array([e + [vocabulary["[pad]"]] * (width - len(e)) for e in encoded], dtype=np.int64))


def two_sided_mask(n, window, stride):
    if n < 0 or min(window, stride) < 1:
        raise ValueError("n >= 0, window >= 1, stride >= 1")
    line = torch.zeros(max(n, 1), dtype=torch.bool)
    line[:window] = True
    line[::stride] = True
    i = torch.arange(n)
    return line[(i.view(-1, 1) - i).abs()]


class Net(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.inside, self.outside = nn.Linear(a, b), nn.Linear(b, a)

    def forward(self, x):
        return self.outside(F.gelu(self.inside(x)))


class MoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts=4, top_k=2):
        if d_model <= 0 or d_ff <= 0 or n_experts <= 0 or top_k <= 0 or top_k > n_experts:
            raise ValueError("impossible sizes")
        super().__init__()
        self.top_k, self.n = top_k, n_experts
        self.experts = nn.ModuleList(map(lambda _: Net(d_model, d_ff), range(n_experts)))
        self.W_g = nn.Parameter(torch.randn(n_experts, d_model).T.contiguous() / sqrt(d_model))

    def forward(self, x):
        flat = x.flatten(0, -2) if x.dim() > 1 else x.unsqueeze(0)
        z = flat @ self.W_g
        threshold = z.topk(self.top_k, -1)
        logits = torch.full_like(z, float("-inf")).scatter(1, threshold.indices, threshold.values)
        g = logits.softmax(1)
        y = flat.new_zeros(flat.shape)
        for e in range(self.n):
            rows = torch.where(torch.isfinite(logits[:, e]))[0]
            if len(rows):
                y = y.index_put((rows,), self.experts[e](flat[rows]) * g[rows, e : e + 1], accumulate=True)
        return y.view(x.shape)


class NLIClassifier(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len, variant="vanilla", window=3, stride=4):
        super().__init__()
        if any(s < 1 for s in [vocab_size, d_model, n_heads, n_layers, max_len, window, stride]):
            raise ValueError("sizes >= 1")
        if d_model % n_heads > 0:
            raise ValueError("n_heads must divide d_model")
        if variant not in {"vanilla", "sparse", "moe"}:
            raise ValueError("unknown variant")
        self.h, self.n_layers, self.max_len = n_heads, n_layers, max_len
        self.mask = two_sided_mask(max_len, window, stride) if variant == "sparse" else None
        self.table = nn.Embedding(vocab_size + max_len + 2, d_model)  # words, places and sentences in one table
        nn.init.normal_(self.table.weight, std=0.03)
        self.words = vocab_size
        self.qkv = nn.ModuleList(nn.Linear(d_model, 3 * d_model) for _ in range(n_layers))
        self.o = nn.ModuleList(nn.Linear(d_model, d_model) for _ in range(n_layers))
        self.ff = nn.ModuleList((MoE if variant == "moe" else Net)(d_model, 2 * d_model) for _ in range(n_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(2 * n_layers + 1))
        self.answer = nn.Linear(d_model, 3)

    def forward(self, ids):
        if ids.ndim != 2 or ids.size(1) < 1 or ids.size(1) > self.max_len:
            raise ValueError("wrong shape %s" % (tuple(ids.shape),))
        if (ids < 0).any() or (ids >= self.words).any():
            raise ValueError("id out of range")
        b, n = ids.shape
        places = self.words + torch.arange(n).expand(b, n)
        sentence = F.pad((ids == 3).cumsum(1), (1, 0))[:, :n].clamp(max=1) + self.words + self.max_len
        x = self.table(torch.stack([ids, places, sentence])).sum(0)
        mask = (ids != 0)[:, None, None, :].expand(b, 1, n, n)
        if self.mask is not None:
            mask = mask & self.mask[:n, :n]
        mask = mask | torch.eye(n, dtype=torch.bool)
        for i in range(self.n_layers):
            q, k, v = (t.view(b, n, self.h, -1).transpose(1, 2) for t in self.qkv[i](self.norms[2 * i](x)).chunk(3, -1))
            heads = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = x + self.o[i](heads.transpose(1, 2).reshape(b, n, -1))
            x = x + self.ff[i](self.norms[2 * i + 1](x))
        return self.answer(self.norms[-1](x[:, 0]))


def confusion_matrix(labels, predictions, n_classes=3):
    if labels.shape != predictions.shape or labels.dim() != 1:
        raise ValueError("one dimension each, of the same length")
    for t in (labels, predictions):
        if t.numel() and not (0 <= int(t.min()) and int(t.max()) < n_classes):
            raise ValueError("class out of range")
    t, p = (F.one_hot(x, n_classes) for x in (labels, predictions))
    return t.T @ p


def safe(a, b):
    return torch.where(b > 0, a / torch.where(b > 0, b, torch.ones_like(b)), torch.zeros_like(a))


def precision_recall(matrix):
    if matrix.ndim != 2 or matrix.size(0) != matrix.size(1):
        raise ValueError("not a square matrix")
    m = matrix.to(torch.float64)
    hits = torch.diagonal(m)
    return [safe(hits, m.sum(axis)) for axis in (0, 1)]


def macro_f1(matrix):
    p, r = precision_recall(matrix)
    return torch.mean(safe(2 * p * r, p + r)).item()


def train(model, ids, labels, steps, seed):
    if steps < 1 or not len(ids) or len(ids) - len(labels):
        raise ValueError("nothing to do")
    rng = np.random.RandomState(seed)
    adam = torch.optim.AdamW([{"params": list(model.parameters())}], lr=1e-9, weight_decay=0.02)
    history = {"step": [], "loss": []}
    for step in range(steps):
        adam.param_groups[0]["lr"] = 5e-3 * min(1, (1 + step) / 60) * (1 - step / steps) ** 0.7
        rows = torch.from_numpy(rng.randint(len(ids), size=256))
        loss = F.nll_loss(F.log_softmax(model(ids[rows]), -1), labels[rows])
        if step % 30 == 0:
            history["step"].append(step)
            history["loss"].append(loss.item())
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.5)
        adam.step()
    with torch.no_grad():
        history["step"].append(steps)
        history["loss"].append(F.cross_entropy(model(ids[:1000]), labels[:1000]).item())
    return history


def predict(model, ids):
    before = model.training
    model.train(False)
    parts = []
    for chunk in ids.split(500):
        with torch.no_grad():
            parts.append(model(chunk).softmax(-1).argmax(1))
    model.train(before)
    return torch.cat(parts)


def hypothesis_only(pairs):
    return list(map(lambda pair: ("", pair[1], pair[2]), pairs))


def blind_accuracy(training, held_out):
    if not len(training) or not len(held_out):
        raise ValueError("both parts need pairs")
    texts = sorted({p[1] for p in training})
    votes = np.zeros((len(texts) + 1, 3), dtype=int)
    for _, h, y in training:
        votes[texts.index(h), y] += 1
        votes[-1, y] += 1
    best = votes.argmax(1)
    right = [best[texts.index(h)] == y if h in texts else best[-1] == y for _, h, y in held_out]
    return float(np.mean(right))


def artefact_scores(pairs, smoothing=100.0):
    if smoothing <= 0:
        raise ValueError("smoothing > 0")
    sets = [(set(tokens_of(h)), y) for _, h, y in pairs]
    vocabulary = sorted(set().union(*(s for s, _ in sets)))
    if len(vocabulary) == 0:
        raise ValueError("no words at all")
    c = np.array([[sum(w in s and y == label for s, y in sets) for label in range(3)] for w in vocabulary]) + smoothing
    pmi = np.log(c * c.sum() / np.outer(c.sum(1), c.sum(0)))
    return {w: [float(v) for v in row] for w, row in zip(vocabulary, pmi)}


def profile(model, ids, labels, repeats=3):
    if repeats <= 0 or len(labels) != len(ids):
        raise ValueError("repeats >= 1, and as many labels as ids")
    t = []
    for i in range(repeats):
        t0 = time.perf_counter()
        with torch.no_grad():
            out = model(ids)
        t.append(time.perf_counter() - t0)
    hits = (out.argmax(-1) == labels).sum().item()
    return {"seconds": float(np.median(t)), "accuracy": hits / len(labels),
            "parameters": sum(int(np.prod(p.shape)) for p in model.parameters())}


def plot_confusion(matrix, ax=None):
    ax = plt.subplots()[1] if ax is None else ax
    picture = ax.matshow(np.asarray(matrix))
    ax.figure.colorbar(picture)
    for (i, j), count in np.ndenumerate(np.asarray(matrix)):
        ax.text(j, i, str(count), ha="center")
    ax.set(xlabel="predicted class", ylabel="true class", title="where the errors are")
    return ax


def plot_tradeoff(profiles, ax=None):
    ax = plt.subplots()[1] if ax is None else ax
    for name in sorted(profiles):
        p = profiles[name]
        ax.scatter([p["seconds"]], [p["accuracy"]], label=name)
        ax.annotate("%s\n%d" % (name, p["parameters"]), xy=(p["seconds"], p["accuracy"]), xytext=(5, 5),
                    textcoords="offset pixels")
    ax.set_xlabel("forward pass (seconds)")
    ax.set_ylabel("held-out accuracy")
    ax.legend()
    return ax
