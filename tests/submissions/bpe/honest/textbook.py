"""Counts everything anew at each merge, ties by first seen, with dicts and while loops; one function of each name."""

import torch


def pair_counts(ids):
    counts = {}
    for i in range(len(ids) - 1):
        pair = (ids[i], ids[i + 1])
        if pair not in counts:
            counts[pair] = 0
        counts[pair] += 1
    return counts


def merge(ids, pair, new_id):
    out = []
    i = 0
    while i < len(ids):
        if i < len(ids) - 1 and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            out.append(new_id)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def train_bpe(text, vocab_size):
    if vocab_size < 256:
        raise ValueError("vocab_size must be at least 256")
    ids = list(text.encode("utf-8"))
    merges = []
    for new_id in range(256, vocab_size):
        counts = pair_counts(ids)
        if len(counts) == 0:
            break
        best = max(counts, key=counts.get)
        ids = merge(ids, best, new_id)
        merges.append(best)
    return merges


def encode(text, merges):
    ids = list(text.encode("utf-8"))
    ranks = {pair: i for i, pair in enumerate(merges)}
    while len(ids) >= 2:
        best = min(pair_counts(ids), key=lambda pair: ranks.get(pair, float("inf")))
        if best not in ranks:
            break
        ids = merge(ids, best, 256 + ranks[best])
    return ids


def decode(ids, merges):
    vocab = {i: bytes([i]) for i in range(256)}
    for i, (left, right) in enumerate(merges):
        vocab[256 + i] = vocab[left] + vocab[right]
    for i in ids:
        if i not in vocab:
            raise ValueError(f"unknown token id {i}")
    return b"".join(vocab[i] for i in ids).decode("utf-8", errors="replace")


def compression_ratio(text, merges):
    tokens = encode(text, merges)
    if not tokens:
        return 1.0
    return len(bytes(text, "utf-8")) / len(tokens)


def embedding_pca(embeddings, n_components=2):
    if embeddings.dim() != 2:
        raise ValueError("embeddings must be a matrix")
    n, d = embeddings.shape
    if n_components < 1 or n_components > min(n, d):
        raise ValueError("n_components out of range")
    centred = embeddings - embeddings.mean(dim=0, keepdim=True)
    _, _, Vh = torch.linalg.svd(centred, full_matrices=False)
    return centred @ Vh[:n_components].T
