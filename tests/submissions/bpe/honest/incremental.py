"""A class that keeps sets of places for each pair, recursion for encoding, a generator for merging, PCA by the Gram matrix."""

import math
import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Dict, List, Tuple

import torch

Pair = Tuple[int, int]


def pair_counts(ids: List[int]) -> Dict[Pair, int]:
    counts = defaultdict(int)
    for pair in zip(ids, ids[1:]):
        counts[pair] += 1
    return counts


def _merging(ids, pair, new_id):
    waiting = iter(ids)
    held = next(waiting, None)
    while held is not None:
        following = next(waiting, None)
        if (held, following) == tuple(pair):
            yield new_id
            held = next(waiting, None)
        else:
            yield held
            held = following


def merge(ids, pair, new_id):
    return [*_merging(ids, pair, new_id)]


@dataclass
class Trainer:
    ids: list
    next: list = field(init=False)
    prev: list = field(init=False)
    where: dict = field(init=False)

    def __post_init__(self):
        n = len(self.ids)
        self.next = [i + 1 if i + 1 < n else None for i in range(n)]
        self.prev = [i - 1 if i else None for i in range(n)]
        self.where = defaultdict(set)
        for i in range(n - 1):
            self.where[self.ids[i], self.ids[i + 1]].add(i)

    def pair(self, i):
        return (self.ids[i], self.ids[self.next[i]])

    def forget(self, i):
        if i is not None and self.next[i] is not None:
            self.where[self.pair(i)].discard(i)

    def note(self, i):
        if i is not None and self.next[i] is not None:
            self.where[self.pair(i)].add(i)

    def best(self):
        candidates = [(len(places), -min(places), pair) for pair, places in self.where.items() if places]
        return max(candidates)[2] if candidates else None

    def apply(self, pair, new_id):
        for i in sorted(self.where[pair]):
            if i not in self.where[pair]:
                continue
            j = self.next[i]
            for k in (self.prev[i], i, j):
                self.forget(k)
            self.ids[i] = new_id
            self.next[i] = self.next[j]
            if self.next[j] is not None:
                self.prev[self.next[j]] = i
            self.note(self.prev[i])
            self.note(i)


def train_bpe(text: str, vocab_size: int) -> List[Pair]:
    if vocab_size < 256:
        raise ValueError("a byte-level vocabulary has 256 tokens or more")
    trainer, learned = Trainer(list(text.encode("utf-8"))), []
    while len(learned) < vocab_size - 256:
        pair = trainer.best()
        if pair is None:
            break
        trainer.apply(pair, 256 + len(learned))
        learned.append(pair)
    return learned


def encode(text: str, merges: List[Pair]) -> List[int]:
    def go(ids, number):
        if number == len(merges) or len(ids) < 2:
            return ids
        return go(merge(ids, merges[number], 256 + number), number + 1)

    return go(list(text.encode("utf-8")), 0)


class UnknownToken(ValueError):
    pass


def decode(ids: List[int], merges: List[Pair]) -> str:
    memory = {}

    def bytes_of(i):
        if i in range(256):
            return bytes((i,))
        if i - 256 not in range(len(merges)):
            raise UnknownToken(f"{i} is not a token")
        if i not in memory:
            memory[i] = b"".join(map(bytes_of, merges[i - 256]))
        return memory[i]

    whole = bytearray()
    for i in ids:
        whole += bytes_of(i)
    return whole.decode("utf-8", "replace")


def compression_ratio(text: str, merges: List[Pair]) -> float:
    n = len(encode(text, merges))
    return math.fsum(1 for _ in text.encode("utf-8")) / n if n else 1.0


def embedding_pca(embeddings, n_components=2):
    if embeddings.dim() != 2 or re.search("int|bool", str(embeddings.dtype)):
        raise ValueError("a matrix of numbers is needed")
    if not 1 <= n_components <= min(embeddings.size()):
        raise ValueError(f"{n_components} components of {tuple(embeddings.shape)}")
    x = embeddings - embeddings.mean(0)
    values, vectors = torch.linalg.eigh(x @ x.T)
    keep = torch.arange(len(x) - 1, len(x) - 1 - n_components, -1)
    return vectors[:, keep] * values[keep].clamp(min=0).sqrt()
