"""A module for each head, fixed sinusoidal positions and a mask as buffers, maps by hooks; texts of one length at a time."""

import copy
import math
import random
import zlib
from collections import defaultdict

import torch
import torch.nn as nn
import torch.nn.functional as F

ORDER = list("0123456789+-=;_")


def encode_problem(text):
    result = []
    for character in text:
        try:
            result.append(ORDER.index(character))
        except ValueError:
            raise ValueError(f"unknown symbol {character!r}") from None
    return result


def decode_ids(ids):
    def read(rest):
        if len(rest) == 0:
            return ""
        first = rest[0]
        if first < 0 or first > 14:
            raise ValueError(f"unknown id {first}")
        if first == 13:
            return ""
        return ("" if first == 14 else ORDER[first]) + read(rest[1:])

    return read(list(ids))


def perplexity(logits, targets, mask=None):
    if tuple(logits.shape[:-1]) != tuple(targets.shape):
        raise ValueError("logits need one more dimension than targets")
    flat = list(zip(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1).tolist()))
    if mask is not None:
        if mask.dtype != torch.bool or mask.shape != targets.shape:
            raise ValueError("mask must be boolean and have the shape of the targets")
        flat = [pair for pair, counts in zip(flat, mask.reshape(-1).tolist()) if counts]
    if not flat:
        raise ValueError("no symbol is counted")
    if any(not 0 <= target < logits.shape[-1] for _, target in flat):
        raise ValueError("a target that is no id")
    losses = [-F.log_softmax(row, dim=0)[target] for row, target in flat]
    return (sum(losses) / len(losses)).exp()


class Head(nn.Module):
    def __init__(self, d_model, width, max_len):
        super().__init__()
        self.query = nn.Linear(d_model, width)
        self.key = nn.Linear(d_model, width, bias=False)
        self.value = nn.Linear(d_model, width)
        self.weights = nn.Identity()  # something to hang a hook on
        self.register_buffer("past", torch.tril(torch.ones(max_len, max_len)).bool())

    def forward(self, x):
        n = x.shape[1]
        scores = torch.baddbmm(
            torch.zeros(len(x), n, n), self.query(x), self.key(x).transpose(1, 2), alpha=self.key.out_features**-0.5
        )
        scores = torch.where(self.past[:n, :n], scores, torch.tensor(-1e9))
        return torch.bmm(self.weights(F.softmax(scores, dim=2)), self.value(x))


class Layer(nn.Module):
    def __init__(self, d_model, n_heads, max_len):
        super().__init__()
        self.heads = nn.ModuleList([Head(d_model, d_model // n_heads, max_len) for _ in range(n_heads)])
        self.join = nn.Linear(d_model, d_model)
        self.mlp = nn.Sequential(
            nn.LayerNorm(d_model), nn.Linear(d_model, 4 * d_model), nn.ReLU(), nn.Linear(4 * d_model, d_model)
        )
        self.norm = nn.LayerNorm(d_model)

    def forward(self, x):
        y = self.norm(x)
        x = x + self.join(torch.cat([head(y) for head in self.heads], dim=2))
        return x + self.mlp(x)


class TinyGPT(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len):
        super().__init__()
        if not (vocab_size > 0 and d_model > 0 and n_heads > 0 and n_layers > 0 and max_len > 0):
            raise ValueError("every size is at least 1")
        if d_model % n_heads != 0:
            raise ValueError("heads must divide the width")
        self.vocab_size = vocab_size
        self.table = nn.Embedding(vocab_size, d_model)
        nn.init.uniform_(self.table.weight, -0.1, 0.1)
        angles = torch.arange(max_len)[:, None] / 50.0 ** (torch.arange(d_model)[None, :] / d_model)
        self.register_buffer("where", 0.1 * torch.where(torch.arange(d_model) % 2 == 0, angles.sin(), angles.cos()))
        self.layers = nn.ModuleList([Layer(d_model, n_heads, max_len) for _ in range(n_layers)])
        self.out = nn.Sequential(nn.LayerNorm(d_model), nn.Linear(d_model, vocab_size))

    def forward(self, ids):
        if ids.dim() != 2:
            raise ValueError("ids must be a table")
        if ids.shape[1] not in range(1, len(self.where) + 1):
            raise ValueError("too long or empty")
        if not set(ids.flatten().tolist()) <= set(range(self.vocab_size)):
            raise ValueError("unknown id")
        x = self.table(ids) + self.where[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.out(x)


def kept_away(problem):
    left, _, _ = problem.partition("=")
    sign = "-" if "-" in left else "+"
    numbers = sorted(left.split(sign), key=int)
    return zlib.crc32(sign.join(numbers).encode("ascii")) % 10 == 3


def grouped(problems):
    groups = defaultdict(list)
    for problem in problems:
        groups[len(problem), problem.index("=")].append(encode_problem(problem + ";"))
    return {key: torch.tensor(rows) for key, rows in groups.items()}


def answer_losses(model, rows, equals):
    logits = model(rows[:, :-1])[:, equals:]
    return F.cross_entropy(logits.flatten(0, 1), rows[:, equals + 1 :].flatten(), reduction="none")


def train(model, problems, steps, seed):
    if not steps > 0:
        raise ValueError("at least one step")
    train_part = grouped(p for p in problems if not kept_away(p))
    test_part = grouped(p for p in problems if kept_away(p))
    if not len(train_part) * len(test_part):
        raise ValueError("both kinds of problems, please")
    dice = random.Random(seed)
    keys = list(train_part)
    sizes = [len(train_part[key]) for key in keys]
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    history = {"step": [], "loss": [], "perplexity": [], "singular_values": []}

    def write(step, loss):
        with torch.no_grad():
            found = torch.cat([answer_losses(model, rows, key[1]) for key, rows in test_part.items()])
        history["step"].append(step)
        history["loss"].append(loss)
        history["perplexity"].append(torch.exp(found.double().mean()).item())
        history["singular_values"].append(torch.linalg.svdvals(model.table.weight.data).tolist())

    for step in range(steps):
        picked = [dice.choices(range(len(keys)), weights=sizes)[0] for _ in range(3)]
        losses = []
        for number in picked:
            rows = train_part[keys[number]]
            index = torch.tensor([dice.randrange(len(rows)) for _ in range(48)])
            losses.append(answer_losses(model, rows[index], keys[number][1]))
        loss = torch.cat(losses).mean()
        if step == 0:
            write(0, loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    write(steps, loss.item())
    return history


def solve(model, prompt):
    if len(prompt) == 0 or not prompt.endswith("="):
        raise ValueError("ask with an = at the end")
    ids = torch.tensor(encode_problem(prompt)).view(1, -1)
    asked = ids.shape[1]
    while True:
        with torch.inference_mode():
            following = F.softmax(model(ids)[:, -1], dim=-1).argmax(-1, keepdim=True)
        ids = torch.cat([ids, following], dim=1)
        if following.item() == 13 or ids.shape[1] == asked + 8:
            return decode_ids(ids[0, asked:].tolist())


def attention_maps(model, ids):
    if ids.dim() != 1:
        raise ValueError("one text")
    seen = []
    heads = [head for layer in model.layers for head in layer.heads]
    hooks = [head.weights.register_forward_hook(lambda _, __, out: seen.append(out[0].detach())) for head in heads]
    try:
        with torch.no_grad():
            model(ids[None, :])
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(seen).unflatten(0, (len(model.layers), -1))


def compare_with_gpt2(texts, model=None, tokenizer=None):
    if model is None or tokenizer is None:
        from transformers import pipeline

        generator = pipeline("text-generation", model="gpt2")
        model, tokenizer = model or generator.model, tokenizer or generator.tokenizer
    probability, count = 0.0, 0
    for text in copy.copy(texts):
        ids = list(tokenizer(text)["input_ids"])
        for row, following in zip(model(torch.tensor([ids]))["logits"][0] if ids[1:] else [], ids[1:]):
            probability += (row - row.max()).exp().sum().log().item() + (row.max() - row[following]).item()
            count += 1
    if count == 0:
        raise ValueError("no token has another one before it")
    return math.e ** (probability / count)
