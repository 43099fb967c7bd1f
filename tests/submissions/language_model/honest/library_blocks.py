"""PyTorch's own encoder layers with a mask, tied embeddings, loss on all symbols, OneCycleLR; dictionaries and strings."""

import math
import re
import zlib

import torch
from torch import nn

SYMBOLS = "0123456789+-=;_"
IDS = dict(zip(SYMBOLS, range(15)))


def encode_problem(text):
    if re.fullmatch(r"[-0-9+=;_]*", text, re.ASCII) is None or text.endswith("\n"):
        raise ValueError(f"only {SYMBOLS} may occur, got {text!r}")
    return list(map(IDS.get, text))


def decode_ids(ids):
    characters = []
    for i in ids:
        if i not in range(15):
            raise ValueError(f"unknown id {i}")
        if i == 13:
            break
        characters.append(SYMBOLS[i])
    return "".join(characters).replace("_", "")


def perplexity(logits, targets, mask=None):
    if logits.dim() != targets.dim() + 1 or logits.size()[:-1] != targets.size():
        raise ValueError("shapes differ")
    flat, wanted = logits.reshape(-1, logits.size(-1)), targets.reshape(-1)
    if mask is not None:
        if mask.dtype is not torch.bool or mask.size() != targets.size():
            raise ValueError("the mask must be boolean, one entry for each target")
        flat, wanted = flat[mask.reshape(-1)], wanted[mask.reshape(-1)]
    if len(wanted) == 0:
        raise ValueError("nothing is counted")
    if wanted.min() < 0 or wanted.max() >= flat.size(-1):
        raise ValueError("unknown target")
    return nn.CrossEntropyLoss()(flat, wanted).exp()


class TinyGPT(nn.Module):
    def __init__(self, vocab_size, d_model, n_heads, n_layers, max_len):
        super().__init__()
        if any(size < 1 for size in (vocab_size, d_model, n_heads, n_layers, max_len)) or d_model % n_heads:
            raise ValueError("bad sizes")
        self.vocab_size, self.max_len = vocab_size, max_len
        self.wte = nn.Embedding(vocab_size, d_model)
        self.wpe = nn.Parameter(0.02 * torch.randn(max_len, d_model))
        nn.init.normal_(self.wte.weight, std=0.1)
        layers = [
            nn.TransformerEncoderLayer(
                d_model, n_heads, 4 * d_model, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(n_layers)
        ]
        self.h = nn.ModuleList(layers)
        self.ln_f = nn.LayerNorm(d_model)
        self.lm_head = nn.Linear(d_model, vocab_size, bias=False)
        self.lm_head.weight = self.wte.weight

    def start(self, ids):
        if ids.dim() != 2 or not 0 < ids.size(1) <= self.max_len:
            raise ValueError("ids must be (B, L) with 1 <= L <= max_len")
        if ids.numel() and (ids.min() < 0 or ids.max() >= self.vocab_size):
            raise ValueError("unknown id")
        mask = nn.Transformer.generate_square_subsequent_mask(ids.size(1))
        return self.wte(ids) + self.wpe[: ids.size(1)], mask

    def forward(self, ids):
        x, mask = self.start(ids)
        for layer in self.h:
            x = layer(x, src_mask=mask, is_causal=True)
        return self.lm_head(self.ln_f(x))


def held_out(problem):
    left = problem[: problem.index("=")]
    sign = "+" if "+" in left else "-"
    a, b = map(int, left.split(sign))
    return zlib.crc32(f"{min(a, b)}{sign}{max(a, b)}".encode()) % 10 == 3


def table(problems):
    lists = [torch.tensor(encode_problem(p + ";")) for p in problems]
    ids = nn.utils.rnn.pad_sequence(lists, batch_first=True, padding_value=14)
    answers = (ids == 12).cumsum(1).bool() & (ids != 12) & (ids != 14)
    return ids, answers


def train(model, problems, steps, seed):
    seen = [p for p in problems if not held_out(p)]
    unseen = [p for p in problems if held_out(p)]
    if steps < 1 or not seen or not unseen:
        raise ValueError("at least one step, and problems of both kinds")
    torch.manual_seed(seed)
    model.train()
    (ids, _), (test, answers) = table(seen), table(unseen)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1, pct_start=0.1)
    loss_function = nn.CrossEntropyLoss(ignore_index=14)
    history = {"step": [], "loss": [], "perplexity": [], "singular_values": []}

    def note(step, loss):
        model.eval()
        with torch.no_grad():
            value = perplexity(model(test[:, :-1]), test[:, 1:], answers[:, 1:])
        model.train()
        history["step"].append(step)
        history["loss"].append(loss)
        history["perplexity"].append(float(value))
        history["singular_values"].append(torch.linalg.svd(model.wte.weight.detach())[1].tolist())

    def batch_loss():
        rows = ids[torch.randperm(len(ids))[:128]]
        return loss_function(model(rows[:, :-1]).transpose(1, 2), rows[:, 1:])

    note(0, batch_loss().item())
    for step in range(1, steps + 1):
        loss = batch_loss()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if step % 100 == 0 and step < steps:
            note(step, loss.item())
    note(steps, loss.item())
    return history


def solve(model, prompt):
    if prompt[-1:] != "=":
        raise ValueError("the prompt must end with =")
    text = prompt
    encode_problem(text)
    for _ in range(8):
        row = model(torch.tensor(encode_problem(text)).unsqueeze(0)).detach()[0][-1]
        text += SYMBOLS[torch.topk(row, 1).indices.item()]
        if text[-1] == ";":
            break
    return text[len(prompt) :].rstrip(";").replace("_", "")


def attention_maps(model, ids):
    if ids.dim() != 1:
        raise ValueError("one text at a time")
    collected = []
    with torch.no_grad():
        x, mask = model.start(ids[None])
        for layer in model.h:
            y = layer.norm1(x)
            _, weights = layer.self_attn(y, y, y, attn_mask=mask, average_attn_weights=False)
            collected.append(weights[0])
            x = layer(x, src_mask=mask, is_causal=True)
    return torch.stack(collected)


def compare_with_gpt2(texts, model=None, tokenizer=None):
    if model is None:
        from transformers import GPT2LMHeadModel

        model = GPT2LMHeadModel.from_pretrained("gpt2")
    if tokenizer is None:
        from transformers import GPT2TokenizerFast

        tokenizer = GPT2TokenizerFast.from_pretrained("gpt2")
    losses = []
    for text in texts:
        ids = torch.LongTensor(tokenizer(text)["input_ids"])
        if len(ids) > 1:
            logs = torch.log_softmax(model(ids[None])["logits"][0].detach(), dim=-1)
            losses += [-logs[i, t].item() for i, t in enumerate(ids[1:].tolist())]
    if not losses:
        raise ValueError("no predictions")
    return math.exp(sum(losses) / len(losses))
