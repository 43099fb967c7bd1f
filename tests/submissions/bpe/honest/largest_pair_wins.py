"""Ties go to the lexicographically largest pair; merging on a stack; encoding by a heap; PCA by the covariance."""

import heapq
from collections import Counter
from functools import reduce
from itertools import chain

import numpy as np
import torch


def pair_counts(ids):
    return dict(Counter((ids[k], ids[k + 1]) for k in range(len(ids) - 1)))


def merge(ids, pair, new_id):
    a, b = pair
    stack, fresh = [], False
    for token in ids:
        if stack and not fresh and stack[-1] == a and token == b:
            stack[-1], fresh = new_id, True
        else:
            stack.append(token)
            fresh = False
    return stack


def train_bpe(text, vocab_size):
    if not vocab_size >= 256:
        raise ValueError(f"{vocab_size} tokens are fewer than there are bytes")
    row, merges = [int(b) for b in np.frombuffer(text.encode(), dtype=np.uint8)], []
    while 256 + len(merges) < vocab_size and len(row) > 1:
        count, pair = max((count, pair) for pair, count in pair_counts(row).items())
        row = merge(row, pair, 256 + len(merges))
        merges += [pair]
    return merges


def encode(text, merges):
    """Each place is merged when its rank comes up; a heap of (rank, place) says which is next."""
    tokens = list(text.encode())
    rank = {}
    for number, pair in enumerate(merges):
        rank.setdefault(tuple(pair), number)
    right = list(range(1, len(tokens))) + [None]
    left = [None] + list(range(len(tokens) - 1))
    heap = []

    def offer(place):
        if place is None or right[place] is None:
            return
        number = rank.get((tokens[place], tokens[right[place]]))
        if number is not None:
            heapq.heappush(heap, (number, place))

    for place in range(len(tokens)):
        offer(place)
    while heap:
        number, place = heapq.heappop(heap)
        after = right[place]
        if tokens[place] is None or after is None or (tokens[place], tokens[after]) != tuple(merges[number]):
            continue
        tokens[place], tokens[after] = 256 + number, None
        right[place] = right[after]
        if right[place] is not None:
            left[right[place]] = place
        offer(left[place])
        offer(place)
    return [token for token in tokens if token is not None]


def decode(ids, merges):
    def spelt(id_):
        if not 0 <= id_ < 256 + len(merges):
            raise ValueError(f"no token has the id {id_}")
        if id_ < 256:
            return [id_]
        return list(chain.from_iterable(spelt(half) for half in merges[id_ - 256]))

    return bytes(chain.from_iterable(map(spelt, ids))).decode(errors="replace")


def compression_ratio(text, merges):
    size = reduce(lambda total, _: total + 1, text.encode(), 0)
    return size / len(encode(text, merges)) if size else 1.0


def embedding_pca(embeddings, n_components=2):
    if embeddings.ndim != 2 or not 0 < n_components <= min(embeddings.shape):
        raise ValueError("embeddings must be (n, d) and n_components within it")
    x = embeddings - torch.mean(embeddings, 0)
    values, axes = torch.linalg.eigh(x.mT @ x)
    order = torch.argsort(values, descending=True)
    return x @ axes[:, order[:n_components]]
