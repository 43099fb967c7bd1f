"""Einsum, rotary positions, RMS norms, gated networks, one parameter a head; numpy's random numbers; sums of logarithms."""

import math
import zlib

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def encode_problem(text):
    ids = ["0123456789+-=;_".find(c) for c in text]
    if -1 in ids:
        raise ValueError("a character that is no symbol")
    return ids


def decode_ids(ids):
    ids = list(ids)
    if 13 in ids:
        ids = ids[: ids.index(13)]
    if ids and not 0 <= min(ids) <= max(ids) <= 14:
        raise ValueError("an id that is no symbol")
    return "".join("0123456789+-=;"[i] for i in ids if i != 14)


def perplexity(logits, targets, mask=None):
    V = logits.shape[-1]
    if logits.shape != (*targets.shape, V):
        raise ValueError(f"{logits.shape} and {targets.shape} do not fit")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != targets.shape):
        raise ValueError("the mask does not fit")
    if targets.numel() == 0 or (mask is not None and not mask.any()):
        raise ValueError("the mean over nothing")
    if not ((0 <= targets) & (targets < V)).all():
        raise ValueError("a target is no symbol")
    own = torch.einsum("...v,...v->...", logits, F.one_hot(targets, V).to(logits.dtype))
    loss = torch.logsumexp(logits, dim=-1) - own
    if mask is None:
        return torch.exp(loss.mean())
    return torch.exp(torch.where(mask, loss, torch.zeros_like(loss)).sum() / mask.sum())


def turned(x):
    """Rotary positions: pairs (first half, second half) of x (B, H, L, d) turn by an angle that grows with L."""
    half = x.shape[-1] // 2
    if half == 0:
        return x
    speeds = 100.0 ** (-torch.arange(half) / half)
    angles = torch.arange(x.shape[-2])[:, None] * speeds
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos(), rest], -1)


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return self.gain * x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt()


class Layer(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.norm_a, self.norm_b = RMSNorm(d), RMSNorm(d)
        shape = (h, d, d // h)
        self.Q, self.K, self.V = (nn.Parameter(torch.randn(shape) / math.sqrt(d)) for _ in range(3))
        self.O = nn.Parameter(torch.randn(h, d // h, d) / math.sqrt(d))
        self.up, self.gate = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, 3 * d, bias=False)
        self.down = nn.Linear(3 * d, d, bias=False)

    def maps(self, x):
        y = self.norm_a(x)
        q, k = (turned(torch.einsum("bld,hde->bhle", y, W)) for W in (self.Q, self.K))
        scores = torch.einsum("bhie,bhje->bhij", q, k) * self.Q.shape[-1] ** -0.5
        keep = torch.tril(torch.ones_like(scores))
        scores = scores * keep - 1e30 * (1 - keep)
        scores = torch.exp(scores - scores.detach().amax(-1, keepdim=True)) * keep
        return scores / scores.sum(-1, keepdim=True)

    def forward(self, x):
        values = torch.einsum("bld,hde->bhle", self.norm_a(x), self.V)
        x = x + torch.einsum("bhij,bhje,hed->bid", self.maps(x), values, self.O)
        y = self.norm_b(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class TinyGPT(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len):
        super().__init__()
        for size in (vocab_size, d_model, n_heads, n_layers, max_len):
            if size < 1:
                raise ValueError("sizes must be positive")
        if d_model // n_heads * n_heads != d_model:
            raise ValueError("d_model must be divisible by n_heads")
        self.max_len = max_len
        self.E = nn.Parameter(0.3 * torch.randn(vocab_size, d_model))
        self.layers = nn.Sequential(*(Layer(d_model, n_heads) for _ in range(n_layers)))
        self.last = RMSNorm(d_model)
        self.U = nn.Parameter(torch.randn(d_model, vocab_size) / math.sqrt(d_model))

    def embed(self, ids):
        V = len(self.E)
        if ids.ndim != 2 or ids.shape[1] == 0 or ids.shape[1] > self.max_len:
            raise ValueError(f"texts of 1 to {self.max_len} symbols, got {tuple(ids.shape)}")
        if ids.lt(0).any() or ids.ge(V).any():
            raise ValueError("an unknown id")
        return F.one_hot(ids, V).to(self.E.dtype) @ self.E

    def forward(self, ids):
        return self.last(self.layers(self.embed(ids))) @ self.U


def is_held_out(problem):
    for sign in "+-":
        if sign in problem:
            a, b = problem.split("=")[0].split(sign)
            pair = f"{a}{sign}{b}" if int(a) <= int(b) else f"{b}{sign}{a}"
            return zlib.crc32(bytes(pair, "ascii")) % 10 == 3


def arrays(problems):
    width = max(len(p) for p in problems) + 1
    ids = np.full((len(problems), width), 14)
    counted = np.zeros((len(problems), width), dtype=bool)
    for row, p in enumerate(problems):
        ids[row, : len(p) + 1] = encode_problem(p + ";")
        counted[row, p.find("=") + 1 : len(p) + 1] = True
    return ids, counted


def train(model, problems, steps, seed):
    if steps <= 0:
        raise ValueError("steps must be positive")
    kinds = {True: [], False: []}
    for p in problems:
        kinds[is_held_out(p)].append(p)
    if not kinds[True] or not kinds[False]:
        raise ValueError("problems of both kinds are needed")
    ids, counted = arrays(kinds[False])
    test, test_counted = (torch.from_numpy(a) for a in arrays(kinds[True]))
    random = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.05)
    rows = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min((step + 1) / 20, 1.0, 1.1 - step / steps)
        chosen = random.choice(len(ids), size=96)
        x, m = torch.from_numpy(ids[chosen]), torch.from_numpy(counted[chosen])
        loss = perplexity(model(x[:, :-1]), x[:, 1:], m[:, 1:]).log()
        if step in (0, steps // 2) and step < steps:
            rows.append((step, loss.item(), *measure(model, test, test_counted)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rows.append((steps, loss.item(), *measure(model, test, test_counted)))
    rows = [row for i, row in enumerate(rows) if i == 0 or row[0] != rows[i - 1][0]]
    return {key: [row[i] for row in rows] for i, key in enumerate(("step", "loss", "perplexity", "singular_values"))}


def measure(model, ids, counted):
    total = n = 0
    with torch.no_grad():
        for part, keep in zip(ids.split(100), counted.split(100)):
            losses = F.cross_entropy(model(part[:, :-1]).mT, part[:, 1:], reduction="none")[keep[:, 1:]]
            total, n = total + losses.sum().item(), n + len(losses)
        gram = model.E.double() @ model.E.double().T
    return math.exp(total / n), torch.linalg.eigvalsh(gram).clamp(min=0).sqrt().flip(0).tolist()


def solve(model, prompt):
    if not prompt or prompt[-1] != "=":
        raise ValueError("a prompt ends with =")

    def go_on(ids, left):
        if left == 0:
            return []
        following = model(torch.as_tensor([ids], dtype=torch.long))[0, -1].tolist()
        best = following.index(max(following))
        return [] if best == 13 else [best, *go_on([*ids, best], left - 1)]

    return decode_ids(go_on(encode_problem(prompt), 8))


@torch.no_grad()
def attention_maps(model, ids):
    if ids.ndim - 1:
        raise ValueError("ids must be (n,)")
    x, maps = model.embed(ids.view(1, -1)), []
    for layer in model.layers:
        maps += [layer.maps(x).squeeze(0)]
        x = layer(x)
    return torch.stack(maps, dim=0)


def compare_with_gpt2(texts, model=None, tokenizer=None):
    if tokenizer is None:
        import transformers

        tokenizer = transformers.AutoTokenizer.from_pretrained("gpt2")
    if model is None:
        import transformers

        model = transformers.AutoModelForCausalLM.from_pretrained("gpt2")
    nats = []
    for ids in (tokenizer(text)["input_ids"] for text in texts):
        if len(ids) < 2:
            continue
        z = model(torch.tensor(ids).reshape(1, -1))["logits"][0, :-1].detach().to(torch.float64)
        wanted = torch.tensor(ids[1:]).unsqueeze(-1)
        nats.append(z.logsumexp(-1) - z.gather(-1, wanted).squeeze(-1))
    if not nats:
        raise ValueError("nothing can be predicted")
    return float(np.exp(torch.cat(nats).numpy().mean()))
